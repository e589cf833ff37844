-- tools/sim: runs trials by seed, and tells the story of one.
local pattern, seed, count = arg[1], tonumber(arg[2]), tonumber(arg[3] or 1)

local function complain(message)
  io.stderr:write("sim: ", message, " (tools/sim --help tells more)\n")
  os.exit(2)
end

local function whole(number)
  return number and number >= 0 and number < 2 ^ 53 and number % 1 == 0
end

local module = "sim." .. pattern .. "_trial"
if not pattern:find("^%w+$") or not package.searchpath(module, package.path) then
  complain(("there is no trial of %q"):format(pattern))
elseif not whole(seed) or not whole(count) or count < 1 then
  complain("SEED and COUNT are whole numbers")
end

local trial = require(module)
collectgarbage("setpause", 1000) -- worlds are small and short-lived; collecting less is faster
local single = count == 1
local failed, virtual, operations, hash = 0, 0, 0, 0
for i = 0, count - 1 do
  local ok, message, run = trial(seed + i, single)
  virtual = virtual + run.world.time
  hash = run.world.hash
  operations = operations + (run.operations or 0)
  if single then
    print(table.concat(run.world:story(), "\n"))
  end
  if not ok then
    failed = failed + 1
    message = single and message or message:match("^[^\n]*") -- a traceback is part of the story
    print(("%s: tools/sim %s %d"):format(message, pattern, seed + i))
  end
end
local spent = os.clock()
local rate = operations > 0 and ("; %d operations, %d a second"):format(operations,
  math.floor(operations / spent)) or ""
local trace = single and ("; trace %.0f"):format(hash) or "" -- alike wherever the seed is run
print(("%d seeds, %d failed; %.0f s of virtual time in %.1f s%s%s"):format(count, failed, virtual,
  spent, rate, trace))
os.exit(failed == 0 and 0 or 1)
