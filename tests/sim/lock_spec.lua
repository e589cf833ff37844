-- The lock while things go wrong: cases that a seed has found.
local new_world = require("support.world")

local TIMEOUT = 30 -- seconds, of the sessions

describe("a lock", function()
  it("gives up its place although its connection broke while it stood still", function()
    local world, server, start = new_world()
    start("holder", function(zk)
      local c = assert(zk.connect())
      c:lock("/l"):with(function()
        zk.sleep(1000)
      end)
    end, TIMEOUT)
    world:run(1)
    local left, code
    local waiter = start("waiter", function(zk)
      local c = assert(zk.connect())
      code = select(3, c:lock("/l"):acquire({ wait = 2 }))
      zk.sleep(10)
      left = #assert(c:children("/l"))
    end, TIMEOUT)
    world:run(2)
    waiter:pause(5)
    world:run(4)
    server:crash()
    world:run(9) -- it goes on, finds no time left for the lock, and cannot delete its node
    server:start()
    world:run(60)
    assert.equal(0, waiter.status, waiter.failure)
    assert.is_string(code)
    assert.equal(1, left)
  end)
end)
