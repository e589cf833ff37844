--- zklua_memory.lua PORT COUNT: resident memory of one task as it makes COUNT gets.
local uv = require("luv")
local zk = require("zklua")

local port, count = arg[1], tonumber(arg[2])
local c = assert(zk.connect("127.0.0.1:" .. port, { session_timeout = 30 }))
local root = "/bench-memory-" .. uv.os_getpid()

local function main()
  assert(c:create(root, ("\0"):rep(100)))
  for i = 1, count do
    assert(c:get(root))
    if i % math.floor(count / 10) == 0 then
      print(("gets=%d resident_kb=%.0f lua_kb=%.0f"):format(
        i, uv.resident_set_memory() / 1024, collectgarbage("count")))
    end
  end
  assert(c:delete(root))
  c:close()
  return true
end

assert(zk.spawn(main):wait(3600))
