--- A run from its beginning to its end: the company starts, the subject, both come to their ends,
--- what is left over settles; then the programs end.
local faults = require "sim.matrix.faults"
local judge = require "sim.matrix.judge"
local points = require "sim.matrix.points"
local processes = require "zklua.sim.process"
local runs = require "sim.matrix.run"

local SESSION_TIMEOUT = 6
local BEGIN = 1 -- when the subject starts; its company has what it needs by then
local PATIENCE = 40 -- seconds in which all have to come to their ends
local SETTLE = 12 -- seconds until the session of a dead process has ended
local CLOSE = 7
local SOON = 0.15 -- seconds after which a program that was merely interrupted has tidied up

-- The programs -----------------------------------------------------------------------------------

local function program(run, who, main)
  return processes.start(run.world, {
    name = who, servers = "10.0.0.1", main = main,
    connect = { session_timeout = SESSION_TIMEOUT, log = function() end },
  })
end

-- Lives on until the run is over, so that nothing is tidied up by its end.
local function stay(run, zk)
  while not run.over do
    zk.sleep(1)
  end
end

local function outcome_of(ok, ...)
  if ok then
    return (...)
  elseif ... == runs.DROPPED then
    return "dropped"
  elseif ... == runs.USER_ERROR then
    return "error"
  end
  return "failure: " .. tostring((...))
end

local function keep_trace(message)
  if message == runs.DROPPED or message == runs.USER_ERROR then
    return message
  end
  return debug.traceback(tostring(message), 2)
end

local function start_subject(run)
  local scenario = run.scenario
  run.process = program(run, "subject", function(zk)
    run.task = zk.spawn(function()
      local function body()
        if run.fault == "out_of_time" then
          return zk.timeout(run.deadline - zk.now(), scenario.subject, zk, run, run.handles)
        end
        return scenario.subject(zk, run, run.handles)
      end
      run.outcome = outcome_of(xpcall(body, keep_trace))
      run:note("subject", "ends with " .. tostring(run.outcome))
      run:enter("after")
      run:after(SOON, function()
        run.early = judge.soon(run)
        if run.fault == "collected" then
          faults.collected(run) -- what the running task still had, too
        end
      end)
    end)
    run.task:wait()
    run.task = nil -- which remembers what it holds
    run.subject_done = true
    stay(run, zk)
  end)
  points.watch(run)
end

local function start_company(run)
  run.company = program(run, "company", function(zk)
    run.scenario.company(zk, run)
    run.company_done = true
    stay(run, zk)
  end)
end

local function all_done(run)
  return run.company_done and (run.subject_done or run.process.status ~= nil)
end

-- Playing ----------------------------------------------------------------------------------------

--- Plays a run to its end: true, or nil and what went wrong.
return function(run)
  local world = run.world
  start_company(run)
  world:run(BEGIN)
  start_subject(run)
  local deadline = world.time + PATIENCE
  while world.time < deadline and not all_done(run) do
    world:run(world.time + 0.25)
  end
  world:run(world.time + SETTLE)
  run.counting = false
  local ok, message = judge.settled(run)
  run.over = true
  world:run(world.time + CLOSE)
  if ok then
    ok, message = judge.closed(run)
  end
  return ok, message
end
