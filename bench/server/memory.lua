--- `memory:` from inside: how long a session takes to begin, and a call to be answered; and what
--- a test costs on a private server of its own.
local zk = require "zklua"

local SESSIONS, CALLS, TESTS = 100, 20000, 1000

local function milliseconds(fn, ...)
  local begun = zk.now()
  local result = assert(fn(...))
  return (zk.now() - begun) * 1000, result
end

local first_ms, c = milliseconds(zk.connect, "memory:")
assert(c:create("/n", ("x"):rep(100)))

local sessions = {}
for i = 1, SESSIONS do
  local another
  sessions[i], another = milliseconds(zk.connect, "memory:")
  assert(another:close())
end
table.sort(sessions)

local function microseconds_per_call(fn)
  return milliseconds(function()
    for _ = 1, CALLS do
      assert(fn())
    end
    return true
  end) * 1000 / CALLS
end

-- A test with a server, a client, a call, and what `mishap` does before the next call.
local function milliseconds_per_test(mishap)
  local test = zk.test(function()
    local server = zk.server()
    local client = assert(server:client())
    assert(client:create("/n"))
    mishap(server, client)
    assert(client:get("/n"))
    server:close()
  end)
  return milliseconds(function()
    for _ = 1, TESTS do
      test()
    end
    return true
  end) / TESTS
end

print(("first_ms=%.3f session_ms=%.3f get_us=%.2f set_us=%.2f test_ms=%.3f cut_ms=%.3f"):format(
  first_ms, sessions[SESSIONS / 2],
  microseconds_per_call(function() return c:get("/n") end),
  microseconds_per_call(function() return c:set("/n", "y") end),
  milliseconds_per_test(function() end),
  milliseconds_per_test(function(server, client) server:cut(client) end)))
