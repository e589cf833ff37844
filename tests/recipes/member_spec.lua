-- The ephemeral that heals, against a real server.
local company = require("support.company")
local processes = require("zklua.sim.process")
local worlds = require("zklua.scheduler.sim_world")

describe("a member", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
  end)

  after_each(function()
    us:finish()
  end)

  local function owner()
    local stat = us.observer:exists("/g/m")
    return stat and stat.ephemeral_owner
  end

  it("is there when the call returns, and gone after close", function()
    local c = us:client()
    local member = assert(c:member("/g/m", "1"))
    assert.equal(c:session().id, owner())
    assert.is_true(member:set("2"))
    assert.equal("2", (assert(us.observer:get("/g/m"))))
    assert.is_true(member:close())
    assert.is_true(member:close())
    us:has_children("/g", 0)
    assert(zk.sleep(0.1))
    assert.same({}, us:children("/g"))
  end)

  it("is made again after an expiry, with the data last set", function()
    local c = us:client()
    local member = assert(c:member("/g/m", "1"))
    assert(member:set("2"))
    local old = c:session().id
    us:expire(c)
    us:eventually(function() return owner() and owner() ~= old end, "healing")
    assert.equal("2", (assert(us.observer:get("/g/m"))))
    assert.equal(c:session().id, owner())
  end)

  it("is made again at once: an expiry is no refusal", function()
    local world, seconds = worlds.new({ seed = 1 }), 0
    local process = processes.start(world, { name = "member", main = function(sim)
      local server = sim.server()
      local c, observer = assert(server:client()), assert(server:client())
      assert(c:member("/g/m", "1"))
      for _ = 1, 10 do
        local began = sim.now()
        server:expire(c)
        repeat
          assert(sim.sleep(0.001))
        until observer:exists("/g/m")
        seconds = math.max(seconds, sim.now() - began)
      end
    end })
    while process.status == nil and world.time < 100 and world:step() do end
    assert.equal(0, process.status, process.failure)
    assert.is_true(seconds < 0.1, seconds)
  end)

  it("sets its data whatever is lost on the way", function()
    zk.test(function()
      local server = zk.server()
      local c = assert(server:client())
      local member = assert(c:member("/g/m", "0"))
      for _, drop in ipairs({ "drop_reply", "drop_request" }) do
        for lost = 1, 3 do
          server[drop](server, c, lost)
          local data = drop .. lost
          assert(member:set(data))
          assert.equal(data, (assert(c:get("/g/m"))))
          c:get("/g/m") -- takes what was not lost yet
          c:get("/g/m")
        end
      end
    end)()
  end)

  it("replaces the node that its own older session has left", function()
    local c, proxy = us:proxied({ session_timeout = 1 })
    assert(c:member("/g/m", "1"))
    local old = c:session().id
    -- The server goes on with the old session, because somebody else keeps it alive.
    local keeper = assert(zk.connect(us:connect_string(), { session_timeout = 1,
      session = c:session(), on_expire = "stop", log = function() end }))
    proxy:refuse()
    proxy:cut()
    us:eventually(function() return c:session().id ~= old end, "expiry by our own clock")
    proxy:refuse(false)
    us:eventually(function() return owner() and owner() ~= old end, "replacement")
    assert.equal(old, keeper:session().id) -- it was replaced, not waited for
    assert.equal("connected", keeper:state())
    keeper:close()
    assert.equal(c:session().id, owner())
  end)

  it("is made again when somebody deletes it", function()
    local c = us:client()
    assert(c:member("/g/m", "1"))
    local first = assert(us.observer:exists("/g/m")).czxid
    assert(us.observer:delete("/g/m"))
    us:eventually(function()
      local stat = us.observer:exists("/g/m")
      return stat and stat.czxid > first
    end)
  end)

  it("is refused where another client's node is, and takes nothing from it", function()
    local other = us:client()
    local theirs = assert(other:member("/g/m", "theirs"))
    local member, message, code = us:client():member("/g/m", "ours")
    assert.is_nil(member)
    assert.equal("NODEEXISTS", code)
    assert.matches("/g/m", message, 1, true)
    assert.equal("theirs", (assert(us.observer:get("/g/m"))))
    assert(theirs:close())
  end)

  it("waits while another has its place after an expiry, and does not write there", function()
    local c, proxy = us:proxied({ session_timeout = 1 })
    local member = assert(c:member("/g/m", "ours"))
    proxy:refuse()
    proxy:cut()
    us:eventually(function() return not owner() end, "expiry")
    local other = us:client()
    local theirs = assert(other:member("/g/m", "theirs"))
    proxy:refuse(false)
    us:eventually(function() return c:state() == "connected" end)
    assert.is_true(member:set("ours 2"))
    assert.equal("theirs", (assert(us.observer:get("/g/m"))))
    assert(theirs:close())
    us:eventually(function() return owner() == c:session().id end, "our turn")
    assert.equal("ours 2", (assert(us.observer:get("/g/m"))))
    assert(member:close())
    assert.same({}, us:children("/g"))
  end)

  for _, what in ipairs({ "lose_reply", "lose_request" }) do
    it("is made once when the create meets " .. what, function()
      assert(us.observer:ensure("/g"))
      local c, proxy = us:proxied()
      proxy[what](proxy, "create")
      local member = assert(c:member("/g/m", "1"))
      assert.equal(1, proxy.hits)
      assert.equal(c:session().id, owner())
      proxy[what](proxy, "delete")
      assert.is_true(member:close())
      us:has_children("/g", 0)
    end)
  end

  for _, point in ipairs({ "request", "reply" }) do
    it("leaves nothing when cancelled at the " .. point .. " of its create", function()
      assert(us.observer:ensure("/g"))
      local c, proxy = us:proxied()
      proxy["hold_" .. point](proxy, "create")
      local task = zk.spawn(function() return c:member("/g/m", "1") end)
      us:eventually(function() return proxy.hits == 1 end)
      task:cancel()
      assert.equal("CANCELLED", select(3, task:wait(5)))
      proxy:resume()
      us:eventually(function() return #assert(c:ephemerals()) == 0 end)
      us:has_children("/g", 0)
    end)
  end

  it("blames the caller's line for data that is no string", function()
    local c = us:client()
    local ok, message = pcall(function() c:member("/g/m", 7) end)
    assert.is_false(ok)
    assert.matches("member_spec.lua:%d+: data must be a string", message)
  end)
end)
