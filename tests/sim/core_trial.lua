-- The promises below all patterns: processes do anything to a server while things go wrong, and
-- what was asked, answered, told and logged is held against eight rules (sim/core/checks.lua), one
-- of them a tree of its own that says what every answer had to be (sim/reference.lua).
local bytes = require("sim.bytes")
local census = require("sim.core.census")
local checks = require("sim.core.checks")
local histories = require("sim.core.history")
local programs = require("sim.core.program")
local taps = require("sim.core.tap")
local trials = require("zklua.sim.trial")
local zkcore = require("zklua.core")

local REAPING = 125 -- seconds in which two rounds fit of what takes off containers and TTL nodes

-- All that a server would find that has this log.
local function look_at_log(trial, server)
  local last = server.log[#server.log]
  trial.history:note("tree", {
    zxid = last and bytes.txn(last).zxid or 0,
    nodes = census.of_log(server.log, {
      log = true, secret = server.secret, tick_time = server.tick_time, ttl_nodes = true,
    }),
  })
end

-- All that the server has that runs, between two events of its world.
local function look_at_server(trial)
  local world, server = trial.world, trial.server
  while server.durable < #server.log do
    world:step()
  end
  local last = bytes.txn(server.log[#server.log])
  local system = zkcore.simulate({ seed = world.seed, hostname = "census" })
  server.scheduler.core.set_time(world.time, server.scheduler.wall())
  trial.history:note("tree", { zxid = last.zxid, nodes = census.take(system, server.core) })
  server.timer:set() -- there is a session more to keep time for
end

-- Until when its client took a session for alive that the server ends by itself.
local function ask_believers(trial, session)
  for _, process in ipairs(trial.processes) do
    local life = process.life
    if life and life.session == session and not life.gone and process.status == nil then
      trial.history:note("believed", {
        who = life.who, session = session, to = life.core:info().valid_until,
      })
    end
  end
end

-- A last look from every session that is left: whatever it was to be told of comes before.
local function stay(trial, process, life)
  local scheduler = process.scheduler
  scheduler.daemon(function()
    while not trial.quiet do
      scheduler.sleep(0.5)
    end
    programs.look_again(life)
  end)
end

local function audit(trial)
  local world = trial.world
  world:run(world.time + REAPING)
  trial.history:note("quiet", {})
  trial.quiet = true
  world:run(world.time + 3)
  look_at_server(trial)
  return true
end

-- The program of a process, and its last act: to close its session when all is over.
local function program(trial, process, zk, count)
  local life = programs.run(trial, process, zk, count)
  stay(trial, process, life)
  return life, function()
    life:close(3)
    while not life.over do
      zk.sleep(0.1)
    end
  end
end

--- One seed: true, or nil and what went wrong; and the trial, with its history.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  local world = trial.world
  trial.history = histories.new(world)
  trial.tap = taps.attach(trial.server, trial.history, {
    started = function(server)
      look_at_log(trial, server)
    end,
    expired = function(session)
      ask_believers(trial, session)
    end,
  })
  trial.paths, trial.watched, trial.versions = {}, {}, {} -- what the programs know of each other
  trial.operations = 0
  trial.network.pieces = world:random("core")
  for i = 1, world:pick("core", 3, 12) do
    local process
    local count = world:pick("core", 20, 100)
    process = trial:start("process-" .. i, function(zk)
      return program(trial, process, zk, count)
    end)
    function process.on_exit()
      if process.status == "killed" and process.life then
        trial.history:note("killed", { who = process.life.who })
      end
    end
  end
  local ok, message = trial:run(function()
    return audit(trial)
  end)
  if ok then
    ok, message = checks.all(trial.history.list)
  end
  return ok, message, trial
end
