--- The matrix of waits: every point where a program waits, with every fault that can come there.
---
--- A scenario is one program under test, the *subject*, and its *company*, which shows that others
--- get on. A first run without faults numbers the points: each time that a task of the subject's
--- process, also one of the library's own, gives way until something happens. Then each *cell*
--- repeats the run with one fault at one point (or with further faults at later ones), lets it go
--- to its end, and judges it by what the server has on its disk and by what is left over.
local cells = require "sim.matrix.cells"
local faults = require "sim.matrix.faults"
local points_of = require "sim.matrix.points"

local M = {
  KINDS = faults.KINDS,
  PATTERNS = cells.PATTERNS,
  cell = cells.cell,
  points = cells.points,
  scenarios = cells.scenarios,
}

-- One after the other ----------------------------------------------------------------------------

-- Runs a cell, counts it, and keeps what goes wrong.
local function try(result, name, points, plan)
  local ok, message, run = cells.cell(name, points, plan, nil, result.seed)
  result.cells = result.cells + 1
  if not ok then
    result.failures[#result.failures + 1] = { scenario = name, point = plan[1].number,
      fault = plan[1].kind, place = points[plan[1].number].place, message = message,
      command = cells.command(name, plan, result.seed) }
  end
  return run
end

-- `more` goes on from a cell that has been run.
local function run_scenario(name, filter, result, more)
  local known, points = pcall(cells.points, name, result.seed)
  if not known then
    result.failures[#result.failures + 1] = { scenario = name, point = 0, fault = "none",
      place = "", message = points, command = ("tools/sim matrix %s points"):format(name) }
    return
  end
  result.points = result.points + #points
  for number, point in ipairs(points) do
    for _, kind in ipairs(faults.KINDS) do
      if points_of.applies(kind, point) and (not filter or filter(point, kind, number)) then
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
  local names = cells.scenario(pattern) and { pattern } or cells.scenarios(pattern)
  for _, name in ipairs(names) do
    run_scenario(name, filter, result, more)
  end
  return result.cells, result.failures, result.points
end

-- Pairs and chains -------------------------------------------------------------------------------

local function longer(plan, number, kind)
  local steps = { (table.unpack or unpack)(plan) }
  steps[#steps + 1] = { number = number, kind = kind }
  return steps
end

-- A connection lost at each point that follows.
local function add_pairs(result, name, points, plan, run_before)
  for number = plan[1].number + 1, run_before.count do
    try(result, name, points, longer(plan, number, "lost_before"))
    try(result, name, points, longer(plan, number, "lost_after"))
  end
end

-- A session that ends while it is waited for a better moment: what is asked next is asked on
-- another session, and its answer is lost at each point that follows.
local function add_chains(result, name, points, plan, run_before)
  for number = plan[1].number + 1, run_before.count do
    if run_before.points[number].pause then
      local changed = longer(plan, number, "expired")
      local second = try(result, name, points, changed)
      for later = number + 1, second.count do
        try(result, name, points, longer(changed, later, "lost_after"))
      end
    end
  end
end

-- What is asked for ------------------------------------------------------------------------------

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
  local count, failures, points = 0, {}, 0
  for seed = first or 1, last or first or 1 do
    local more, wrong, of = run(pattern, function(_, kind)
      return kind == "lost_before"
    end, add_chains, seed)
    count, points = count + more, points + of
    for _, failure in ipairs(wrong) do
      failures[#failures + 1] = failure
    end
  end
  return count, failures, points
end

--- A failure in a line: how to see it, what went wrong, and where the program waited.
function M.told(failure)
  return ("%s: %s (%s)"):format(failure.command, failure.message, failure.place)
end

return M
