-- One measurement of bench/sim/run: so many seeds of a trial, their time and what was in them.
local pattern, first, count = arg[1], tonumber(arg[2]), tonumber(arg[3])
local trial = require("sim." .. pattern .. "_trial")

-- Requests that reach the server; counted in the stories of the same seeds, which are not timed.
local function operations_of(seed)
  local _, _, run = trial(seed, true)
  local requests = 0
  for _, line in pairs(run.world.lines) do
    requests = requests + (line[3]:find("^> ") and 1 or 0)
  end
  return requests
end

collectgarbage("setpause", 1000) -- as tools/sim does
trial(first) -- what is compiled once
local operations, virtual, failed = 0, 0, 0
for seed = first, first + count - 1 do
  operations = operations + operations_of(seed)
end
collectgarbage()
local began = os.clock()
for seed = first, first + count - 1 do
  local ok, _, run = trial(seed)
  virtual = virtual + run.world.time
  failed = failed + (ok and 0 or 1)
end
local seconds = os.clock() - began
print(("seeds=%g operations=%g virtual=%g ms=%g failed=%d"):format(count / seconds,
  operations / seconds, virtual / seconds, seconds * 1000 / count, failed))
