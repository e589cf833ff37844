-- tools/bugs: lists the seeded bugs, writes their sources, and searches for one that is built in.
local apply = require("sim.bugs_apply")
local bugs = require("sim.bugs")

local function complain(message)
  io.stderr:write("bugs: ", message, " (tools/bugs --help tells more)\n")
  os.exit(2)
end

local function find(wanted)
  for _, bug in ipairs(bugs) do
    if bug.name == wanted then
      return bug
    end
  end
  complain(("there is no bug of the name %q"):format(wanted))
end

-- Whether the sources as they are pass this seed: else it says nothing about the bug.
local function passes_without(pattern, seed)
  local command = ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;./tests/?.lua;;' "
    .. "LUA_CPATH='./build/release/lua5.4/?.so;;' "
    .. "lua5.4 tests/sim/main.lua %s %d >/dev/null 2>&1"):format(pattern, seed)
  return os.execute(command) == true
end

local function first_line(text)
  return (tostring(text):match("^[^\n]*"):gsub("|", "/"))
end

-- Counts seeds from 1 on until one fails. Whether one did, and what to say.
local function search_seeds(pattern, count)
  local trial = require("sim." .. pattern .. "_trial")
  for seed = 1, count do
    local ok, message = apply.try(trial, seed)
    if not ok and passes_without(pattern, seed) then
      return true, ("seed %d of %s | %s"):format(seed, pattern, first_line(message))
    end
  end
  return false, ("not in %d seeds of %s |"):format(count, pattern)
end

-- Goes through the cells of a scenario with one kind of fault.
local function search_matrix(scenario, fault)
  local cells, failures = require("sim.matrix").run(scenario, function(_, kind)
    return kind == fault
  end)
  local first = failures[1]
  if first then
    return true, ("%d of the %d cells of %s × %s | %s"):format(#failures, cells, scenario, fault,
      first_line(first.message))
  end
  return false, ("in none of the %d cells of %s × %s |"):format(cells, scenario, fault)
end

local commands = {}

function commands.list()
  for _, bug in ipairs(bugs) do
    print(("%-22s %-2s %s"):format(bug.name, apply.is_c(bug) and "C" or "", bug.what))
  end
end

function commands.names()
  for _, bug in ipairs(bugs) do
    print(bug.name)
  end
end

function commands.write(name, folder)
  local bug = find(name)
  apply.write(bug, folder)
  print(apply.is_c(bug) and "C" or "Lua")
end

function commands.search(name, count, pattern)
  local bug = find(name)
  local found, told
  if bug.unseen and pattern == "" then
    found, told = true, "nothing | " .. bug.unseen
  elseif pattern ~= "" or bug.trial then
    found, told = search_seeds(pattern ~= "" and pattern or bug.trial, tonumber(count))
  else
    found, told = search_matrix(bug.matrix, bug.fault)
  end
  print(("| `%s` | %s | %s |"):format(bug.name, bug.what, told))
  os.exit(found and 0 or 1)
end

commands[arg[1]](arg[2], arg[3], arg[4])
