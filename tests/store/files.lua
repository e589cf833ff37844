--- A data directory's files as a spec makes them, byte by byte (Apache's formats), so that the
--- store is held against something that is not itself.
local codec = require("wire.codec")
local testing = require("zklua_testing")

local store = testing.store

local files = {}

--- The eight bytes of a number (exact to 2^53), or of "0x...".
function files.i64(value)
  if type(value) == "string" then
    return codec.unhex(("0"):rep(18 - #value) .. value:sub(3))
  end
  local low = value % 4294967296
  return codec.int((value - low) / 4294967296) .. codec.int(low)
end

---@class tests.Txn
---@field zxid number
---@field session string|number|nil
---@field cxid number|nil
---@field time number|string|nil
---@field type number|nil   default -1: a failed write
---@field body string|nil
---@field digest string|number|nil

--- A log entry's payload: header, record, maybe a digest.
---@param txn tests.Txn
function files.payload(txn)
  local parts = {
    files.i64(txn.session or 0), codec.int(txn.cxid or 0), files.i64(txn.zxid),
    files.i64(txn.time or 0), codec.int(txn.type or -1), txn.body or codec.int(-101),
  }
  if txn.digest then
    parts[#parts + 1] = codec.int(2) .. files.i64(txn.digest)
  end
  return table.concat(parts)
end

--- `text` becomes the name of a node that is made.
function files.create(zxid, path, data)
  return files.payload({
    zxid = zxid,
    session = 1,
    cxid = zxid,
    time = 1700000000000 + zxid,
    type = 1,
    body = codec.str(path) .. codec.str(data) .. codec.int(1) .. codec.int(31)
      .. codec.str("world") .. codec.str("anyone") .. "\0" .. codec.int(zxid),
  })
end

function files.entry(payload)
  return files.i64(store.adler(payload)) .. codec.int(#payload) .. payload .. "B"
end

files.log_header = "ZKLG" .. codec.int(2) .. files.i64(0)

--- A log of these payloads, and zeros up to a size.
function files.log(payloads, size)
  local parts = { files.log_header }
  for i, payload in ipairs(payloads) do
    parts[i + 1] = files.entry(payload)
  end
  local bytes = table.concat(parts)
  return bytes .. ("\0"):rep((size or 0) - #bytes)
end

--- Where entry `n` of a log begins, and its size.
function files.entry_at(payloads, n)
  local at = 16
  for i = 1, n - 1 do
    at = at + 13 + #payloads[i]
  end
  return at, 13 + #payloads[n]
end

local function seal(bytes)
  return bytes .. files.i64(store.adler(bytes)) .. codec.str("/")
end

local function acl_bytes(acl)
  local parts = { codec.int(#acl) }
  for i, entry in ipairs(acl) do
    parts[i + 1] = codec.int(entry[1]) .. codec.str(entry[2]) .. codec.str(entry[3])
  end
  return table.concat(parts)
end

local function node_bytes(node)
  local stat = node.stat or {}
  local data = node.data and codec.str(node.data) or codec.int(-1)
  return codec.str(node[1]) .. data .. files.i64(node.acl or "0xffffffffffffffff")
    .. files.i64(stat.czxid or 0) .. files.i64(stat.mzxid or 0) .. files.i64(0) .. files.i64(0)
    .. codec.int(stat.version or 0) .. codec.int(stat.cversion or 0)
    .. codec.int(stat.aversion or 0) .. files.i64(stat.owner or 0)
    .. files.i64(stat.pzxid or 0)
end

---@class tests.Snapshot
---@field sessions table[]|nil  { id, timeout_ms }
---@field acls table[]|nil      { id, { { permissions, scheme, id } ... } }
---@field nodes table[]|nil     { path, data =, acl =, stat = }, after the root
---@field zxid number|nil       of the digest section; nil: the file has none
---@field digest string|number|nil
---@field last_zxid number|nil  of the third section

--- A snapshot's content.
---@param snapshot tests.Snapshot
function files.snapshot(snapshot)
  local parts = { "ZKSN", codec.int(2), files.i64("0xffffffffffffffff") }
  local function add(text)
    parts[#parts + 1] = text
  end
  add(codec.int(#(snapshot.sessions or {})))
  for _, session in ipairs(snapshot.sessions or {}) do
    add(files.i64(session[1]) .. codec.int(session[2]))
  end
  add(codec.int(#(snapshot.acls or {})))
  for _, acl in ipairs(snapshot.acls or {}) do
    add(files.i64(acl[1]) .. acl_bytes(acl[2]))
  end
  add(node_bytes({ "", data = "" }))
  for _, node in ipairs(snapshot.nodes or {}) do
    add(node_bytes(node))
  end
  add(codec.str("/"))
  local bytes = seal(table.concat(parts))
  if snapshot.zxid then
    bytes = seal(bytes .. files.i64(snapshot.zxid) .. codec.int(2) .. files.i64(snapshot.digest))
  end
  if snapshot.last_zxid then
    bytes = seal(bytes .. files.i64(snapshot.last_zxid))
  end
  return bytes
end

--- What the sink of the testing module says about these payloads, from `chain` on.
function files.chain(payloads, chain)
  chain = chain or "0x0"
  for _, payload in ipairs(payloads) do
    chain = store.chain(chain, payload)
  end
  return chain
end

--- `count` payloads from zxid `first` on that are all different.
function files.payloads(first, count, size)
  local list = {}
  for i = 1, count do
    local zxid = first + i - 1
    list[i] = files.create(zxid, ("/node-%d"):format(zxid), ("d"):rep(size or 20))
  end
  return list
end

--- Where a store with the directory "d" keeps all.
files.DIRECTORY = "d/version-2"

--- A disk in memory with these files, by name, in that directory.
---@param entries table<string, string>|nil
function files.disk(entries)
  local disk = testing.disk.new(1)
  for name, bytes in pairs(entries or {}) do
    disk:write(files.DIRECTORY, name, bytes)
  end
  return disk
end

--- What a store on `disk` is opened with; fields of the tables override each other in turn.
function files.options(disk, ...)
  local options = { disk = disk, directory = "d" }
  for _, more in ipairs({ ... }) do
    for name, value in pairs(more) do
      options[name] = value
    end
  end
  return options
end

--- Opens it.
function files.open(disk, more)
  return store.open(files.options(disk, more or {}))
end

--- `bytes` with `text` in the place of what was at offset `at`.
function files.put(bytes, at, text)
  return bytes:sub(1, at) .. text .. bytes:sub(at + #text + 1)
end

--- The names of the logs, oldest first.
function files.logs(disk, where)
  local names = {}
  for _, name in ipairs(disk:names(where or files.DIRECTORY)) do
    if name:find("^log") then
      names[#names + 1] = name
    end
  end
  table.sort(names, function(a, b)
    return tonumber(a:sub(5), 16) < tonumber(b:sub(5), 16)
  end)
  return names
end

return files
