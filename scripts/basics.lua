-- The data of ZooKeeper: a tree of small nodes that every program sees alike.
--
-- Run it in two terminals: `tools/run scripts/basics.lua`. Each prints what the other does to
-- /demo/basics as it happens. In a third one change something yourself:
--   tools/run -e 'local c = zk.connect(); c:set("/demo/basics/colour", "blue", { create = true })'
-- Give it a number of seconds to watch longer: `tools/run scripts/basics.lua 60`.
local zk = require "zklua"

local seconds = tonumber(arg and arg[1]) or 3
local c = assert(zk.connect())
local base = "/demo/basics"
assert(c:ensure(base))

-- Every event below `base`, in the order in which the server applied the changes.
local watcher = zk.spawn(function()
  for event in assert(c:watch(base, { recursive = true })) do
    print(("  watch: %-8s %s"):format(event.type, event.path))
  end
end)
assert(zk.sleep(0.1)) -- let it set its watch

-- A node that goes when this program does, with a number that the server appends.
local mine = assert(c:create(base .. "/visitor-", "pid " .. zk.hostname(), {
  ephemeral = true, sequential = true,
}))
print("created", mine)

-- Three answers: a stat, false (surely absent), or nil and why it is not known.
local colour = base .. "/colour"
if c:exists(colour) == false then
  assert(c:create(colour, "red"))
end
local data, stat = assert(c:get(colour))
print("read", colour, data, "version " .. stat.version)

-- Written only if nobody has written since we read.
local written, message, code = c:set(colour, data == "red" and "green" or "red",
  { version = stat.version })
print("set", written and "version " .. written.version or message, code or "")

-- All or nothing.
assert(c:transaction():create(base .. "/a", "1"):create(base .. "/b", "2"):commit())
assert(c:transaction():delete(base .. "/a"):delete(base .. "/b"):commit())

print(("watching %s for %g seconds"):format(base, seconds))
zk.sleep(seconds)
assert(c:delete(mine))
zk.sleep(0.1)
watcher:cancel()
c:close()
