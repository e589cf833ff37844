-- Barriers against a real server: nobody passes before all are there.
local company = require("support.company")

describe("a barrier", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
  end)

  after_each(function()
    us:finish()
  end)

  local function enter(c, parties, wait)
    local barrier = c:barrier("/b", { parties = parties })
    return barrier, zk.spawn(function() return barrier:enter({ wait = wait or 20 }) end)
  end

  it("lets all in when the last has come, and out when all are done", function()
    local barriers, tasks = {}, {}
    for i = 1, 4 do
      barriers[i], tasks[i] = enter(us:client(), 5)
    end
    us:has_children("/b", 4)
    assert(zk.sleep(0.1))
    for _, task in ipairs(tasks) do
      assert.is_false(task:done())
    end
    barriers[5], tasks[5] = enter(us:client(), 5)
    for _, task in ipairs(tasks) do
      assert.is_true(task:wait(10))
    end

    local left = {}
    for i = 1, 4 do
      left[i] = zk.spawn(function() return barriers[i]:leave({ wait = 20 }) end)
    end
    assert(zk.sleep(0.2))
    for i = 1, 4 do
      assert.is_false(left[i]:done())
    end
    assert.is_true(barriers[5]:leave({ wait = 20 }))
    for i = 1, 4 do
      assert.is_true(left[i]:wait(10))
    end
    assert.same({}, us:children("/b"))
  end)

  it("serves one round after the other", function()
    local round = { 0, 0, 0 }
    zk.group(function(group)
      for i = 1, 3 do
        group:spawn(function()
          local barrier = us:client():barrier("/b", { parties = 3 })
          for n = 1, 6 do
            round[i] = n
            assert(barrier:enter({ wait = 20 }))
            for j = 1, 3 do
              assert.is_true(round[j] == n) -- nobody behind, nobody ahead
            end
            assert(barrier:leave({ wait = 20 }))
          end
        end)
      end
    end)
    assert.same({}, us:children("/b"))
  end)

  it("is not opened by what an earlier round has left", function()
    assert(us.observer:ensure("/b/ready"))
    assert(us.observer:create("/b/0-dead", "")) -- of a program that never took it away
    assert(us.observer:delete("/b/ready"))
    assert(us.observer:create("/b/ready", ""))
    local _, first = enter(us:client(), 2)
    us:has_children("/b", 3)
    assert(zk.sleep(0.2))
    assert.is_false(first:done()) -- neither by the old `ready` nor by the old party
    local _, second = enter(us:client(), 2)
    assert.is_true(first:wait(10))
    assert.is_true(second:wait(10))
  end)

  it("lets a party pass that wakes after the first have left", function()
    -- A program that takes `ready` away as soon as it leaves, as kazoo does.
    local _, task = enter(us:client(), 2)
    us:has_children("/b", 1)
    assert(us.observer:create("/b/other", ""))
    assert(us.observer:transaction():create("/b/ready", ""):delete("/b/ready"):delete("/b/other")
      :commit())
    assert.is_true(task:wait(10))
  end)

  it("says how many came, and leaves no node, when the time is over", function()
    local c = us:client()
    local barrier = c:barrier("/b", { parties = 3 })
    local ok, message, code = barrier:enter({ wait = 0.3 })
    assert.is_nil(ok)
    assert.equal("TIMEOUT", code)
    assert.matches("1 of 3 parties", message, 1, true)
    us:has_children("/b", 0)
    assert.equal(0, c:lifetime().core:info().watches)
    assert.equal("TIMEOUT", select(3, barrier:enter({ wait = 0.3 }))) -- it can be tried again
  end)

  it("does not count a party whose session has ended", function()
    local dead = us:client()
    local _, doomed = enter(dead, 2)
    us:has_children("/b", 1)
    us:expire(dead)
    assert.equal("SESSIONEXPIRED", select(3, doomed:wait(10)))
    local _, task = enter(us:client(), 2)
    us:has_children("/b", 1)
    assert(zk.sleep(0.1))
    assert.is_false(task:done())
    local _, last = enter(us:client(), 2)
    assert.is_true(task:wait(10))
    assert.is_true(last:wait(10))
  end)

  it("counts a party that died inside as gone", function()
    local dead, alive = us:client(), us:client()
    local _, a = enter(dead, 2)
    local barrier, b = enter(alive, 2)
    assert.is_true(a:wait(10))
    assert.is_true(b:wait(10))
    local leaving = zk.spawn(function() return barrier:leave({ wait = 20 }) end)
    assert(zk.sleep(0.1))
    assert.is_false(leaving:done())
    us:expire(dead)
    assert.is_true(leaving:wait(10))
  end)

  -- What opens it is a transaction; a party comes with a create.
  for _, op in ipairs({ "create", "multi", "children", "exists" }) do
    for _, what in ipairs({ "lose_reply", "lose_request" }) do
      it(("opens when the %s of the last to come meets %s"):format(op, what), function()
        local _, first = enter(us:client(), 2)
        us:has_children("/b", 1)
        local c, proxy = us:proxied()
        proxy[what](proxy, op)
        local barrier, second = enter(c, 2)
        assert.is_true(first:wait(10))
        assert.is_true(second:wait(10))
        assert.equal(1, proxy.hits)
        assert.equal(3, #us:children("/b")) -- two parties and `ready`
        assert.equal("TIMEOUT", select(3, barrier:leave({ wait = 0.2 })))
      end)
    end
  end

  for _, point in ipairs({
    { "request", "create" }, { "reply", "create" }, { "reply", "exists" }, { "reply", "children" },
  }) do
    it(("leaves nothing when cancelled at the %s of %s"):format(point[1], point[2]), function()
      assert(us.observer:ensure("/b"))
      local c, proxy = us:proxied()
      proxy["hold_" .. point[1]](proxy, point[2])
      local _, task = enter(c, 2)
      us:eventually(function() return proxy.hits == 1 end)
      task:cancel()
      assert.equal("CANCELLED", select(3, task:wait(5)))
      proxy:resume()
      us:eventually(function() return #assert(c:ephemerals()) == 0 end)
      us:has_children("/b", 0)
    end)
  end

  for name, case in pairs({
    ["a missing number of parties"] = { "parties", function(c) c:barrier("/b") end },
    ["a fraction of a party"] = { "parties", function(c) c:barrier("/b", { parties = 1.5 }) end },
    ["leaving before entering"] =
      { "not entered", function(c) c:barrier("/b", { parties = 1 }):leave() end },
    ["entering twice"] = { "entered already", function(c)
      local barrier = c:barrier("/b", { parties = 1 })
      assert(barrier:enter())
      barrier:enter()
    end },
  }) do
    it("blames the caller's line for " .. name, function()
      local c = us:client()
      local ok, message = pcall(case[2], c)
      assert.is_false(ok)
      assert.matches("barrier_spec.lua:%d+: ", message)
      assert.matches(case[1], message, 1, true)
    end)
  end
end)
