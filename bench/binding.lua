--- What the binding costs per request: submit, and the conversion of the reply to Lua values.
--- The peer's replies are strings made beforehand: nothing of it is measured but their feeding.
---
---   lua5.4 bench/binding.lua [ROUNDS]     (luajit as well)
---
--- Prints, per operation, the median over the rounds of microseconds of CPU time per request for
--- submit, for event, and for the bytes in between (output and feed).
local root = (arg[0]:match("^(.*)bench/[^/]*$") or "./")
local build = os.getenv("ZKLUA_BUILD") or (root .. "build/release")
package.cpath = ("%s/%s/?.so;"):format(build, jit and "luajit" or "lua5.4") .. package.cpath
package.path = root .. "tests/?.lua;" .. package.path

local core = require("zklua.core")
local frames = require("support.frames")
local peer = require("support.peer")

local BATCH, BATCHES = 1000, 40
local rounds = tonumber(arg[1] or 5)

local stat = frames.stat({ czxid = 4294967298, mzxid = 4294967299, pzxid = 4294967300,
  ctime = 1700000000000, mtime = 1700000002000, version = 2, data_length = 100 })
local data = ("x"):rep(100)

local cases = {
  { "get", frames.string(data) .. stat, function(client) return client:get("/bench/node") end },
  { "set", stat, function(client) return client:set("/bench/node", data, -1) end },
  { "create", frames.string("/bench/n-0000000001") .. stat, function(client)
    return client:create("/bench/n-", data, nil, 3)
  end },
  { "delete", "", function(client) return client:delete("/bench/node", -1) end },
  { "exists: NONODE", nil, function(client) return client:exists("/bench/node") end },
  { "multi of 2", frames.multi_result(13) .. frames.multi_result(5, stat) .. frames.multi_end,
    function(client)
      return client:multi({ { "check", "/bench/a", -1 }, { "set", "/bench/b", data, -1 } })
    end },
}

--- The whole conversation's replies, in batches: made first, so that the collector has nothing
--- to do in between but what the measured calls leave behind.
local function canned(case, first_xid)
  local batches = {}
  for batch = 1, BATCHES do
    local replies = {}
    for i = 1, BATCH do
      replies[i] = frames.reply(first_xid + (batch - 1) * BATCH + i, 4294967300,
        case[2] and 0 or -101, case[2])
    end
    batches[batch] = table.concat(replies)
  end
  return batches
end

--- One round: microseconds per request for submit, output and feed, event.
local function measure(case)
  local client = core.client({ endpoints = { "peer:1" }, session_timeout = 30 })
  local attached = peer.attach(client)
  local submit, clock = case[3], os.clock -- CPU time: others may run beside us
  local first_xid = submit(client)
  attached:answer(0, case[2] or stat)
  local batches = canned(case, first_xid)
  local submitting, moving, taking = 0, 0, 0
  collectgarbage()
  for batch = 1, BATCHES do
    local start = clock()
    for _ = 1, BATCH do
      submit(client)
    end
    local submitted = clock()
    while client:output(attached.link) do end
    client:feed(attached.link, batches[batch])
    local moved = clock()
    for _ = 1, BATCH do
      local kind = client:event()
      if kind ~= "reply" then
        error("not a reply but " .. tostring(kind))
      end
    end
    local taken = clock()
    submitting, moving, taking = submitting + submitted - start, moving + moved - submitted,
      taking + taken - moved
    client:tick()
  end
  local count = BATCH * BATCHES / 1e6
  return { submitting / count, moving / count, taking / count }
end

local function median(list)
  table.sort(list)
  return list[math.floor(#list / 2) + 1]
end

print(("%-16s %8s %8s %8s %8s   us of CPU per request, median of %d rounds, %s"):format("operation",
  "submit", "bytes", "event", "all", rounds, jit and jit.version or _VERSION))
for _, case in ipairs(cases) do
  local columns = { {}, {}, {}, {} }
  for round = 1, rounds do
    local times = measure(case)
    for i = 1, 3 do
      columns[i][round] = times[i]
    end
    columns[4][round] = times[1] + times[2] + times[3]
  end
  print(("%-16s %8.3f %8.3f %8.3f %8.3f"):format(case[1], median(columns[1]), median(columns[2]),
    median(columns[3]), median(columns[4])))
end
