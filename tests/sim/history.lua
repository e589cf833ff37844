-- What a simulated server did, from its log: its transactions are read here by other code than that
-- which wrote them, and give what each node held from when on, and what watches have to tell.
local History = {}
History.__index = History

local M = {}

local CREATE = { [1] = "ephemeral", [15] = "ephemeral", [19] = "container", [21] = "ttl" }
local DELETE = { [2] = true, [20] = true }
local SET, SET_ACL, MULTI, CLOSE_SESSION = 5, 7, 14, -11

-- Reading ------------------------------------------------------------------------

local function new_reader(bytes)
  local reader, at = {}, 1
  function reader.int()
    local a, b, c, d = bytes:byte(at, at + 3)
    at = at + 4
    local value = ((a * 256 + b) * 256 + c) * 256 + d
    return value < 2 ^ 31 and value or value - 2 ^ 32
  end
  function reader.long() -- of those that are not below 0
    local high = reader.int()
    return high * 2 ^ 32 + reader.int() % 2 ^ 32
  end
  function reader.id()
    local digits = ("%02x"):rep(8):format(bytes:byte(at, at + 7))
    at = at + 8
    return "0x" .. (digits:match("^0*(.+)$"))
  end
  function reader.text()
    local size = reader.int()
    if size < 0 then
      return ""
    end
    at = at + size
    return bytes:sub(at - size, at - 1)
  end
  function reader.bool()
    at = at + 1
    return bytes:byte(at - 1) ~= 0
  end
  return reader
end

local function skip_acl(reader)
  for _ = 1, reader.int() do
    reader.int()
    reader.text()
    reader.text()
  end
end

-- The tree -----------------------------------------------------------------------

local function parent_of(path)
  return path:match("^(/.+)/[^/]*$") or "/"
end

-- Notes that `path` is another from here on; `node` nil: gone.
local function change(self, type, path, node)
  self.nodes[path] = node
  self.count = self.count + 1
  self.changes[self.count] = { type = type, path = path, zxid = self.zxid, node = node,
    session = self.session }
end

local function remove(self, path)
  if self.nodes[path] then
    change(self, "deleted", path, nil)
  end
end

local take -- forward

local function take_multi(self, reader)
  for _ = 1, reader.int() do
    take(self, reader.int(), new_reader(reader.text()))
  end
end

function take(self, type, reader)
  if CREATE[type] then
    local path, data = reader.text(), reader.text()
    skip_acl(reader)
    local ephemeral = CREATE[type] == "ephemeral" and reader.bool()
    change(self, "created", path, { data = data, czxid = self.zxid, mzxid = self.zxid,
      owner = ephemeral and self.session or nil })
  elseif DELETE[type] then
    remove(self, reader.text())
  elseif type == SET then
    local path, data = reader.text(), reader.text()
    local node = self.nodes[path]
    change(self, "changed", path, { data = data, czxid = node and node.czxid,
      mzxid = self.zxid, owner = node and node.owner })
  elseif type == MULTI then
    take_multi(self, reader)
  elseif type == CLOSE_SESSION then
    for _ = 1, reader.int() do
      remove(self, reader.text())
    end
  elseif type == SET_ACL then
    return -- no watch tells it
  end
end

local function zxid_of(payload)
  return payload and new_reader(payload:sub(13, 20)).long() or 0 -- behind the session and the xid
end

--- The zxid of the last transaction that a server has taken on: all that is done later has another.
function M.latest(server)
  return zxid_of(server.log[#server.log])
end

--- The zxid of the last one that is on its disk: whoever asks later sees it.
function M.durable(server)
  return zxid_of(server.log[server.durable])
end

--- All that a simulated server did: `changes`, in order, each with its type ("created", "changed",
--- "deleted"), path, zxid, session, and the node { data, czxid, mzxid, owner } after it; and
--- `nodes`, what is there at the end.
---@param last integer|nil  only what was done up to this zxid
function M.of(server, last)
  local self = setmetatable({ nodes = {}, changes = {}, count = 0 }, History)
  for _, payload in ipairs(server.log) do
    local reader = new_reader(payload)
    self.session = reader.id()
    reader.int()
    self.zxid = reader.long()
    if last and self.zxid > last then
      break
    end
    reader.long()
    take(self, reader.int(), reader)
  end
  return self
end

-- What is asked of it --------------------------------------------------------------

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
