-- kazoo and zklua contend for the same lock and meet at the same barrier.
local company = require("support.company")

-- Run by kazoo's own Python. Steps are told and waited for by nodes: `tell(name)`, `await(name)`.
local PRELUDE = [[
import sys, time
from kazoo.client import KazooClient
from kazoo.exceptions import LockTimeout
zk = KazooClient(sys.argv[1], timeout=10)
zk.start()
def tell(name): zk.ensure_path("/said/" + name)
def await_(name):
    end = time.time() + 20
    while not zk.exists("/said/" + name):
        if time.time() > end: sys.exit("never came: " + name)
        time.sleep(0.02)
]]

describe("together with kazoo", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
    assert(us.observer:ensure("/said"))
  end)

  after_each(function()
    us:finish()
  end)

  local function python(script)
    local task = zk.spawn(function()
      local result = assert(zk.run({ "/usr/bin/python3", "-c", PRELUDE .. script .. "\nzk.stop()\n",
        us:connect_string() }, { timeout = 40 }))
      assert.equal(0, result.code)
      return result.stdout
    end)
    return task
  end

  local function heard(name)
    us:eventually(function() return us.observer:exists("/said/" .. name) end, "kazoo's " .. name)
  end

  local function tell(name)
    assert(us.observer:ensure("/said/" .. name))
  end

  -- Each pairing in which the two see each other.
  for _, case in ipairs({
    { name = "kazoo's own dialect", ours = { dialect = "kazoo" }, theirs = "" },
    { name = "Curator's dialect, known to kazoo", ours = { sees = { "kazoo" } },
      theirs = ', extra_lock_patterns=["-lock-"]' },
  }) do
    local lock = 'lock = zk.Lock("/l", "the python"' .. case.theirs .. ")\n"

    it("waits for a lock that kazoo holds, in " .. case.name, function()
      local peer = python(lock .. [[
lock.acquire()
tell("held")
await_("go")
lock.release()
tell("released")
]])
      heard("held")
      local ours = us:client():lock("/l", case.ours)
      local none, message, code = ours:acquire({ wait = 0.3 })
      assert.is_nil(none)
      assert.equal("BUSY", code)
      assert.matches("the python", message, 1, true)

      local waiter = zk.spawn(function() return ours:acquire() end)
      us:has_children("/l", 2)
      assert.is_false(waiter:done())
      tell("go")
      assert(waiter:wait(15)):release()
      peer:wait(20)
    end)

    it("keeps kazoo waiting for a lock that we hold, in " .. case.name, function()
      local options = { id = "the lua" }
      for key, value in pairs(case.ours) do options[key] = value end
      local held = assert(us:client():lock("/l", options):acquire())
      local peer = python(lock .. [[
try:
    lock.acquire(timeout=0.5)
    print("got it too early")
except LockTimeout:
    print("timed out")
print(",".join(lock.contenders()))
tell("tried")
lock = zk.Lock("/l", "the python"]] .. case.theirs .. [[)
lock.acquire(timeout=20)
print("got it")
lock.release()
]])
      heard("tried")
      assert.is_true(held:valid())
      assert(held:release())
      assert.equal("timed out\nthe lua\ngot it\n", peer:wait(30))
    end)
  end

  it("refuses a lock that kazoo would not see us hold", function()
    local peer = python([[
lock = zk.Lock("/l", "the python")
lock.acquire()
tell("held")
await_("go")
]])
    heard("held")
    local held, message, code = us:client():lock("/l"):acquire({ wait = 5 })
    assert.is_nil(held)
    assert.equal("FOREIGN", code)
    assert.matches("__lock__", message, 1, true)
    us:has_children("/l", 1)
    tell("go")
    peer:wait(20)
  end)

  it("meets at a double barrier, and leaves it", function()
    local peer = python([[
barrier = zk.DoubleBarrier("/b", 3, "the python")
tell("enters")
barrier.enter()
print("in" if barrier.participating else "not in")
tell("in")
await_("leave")
barrier.leave()
print("out")
]])
    heard("enters")
    local first = us:client():barrier("/b", { parties = 3 })
    local entering = zk.spawn(function() return first:enter({ wait = 20 }) end)
    us:has_children("/b", 2)
    assert(zk.sleep(0.2))
    assert.is_false(entering:done())
    local second = us:client():barrier("/b", { parties = 3 })
    assert.is_true(second:enter({ wait = 20 }))
    assert.is_true(entering:wait(20))
    heard("in")

    local a = zk.spawn(function() return first:leave({ wait = 20 }) end)
    local b = zk.spawn(function() return second:leave({ wait = 20 }) end)
    assert(zk.sleep(0.2))
    assert.is_false(a:done())
    assert.is_false(b:done())
    tell("leave")
    assert.is_true(a:wait(20))
    assert.is_true(b:wait(20))
    assert.equal("in\nout\n", peer:wait(30))
    us:has_children("/b", 0)
  end)
end)
