-- tools/sim matrix: the matrix of waits, a part of it, or one cell with its story.
local matrix = require "sim.matrix"

local function complain(message)
  io.stderr:write("sim: ", message, " (tools/sim --help tells more)\n")
  os.exit(2)
end

local function is_pattern(name)
  for _, pattern in ipairs(matrix.PATTERNS) do
    if pattern == name then
      return true
    end
  end
  return false
end

-- The scenario of this name.
local function scenario(name)
  for _, one in ipairs(matrix.scenarios()) do
    if one == name then
      return name
    end
  end
  complain(("there is no scenario %q; there are %s"):format(name,
    table.concat(matrix.scenarios(), " ")))
end

-- The scenarios of a pattern, of all, or that one.
local function scenarios(name)
  if not name or is_pattern(name) then
    return matrix.scenarios(name)
  end
  return { scenario(name) }
end

local function run_all(names, run, ...)
  local failed, sum = 0, 0
  for _, name in ipairs(names) do
    local before = os.clock()
    local cells, failures, points = run(name, ...)
    print(("%-18s %4d points %6d cells %4d failed %7.1f s"):format(name, points, cells, #failures,
      os.clock() - before))
    for _, failure in ipairs(failures) do
      print("  " .. matrix.told(failure))
    end
    failed, sum = failed + #failures, sum + cells
  end
  print(("%d cells, %d failed, in %.1f s"):format(sum, failed, os.clock()))
  return failed == 0
end

local function list_points(name)
  for i, point in ipairs(matrix.points(name)) do
    print(("%4d %10.6f %-10s %s"):format(i, point.time, point.phase, point.place))
  end
  return true
end

-- "17 cancelled 19 lost_after"; a seed may stand behind them.
local function read_plan(points, words)
  local plan = {}
  for i = 1, #words, 2 do
    local number, kind = tonumber(words[i]), words[i + 1]
    local known = false
    for _, one in ipairs(matrix.KINDS) do
      known = known or one == kind
    end
    if not number or not known or i == 1 and not points[number] then
      complain(("POINT is a number up to %d, FAULT one of %s"):format(#points,
        table.concat(matrix.KINDS, " ")))
    end
    plan[#plan + 1] = { number = number, kind = kind }
  end
  return plan
end

local function tell(name, words)
  local seed = words[#words - 1] == "seed" and tonumber(table.remove(words))
  if seed then
    table.remove(words)
  end
  local points = matrix.points(name, seed or nil)
  local ok, message, run = matrix.cell(name, points, read_plan(points, words), true, seed or nil)
  print(table.concat(run.world:story(), "\n"))
  print(ok and "well" or message)
  return ok
end

local name, what = arg[1], arg[2]
local ok
if what == "points" then
  ok = list_points(scenario(name))
elseif what == "pairs" then
  ok = run_all(scenarios(name), matrix.run_pairs)
elseif what == "chains" then
  ok = run_all(scenarios(name), matrix.run_chains, tonumber(arg[3]), tonumber(arg[4]))
elseif what then
  ok = tell(scenario(name), { (table.unpack or unpack)(arg, 2) })
else
  ok = run_all(scenarios(name), matrix.run)
end
os.exit(ok and 0 or 1)
