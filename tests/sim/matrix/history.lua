--- What a simulated server has on its disk, as a tree: the truth that a run is judged by. It shares
--- no code with the server that wrote it.
---
--- A transaction is Apache's: session, cxid, zxid, time, type, then the record of the type.
local history = {}

-- Reading bytes --------------------------------------------------------------------------------

local Reader = {}
Reader.__index = Reader

function Reader:u32()
  local a, b, c, d = self.bytes:byte(self.at, self.at + 3)
  self.at = self.at + 4
  return ((a * 256 + b) * 256 + c) * 256 + d
end

function Reader:i32()
  local number = self:u32()
  return number < 2 ^ 31 and number or number - 2 ^ 32
end

function Reader:number()
  local high = self:u32()
  return high * 2 ^ 32 + self:u32()
end

-- A session id as clients write it; "0x0" is nobody's.
function Reader:id()
  local high, low = self:u32(), self:u32()
  return high > 0 and ("0x%x%08x"):format(high, low) or ("0x%x"):format(low)
end

function Reader:text()
  local size = self:i32()
  local from = self.at
  self.at = from + math.max(size, 0)
  return self.bytes:sub(from, self.at - 1)
end

local function reader(bytes)
  return setmetatable({ bytes = bytes, at = 1 }, Reader)
end

-- The tree -------------------------------------------------------------------------------------

local SET, MULTI = 5, 14
local CREATES = { [1] = true, [15] = true, [19] = true, [21] = true }
local DELETES = { [2] = true, [20] = true }
local CLOSE_SESSION = -11

local function skip_acl(from)
  for _ = 1, from:i32() do
    from:u32()
    from:text()
    from:text()
  end
end

local function create(tree, txn, kind, from)
  local path, data = from:text(), from:text()
  skip_acl(from)
  local ephemeral = kind ~= 19 and from.bytes:byte(from.at) == 1
  tree[path] = { path = path, data = data, czxid = txn.zxid, mzxid = txn.zxid,
    owner = ephemeral and txn.session or nil }
end

local function carry_out(tree, txn, kind, from)
  if CREATES[kind] then
    create(tree, txn, kind, from)
  elseif DELETES[kind] then
    tree[from:text()] = nil
  elseif kind == SET then
    local node = tree[from:text()]
    node.data, node.mzxid = from:text(), txn.zxid
  elseif kind == MULTI then
    for _ = 1, from:i32() do
      local inner = from:i32()
      carry_out(tree, txn, inner, reader(from:text()))
    end
  elseif kind == CLOSE_SESSION then
    for path, node in pairs(tree) do
      if node.owner == txn.session then
        tree[path] = nil
      end
    end
  end
end

--- Carries out what is in `log`, one transaction after the other, and calls look(tree, txn) before
--- each and at the end (txn nil). tree: path -> { path, data, czxid, mzxid, owner }.
---@param log string[]
---@param look (fun(tree: table, txn: table|nil))|nil
---@return table tree
function history.replay(log, look)
  local tree = {}
  for index, payload in ipairs(log) do
    local from = reader(payload)
    local txn = { index = index, session = from:id() }
    from:u32() -- cxid
    txn.zxid = from:number()
    from:number() -- the time
    local kind = from:i32()
    if look then
      look(tree, txn)
    end
    carry_out(tree, txn, kind, from)
  end
  if look then
    look(tree, nil)
  end
  return tree
end

--- The children of `path` whose names match `pattern`, sorted by what the server has numbered.
---@return table[] nodes
function history.children(tree, path, pattern)
  local list = {}
  for child, node in pairs(tree) do
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

return history
