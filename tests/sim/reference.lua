--- A ZooKeeper tree in plain Lua, to compare the server with: it is given what was asked, in the
--- order of zxids, and says what has to be answered and what is left. Nothing of it comes from
--- src/server; it is as slow and as short as it can be.
---
--- An operation is a table: kind, path, and what that kind needs (data, mode, ttl, perms, version,
--- operations, watch). Access lists are what the world may do, `perms`. Nodes are never changed but
--- replaced, so that a multi that fails puts the old ones back.
local Tree = {}
Tree.__index = Tree

local M = {}

local READ, WRITE, CREATE, DELETE, ADMIN, ALL = 1, 2, 4, 8, 16, 31
M.ALL = ALL

local EPHEMERAL = { [1] = true, [3] = true }
local SEQUENTIAL = { [2] = true, [3] = true, [6] = true }
local CONTAINER, TTL = 4, { [5] = true, [6] = true }

local function new_node(fields)
  local node = {
    czxid = 0, mzxid = 0, pzxid = 0, ctime = 0, mtime = 0, version = 0, aversion = 0,
    creates = 0, -- of children, ever
    children = 0, -- of them that are there
    data = "", -- nil is null
    perms = ALL,
  }
  for key, value in pairs(fields or {}) do
    node[key] = value
  end
  return node
end

function M.new()
  return setmetatable({
    zxid = 0,
    nodes = {
      ["/"] = new_node({ children = 1 }),
      ["/zookeeper"] = new_node({ children = 2 }),
      ["/zookeeper/quota"] = new_node(),
      ["/zookeeper/config"] = new_node({ perms = READ, aversion = -1 }),
    },
    sessions = {}, -- id -> true while it lives
    changes = {}, -- { zxid, type, path }: what watches may hear of, in order
    replaced = nil, -- inside a transaction: { path, node before } of all that was put
  }, Tree)
end

function M.parent(path)
  local parent = path:match("^(.*)/[^/]*$")
  return parent == "" and "/" or parent
end

local function may(node, permission)
  return math.floor(node.perms / permission) % 2 == 1
end

-- What clients see ---------------------------------------------------------------

local function stat_of(node)
  return {
    czxid = node.czxid, mzxid = node.mzxid, pzxid = node.pzxid,
    ctime = node.ctime, mtime = node.mtime,
    version = node.version, cversion = 2 * node.creates - node.children, aversion = node.aversion,
    ephemeral_owner = node.session,
    data_length = #(node.data or ""), children_count = node.children,
  }
end

local function data_of(node)
  local stat = stat_of(node)
  stat.null = node.data == nil or nil
  return node.data or "", stat
end

--- The names below a path, sorted.
function Tree:children(path)
  local names, prefix = {}, path == "/" and "/" or path .. "/"
  for other in pairs(self.nodes) do
    if other ~= "/" and M.parent(other) == path then
      names[#names + 1] = other:sub(#prefix + 1)
    end
  end
  table.sort(names)
  return names
end

--- The paths of a session's nodes, sorted; all sessions' without one.
function Tree:ephemerals(session)
  local paths = {}
  for path, node in pairs(self.nodes) do
    if node.session and (not session or node.session == session) then
      paths[#paths + 1] = path
    end
  end
  table.sort(paths)
  return paths
end

-- What is asked ------------------------------------------------------------------

local READS = {}

function READS.get(_, node)
  return nil, data_of(node)
end

function READS.exists(_, node)
  return nil, stat_of(node)
end

function READS.children(self, node, path)
  return nil, self:children(path), stat_of(node)
end

function READS.get_acl(_, node)
  return nil, { { perms = node.perms, scheme = "world", id = "anyone" } }, stat_of(node)
end

function READS.count(self, _, path)
  local count, prefix = 0, path .. "/"
  for other in pairs(self.nodes) do
    if other:sub(1, #prefix) == prefix then
      count = count + 1
    end
  end
  return nil, count
end

local function read_many(self, operations)
  local results, failed = {}, nil
  for i, operation in ipairs(operations) do
    local code, a, b = self:read(operation)
    if code then
      results[i] = { op = "error", code = code }
      failed = failed or i
    elseif operation.kind == "get" then
      results[i] = { op = "get", data = a, stat = b }
    else
      results[i] = { op = "children", children = a }
    end
  end
  return nil, results, failed
end

--- What a read has to bring now: code or nil, and the values of its reply.
function Tree:read(operation, session)
  local kind, path = operation.kind, operation.path
  if kind == "sync" then
    return nil, path
  elseif kind == "add_watch" then
    return nil
  elseif kind == "ephemerals" then
    return nil, self:ephemerals(session)
  elseif kind == "multi_read" then
    return read_many(self, operation.operations)
  end
  local node = self.nodes[path]
  if not node then
    return "NONODE"
  elseif not may(node, READ) then
    return "NOAUTH"
  end
  return READS[kind](self, node, path)
end

-- What is changed ----------------------------------------------------------------

local function put(self, path, node)
  table.insert(self.replaced, { path, self.nodes[path] or false })
  self.nodes[path] = node
end

-- The node with some fields changed, put in its place.
local function change(self, path, fields)
  local node = new_node(self.nodes[path])
  node.data = self.nodes[path].data
  for key, value in pairs(fields) do
    node[key] = value
  end
  put(self, path, node)
  return node
end

local function note(self, type, path)
  table.insert(self.changes, { zxid = self.zxid, type = type, path = path })
end

local function remove(self, path)
  local parent = M.parent(path)
  put(self, path, nil)
  change(self, parent, { children = self.nodes[parent].children - 1, pzxid = self.zxid })
  note(self, "deleted", path)
  note(self, "children", parent)
end

local WRITES = {}

function WRITES.create(self, operation, session)
  local path, mode = operation.path, operation.mode or 0
  local parent = M.parent(path)
  local above = self.nodes[parent]
  if not above then
    return "NONODE"
  elseif not may(above, CREATE) then
    return "NOAUTH"
  end
  if SEQUENTIAL[mode] then
    path = ("%s%010d"):format(path, above.creates)
  end
  if self.nodes[path] then
    return "NODEEXISTS"
  elseif above.session then
    return "NOCHILDRENFOREPHEMERALS"
  end
  change(self, parent, {
    children = above.children + 1, creates = above.creates + 1, pzxid = self.zxid,
  })
  local node = new_node({
    czxid = self.zxid, mzxid = self.zxid, pzxid = self.zxid, ctime = self.time, mtime = self.time,
    perms = operation.perms or ALL,
    session = EPHEMERAL[mode] and session or nil,
    container = mode == CONTAINER or nil,
    ttl = TTL[mode] and operation.ttl or nil,
  })
  node.data = operation.data
  put(self, path, node)
  note(self, "created", path)
  note(self, "children", parent)
  return nil, path, stat_of(node)
end

function WRITES.delete(self, operation)
  local path, version = operation.path, operation.version or -1
  local above, node = self.nodes[M.parent(path)], self.nodes[path]
  if not above then
    return "NONODE"
  elseif not may(above, DELETE) then
    return "NOAUTH"
  elseif not node then
    return "NONODE"
  elseif version ~= -1 and version ~= node.version then
    return "BADVERSION"
  elseif node.children > 0 then
    return "NOTEMPTY"
  end
  remove(self, path)
end

-- Why a node cannot be had with this permission, in this version; nil when it can.
local function problem(node, permission, version, field)
  if not node then
    return "NONODE"
  elseif not may(node, permission) then
    return "NOAUTH"
  elseif version and version ~= -1 and version ~= node[field] then
    return "BADVERSION"
  end
end

function WRITES.set(self, operation)
  local path = operation.path
  local node = self.nodes[path]
  local code = problem(node, WRITE, operation.version, "version")
  if code then
    return code
  end
  node = change(self, path, { version = node.version + 1, mzxid = self.zxid, mtime = self.time })
  node.data = operation.data
  note(self, "changed", path)
  return nil, stat_of(node)
end

function WRITES.set_acl(self, operation)
  local path = operation.path
  local node = self.nodes[path]
  local code = problem(node, ADMIN, operation.version, "aversion")
  if code then
    return code
  end
  return nil, stat_of(change(self, path, { aversion = node.aversion + 1, perms = operation.perms }))
end

function WRITES.check(self, operation)
  return problem(self.nodes[operation.path], READ, operation.version, "version")
end

local function undo(self, change_count)
  for i = #self.replaced, 1, -1 do
    local path, node = self.replaced[i][1], self.replaced[i][2]
    self.nodes[path] = node or nil
  end
  for i = #self.changes, change_count + 1, -1 do
    self.changes[i] = nil
  end
end

local function failures(count, failed, code)
  local results = {}
  for i = 1, count do
    results[i] = { op = "error",
      code = i < failed and "OK" or i == failed and code or "RUNTIMEINCONSISTENCY" }
  end
  return results, failed
end

-- Of creates, those of containers and of nodes with a time to live are answered with a stat.
local function part_result(operation, a, b)
  local kind, mode = operation.kind, operation.mode or 0
  if kind == "create" then
    return { op = kind, path = a, stat = (mode == CONTAINER or TTL[mode]) and b or nil }
  elseif kind == "set" then
    return { op = kind, stat = a }
  end
  return { op = kind }
end

function WRITES.multi(self, operation, session)
  local results, change_count = {}, #self.changes
  for i, part in ipairs(operation.operations) do
    local code, a, b = WRITES[part.kind](self, part, session)
    if code then
      undo(self, change_count)
      return nil, failures(#operation.operations, i, code)
    end
    results[i] = part_result(part, a, b)
  end
  return nil, results
end

M.WRITES = WRITES

--- Every transaction has a zxid and a time.
function Tree:begin(zxid, time)
  self.zxid, self.time, self.replaced = zxid, time, {}
end

--- What a write has to bring, here and in its reply: code or nil, and the values of the reply.
function Tree:write(operation, session)
  if not self.sessions[session] then
    return "SESSIONEXPIRED"
  end
  return WRITES[operation.kind](self, operation, session)
end

function Tree:open(session)
  self.sessions[session] = true
end

--- The session ends, and its nodes with it, in the `order` of these paths as far as they are its;
--- any is right. Returns their paths, sorted.
function Tree:close(session, order)
  local paths = self:ephemerals(session)
  for _, list in ipairs({ order or {}, paths }) do
    for _, path in ipairs(list) do
      local node = self.nodes[path]
      if node and node.session == session then
        remove(self, path)
      end
    end
  end
  self.sessions[session] = nil
  return paths
end

--- Whether the server may take this node off by itself at `time`.
function Tree:may_reap(path, time)
  local node = self.nodes[path]
  if not node or node.children > 0 then
    return false
  end
  return node.container and node.creates > 0 or node.ttl and time - node.mtime > node.ttl or false
end

function Tree:reap(path)
  remove(self, path)
end

--- Every node as clients see it: path -> { data, stat, perms }.
function Tree:all()
  local all = {}
  for path, node in pairs(self.nodes) do
    local data, stat = data_of(node)
    all[path] = { data = data, stat = stat, perms = node.perms }
  end
  return all
end

return M
