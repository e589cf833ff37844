--- What live values and caches share: a state that follows the server by way of a persistent
--- watch, knows whether it is the newest, counts its revisions and wakes who waits for the next.
---
--- The state hangs on the session, the user holds a handle. A handle that is dropped ends the
--- state when it is collected.
local core = require "zklua.core"
local finalizer = require "zklua.finalizer"
local in_order = require "zklua.in_order"
local nodes = require "zklua.nodes"
local watch = require "zklua.watch"

local Follower = {}
Follower.__index = Follower

local M = {}

local FOREVER = 3e8 -- seconds: the worker waits as long as there is a session

--- A state for `path` of `client`'s view; `what` is what messages call it.
function M.new(client, path, recursive, what)
  local session = client._session
  local queue = watch.new_queue(session.runtime)
  queue.session, queue.prefix, queue.recursive = session, client.prefix, recursive
  queue.path = nodes.full_path(client, path)
  queue.without_children = true
  local self = setmetatable({
    session = session,
    runtime = session.runtime,
    -- No guard on the worker's client: it must not keep the session of a dropped client.
    client = client._class.new(session, client.prefix),
    queue = queue,
    path = path,
    what = what,
    stale = true,
    stale_since = core.now(),
    revision = 0,
    waiters = {},
    handles = {}, -- event of a waiter -> the handle that it waits in
    waits = 0, -- so far
  }, Follower)
  self.unobserve = session:observe(function()
    if not session.life.connected and not self.stale then
      self.stale, self.stale_since = true, core.now()
    end
  end)
  return self
end

--- Options of a call that lasts as long as the session.
function M.patient()
  return { deadline = core.now() + FOREVER }
end

--- The state is the newest, as of an answer that has just come.
function Follower:refreshed()
  self.stale = not self.session.life.connected
  self.stale_since = core.now()
end

--- The state has changed: a new revision.
function Follower:announce()
  self.revision = self.revision + 1
  for _, event in ipairs(in_order(self.waiters)) do
    event:set()
  end
end

--- Ends the state; the first reason counts.
function Follower:finish(message, code)
  if self.ended then
    return
  end
  self.ended = { message, code }
  if not self.stale then
    self.stale, self.stale_since = true, core.now()
  end
  self.queue.closed = true
  self.queue.event:set()
  watch.stop_listening(self.queue)
  self.unobserve()
  for _, event in ipairs(in_order(self.waiters)) do
    event:set()
  end
  if self.on_finish then
    self:on_finish()
  end
end

--- Waits for a revision after `seen`. True, or nil, message, CODE. `handle` is not collected
--- meanwhile: who waits in it has not dropped it.
function Follower:wait_change(seen, deadline, handle)
  local event = self.runtime:event()
  while self.revision == seen do
    if self.ended then
      return nil, self.ended[1], self.ended[2]
    end
    self.waits = self.waits + 1
    self.waiters[event] = self.waits
    self.handles[event] = handle
    local woken, message, code = event:wait_until(deadline)
    self.waiters[event], self.handles[event] = nil, nil
    if woken == nil then
      return nil, message, code
    elseif not woken then
      return nil, ("TIMEOUT: nothing of it in time (%s %s)"):format(self.what, self.path), "TIMEOUT"
    end
  end
  return true
end

--- The next event of the watch; nil when the state has ended.
function Follower:next_event()
  local event, message, code = self.queue:next(nil, self.what)
  if not event then
    self:finish(message, code)
  elseif event.type == "closed" then
    self:finish(("%s: the session has ended (%s %s)"):format(event.code, self.what, self.path),
      event.code)
    event = nil
  end
  return event
end

--- Failures that a new connection or a new session mends; both bring a gap.
M.PASSING = { SESSIONEXPIRED = true, SESSIONMOVED = true, CONNECTIONLOSS = true }

--- Runs the worker; it ends with the state, by an error too.
function Follower:start(fn)
  self.runtime:daemon(function()
    local ok, message = pcall(fn, self)
    if not ok then
      self:finish(tostring(message), "CLOSED")
      error(message, 0)
    end
  end)
end

--- What the user holds: `methods`, and of the state what `shown` names.
function M.handle(state, client, methods, shown)
  local handle = { _state = state, _client = client }
  handle._guard = finalizer(function()
    state:finish("CLOSED: collected", "CLOSED")
  end)
  return setmetatable(handle, {
    __index = function(_, key)
      if shown[key] then
        return state[key]
      end
      return methods[key]
    end,
  })
end

--- Methods that all handles have.
M.methods = {
  --- Seconds since it was last known to be the newest.
  age = function(self)
    local state = self._state
    return state.stale and core.now() - state.stale_since or 0
  end,
  --- Stops following; what is known stays.
  close = function(self)
    local state = self._state
    state:finish(("CLOSED: it was closed (%s %s)"):format(state.what, state.path), "CLOSED")
  end,
}

return M
