-- zk.server and zk.test, as somebody uses them who tests a script.
local facades = require("zklua.facade")
local processes = require("zklua.sim.process")
local runtimes = require("zklua.runtime")
local worlds = require("zklua.scheduler.sim_world")

local zk = facades.new(runtimes.new({ log = function() end }))

describe("zk.server", function()
  it("is a server of its own", zk.test(function()
    local one, two = zk.server(), zk.server()
    assert.are_not.equal(one.connect_string, two.connect_string)
    local c = assert(one:client())
    assert(c:create("/a", "x"))
    assert.is_false(assert(two:client()):exists("/a"))
    assert.equal("x", (assert(assert(zk.connect(one.connect_string)):get("/a"))))
    assert(c:create("/app"))
    assert(assert(zk.connect(one.connect_string .. "/app")):create("/inside"))
    assert.is_table(c:exists("/app/inside"))
  end))

  it("expires a session, and the next one is told", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/e", "", { ephemeral = true }))
    local expired = zk.event()
    c:on("expired", function()
      expired:set()
    end)
    assert.is_true(server:expire(c))
    assert.is_true(expired:wait(5))
    assert.is_false(c:exists("/e"))
  end))

  it("hands a lock on when its holder's session expires", zk.test(function()
    local server = zk.server()
    local first, second = assert(server:client()), assert(server:client())
    local held = assert(first:lock("/l"):acquire())
    local waiting = zk.spawn(function()
      return assert(second:lock("/l"):acquire())
    end)
    server:expire(first)
    local next_held = assert(waiting:wait(5))
    assert.is_true(held.lost:wait(5))
    assert.is_false(held:valid())
    assert.is_true(next_held.token > held.token)
  end))

  it("keeps a client that its program has forgotten", zk.test(function()
    local server = zk.server()
    assert(assert(server:client()):create("/e", "", { ephemeral = true }))
    collectgarbage()
    collectgarbage()
    zk.sleep(0.001)
    assert.is_table(assert(server:client()):exists("/e"))
  end))

  it("cuts a connection, and the session goes on", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/e", "", { ephemeral = true }))
    local id = c:session().id
    server:cut(c)
    assert.is_table(c:exists("/e"))
    assert.equal(id, c:session().id)
  end))

  it("loses the reply to what it has done", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:drop_reply(c)
    assert.equal("CONNECTIONLOSS", select(3, c:create("/a", "x")))
    assert.equal("x", (assert(c:get("/a"))))
    server:drop_reply(c, 3)
    assert(c:set("/a", "1"))
    assert(c:set("/a", "2"))
    assert.equal("CONNECTIONLOSS", select(3, c:set("/a", "3")))
    assert.equal("3", (assert(c:get("/a"))))
  end))

  it("loses a request before it is done", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:drop_request(c)
    assert.equal("CONNECTIONLOSS", select(3, c:create("/a", "x")))
    assert.is_false(c:exists("/a"))
    assert(c:create("/a", "0"))
    server:drop_request(c, 3)
    assert(c:set("/a", "1"))
    assert(c:set("/a", "2"))
    assert.equal("CONNECTIONLOSS", select(3, c:set("/a", "3")))
    assert.equal("2", (assert(c:get("/a"))))
  end))

  it("lets a client end that still has something to lose", zk.test(function()
    local server = zk.server()
    for _, drop in ipairs({ "drop_reply", "drop_request" }) do
      local c = assert(server:client())
      assert(c:create("/e", "", { ephemeral = true }))
      server[drop](server, c)
      assert(c:close())
      assert.is_false(assert(server:client()):exists("/e"))
    end
  end))

  it("answers what was asked before a lost request", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/a", ""))
    server:drop_request(c, 3)
    local codes = {}
    zk.group(function(group)
      for i = 1, 5 do -- all leave in one write
        group:spawn(function()
          codes[i] = select(3, c:set("/a", tostring(i))) or "done"
        end)
      end
    end)
    assert.same({ "done", "done" }, { codes[1], codes[2] })
    assert.equal("CONNECTIONLOSS", codes[3])
    assert.not_equal("3", (assert(c:get("/a"))))
  end))

  it("loses one after the other, though nobody waits for the next connection", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/a", ""))
    for i = 1, 5 do
      server:drop_reply(c)
      assert.equal("CONNECTIONLOSS", select(3, c:set("/a", tostring(i))))
    end
    assert.equal(5, select(2, assert(c:get("/a"))).version)
  end))

  for _, drop in ipairs({ "drop_reply", "drop_request" }) do
    it("lets a lock find its own node after a " .. drop, zk.test(function()
      for lost = 1, 6 do -- from the node's creation to its deletion
        local server = zk.server()
        local c = assert(server:client())
        assert(c:ensure("/l"))
        server[drop](server, c, lost)
        local held = assert(c:lock("/l"):acquire({ wait = 5 }))
        assert.equal(1, #assert(c:children("/l")))
        assert(held:release())
        repeat until #assert(c:children("/l")) == 0
        server:close()
      end
    end))
  end

  it("does all that in no time", function()
    local world = worlds.new({ seed = 1 })
    local seconds = {}
    local process = processes.start(world, { name = "test", main = function(sim)
      local server = sim.server()
      local c = assert(server:client())
      assert(c:create("/a", "x"))
      local function timed(name, mishap)
        for _ = 1, 20 do
          local began = sim.now()
          mishap()
          while not c:get("/a") do end -- SESSIONEXPIRED is what the first answer can be
          seconds[name] = math.max(seconds[name] or 0, sim.now() - began)
        end
      end
      timed("expire", function() server:expire(c) end)
      timed("cut", function() server:cut(c) end)
      timed("reply", function() server:drop_reply(c) end)
      timed("request", function() server:drop_request(c) end)
      timed("restart", function() server:stop() server:start() end)
      timed("late start", function() server:stop() sim.sleep(20) server:start() end)
    end })
    while process.status == nil and world.time < 1000 and world:step() do end
    assert.equal(0, process.status, process.failure)
    for _, name in ipairs({ "expire", "cut", "reply", "request", "restart" }) do
      assert.is_true(seconds[name] < 0.01, name .. " took " .. seconds[name])
    end
    assert.is_true(seconds["late start"] < 20.01, seconds["late start"])
  end)

  it("answers late", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:delay(c, 0.3)
    local began = zk.now()
    assert(c:get("/"))
    assert.is_true(zk.now() - began >= 0.3)
    assert.equal("TIMEOUT", select(3, c:get("/", { timeout = 0.01 })))
    server:delay(c, 0)
    assert(c:get("/"))
  end))

  it("answers late on the next connection too", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:delay(c, 60)
    server:cut(c)
    assert.equal("NOTCONNECTED", select(3, c:get("/", { timeout = 0.01 })))
    server:delay(c, 0)
    server:cut(c)
    assert(c:get("/"))
  end))

  it("loses what was on its way when the connection breaks", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:delay(c, 0.02)
    local setting = zk.spawn(function()
      return c:create("/a", "x")
    end)
    zk.sleep(0.005)
    server:cut(c)
    assert.equal("CONNECTIONLOSS", select(3, setting:wait(5)))
    assert.is_table(c:exists("/a"))
  end))

  it("is stopped and started, and has lost nothing", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/a", "x"))
    assert(c:create("/e", "", { ephemeral = true }))
    local id = c:session().id
    server:stop()
    assert.equal("NOTCONNECTED", select(3, c:get("/a", { timeout = 0.05 })))
    server:start()
    assert.equal("x", (assert(c:get("/a"))))
    assert.is_table(c:exists("/e"))
    assert.equal(id, c:session().id)
  end))

  it("is closed for good", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:close()
    assert.equal("CLOSED", select(3, c:get("/")))
    local none, message = zk.connect(server.connect_string, { timeout = 0.05 })
    assert.equal("closed", c:state())
    assert.is_nil(none)
    assert.matches("is no server of this program", message, 1, true)
  end))

  for _, case in ipairs({
    { "an option that is none", function() zk.server({ port = 1 }) end, "port" },
    { "a directory", function() zk.server({ dir = "/tmp" }) end, "not in this version" },
    { "no client", function(server) server:cut(7) end, "client must be a client" },
    { "to expire a client of another server", function(server)
      server:expire((assert(zk.server():client())))
    end, "not one of this server" },
    { "to cut a client of another server", function(server)
      server:cut((assert(zk.server():client())))
    end, "not one of this server" },
    { "a strange count of requests", function(server)
      server:drop_request(assert(server:client()), 1.5)
    end, "count" },
    { "endless seconds", function(server)
      server:delay(assert(server:client()), math.huge)
    end, "seconds" },
    { "an expiry while it is stopped", function(server)
      local c = assert(server:client())
      server:stop()
      server:expire(c)
    end, "is stopped" },
    { "client options that are none", function(server) server:client("x") end, "options" },
    { "a strange count", function(server)
      server:drop_reply(assert(server:client()), 0)
    end, "count" },
    { "strange seconds", function(server)
      server:delay(assert(server:client()), -1)
    end, "seconds" },
    { "a second start", function(server) server:start() end, "is running" },
    { "a second stop", function(server) server:stop() server:stop() end, "is stopped" },
    { "anything once it is closed", function(server)
      server:close()
      server:stop()
    end, "is closed" },
  }) do
    it("refuses " .. case[1] .. " where the mistake is", zk.test(function()
      local ok, message = pcall(case[2], zk.server())
      assert.is_false(ok)
      assert.matches("private_spec%.lua:%d+: .*" .. case[3], message)
    end))
  end
end)

describe("zk.test", function()
  it("raises again what the test raises", function()
    local failure = { "any value" }
    local ok, raised = pcall(zk.test(function()
      zk.sleep(0.001)
      error(failure)
    end))
    assert.is_false(ok)
    assert.equal(failure, raised)
  end)

  it("gives its arguments on", function()
    local seen
    zk.test(function(...)
      seen = { ... }
    end)(1, "b")
    assert.same({ 1, "b" }, seen)
  end)

  it("fails when the test takes too long", function()
    assert.error_matches(zk.test(function()
      zk.sleep(60)
    end, { timeout = 0.02 }), "not ended after 0.02 s")
  end)

  it("ends what the test has left", function()
    local server, ended = zk.server(), false
    zk.test(function()
      assert(server:client())
      zk.spawn(function()
        zk.sleep(60)
        ended = true
      end)
      zk.sleep(0)
    end)()
    assert.is_true(ended)
    assert.equal(0, server._memory.core:info().sessions)
  end)

  it("ends servers that began in it, and leaves others", function()
    local server = zk.server()
    local inner
    zk.test(function()
      inner = zk.server()
      assert(assert(zk.connect("memory:")):create("/left-over"))
    end)()
    zk.test(function()
      assert.is_false(assert(zk.connect("memory:")):exists("/left-over"))
      assert.is_nil((zk.connect(inner.connect_string, { timeout = 0.01 })))
      assert(server:client())
    end)()
  end)

  it("does not wait for what a stopped server cannot hear", function()
    local server = zk.server()
    local began = zk.now()
    zk.test(function()
      for _ = 1, 20 do
        assert(server:client())
      end
      server:stop()
    end)()
    assert.is_true(zk.now() - began < 5) -- which each client would take
  end)

  it("fails for an error in a task that nobody waits for", function()
    local ok, message = pcall(zk.test(function()
      zk.spawn(function()
        error("unheard")
      end)
      zk.sleep(0.001)
    end))
    assert.is_false(ok)
    assert.matches("private_spec%.lua:%d+: unheard", message)
    assert.error_matches(zk.test(function()
      zk.spawn(function()
        error("the cause")
      end)
      zk.sleep(60)
    end, { timeout = 0.02 }), "the cause")
  end)

  it("is content with an error that somebody asks for later", zk.test(function()
    local task = zk.spawn(function()
      error("expected")
    end)
    zk.sleep(0.001)
    assert.error_matches(function() task:wait() end, "expected")
  end))

  it("is content with a task that it cancels itself", zk.test(function()
    local c = assert(zk.server():client())
    zk.spawn(function()
      assert(c:lock("/l"):with(function()
        assert(zk.sleep(60))
      end))
    end)
    zk.sleep(0.001)
  end))

  it("ends loops that never look at what a wait returns", function()
    local rounds = 0
    assert.error_matches(zk.test(function()
      zk.spawn(function()
        while true do
          zk.sleep(60)
          rounds = rounds + 1
        end
      end)
      repeat
        zk.sleep(0.001)
      until false
    end, { timeout = 0.02 }), "not ended after 0.02 s")
    assert.is_true(rounds > 0)
  end)

  it("says where it stands when it takes too long", function()
    local server = zk.server()
    local line
    local ok, message = pcall(zk.test(function()
      local c = assert(server:client())
      line = debug.getinfo(1, "l").currentline + 1
      assert(c:queue("/q"):take())
    end, { timeout = 0.02 }))
    assert.is_false(ok)
    assert.matches(("it stands at tests/zklua/private_spec.lua:%d"):format(line), message, 1, true)
  end)

  it("writes nothing about connections between the results", function()
    local plain = facades.new(runtimes.new())
    plain.test(function()
      local server = plain.server()
      local c = assert(plain.connect(server.connect_string))
      server:expire(c)
      c:get("/")
      assert(c:get("/"))
      assert.is_function(plain.runtime.log_hook)
    end)()
    assert.is_nil(plain.runtime.log_hook)
  end)

  it("leaves nothing of a thousand servers", function()
    local server = zk.server()
    local function one(i)
      local own = zk.server()
      local c = assert(own:client())
      assert(c:create("/a", ("x"):rep(1000)))
      local live = assert(c:live("/a"))
      local waiting = zk.spawn(live.wait, live)
      zk.sleep(0)
      assert(server:client())
      if i % 2 == 0 then
        own:close()
        assert.equal("CLOSED", select(3, waiting:wait(1)))
      end
    end
    local function kilobytes()
      zk.sleep(0.001)
      collectgarbage()
      collectgarbage()
      return collectgarbage("count")
    end
    for i = 1, 100 do
      zk.test(one)(i)
    end
    local before = kilobytes()
    for i = 1, 1000 do
      zk.test(one)(i)
    end
    local grown = kilobytes() - before
    assert.is_true(grown < 1000, grown) -- one server kept would be more than one of these
    assert.is_nil(next(zk.runtime.sessions))
    assert.equal(0, server._memory.core:info().connections)
  end)

  it("refuses what is no function", function()
    assert.error_matches(function() zk.test(1) end, "fn must be a function")
  end)
end)
