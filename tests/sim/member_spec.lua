-- Members while things go wrong: cases that seeds have found.
local new_world = require("support.world")

local TIMEOUT = 6 -- seconds, of the sessions

-- A member whose node somebody deletes, and which is closed while it is being made again: its first
-- connection falls silent `after` so many seconds, and breaks when it has been closed.
local function closed_while_healing(after)
  local world, server, start = new_world()
  local left, watches
  local main = start("main", function(zk)
    local c = assert(zk.connect({ timeout = 100 }))
    local member = assert(c:member("/m", "data"))
    zk.sleep(2 - zk.now())
    member:close()
    zk.sleep(10 - zk.now())
    left = c:exists("/m")
    watches = server.core:info().watches
  end, TIMEOUT)
  start("other", function(zk)
    local c = assert(zk.connect())
    zk.sleep(1 - zk.now())
    assert(c:delete("/m"))
  end, TIMEOUT)
  world:run(0.9)
  local link = world.network:links_of("main")[1]
  world:run(1 + after)
  link:lose("there")
  link:lose("back")
  world:run(60)
  assert.equal(0, main.status, main.failure)
  return left, watches
end

describe("a member", function()
  it("stays away when it is closed while its node is made again", function()
    for i = 0, 80 do
      local left, watches = closed_while_healing(i * 1e-4)
      assert.is_false(left, ("silent after %g ms"):format(i / 10))
      assert.equal(0, watches, ("silent after %g ms"):format(i / 10))
    end
  end)
end)
