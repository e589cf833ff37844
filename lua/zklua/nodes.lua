--- The operations on one node, one request each: the way of every read and write.
---
--- A call makes no table but the result: the request's record belongs to the task, the deadline
--- to the core. Reads are sent again when their connection is lost, within their deadline, since
--- reading twice harms nobody; writes never are.
local core = require "zklua.core"
local acls = require "zklua.acl"
local errors = require "zklua.error"
local null = require "zklua.null"
local options_of = require "zklua.options"
local paths = require "zklua.path"
local watches = require "zklua.watches"
local wrong = require "zklua.wrong"

local now = core.now
local fail = errors.fail

local M = {}

local ANY = options_of.set()
local READ = options_of.set({ watch = "any", fresh = "boolean" })
local WRITE = options_of.set({ version = "number", create = "boolean" })
local DELETE = options_of.set({ version = "number", recursive = "boolean", missing_ok = "boolean" })
local CREATE = options_of.set({
  ephemeral = "boolean", sequential = "boolean", container = "boolean", ttl = "number",
  acl = "any", parents = "boolean",
})

-- The call's frame -----------------------------------------------------------

--- The path within the chroot; raises for what is not a path.
local function full_path(client, path, sequential)
  local prefix = client.prefix
  if type(path) ~= "string" then
    paths.check(path, "path")
  elseif prefix then
    paths.check(path, "path", sequential)
    return path == "/" and prefix or prefix .. path
  end
  return path -- the core looks at it, and refuses
end
M.full_path = full_path

--- Deadline and fail_fast of a call with options.
local function frame(session, options, allowed)
  options_of.check(options, allowed)
  local fail_fast = options.fail_fast
  if fail_fast == nil then
    fail_fast = session.fail_fast
  end
  return options.deadline or now() + (options.timeout or session.timeout), fail_fast
end
M.frame = frame

--- The core refused the arguments: say which and why, where the call was made.
local function refused(path, sequential, what)
  paths.check(path, "path", sequential)
  wrong(what or "the arguments cannot be sent")
end
M.refused = refused

local function check_data(data)
  if type(data) ~= "string" and data ~= nil and data ~= null then
    wrong("data must be a string or zk.null, not a " .. type(data))
  end
end

--- What the core takes for data: "" for none, nil for null.
local function core_data(data)
  if data == null then
    return nil
  end
  return data or ""
end
M.check_data, M.core_data = check_data, core_data

--- nil, message, CODE. `message` is there when a wait was ended, not the request answered.
local function failed(code, message, op, path, detail)
  if type(message) == "string" then
    local sentence = errors.message(code, op, path)
    local maybe = sentence:match("; it may have happened$") or ""
    return nil, ("%s (%s %s)%s"):format(message, op, path, maybe), code
  end
  return fail(code, op, path, detail)
end
M.failed = failed

-- What LIMIT says of a write.
local function size_of(data)
  return type(data) == "string" and #data or 0
end

local function watcher_of(client, op, full, options)
  local target = options.watch
  if target == nil then
    return nil
  elseif type(target) ~= "function" and not (type(target) == "table" and target.set) then
    wrong("watch must be an event or a function")
  end
  return watches.watcher(op, full, client.prefix, target)
end

-- A sync right before a read, in the same write: its own answer matters only if it is a failure.
local function sync_first(life, full, deadline, fail_fast)
  local outcome = {}
  local xid, refusal = life.core:sync(full, deadline, fail_fast)
  if not xid then
    outcome.code = refusal
    return outcome
  end
  life:on_reply(xid, function(code)
    outcome.code = code
  end)
  return outcome
end

-- Reads ----------------------------------------------------------------------

local function read(op)
  return function(self, path, options)
    local session = self._session
    local full = full_path(self, path)
    local deadline, fail_fast, watcher, fresh
    if options then
      deadline, fail_fast = frame(session, options, READ)
      watcher, fresh = watcher_of(self, op, full, options), options.fresh
    else
      deadline, fail_fast = now() + session.timeout, session.fail_fast
    end
    local task, message, why = session:enter(op)
    if not task then
      return nil, message, why
    end
    local code, a, b, sync
    repeat
      local life = session.life
      sync = fresh and sync_first(life, full, deadline, fail_fast)
      local link = life.core
      local xid, refusal = link[op](link, full, watcher ~= nil, deadline, fail_fast)
      code, a, b = life:await(task, xid, refusal, watcher)
      if sync and not code and sync.code then
        code, a = sync.code, nil
      end
    until code ~= "CONNECTIONLOSS" or fail_fast
    if not code then
      return a, b
    elseif code == "ARGUMENT" then
      refused(path)
    end
    return failed(code, a, op, path)
  end
end

-- Writes ---------------------------------------------------------------------

local MODES = {
  plain = 0, ephemeral = 1, sequential = 2, ephemeral_sequential = 3, container = 4, ttl = 5,
  sequential_ttl = 6,
}

--- The core's create mode; raises for what does not go together.
local function create_mode(options)
  if not options then
    return MODES.plain
  end
  local kinds = (options.ephemeral and 1 or 0) + (options.container and 1 or 0)
    + (options.ttl and 1 or 0)
  if kinds > 1 then
    wrong("ephemeral, container and ttl exclude each other")
  elseif options.container and options.sequential then
    wrong("a container cannot be sequential")
  elseif options.ttl and (options.ttl < 1 or options.ttl > 2 ^ 40 - 1 or options.ttl % 1 ~= 0) then
    wrong("ttl must be a whole number of milliseconds, 1 to 2^40 - 1")
  end
  if options.container then
    return MODES.container
  elseif options.ttl then
    return options.sequential and MODES.sequential_ttl or MODES.ttl
  elseif options.ephemeral then
    return options.sequential and MODES.ephemeral_sequential or MODES.ephemeral
  end
  return options.sequential and MODES.sequential or MODES.plain
end
M.create_mode = create_mode

--- The encoded acl of a create.
local function create_acl(session, options)
  local acl = options and options.acl
  if acl == nil then
    return session.acl
  end
  return acls.encode(acl)
end
M.create_acl = create_acl
M.CREATE = CREATE

local PARENTS_TRIES = 8 -- a parent that is made and vanishes again that often is being removed

local function create(self, path, data, options)
  if type(data) == "table" and data ~= null and options == nil then
    data, options = nil, data
  end
  local session = self._session
  local sequential = options and type(options) == "table" and options.sequential or false
  local full = full_path(self, path, sequential)
  check_data(data)
  local deadline, fail_fast
  if options then
    deadline, fail_fast = frame(session, options, CREATE)
  else
    deadline, fail_fast = now() + session.timeout, session.fail_fast
  end
  local mode, acl = create_mode(options), create_acl(session, options)
  local task, message, why = session:enter("create")
  if not task then
    return nil, message, why
  end
  local tries, code, real, stat = 0, nil, nil, nil
  repeat
    local life = session.life
    local xid, refusal = life.core:create(full, core_data(data), acl, mode,
      options and options.ttl, deadline, fail_fast)
    code, real, stat = life:await(task, xid, refusal)
    tries = tries + 1
    local again = code == "NONODE" and options and options.parents and tries < PARENTS_TRIES
    if again then
      local parent = paths.parent(sequential and path:match("^(.+)/$") and path .. "x" or path)
      local made, reason, reason_code = self:ensure(parent or "/", {
        deadline = deadline, fail_fast = fail_fast,
      })
      if not made then
        return nil, reason, reason_code
      end
    end
  until not again
  if not code then
    if mode == MODES.ephemeral or mode == MODES.ephemeral_sequential then
      session:note_created(real)
    end
    return watches.relative(real, self.prefix), stat
  elseif code == "ARGUMENT" then
    refused(path, sequential)
  end
  return failed(code, real, "create", path, code == "LIMIT" and size_of(data) or nil)
end

local SET_TRIES = 8 -- a node that comes and goes between set and create that often is fought over

local function set(self, path, data, options)
  local session = self._session
  local full = full_path(self, path)
  if type(data) ~= "string" and data ~= null then
    wrong("data must be a string or zk.null, not a " .. type(data))
  end
  local deadline, fail_fast, version, may_create
  if options then
    deadline, fail_fast = frame(session, options, WRITE)
    version, may_create = options.version, options.create
  else
    deadline, fail_fast = now() + session.timeout, session.fail_fast
  end
  local task, message, why = session:enter("set")
  if not task then
    return nil, message, why
  end
  for try = 1, SET_TRIES do
    local life = session.life
    local xid, refusal = life.core:set(full, core_data(data), version or -1, deadline, fail_fast)
    local code, stat = life:await(task, xid, refusal)
    if not code then
      return stat
    elseif code == "ARGUMENT" then
      refused(path)
    elseif code ~= "NONODE" or not may_create or try == SET_TRIES then
      return failed(code, stat, "set", path, code == "LIMIT" and size_of(data) or version)
    end
    local made, made_stat, made_code = self:create(path, data, {
      parents = true, deadline = deadline, fail_fast = fail_fast,
    })
    if made then
      return made_stat
    elseif made_code ~= "NODEEXISTS" then
      return nil, made_stat, made_code
    end
  end
end

local function delete(self, path, options)
  local session = self._session
  local full = full_path(self, path)
  local deadline, fail_fast, version
  if options then
    deadline, fail_fast = frame(session, options, DELETE)
    version = options.version
  else
    deadline, fail_fast = now() + session.timeout, session.fail_fast
  end
  local task, message, why = session:enter("delete")
  if not task then
    return nil, message, why
  end
  local life = session.life
  local xid, refusal = life.core:delete(full, version or -1, deadline, fail_fast)
  local code, a = life:await(task, xid, refusal)
  if not code then
    session:note_deleted(full)
    return true
  elseif code == "ARGUMENT" then
    refused(path)
  elseif code == "NONODE" and options and options.missing_ok then
    return true
  elseif code == "NOTEMPTY" and options and options.recursive then
    return self:_delete_below(path, deadline, fail_fast, version)
  end
  return failed(code, a, "delete", path, version)
end

-- The others -----------------------------------------------------------------

-- Requests without a hot path. `submit(link, deadline, fail_fast)` asks the core; reads repeat.
-- Returns true and the values of the reply, or nil, message, CODE.
local function ask(self, op, path, options, allowed, repeats, submit, watcher)
  local session = self._session
  local deadline, fail_fast = frame(session, options or {}, allowed or ANY)
  local task, message, why = session:enter(op)
  if not task then
    return nil, message, why
  end
  local code, a, b
  repeat
    local life = session.life
    local xid, refusal = submit(life.core, deadline, fail_fast)
    code, a, b = life:await(task, xid, refusal, watcher)
  until code ~= "CONNECTIONLOSS" or fail_fast or not repeats
  if not code then
    return true, a, b
  elseif code == "ARGUMENT" then
    refused(path or "/")
  end
  return failed(code, a, op, path)
end
M.ask = ask

--- What `ask` returned as what a call returns: the reply's values, or nil, message, CODE.
local function answer(ok, a, b)
  if ok then
    return a, b
  end
  return nil, a, b
end
M.answer = answer

local function exists(plain)
  return function(self, path, options)
    local stat, message, code = plain(self, path, options)
    if code == "NONODE" then
      return false, message, code
    end
    return stat, message, code
  end
end

--- Adds the methods to the class of clients.
function M.attach(Client)
  Client.get = read("get")
  Client.create = create
  Client.set = set
  Client.delete = delete
  Client.exists = exists(read("exists"))

  local children = read("children")
  function Client:children(path, options)
    local names, stat, code = children(self, path, options)
    if names then
      table.sort(names)
    end
    return names, stat, code
  end

  function Client:get_acl(path, options)
    local full = full_path(self, path)
    return answer(ask(self, "get_acl", path, options, nil, true, function(link, deadline, fast)
      return link:get_acl(full, deadline, fast)
    end))
  end

  function Client:set_acl(path, acl, options)
    local full, encoded = full_path(self, path), acls.encode(acl)
    local version = type(options) == "table" and options.version or -1
    return answer(ask(self, "set_acl", path, options, WRITE, false,
      function(link, deadline, fast)
        return link:set_acl(full, encoded, version, deadline, fast)
      end))
  end

  function Client:sync(path, options)
    path = path or "/"
    local full = full_path(self, path)
    local ok, a, b = ask(self, "sync", path, options, nil, true, function(link, deadline, fast)
      return link:sync(full, deadline, fast)
    end)
    if ok then
      return true
    end
    return nil, a, b
  end
end

return M
