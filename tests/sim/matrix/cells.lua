--- Scenarios by name, and their cells: a cell is a scenario's run with one fault at one point, or
--- with more at later ones.
local play = require "sim.matrix.play"
local points = require "sim.matrix.points"
local runs = require "sim.matrix.run"

local M = {}

--- Patterns, in the order of a whole run; each is a file of scenarios.
M.PATTERNS = { "lock", "election", "queue", "barrier", "member", "live", "stream" }

local function scenarios_of(pattern)
  return require("sim.matrix." .. pattern)
end

--- The names of the scenarios of a pattern; of all patterns.
---@param pattern string|nil
---@return string[]
function M.scenarios(pattern)
  local names = {}
  for _, one in ipairs(pattern and { pattern } or M.PATTERNS) do
    for _, scenario in ipairs(scenarios_of(one)) do
      names[#names + 1] = scenario.name
    end
  end
  return names
end

--- The scenario of this name; nil when there is none.
function M.scenario(name)
  for _, pattern in ipairs(M.PATTERNS) do
    for _, scenario in ipairs(scenarios_of(pattern)) do
      if scenario.name == name then
        return scenario
      end
    end
  end
end

--- The points of a scenario, as its run without faults has them; raises when that goes wrong.
---@param seed integer|nil
---@return table[] points
function M.points(name, seed)
  local run = runs.new(assert(M.scenario(name), name), {}, { seed = seed })
  local ok, message = play(run)
  if not ok then
    error(("%s without faults: %s"):format(name, message), 0)
  end
  return run.points
end

--- One cell: true, or nil and what went wrong; and the run.
---@param known table[]  of M.points
---@param plan { number: integer, kind: string }[]  what happens where, in order
---@param lines boolean|nil  keep the story
---@param seed integer|nil  that of the points
function M.cell(name, known, plan, lines, seed)
  local first, by_number = plan[1], {}
  for _, step in ipairs(plan) do
    by_number[step.number] = step.kind
  end
  local point = known[first.number]
  local run = runs.new(M.scenario(name), by_number, {
    fault = first.kind, point = point, lines = lines, seed = seed,
  })
  local ok, message = play(run)
  local strange = points.differs(run.points[first.number], point)
  return ok and not strange, strange or message, run
end

--- The command that tells the story of a cell.
function M.command(name, plan, seed)
  local words = { "tools/sim matrix", name }
  for _, step in ipairs(plan) do
    words[#words + 1] = step.number .. " " .. step.kind
  end
  return table.concat(words, " ") .. (seed and " seed " .. seed or "")
end

return M
