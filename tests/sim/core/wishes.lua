--- What the processes ask for: operations of all kinds, by chance, and mostly such that make sense
--- with what all of them know of the tree.
local M = {}

local PLACES = { "/a", "/b", "/a/x", "/a/y", "/b/x", "/a/x/1" }
local PERMS = { 31, 31 - 2, 31 - 4, 31 - 8 } -- one may always be read, and be changed back

local Wishes = {}
Wishes.__index = Wishes

--- The wishes of the process `name`; its session stands in `life`.
function M.new(trial, name)
  return setmetatable({ trial = trial, name = name, written = 0 }, Wishes)
end

function Wishes:random()
  return self.trial.world:random(self.name)
end

function Wishes:pick(low, high)
  return self.trial.world:pick(self.name, low, high)
end

function Wishes:path(known)
  local paths = self.trial[self:random() < 0.4 and "watched" or "paths"]
  if paths[1] and self:random() < (known or 0.75) then
    return paths[self:pick(1, #paths)]
  end
  return PLACES[self:pick(1, #PLACES)]
end

-- A path that has been looked at to be watched: what has become of it?
function Wishes:watched()
  local watched = self.life.watched
  if watched[1] and self:random() < 0.3 then
    return watched[self:pick(1, #watched)]
  end
end

-- Mostly short, sometimes empty or null, and long enough now and then to be long under way.
function Wishes:data()
  local share = self:random()
  if share < 0.15 then
    return share < 0.1 and "" or nil
  end
  self.written = self.written + 1
  local data = self.name .. ":" .. self.written
  return share > 0.98 and data:rep(self:pick(1, 3000)) or data
end

function Wishes:version(path)
  local share = self:random()
  if share < 0.4 then
    return -1
  end
  local known = self.trial.versions[path] or 0
  return share < 0.9 and known or self:pick(0, 3)
end

local MODES = { 0, 0, 0, 1, 1, 2, 3, 3, 4, 5, 6 }

local OPERATIONS = {}

function OPERATIONS.create(self)
  local mode = MODES[self:pick(1, #MODES)]
  local path = self:path(0.5)
  if mode == 2 or mode == 3 or mode == 6 then
    path = path .. "/n-"
  elseif self:random() < 0.15 then
    path = path .. "/" .. ("pqr"):sub(self:pick(1, 3)):sub(1, 1)
  end
  return {
    kind = "create", path = path, data = self:data(), mode = mode,
    ttl = mode >= 5 and self:pick(1, 70000) or nil,
    perms = self:random() < 0.1 and PERMS[self:pick(1, #PERMS)] or nil,
  }
end

function OPERATIONS.set(self)
  local path = self:path()
  return { kind = "set", path = path, data = self:data(), version = self:version(path) }
end

function OPERATIONS.delete(self)
  local path = self:path()
  return { kind = "delete", path = path, version = self:version(path) }
end

function OPERATIONS.check(self)
  local path = self:path()
  return { kind = "check", path = path, version = self:version(path) }
end

function OPERATIONS.set_acl(self)
  return { kind = "set_acl", path = self:path(), version = self:random() < 0.8 and -1 or 0,
    perms = PERMS[self:random() < 0.6 and 1 or self:pick(1, #PERMS)] }
end

local PARTS = { "create", "create", "set", "set", "delete", "check" }

function OPERATIONS.multi(self)
  local parts = {}
  for i = 1, self:pick(1, 4) do
    parts[i] = OPERATIONS[PARTS[self:pick(1, #PARTS)]](self)
  end
  return { kind = "multi", operations = parts }
end

function OPERATIONS.multi_read(self)
  local parts = {}
  for i = 1, self:pick(1, 4) do
    parts[i] = { kind = self:random() < 0.5 and "get" or "children", path = self:path() }
  end
  return { kind = "multi_read", operations = parts }
end

function OPERATIONS.add_watch(self)
  return { kind = "add_watch", path = self:path(), recursive = self:random() < 0.5 }
end

for _, kind in ipairs({ "get", "exists", "children" }) do
  OPERATIONS[kind] = function(self)
    return { kind = kind, path = self:watched() or self:path(), watch = self:random() < 0.5 }
  end
end

for _, kind in ipairs({ "get_acl", "count", "sync" }) do
  OPERATIONS[kind] = function(self)
    return { kind = kind, path = self:path() }
  end
end

function OPERATIONS.ephemerals()
  return { kind = "ephemerals", path = "/" }
end

--- Kinds, as often as they are to come.
local KINDS = {}
for kind, weight in ("create 10 set 9 delete 4 multi 4 set_acl 1 get 6 exists 5 children 5"
  .. " get_acl 1 count 1 sync 2 ephemerals 1 multi_read 2 add_watch 2"):gmatch("(%S+) (%d+)") do
  for _ = 1, tonumber(weight) do
    KINDS[#KINDS + 1] = kind
  end
end

function Wishes:operation()
  return OPERATIONS[KINDS[self:pick(1, #KINDS)]](self)
end

return M
