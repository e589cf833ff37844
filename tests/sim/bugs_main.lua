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

-- The first seed from 1 on that fails, and how; nil: none does.
local function search_seeds(pattern, count)
  local trial = require("sim." .. pattern .. "_trial")
  for seed = 1, count do
    local ok, message = apply.try(trial, seed)
    if not ok and passes_without(pattern, seed) then
      return seed, message
    end
  end
end

-- How many cells of a scenario with one kind of fault fail, of how many, and how the first does.
local function search_matrix(scenario, fault)
  local cells, failures = require("sim.matrix").run(scenario, function(_, kind)
    return kind == fault
  end)
  return #failures, cells, failures[1] and failures[1].message
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

-- A row of a table: name, what it is, after how many seeds and by how many cells it was found, and
-- what was said first. Status 1: not found.
function commands.search(name, count, pattern)
  local bug = find(name)
  local found, seeds, cells, told = bug.unseen ~= nil, "", "", bug.unseen
  if pattern ~= "" or bug.trial then
    pattern = pattern ~= "" and pattern or bug.trial
    local seed, message = search_seeds(pattern, tonumber(count))
    found, told = seed ~= nil, message
    seeds = ("%s, %s"):format(pattern, seed or "not by " .. count)
  end
  if bug.matrix then
    local failed, all, message = search_matrix(bug.matrix, bug.fault)
    found, told = found or failed > 0, told or message
    cells = ("%d of %d, %s %s"):format(failed, all, bug.matrix, bug.fault)
  end
  told = tostring(told or "nothing"):match("^[^\n]*"):gsub("|", "/")
  print(("| `%s` | %s | %s | %s | %s |"):format(bug.name, bug.what, seeds, cells, told))
  os.exit(found and 0 or 1)
end

commands[arg[1]](arg[2], arg[3], arg[4])
