-- Programs that stand still for a while, as under SIGSTOP or in a long computation, with an answer on
-- its way to them. Nothing else goes wrong.
--
-- What waits in the socket counts before the clock is looked at: whoever stood still for less than
-- its session's timeout since it asked keeps its connection, its session and its lock, and is
-- answered.
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")

local TIMEOUT = 6 -- seconds, of the sessions
local ROUNDS = 10

local function program(run, self, name)
  return function(zk)
    local world = run.world
    local c = assert(zk.connect({ session_timeout = TIMEOUT }))
    local off = c:on("state", function(state)
      run.news = run.news or ("%s is %s"):format(name, state)
    end)
    assert(c:lock("/" .. name):with(function(held)
      for _ = 1, ROUNDS do
        assert(held:sleep(world:random(name) * 3))
        self.process:pause(world:random(name) * (TIMEOUT - 1))
        assert(c:get("/"))
        assert(held:valid(), "it does not hold its lock any more")
      end
    end))
    off()
  end
end

--- One seed: true, or nil and what went wrong; and the run.
return function(seed, lines)
  local world = worlds.new({ seed = seed, lines = lines })
  local run = { world = world, server = servers.new(world) }
  local list = {}
  for i = 1, world:pick("standstill", 1, 4) do
    local self, name = {}, "process-" .. i
    self.process = processes.start(world, { name = name, main = program(run, self, name),
      servers = "10.0.0.1", connect = { log = function() end } })
    list[i] = self.process
  end
  world:run(ROUNDS * (3 + TIMEOUT) + 10)
  for _, process in ipairs(list) do
    if process.status ~= 0 then
      return nil, ("%s: %s"):format(process.name, process.failure or "has not come to its end"), run
    end
  end
  return run.news == nil or nil, run.news, run
end
