--- Random changes that are valid, made to a tree and to its model.
local model = require("server.model")
local codec = require("wire.codec")

local growth = {}
growth.__index = growth

local OWNERS = {
  "0x100000000000001", "0x100000000000002", "0x8000000000000000", "0xff00000000001388",
}

local function acl(permissions, id)
  return codec.int(permissions) .. codec.str("digest") .. codec.str(id)
end

local LISTS = {
  { acl = model.open_acl, acl_count = 1 },
  { acl = model.read_acl, acl_count = 1 },
  { acl = acl(31, "a:b"), acl_count = 1 },
  { acl = model.read_acl .. acl(31, "a:b"), acl_count = 2 },
  { acl = acl(31, "a:b") .. model.read_acl, acl_count = 2 }, -- the order counts
  { acl = acl(4, ("x"):rep(600) .. ":y"), acl_count = 1 },
}

function growth.new(tree, of, random)
  return setmetatable({
    tree = tree, model = of, random = random, zxid = 0, waiting = 0,
    time_ms = 1600000000000,
  }, growth)
end

local function is_changeable(path)
  return path ~= "/" and path:sub(1, 10) ~= "/zookeeper"
end

function growth:pick(accept)
  for _ = 1, 10 do
    local path = self.random.pick(self.model.paths)
    if accept(path) then
      return path
    end
  end
end

function growth:new_path()
  local random = self.random
  local parent = self:pick(function(path)
    return path == "/" or is_changeable(path)
  end)
  local name = random.pick({ "a", "b", "lock-", "\xc3\xa4", ("n"):rep(random.below(12) + 1) })
  if random.below(20) == 0 then
    name = ("long"):rep(150)
  end
  if not parent then
    return nil
  end
  local path = (parent == "/" and "" or parent) .. "/" .. name .. random.below(30)
  if not self.model.nodes[path] and #path < 4000 then
    return path
  end
end

function growth:data()
  local random = self.random
  local size = random.pick({ 0, 1, 5, 100, 512, 513, 3000 })
  if random.below(8) > 0 then
    return (string.char(random.below(256))):rep(size)
  end
end

--- One change, reserved in the tree and made in the model; nil when the dice found none.
---@return string|nil kind  what it was
function growth:reserve()
  local random = self.random
  local kind = random.pick({ "create", "create", "create", "delete", "set_data", "set_acl" })
  local change = {}
  if kind == "create" then
    change.path = self:new_path()
    change.owner = random.below(2) == 0 and random.pick(OWNERS) or nil
    change.data = self:data()
    local parent = change.path and self.model.nodes[model.parent(change.path)]
    -- Now and then less than there is already: then it does not move.
    change.parent_cversion = parent and random.pick({
      parent.cversion + 1, parent.cversion + 1, parent.cversion, parent.cversion + 5, -1,
    })
  else
    change.path = self:pick(function(path)
      return is_changeable(path) and (kind ~= "delete" or next(self.model.names[path]) == nil)
    end)
    change.version = random.below(1000)
    change.data = kind == "set_data" and self:data() or nil
  end
  if not change.path then
    return nil
  end
  local list = random.pick(LISTS)
  change.acl, change.acl_count = list.acl, list.acl_count
  self.zxid = self.zxid + random.pick({ 1, 1, 1, 2 ^ 32 })
  self.time_ms = self.time_ms + random.below(1000)
  change.zxid, change.time_ms = self.zxid, self.time_ms
  assert(self.tree:reserve(kind, change), "no memory")
  self.model[kind](self.model, change)
  return kind
end

local STATS = "/zookeeper/config" -- any node that is not in the digest

--- `count` changes, all reserved before the first is applied; then now and then usage is counted.
function growth:batch(count)
  for _ = 1, count do
    self:reserve()
  end
  self.tree:apply()
  if self.random.below(4) == 0 then
    local data = ("count=%d"):format(self.random.below(1000))
    assert(self.tree:set_stats(STATS, data))
    self.model.nodes[STATS].data = data
  end
end

--- A list of what the tree says otherwise than the model; empty when all is right.
function growth:differences()
  local found = {}
  local sums = self.tree:sums()
  for name, value in pairs(self.model:sums()) do
    if sums[name] ~= value then
      found[#found + 1] = ("%s: %s, not %s"):format(name, tostring(sums[name]), tostring(value))
    end
  end
  for _, path in ipairs(self.model.paths) do
    local there, expected = self.tree:get(path), self.model:expected(path)
    if not there then
      found[#found + 1] = path .. " is missing"
    else
      table.sort(there.children)
      for _, part in ipairs({ "path", "data", "acl" }) do
        if there[part] ~= expected[part] then
          found[#found + 1] = path .. " has another " .. part
        end
      end
      for _, part in ipairs({ "children", "stat", "persisted" }) do
        for name, value in pairs(expected[part]) do
          if there[part][name] ~= value then
            found[#found + 1] = ("%s %s.%s: %s, not %s"):format(path, part, name,
              tostring(there[part][name]), tostring(value))
          end
        end
        for name in pairs(there[part]) do
          if expected[part][name] == nil then
            found[#found + 1] = ("%s %s.%s is too much"):format(path, part, name)
          end
        end
      end
    end
  end
  return found
end

return growth
