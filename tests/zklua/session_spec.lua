-- A client's life: the first connection and its failures, lost connections, renewal, the end.
local apache = require("support.apache")
local chroot = require("support.chroot")
local proxy = require("support.proxy")
local raw = require("support.raw")
local uv = require("luv")
local runtimes = require("zklua.runtime")
local facades = require("zklua.facade")

local WAIT = 10 -- seconds, at most, for what comes at once

describe("a session", function()
  local server, zk, logged

  before_each(function()
    server = apache.shared()
    logged = {}
    zk = facades.new(runtimes.new({
      log = function(level, message)
        logged[#logged + 1] = level .. " " .. message
      end,
    }))
  end)

  after_each(function()
    zk.runtime:close(1)
  end)

  local function eventually(predicate)
    local deadline = zk.now() + WAIT
    while not predicate() do
      assert(zk.now() < deadline, "it never came to it")
      zk.sleep(0.005)
    end
  end

  -- A listener that does with each connection what `serve` says.
  local function listen(serve)
    local listener = uv.new_tcp()
    listener:bind("127.0.0.1", 0)
    listener:listen(16, function()
      local peer = uv.new_tcp()
      listener:accept(peer)
      serve(peer)
    end)
    return "127.0.0.1:" .. listener:getsockname().port, function()
      listener:close()
    end
  end

  describe("that finds no server", function()
    local function failure(servers, options)
      options = options or {}
      options.timeout = options.timeout or 0.4
      local began = zk.now()
      local c, message, code = zk.connect(servers, options)
      assert.is_nil(c)
      assert.is_true(zk.now() - began < options.timeout + 2)
      return message, code
    end

    it("says where nobody listens", function()
      local nobody = "127.0.0.1:" .. apache.unused_port()
      local message, code = failure(nobody)
      assert.equal("TIMEOUT", code)
      assert.equal("TIMEOUT: no server reached within 0.4 s: " .. nobody .. " connection refused",
        message)
      assert.equal(message, zk.runtime.unreachable)
    end)

    it("says which of several did what", function()
      local nobody = "127.0.0.1:" .. apache.unused_port()
      local liar, close = listen(function(peer)
        peer:write("SSH-2.0-OpenSSH_9.2p1 Debian-2+deb12u3\r\n")
        peer:read_start(function(_, chunk) if not chunk then peer:close() end end)
      end)
      local nohost = ("x"):rep(64) .. ".invalid" -- too long a label: known at once to be no name
      local message = failure(nobody .. "," .. liar .. "," .. nohost .. ":1", { timeout = 2 })
      close()
      assert.matches(nobody .. " connection refused", message, 1, true)
      assert.matches(liar .. " answered with something that is not ZooKeeper", message, 1, true)
      assert.matches(nohost .. ":1 does not resolve", message, 1, true)
    end)

    it("says that a peer is silent", function()
      local silent, close = listen(function(peer)
        peer:read_start(function(_, chunk) if not chunk then peer:close() end end)
      end)
      local message = failure(silent, { session_timeout = 0.6, timeout = 1.5 })
      close()
      assert.matches(silent .. " no answer", message, 1, true)
    end)

    it("says that a peer hangs up", function()
      local rude, close = listen(function(peer)
        peer:close()
      end)
      local message = failure(rude)
      close()
      assert.matches(rude .. " ", message, 1, true)
      assert.is_nil(message:find("no answer", 1, true))
    end)

    it("can be cancelled, and leaves nothing", function()
      local nobody = "127.0.0.1:" .. apache.unused_port()
      local task = zk.spawn(function()
        return zk.connect(nobody, { timeout = 60 })
      end)
      zk.sleep(0.02)
      task:cancel()
      local c, _, code = task:wait(WAIT)
      assert.is_nil(c)
      assert.equal("CANCELLED", code)
      assert.is_nil(next(zk.runtime.sessions))
    end)

    it("goes on to a server that is there", function()
      local nobody = "127.0.0.1:" .. apache.unused_port()
      local c = assert(zk.connect(nobody .. "," .. server.connect_string))
      assert.equal("connected", c:state())
      assert(c:close())
    end)

    it("waits for a server that comes later", function()
      local port = apache.unused_port()
      local task = zk.spawn(zk.connect, "127.0.0.1:" .. port, { timeout = WAIT })
      zk.sleep(0.1)
      local late = proxy.start(server)
      -- The proxy has a port of its own: lend it the one that is being asked for.
      local listener = uv.new_tcp()
      listener:bind("127.0.0.1", port)
      listener:listen(16, function()
        local near, far = uv.new_tcp(), uv.new_tcp()
        listener:accept(near)
        far:connect("127.0.0.1", late.port, function()
          near:read_start(function(_, chunk)
            if chunk then far:write(chunk) elseif not far:is_closing() then far:close() end
          end)
          far:read_start(function(_, chunk)
            if chunk then near:write(chunk) elseif not near:is_closing() then near:close() end
          end)
        end)
      end)
      local c = assert(task:wait(WAIT))
      assert(c:close())
      listener:close()
      late:stop()
    end)
  end)

  describe("that was asked for wrongly", function()
    local cases = {
      { "servers", 42 },
      { "servers", "" },
      { "host:port", "a:b" },
      { "0 is not a port", "a:0" },
      { "brackets", "::1" },
      { "local: stands alone", "local:,a:1" },
      { "chroot", "a/b//c" },
      { "tls is not in this version", "a", { tls = {} } },
      { "unknown option", "a", { sesion_timeout = 1 } },
      { "session_timeout must be a number", "a", { session_timeout = "1" } },
      { "out of range", "a", { session_timeout = -1 } },
      { "on_expire", "a", { on_expire = "panic" } },
      { "auth[1]", "a", { auth = { "digest" } } },
      { "acl", "a", { acl = "everyone" } },
      { "options must be a table", "a", 5 },
    }
    for _, case in ipairs(cases) do
      it("raises at the caller's line: " .. case[1] .. " for " .. tostring(case[2]), function()
        local ok, message = pcall(function()
          zk.connect(case[2], case[3])
        end)
        assert.is_false(ok)
        assert.matches("session_spec.lua:%d+: ", message)
        assert.matches(case[1], message, 1, true)
      end)
    end
  end)

  describe("that loses its connection", function()
    local p, c

    before_each(function()
      p = proxy.start({ port = server.port, connect_string = server.connect_string })
      local path = chroot("session"):match("/.*")
      c = assert(zk.connect("127.0.0.1:" .. p.port .. path, { session_timeout = 4 }))
    end)

    after_each(function()
      c:close(0.5)
      p:stop()
      zk.sleep(0.01) -- the proxy closes its handles
    end)

    it("keeps its id, its ephemerals, and says what happened", function()
      local states, id = {}, c:session().id
      c:on("state", function(state) states[#states + 1] = state end)
      assert(c:create("/e", "", { ephemeral = true }))
      p:cut()
      eventually(function() return states[#states] == "connected" end)
      assert.same({ "disconnected", "connected" }, states)
      assert.equal(id, c:session().id)
      assert.equal(id, assert(c:exists("/e")).ephemeral_owner)
      assert.equal(1, c:metrics().reconnects)
    end)

    it("reads again, whatever was lost", function()
      assert(c:create("/a", "x"))
      for _, lose in ipairs({ "lose_reply", "lose_request" }) do
        p[lose](p, "get")
        assert.equal("x", (assert(c:get("/a"))))
      end
      p:lose_reply("children")
      assert.same({ "a" }, (assert(c:children("/"))))
      p:lose_reply("exists")
      assert.is_table(c:exists("/a"))
    end)

    it("does not write again, and says that it may have happened", function()
      p:lose_reply("create")
      local made, message, code = c:create("/once", "")
      assert.is_nil(made)
      assert.equal("CONNECTIONLOSS", code)
      assert.matches("/once); it may have happened", message, 1, true)
      assert.is_table(c:exists("/once"))
      p:lose_request("set")
      assert.equal("CONNECTIONLOSS", (select(3, c:set("/once", "x"))))
      assert.equal("", (c:get("/once")))
    end)

    it("lets calls wait for the next connection", function()
      p:refuse(true)
      p:cut()
      eventually(function() return c:state() == "disconnected" end)
      local task = zk.spawn(c.create, c, "/later", "")
      zk.sleep(0.02)
      assert.is_false(task:done())
      p:refuse(false)
      assert.equal("/later", task:wait(WAIT))
    end)

    it("fails fast where that was asked for", function()
      p:refuse(true)
      p:cut()
      eventually(function() return c:state() == "disconnected" end)
      local made, _, code = c:create("/now", "", { fail_fast = true })
      assert.is_nil(made)
      assert.equal("NOTCONNECTED", code)
      made, _, code = c:create("/now", "", { timeout = 0.1 })
      assert.is_nil(made)
      assert.is_true(code == "NOTCONNECTED" or code == "TIMEOUT", code)
      p:refuse(false)
      assert.is_false((c:exists("/now", { fresh = true })))
    end)
  end)

  describe("that expires", function()
    it("fails what hangs on it, and begins anew", function()
      local c = assert(zk.connect(chroot("expire")))
      local life, ended = c:lifetime(), nil
      life:on_end(function(code) ended = code end)
      assert.is_true(life:valid())
      assert.is_true(life:valid_until() > zk.now())
      assert(c:create("/e1", "", { ephemeral = true }))
      assert(c:create("/e2", "", { ephemeral = true }))
      assert(c:delete("/e2"))
      local lost, fired
      c:on("expired", function(list) lost = list end)
      assert(c:get("/e1", { watch = function(event) fired = event end }))

      assert(raw.end_session(server, c:session()))
      eventually(function() return lost and ended and fired and c:state() == "connected" end)
      assert.same({ "/e1" }, lost)
      assert.equal("SESSIONEXPIRED", ended)
      assert.is_true(fired.type == "gap" or fired.type == "deleted")
      assert.equal("/e1", fired.path)
      assert.is_false(life.alive)
      assert.is_false(life:valid())
      assert.not_equal(life, c:lifetime())
      assert.is_true(c:lifetime():valid())
      assert.equal(1, c:metrics().expiries)
      assert.matches("has expired", table.concat(logged, "\n"), 1, true)
      local again
      life:on_end(function(code) again = code end)
      eventually(function() return again == "SESSIONEXPIRED" end)
      assert(c:close())
    end)

    it("logs in again", function()
      local c = assert(zk.connect(chroot("expire"), { auth = { { "digest", "ann:x" } } }))
      assert(c:add_auth("digest", "bob:y"))
      assert(c:create("/secret", "s", { acl = { zk.acl.digest("bob", "y") } }))
      local renewed = zk.event()
      c:on("expired", function() renewed:set() end)
      assert(raw.end_session(server, c:session()))
      assert.is_true(renewed:wait(WAIT))
      assert.equal("s", (assert(c:get("/secret"))))
      assert(c:close())
    end)

    it("keeps streams, values and caches going", function()
      local c = assert(zk.connect(chroot("expire")))
      assert(c:create("/v", "1"))
      local stream = assert(c:watch("/v"))
      local live, cache = assert(c:live("/v")), assert(c:cache("/"))
      assert(cache:ready(WAIT))
      assert(raw.end_session(server, c:session()))
      local event = assert(stream:next(WAIT))
      assert.equal("gap", event.type)
      assert(c:set("/v", "2"))
      assert.equal("2", (assert(live:wait(function(data) return data == "2" end, WAIT))))
      eventually(function() return cache:get("/v") == "2" and not cache.stale end)
      repeat event = assert(stream:next(WAIT)) until event.type == "changed"
      assert(c:close())
    end)

    it("stops where that was asked for, and tells everybody", function()
      local c = assert(zk.connect(chroot("expire"), { on_expire = "stop" }))
      assert(c:create("/v", "1"))
      local stream, live = assert(c:watch("/v")), assert(c:live("/v"))
      local event = zk.event()
      assert(c:get("/v", { watch = event }))
      assert(raw.end_session(server, c:session()))
      assert.is_true(event:wait(WAIT))
      local last
      for ev in stream do last = ev end
      assert.equal("closed", last.type)
      assert.equal("SESSIONEXPIRED", last.code)
      assert.equal("SESSIONEXPIRED", (select(3, live:wait(nil, WAIT))))
      assert.is_true(live.stale)
      assert.equal("1", live.data)
      assert.equal("expired", c:state())
      assert.equal("SESSIONEXPIRED", (select(3, c:set("/v", "2"))))
      assert(c:close())
    end)

    it("cannot be gone on with", function()
      local c = assert(zk.connect(chroot("expire")))
      local session = c:session()
      assert(c:close())
      local again, message, code = zk.connect(server.connect_string, {
        session = { id = session.id, password = session.password }, timeout = WAIT,
      })
      assert.is_nil(again)
      assert.equal("SESSIONEXPIRED", code)
      assert.equal(("SESSIONEXPIRED: the session %s cannot be used any more"):format(session.id),
        message)
      assert.is_nil(next(zk.runtime.sessions))
    end)
  end)

  describe("that is refused", function()
    it("ends by a credential of a scheme that the server does not know", function()
      local c, message, code = zk.connect(server.connect_string, {
        auth = { { "digest", "ann:x" }, { "nosuch", "x" }, { "digest", "bob:x" } } })
      assert.is_nil(c)
      assert.equal("AUTHFAILED", code)
      assert.equal("AUTHFAILED: a credential of scheme nosuch was refused (connect)", message)
    end)

    it("ends by such a credential that is added", function()
      local c = assert(zk.connect(server.connect_string))
      local ok, message, code = c:add_auth("nosuch", "x")
      assert.is_nil(ok)
      assert.equal("AUTHFAILED", code)
      assert.equal("AUTHFAILED: a credential of scheme nosuch was refused (add_auth)", message)
    end)
  end)

  describe("that is closed", function()
    it("answers what was asked before, and tells other tasks", function()
      local c = assert(zk.connect(chroot("close")))
      local made
      local task = zk.spawn(function() made = c:create("/last", "") end)
      local waiter = zk.spawn(function() return c:lock("/l"):acquire() end)
      zk.sleep(0)
      assert.is_true(c:close())
      assert.is_true(c:close())
      task:wait(WAIT)
      assert.equal("/last", made)
      waiter:cancel()
      local other = zk.spawn(function() return c:get("/last") end)
      assert.equal("CLOSED", (select(3, other:wait(WAIT))))
      local ok, message = pcall(function() c:get("/last") end)
      assert.is_false(ok)
      assert.matches("session_spec.lua:%d+: get: the client is closed", message)
      assert.equal("closed", c:state())
    end)

    it("is closed in time when the server does not answer", function()
      local p = proxy.start({ port = server.port })
      local c = assert(zk.connect("127.0.0.1:" .. p.port))
      p:pause()
      local began = zk.now()
      assert.is_true(c:close(0.2))
      assert.is_true(zk.now() - began < 2)
      p:resume()
      p:stop()
      zk.sleep(0.01) -- the proxy closes its handles
    end)

    it("closes when nobody can reach it any more", function()
      local other = assert(zk.connect(chroot("gc")))
      local id
      do
        local c = assert(zk.connect(server.connect_string))
        id = c:session().id
        assert(c:get("/"))
      end
      eventually(function()
        collectgarbage()
        return next(zk.runtime.sessions, next(zk.runtime.sessions)) == nil
      end)
      assert.is_string(id)
      assert(other:close())
    end)
  end)

  it("takes no reply above its limit, and goes on", function()
    local c = assert(zk.connect(chroot("limit"), { reply_max = 2000 }))
    assert(c:create("/large", ("x"):rep(3000)))
    assert(c:create("/small", ("x"):rep(1000)))
    local id = c:session().id
    local data, _, code = c:get("/large", { timeout = 0.5 })
    assert.is_nil(data)
    assert.is_true(({ CONNECTIONLOSS = true, NOTCONNECTED = true, TIMEOUT = true })[code])
    assert.equal(1000, #assert(c:get("/small")))
    assert.equal(id, c:session().id)
    c:close()
  end)

  describe("with handlers", function()
    it("calls the others when one fails, and tells where errors are told", function()
      local c = assert(zk.connect(chroot("handlers")))
      local errors, calls = {}, 0
      c:on("error", function(message, trace) errors[#errors + 1] = { message, trace } end)
      c:on("state", function() error("first handler") end)
      c:on("state", function() calls = calls + 1 end)
      local off = c:on("state", function() error("taken off") end)
      off()
      assert(c:close())
      eventually(function() return calls == 1 and #errors == 1 end)
      assert.matches("first handler", errors[1][1], 1, true)
      assert.matches("traceback", errors[1][2], 1, true)
    end)

    it("gives errors of handlers to on_error", function()
      local heard
      local c = assert(zk.connect(chroot("handlers"),
        { on_error = function(message) heard = message end }))
      c:on("state", function() error("oops") end)
      assert(c:close())
      eventually(function() return heard end)
      assert.matches("oops", heard, 1, true)
    end)

    it("raises for an event that does not exist", function()
      local c = assert(zk.connect(chroot("handlers")))
      local ok, message = pcall(function() c:on("stat", print) end)
      assert.is_false(ok)
      assert.matches('session_spec.lua:%d+: event must be', message)
      assert(c:close())
    end)
  end)

  describe("whose program does not wait", function()
    local own, c

    before_each(function()
      own = {}
      c = assert(zk.connect(server.connect_string, { session_timeout = 1.5,
        log = function(_, message)
          own[#own + 1] = message
        end }))
    end)

    local function stall()
      local over = zk.now() + 0.6
      while zk.now() < over do end
    end

    local function count(list)
      local found = 0
      for _, line in ipairs(list) do
        found = found + (line:find("sessions starve", 1, true) and 1 or 0)
      end
      return found, table.concat(list, "\n")
    end

    it("tells so once to its own log", function()
      stall()
      assert(zk.sleep(0.01))
      eventually(function() return count(own) > 0 end)
      assert.equal(1, (count(own)))
      assert.equal(0, (count(logged)))
      assert.matches("the program ran for 0.%d s without a wait", select(2, count(own)))
    end)

    it("tells so once to the runtime's log for all that have none", function()
      local others = {}
      for i = 1, 2 do
        others[i] = assert(zk.connect(server.connect_string, { session_timeout = 1.5 }))
      end
      stall()
      assert(zk.sleep(0.01))
      eventually(function() return count(own) > 0 end)
      assert.equal(1, (count(logged)))
      assert.equal(1, (count(own)))
    end)

    it("names the task, also one that ends without a wait", function()
      local task = zk.spawn(function() stall() end)
      local line = debug.getinfo(1, "l").currentline - 1
      task:wait()
      eventually(function() return count(own) > 0 end)
      assert.equal(1, (count(own)))
      assert.matches(("task %%S*session_spec.lua:%d ran for"):format(line), select(2, count(own)))
    end)

    it("tells so also when it closes its client next", function()
      stall()
      assert(c:close())
      assert.equal(1, (count(own)))
    end)
  end)
end)
