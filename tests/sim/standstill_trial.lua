-- Programs that stand still for a while, as under SIGSTOP or in a long computation. Nothing else
-- goes wrong.
--
-- What waits in the socket counts before the clock is looked at: whoever stood still for less than
-- its session's timeout since it asked keeps its connection, its session and its lock, and is
-- answered. Who stood still for longer knows by its clock that it may hold its lock no more, before
-- anybody tells it. And a member is there again soon after, however long it stood still: also when
-- the server has not ended its older session yet, and that one's node is in the way.
local histories = require("sim.history")
local new_world = require("support.world")

local TIMEOUT = 6 -- seconds, of the sessions
local ROUNDS = 10
local SOON = 0.3 -- seconds for a member to be there on a new session

-- Stands still for less than its session's timeout.
local function holder(run, name)
  return function(zk)
    local world = run.world
    local c = assert(zk.connect({ session_timeout = TIMEOUT }))
    local off = c:on("state", function(state)
      run.news = run.news or ("%s is %s"):format(name, state)
    end)
    assert(c:lock("/" .. name):with(function(held)
      for _ = 1, ROUNDS do
        assert(held:sleep(world:random(name) * 3))
        run.processes[name]:pause(world:random(name) * (TIMEOUT - 1))
        assert(c:get("/"))
        assert(held:valid(), "it does not hold its lock any more")
      end
    end))
    off()
  end
end

-- Stands still for longer, and asks its own clock whether it still holds its lock.
local function stale_holder(run, name)
  return function(zk)
    local world, path = run.world, "/" .. name
    local c = assert(zk.connect({ session_timeout = TIMEOUT }))
    for _ = 1, ROUNDS do
      c:lock(path):with(function(held)
        held:sleep(world:random(name) * 3)
        run.processes[name]:pause(TIMEOUT - 1 + world:random(name) * 4)
        zk.sleep(0) -- until then
        if held:valid() and not histories.of(run.server):below(path)[1] then
          run.news = run.news or ("%s believes to hold a lock that has gone"):format(name)
        end
      end)
    end
  end
end

-- Stands still for longer, and comes back.
local function member(run, name)
  return function(zk)
    local world, path = run.world, "/" .. name
    local c = assert(zk.connect({ session_timeout = TIMEOUT }))
    assert(c:member(path, "here"))
    for _ = 1, ROUNDS do
      zk.sleep(world:random(name) * 3)
      run.processes[name]:pause(TIMEOUT - 1 + world:random(name) * 3)
      repeat
        zk.sleep(0.01)
      until c:exists("/") -- over a session that lives
      zk.sleep(SOON)
      local stat = c:exists(path)
      if not stat or stat.ephemeral_owner ~= c:session().id then
        run.news = run.news or ("%s is not there %g s after its new session"):format(name, SOON)
      end
    end
  end
end

--- One seed: true, or nil and what went wrong; and the run.
return function(seed, lines)
  local world, server, start = new_world({ seed = seed, lines = lines })
  local run = { world = world, server = server, processes = {} }
  local kinds = { { "holder", holder }, { "stale", stale_holder }, { "member", member } }
  for _, kind in ipairs(kinds) do
    for i = 1, world:pick("standstill", 1, 3) do
      local name = kind[1] .. "-" .. i
      run.processes[name] = start(name, kind[2](run, name))
    end
  end
  world:run(ROUNDS * (10 + TIMEOUT))
  for name, process in pairs(run.processes) do
    if process.status ~= 0 then
      return nil, ("%s: %s"):format(name, process.failure or "has not come to its end"), run
    end
  end
  return run.news == nil or nil, run.news, run
end
