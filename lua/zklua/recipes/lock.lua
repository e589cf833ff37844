--- A lock: one holder at a time, in order of arrival.
---
--- Guarantees: as the server sees it there is one holder; the next is whoever came first; a holder
--- whose session ends is followed by the next; a hand-off wakes one waiter and costs three
--- requests, whatever the number of waiters.
--- Does not guarantee: that a holder that stood still (a long computation, a paused machine)
--- notices in time that it has lost the lock. Guarded writes and `token` are for that.
---
--- Errors: BUSY (`wait` is over, or `try` found a holder), FOREIGN (see line.lua), NOAUTH.
--- Connection loss: waiting and holding go on; the place is found again if a reply was lost.
--- Cancellation and timeout while waiting: the place is given up, in the background if need be.
--- Loss: the end of the session while waiting is SESSIONEXPIRED, while holding LOST; the lock is
--- not taken again by itself.
local arguments = require "zklua.arguments"
local Held = require "zklua.holder"
local Line = require "zklua.recipes.line"
local seat = require "zklua.recipes.seat"

local OPTIONS = { id = "string", dialect = "string", sees = "table", reentrant = "boolean" }

local Lock = {}
Lock.__index = Lock

local M = {}

---@param options zklua.LockOptions|nil
function M.new(client, path, options)
  arguments.path(path)
  options = arguments.options(options, OPTIONS)
  return setmetatable({
    _client = client,
    _line = Line.new(client, path, { what = "lock", id = options.id, dialect = options.dialect,
      sees = options.sees }),
    _reentrant = options.reentrant,
  }, Lock)
end

-- What the running task holds on this session, by path.
local function holdings(lock)
  local client = lock._client
  local task, life = client.runtime:current(), client:lifetime()
  task.holdings = task.holdings or setmetatable({}, { __mode = "k" })
  task.holdings[life] = task.holdings[life] or {}
  return task.holdings[life], client:resolve(lock._line.path)
end

-- Errors are raised at `level`, the line that called a public function.
local function take(lock, deadline, stay, level)
  local mine, key = holdings(lock)
  local held = mine[key]
  if held and not held._over then
    if not lock._reentrant then
      error(("this task holds lock %s already (reentrant = true allows it)"):format(
        lock._line.path), level)
    end
    held._depth = held._depth + 1
    return held
  end
  local message, code
  held, message, code = seat.take(lock._client, lock._line, deadline, stay)
  if not held then
    return held, message, code
  end
  mine[key] = held
  held._forget = function()
    mine[key] = nil
  end
  return held
end

--- `acquire` for Held.with and itself: errors are raised at the caller's caller.
function Lock:_acquire(options)
  local held, message, code = take(self, arguments.deadline(self._client, options, 4), true, 4)
  return held or nil, message, code
end

--- Waits at most `wait` seconds for the lock. BUSY: not in time, and who has it since when.
---@param options { wait: number|nil }|nil
---@return zklua.Held|nil held, string|nil message, string|nil code
function Lock:acquire(options)
  local held, message, code = self:_acquire(options)
  return held, message, code
end

--- Takes the lock if nobody stands before us; `false, message, "BUSY"` else.
---@return zklua.Held|false|nil held, string|nil message, string|nil code
function Lock:try()
  local held, message, code = take(self, arguments.call_deadline(self._client), false, 3)
  return held, message, code
end

--- Waits for the lock, runs `fn(held)`, releases: true and what `fn` returned. See holder.lua.
---@param options { wait: number|nil }|nil
---@param fn fun(held: zklua.Held): ...
Lock.with = Held.with

--- The holder, then those who wait, in order.
---@return zklua.Contender[]|nil, string|nil message, string|nil code
function Lock:contenders(options)
  return self._line:contenders(arguments.deadline(self._client, options))
end

return M
