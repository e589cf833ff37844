-- A barrier: nobody goes on before all have come, and nobody leaves before all are done.
--
-- Run it in three terminals: `tools/run scripts/barrier.lua`. The first two wait; with the third
-- all start at the same moment, work for a while, and end at the same moment. Kill one that
-- waits: it does not count any more. Another number of parties: `tools/run scripts/barrier.lua 2`.
local zk = require "zklua"

local parties = tonumber(arg and arg[1]) or 3
local patience = tonumber(arg and arg[2]) -- seconds; none: for ever
local c = assert(zk.connect({ session_timeout = 6 }))
local barrier = c:barrier("/demo/barrier", { parties = parties })

print(("waiting until %d are here"):format(parties))
local ok, message = barrier:enter({ wait = patience })
if not ok then
  print(message)
  return c:close()
end

local work = 1 + (tonumber(c:session().id:sub(-2), 16) or 0) % 4
print(("all here; working for %d seconds"):format(work))
zk.sleep(work)

print("done; waiting for the others")
print(barrier:leave() and "all done" or "interrupted")
c:close()
