--- What a lock, a permit, a term of office or a lease hands out: `zklua.Held`.
---
--- It stands for one ephemeral node of ours. It is lost, for good, when the session ends (told by
--- the server or by our own clock, whichever is first) or when the node is gone; a watch on the
--- node brings that news. What it cannot know is how long this program stood still between a look
--- at `valid()` and what follows, so writes that matter go through the guarded calls, where the
--- server checks our node and writes in one transaction, or carry `token`.
local arguments = require "zklua.arguments"
local core = require "zklua.core"
local in_order = require "zklua.in_order"
local own = require "zklua.own"

local unpack = table.unpack or unpack
local SESSION_ENDED = "the session has ended"
local SHORT = 0.01 -- seconds; what is released before is not worth a watch

-- Flag: an event that stays set and has any number of waiters. -----------------------------------

local Flag = {}
Flag.__index = Flag

-- `keep` lets what the flag tells of live on until the function that it returns is called: whoever
-- waits for the flag must hear of it, although nobody else holds it any more.
local function new_flag(runtime, keep)
  return setmetatable({ _runtime = runtime, _keep = keep, _count = 0, _waiters = {},
    _handlers = {} }, Flag)
end

function Flag:set(reason)
  if self.reason then
    return
  end
  self.reason = reason or "set"
  for _, event in ipairs(in_order(self._waiters)) do
    event:set()
  end
  for _, handler in ipairs(in_order(self._handlers)) do
    if self._handlers[handler] then
      handler(self.reason)
    end
  end
end

function Flag:is_set()
  return self.reason ~= nil
end

--- true once set; false after `timeout`; nil, message, code when the task is cancelled.
function Flag:wait(timeout)
  local event = self._runtime:event()
  if self.reason then
    event:set() -- a cancelled task is told so even here
  end
  self._count = self._count + 1
  self._waiters[event] = self._count
  local release = self._keep()
  local woken, message, code = event:wait(timeout)
  release()
  self._waiters[event] = nil
  return woken, message, code
end

--- Calls `handler(reason)` when set, at once if it is. It must not wait.
function Flag:on(handler)
  self._count = self._count + 1
  self._handlers[handler] = self._count
  if self.reason then
    handler(self.reason)
  end
  local release = self._keep()
  return function()
    self._handlers[handler] = nil
    release()
  end
end

-- Held --------------------------------------------------------------------------------------------

local Held = {}

local function methods_of(class)
  return function(held, key)
    if key == "doubt" then
      return not held._node.life.connected
    end
    return class[key]
  end
end

local meta = { __index = methods_of(Held) }

--- A class with all of Held's methods and its own; `extend` gives its metatable.
function Held.extend(class)
  setmetatable(class, { __index = Held })
  return { __index = methods_of(class) }
end

local function lose(held, reason)
  if held._over then
    return
  end
  held._over = "lost"
  held.lost:set(("LOST: %s is no longer ours: %s"):format(held._what, reason))
  held._wake:set()
end

-- What is still held behind a weak reference: who drops a holder and its client, without releasing,
-- ends the session, so nothing that hangs on the session may keep either.
local function present(weak)
  local held = weak[1]
  return held and not held._over
end

local function lose_weak(weak, reason)
  if weak[1] then
    lose(weak[1], reason)
  end
end

-- Follows our node until it is gone. Looks again after each event instead of believing it.
local function follow(weak, client, node, wake)
  local read = { watch = wake, deadline = arguments.deadline(client) }
  wake:wait(SHORT)
  while present(weak) do
    local data, message, code = client:get(node.path, read)
    if not present(weak) then
      return
    elseif data and message.ephemeral_owner ~= node.life.id then
      return lose_weak(weak, "its node " .. node.path .. " is another's")
    elseif data then
      wake:wait()
    elseif code == "NONODE" then
      return lose_weak(weak, "its node " .. node.path .. " was deleted")
    elseif not own.PASSING[code] or not own.pause(client) then
      return nil, message, code -- the end of the session is told by `on_end`
    end
  end
end

---@param client table
---@class zklua.HeldOptions
---@field what string  for messages: "lock /nightly"
---@field meta table|nil     from Held.extend
---@field guards string[]|nil  paths that exist as long as it is ours; default: the node's
---@field unwatched boolean|nil  spare the watch: that the node is gone is found out by the guard

---@param node zklua.Own  the node whose existence is the holding
---@param options zklua.HeldOptions
---@return zklua.Held
function Held.new(client, node, options)
  local runtime, held = client.runtime, nil
  local function keep()
    return node.life:on_end(function()
      lose(held, SESSION_ENDED)
    end)
  end
  held = setmetatable({
    token = node.czxid,
    token_text = core.format_zxid(node.czxid),
    lost = new_flag(runtime, keep),
    _client = client,
    _node = node,
    _what = options.what,
    _guards = options.guards or { node.path },
    _wake = runtime:event(),
    _depth = 1,
  }, options.meta or meta)
  local weak = setmetatable({ held }, { __mode = "v" })
  held._off = node.life:on_end(function()
    lose_weak(weak, SESSION_ENDED)
  end)
  if not node.life.alive then
    lose(held, SESSION_ENDED)
  elseif not options.unwatched then
    local unguarded = client._class.new(client._session, client.prefix)
    runtime:daemon(follow, weak, unguarded, node, held._wake)
  end
  return held
end

function Held:valid(options)
  local life = self._node.life
  if options ~= nil and type(options) ~= "table" then
    error("options must be a table, not a " .. type(options), 2)
  end
  return not self._over and life.alive and life:valid()
    and not (options and options.strict and not life.connected)
end

function Held:sleep(seconds)
  if type(seconds) ~= "number" then
    error("seconds must be a number, not a " .. type(seconds), 2)
  end
  if self._over then
    return false
  end
  local lost, message, code = self.lost:wait(seconds)
  if lost == nil then
    return nil, message, code
  end
  return not lost and not self._over
end

-- No longer ours by our own will: what follows it stops.
function Held:_end()
  self._over = "released"
  self._off()
  self._wake:set()
  if self._forget then
    self._forget()
  end
end

function Held:release()
  if self._over then
    return true -- lost, or released before; with the session its node is gone too
  end
  self._depth = self._depth - 1
  if self._depth > 0 then
    return true
  end
  self:_end()
  return own.remove(self._client, self._node)
end

-- Guarded writes ----------------------------------------------------------------------------------

local function lost_answer(held)
  if held._over == "released" then
    return nil, "LOST: " .. held._what .. " was released", "LOST"
  end
  return nil, held.lost.reason, "LOST"
end

local Guarded = {}

--- The builder of a transaction whose first operation is the check of our node.
for _, name in ipairs({ "create", "set", "delete", "check" }) do
  Guarded[name] = function(self, ...)
    self._inner[name](self._inner, ...)
    return self
  end
end

function Guarded:commit(options)
  local held = self._held
  if not held._node.life.alive then
    lose(held, SESSION_ENDED) -- nothing of ours may be written on a later session
  end
  if held._over then
    return lost_answer(held)
  end
  local results, message, code, index = self._inner:commit(options)
  if results then
    for _ = 1, #held._guards do
      table.remove(results, 1)
    end
    return results
  elseif index and index <= #held._guards then
    lose(held, "its node " .. held._guards[index] .. " is gone")
    return lost_answer(held)
  elseif held._over == "lost" then
    return lost_answer(held)
  end
  return nil, message, code, index and index - #held._guards
end

local guarded = { __index = Guarded }

function Held:transaction()
  local inner = self._client:transaction()
  inner.guards = #self._guards
  for _, path in ipairs(self._guards) do
    inner:check(path)
  end
  return setmetatable({ _held = self, _inner = inner }, guarded)
end

local CALL_OPTIONS = { timeout = true, deadline = true, fail_fast = true }

-- One operation under the guard; its options are split into its own and those of the commit.
local function one(held, name, options, ...)
  local operation, call = {}, {}
  for key, value in pairs(options or {}) do
    (CALL_OPTIONS[key] and call or operation)[key] = value
  end
  local transaction = held:transaction()
  local arguments = { ... }
  arguments[#arguments + 1] = operation
  transaction._inner[name](transaction._inner, unpack(arguments))
  local results, message, code = transaction:commit(call)
  if not results then
    return nil, message, code
  end
  return results[1]
end

function Held:set(path, data, options)
  local result, message, code = one(self, "set", options, path, data)
  return result and result.stat, message, code
end

function Held:create(path, data, options)
  local result, message, code = one(self, "create", options, path, data or "")
  if not result then
    return nil, message, code
  end
  return result.path, result.stat
end

function Held:delete(path, options)
  local wanted = {}
  for key, value in pairs(options or {}) do
    wanted[key] = value
  end
  wanted.missing_ok = nil
  local result, message, code = one(self, "delete", wanted, path)
  if result or code == "NONODE" and options and options.missing_ok then
    return true
  end
  return nil, message, code
end

-- Running under it --------------------------------------------------------------------------------

local function pack(...)
  return { n = select("#", ...), ... }
end

--- Runs `fn(held)`; once it is lost, every wait inside returns LOST. Then releases.
--- Returns whether it was ours to the end, and what `fn` returned; raises what `fn` raised.
---@return boolean kept, table results
function Held:run(fn)
  local runtime = self._client.runtime
  local off
  local results = pack(pcall(runtime.scope, runtime, function(scope)
    off = self.lost:on(function(reason)
      scope:cancel(reason, "LOST")
    end)
    return fn(self)
  end))
  if off then
    off()
  end
  local kept = self._over == "released" or self:valid()
  self:release()
  if not results[1] then
    error(results[2], 0)
  end
  return kept, results
end

--- `with` of everything that has `_acquire`: takes it, runs, releases.
function Held.with(source, options, fn)
  if fn == nil then
    options, fn = nil, options
  end
  if type(fn) ~= "function" then
    error("fn must be a function, not a " .. type(fn), 2)
  end
  local held, message, code = source:_acquire(options)
  if not held then
    return nil, message, code
  end
  local kept, results = held:run(fn)
  if not kept then
    return nil, held.lost.reason or "LOST: " .. held._what .. " has run out", "LOST"
  end
  return true, unpack(results, 2, results.n)
end

return Held
