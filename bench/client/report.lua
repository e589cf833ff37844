--- Rate, latency, CPU time and memory of this process, as the C and Python programs print them.
local uv = require("luv")

local report = {}

-- As in measure.h: with many requests in flight every tenth is timed.
report.SAMPLE_EVERY = 10

local function cpu_seconds()
  local now = uv.getrusage()
  return now.utime.sec + now.stime.sec + (now.utime.usec + now.stime.usec) / 1e6
end

-- From VmHWM: getrusage's maximum also counts the parent's image before exec.
local function peak_kb()
  local status = assert(io.open("/proc/self/status"))
  local peak = status:read("*a"):match("VmHWM:%s*(%d+)")
  status:close()
  return tonumber(peak)
end

local Measure = {}
Measure.__index = Measure

--- Starts measuring.
function report.start()
  collectgarbage()
  return setmetatable({
    latencies = {}, count = 0, cpu = cpu_seconds(), started = uv.hrtime(),
  }, Measure)
end

--- Adds the latency of a request sent at `sent`, in nanoseconds of `uv.hrtime()`.
function Measure:add(sent)
  local count = self.count + 1
  self.count = count
  self.latencies[count] = uv.hrtime() - sent
end

--- Prints the line the driver reads.
function Measure:print(operations)
  local seconds = (uv.hrtime() - self.started) / 1e9
  local cpu = cpu_seconds()
  table.sort(self.latencies)
  local function percentile(percent)
    local index = math.floor((self.count - 1) * percent / 100) + 1
    return (self.latencies[index] or 0) / 1e3
  end
  print(("rate=%.0f p50_us=%.1f p99_us=%.1f cpu_us=%.3f rss_kb=%d"):format(
    operations / seconds, percentile(50), percentile(99),
    (cpu - self.cpu) * 1e6 / operations, peak_kb()))
end

return report
