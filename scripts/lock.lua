-- A lock: of all the programs that run this, one at a time is inside.
--
-- Run it in two or three terminals: `tools/run scripts/lock.lua`. They take turns, first come
-- first served. Stop the one that is inside with Ctrl-C, or kill it with `kill -9`: the next goes in
-- at once. With a server on another machine the killed one's session has to expire first.
-- `tools/run scripts/lock.lua 5 1` stays inside for 5 seconds and comes once.
local zk = require "zklua"

local stay = tonumber(arg and arg[1]) or 3
local turns = tonumber(arg and arg[2]) or 5
local c = assert(zk.connect({ session_timeout = 6 }))
local lock = c:lock("/demo/lock")
assert(c:ensure("/demo/last-turn"))

for turn = 1, turns do
  for place, contender in ipairs(assert(lock:contenders())) do
    print(place == 1 and "  inside now:" or "  waiting:", contender.id)
  end

  local ok, message = lock:with(function(held)
    print(("inside, turn %d of %d, token %s"):format(turn, turns, held.token_text))
    -- A guarded write: refused by the server once somebody else holds the lock.
    assert(held:set("/demo/last-turn", zk.hostname()))
    return held:sleep(stay) -- true; false as soon as the lock is lost; nil when interrupted
  end)
  print(ok and "outside" or message)
  if not zk.sleep(0.1) then
    break -- Ctrl-C: the lock is free already
  end
end
c:close()
