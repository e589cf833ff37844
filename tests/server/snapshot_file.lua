--- Reads a snapshot as server-semantics describes the file, and knows nothing of who wrote it.
local checksum = require("server.checksum")
local codec = require("wire.codec")

local snapshot_file = {}

local function reader(bytes)
  local at = 1
  local read = {}

  function read.bytes(size)
    assert(at + size - 1 <= #bytes, "the file ends too early")
    at = at + size
    return bytes:sub(at - size, at - 1)
  end

  function read.int()
    local a, b, c, d = read.bytes(4):byte(1, 4)
    local value = ((a * 256 + b) * 256 + c) * 256 + d
    return value >= 2147483648 and value - 4294967296 or value
  end

  --- "0x...", or nil for zero.
  function read.long()
    local digits = codec.hex(read.bytes(8)):gsub("^0+", "")
    return digits ~= "" and "0x" .. digits or nil
  end

  function read.string()
    local size = read.int()
    return size >= 0 and read.bytes(size) or nil
  end

  function read.place()
    return at - 1
  end

  return read
end

local function read_seal(read, bytes)
  local sum = ("0x%x"):format(checksum.adler32(bytes:sub(1, read.place())))
  assert(read.long() == sum, "a seal is broken")
  assert(read.string() == "/", "a seal has no end")
end

local function zero_is_nil(value)
  if value ~= 0 then
    return value
  end
end

local function read_stat(read)
  local stat = {
    czxid = read.long(), mzxid = read.long(), ctime_ms = read.long(), mtime_ms = read.long(),
    version = zero_is_nil(read.int()), cversion = zero_is_nil(read.int()),
    aversion = zero_is_nil(read.int()), ephemeral_owner = read.long(), pzxid = read.long(),
  }
  return stat
end

--- sessions: timeouts by id; lists: encoded lists by id, and how many entries each has; nodes: in
--- the order of the file, { path, data, acl_id, stat }; zxid and digest of the digest section.
function snapshot_file.decode(bytes)
  local read = reader(bytes)
  assert(codec.hex(read.bytes(16)) == "5a4b534e00000002ffffffffffffffff", "not a snapshot")
  local file = { sessions = {}, lists = {}, nodes = {} }
  for _ = 1, read.int() do
    local id = read.long()
    file.sessions[id] = read.int()
  end
  for _ = 1, read.int() do
    local id, count = read.long(), read.int()
    local start = read.place()
    for _ = 1, count do
      read.int()
      read.string()
      read.string()
    end
    assert(not file.lists[id], "a list is there twice")
    file.lists[id] = { acl = bytes:sub(start + 1, read.place()), acl_count = count }
  end
  local path = read.string()
  while path ~= "/" do
    file.nodes[#file.nodes + 1] = {
      path = path, data = read.string(), acl_id = read.long(), stat = read_stat(read),
    }
    path = read.string()
  end
  read_seal(read, bytes)
  file.zxid = read.long()
  assert(read.int() == 2, "another version of the digest")
  file.digest = read.long()
  read_seal(read, bytes)
  assert(read.place() == #bytes, "something stands behind the last seal")
  return file
end

return snapshot_file
