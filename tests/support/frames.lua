--- ZooKeeper's frames, put together and taken apart by hand: independent of the codec that the
--- specs check with them. Numbers of 64 bits are numbers, or "0x..." texts where they are long.
local frames = {}

local floor, char, concat = math.floor, string.char, table.concat

--- Big-endian, negative ones in two's complement.
local function bytes_of(number, count)
  local out = {}
  for i = count, 1, -1 do
    out[i] = char(number % 256)
    number = floor(number / 256)
  end
  return concat(out)
end

function frames.i32(number)
  return bytes_of(number, 4)
end

function frames.i64(number)
  if type(number) == "string" then
    local digits = number:match("^0x(%x+)$")
    digits = ("0"):rep(16 - #digits) .. digits
    return (digits:gsub("%x%x", function(pair)
      return char(tonumber(pair, 16))
    end))
  end
  return bytes_of(number, 8)
end

--- nil is the protocol's null.
function frames.string(text)
  if text == nil then
    return frames.i32(-1)
  end
  return frames.i32(#text) .. text
end

--- A vector of what `encode` makes of each item.
function frames.vector(items, encode)
  local out = { frames.i32(#items) }
  for i, item in ipairs(items) do
    out[i + 1] = encode(item)
  end
  return concat(out)
end

function frames.strings(items)
  return frames.vector(items, frames.string)
end

function frames.acl(items)
  return frames.vector(items, function(entry)
    return frames.i32(entry.perms) .. frames.string(entry.scheme) .. frames.string(entry.id)
  end)
end

--- Fields as in zklua.Stat; absent ones are 0.
function frames.stat(stat)
  local i32, i64 = frames.i32, frames.i64
  return i64(stat.czxid or 0) .. i64(stat.mzxid or 0) .. i64(stat.ctime or 0)
    .. i64(stat.mtime or 0) .. i32(stat.version or 0) .. i32(stat.cversion or 0)
    .. i32(stat.aversion or 0) .. i64(stat.ephemeral_owner or 0) .. i32(stat.data_length or 0)
    .. i32(stat.children_count or 0) .. i64(stat.pzxid or 0)
end

function frames.frame(body)
  return frames.i32(#body) .. body
end

--- options: timeout (milliseconds), id, password (16 bytes), readonly
function frames.connect_response(options)
  return frames.frame(frames.i32(0) .. frames.i32(options.timeout) .. frames.i64(options.id)
    .. frames.string(options.password or ("p"):rep(16)) .. char(options.readonly and 1 or 0))
end

function frames.reply(xid, zxid, code, body)
  return frames.frame(frames.i32(xid) .. frames.i64(zxid) .. frames.i32(code) .. (body or ""))
end

--- kind: 1 created, 2 deleted, 3 changed, 4 children
function frames.watch_event(kind, path, zxid)
  return frames.reply(-1, zxid or -1, 0, frames.i32(kind) .. frames.i32(3) .. frames.string(path))
end

--- One result of a multi: its op, or -1 with `code`, and its record.
function frames.multi_result(op, record)
  return frames.i32(op) .. "\0" .. frames.i32(0) .. (record or "")
end

function frames.multi_error(code)
  return frames.i32(-1) .. "\0" .. frames.i32(code) .. frames.i32(code)
end

frames.multi_end = frames.i32(-1) .. "\1" .. frames.i32(-1)

local function read_u32(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  return ((a * 256 + b) * 256 + c) * 256 + d
end

function frames.read_i32(bytes, at)
  local number = read_u32(bytes, at or 1)
  return number >= 2 ^ 31 and number - 2 ^ 32 or number
end

--- The bodies of whole frames, and what is left over.
function frames.split(bytes)
  local bodies, at = {}, 1
  while #bytes - at + 1 >= 4 do
    local size = read_u32(bytes, at)
    if #bytes - at - 3 < size then
      break
    end
    bodies[#bodies + 1] = bytes:sub(at + 4, at + 3 + size)
    at = at + 4 + size
  end
  return bodies, bytes:sub(at)
end

return frames
