-- The operations: what the programs of tests/api do not show. Wrong use, cancellation of every
-- waiting call, modes, views, batches.
local chroot = require("support.chroot")
local proxy = require("support.proxy")
local apache = require("support.apache")
local runtimes = require("zklua.runtime")
local facades = require("zklua.facade")

local WAIT = 10

describe("a client", function()
  local zk, c, servers

  setup(function()
    zk = facades.new(runtimes.new())
    servers = chroot("client")
    c = assert(zk.connect(servers))
  end)

  teardown(function()
    c:close()
  end)

  local function raised(fn)
    local ok, message = pcall(fn)
    return not ok and message or "nothing was raised"
  end

  it("closed by another task tells transactions and guarded writes so", function()
    local own = assert(zk.connect(servers))
    local held = assert(own:lock("/closing"):acquire())
    assert(zk.spawn(own.close, own):wait(WAIT))
    assert.equal("CLOSED", select(3, own:transaction():create("/x"):commit()))
    assert.is_nil((held:set("/x", "")))
  end)

  describe("used wrongly raises at the caller's line, by name:", function()
    local cases = {
      ["path must be a string, not nil"] = function() c:get() end,
      ["path must be a string, not table"] = function() c:exists({}) end,
      ["path must"] = function() c:children("x") end,
      ["path"] = function() c:create("/a//b", "") end,
      ["data must be a string or zk.null, not a number"] = function() c:create("/a", 5) end,
      ["data must be a string or zk.null, not a nil"] = function() c:set("/a") end,
      ["version must be a number"] = function() c:set("/a", "", { version = "1" }) end,
      ["timeout must be a number"] = function() c:delete("/a", { timeout = true }) end,
      ['unknown option "recursiv"'] = function() c:delete("/a", { recursiv = true }) end,
      ["options must be a table, not a number"] = function() c:get("/a", 1) end,
      ["ephemeral, container and ttl exclude each other"] = function()
        c:create("/a", "", { ephemeral = true, ttl = 5 })
      end,
      ["a container cannot be sequential"] = function()
        c:create("/a", "", { container = true, sequential = true })
      end,
      ["ttl must be a whole number"] = function() c:create("/a", "", { ttl = 0.5 }) end,
      ["acl must be"] = function() c:create("/a", "", { acl = {} }) end,
      ["acl: "] = function()
        c:create("/a", "", { acl = { { perms = "z", scheme = "a", id = "" } } })
      end,
      ["watch must be an event or a function"] = function() c:get("/a", { watch = 1 }) end,
      ["fn must be a function, not a string"] = function() c:update("/a", "x") end,
      ["path must be a string, not boolean"] = function() c:update(true, print) end,
      ['list[2] must be { "get", path }'] = function()
        c:read_many({ { "get", "/" }, { "set", "/" } })
      end,
      ["path of list[1]"] = function() c:read_many({ { "get", "a" } }) end,
      ["scheme and id must be strings"] = function() c:add_auth("digest") end,
      ["path must start"] = function() c:ensure("a") end,
      ["path must be a string, not number"] = function() c:ensure(1) end,
      ["path must be a string, not function"] = function() c:at(print) end,
      ["timeout must be a number of seconds"] = function() c:close("soon") end,
      ["children does not go with recursive"] = function()
        c:watch("/", { recursive = true, children = true })
      end,
      ['unknown option "rec"'] = function() c:watch("/", { rec = true }) end,
      ["default must be a string"] = function() c:live("/", { default = 5 }) end,
      ['unknown option "x"'] = function() c:cache("/", { x = 1 }) end,
      ["discovery is not in this version"] = function() c:discovery("/") end,
      ['unknown field of change "x"'] = function() c:reconfig({ x = 1 }) end,
      ["path must be a string"] = function() c:transaction():create(nil, "") end,
      ["data must be"] = function() c:transaction():set("/a") end,
      ['unknown option "parents"'] = function()
        c:transaction():create("/a", "", { parents = true })
      end,
      ["the transaction was committed"] = function()
        local t = c:transaction()
        t:commit()
        t:commit()
      end,
    }
    for expected, fn in pairs(cases) do
      it(expected, function()
        local message = raised(fn)
        assert.matches("client_spec.lua:%d+: ", message)
        assert.matches(expected, message, 1, true)
      end)
    end
  end)

  it("takes data where options may stand", function()
    assert.equal("/opts", (assert(c:create("/opts", { ephemeral = true }))))
    assert(c:delete("/opts"))
  end)

  it("makes every kind of node", function()
    local path, stat = assert(c:create("/k-", "d", { ephemeral = true, sequential = true }))
    assert.matches("^/k%-%d%d%d%d%d%d%d%d%d%d$", path)
    assert.equal(c:session().id, stat.ephemeral_owner)
    assert.matches("^/dir/%d+$",
      (assert(c:create("/dir/", "", { sequential = true, parents = true }))))
    assert(c:create("/ttl-", "", { ttl = 60000, sequential = true }))
    assert(c:create("/box", "", { container = true }))
  end)

  it("writes, replaces and reads acls", function()
    assert(c:create("/acl", ""))
    local stat = assert(c:set_acl("/acl", { zk.acl.world("rwcda"), zk.acl.ip("127.0.0.1", "r") }))
    assert.equal(1, stat.aversion)
    local list = assert(c:get_acl("/acl"))
    assert.equal(2, #list)
    assert.equal("BADVERSION", (select(3, c:set_acl("/acl", "open", { version = 7 }))))
  end)

  it("says who it is, what it has, and what there is", function()
    assert(c:add_auth("digest", "eve:x"))
    local found = false
    for _, identity in ipairs(assert(c:whoami())) do
      found = found or identity.scheme == "digest" and identity.user == "eve"
    end
    assert.is_true(found)
    assert(c:create("/eph/a", "", { ephemeral = true, parents = true }))
    assert.same({ "/eph/a" }, (assert(c:ephemerals("/eph"))))
    assert.equal(1, (assert(c:count("/eph"))))
    assert.is_string((assert(c:config())))
    assert.is_nil((c:reconfig({ leaving = "9" })))
    local metrics = c:metrics()
    assert.is_true(metrics.operations.create.count > 0)
    assert.equal(0, metrics.reconnects)
  end)

  it("reads afresh", function()
    assert(c:create("/fresh", "1"))
    assert.equal("1", (assert(c:get("/fresh", { fresh = true }))))
    assert.is_table((assert(c:children("/fresh", { fresh = true }))))
    assert.is_false((c:exists("/nothing", { fresh = true })))
    local syncs = c:metrics().operations.sync.count
    local text, stat = assert(c:config({ fresh = true }))
    assert.is_string(text)
    assert.is_table(stat)
    assert.equal(syncs + 1, c:metrics().operations.sync.count)
  end)

  it("has views that keep to their own", function()
    local view = c:at("/view/a"):at("/b")
    assert.equal("/view/a/b/x", view:resolve("/x"))
    assert(view:ensure("/x"))
    assert(view:set("/x", "1"))
    assert.equal("/x", (assert(view:create("/x/e", "", { ephemeral = true }))) and "/x")
    assert.same({ "/x/e" }, (assert(view:ephemerals())))
    local results = assert(view:transaction():create("/t", ""):commit())
    assert.equal("/t", results[1].path)
    assert.equal("1", assert(view:read_many({ { "get", "/x" } }))[1].data)
    local seen
    assert(view:get("/x", { watch = function(event) seen = event end }))
    assert(c:set("/view/a/b/x", "2"))
    assert(view:sync())
    zk.sleep(0.01)
    assert.equal("/x", seen.path)
    assert.matches("NONODE: /nope does not exist", (select(2, view:get("/nope"))), 1, true)
    assert.equal(c.runtime, view.runtime)
    assert.equal(c:lifetime(), view:lifetime())
    assert.is_true(view:delete("/x", { recursive = true }))
  end)

  it("makes the chroot, however deep, where it is missing", function()
    local deep = assert(zk.connect(servers .. "/not/yet/there"))
    assert.is_false((deep:exists("/")))
    assert.equal("/x", (assert(deep:create("/x", "", { parents = true }))))
    assert(deep:ensure("/"))
    assert(c:exists("/not/yet/there/x"))
    assert(deep:close())
  end)

  it("deletes a tree of more than a batch, while others add to it", function()
    for i = 1, 450 do
      local t = c:transaction()
      if i == 1 then t:create("/big", "") end
      t:create("/big/" .. i, "")
      if i % 10 == 0 then t:create("/big/" .. i .. "/x", "") end
      assert(t:commit())
    end
    local stop = false
    local meddler = zk.spawn(function()
      for i = 1, 20 do
        if stop then return end
        c:create("/big/m" .. i, "")
      end
    end)
    assert.is_true(c:delete("/big", { recursive = true, timeout = WAIT }))
    stop = true
    meddler:wait()
    c:delete("/big", { recursive = true, missing_ok = true })
    assert.is_false((c:exists("/big")))
  end)

  it("deletes a tree only at the version that was meant", function()
    assert(c:create("/old/x", "", { parents = true }))
    assert(c:set("/old", "1"))
    local _, message, code = c:delete("/old", { recursive = true, version = 0 })
    assert.equal("BADVERSION", code)
    assert.matches("/old is not at version 0", message, 1, true)
    assert.is_true(c:delete("/old", { recursive = true, version = 1 }))
  end)

  it("updates: stops on nil, repeats on a race, makes what is absent, passes errors on", function()
    assert(c:create("/u", "1"))
    local data, stat = assert(c:update("/u", function() return nil end))
    assert.same({ "1", 0 }, { data, stat.version })
    local calls = 0
    data = assert(c:update("/u", function(old)
      calls = calls + 1
      if calls == 1 then assert(c:set("/u", "5")) end
      return old .. "x"
    end))
    assert.same({ "5x", 2 }, { data, calls })
    data, stat = assert(c:update("/u/new/one", function(old, none)
      assert.equal("", old)
      assert.is_nil(none)
      return "made"
    end, { create = true }))
    assert.same({ "made", 0 }, { data, stat.version })
    assert.equal("NONODE", (select(3, c:update("/u/no", function() return "" end))))
    assert.matches("from fn", raised(function()
      c:update("/u", function() error("from fn") end)
    end), 1, true)
  end)

  it("tells which operation of a transaction failed", function()
    local results, message, code, index = c:transaction()
      :create("/tx", ""):check("/missing"):delete("/tx"):commit()
    assert.is_nil(results)
    assert.same({ "NONODE", 2 }, { code, index })
    assert.matches("/missing does not exist (check); nothing was done (operation 2 of 3)", message,
      1, true)
    assert.equal("NONODE: /missing does not exist (set)",
      (select(2, c:transaction():set("/missing", ""):commit())))
    assert.same({}, (assert(c:transaction():commit())))
    assert.equal("CANCELLED", (select(3, zk.spawn(function()
      zk.runtime:current():cancel()
      return c:transaction():create("/tx", ""):commit()
    end):wait())))
  end)

  it("takes a watcher off", function()
    assert(c:create("/w", ""))
    local event = zk.event()
    assert(c:get("/w", { watch = event }))
    assert.is_true(c:unwatch("/w", nil, event))
    assert.is_false(c:unwatch("/w", nil, event))
    assert(c:exists("/w/absent") == false)
    assert.is_false((c:exists("/w/absent", { watch = event })))
    assert.is_false(c:unwatch("/w/absent", "data", event))
    assert.is_true(c:unwatch("/w/absent", "exist", event))
    assert(c:children("/w", { watch = event }))
    assert.is_true(c:unwatch("/w", 4, event))
    assert(c:set("/w", "x"))
    assert(c:create("/w/absent", ""))
    assert(c:sync())
    assert.is_false(event:wait(0))
  end)

  it("says in every message what was done to what", function()
    assert(c:create("/m/x", "", { parents = true }))
    assert(c:create("/m/e", "", { ephemeral = true }))
    local cases = {
      { "NODEEXISTS: /m exists already (create)", c:create("/m", "") },
      { "NOTEMPTY: /m has children (delete); recursive=true deletes them too", c:delete("/m") },
      { "BADVERSION: /m is not at version 9 (set); read it again, or use update",
        c:set("/m", "", { version = 9 }) },
      { "NONODE: /no does not exist (delete); missing_ok=true accepts that", c:delete("/no") },
      { "NONODE: /no does not exist (set); create=true makes it", c:set("/no", "") },
      { "NONODE: parent /no of /no/x does not exist (create); parents=true makes it",
        c:create("/no/x", "") },
      { "NOCHILDRENFOREPHEMERALS: /m/e, the parent of /m/e/x, is ephemeral and has no children "
        .. "(create)", c:create("/m/e/x", "") },
      { "LIMIT: the request is over a limit: 1,048,575 bytes each (its data have 1048576), "
        .. "1,000,000 requests or 64 MiB without an answer (set /m)",
        c:set("/m", ("x"):rep(2 ^ 20)) },
      { "RECONFIGDISABLED: the server does not allow it, reconfigEnabled is false (reconfig)",
        c:reconfig({ leaving = "9" }) },
    }
    for _, case in ipairs(cases) do
      assert.equal(case[1], case[3])
      assert.is_nil(case[2])
      assert.equal(case[1]:match("^%u+"), case[4])
    end
  end)

  describe("whose task is cancelled in the middle of", function()
    local p, slow, stream, value

    setup(function()
      p = proxy.start({ port = apache.shared().port })
      slow = assert(zk.connect("127.0.0.1:" .. p.port .. servers:match("/.*")))
      assert(c:ensure("/c/x"))
      -- Open already, and of a node that none of these calls touches.
      stream, value = assert(c:watch("/quiet")), assert(c:live("/quiet"))
    end)

    teardown(function()
      stream:close()
      value:close()
      p:resume()
      slow:close(1)
      p:stop()
      zk.sleep(0.01) -- the proxy closes its handles
    end)

    local calls = {
      get = function() return slow:get("/c") end,
      ["get, fresh"] = function() return slow:get("/c", { fresh = true }) end,
      set = function() return slow:set("/c", "") end,
      create = function() return slow:create("/c/new", "") end,
      ["create with parents"] = function() return slow:create("/c/a/b", "", { parents = true }) end,
      delete = function() return slow:delete("/c/y") end,
      exists = function() return slow:exists("/c") end,
      children = function() return slow:children("/c") end,
      update = function() return slow:update("/c", function() return "" end) end,
      ensure = function() return slow:ensure("/c/z") end,
      get_acl = function() return slow:get_acl("/c") end,
      set_acl = function() return slow:set_acl("/c", "open") end,
      sync = function() return slow:sync() end,
      whoami = function() return slow:whoami() end,
      ephemerals = function() return slow:ephemerals() end,
      count = function() return slow:count("/") end,
      config = function() return slow:config() end,
      add_auth = function() return slow:add_auth("digest", "a:b") end,
      read_many = function() return slow:read_many({ { "get", "/c" } }) end,
      transaction = function() return slow:transaction():set("/c", ""):commit() end,
      watch = function() return slow:watch("/c") end,
      ["stream:next"] = function() return stream:next() end,
      live = function() return slow:live("/c") end,
      ["live:wait"] = function() return value:wait() end,
      ["cache:ready"] = function() return slow:cache("/c"):ready() end,
    }
    local writes = { set = true, create = true, delete = true, set_acl = true, transaction = true }
    for name, call in pairs(calls) do
      it(name, function()
        p:pause()
        local code, message, later
        local task = zk.spawn(function()
          local result
          result, message, code = call()
          assert(result == nil)
          later = select(3, zk.sleep(0))
        end)
        zk.sleep(0.01)
        task:cancel()
        task:wait(WAIT)
        p:resume()
        assert.equal("CANCELLED", code)
        assert.equal("CANCELLED", later)
        if writes[name] then
          assert.matches("it may have happened", message, 1, true)
        end
        assert(slow:sync()) -- the client is whole
      end)
    end

    it("a call in zk.timeout", function()
      p:pause()
      local data, message, code = zk.timeout(0.05, slow.get, slow, "/c")
      p:resume()
      assert.is_nil(data)
      assert.equal("TIMEOUT", code)
      assert.matches("(get /c)", message, 1, true)
      assert(slow:sync())
    end)

    it("a call with its own timeout", function()
      p:pause()
      local began = zk.now()
      local _, message, code = slow:set("/c", "", { timeout = 0.05 })
      p:resume()
      assert.equal("TIMEOUT", code)
      assert.matches("it may have happened", message, 1, true)
      assert.is_true(zk.now() - began < 2)
      assert(slow:sync())
    end)
  end)
end)
