--- What a simulated server did, from its log: its transactions are read here by other code than
--- that which wrote them, and give what each node held from when on, and what watches have to tell.
local bytes = require("sim.bytes")

local History = {}
History.__index = History

local M = {}

local CREATE = { [1] = "ephemeral", [15] = "ephemeral", [19] = "container", [21] = "ttl" }
local DELETE = { [2] = true, [20] = true }
local SET, MULTI = 5, 14
local FAILED = -1

-- Carrying out -------------------------------------------------------------------

-- Notes that `path` is another from here on; `node` nil: gone.
local function change(self, type, path, node)
  self.nodes[path] = node
  self.changes[#self.changes + 1] = { type = type, path = path, zxid = self.zxid, node = node,
    session = self.session }
end

local function remove(self, path)
  if self.nodes[path] then
    change(self, "deleted", path, nil)
  end
end

local function create(self, type, record, at)
  local path, data
  path, at = bytes.string(record, at)
  data, at = bytes.string(record, at)
  local ephemeral = CREATE[type] == "ephemeral" and record:byte(bytes.skip_acl(record, at)) ~= 0
  change(self, "created", path, { path = path, data = data, czxid = self.zxid, mzxid = self.zxid,
    owner = ephemeral and self.session or nil })
end

local function set(self, record, at)
  local path, data
  path, at = bytes.string(record, at)
  data = bytes.string(record, at)
  local node = self.nodes[path]
  change(self, "changed", path, { path = path, data = data, czxid = node and node.czxid,
    mzxid = self.zxid, owner = node and node.owner })
end

-- The operations of a multi's record, from `at` on; whether it has failed.
local function parts_of(record, at)
  local parts, failed = {}, false
  local count = bytes.int(record, at)
  at = at + 4
  for i = 1, count do
    local type, part = bytes.int(record, at), nil
    part, at = bytes.string(record, at + 4)
    parts[i] = { type = type, record = part }
    failed = failed or type == FAILED
  end
  return parts, failed
end

-- Carries out what is in `record` from `at` on. No type but these changes what a node holds.
local function take(self, type, record, at)
  if CREATE[type] then
    create(self, type, record, at)
  elseif DELETE[type] then
    remove(self, (bytes.string(record, at)))
  elseif type == SET then
    set(self, record, at)
  elseif type == MULTI then
    -- One that failed is in the log with what it would have done before the part that fails.
    local parts, failed = parts_of(record, at)
    for _, part in ipairs(failed and {} or parts) do
      take(self, part.type, part.record, 1)
    end
  end
end

-- Reading the log ----------------------------------------------------------------

local function zxid_of(payload)
  return payload and bytes.txn(payload).zxid or 0
end

--- The zxid of the last transaction that a server has taken on: all that is done later has another.
function M.latest(server)
  return zxid_of(server.log[#server.log])
end

--- The zxid of the last one that is on its disk: whoever asks later sees it.
function M.durable(server)
  return zxid_of(server.log[server.durable])
end

-- Carries out the log, up to the transaction `last`; look(nodes, txn) comes before each.
local function read(server, look, last)
  local self = setmetatable({ nodes = {}, changes = {} }, History)
  for index, payload in ipairs(server.log) do
    local txn = bytes.txn(payload)
    self.zxid, self.session, txn.index = txn.zxid, txn.session, index
    if last and txn.zxid > last then
      break
    end
    if look then
      look(self.nodes, txn)
    end
    take(self, txn.type, payload, bytes.RECORD)
    for _, path in ipairs(txn.paths or {}) do -- the end of a session names its ephemerals
      remove(self, path)
    end
  end
  return self
end

--- All that a simulated server did: `changes`, in order, each with its type ("created", "changed",
--- "deleted"), path, zxid, session, and the node { path, data, czxid, mzxid, owner } after it; and
--- `nodes`, what is there at the end, by path.
---@param last integer|nil  only what was done up to this zxid
function M.of(server, last)
  return read(server, nil, last)
end

--- Calls look(nodes, txn) before each transaction and, txn nil, at the end. nodes: as in M.of; txn:
--- { index, zxid, session, type }. Returns the nodes at the end.
---@param look fun(nodes: table, txn: table|nil)
function M.replay(server, look)
  local nodes = read(server, look).nodes
  look(nodes, nil)
  return nodes
end

--- Of `nodes`, the children of `path` whose names match `pattern`, in the order of the numbers that
--- the server gave them.
---@param pattern string|nil
---@return table[] nodes
function M.children(nodes, path, pattern)
  local list = {}
  for child, node in pairs(nodes) do
    local name = child:sub(1, #path + 1) == path .. "/" and child:sub(#path + 2)
    if name and not name:find("/", 1, true) and name:find(pattern or "") then
      list[#list + 1] = node
    end
  end
  table.sort(list, function(a, b)
    local first, second = a.path:match("%d+$") or a.path, b.path:match("%d+$") or b.path
    return first < second
  end)
  return list
end

-- What is asked of it --------------------------------------------------------------

local function parent_of(path)
  return path:match("^(/.+)/[^/]*$") or "/"
end

local function is_below(path, above)
  return above == "/" or path == above or path:sub(1, #above + 1) == above .. "/"
end

--- What a persistent watch on `path` tells of it all: a list of { type, path, zxid }.
---@param watch { path: string, recursive: boolean|nil, data: boolean|nil, children: boolean|nil }
function History:events(watch)
  local list = {}
  local function add(type, change)
    local path = type == "children" and watch.path or change.path
    list[#list + 1] = { type = type, path = path, zxid = change.zxid }
  end
  for _, change in ipairs(self.changes) do
    if watch.recursive then
      if is_below(change.path, watch.path) then
        add(change.type, change)
      end
    elseif change.path == watch.path then
      if watch.data ~= false then
        add(change.type, change)
      end
    elseif change.type ~= "changed" and parent_of(change.path) == watch.path
      and watch.children ~= false then
      add("children", change)
    end
  end
  return list
end

--- What `path` held, one after the other: a list of { zxid, data or false, mzxid, czxid }. It
--- begins with the node's absence.
function History:states(path)
  local list = { { zxid = 0, data = false } }
  for _, change in ipairs(self.changes) do
    if change.path == path then
      local node = change.node
      list[#list + 1] = { zxid = change.zxid, data = node and node.data or false,
        mzxid = node and node.mzxid, czxid = node and node.czxid }
    end
  end
  return list
end

--- The paths below `path` that are there at the end, sorted.
function History:below(path)
  local list = {}
  for other in pairs(self.nodes) do
    if other ~= path and is_below(other, path) then
      list[#list + 1] = other
    end
  end
  table.sort(list)
  return list
end

return M
