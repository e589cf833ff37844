--- What the codec costs: nanoseconds to read a getData reply and to write its request.
---
---   LUA_CPATH="build/release/lua5.4/?.so" lua5.4 bench/wire.lua
local wire = require("zklua_testing").wire

local ROUNDS = 5
local COUNT = 10000000

-- A reply's header, five bytes of data and a stat.
local reply = wire.encode({
  { "reply_header", { xid = 1, zxid = "0x100000007" } },
  { "result", { op = 4, data = "hello", stat = {
    czxid = "0x100000002", mzxid = "0x100000003", version = 1, data_length = 5,
    pzxid = "0x100000006",
  } } },
})

for _, case in ipairs({ { "read a getData reply", true }, { "write a getData request", false } }) do
  local times = {}
  for round = 1, ROUNDS do
    local start = os.clock()
    wire.bench(reply, COUNT, case[2])
    times[round] = (os.clock() - start) / COUNT * 1e9
  end
  table.sort(times)
  print(("%-24s %5.1f ns  (median of %d, best %.1f, worst %.1f)")
    :format(case[1], times[(ROUNDS + 1) / 2], ROUNDS, times[1], times[ROUNDS]))
end
