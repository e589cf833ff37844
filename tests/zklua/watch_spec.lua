-- Streams, live values, caches and one-shot watches: what hangs on them and what they must survive.
local chroot = require("support.chroot")
local proxy = require("support.proxy")
local apache = require("support.apache")
local runtimes = require("zklua.runtime")
local facades = require("zklua.facade")

local WAIT = 10

describe("watching", function()
  local zk, c, p, writer

  setup(function()
    zk = facades.new(runtimes.new({ log = function() end }))
    local servers = chroot("watch")
    p = proxy.start({ port = apache.shared().port })
    c = assert(zk.connect("127.0.0.1:" .. p.port .. servers:match("/.*")))
    writer = assert(zk.connect(servers))
  end)

  teardown(function()
    c:close(1)
    writer:close(1)
    p:stop()
    zk.sleep(0.01) -- the proxy closes its handles
  end)

  local function eventually(predicate)
    local deadline = zk.now() + WAIT
    while not predicate() do
      assert(zk.now() < deadline, "it never came to it")
      zk.sleep(0.005)
    end
  end

  local function watches()
    return c:lifetime().core:info().watches
  end

  local function collect_until(predicate)
    eventually(function()
      collectgarbage()
      return predicate()
    end)
  end

  local function reconnect()
    p:cut()
    local attaches = c:metrics().attaches
    eventually(function() return c:metrics().attaches > attaches and c:state() == "connected" end)
  end

  describe("by a stream", function()
    it("gives what happens, of the kinds that were asked for", function()
      assert(writer:create("/s", ""))
      local both = assert(c:watch("/s"))
      local data = assert(c:watch("/s", { children = false }))
      local children = assert(c:watch("/s", { data = false }))
      assert(writer:create("/s/x", ""))
      assert(writer:set("/s", "1"))
      local function types(stream, count)
        local list = {}
        for i = 1, count do list[i] = assert(stream:next(WAIT)).type end
        return list
      end
      assert.same({ "children", "changed" }, types(both, 2))
      assert.same({ "changed" }, types(data, 1))
      assert.same({ "children" }, types(children, 1))
      for _, stream in ipairs({ both, data, children }) do
        assert.equal("TIMEOUT", (select(3, stream:next(0))))
        stream:close()
        stream:close()
        assert.equal("CLOSED", (select(3, stream:next(0))))
      end
      assert.equal(0, watches())
    end)

    it("says gap after a reconnection, and goes on", function()
      local stream = assert(c:watch("/g", { recursive = true }))
      reconnect()
      assert.equal("gap", assert(stream:next(WAIT)).type)
      assert(writer:create("/g", ""))
      local event = assert(stream:next(WAIT))
      assert.same({ "created", "/g" }, { event.type, event.path })
      stream:close()
    end)

    it("is asked for again when the connection is lost before the answer", function()
      p:lose_reply("add_watch")
      local stream = assert(c:watch("/again"))
      assert(writer:create("/again", ""))
      local event
      repeat event = assert(stream:next(WAIT)) until event.type ~= "gap"
      assert.equal("created", event.type)
      stream:close()
    end)

    it("gives paths of the view", function()
      local stream = assert(c:at("/view"):watch("/", { recursive = true }))
      assert(writer:create("/view/x", "", { parents = true }))
      assert.equal("/", assert(stream:next(WAIT)).path)
      assert.equal("/x", assert(stream:next(WAIT)).path)
      stream:close()
    end)

    it("loses a slow reader's events for a gap, and holds no more than it may", function()
      assert(writer:create("/slow", ""))
      local stream = assert(c:watch("/slow"))
      local queue = stream._queue
      for _ = 1, 10005 do
        queue:receive({ type = "changed", path = "/slow" })
      end
      assert.is_true(queue:size() <= 10000)
      assert.equal("gap", assert(stream:next(0)).type)
      stream:close()
    end)

    it("belongs to its task unless it is detached", function()
      local owned, free
      zk.spawn(function()
        owned = assert(c:watch("/own"))
        free = assert(c:watch("/own")):detach()
      end):wait(WAIT)
      assert.equal("CLOSED", (select(3, owned:next(0))))
      assert.equal("TIMEOUT", (select(3, free:next(0))))
      free:close()
      assert.equal(0, watches())
    end)

    it("is closed by each on every way out", function()
      local stream = assert(c:watch("/each"))
      assert(writer:create("/each", ""))
      local failure = {}
      local ok, message = pcall(stream.each, stream, function() error(failure) end)
      assert.same({ false, failure }, { ok, message })
      assert.equal("CLOSED", (select(3, stream:next(0))))
      assert.equal(0, watches())
    end)

    it("ends quietly in the loop of a cancelled task", function()
      local rounds, after = 0, nil
      local task = zk.spawn(function()
        for _ in assert(c:watch("/loop")) do rounds = rounds + 1 end
        after = select(3, zk.sleep(0))
      end)
      eventually(function() return watches() == 1 end)
      task:cancel()
      task:wait(WAIT)
      assert.same({ 0, "CANCELLED" }, { rounds, after })
      assert.equal(0, watches())
    end)

    it("takes its watch off when it is collected", function()
      do
        local stream = assert(c:watch("/gone"))
        assert.equal(1, watches())
        assert.is_table(stream)
      end
      collect_until(function() return watches() == 0 end)
    end)

    it("is left by a loop on Lua 5.4, closed", function()
      assert(writer:create("/left", ""))
      zk.spawn(function() -- until the watch is there to see one
        eventually(function() return watches() == 1 end)
        assert(writer:set("/left", "1"))
      end)
      for event in assert(c:watch("/left")) do
        assert.equal("changed", event.type)
        break
      end
      if not rawget(_G, "jit") then
        assert.equal(0, watches())
      end
      collect_until(function() return watches() == 0 end)
    end)
  end)

  describe("once", function()
    it("tells an event and a function, each one time", function()
      assert(writer:create("/once", ""))
      local event, calls = zk.event(), {}
      assert(c:get("/once", { watch = event }))
      assert(c:get("/once", { watch = function(ev) calls[#calls + 1] = ev.type end }))
      assert(writer:set("/once", "1"))
      assert(writer:set("/once", "2"))
      assert.is_true(event:wait(WAIT))
      eventually(function() return #calls > 0 end)
      assert(c:sync())
      assert.is_false(event:wait(0))
      assert.same({ "changed" }, calls)
    end)

    it("reports an error in the function, and harms nothing", function()
      local reports = {}
      zk.runtime.on_error = function(message) reports[#reports + 1] = message end
      assert(writer:create("/bad", ""))
      assert(c:get("/bad", { watch = function() error("in the watcher") end }))
      local event = zk.event()
      assert(c:get("/bad", { watch = event }))
      assert(writer:set("/bad", "1"))
      assert.is_true(event:wait(WAIT))
      eventually(function() return #reports == 1 end)
      zk.runtime.on_error = nil
      assert.matches("in the watcher", reports[1], 1, true)
      assert(c:sync())
    end)

    it("survives a reconnection", function()
      assert(writer:create("/kept", ""))
      local event, appears = zk.event(), zk.event()
      assert(c:get("/kept", { watch = event }))
      assert.is_false((c:exists("/appears", { watch = appears })))
      reconnect()
      assert(writer:set("/kept", "1"))
      assert(writer:create("/appears", ""))
      assert.is_true(event:wait(WAIT))
      assert.is_true(appears:wait(WAIT))
    end)

    -- A server before 3.9 lets a one-shot watch take the place of a persistent one.
    it("does not silence a stream on the same node", function()
      assert(writer:create("/mixed", ""))
      local stream = assert(c:watch("/mixed"))
      for i = 1, 3 do
        local event = zk.event()
        assert(c:get("/mixed", { watch = event }))
        assert(c:sync())
        assert(writer:set("/mixed", tostring(i)))
        assert.is_true(event:wait(WAIT))
        local seen
        repeat seen = assert(stream:next(WAIT)).type until seen == "changed"
        assert(writer:create("/mixed/" .. i, ""))
        repeat seen = assert(stream:next(WAIT)).type until seen == "children"
      end
      stream:close()
      assert.equal(0, watches())
    end)
  end)

  describe("by a live value", function()
    it("follows a node that comes, changes and goes", function()
      local live = assert(c:live("/live"))
      assert.same({ false, false }, { live.exists, live.stale })
      assert.is_nil(live.data)
      assert.equal(0, live:age())
      assert(writer:create("/live", "1"))
      assert.equal("1", (assert(live:wait(function(data) return data end, WAIT))))
      assert.equal(0, live.stat.version)
      local got = zk.spawn(function() return live:wait(nil, WAIT) end)
      zk.sleep(0)
      assert(writer:set("/live", "2"))
      assert.equal("2", (got:wait(WAIT)))
      assert(writer:delete("/live"))
      local gone, stat, code = live:wait(function(_, s) return not s end, WAIT)
      assert.same({ n = 3, false, nil, nil }, { n = 3, gone, stat, code })
      assert.is_nil(live.data)
      assert.equal("TIMEOUT", (select(3, live:wait(nil, 0.01))))
      live:close()
      assert.equal("CLOSED", (select(3, live:wait(nil, 1))))
      assert.equal(0, watches())
    end)

    it("knows that it is stale while disconnected, and catches up", function()
      assert(writer:create("/stale", "1"))
      local live = assert(c:live("/stale"))
      p:refuse(true)
      p:cut()
      eventually(function() return live.stale end)
      assert(writer:set("/stale", "2"))
      assert.equal("1", live.data)
      zk.sleep(0.01)
      assert.is_true(live:age() > 0)
      p:refuse(false)
      assert.equal("2", (assert(live:wait(function(data) return data == "2" end, WAIT))))
      eventually(function() return not live.stale end)
      live:close()
    end)

    it("raises what the user's function raises, and lives on", function()
      local live = assert(c:live("/err", { default = "d" }))
      assert.is_false((pcall(live.wait, live, function() error("x") end)))
      assert.is_false((pcall(live.each, live, function() error("x") end)))
      assert.equal("d", live:each(function(data) return data end))
      live:close()
    end)

    it("stops following when it is collected", function()
      do
        local live = assert(c:live("/dropped"))
        assert.is_false(live.exists)
      end
      collect_until(function() return watches() == 0 end)
    end)
  end)

  describe("by a cache", function()
    -- Every node below `path` with its data, read from the server.
    local function truth(path)
      local all = {}
      local function walk(at)
        all[at:sub(#path + 1)] = assert(writer:get(at))
        for _, name in ipairs((assert(writer:children(at)))) do walk(at .. "/" .. name) end
      end
      walk(path)
      all["/"], all[""] = all[""], nil
      return all
    end

    local function contents(cache)
      local all = {}
      for path, node in cache:pairs() do all[path] = node.data end
      return all
    end

    local function churn(round)
      for i = 1, 12 do
        local path = ("/tree/%d/%d"):format(i % 3, (i * round) % 5)
        if (i + round) % 4 == 0 then
          writer:delete(path, { recursive = true, missing_ok = true })
        else
          assert(writer:set(path, round .. "." .. i, { create = true }))
          writer:create(path .. "/leaf", "")
        end
      end
    end

    it("equals the server's tree through changes, losses and all", function()
      assert(writer:create("/tree", "root"))
      local cache = assert(c:cache("/tree"))
      assert(cache:ready(WAIT))
      -- What the stream of changes tells must add up to the same tree.
      local told, changes = {}, cache:changes()
      local listener = zk.spawn(function()
        for event in changes do
          if event.type == "snapshot" then
            told = {}
            for _, node in ipairs(event.nodes) do told[node.path] = node.data end
          elseif event.type == "removed" then
            assert(told[event.path])
            told[event.path] = nil
          elseif event.type == "closed" then
            return event.code
          else
            assert((event.type == "added") == (told[event.path] == nil))
            told[event.path] = event.data
          end
        end
      end)
      for round = 1, 8 do
        churn(round)
        if round % 3 == 0 then
          p:cut()
        end
      end
      local expected = truth("/tree")
      eventually(function() return not cache.stale and #cache:list() > 0
        and pcall(assert.same, expected, contents(cache)) end)
      assert.same(expected, contents(cache))
      eventually(function() return pcall(assert.same, expected, told) end)
      assert.equal(cache:list(), cache:list())
      assert.same((assert(writer:children("/tree"))), cache:children("/"))
      assert.is_nil(cache:children("/absent"))
      assert.is_nil((cache:get("/absent")))
      assert.equal("root", (cache:get("/")))
      cache:close()
      assert.equal("CLOSED", listener:wait(WAIT))
      assert.equal(0, watches())
    end)

    it("of an absent node is empty until it is there", function()
      local cache = assert(c:cache("/none"))
      assert(cache:ready(WAIT))
      assert.same({}, cache:list())
      assert(writer:create("/none", "now"))
      eventually(function() return cache:get("/") == "now" end)
      cache:close()
    end)

    it("stops following when it is collected", function()
      do
        local cache = assert(c:cache("/tree"))
        assert(cache:ready(WAIT))
      end
      collect_until(function() return watches() == 0 end)
    end)
  end)
end)
