--- How often each operation was answered by each code, and which of the answers that can be had
--- from a server on its own never came.
local wire = require("zklua_testing").wire

local hits = {}

hits.NAMES = {
  [1] = "create", [2] = "delete", [3] = "exists", [4] = "getData", [5] = "setData",
  [6] = "getACL", [7] = "setACL", [8] = "getChildren", [9] = "sync", [11] = "ping",
  [12] = "getChildren2", [13] = "check", [14] = "multi", [15] = "create2", [16] = "reconfig",
  [17] = "checkWatches", [18] = "removeWatches", [19] = "createContainer",
  [20] = "deleteContainer", [21] = "createTTL", [22] = "multiRead", [100] = "auth",
  [101] = "setWatches", [102] = "sasl", [103] = "getEphemerals", [104] = "getAllChildrenNumber",
  [105] = "setWatches2", [106] = "addWatch", [107] = "whoAmI", [-11] = "closeSession",
  [0] = "(unknown)",
}

local CREATE = { 0, -5, -8, -101, -102, -108, -110, -114, -125 }
local READ = { 0, -5, -101, -102 }

-- Codes of the wire protocol that a standalone server gives to a client that waits for its
-- answers. Left out: -112 (Apache gives it to what comes behind closeSession and before the end of
-- the connection, as its threads run; we give nothing), and what needs a quorum,
-- a read-only server, required authentication or throttling.
hits.REACHABLE = {
  [1] = CREATE, [15] = CREATE, [19] = CREATE,
  [21] = { 0, -5, -6, -8, -101, -102, -108, -110, -114, -125 },
  [2] = { 0, -5, -8, -101, -102, -103, -111 },
  [3] = { 0, -5, -8, -101, -102 },
  [4] = READ, [6] = READ, [8] = READ, [12] = READ, [104] = READ,
  [5] = { 0, -5, -8, -101, -102, -103, -125 },
  [7] = { 0, -5, -8, -101, -102, -103, -114 },
  [9] = { 0, -5 }, [11] = { 0 }, [13] = { 0, -8, -101, -102, -103 },
  [14] = { 0, -5 }, [22] = { 0, -5 },
  [16] = { -5, -6, -123 },
  [17] = { 0, -5, -121 }, [18] = { 0, -5, -121 },
  [20] = { -8 }, [100] = { 0, -115 }, [102] = { 0 },
  [101] = { 0, -5 }, [105] = { 0, -5 }, [106] = { 0, -5 },
  [103] = { 0, -5 }, [107] = { 0 }, [-11] = { 0 }, [0] = { -6 },
}

local Hits = {}
Hits.__index = Hits

function hits.new()
  return setmetatable({ counts = {} }, Hits)
end

function Hits:add(op, code)
  local row = self.counts[op] or {}
  self.counts[op] = row
  row[code] = (row[code] or 0) + 1
end

--- A reply as compare.lua reads it; the parts of a multi count for themselves.
function Hits:reply(request, reply)
  if request.xid == 0 or not reply.code then
    return -- a ping of our own
  end
  self:add(request.op, reply.code)
  local items = reply.result and reply.result.items
  local operations = request.record and request.record.operations
  if items and operations then
    for i, item in ipairs(items) do
      self:add(operations[i].op, item.op == -1 and (item.number or 0) or 0)
    end
  end
end

--- What can be reached and was not, as texts.
---@return string[]
function Hits:missing()
  local missing = {}
  for op, codes in pairs(hits.REACHABLE) do
    for _, code in ipairs(codes) do
      if not (self.counts[op] and self.counts[op][code]) then
        missing[#missing + 1] = ("%s %d"):format(hits.NAMES[op], code)
      end
    end
  end
  table.sort(missing)
  return missing
end

local function sorted_keys(map)
  local keys = {}
  for key in pairs(map) do
    keys[#keys + 1] = key
  end
  table.sort(keys)
  return keys
end

--- The table, a line per operation.
---@return string
function Hits:report()
  local lines = {}
  for _, op in ipairs(sorted_keys(self.counts)) do
    local parts, codes = {}, sorted_keys(self.counts[op])
    for i = #codes, 1, -1 do
      local name = wire.code_name(codes[i]) or "?"
      parts[#parts + 1] = ("%s(%d) %d"):format(name, codes[i], self.counts[op][codes[i]])
    end
    lines[#lines + 1] = ("%-22s %s"):format(hits.NAMES[op] or tostring(op),
      table.concat(parts, "  "))
  end
  return table.concat(lines, "\n")
end

return hits
