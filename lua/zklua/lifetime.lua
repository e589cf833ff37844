--- One session from its first connection to its end: a core client, its driver, and the requests
--- that wait for an answer. A client outlives it when it renews itself; what hangs on a session,
--- like a lock, keeps to one of these.
local zkcore = require "zklua.core"
local drivers = require "zklua.driver"
local handlers = require "zklua.handlers"

local Lifetime = {}
Lifetime.__index = Lifetime

local M = {}

--- Why an ended session answers nothing any more.
local END_CODES = { expired = "SESSIONEXPIRED", authfailed = "AUTHFAILED", closed = "CLOSED" }

---@param session table  its owner: told of everything by the methods life_*
---@param core_options table  for core.client
function M.new(session, core_options)
  local core = zkcore.client(core_options)
  local self = setmetatable({
    session = session,
    runtime = session.runtime,
    core = core,
    id = core_options.session and core_options.session.id or nil,
    alive = true, -- until it has ended for good
    connected = false,
    pending = {}, -- xid -> call
    end_handlers = handlers.new(),
    state_handlers = handlers.new(),
  }, Lifetime)
  self.driver = drivers.new(session.runtime, core, core_options.endpoints,
    core_options.session_timeout, self)
  self.driver:start()
  return self
end

-- Requests -------------------------------------------------------------------

--- Parks `task` until the request `xid` has its reply: code (nil is success) and its values; or
--- the code and message of whatever ended the wait. `refusal` is why there is no xid.
--- `call` is the task's own unless it waits for several at once.
function Lifetime:await(task, xid, refusal, watcher)
  if not xid then
    return refusal
  end
  local call = task.call
  call.done = false
  call.watcher = watcher
  self.pending[xid] = call
  self.driver:poke()
  local wake = task.wake
  local limit = task.scope ~= task and task:limit_of_scopes() or nil
  while not call.done do
    wake:wait(limit)
    if not call.done then
      local message, code = task:interrupted()
      if code then
        self:abandon(xid)
        return code, message
      end
    end
  end
  local a, b = call.a, call.b
  call.a, call.b = nil, nil
  return call.code, a, b
end

--- Calls answer(code, a, b) with the reply, from inside the driver: it must not wait.
function Lifetime:on_reply(xid, answer)
  self.pending[xid] = { done = false, answer = answer }
  self.driver:poke()
end

--- Nobody waits for this one any more.
function Lifetime:abandon(xid)
  self.pending[xid] = nil
  self.core:cancel(xid)
  self.driver:poke()
end

-- What the driver tells ------------------------------------------------------

function Lifetime:reply(xid, code, a, b)
  local call = self.pending[xid]
  if not call then
    return
  end
  self.pending[xid] = nil
  call.code, call.a, call.b = code, a, b
  call.done = true
  -- Before the next event is looked at, which may be the one that this watch is for.
  if call.watcher then
    self.session.watches:armed(call.watcher, code)
  end
  if call.answer then
    call.answer(code, a, b)
  else
    call.task.wake:set()
  end
end

local function notify(self, list, ...)
  for fn in list:each() do
    self.runtime.scheduler.daemon(fn, ...)
  end
end

function Lifetime:state(name, reason, detail)
  if name == "connected" or name == "readonly" then
    local info = self.core:info()
    self.connected = true
    self.id, self.timeout = info.session, info.timeout
  else
    self.connected = false
  end
  local ended = END_CODES[name]
  if ended then
    self.alive = false
    self.ended_code = ended
  end
  notify(self, self.state_handlers, name)
  if ended then
    notify(self, self.end_handlers, ended)
    self.end_handlers = handlers.new()
  end
  self.session:life_state(self, name, reason, detail)
end

function Lifetime:watch(type, path, kinds, zxid)
  self.session.watches:fire(self, type, path, kinds, zxid)
end

--- The core is done: nothing is pending any more.
function Lifetime:ended()
  self.over = true
  self.session:life_over(self)
end

--- An endpoint cannot be reached, and will not be by waiting.
function Lifetime:hopeless(endpoint, why)
  self.session:life_hopeless(self, endpoint .. ": " .. why)
end

function Lifetime:forked() -- luacheck: ignore self
  return zkcore.forked()
end

-- For recipes ----------------------------------------------------------------

--- Whether the session surely lives by our clock, read now.
function Lifetime:valid()
  return self.alive and self.core:valid()
end

--- Until when it does, on the runtime's clock.
function Lifetime:valid_until()
  return self.alive and self.core:info().valid_until or 0
end

--- fn(code), once, when the session has ended for good. It must not wait. Returns what takes it
--- off.
function Lifetime:on_end(fn)
  if not self.alive then
    self.runtime.scheduler.daemon(fn, self.ended_code)
    return function() end
  end
  return self.end_handlers:add(fn)
end

--- fn(state) at every change. It must not wait. Returns what takes it off.
function Lifetime:on_state(fn)
  return self.state_handlers:add(fn)
end

return M
