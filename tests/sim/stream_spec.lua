-- Streams while things go wrong: cases that seeds have found.
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")

describe("a stream", function()
  -- Its session is expired by its own clock in a network that is parted, and begins anew: the watch
  -- waits to be set again.
  it("that is closed before a new session has set its watch leaves none", function()
    local world = worlds.new({ seed = 1 })
    local server = servers.new(world)
    local ours, theirs
    local main = processes.start(world, { name = "main", servers = "10.0.0.1",
      connect = { session_timeout = 4, log = function() end },
      main = function(zk)
        local c = assert(zk.connect())
        local stream, other = c:watch("/a"), c:watch("/b", { recursive = true })
        world.network:part({ "main" })
        while c:metrics().expiries == 0 do
          zk.sleep(0.1)
        end
        stream:close()
        other:close()
        world.network:heal()
        zk.sleep(10)
        ours, theirs = c:lifetime().core:info().watches, server.core:info().watches
      end })
    world:run(60)
    assert.equal(0, main.status, main.failure)
    assert.equal(0, ours)
    assert.equal(0, theirs)
  end)
end)

describe("a cache", function()
  it("that is closed before its watch is set leaves none", function()
    local world = worlds.new({ seed = 1 })
    local server = servers.new(world)
    local ours, theirs
    local main = processes.start(world, { name = "main", servers = "10.0.0.1",
      connect = { log = function() end },
      main = function(zk)
        local c = assert(zk.connect())
        local cache = c:cache("/")
        zk.pause() -- its watch is on the way
        cache:close()
        zk.sleep(1)
        ours, theirs = c:lifetime().core:info().watches, server.core:info().watches
      end })
    world:run(60)
    assert.equal(0, main.status, main.failure)
    assert.equal(0, ours)
    assert.equal(0, theirs)
  end)
end)
