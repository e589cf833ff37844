-- Barriers while things go wrong: cases that seeds have found.
local new_world = require("support.world")

local TWO = { parties = 2 }
local TIMEOUT = 4 -- seconds, of the sessions

-- Two are inside when one of them dies, and a third one comes for the next round. The one that is
-- left leaves at 10 s; its connection breaks `after` so many seconds later, if that is given. It
-- comes again at 20 s. When it had left, and when the third one got in.
local function replaced_inside(seed, after)
  local world, _, start = new_world({ seed = seed })
  local left, third_in, again
  local first = start("first", function(zk)
    local c = assert(zk.connect({ timeout = 100 }))
    local barrier = c:barrier("/b", TWO)
    assert(barrier:enter())
    zk.sleep(10 - zk.now())
    assert(barrier:leave())
    left = zk.now()
    zk.sleep(20 - zk.now())
    assert(barrier:enter())
    again = zk.now()
  end, TIMEOUT)
  local second = start("second", function(zk)
    assert(zk.connect():barrier("/b", TWO):enter())
    zk.sleep(100)
  end, TIMEOUT)
  world:run(1)
  second:kill()
  world:run(8)
  local third = start("third", function(zk)
    assert(zk.connect({ timeout = 100 }):barrier("/b", TWO):enter())
    third_in = zk.now()
  end, TIMEOUT)
  if after then
    world:at(10 + after, function()
      world.network:links_of("first")[1]:cut()
    end)
  end
  world:run(60)
  assert.equal(0, first.status, first.failure)
  assert.equal(0, third.status, third.failure)
  return left, third_in, again
end

describe("a barrier", function()
  it("lets a party leave although one for the next round has come already", function()
    local left, third_in, again = replaced_inside(1)
    assert.is_true(left < 11)
    assert.is_true(third_in >= 20 and again >= 20)
  end)

  it("lets nobody in because of one that is leaving", function()
    for _, seed in ipairs({ 1, 6 }) do -- the names of the nodes have another order
      for i = 0, 60 do
        local _, third_in = replaced_inside(seed, i * 1e-4)
        assert.is_true(third_in >= 20, ("seed %d, cut after %g ms"):format(seed, i / 10))
      end
    end
  end)

  it("tells a party whose session ends while it stands still in a look", function()
    for i = 0, 40 do
      local world, _, start = new_world()
      local code
      start("other", function(zk)
        local c = assert(zk.connect())
        assert(c:ensure("/b/ready")) -- of a round before
        zk.sleep(2 - zk.now())
        assert(c:delete("/b/ready"))
      end, TIMEOUT)
      world:run(1)
      local party = start("party", function(zk)
        code = select(3, zk.connect({ timeout = 100 }):barrier("/b", TWO):enter())
      end, TIMEOUT)
      world:at(2 + i * 2e-4, function()
        party:pause(10) -- it learns at once that its connection broke and that its session ended
        world.network:links_of("party")[1]:cut()
      end)
      world:run(60)
      assert.equal("SESSIONEXPIRED", code, ("after %g ms"):format(i / 5))
    end
  end)
end)
