--- What a tree of nodes must look like, kept in plain tables and by the rules as they are written
--- down: no pools, no lists, no running sums. The digest is added up anew each time.
local checksum = require("server.checksum")
local codec = require("wire.codec")

local model = {}
model.__index = model

local CONTAINER = "0x8000000000000000"

model.open_acl = codec.int(31) .. codec.str("world") .. codec.str("anyone")
model.read_acl = codec.int(1) .. codec.str("world") .. codec.str("anyone")

--- Eight bytes of a number below 2^53, or of "0x...".
function model.long(value)
  if type(value) == "number" then
    value = ("%x"):format(value)
  end
  local digits = value:gsub("^0x", "")
  return codec.unhex(("0"):rep(16 - #digits) .. digits)
end

local function node(fields)
  local result = {
    data = "", acl = model.open_acl, czxid = 0, mzxid = 0, ctime_ms = 0, mtime_ms = 0,
    version = 0, cversion = 0, aversion = 0, pzxid = 0,
  }
  for name, value in pairs(fields) do
    result[name] = value
  end
  return result
end

--- The nodes of a new server.
function model.new()
  local self = setmetatable({
    nodes = {}, -- by path
    paths = {}, -- a list of all of them, in no order that means anything
    place = {}, -- of each path in it
    names = {}, -- of children, by path
  }, model)
  self:add("/", node({}))
  self:add("/zookeeper", node({}))
  self:add("/zookeeper/config", node({ acl = model.read_acl, aversion = -1 }))
  self:add("/zookeeper/quota", node({}))
  return self
end

function model:add(path, added)
  self.nodes[path], self.names[path] = added, {}
  self.paths[#self.paths + 1] = path
  self.place[path] = #self.paths
  if path ~= "/" then
    self.names[model.parent(path)][path:match("[^/]*$")] = true
  end
end

function model:remove(path)
  local last = table.remove(self.paths)
  if last ~= path then
    self.paths[self.place[path]], self.place[last] = last, self.place[path]
  end
  self.nodes[path], self.names[path], self.place[path] = nil, nil, nil
  self.names[model.parent(path)][path:match("[^/]*$")] = nil
end

function model.parent(path)
  local parent = path:match("^(.*)/[^/]*$")
  return parent == "" and "/" or parent
end

--- Names of children, sorted.
function model:children(path)
  local names = {}
  for name in pairs(self.names[path]) do
    names[#names + 1] = name
  end
  table.sort(names)
  return names
end

function model:create(change)
  local parent = self.nodes[model.parent(change.path)]
  local cversion = change.parent_cversion == -1 and parent.cversion + 1 or change.parent_cversion
  if cversion > parent.cversion then
    parent.cversion, parent.pzxid = cversion, change.zxid
  end
  local created = node({
    acl = change.acl, owner = change.owner, czxid = change.zxid, mzxid = change.zxid,
    pzxid = change.zxid, ctime_ms = change.time_ms, mtime_ms = change.time_ms,
  })
  created.data = change.data
  self:add(change.path, created)
end

function model:delete(change)
  local parent = self.nodes[model.parent(change.path)]
  parent.pzxid = math.max(parent.pzxid, change.zxid)
  self:remove(change.path)
end

function model:set_data(change)
  local changed = self.nodes[change.path]
  changed.data, changed.version = change.data, change.version
  changed.mzxid, changed.mtime_ms = change.zxid, change.time_ms
end

function model:set_acl(change)
  local changed = self.nodes[change.path]
  changed.acl, changed.aversion = change.acl, change.version
end

--- The 60 bytes on disk, and the 60 bytes of the digest, which differ in their order.
function model.stat_bytes(from, for_digest)
  local long, int = model.long, codec.int
  local owner = long(from.owner or 0)
  local versions = int(from.version) .. int(from.cversion) .. int(from.aversion)
  local zxids, pzxid = long(from.czxid) .. long(from.mzxid), long(from.pzxid)
  local times = long(from.ctime_ms) .. long(from.mtime_ms)
  if for_digest then
    return zxids .. pzxid .. times .. versions .. owner
  end
  return zxids .. times .. versions .. owner .. pzxid
end

--- Below 2^53 for as many nodes as a spec has.
function model:digest()
  local sum = 0
  for path, of in pairs(self.nodes) do
    if path:sub(1, 11) ~= "/zookeeper/" then
      local name = path == "/" and "" or path
      sum = sum + checksum.crc32(name .. (of.data or "") .. model.stat_bytes(of, true))
    end
  end
  return sum
end

local function zero_is_nil(value)
  if value ~= 0 then
    return value
  end
end

local function long_field(value)
  return value ~= 0 and ("0x%x"):format(value) or nil
end

--- What tree:get(path) must say; children sorted.
function model:expected(path)
  local of = self.nodes[path]
  local children = self:children(path)
  local owner = of.owner
  local visible = owner
  if owner == CONTAINER or (self.ttl_nodes and owner and owner:match("^0xff%x%x%x%x%x%x%x"
      .. "%x%x%x%x%x%x%x$")) then
    visible = nil
  end
  local function stat(cversion, shown_owner)
    return {
      czxid = long_field(of.czxid), mzxid = long_field(of.mzxid), pzxid = long_field(of.pzxid),
      ctime_ms = long_field(of.ctime_ms), mtime_ms = long_field(of.mtime_ms),
      version = zero_is_nil(of.version), cversion = zero_is_nil(cversion),
      aversion = zero_is_nil(of.aversion), ephemeral_owner = shown_owner,
      data_length = zero_is_nil(#(of.data or "")), children_count = zero_is_nil(#children),
    }
  end
  return {
    path = path, data = of.data, acl = of.acl, children = children,
    stat = stat(2 * of.cversion - #children, visible),
    persisted = stat(of.cversion, owner),
  }
end

--- What tree:sums() must say of it.
function model:sums()
  local sums = { nodes = 0, data_bytes = 0, ephemerals = 0, lists = 0 }
  local lists = {}
  for path, of in pairs(self.nodes) do
    sums.nodes = sums.nodes + 1
    sums.data_bytes = sums.data_bytes + #path + #(of.data or "")
    local shown = self:expected(path).stat
    if shown.ephemeral_owner then
      sums.ephemerals = sums.ephemerals + 1
    end
    local reserved = path == "/" or path == "/zookeeper" or path == "/zookeeper/quota"
    if not reserved then -- theirs is the open one, which is in no table
      lists[of.acl] = true
    end
  end
  for _ in pairs(lists) do
    sums.lists = sums.lists + 1
  end
  sums.digest = ("0x%x"):format(self:digest())
  return sums
end

return model
