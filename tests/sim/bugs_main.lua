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

-- Counts seeds from 1 on until one fails; nil: none does.
local function search(pattern, count)
  local trial = require("sim." .. pattern .. "_trial")
  for seed = 1, count do
    local ok, fine, message = pcall(trial, seed)
    if not (ok and fine) and passes_without(pattern, seed) then
      return seed, tostring(ok and message or fine):match("^[^\n]*")
    end
  end
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
  pattern = pattern ~= "" and pattern or bug.trial
  local seed, message = search(pattern, tonumber(count))
  print(("| %s | %s | %s | %s |"):format(bug.name, bug.what, pattern,
    seed and ("%d: %s"):format(seed, message) or ("not in %d seeds"):format(count)))
  os.exit(seed and 0 or 1)
end

commands[arg[1]](arg[2], arg[3], arg[4])
