--- A client's life over several sessions: the first connection, renewal after an expiry, what is
--- news to the user, and the end.
local core = require "zklua.core"
local errors = require "zklua.error"
local handlers = require "zklua.handlers"
local lifetimes = require "zklua.lifetime"
local metrics = require "zklua.metrics"
local tasks = require "zklua.task"
local watches = require "zklua.watches"
local wrong = require "zklua.wrong"

local Session = {}
Session.__index = Session

local M = {}

--- Ephemerals remembered for the news of an expiry; later ones are not in the list.
local EPHEMERALS_MAX = 100000
local CLOSE_TIMEOUT_MAX = 5 -- seconds a close waits unless told

--- options: endpoints, chroot, session_timeout, timeout, readonly, auth, acl (encoded),
--- on_expire, on_error, log, session, fail_fast
function M.new(runtime, options)
  local self = setmetatable({
    runtime = runtime,
    options = options,
    session_timeout = options.session_timeout,
    timeout = options.timeout or options.session_timeout,
    fail_fast = options.fail_fast,
    acl = options.acl,
    credentials = {},
    handlers = {
      state = handlers.new(), expired = handlers.new(), error = handlers.new(),
    },
    ephemerals = {},
    ephemeral_count = 0,
    observers = handlers.new(),
    closed = false,
    state = "connecting",
    expiries = 0,
    retired = nil, -- metrics of the sessions that ended
  }, Session)
  for i, credential in ipairs(options.auth or {}) do
    self.credentials[i] = credential
  end
  self.watches = watches.new(self)
  runtime.session_count = runtime.session_count + 1
  runtime.sessions[self] = runtime.session_count
  runtime:watch_stalls()
  self:begin(options.session)
  return self
end

function Session:log(level, message)
  if self.options.log then
    self.runtime:spawn(self.options.log, level, message)
  else
    self.runtime:log(level, message)
  end
end

-- A core client of its own; credentials go first, before anything can be asked.
function Session:begin(reattach)
  local options = self.options
  self.life = lifetimes.new(self, {
    endpoints = options.endpoints,
    chroot = options.chroot,
    session_timeout = options.session_timeout,
    readonly = options.readonly,
    reply_max = options.reply_max,
    session = reattach,
  })
  self.accepted = 0 -- credentials; the server looks at them in order
  for i, credential in ipairs(self.credentials) do
    local xid = self.life.core:add_auth(credential[1], credential[2])
    if xid then
      self.life:on_reply(xid, function(code)
        self.accepted = code and self.accepted or i
      end)
    end
  end
end

-- Waiting for the connection -------------------------------------------------

local function explain(self, seconds)
  return ("TIMEOUT: no server reached within %g s: %s"):format(seconds, self.life.driver:explain())
end

--- Parks until connected: true; or nil, message, CODE, and the session is given up.
function Session:wait_connected(timeout)
  local runtime = self.runtime
  local task = runtime:waiter("connect")
  local deadline = runtime:now() + timeout
  self.waiting = task
  local message, code
  while not self.life.connected do
    if self.life.ended_code then
      code = self.life.ended_code
      if code == "AUTHFAILED" then
        local refused = self.credentials[self.accepted + 1]
        message = errors.message(code, "connect", nil, refused and refused[1])
      else
        message = ("%s: the session %s cannot be used any more"):format(code, self.life.id or "")
      end
    elseif self.hopeless then
      code, message = "NOTCONNECTED", "NOTCONNECTED: " .. self.hopeless
      runtime.unreachable = message
    else
      message, code = task:interrupted()
      if not code and runtime:now() >= deadline then
        code, message = "TIMEOUT", explain(self, timeout)
      end
      if code == "TIMEOUT" then
        runtime.unreachable = message
      end
    end
    if code then
      break
    end
    task:park(deadline)
  end
  self.waiting = nil
  if code then
    self:close_soon(0)
    return nil, message, code
  end
  return true
end

--- The running task, at the beginning of a call; nil, message, CODE when its waits must end, or
--- when another task has closed the client, which this one need not have heard of. A call after
--- one's own close is wrong use and raises.
function Session:enter(op)
  local task = self.runtime:waiter(op)
  if self.closed then
    if self.closed_by == task then
      wrong(op .. ": the client is closed")
    end
    return nil, ("CLOSED: the client is closed (%s)"):format(op), "CLOSED"
  end
  if task.code or task.scope ~= task then
    local message, code = task:interrupted()
    if code then
      return nil, message, code
    end
  end
  return task
end

-- News -----------------------------------------------------------------------

--- Takes fn on for "state", "expired" or "error". Returns what takes it off.
function Session:on(event, fn)
  local list = self.handlers[event]
  if not list then
    wrong(('event must be "state", "expired" or "error", not %s'):format(tostring(event)))
  elseif type(fn) ~= "function" then
    wrong("fn must be a function, not " .. type(fn))
  end
  return list:add(fn)
end

--- fn(state) at every change, inside the driver, for what the library keeps up to date. Returns
--- what takes it off.
function Session:observe(fn)
  return self.observers:add(fn)
end

-- An error in a handler is the client's error news, else the runtime's.
local function run_handler(self, event, fn, ...)
  local ok, failure = xpcall(fn, function(message)
    return { message, debug.traceback(tostring(message), 2) }
  end, ...)
  if ok then
    return
  end
  local message, trace = failure[1], failure[2]
  if event ~= "error" and not self.handlers.error:empty() then
    self:emit("error", tostring(message), trace)
  elseif self.options.on_error then
    self.options.on_error(tostring(message), trace)
  else
    self.runtime:report(message, trace)
  end
end

function Session:emit(event, ...)
  for fn in self.handlers[event]:each() do
    local task = self.runtime:spawn(run_handler, self, event, fn, ...)
    task.name = "handler of " .. event
  end
end

local function set_state(self, state, reason, detail)
  if self.state ~= state then
    self.state = state
    local why = reason and reason ~= "none" and reason or nil
    self:log("info", ("session %s is %s%s"):format(self.life.id or "(new)", state,
      why and (" (%s%s)"):format(why, detail and ": " .. detail or "") or ""))
    self:emit("state", state, why)
  end
  for fn in self.observers:each() do
    fn(state)
  end
  if self.waiting then
    self.waiting.wake:set()
  end
end

local function sorted_keys(set)
  local list = {}
  for key in pairs(set) do
    list[#list + 1] = key
  end
  table.sort(list)
  return list
end

-- The session is gone, and what hung on it is told for certain.
local function expired(self, reason)
  local lost = sorted_keys(self.ephemerals)
  self.ephemerals, self.ephemeral_count = {}, 0
  self.expiries = self.expiries + 1
  self.retired = metrics.add(self.life.core:metrics(), self.retired)
  local renew = self.options.on_expire ~= "stop" and not self.closed
  self:log("warning", ("session %s has expired%s; %d ephemeral nodes of it are lost%s"):format(
    self.life.id or "(new)", reason == "expired_here" and " by this program's clock" or "",
    #lost, renew and "; a new one begins" or ""))
  if renew then
    set_state(self, "expired", reason)
    self:begin(nil)
    set_state(self, "connecting")
    self.watches:renewed()
  else
    set_state(self, "expired", reason)
    self.watches:ended("SESSIONEXPIRED")
  end
  self:emit("expired", lost)
end

function Session:life_state(life, name, reason, detail)
  if life ~= self.life then
    return
  elseif name == "expired" then
    -- A session we were asked to go on with, and that is no more: nothing to renew.
    if self.waiting and not self.was_connected then
      return set_state(self, "expired", reason)
    end
    return expired(self, reason)
  elseif name == "authfailed" then
    set_state(self, "closed", "auth", detail)
    return self.watches:ended("AUTHFAILED")
  elseif name == "closed" then
    set_state(self, "closed", reason, detail)
    return self.watches:ended("CLOSED")
  elseif name == "connected" or name == "readonly" then
    self.was_connected = true
    self.session_timeout = life.timeout
    self.timeout = self.options.timeout or life.timeout
    self.runtime:watch_stalls()
  end
  set_state(self, name, reason, detail)
end

--- No server is to be had: who waits for the first connection need not wait, and others are told
--- what is wrong.
function Session:life_hopeless(life, why)
  if life ~= self.life then
    return
  elseif self.waiting and not self.was_connected then
    self.hopeless = why
    self.waiting.wake:set()
  elseif self.told ~= why then
    self.told = why
    self:log("warning", why)
  end
end

function Session:life_over(life)
  if life == self.life and self.closing then
    self.closing.wake:set()
  end
end

-- Ephemerals -----------------------------------------------------------------

function Session:note_created(path)
  if self.ephemeral_count < EPHEMERALS_MAX and not self.ephemerals[path] then
    self.ephemerals[path] = true
    self.ephemeral_count = self.ephemeral_count + 1
  end
end

function Session:note_deleted(path)
  if self.ephemerals[path] then
    self.ephemerals[path] = nil
    self.ephemeral_count = self.ephemeral_count - 1
  end
end

-- The end --------------------------------------------------------------------

--- Begins the end without waiting for it.
function Session:close_soon(timeout)
  self.closed = true
  self.runtime.sessions[self] = nil
  self.runtime:watch_stalls()
  if self.life.alive and not core.forked() then
    self.life.core:close(timeout)
    self.life.driver.event:set()
    self.life.driver:poke()
  end
end

--- Ends the session; true. Waits at most `timeout` seconds, cancelled or not.
function Session:close(timeout)
  if self.closed then
    return true
  end
  if core.forked() then
    wrong("this session belongs to the parent process; connect again after fork")
  end
  timeout = timeout or math.min(self.timeout, CLOSE_TIMEOUT_MAX)
  local task = self.runtime:waiter("close")
  self.runtime:notice_stall() -- it is this session that has starved
  self.closed_by = task
  self:close_soon(timeout)
  self.closing = task
  tasks.enter(tasks.scope(task, { barrier = true }), function()
    while not self.life.over do
      task:park(nil)
    end
  end)
  self.closing = nil
  return true
end

--- Counters since the client was made, over all its sessions.
function Session:metrics()
  local sums = metrics.add(self.life.core:metrics(), self.retired)
  sums.expiries = self.expiries
  sums.reconnects = math.max(0, sums.attaches - 1 - self.expiries)
  return sums
end

return M
