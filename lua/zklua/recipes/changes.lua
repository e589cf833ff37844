--- A stream of who is first in a line or an office: now, then whenever that is another; false for
--- nobody.
---
--- Who comes and goes between two reads is not seen; the last one always is. Connection loss is
--- waited out, and a new session reads again: the client tells all watches when it begins. Ends
--- with nil when it is closed, when the client is, or when the task is cancelled.
local arguments = require "zklua.arguments"
local own = require "zklua.own"

local Changes = {}
Changes.__index = Changes

local M = {}

---@param seats table  of line.lua or office.lua
function M.new(client, seats)
  local stream = setmetatable({ _client = client, _seats = seats,
    _wake = client.runtime:event() }, Changes)
  return stream, nil, nil, stream
end

local function same(a, b)
  return (a and a.token) == (b and b.token)
end

--- The next value; nil, message, code at the end or when `timeout` is over.
---@param timeout number|nil
function Changes:next(timeout)
  local client = self._client
  local deadline = arguments.deadline(client, timeout and { timeout = timeout })
  while not self._closed do
    local value, message, code
    if self._stale ~= false then
      self._stale = false
      value, message, code = self._seats:first(deadline, self._wake)
    end
    if value ~= nil and (self._last == nil or not same(self._last, value)) then
      self._last = value
      return value
    elseif code == "TIMEOUT" then
      self._stale = true -- it is not known what there is, and nothing tells of a change
      return nil, message, code
    elseif code and (own.PASSING[code] or code == "SESSIONEXPIRED" and client:lifetime().alive) then
      self._stale = true
      local ok, why, what = own.pause(client)
      if not ok then
        return nil, why, what
      end
    elseif code then
      return nil, message, code
    else
      local woken, why, what = self._wake:wait_until(deadline)
      if not woken then
        return nil, why or "TIMEOUT: no change in time", what or "TIMEOUT"
      end
      self._stale = true
    end
  end
  return nil, "CLOSED: the stream was closed", "CLOSED"
end

--- Calls `fn(value)` for each until it returns something other than nil, closes, returns that.
function Changes:each(fn)
  local function each()
    for value in self do
      local answer = fn(value)
      if answer ~= nil then
        return answer
      end
    end
  end
  local ok, answer = pcall(each)
  self:close()
  if not ok then
    error(answer, 0)
  end
  return answer
end

function Changes:close()
  if not self._closed then
    self._closed = true
    -- The watch is on the node of the first, or on where one would come.
    local client, last = self._client, self._last
    client:unwatch(last and last.path or self._seats.path, nil, self._wake)
    self._wake:set()
  end
end

-- For the generic for, which passes a state and a control value.
Changes.__call = function(self)
  return (self:next())
end
Changes.__close = Changes.close

return M
