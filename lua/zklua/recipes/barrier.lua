--- A synchronizing barrier: nobody passes before all parties have come, and `leave` keeps everyone
--- until all are done. Layout and order of steps are Curator's and kazoo's double barrier.
---
--- Guarantees: `enter` is true only after `parties` nodes were there at once after ours was made; a
--- `ready` left over from an earlier round lets nobody in. Does not guarantee that the others are
--- still alive. A party that dies before that counts as not come, one that dies inside as gone;
--- who comes in its place is of the next round, and neither keeps this one nor is let in by it.
--- One round at a time on a path; the same parties may enter again once they have left.
--- Errors: TIMEOUT (says how many came), NOAUTH. Connection loss: goes on. Session lost:
--- SESSIONEXPIRED. Cancelled or timed out: our node is taken away. Costs per party: five requests
--- to enter and five to leave, the lowest name one more, and two for each other that leaves.
local arguments = require "zklua.arguments"
local round = require "zklua.recipes.round"

local Barrier = {}
Barrier.__index = Barrier

local M = {}

function M.new(client, path, options)
  arguments.path(path)
  options = arguments.options(options, { parties = "number", id = "string" })
  local parties = options.parties
  if not parties or parties < 1 or parties % 1 ~= 0 then
    error("parties must be a whole number above 0", 2)
  end
  return setmetatable({ _client = client, _path = path, _parties = parties,
    _id = arguments.identity(client, options.id) }, Barrier)
end

--- Waits until all have come, at most `wait` seconds.
---@return true|nil, string|nil message, string|nil code
function Barrier:enter(options)
  local deadline = arguments.deadline(self._client, options)
  if self._round then
    error("this barrier object has entered already: leave first", 2)
  end
  local ours, message, code =
    round.join(self._client, self._path, self._parties, self._id, deadline)
  self._round = ours
  if ours then
    local open
    open, message, code = ours:wait_open(deadline)
    self._round = open and ours or nil
  end
  return self._round and true, message, code
end

--- Waits until all have left, at most `wait` seconds. Our own node goes in any case.
---@return true|nil, string|nil message, string|nil code
function Barrier:leave(options)
  local deadline, ours = arguments.deadline(self._client, options), self._round
  if not ours then
    error("this barrier object has not entered", 2)
  end
  self._round = nil
  return ours:leave(deadline)
end

--- Enter, then leave, within one `wait`.
---@return true|nil, string|nil message, string|nil code
function Barrier:wait(options)
  local limit = { deadline = arguments.deadline(self._client, options) }
  local ok, message, code = self:enter(limit)
  if not ok then
    return nil, message, code
  end
  return self:leave(limit)
end

return M
