-- Streams while things go wrong: cases that seeds have found.
local new_world = require("support.world")

describe("a stream", function()
  -- Its session is expired by its own clock in a network that is parted, and begins anew: the watch
  -- waits to be set again.
  it("that is closed before a new session has set its watch leaves none, and takes none", function()
    local world, server, start = new_world()
    local ours, theirs
    local told = {}
    local main = start("main", function(zk)
      local c = assert(zk.connect())
      local kept, stream = c:watch("/a"), c:watch("/a") -- two with one watch
      local other = c:watch("/b", { recursive = true })
      world.network:part({ "main" })
      while c:metrics().expiries == 0 do
        zk.sleep(0.1)
      end
      stream:close()
      other:close()
      world.network:heal()
      zk.sleep(10)
      assert(c:create("/a"))
      for event in function() return (kept:next(1)) end do
        told[#told + 1] = event.type
      end
      assert(c:lifetime().core:info().watches == 1)
      kept:close()
      zk.sleep(1)
      ours, theirs = c:lifetime().core:info().watches, server.core:info().watches
    end, 4)
    world:run(60)
    assert.equal(0, main.status, main.failure)
    assert.same({ "gap", "created" }, told)
    assert.equal(0, ours)
    assert.equal(0, theirs)
  end)
end)

describe("a cache", function()
  it("that is closed before its watch is set leaves none", function()
    local world, server, start = new_world()
    local ours, theirs
    local main = start("main", function(zk)
      local c = assert(zk.connect())
      local cache = c:cache("/")
      zk.pause() -- its watch is on the way
      cache:close()
      zk.sleep(1)
      ours, theirs = c:lifetime().core:info().watches, server.core:info().watches
    end)
    world:run(60)
    assert.equal(0, main.status, main.failure)
    assert.equal(0, ours)
    assert.equal(0, theirs)
  end)

  it("has one watch although its session ended before it had read everything", function()
    for i = 0, 60 do
      local world, server, start = new_world()
      local ours, open
      local main = start("main", function(zk)
        local c = assert(zk.connect())
        assert(c:create("/a", ""))
        zk.sleep(1 - zk.now())
        local cache = c:cache("/")
        world:at(1 + i * 1e-4, function()
          server:expire(c:session().id)
        end)
        zk.sleep(10)
        assert(cache:get("/a") and not cache.stale)
        open = server.core:info().watches
        cache:close()
        zk.sleep(1)
        ours = c:lifetime().core:info().watches
      end, 4)
      world:run(60)
      assert.equal(0, main.status, main.failure)
      assert.equal(1, open)
      assert.equal(0, ours, ("expired after %g ms"):format(i / 10))
    end
  end)
end)
