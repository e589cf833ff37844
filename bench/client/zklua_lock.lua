--- zklua_lock.lua PORT COUNT: acquires and releases one free lock, COUNT times.
local uv = require("luv")
local zk = require("zklua")
local report = require("report")

local port, count = arg[1], tonumber(arg[2])
local c = assert(zk.connect("127.0.0.1:" .. port, { session_timeout = 30 }))
local lock = c:lock("/bench-lock-zklua-" .. uv.os_getpid())

local function run(rounds, measure)
  for _ = 1, rounds do
    local begun = uv.hrtime()
    local held = assert(lock:acquire())
    assert(held:release())
    if measure then
      measure:add(begun)
    end
  end
end

local function main()
  run(math.floor(count / 10) + 1)
  local measure = report.start()
  run(count, measure)
  measure:print(count)
  c:close()
  return true
end

assert(zk.spawn(main):wait(3600))
