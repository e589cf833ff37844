--- The matrix of waits: every point where a program waits, with every fault that can come there.
---
--- A scenario is one program under test, the *subject*, and its *company*, which shows that others
--- get on. A first run without faults numbers the points: each time that a task of the subject's
--- process, also one of the library's own, gives way until something happens. Then each *cell*
--- repeats the run with one fault at one point (or with a second fault at a later one), lets it go
--- to its end, and judges it by what the server has on its disk and by what is left over.
local faults = require "sim.matrix.faults"
local judge = require "sim.matrix.judge"
local nets = require "zklua.scheduler.sim_net"
local processes = require "zklua.sim.process"
local servers = require "zklua.sim.server"
local worlds = require "zklua.scheduler.sim_world"

local M = {}

--- Patterns, in the order of a whole run; each is a file of scenarios.
M.PATTERNS = { "lock", "election", "queue", "barrier", "member", "live", "stream" }

local SESSION_TIMEOUT = 6
local BEGIN = 1 -- when the subject starts; its company has what it needs by then
local PATIENCE = 40 -- seconds in which all have to come to their ends
local SETTLE = 12 -- seconds until the session of a dead process has ended
local CLOSE = 7
local SOON = 0.15 -- seconds after which a program that was merely interrupted has tidied up
local PAUSE_MAX = 0.06 -- seconds: who waits no longer does so before it asks again
local SEED = 1

-- A run ------------------------------------------------------------------------------------------

local Run = {}
Run.__index = Run

local DROPPED = setmetatable({}, { __tostring = function() return "its handles were dropped" end })
local USER_ERROR = "user error"

--- The open connection of the subject; nil while it has none.
function Run:link()
  local links = self.network:links_of("subject")
  return links[#links]
end

function Run:is_open(link)
  return self.network.links[link] ~= nil
end

--- The id of the subject's session.
function Run:session()
  for session in pairs(self.process.runtime.sessions) do
    return session.life.id or "0x0"
  end
  return "0x0"
end

--- fn(...) after so many seconds of the world.
function Run:after(seconds, fn, ...)
  self.world:at(self.world.time + seconds, fn, ...)
end

-- For scenarios ----------------------------------------------------------------------------------

--- From here on the waits of the subject count.
function Run:begin(phase)
  self.counting = true
  self:enter(phase)
end

--- What the subject is about, for the table of what may come of it.
function Run:enter(phase)
  self.phase, self.limited, self.in_user_code = phase, false, false
end

--- The same, inside a function that the subject has given to the library.
function Run:enter_function(phase)
  self:enter(phase)
  self.in_user_code = true
end

--- Options for a call that has a deadline of its own.
function Run:limit()
  self.limited = true
  return { deadline = self.fault == "timed_out" and self.deadline or nil }
end

--- In a function given to the library: raises when that is what goes wrong. Passes values on.
function Run:here(...)
  if self.raises then
    self.raises = false
    error(USER_ERROR, 0)
  end
  return ...
end

--- Somebody believes to have the token. What `who` writes under it is told by `wrote`.
function Run:took(who, token)
  if who == "subject" then
    self.sessions[self:session()] = true
  end
  self.beliefs[#self.beliefs + 1] = { who = who, token = token, at = #self.server.log }
end

--- A guarded write was acknowledged.
function Run:wrote(who, token, stat)
  if stat then
    self.writes[#self.writes + 1] = { who = who, token = token, zxid = stat.mzxid }
  end
end

--- One more `what` of `item`, for the judgement of a scenario.
function Run:add(what, item)
  local of_kind = self.tally[what] or {}
  self.tally[what] = of_kind
  of_kind[item] = (of_kind[item] or 0) + 1
  self:note("tally", what .. " " .. item)
end

--- Whether the session of this id is one that a program still has.
function Run:lives(id)
  for _, process in ipairs({ self.process, self.company }) do
    if process.status == nil then
      for session in pairs(process.runtime.sessions) do
        if session.life.id == id then
          return true
        end
      end
    end
  end
  return false
end

--- A client of the company, kept until the run is over.
function Run:client(zk, who)
  local c = assert(zk.connect({ timeout = 1000, id = who }))
  self.clients[#self.clients + 1] = c
  return c
end

--- Whether the subject does nothing any more.
function Run:subject_is_over()
  return self.subject_done or self.process and self.process.status ~= nil
end

--- For the company: calls call(...) until it has been done, while a server restarts.
function Run:persist(zk, call, ...)
  local ok, message, code
  repeat
    ok, message, code = call(...)
    if not ok and code ~= "CONNECTIONLOSS" and code ~= "NODEEXISTS" then
      error(message, 2)
    end
    zk.sleep(ok and 0 or 0.05)
  until ok or code == "NODEEXISTS"
end

--- A line of the story.
function Run:note(who, what)
  self.world:trace(who, what)
end

-- Points -----------------------------------------------------------------------------------------

local PLUMBING = { "/scheduler/", "/task%.lua$", "/event%.lua$", "/lifetime%.lua$", "/nodes%.lua$",
  "/runtime%.lua$", "/facade%.lua$", "sim/matrix%.lua$" }

local function is_plumbing(source)
  for _, pattern in ipairs(PLUMBING) do
    if source:find(pattern) then
      return true
    end
  end
  return not source:find("^@")
end

-- Where the running coroutine waits: the lines above what all waits share, the innermost first.
local function place()
  local lines, level = {}, 3
  local info = debug.getinfo(level, "Sl")
  while info and #lines < 4 do
    if info.currentline > 0 and not is_plumbing(info.source) then
      lines[#lines + 1] = ("%s:%d"):format(info.source:match("([^/]+/[^/]+)$"), info.currentline)
    end
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  return (table.concat(lines, " < "):gsub("zklua/", ""))
end

local function begin_fault(run, kind)
  run.world:trace("fault", kind)
  faults[kind](run)
end

-- A task of the subject gives way.
local function parked(run, task, seconds)
  run.count = run.count + 1
  local number = run.count
  local point = {
    time = run.world.time, place = place(), phase = run.phase, limited = run.limited,
    in_user_code = run.in_user_code and task == run.task,
    pause = seconds and seconds <= PAUSE_MAX,
      }
  run.points[number] = point
  run.world:trace("point", number .. " " .. point.phase .. " " .. point.place)
  local kind = run.plan[number]
  if kind then
    run.world:at(run.world.time, begin_fault, run, kind)
  end
end

-- Counts the waits of the tasks of a process, all but its main one, which is the matrix's own.
local function watch_waits(run)
  local process, running = run.process, coroutine.running
  local scheduler, tasks = process.scheduler, process.runtime.tasks
  local make, plain = scheduler.event, nil
  local function wait(event, deadline)
    local task = run.counting and not event.signalled and tasks[running()]
    if task and task ~= process.main and not (deadline and deadline <= scheduler.now()) then
      parked(run, task, deadline and deadline - scheduler.now())
    end
    return plain(event, deadline)
  end
  function scheduler.event()
    local event = make()
    plain = plain or event.wait
    event.wait = wait
    return event
  end
end

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
  elseif ... == DROPPED then
    return "dropped"
  elseif ... == USER_ERROR then
    return "error"
  end
  return "failure: " .. tostring((...))
end

local function keep_trace(message)
  if message == DROPPED or message == USER_ERROR then
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
      local outcome = outcome_of(xpcall(body, keep_trace))
      run.outcome, run.phase_at_end = outcome, run.phase
      run:note("subject", "ends with " .. tostring(outcome))
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
  watch_waits(run)
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

--- Plays a scenario: true, or nil and what went wrong; and the run. `plan`: number of a point ->
--- kind of fault. `deadline` is that of the subject, for the faults that need one.
local function play(scenario, plan, options)
  local world = worlds.new({ seed = options.seed or SEED, lines = options.lines })
  local run = setmetatable({
    scenario = scenario, plan = plan, fault = options.fault, deadline = options.deadline,
    world = world, network = nets.of(world), server = servers.new(world),
    points = {}, count = 0, phase = "before", beliefs = {}, writes = {}, clients = {}, tally = {}, sessions = {},
    handles = setmetatable({}, { __index = function() error(DROPPED, 0) end }),
  }, Run)
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
  return ok, message, run
end

-- Cells ------------------------------------------------------------------------------------------

--- Whether the fault can come at the point at all.
local function applies(kind, point)
  if kind == "timed_out" then
    return point.limited
  elseif kind == "out_of_time" then
    return point.phase ~= "after" -- the zk.timeout is around the program
  elseif kind == "user_error" then
    return point.in_user_code
  elseif kind == "cancelled" then
    return point.phase ~= "after"
  end
  return true
end

local function differs(point, expected)
  if not point then
    return "the point was not reached"
  elseif point.place ~= expected.place or math.abs(point.time - expected.time) > 1e-9 then
    return ("the run went another way before the point: %s at %.6f, not %s at %.6f"):format(
      point.place, point.time, expected.place, expected.time)
  end
end

local function find_scenario(name)
  for _, pattern in ipairs(M.PATTERNS) do
    for _, scenario in ipairs(require("sim.matrix." .. pattern)) do
      if scenario.name == name then
        return scenario
      end
    end
  end
end

--- The names of the scenarios of a pattern; of all patterns.
---@param pattern string|nil
function M.scenarios(pattern)
  local names = {}
  for _, one in ipairs(pattern and { pattern } or M.PATTERNS) do
    for _, scenario in ipairs(require("sim.matrix." .. one)) do
      names[#names + 1] = scenario.name
    end
  end
  return names
end

local function options_for(kind, point, lines, seed)
  return { fault = kind, lines = lines, seed = seed,
    deadline = faults.LATE[kind] and point.time + faults.LIMIT or nil }
end

--- The points of a scenario, as its run without faults has them; raises when that goes wrong.
---@param seed integer|nil
function M.points(name, seed)
  local scenario = assert(find_scenario(name), name)
  local ok, message, run = play(scenario, {}, { seed = seed })
  if not ok then
    error(("%s without faults: %s"):format(name, message), 0)
  end
  return run.points
end

-- "17 cancelled 19 lost_after"
local function words_of(plan, seed)
  local words = {}
  for _, step in ipairs(plan) do
    words[#words + 1] = step.number .. " " .. step.kind
  end
  return table.concat(words, " ") .. (seed and " seed " .. seed or "")
end

--- One cell: true, or nil and what went wrong; and the run.
---@param points table[]  of M.points
---@param plan { number: integer, kind: string }[]  what happens where, in order
---@param lines boolean|nil  keep the story
---@param seed integer|nil  that of the points
function M.cell(name, points, plan, lines, seed)
  local first, by_number = plan[1], {}
  for _, step in ipairs(plan) do
    by_number[step.number] = step.kind
  end
  local point = points[first.number]
  local options = options_for(first.kind, point, lines, seed)
  local ok, message, run = play(find_scenario(name), by_number, options)
  local strange = differs(run.points[first.number], point)
  return ok and not strange, strange or message, run
end

local function try(result, name, points, plan)
  local ok, message, run = M.cell(name, points, plan, nil, result.seed)
  result.cells = result.cells + 1
  if not ok then
    result.failures[#result.failures + 1] = { scenario = name, point = plan[1].number,
      fault = plan[1].kind, place = points[plan[1].number].place, message = message,
      command = ("tools/sim matrix %s %s"):format(name, words_of(plan, result.seed)) }
  end
  return run
end

local function longer(plan, number, kind)
  local steps = { (table.unpack or unpack)(plan) }
  steps[#steps + 1] = { number = number, kind = kind }
  return steps
end

-- A connection lost at each point that follows.
local function add_pairs(result, name, points, plan, run)
  for number = plan[1].number + 1, run.count do
    try(result, name, points, longer(plan, number, "lost_before"))
    try(result, name, points, longer(plan, number, "lost_after"))
  end
end

-- A session that ends while it is waited for a better moment: what is asked next is asked on another
-- session, and its answer is lost at each point that follows.
local function add_chains(result, name, points, plan, run)
  if plan[1].kind ~= "lost_before" then
    return
  end
  for number = plan[1].number + 1, run.count do
    if run.points[number].pause then
      local changed = longer(plan, number, "expired")
      local second = try(result, name, points, changed)
      for later = number + 1, second.count do
        try(result, name, points, longer(changed, later, "lost_after"))
      end
    end
  end
end

local function run_scenario(name, filter, result, more)
  local known, points = pcall(M.points, name, result.seed)
  if not known then
    result.failures[#result.failures + 1] = { scenario = name, point = 0, fault = "none", place = "",
      message = points, command = ("tools/sim matrix %s points"):format(name) }
    return
  end
  result.points = result.points + #points
  for number, point in ipairs(points) do
    for _, kind in ipairs(faults.KINDS) do
      if applies(kind, point) and (not filter or filter(point, kind, number)) then
        local plan = { { number = number, kind = kind } }
        local run = try(result, name, points, plan)
        if more then
          more(result, name, points, plan, run)
        end
      end
    end
  end
end

local function run(pattern, filter, more, seed)
  local result = { points = 0, cells = 0, failures = {}, seed = seed }
  local names = find_scenario(pattern) and { pattern } or M.scenarios(pattern)
  for _, name in ipairs(names) do
    run_scenario(name, filter, result, more)
  end
  return result.cells, result.failures, result.points
end

--- All cells of a pattern or of one scenario, or those that filter(point, kind, number) wants:
--- how many there were, and a list of those that went wrong. points: of how many points.
---@param filter (fun(point: table, kind: string, number: integer): boolean)|nil
---@return integer cells
---@return table[] failures  { scenario, point, fault, place, message, command }
---@return integer points
function M.run(pattern, filter)
  return run(pattern, filter)
end

--- The same, and each cell again with a connection lost at each point that follows its fault: what
--- tidies up has to bear that as well.
function M.run_pairs(pattern, filter)
  return run(pattern, filter, add_pairs)
end

--- What asks again after a lost connection, and is on another session when it does. How soon there
--- is one follows from the seed.
---@param first integer|nil  seed; default 1
---@param last integer|nil  default: the first
function M.run_chains(pattern, first, last)
  local cells, failures, points = 0, {}, 0
  for seed = first or 1, last or first or 1 do
    local more, wrong, count = run(pattern, function(_, kind)
      return kind == "lost_before"
    end, add_chains, seed)
    cells, points = cells + more, points + count
    for _, failure in ipairs(wrong) do
      failures[#failures + 1] = failure
    end
  end
  return cells, failures, points
end

M.KINDS = faults.KINDS

return M
