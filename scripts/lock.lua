-- A lock: of all the programs that run this, one at a time is inside.
--
-- Run it in two or three terminals: `tools/run scripts/lock.lua`. They take turns, first come
-- first served. Kill the one that is inside with Ctrl-C: the next goes in at once. Kill it with
-- `kill -9`: the next goes in when the session of the dead one has expired.
-- `tools/run scripts/lock.lua 5 1` stays inside for 5 seconds and comes once.
local zk = require "zklua"

local stay = tonumber(arg and arg[1]) or 3
local turns = tonumber(arg and arg[2]) or 5
local c = assert(zk.connect({ session_timeout = 6 }))
local lock = c:lock("/demo/lock")
assert(c:ensure("/demo/last-turn"))

for turn = 1, turns do
  local busy, _, code = lock:try()
  if busy then
    busy:release()
  elseif code == "BUSY" then
    for place, contender in ipairs(assert(lock:contenders())) do
      print(place == 1 and "  inside:" or "  waiting:", contender.id)
    end
  end

  local ok, message = lock:with(function(held)
    print(("inside, turn %d of %d, token %s"):format(turn, turns, held.token_text))
    -- A guarded write: refused by the server once somebody else holds the lock.
    assert(held:set("/demo/last-turn", c:session().id))
    if not held:sleep(stay) then -- false as soon as the lock is lost
      print("lost it!")
    end
  end)
  print(ok and "outside" or message)
  if not ok and not zk.sleep(0.1) then
    break -- cancelled: Ctrl-C
  end
end
c:close()
