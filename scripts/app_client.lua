-- A client that always knows which servers there are: see app_server.lua for what to try.
--
-- It prints the list whenever that changes. Stop the ZooKeeper server for a while: the list is
-- marked as stale, and comes up to date when the server is back.
local zk = require "zklua"

local base = "/demo/app"
local seconds = tonumber(arg and arg[1]) or math.huge
local c = assert(zk.connect({ session_timeout = 6 }))
assert(c:ensure(base))

local changed = zk.event()
c:on("state", function(state)
  if state == "disconnected" then
    print("  (disconnected: the list may be out of date)")
  end
  changed:set()
end)

local function show()
  -- The watch is set by the same request that reads, so no change can slip between.
  local names, message, code = c:children(base, { watch = changed })
  if not names then
    return print(message), code
  end
  print(#names == 0 and "no servers" or #names .. " servers:")
  for _, name in ipairs(names) do
    print("  " .. name, (c:get(base .. "/" .. name))) -- nil if it left just now
  end
end

local ends = zk.now() + seconds
repeat
  local _, code = show()
  if code == "CANCELLED" then
    break
  end
  local woken = changed:wait(math.max(0, ends - zk.now()))
until not woken -- false: time is over; nil: cancelled
c:close()
