--- What a process of the trial does: anything, in any order, over one session after the other, and
--- all that it asks for and hears is noted in the trial's history.
---
--- It stands on the client core and its driver, without the layers that would wait for answers.
local M = {}

local Life = {}
Life.__index = Life

--- Codes that the client gives itself, and those that tell nothing of what became of a request.
local UNANSWERED = {
  TIMEOUT = true, CANCELLED = true, NOTCONNECTED = true, CLOSED = true, CONNECTIONLOSS = true,
  SESSIONEXPIRED = true, AUTHFAILED = true,
}

local SERVER = "10.0.0.1:2181"
local OUTSTANDING_MAX = 10
local PATHS_MAX, WATCHED_MAX = 30, 10 -- remembered

-- A session ----------------------------------------------------------------------

local function new_life(trial, process, number)
  local self = setmetatable({
    trial = trial,
    history = trial.history,
    process = process,
    who = process.name .. "." .. number,
    outstanding = {}, -- xid -> operation
    count = 0, -- of them
    watched = {}, -- paths, the last few
    session = nil, -- its id, once it has one
    connected = false,
    over = false,
  }, Life)
  local chance = trial.world:random(process.name)
  local endpoints, timeout = { SERVER }, 4 + math.floor(chance * 5)
  self.core = process.core.client({ endpoints = endpoints, session_timeout = timeout })
  local drivers = process.globals.require("zklua.driver")
  self.driver = drivers.new(process.runtime, self.core, endpoints, timeout, self)
  self.driver:start()
  return self
end

function Life:note(kind, entry)
  entry.who = self.who
  self.history:note(kind, entry)
end

-- What the driver tells.

local function forget(paths, path)
  for i = #paths, 1, -1 do
    if paths[i] == path then
      table.remove(paths, i)
    end
  end
end

-- What all of them believe to be there, so that most of what they ask for makes sense.
local function learn(trial, operation, code, a, b)
  local paths = trial.paths
  if code == "NONODE" or operation.kind == "delete" and not code then
    forget(paths, operation.path)
  elseif operation.kind == "create" and not code then
    paths[#paths + 1] = a
    if #paths > PATHS_MAX then
      table.remove(paths, 1)
    end
  end
  if code then
    return
  end
  local stat = type(b) == "table" and b.version and b or type(a) == "table" and a.version and a
  if stat and operation.path then
    trial.versions[operation.path] = stat.version
  end
end

function Life:reply(xid, code, a, b)
  local trial, operation = self.trial, self.outstanding[xid]
  local zxid = not UNANSWERED[code] and trial.tap:zxid(self.session, xid) or nil
  self:note("reply", { xid = xid, code = code, a = a, b = b, zxid = zxid })
  if operation then
    self.outstanding[xid] = nil
    self.count = self.count - 1
    if zxid then
      trial.operations = trial.operations + 1
    end
    learn(trial, operation, code, a, b)
  end
end

function Life:watch(type, path, kinds, zxid)
  self:note("watch", { type = type, path = path, kinds = kinds, zxid = zxid })
end

function Life:state(name, reason)
  self.connected = name == "connected"
  if self.connected then
    self.session = self.core:info().session
  end
  self.gone = name == "expired" or name == "closed" or name == "authfailed"
  self:note("state", { state = name, reason = reason, session = self.session })
end

function Life:ended()
  self.over = true
  self:note("over", {})
end

function Life.forked()
  return false
end

-- What it asks for.

local function acl_of(process, perms)
  return perms and assert(process.core.acl({ { perms = perms, scheme = "world", id = "anyone" } }))
end

local SUBMIT = {
  create = function(core, op, process, deadline, fast)
    return core:create(op.path, op.data, acl_of(process, op.perms), op.mode, op.ttl, deadline, fast)
  end,
  set = function(core, op, _, deadline, fast)
    return core:set(op.path, op.data, op.version, deadline, fast)
  end,
  delete = function(core, op, _, deadline, fast)
    return core:delete(op.path, op.version, deadline, fast)
  end,
  set_acl = function(core, op, process, deadline, fast)
    return core:set_acl(op.path, acl_of(process, op.perms), op.version, deadline, fast)
  end,
  multi = function(core, op, process, deadline, fast)
    local list = {}
    for i, part in ipairs(op.operations) do
      if part.kind == "create" then
        local acl = acl_of(process, part.perms)
        list[i] = { "create", part.path, part.data, acl, part.mode, part.ttl }
      elseif part.kind == "set" then
        list[i] = { "set", part.path, part.data, part.version }
      else
        list[i] = { part.kind, part.path, part.version }
      end
    end
    return core:multi(list, deadline, fast)
  end,
  multi_read = function(core, op, _, deadline, fast)
    local list = {}
    for i, part in ipairs(op.operations) do
      list[i] = { part.kind, part.path }
    end
    return core:multi_read(list, deadline, fast)
  end,
  add_watch = function(core, op, _, deadline, fast)
    return core:add_watch(op.path, op.recursive, deadline, fast)
  end,
}

for _, kind in ipairs({ "get", "exists", "children" }) do
  SUBMIT[kind] = function(core, op, _, deadline, fast)
    return core[kind](core, op.path, op.watch, deadline, fast)
  end
end

for _, kind in ipairs({ "get_acl", "sync", "count", "ephemerals" }) do
  SUBMIT[kind] = function(core, op, _, deadline, fast)
    return core[kind](core, op.path, deadline, fast)
  end
end

--- Asks for one thing; it may be refused when the session is over.
function Life:submit(operation, deadline, fail_fast)
  local xid, refusal = SUBMIT[operation.kind](self.core, operation, self.process, deadline,
    fail_fast)
  if xid then
    self.outstanding[xid] = operation
    self.count = self.count + 1
    if operation.watch then
      for _, watched in ipairs({ self.watched, self.trial.watched }) do
        table.insert(watched, 1, operation.path)
        watched[WATCHED_MAX + 1] = nil
      end
    end
    self:note("submit", { xid = xid, operation = operation })
    self.driver:poke()
  elseif refusal == "ARGUMENT" or refusal == "LIMIT" then
    error(operation.kind .. " was refused: " .. refusal)
  end
  return xid
end

function Life:close(seconds)
  self.core:close(seconds)
  self.driver.event:set()
  self.driver:poke()
end

-- What it thinks of --------------------------------------------------------------

local PLACES = { "/a", "/b", "/a/x", "/a/y", "/b/x", "/a/x/1" }
local PERMS = { 31, 31 - 2, 31 - 4, 31 - 8 } -- one may always be read, and be changed back

local Chooser = {}
Chooser.__index = Chooser

local function new_chooser(trial, name)
  return setmetatable({ trial = trial, name = name, written = 0 }, Chooser)
end

function Chooser:random()
  return self.trial.world:random(self.name)
end

function Chooser:pick(low, high)
  return self.trial.world:pick(self.name, low, high)
end

function Chooser:path(known)
  local paths = self.trial[self:random() < 0.4 and "watched" or "paths"]
  if paths[1] and self:random() < (known or 0.75) then
    return paths[self:pick(1, #paths)]
  end
  return PLACES[self:pick(1, #PLACES)]
end

-- A path that has been looked at to be watched: what has become of it?
function Chooser:watched()
  local watched = self.life.watched
  if watched[1] and self:random() < 0.3 then
    return watched[self:pick(1, #watched)]
  end
end

-- Mostly short, sometimes empty or null, and long enough now and then to be long under way.
function Chooser:data()
  local share = self:random()
  if share < 0.15 then
    return share < 0.1 and "" or nil
  end
  self.written = self.written + 1
  local data = self.name .. ":" .. self.written
  return share > 0.98 and data:rep(self:pick(1, 3000)) or data
end

function Chooser:version(path)
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

function Chooser:operation()
  return OPERATIONS[KINDS[self:pick(1, #KINDS)]](self)
end

-- What it does -------------------------------------------------------------------

local ONE_SHOT = { 1, 2, 4 } -- kinds of watches: data, exist, child

-- Several things at once, and now and then something is taken back.
local function burst(life, chooser, count)
  local now = life.process.scheduler.now()
  for _ = 1, count do
    local share, deadline = chooser:random(), nil
    if share < 0.15 then
      deadline = now + chooser:random() * 3
    end
    local xid = life:submit(chooser:operation(), deadline, share > 0.97)
    if xid and chooser:random() < 0.03 then
      life.core:cancel(xid)
      life.driver:poke()
    end
  end
  if chooser:random() < 0.03 then
    local kind, path = ONE_SHOT[chooser:pick(1, 3)], chooser:path()
    life:note("unwatch", { path = path, watch = kind })
    life.core:unwatch(path, kind)
    life.driver:poke()
  end
end

-- So many operations over one session.
local function live(zk, life, chooser, count)
  while count > 0 and not life.gone do
    local some = math.min(count, chooser:pick(1, 5))
    burst(life, chooser, some)
    count = count - some
    zk.sleep(chooser:random() < 0.5 and 0.003 or chooser:random())
    while life.count > OUTSTANDING_MAX and not life.gone do
      zk.sleep(0.1)
    end
  end
end

local function wait_for(zk, what)
  while not what() do
    zk.sleep(0.05)
  end
end

--- Looks at everything that was to be watched, and waits for everybody's writes first.
function M.look_again(life)
  life:submit({ kind = "sync", path = "/" })
  for _, path in ipairs(life.watched) do
    life:submit({ kind = "exists", path = path })
    life:submit({ kind = "children", path = path })
  end
end

--- The program of `process`, given when it has begun; `count` operations in all.
function M.run(trial, process, zk, count)
  local chooser = new_chooser(trial, process.name)
  local life
  function process.sessions()
    return life and life.connected and { life.session } or {}
  end
  local number = 0
  while count > 0 do
    number = number + 1
    life = new_life(trial, process, number)
    process.life, chooser.life = life, life
    local some = math.min(count, chooser:pick(10, 60))
    live(zk, life, chooser, some)
    count = count - some
    if life.gone then
      wait_for(zk, function() return life.over end)
    elseif count > 0 then
      life:close(chooser:random() * 3)
      wait_for(zk, function() return life.over end)
    end
  end
  wait_for(zk, function() return life.over or life.count == 0 end)
  return life
end

return M
