--- Tries a program under simulated mishaps: some processes of it in one Lua state, isolated from
--- each other, in virtual time, with a server whose disk and network are simulated, too. What goes
--- wrong and when follows from a seed, so that a failure can be had again.
---
--- `docs/how-to/simulate.md` shows it at work.
local processes = require "zklua.sim.process"
local trials = require "zklua.sim.trial"

local M = {}

local Run = {}
Run.__index = Run

---@class zklua.sim.Options
---@field file string|nil       the program: a Lua file, run as `zklua FILE` would
---@field main fun(zk: table, name: string)|nil  or a function, which shares your globals
---@field arguments string[]|nil  of a file
---@field processes integer|string[]|nil  how many, or their names; default 3
---@field seed integer|nil      default 1
---@field seeds integer|nil     so many seeds from that one on, until one fails; default 1
---@field faults boolean|string[]|nil  what goes wrong, see M.FAULTS; default true: anything.
---  false: nothing
---@field seconds number|nil    how long things go wrong, in virtual time; default 20
---@field patience number|nil   until every process must have ended after that; default 60
---@field session_timeout number|nil  default 6
---@field check (fun(c: zklua.Client): boolean|nil, string|nil)|nil  looks at what the server holds
---  when all have ended: true, or nil and what is wrong

--- The kinds of mishaps: connections that break, at once or inside of a message, that lose what
--- they are given, processes that are cut off, stand still or are killed, a server that crashes,
--- sessions that expire.
M.FAULTS = trials.KINDS

local KNOWN = {
  file = "string", main = "function", arguments = "table", seed = "number", seeds = "number",
  seconds = "number", patience = "number", session_timeout = "number", check = "function",
}

local function check_options(options)
  if type(options) ~= "table" then
    error("options must be a table, not a " .. type(options), 3)
  end
  for name, value in pairs(options) do
    local wanted = KNOWN[name]
    if wanted and type(value) ~= wanted then
      error(("%s must be a %s, not a %s"):format(name, wanted, type(value)), 3)
    elseif not wanted and name ~= "processes" and name ~= "faults" then
      error(("unknown option %q"):format(tostring(name)), 3)
    end
  end
  if (options.file == nil) == (options.main == nil) then
    error("either file or main is the program", 3)
  end
end

local function names_of(given)
  if type(given) == "table" then
    return given
  end
  local names = {}
  for i = 1, given or 3 do
    names[i] = "process-" .. i
  end
  return names
end

local function start(trial, name, options)
  local main = options.main
  local process = processes.start(trial.world, {
    name = name,
    file = options.file,
    main = main and function(zk)
      return main(zk, name)
    end,
    arguments = options.arguments,
    servers = "10.0.0.1",
    connect = { session_timeout = trial.session_timeout, log = function() end },
  })
  trial.processes[#trial.processes + 1] = process
end

local function run_seed(options, seed, lines)
  local faults = options.faults
  local trial = trials.new({
    seed = seed,
    lines = lines,
    faults = type(faults) == "table" and faults or nil,
    duration = options.seconds,
    patience = options.patience,
    session_timeout = options.session_timeout,
  })
  trial.healing = faults == false -- nothing goes wrong any more, from the beginning
  for _, name in ipairs(names_of(options.processes)) do
    start(trial, name, options)
  end
  local ok, message = trial:run(function()
    if options.check then
      return trial:look(options.check)
    end
    return true
  end)
  local run = setmetatable({ seed = seed, trial = trial, ok = ok }, Run)
  return ok, not ok and ("seed %d: %s"):format(seed, tostring(message)) or nil, run
end

--- Runs the program under one seed or many: true; or nil and what went wrong under which seed.
--- Fails when a process fails, does not end, or leaves what `check` finds wrong. The third result
--- is the last run; one that failed has the story.
---@param options zklua.sim.Options
---@return boolean|nil ok, string|nil message, zklua.sim.Run run
function M.run(options)
  check_options(options)
  local first = options.seed or 1
  local ok, message, run
  for seed = first, first + (options.seeds or 1) - 1 do
    ok, message, run = run_seed(options, seed, false)
    if not ok then
      return run_seed(options, seed, true) -- the same again, and this time it is written down
    end
  end
  return ok, message, run
end

---@class zklua.sim.Run
---@field seed integer

--- What a process has printed.
---@param name string
---@param stream "stdout"|"stderr"|nil
function Run:text(name, stream)
  for _, process in ipairs(self.trial.processes) do
    if process.name == name then
      return process:text(stream)
    end
  end
  error(("there is no process %q"):format(tostring(name)), 2)
end

--- Who did what when, as text; of a run that failed.
---@return string
function Run:story()
  return table.concat(self.trial.world:story(), "\n")
end

--- Seconds of virtual time that it took.
function Run:seconds()
  return self.trial.world.time
end

return M
