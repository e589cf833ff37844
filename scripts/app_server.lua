-- A server that can be found: it registers its address for as long as it lives.
--
-- Run `tools/run scripts/app_client.lua` in one terminal and, in others,
-- `tools/run scripts/app_server.lua 10.0.0.1:80`, each with an address of its own. Stop one with
-- Ctrl-C: it leaves the list at once. Stop one with `kill -STOP`: it leaves when its session has
-- expired, and after `kill -CONT` it registers itself again.
local zk = require "zklua"

local address = arg and arg[1] or zk.hostname() .. ":8080"
local seconds = tonumber(arg and arg[2]) or math.huge
local c = assert(zk.connect({ session_timeout = 4 }))

c:on("expired", function(lost)
  print(("the session has expired, %d nodes went with it; registering again"):format(#lost))
end)
c:on("state", function(state)
  print("state: " .. state)
end)

-- An ephemeral node that heals.
local entry, message, code = c:member("/demo/app/" .. address, "started " .. os.date("%H:%M:%S"))
while not entry and code == "NODEEXISTS" do
  print(message .. "; waiting for it to go") -- our own, perhaps, of before a crash
  assert(zk.sleep(1))
  entry, message, code = c:member("/demo/app/" .. address, "started " .. os.date("%H:%M:%S"))
end
assert(entry, message)
print("registered " .. address)

-- The work: a heartbeat in the entry's data.
local begun = zk.now()
while zk.now() - begun < seconds and zk.sleep(math.min(2, seconds)) do
  entry:set("alive at " .. os.date("%H:%M:%S"))
end

entry:close()
print("gone from the list")
c:close()
