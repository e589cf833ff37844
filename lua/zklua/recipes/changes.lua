--- A stream of the values that a watched read gives: the present one, then each that differs.
---
--- What comes and goes between two reads is not seen; the last value always is. Connection loss is
--- waited out, and a new session reads again: the client tells all watches when it begins. Ends with nil when it is closed, when the client is,
--- or when the task is cancelled.
local own = require "zklua.own"

local Changes = {}
Changes.__index = Changes

local M = {}

---@param read fun(watch: table): any, string|nil, string|nil  arms `watch`; nil, message, code fails
---@param same fun(a: any, b: any): boolean
function M.new(client, read, same)
  local stream = setmetatable({ _client = client, _read = read, _same = same,
    _wake = client.runtime:event() }, Changes)
  return stream, nil, nil, stream
end

--- The next value; nil, message, code at the end or when `timeout` is over.
---@param timeout number|nil
function Changes:next(timeout)
  local client = self._client
  local deadline = own.deadline(client, timeout and { timeout = timeout })
  while not self._closed do
    local value, message, code
    if self._stale ~= false then
      self._stale = false
      value, message, code = self._read(self._wake)
    end
    if value ~= nil and (self._last == nil or not self._same(self._last, value)) then
      self._last = value
      return value
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
    self._wake:set()
  end
end

-- For the generic for, which passes a state and a control value.
Changes.__call = function(self)
  return (self:next())
end
Changes.__close = Changes.close

return M
