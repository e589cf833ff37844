--- A live value: what a node holds, always the newest known.
---
--- A persistent watch says that something changed, a read says what it is now; several changes
--- in a row cost one read. As with streams the user holds a handle, and the worker behind it
--- hangs on the session, so that a dropped handle ends the worker.
local core = require "zklua.core"
local finalizer = require "zklua.finalizer"
local nodes = require "zklua.nodes"
local options_of = require "zklua.options"
local watch = require "zklua.watch"

local M = {}

local OPTIONS = options_of.set({ default = "string" })
local FOREVER = 3e8 -- seconds: the worker waits as long as there is a session

local Value = {}
Value.__index = Value

local function announce(value)
  for event in pairs(value.waiters) do
    event:set()
  end
end

-- Takes in an answer of get. True, or nil, message, CODE for what ends the value.
local function take(value, data, stat, code)
  if data then
    value.exists, value.data, value.stat = true, data, stat
  elseif code == "NONODE" then
    value.exists, value.data, value.stat = false, value.default, nil
  else
    return nil, stat, code
  end
  value.stale = not value.session.life.connected
  value.stale_since = core.now()
  value.revision = value.revision + 1
  announce(value)
  return true
end

local function end_value(value, message, code)
  if not value.ended then
    value.ended = { message, code }
    value.stale = true
    value.queue.closed = true
    value.queue.event:set()
    watch.stop_listening(value.queue)
    value.unobserve()
    announce(value)
  end
end

-- Reads again after each event until there are no more.
local function follow(value, client)
  local queue = value.queue
  while not value.ended do
    local event, message, code = queue:next(nil, "the live value")
    if not event then
      return end_value(value, message, code)
    elseif event.type == "closed" then
      return end_value(value, event.code .. ": the session of " .. value.path .. " has ended", event.code)
    end
    queue:clear()
    local data, stat
    data, stat, code = client:get(value.path, { deadline = core.now() + FOREVER })
    local ok, why, what = take(value, data, stat, code)
    if not ok and what ~= "SESSIONEXPIRED" and what ~= "SESSIONMOVED" then
      return end_value(value, why, what)
    end
  end
end

-- The handle -----------------------------------------------------------------

local Live = {}

local SHOWN = { exists = true, data = true, stat = true, stale = true, revision = true }

local meta = {}

function meta.__index(handle, key)
  if SHOWN[key] then
    return rawget(handle, "_value")[key]
  end
  return Live[key]
end

--- Seconds since it was last known to be the newest.
function Live:age()
  local value = self._value
  return value.stale and core.now() - value.stale_since or 0
end

-- Waits for a revision after `seen`. True, or nil, message, CODE.
local function wait_change(value, seen, deadline)
  local event = value.session.runtime:event()
  while value.revision == seen do
    if value.ended then
      return nil, value.ended[1], value.ended[2]
    end
    value.waiters[event] = true
    local woken, message, code = event:wait_until(deadline)
    value.waiters[event] = nil
    if woken == nil then
      return nil, message, code
    elseif not woken then
      return nil, ("TIMEOUT: %s did not come to it in time (live)"):format(value.path), "TIMEOUT"
    end
  end
  return true
end

--- Waits until predicate(data, stat) is true; without one, for the next change.
function Live:wait(predicate, timeout)
  local value = self._value
  if predicate ~= nil and type(predicate) ~= "function" then
    error("predicate must be a function, not a " .. type(predicate), 2)
  end
  local deadline = value.session.runtime:deadline(timeout)
  local seen = value.revision
  while not predicate or not predicate(value.data, value.stat) do
    local ok, message, code = wait_change(value, seen, deadline)
    if not ok then
      return nil, message, code
    elseif not predicate then
      break
    end
    seen = value.revision
  end
  return value.data, value.stat
end

--- Calls fn(data, stat) now and after each change until it returns something other than nil.
function Live:each(fn)
  if type(fn) ~= "function" then
    error("fn must be a function, not a " .. type(fn), 2)
  end
  local value = self._value
  while true do
    local seen = value.revision
    local results = { fn(value.data, value.stat) }
    if results[1] ~= nil then
      return (table.unpack or unpack)(results) -- luacheck: ignore
    end
    local ok, message, code = wait_change(value, seen, nil)
    if not ok then
      return nil, message, code
    end
  end
end

--- Stops following; the value stays what it was.
function Live:close()
  end_value(self._value, "CLOSED: the live value of " .. self._value.path .. " was closed", "CLOSED")
end

-- Making ---------------------------------------------------------------------

--- c:live(path, options).
function M.open(client, path, options, level)
  if options ~= nil then
    options_of.check(options, OPTIONS, level)
  end
  local given = options or {}
  local session = client._session
  local queue = watch.new_queue(session.runtime)
  queue.session, queue.prefix, queue.recursive = session, client.prefix, false
  queue.path = nodes.full_path(client, path, level)
  queue.without_children = true
  local call = { timeout = given.timeout, deadline = given.deadline, fail_fast = given.fail_fast }
  local ok, message, code = watch.listen(queue, client, path, call, level)
  if not ok then
    return nil, message, code
  end
  local value = setmetatable({
    session = session, queue = queue, path = path, default = given.default,
    exists = false, data = given.default, stale = true, stale_since = core.now(),
    revision = 0, waiters = {},
  }, Value)
  value.unobserve = session:observe(function()
    if not session.life.connected and not value.stale then
      value.stale, value.stale_since = true, core.now()
    end
  end)
  local data, stat
  data, stat, code = client:get(path, call)
  ok, message, code = take(value, data, stat, code)
  if not ok then
    end_value(value, message, code)
    return nil, message, code
  end
  -- The worker's client has no guard: it must not keep the session of a dropped client.
  local worker = client._class.new(session, client.prefix)
  session.runtime:daemon(follow, value, worker)
  local handle = { _value = value, _client = client }
  handle._guard = finalizer(function()
    end_value(value, "CLOSED: collected", "CLOSED")
  end)
  return setmetatable(handle, meta)
end

return M
