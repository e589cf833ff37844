--- One session of a process: all that it asks for and hears is noted in the trial's history. It
--- stands on the client core and its driver, without the layers that would wait for answers.
local Life = {}
Life.__index = Life

local M = {}

--- Codes that the client gives itself, and those that tell nothing of what became of a request.
local UNANSWERED = {
  TIMEOUT = true, CANCELLED = true, NOTCONNECTED = true, CLOSED = true, CONNECTIONLOSS = true,
  SESSIONEXPIRED = true, AUTHFAILED = true,
}

local SERVER = "10.0.0.1:2181"
local PATHS_MAX, WATCHED_MAX = 30, 10 -- remembered

--- The `number`th session of `process`, which connects.
function M.new(trial, process, number)
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

-- What the driver tells ---------------------------------------------------------

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

-- What it asks for --------------------------------------------------------------

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

--- Ends the session; it is over soon, whether the server hears of it or not.
function Life:close(seconds)
  self.core:close(seconds)
  self.driver.event:set()
  self.driver:poke()
end

return M
