--- Bytes that are no request: records that end early, lengths that lie, multis that are none, and
--- frames after which a server closes the connection.
local codec = require("wire.codec")
local wire = require("zklua_testing").wire

local int, str = codec.int, codec.str

local malformed = {}

local FRAME_MAX = 1048575
local WORLD = { permissions = 31, scheme = "world", id = "anyone" }
local WRITES = {
  [1] = true, [2] = true, [5] = true, [7] = true, [14] = true, [15] = true, [16] = true,
  [19] = true, [20] = true, [21] = true, [-11] = true,
}

--- Whether an operation consumes a zxid even when it cannot be read.
function malformed.is_write(op)
  return WRITES[op] or false
end

local function body(record)
  return (wire.encode({ { "request", record } }))
end

local function header(op, done)
  return int(op) .. (done and "\1" or "\0") .. int(-1)
end

-- One well-formed record of each kind below `root`, to be spoilt.
local function examples(root)
  local path = root .. "/m"
  return {
    { op = 1, path = path, data = "d", acl = { WORLD }, flags = 0 },
    { op = 15, path = path, data = "d", acl = { WORLD }, flags = 1 },
    { op = 19, path = path, data = "d", acl = { WORLD }, flags = 4 },
    { op = 21, path = path, data = "d", acl = { WORLD }, flags = 5, ttl_ms = "0x3e8" },
    { op = 2, path = path, version = -1 },
    { op = 3, path = path }, { op = 4, path = path }, { op = 8, path = path },
    { op = 12, path = path }, { op = 6, path = path }, { op = 104, path = path },
    { op = 9, path = path }, { op = 103, path = path },
    { op = 5, path = path, data = "d", version = -1 },
    { op = 7, path = path, acl = { WORLD }, version = -1 },
    { op = 16, joining = "", leaving = "", members = "", zxid = -1 },
    { op = 17, path = path, kind = 3 }, { op = 18, path = path, kind = 3 },
    { op = 106, path = path, kind = 0 },
    { op = 101, data_watches = { path }, exist_watches = {}, child_watches = { path } },
    { op = 105, data_watches = {}, exist_watches = { path }, child_watches = {},
      persistent_watches = {}, recursive_watches = { path } },
    { op = 14, operations = { { op = 2, path = path, version = -1 } } },
    { op = 22, operations = { { op = 4, path = path } } },
  }
end

local function cut_short(g)
  local record = g.random:pick(examples(g.root))
  local bytes = body(record)
  return record.op, bytes:sub(1, g.random:below(#bytes))
end

local TOO_LONG = { 2147483647, 1048576, 100000 }
local NO_LENGTH = { -2, -2147483648 } -- for a string: as the count of a list Apache takes it for 0

-- The first string's or list's length lies.
local function wrong_length(g)
  local record = g.random:pick(examples(g.root))
  local bytes = body(record)
  local at, length = 1, g.random:pick(g.random:chance(50) and NO_LENGTH or TOO_LONG)
  if record.op == 101 or record.op == 105 then
    at, length = 9, g.random:pick(TOO_LONG)
  elseif record.op == 14 or record.op == 22 then
    at = 10
  end
  return record.op, bytes:sub(1, at - 1) .. int(length) .. bytes:sub(at + 4)
end

local function wrong_acl_count(g)
  local op, count = g.random:pick({ 1, 15, 19 }), g.random:pick({ -2, 1000, 2147483647, 2 })
  return op, str(g.root .. "/m") .. str("d") .. int(count) .. int(31) .. str("world")
    .. str("anyone") .. int(op == 19 and 4 or 0), count < 0
end

-- A path that is null, for the operations over which Apache stumbles: to the others it is a path.
local function null_path(g)
  local record = g.random:pick(examples(g.root))
  while not record.path or record.op == 18 or record.op == 106 do
    record = g.random:pick(examples(g.root))
  end
  record.path = nil
  return record.op, body(record)
end

local function wrong_multi(g)
  local check = header(13) .. str(g.root) .. int(-1)
  local get = header(4) .. str(g.root) .. "\0"
  return g.random:weighted({
    3, 14, 2, 22,
  }), g.random:pick({
    check, get, check .. header(99) .. str(g.root) .. header(-1, true),
    check .. get .. header(-1, true), header(14) .. header(-1, true) .. header(-1, true),
    check .. header(-1), header(-11) .. header(-1, true), header(100) .. header(-1, true),
    check .. header(3) .. str(g.root) .. "\0" .. header(-1, true), "", "\0",
    header(20) .. str(g.root .. "/m") .. header(-1, true),
  })
end

local function multi_read_of_writes(g)
  local operation = g.random:pick({
    header(13) .. str(g.root) .. int(-1), header(2) .. str(g.root .. "/m") .. int(-1),
  })
  return 22, operation .. header(-1, true)
end

--- A request that is answered by an error while the connection goes on.
---@return integer op, string body, boolean|nil negative_count
function malformed.request(g)
  return g.random:weighted({
    5, cut_short, 3, wrong_length, 2, wrong_acl_count, 3, wrong_multi, 1, multi_read_of_writes,
    3, null_path,
  })(g)
end

local UNKNOWN = { 10, 23, 24, 50, 99, 108, 1000, 2147483647, -2, -12, -100, 0 }

--- Frames, with their lengths, after which the connection is closed; `answers` when a reply with
--- the request's xid comes before that.
---@return string bytes, boolean answers
function malformed.ending(g, xid)
  local which = g.random:below(10)
  if which < 5 then
    local rest = g.random:pick({ "", str(g.root), "garbage" })
    local frame = int(xid) .. int(g.random:pick(UNKNOWN)) .. rest
    return int(#frame) .. frame, true
  elseif which < 7 then
    return int(g.random:pick({ -1, -2147483648, FRAME_MAX + 1, 2147483647 })), false
  end
  local short = ("\0"):rep(g.random:below(8))
  return int(#short) .. short, false
end

malformed.FRAME_MAX = FRAME_MAX

return malformed
