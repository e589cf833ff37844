--- What passes between a client and a simulated server, in words, for the story of a run.
---
--- A tap listens to both directions of one connection, puts frames together and says each request,
--- reply and event as one line. Only what is kept as text has taps: nothing of this is in the hash.
local core = require "zklua.core"

local Tap = {}
Tap.__index = Tap

local M = {}

local NAMES = {
  [1] = "create", [2] = "delete", [3] = "exists", [4] = "get", [5] = "set", [6] = "get_acl",
  [7] = "set_acl", [8] = "children", [9] = "sync", [12] = "children", [13] = "check",
  [14] = "multi", [15] = "create", [16] = "reconfig", [17] = "check_watches",
  [18] = "remove_watches", [19] = "create", [20] = "delete_container", [21] = "create",
  [22] = "read_many", [100] = "add_auth", [101] = "set_watches", [102] = "sasl",
  [103] = "ephemerals", [104] = "count_children", [105] = "set_watches", [106] = "add_watch",
  [107] = "whoami", [-11] = "close the session",
}
local EVENTS = { [1] = "created", [2] = "deleted", [3] = "changed", [4] = "children" }
local PING, MULTI, READ_MANY = 11, 14, 22
local WITHOUT_PATH = { [100] = true, [101] = true, [102] = true, [105] = true, [-11] = true,
  [16] = true, [107] = true }
local CREATES = { [1] = true, [15] = true, [19] = true, [21] = true }
--- Of a multi, so many of its operations are told.
local TOLD_MAX = 4

local codes = {}
for name, code in pairs(core.codes) do
  codes[code] = name
end

-- Reading: each takes a position and gives the value and the position behind it ------------------

local function int(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  local value = ((a * 256 + b) * 256 + c) * 256 + d
  return value < 2 ^ 31 and value or value - 2 ^ 32, at + 4
end

local function text(bytes, at)
  local size
  size, at = int(bytes, at)
  size = math.max(size, 0)
  return bytes:sub(at, at + size - 1), at + size
end

local function skip_acl(bytes, at)
  local count
  count, at = int(bytes, at)
  for _ = 1, count do
    local _
    _, at = text(bytes, at + 4)
    _, at = text(bytes, at)
  end
  return at
end

-- One operation of a multi: its words, and where the next begins.
local function part(bytes, at, op)
  local path, _
  path, at = text(bytes, at)
  if op == 5 or CREATES[op] then
    _, at = text(bytes, at)
  end
  if CREATES[op] then
    at = skip_acl(bytes, at) + (op == 21 and 12 or 4)
  elseif op == 4 or op == 8 then
    at = at + 1
  else
    at = at + 4
  end
  return (NAMES[op] or "operation " .. op) .. " " .. path, at
end

local function parts(bytes, at)
  local told, count = {}, 0
  while true do
    local op = int(bytes, at)
    local done = bytes:byte(at + 4) ~= 0
    at = at + 9
    if done then
      break
    end
    local words
    words, at = part(bytes, at, op)
    count = count + 1
    told[#told + 1] = count <= TOLD_MAX and words or nil
  end
  return table.concat(told, ", ") .. (count > TOLD_MAX and (" and %d more"):format(count - TOLD_MAX)
    or "")
end

-- Frames ------------------------------------------------------------------------------------------

local function hex(bytes)
  return "0x" .. bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end):gsub("^0+(.)", "%1")
end

function Tap:request(frame)
  if not self.greeted then -- version, zxid, timeout, session, password
    self.greeted = true
    local id = hex(frame:sub(17, 24))
    local which = id == "0x0" and "a new session" or "session " .. id
    return ("> connect, %s, timeout %g s"):format(which, int(frame, 13) / 1000)
  end
  local xid, op = int(frame, 1), int(frame, 5)
  if op == PING then
    return nil
  end
  local words = NAMES[op] or "operation " .. op
  if op == MULTI or op == READ_MANY then
    words = words .. " (" .. parts(frame, 9) .. ")"
  elseif not WITHOUT_PATH[op] then
    words = words .. " " .. text(frame, 9)
  end
  self.asked[xid] = words
  return "> " .. words
end

function Tap:reply(frame)
  if not self.answered then -- version, timeout, session
    self.answered = true
    local id = hex(frame:sub(9, 16))
    return id == "0x0" and "< no such session" or ("< session %s, timeout %g s"):format(id,
      int(frame, 5) / 1000)
  end
  local xid, code = int(frame, 1), int(frame, 13)
  if xid == -2 then
    return nil
  elseif xid == -1 then
    local kind = int(frame, 17)
    return ("< event: %s %s"):format(EVENTS[kind] or "type " .. kind, (text(frame, 25)))
  end
  local words = self.asked[xid] or "request " .. xid
  self.asked[xid] = nil
  local path = code == 0 and words:match("^create (.*)")
  local made = path and text(frame, 17)
  return ("< %s: %s%s"):format(words, code == 0 and "ok" or codes[code] or code,
    made ~= path and " as " .. made or "")
end

-- Calls `say` for each whole frame in what has come so far; returns the rest.
local function take(self, bytes, say)
  local at = 1
  while #bytes - at + 1 >= 4 do
    local size = int(bytes, at)
    if size < 0 or #bytes - at + 1 < 4 + size then
      break
    end
    local ok, words = pcall(say, self, bytes:sub(at + 4, at + 3 + size))
    if not ok then
      words = "? something that is not ZooKeeper" -- it may be the trial's will
    end
    if words then
      self.world:note(self.who, words)
    end
    at = at + 4 + size
  end
  return bytes:sub(at)
end

--- What the client sends has arrived.
function Tap:feed(bytes)
  self.incoming = take(self, self.incoming .. bytes, Tap.request)
end

--- What the server answers leaves.
function Tap:output(bytes)
  self.outgoing = take(self, self.outgoing .. bytes, Tap.reply)
end

--- A tap on a connection of the process `who`.
function M.new(world, who)
  return setmetatable({
    world = world, who = who, incoming = "", outgoing = "", asked = {},
    greeted = false, answered = false,
  }, Tap)
end

return M
