-- The lock while things go wrong: cases that a seed has found, and seeds.
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")
local trial = require("sim.lock_trial")

local SEEDS = tonumber(os.getenv("ZKLUA_SEEDS")) or 40

describe("a lock", function()
  it("gives up its place although its connection broke while it stood still", function()
    local world = worlds.new({ seed = 1 })
    local server = servers.new(world)
    local function start(name, main)
      return processes.start(world, { name = name, servers = "10.0.0.1", main = main,
        connect = { session_timeout = 30, log = function() end } })
    end
    start("holder", function(zk)
      local c = assert(zk.connect())
      c:lock("/l"):with(function()
        zk.sleep(1000)
      end)
    end)
    world:run(1)
    local left, code
    local waiter = start("waiter", function(zk)
      local c = assert(zk.connect())
      code = select(3, c:lock("/l"):acquire({ wait = 2 }))
      zk.sleep(10)
      left = #assert(c:children("/l"))
    end)
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

  it(("keeps its promises through %d seeds"):format(SEEDS), function()
    for seed = 1, SEEDS do
      local ok, message = trial(seed)
      assert.is_true(ok, ("%s (tools/sim lock %d)"):format(message, seed))
    end
  end)
end)
