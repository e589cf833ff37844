--- Two transcripts of one sequence, side by side: what differs, frame by frame.
---
--- Zxids need not be the same numbers: a one-to-one relation between the two servers' zxids must
--- exist that keeps their order. So too for session ids, which stand for the sequence's sessions.
--- Of times only whether they are set counts. Names of children, ephemeral paths and a
--- connection's identities are compared as sets, for servers give them in any order.
local codec = require("wire.codec")
local malformed = require("differential.malformed")
local words = require("differential.words")
local wire = require("zklua_testing").wire

local compare = {}

local HEADER_SIZE = 16
-- All that a frame can hold, in the order in which it is looked at: what a reply says of its own
-- zxid settles what that of a Stat should be.
local FIELDS = {
  "zxid", "xid", "code", "result", "rest", "odd", "op", "number", "path", "data", "items", "stat",
  "pzxid", "mzxid", "czxid", "ctime_ms", "mtime_ms", "version", "cversion", "aversion",
  "ephemeral_owner", "data_length", "children_count", "permissions", "scheme", "id", "type",
  "state", "timeout_ms", "has_readonly", "readonly", "session_id", "password", "size", "missing",
  "unordered", "early", "word", "values",
}
local ZXIDS = { czxid = true, mzxid = true, pzxid = true, zxid = true }
local TIMES = { ctime_ms = true, mtime_ms = true }
local SETS = { [8] = true, [12] = true, [103] = true, [107] = true }
local MULTI, MULTI_READ = 14, 22
local CLOSE_SESSION = -11
local UNREADABLE = -5
local TOO_LATE = { [-112] = true, [-12] = true } -- the session is ending, or is no more
local NO_ZXID = "0xffffffffffffffff"

-- Zxids -------------------------------------------------------------------------------------------

local function padded(zxid)
  return ("0"):rep(18 - #zxid) .. zxid:sub(3)
end

--- Whether one zxid of a server is before another.
function compare.zxid_less(a, b)
  return padded(a) < padded(b)
end

local Zxids = {}
Zxids.__index = Zxids

local function new_zxids()
  return setmetatable({ right_of = {}, left_of = {} }, Zxids)
end

--- Whether the two can be the same transaction, given all that was said before.
function Zxids:match(a, b)
  if a == nil or b == nil or a == NO_ZXID or b == NO_ZXID then
    return a == b
  end
  if self.right_of[a] == nil and self.left_of[b] == nil then
    self.right_of[a], self.left_of[b] = b, a
    return true
  end
  return self.right_of[a] == b
end

--- The first pair that is out of order, or nil.
function Zxids:disorder()
  local pairs_of = {}
  for a, b in pairs(self.right_of) do
    pairs_of[#pairs_of + 1] = { padded(a), padded(b) }
  end
  table.sort(pairs_of, function(x, y) return x[1] < y[1] end)
  for i = 2, #pairs_of do
    if pairs_of[i][2] <= pairs_of[i - 1][2] then
      return pairs_of[i]
    end
  end
end

-- Reading frames ----------------------------------------------------------------------------------

local function read_reply(item)
  local body = item.body
  local header = wire.decode(body, "reply_header")
  if not header then
    return { rest = codec.hex(body) }
  end
  local reply = { code = header.code or 0, zxid = header.zxid, xid = header.xid }
  local rest, op = body:sub(HEADER_SIZE + 1), item.request and item.request.op
  if reply.code == 0 and op then
    local result, left = wire.decode(rest, "result", op)
    if result then
      -- Where the codec reads a field twice or not at all, writing it again shows it.
      if op == MULTI or op == MULTI_READ then
        local again = wire.encode({ { "result", result } })
        reply.odd = again ~= rest:sub(1, #rest - left) and codec.hex(rest) or nil
      end
      reply.result, rest = result, rest:sub(#rest - left + 1)
    end
  end
  reply.rest = #rest > 0 and codec.hex(rest) or nil
  return reply
end

local function read_event(item)
  local header, left = wire.decode(item.body, "reply_header")
  local rest = item.body:sub(#item.body - left + 1)
  local event, behind = wire.decode(rest, "watch_event")
  if not event then
    return { rest = codec.hex(item.body) }
  end
  return {
    code = header.code or 0, zxid = header.zxid, type = event.type, state = event.state,
    path = event.path, rest = behind > 0 and codec.hex(rest) or nil,
  }
end

local function read_connect(item)
  local record = wire.decode(item.body, "connect_response")
  if not record then
    return { rest = codec.hex(item.body) }
  end
  local granted = record.session_id ~= nil
  return {
    timeout_ms = record.timeout_ms, has_readonly = record.has_readonly, readonly = record.readonly,
    session_id = record.session_id, size = #item.body,
    -- A granted session's password is the server's own affair.
    password = granted and #record.password or codec.hex(record.password or ""),
  }
end

local READERS = {
  reply = read_reply, event = read_event, connect = read_connect,
  stray = function(item) return { rest = codec.hex(item.body) } end,
  silence = function(item) return { missing = item.missing } end,
  mark = function(item) return { unordered = item.unordered } end,
  ["end"] = function() return {} end,
  lapse = function(item) return { early = item.early, missing = item.missing } end,
  word = words.read,
}

-- Comparing values --------------------------------------------------------------------------------

local function text_of(value)
  if type(value) == "table" then
    local parts, keys = {}, {}
    for key in pairs(value) do
      keys[#keys + 1] = key
    end
    table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
    for _, key in ipairs(keys) do
      local shown = text_of(value[key])
      parts[#parts + 1] = type(key) == "number" and shown or key .. "=" .. shown
    end
    return "{" .. table.concat(parts, " ") .. "}"
  elseif type(value) == "string" then
    if #value > 200 then
      return ("%q..%d bytes"):format(value:sub(1, 40), #value)
    end
    return (("%q"):format(value):gsub("[%z\1-\31\127-\255]", function(byte)
      return ("\\%d"):format(byte:byte())
    end))
  end
  return tostring(value)
end
compare.text = text_of

local function sorted(items)
  local texts = {}
  for i, item in ipairs(items) do
    texts[i] = text_of(item)
  end
  table.sort(texts)
  return texts
end

local Pair = {} -- two transcripts being compared
Pair.__index = Pair

function Pair:session_name(side, id)
  for number, session in pairs(self[side].sessions) do
    if session.id == id then
      return "session " .. number
    end
  end
  return id
end

--- Appends the names of the fields in which the two differ.
function Pair:differences(name, a, b, fields)
  if type(a) ~= "table" or type(b) ~= "table" then
    if a ~= b then
      fields[#fields + 1] = name
    end
    return
  end
  for _, key in ipairs(FIELDS) do
    if a[key] ~= nil or b[key] ~= nil then
      self:field(name == "" and key or name .. "." .. key, key, a, b, fields)
    end
  end
  for i = 1, math.max(#a, #b) do
    self:field(name .. "." .. i, i, a, b, fields)
  end
end

--- A four-letter word's answer: each value has a name of its own.
function Pair:values(left, right, fields)
  local names = {}
  for _, side in ipairs({ left, right }) do
    for name in pairs(side) do
      names[#names + 1] = name
    end
  end
  table.sort(names, function(a, b) return tostring(a) < tostring(b) end)
  for i, name in ipairs(names) do
    if name ~= names[i - 1] then
      self:field("values." .. name, name, left, right, fields)
    end
  end
end

function Pair:field(name, key, a, b, fields)
  local left, right = a[key], b[key]
  if ZXIDS[key] then
    if not self.zxids:match(left, right) then
      fields[#fields + 1] = name
    end
  elseif TIMES[key] then
    if (left == nil) ~= (right == nil) then
      fields[#fields + 1] = name
    end
  elseif key == "ephemeral_owner" or key == "session_id" then
    if self:session_name("left", left) ~= self:session_name("right", right) then
      fields[#fields + 1] = name
    end
  elseif key == "values" and left and right then
    self:values(left, right, fields)
  elseif key == "items" and left and right and SETS[a.op] then
    self:differences(name, sorted(left), sorted(right), fields)
  else
    self:differences(name, left, right, fields)
  end
end

-- Streams -----------------------------------------------------------------------------------------

-- Where the server chose the order of events, ours: by path and type.
local function order_events(items, first, last)
  local places, events = {}, {}
  for i = first, last do
    if items[i].kind == "event" then
      places[#places + 1], events[#events + 1] = i, items[i]
    end
  end
  table.sort(events, function(a, b)
    local left, right = a.body:sub(HEADER_SIZE + 1), b.body:sub(HEADER_SIZE + 1)
    local p, q = left:sub(9), right:sub(9)
    if p ~= q then
      return p < q
    end
    return left < right
  end)
  for i, place in ipairs(places) do
    items[place] = events[i]
  end
end

local function in_order(stream)
  local items, first, closing = {}, 1, false
  for i, item in ipairs(stream) do
    items[i] = item
    if item.kind == "reply" and item.request.op == CLOSE_SESSION then
      closing = true
    elseif item.kind == "mark" or item.kind == "end" then
      if item.unordered or closing then
        order_events(items, first, i)
      end
      first, closing = i + 1, false
    end
  end
  return items
end

local function xid_of(item)
  return item.request and item.request.xid
end

-- Whether both headers' zxids are those of the request itself.
local function names_its_write(frame)
  return frame.kind == "reply" and frame.left.code == 0 and frame.right.code == 0
    and malformed.is_write(frame.request.op)
end

--- One pair of items and the fields in which they differ. Zxids in headers of failures are looked
--- at later, so that those of successes have settled the relation.
function Pair:frame(where, left, right)
  local frame = {
    where = where, kind = left and left.kind or right.kind, request = (left or right).request,
    left = left and READERS[left.kind](left), right = right and READERS[right.kind](right),
    fields = {},
  }
  if not left or not right or left.kind ~= right.kind or xid_of(left) ~= xid_of(right) then
    frame.fields[1] = "kind"
    frame.left_kind, frame.right_kind = left and left.kind, right and right.kind
    return frame
  end
  local a, b = frame.left, frame.right
  if self.shared and a.code and not names_its_write(frame) then
    a.zxid, b.zxid = nil, nil -- that of whoever wrote last
  elseif a.code and (a.code ~= 0 or b.code ~= 0 or frame.kind == "event") then
    frame.left_zxid, frame.right_zxid = a.zxid, b.zxid
    a.zxid, b.zxid = nil, nil
    self.later[#self.later + 1] = frame
  end
  self:differences("", a, b, frame.fields)
  return frame
end

-- What the replies around an event say of the right server's zxid: right_before, right_after.
local function place_events(frames, first)
  local zxid
  local function note(frame, name)
    if frame.kind == "event" then
      frame[name] = zxid
    elseif frame.kind == "reply" and frame.right and frame.right_zxid ~= NO_ZXID then
      zxid = frame.right_zxid or frame.right.zxid or zxid
    end
  end
  for i = first, #frames do
    note(frames[i], "right_before")
  end
  zxid = nil
  for i = #frames, first, -1 do
    note(frames[i], "right_after")
  end
end

function Pair:stream(name, left, right)
  local first = #self.frames + 1
  self:match_stream(name, left, right)
  place_events(self.frames, first)
end

function Pair:match_stream(name, left, right)
  local a, b = in_order(left or {}), in_order(right or {})
  for i = 1, math.max(#a, #b) do
    local frame = self:frame({ stream = name, index = i }, a[i], b[i])
    self.frames[#self.frames + 1] = frame
    if frame.fields[1] == "kind" then
      return -- what follows would be compared with the wrong thing
    end
  end
end

local function rank_of(frame)
  if frame.kind == "event" then
    return 2
  end
  return frame.left.code == UNREADABLE and malformed.is_write(frame.request.op) and 3 or 1
end

function Pair:zxids_of_failures()
  for _, frame in ipairs(self.later) do
    frame.left.zxid, frame.right.zxid = frame.left_zxid, frame.right_zxid
  end
  -- An event's zxid is some reply's, and that of a write which could not be read settles nothing.
  for _, rank in ipairs({ 1, 2, 3 }) do
    for _, frame in ipairs(self.later) do
      if rank_of(frame) == rank and not self.zxids:match(frame.left_zxid, frame.right_zxid) then
        frame.fields[#frame.fields + 1] = "zxid"
      end
    end
  end
end

-- Behind the end of its session nothing is changed.
function Pair:late_answers()
  for _, side in ipairs({ "left", "right" }) do
    for _, item in ipairs(self[side].late or {}) do
      local reply = read_reply(item)
      local frame = {
        where = { stream = "late", index = 0 }, kind = "late", request = item.request,
        [side] = reply, fields = {},
      }
      local op = item.request.op
      if not TOO_LATE[reply.code] and op ~= CLOSE_SESSION and malformed.is_write(op) then
        frame.fields[1] = "code"
      end
      self.frames[#self.frames + 1] = frame
    end
  end
end

--- The frames in which two transcripts of one sequence differ, each with `fields`, the names of
--- what differs; and all frames. `shared`: other sequences ran at the same time.
---@return table[] differing, table[] frames, table zxids
function compare.transcripts(left, right, shared)
  local pair = setmetatable({
    left = left, right = right, shared = shared, zxids = new_zxids(), frames = {}, later = {},
  }, Pair)
  pair:stream("tree", left.tree, right.tree)
  local tree, count = pair.frames, 0
  pair.frames = {}
  for _, transcript in ipairs({ left, right }) do
    for number in pairs(transcript.streams) do
      count = math.max(count, number)
    end
  end
  for number = 1, count do
    pair:stream(number, left.streams[number], right.streams[number])
  end
  for _, frame in ipairs(tree) do -- the consequences behind their causes
    pair.frames[#pair.frames + 1] = frame
  end
  pair:zxids_of_failures()
  pair:stream("aside", left.aside, right.aside)
  pair:late_answers()
  local differing = {}
  for _, frame in ipairs(pair.frames) do
    if #frame.fields > 0 then
      differing[#differing + 1] = frame
    end
  end
  local disorder = pair.zxids:disorder()
  if disorder then
    differing[#differing + 1] = {
      where = { stream = "all", index = 0 }, kind = "zxids", fields = { "order" },
      left = { zxid = disorder[1] }, right = { zxid = disorder[2] },
    }
  end
  return differing, pair.frames, pair.zxids
end

return compare
