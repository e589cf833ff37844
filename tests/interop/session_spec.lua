-- What a session lives through on a real server: expiry, a restart, silence, a program that stalls.
local uv = require("luv")
local raw = require("support.raw")

local PATIENCE = 20 -- seconds; every wait here is for something that must come

local function suite(servers)
  local zk, server, root, c

  local function connect(options)
    c = assert(zk.connect(server.connect_string .. root, options))
    return c
  end

  -- Lets the loop turn until `condition()`; fails when it never becomes true.
  local function eventually(condition)
    return zk.timeout(PATIENCE, function()
      while true do
        local answer = condition()
        if answer then
          return answer
        end
        assert(zk.sleep(0.01))
      end
    end)
  end

  local function absent(path)
    return raw.read(server, root .. path) == nil
  end

  local function use(which)
    server = which
    root = servers.fresh_path("session")
    assert(raw.create(server, root))
  end

  setup(function()
    zk = require("zklua")
  end)

  before_each(function()
    use(servers.shared())
  end)

  after_each(function()
    if c then
      c:close()
      c = nil
    end
  end)

  describe("that the server ended", function()
    it("is followed by a new one, and what hung on it is told", function()
      connect()
      assert(c:create("/b", "", { ephemeral = true }))
      assert(c:create("/a", "", { ephemeral = true }))
      local lost
      c:on("expired", function(paths)
        lost = paths
      end)
      local old = c:session()
      assert(raw.end_session(server, old))
      assert.same({ "/a", "/b" }, eventually(function() return lost end))
      assert.is_true(c:sync())
      assert.not_equal(old.id, c:session().id)
      assert.is_false(c:exists("/a"))
      assert.equal(1, c:metrics().expiries)
    end)

    it("stays ended where no new one is wanted", function()
      connect({ on_expire = "stop" })
      assert(raw.end_session(server, c:session()))
      eventually(function() return c:state() == "expired" end)
      local data, _, code = c:get("/")
      assert.is_nil(data)
      assert.equal("SESSIONEXPIRED", code)
    end)

    it("takes a lock with it", function()
      connect()
      local held = assert(c:lock("/lock"):acquire({ wait = PATIENCE }))
      assert(raw.create(server, root .. "/data"))
      assert(held:set("/data", "ours"))
      assert(raw.end_session(server, c:session()))
      assert.is_true(held.lost:wait(PATIENCE))
      assert.is_false(held:valid())
      local written, _, code = held:set("/data", "not ours")
      assert.is_nil(written)
      assert.equal("LOST", code)
      assert.equal("ours", raw.read(server, root .. "/data").data)
    end)

    it("hands its lock to the next in line", function()
      connect()
      local other = assert(zk.connect(server.connect_string .. root))
      assert(c:lock("/lock"):acquire({ wait = PATIENCE }))
      local waiting = zk.spawn(function()
        return assert(other:lock("/lock"):acquire({ wait = PATIENCE }))
      end)
      eventually(function()
        local lock = raw.read(server, root .. "/lock")
        return #lock.children == 2
      end)
      assert(raw.end_session(server, c:session()))
      assert.is_true(waiting:wait(PATIENCE):valid())
      other:close()
    end)

    it("leaves a member that heals", function()
      connect()
      local member = assert(c:member("/members/a", "address"))
      local old = c:session().id
      assert(raw.end_session(server, c:session()))
      eventually(function()
        local node = raw.read(server, root .. "/members/a")
        return node and node.stat.owner ~= "0x0" and node.stat.owner ~= old
      end)
      assert.equal("address", raw.read(server, root .. "/members/a").data)
      assert(member:close())
      assert.is_true(absent("/members/a"))
    end)

    it("leaves live values and streams that go on in the new one", function()
      connect()
      assert(raw.create(server, root .. "/a", "one"))
      local live = assert(c:live("/a"))
      assert(raw.end_session(server, c:session()))
      assert(raw.set(server, root .. "/a", "two"))
      assert(live:wait(function(data) return data == "two" end, PATIENCE))
      assert(raw.set(server, root .. "/a", "three"))
      assert(live:wait(function(data) return data == "three" end, PATIENCE))
      live:close()
    end)
  end)

  describe("while its program stalls", function()
    it("survives a pause shorter than the timeout", function()
      connect({ session_timeout = 4 })
      assert(c:create("/e", "", { ephemeral = true }))
      local id = c:session().id
      uv.sleep(2000)
      assert(c:get("/e"))
      assert.equal(id, c:session().id)
    end)

    it("knows at once that a lock may be gone when the pause was longer", function()
      connect({ session_timeout = 1 })
      local held = assert(c:lock("/lock"):acquire({ wait = PATIENCE }))
      assert.is_true(held:valid())
      uv.sleep(2500)
      -- Before the loop has turned and anything was heard.
      assert.is_false(held:valid())
      assert.is_true(held.lost:wait(PATIENCE))
      local next_held = assert(c:lock("/lock"):acquire({ wait = PATIENCE }))
      assert.is_true(next_held.token > held.token)
      assert.is_true(next_held:release())
    end)

    it("is spoken of in one line", function()
      local lines = {}
      connect({ session_timeout = 3, log = function(_, message)
        lines[#lines + 1] = message
      end })
      zk.spawn(function()
        uv.sleep(1500)
        assert(zk.sleep(0))
      end):wait(PATIENCE)
      eventually(function()
        for _, line in ipairs(lines) do
          if line:find("session_spec.lua", 1, true) then
            return true
          end
        end
      end)
    end)
  end)

  describe("whose server", function()
    local own

    before_each(function()
      own = servers.start({ tick_time = 200, session_min = 400 })
      use(own)
    end)

    after_each(function()
      own:stop()
    end)

    it("is killed and comes back: the session, its ephemerals and its watches live on", function()
      connect({ session_timeout = 20 })
      assert(c:create("/e", "", { ephemeral = true }))
      local stream = assert(c:watch("/a"))
      local id = c:session().id
      own:kill()
      eventually(function() return c:state() == "disconnected" end)
      local _, _, code = c:get("/", { fail_fast = true })
      assert.equal("NOTCONNECTED", code)
      own:restart()
      assert(c:get("/e"))
      assert.equal(id, c:session().id)
      assert.equal("gap", assert(stream:next(PATIENCE)).type)
      assert(raw.create(own, root .. "/a"))
      assert.equal("created", assert(stream:next(PATIENCE)).type)
      assert.equal(id, raw.read(own, root .. "/e").stat.owner)
    end)

    it("is killed: a call waits for it and is answered, or ends in time", function()
      connect({ session_timeout = 20 })
      own:kill()
      eventually(function() return c:state() == "disconnected" end)
      local begun = zk.now()
      local _, _, code = c:get("/", { timeout = 0.3 })
      assert.equal("NOTCONNECTED", code) -- surely not sent
      assert.is_true(zk.now() - begun < 2)
      local waiting = zk.spawn(function()
        return assert(c:get("/", { timeout = PATIENCE }))
      end)
      own:restart()
      assert.equal("", waiting:wait(PATIENCE))
    end)

    it("falls silent: calls end in time, and the connection is given up", function()
      connect({ session_timeout = 3 })
      own:pause()
      local _, _, code = c:get("/", { timeout = 0.3 })
      assert.equal("TIMEOUT", code)
      eventually(function() return c:state() == "disconnected" end)
      own:resume()
      assert(c:get("/"))
    end)

    it("never comes back: the session is over by our own clock", function()
      connect({ session_timeout = 1 })
      local held = assert(c:lock("/lock"):acquire({ wait = PATIENCE }))
      own:kill()
      assert.is_true(held.lost:wait(PATIENCE))
      assert.is_false(held:valid())
      assert.is_true(c:close(0.2))
    end)
  end)
end

for _, servers in ipairs({ require("support.apache"), (require("support.zkserver")) }) do
  describe("a session on " .. servers.NAME, function()
    suite(servers)
  end)
end
