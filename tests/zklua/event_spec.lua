-- Events between tasks.
local runtimes = require("zklua.runtime")

describe("an event", function()
  local runtime

  before_each(function()
    runtime = runtimes.new()
  end)

  it("remembers one set", function()
    local event = runtime:event()
    event:set()
    event:set()
    assert.is_true(event:wait(0))
    assert.is_false(event:wait(0))
  end)

  it("tells time run out from set, with a timeout and with a deadline", function()
    local event = runtime:event()
    assert.is_false(event:wait(0.005))
    assert.is_false(event:wait_until(runtime:now() + 0.005))
    runtime:spawn(event.set, event)
    assert.is_true(event:wait_until(runtime:now() + 5))
  end)

  it("lets one waiter through for each set, the oldest first", function()
    local event, order = runtime:event(), {}
    for i = 1, 3 do
      runtime:spawn(function()
        event:wait()
        order[#order + 1] = i
      end)
    end
    runtime:sleep(0)
    for i = 1, 3 do
      event:set()
      runtime:sleep(0)
      runtime:sleep(0)
      assert.equal(i, #order)
    end
    assert.same({ 1, 2, 3 }, order)
  end)

  it("passes by a waiter that was cancelled", function()
    local event, woken = runtime:event(), nil
    local first = runtime:spawn(event.wait, event)
    local second = runtime:spawn(function() woken = event:wait() end)
    runtime:sleep(0)
    first:cancel()
    runtime:sleep(0)
    event:set()
    second:wait(5)
    assert.is_true(woken)
  end)

  it("passes by a waiter whose time ran out", function()
    local event = runtime:event()
    local late = runtime:spawn(event.wait, event, 0.005)
    local other = runtime:spawn(event.wait, event, 5)
    assert.is_false(late:wait())
    event:set()
    assert.is_true(other:wait())
    assert.is_false(event:wait(0))
  end)

  it("is not used up by a wait that was cancelled before", function()
    local event = runtime:event()
    local code
    local task = runtime:spawn(function()
      code = select(3, event:wait())
    end)
    task:cancel()
    event:set()
    task:wait()
    assert.equal("CANCELLED", code)
    assert.is_true(event:wait(0))
  end)

  it("counts a set that came before the cancellation", function()
    local event, got = runtime:event(), nil
    local task = runtime:spawn(function()
      got = event:wait()
    end)
    runtime:sleep(0)
    event:set()
    task:cancel()
    task:wait()
    assert.is_true(got)
  end)

  it("does not grow by waits that gave up", function()
    local event = runtime:event()
    for _ = 1, 100 do
      event:wait(0)
    end
    assert.equal(event.head, event.tail)
  end)

  it("raises for a timeout that is no number", function()
    local ok, message = pcall(function()
      runtime:event():wait("1")
    end)
    assert.is_false(ok)
    assert.matches("event_spec.lua:%d+: timeout must be", message)
  end)
end)
