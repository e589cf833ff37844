--- A connection above all ACLs, beside those of a sequence: makes the root, looks at what is there,
--- reads what was left and takes it away. What it is told is compared where the player says so.
local peer = require("differential.peer")
local wire = require("zklua_testing").wire

local janitor = {}

local HEADER_SIZE = 16
local TIMEOUT_MS = 60000
local CLOSE_SESSION = -11
local NO_NODE = -101

local Janitor = {}
Janitor.__index = Janitor

--- `owner` as in link.lua.
function janitor.new(owner)
  return setmetatable({ _owner = owner }, Janitor)
end

-- Its connection, opened anew when the server has closed it.
local function connection(self)
  if self.peer and not self.peer.link.closed then
    return self.peer
  end
  self.peer = peer.open(self._owner, {}, {})
  self.peer:greet({ timeout_ms = TIMEOUT_MS })
  self.peer:send({ { xid = 1, op = 100,
    record = { op = 100, scheme = "digest", data = "super:admin" } } })
  self.peer:settle()
  return self.peer
end

--- Sends the records at once; gives what came back, as items of a stream.
---@param records table[]
---@return table[]
function Janitor:ask(records)
  local list, place = {}, connection(self)
  for i, record in ipairs(records) do
    list[i] = { xid = i, op = record.op, record = record }
  end
  local first = #place.stream + 1
  place:send(list)
  place:settle()
  local replies = {}
  for i = first, #place.stream do
    replies[#replies + 1] = place.stream[i]
  end
  place.stream = {}
  return replies
end

--- Those of `paths` at which nothing is.
---@param paths string[]
---@return table<string, boolean>
function Janitor:missing(paths)
  local records, gone = {}, {}
  for i, path in ipairs(paths) do
    records[i] = { op = 3, path = path }
  end
  for i, reply in ipairs(self:ask(records)) do
    if reply.kind == "reply" and peer.i32_at(reply.body, 13) == NO_NODE then
      gone[paths[i]] = true
    end
  end
  return gone
end

local function children(reply)
  if not reply or reply.kind ~= "reply" or peer.i32_at(reply.body, 13) ~= 0 then
    return {}
  end
  local result = wire.decode(reply.body:sub(HEADER_SIZE + 1), "result", 8)
  local names = result and result.items or {}
  table.sort(names)
  return names
end

--- All paths below and at `top`, parents first; what was read is appended to `tree`.
---@param top string
---@param tree table[]
---@return string[]
function Janitor:walk(top, tree)
  local all, level = {}, { top }
  while #level > 0 do
    local records = {}
    for _, path in ipairs(level) do
      records[#records + 1] = { op = 8, path = path }
      records[#records + 1] = { op = 4, path = path }
      records[#records + 1] = { op = 6, path = path }
    end
    local replies, below = self:ask(records), {}
    for i, path in ipairs(level) do
      all[#all + 1] = path
      for _, name in ipairs(children(replies[3 * i - 2])) do
        below[#below + 1] = path .. "/" .. name
      end
    end
    for _, reply in ipairs(replies) do
      tree[#tree + 1] = reply
    end
    level = below
  end
  return all
end

--- Deletes what `walk` gave.
---@param paths string[]
function Janitor:sweep(paths)
  local records = {}
  for i = #paths, 1, -1 do
    records[#records + 1] = { op = 2, path = paths[i], version = -1 }
  end
  self:ask(records)
end

--- Ends its session.
function Janitor:finish()
  local place = self.peer
  if place and not place.link.closed then
    place:send({ { xid = 1, op = CLOSE_SESSION, record = { op = CLOSE_SESSION } } })
    place:settle(true)
  end
end

return janitor
