--- One leader among many candidates.
---
--- Dynamic (default): candidates stand in line, the first leads; one departure wakes one. Static:
--- whoever first creates one node leads, the others watch it; a departure wakes all.
---
--- Guarantees: as the server sees it there is one leader; when the leader's session ends, another
--- candidate takes over; terms have growing tokens. Does not guarantee that a leader that stood
--- still notices in time: guarded writes and `term.token` are for that.
---
--- Errors: BUSY (`latch` with `wait`), FOREIGN, NOAUTH. Connection loss: standing and leading go
--- on; `term.doubt` says so. Cancellation: steps down or leaves the line. Loss of the session:
--- `latch` ends in SESSIONEXPIRED and its term in LOST; `campaign` stands again on a new session.
local Held = require "zklua.holder"
local Line = require "zklua.recipes.line"
local Office = require "zklua.recipes.office"
local changes = require "zklua.recipes.changes"
local own = require "zklua.own"

local unpack = table.unpack or unpack
local OPTIONS = { id = "string", data = "string", mode = "string", dialect = "string" }
local MODES = { dynamic = Line, static = Office }

local Election = {}
Election.__index = Election

local M = {}

function M.new(client, path, options)
  own.path(path)
  options = own.options(options, OPTIONS)
  local seats = MODES[options.mode or "dynamic"]
    or error(("mode must be \"dynamic\" or \"static\", not %q"):format(options.mode), 2)
  return setmetatable({
    _client = client,
    _seats = seats.new(client, path, { what = "election", id = options.data or options.id,
      dialect = options.dialect }),
    _races = setmetatable({}, { __mode = "k" }), -- scopes; one that has ended ignores `cancel`
    _terms = setmetatable({}, { __mode = "k" }), -- handed out by `latch`
  }, Election)
end

-- Takes a seat in front, or nil, message, code.
local function stand(self, deadline)
  local seats = self._seats
  local place, message, code = seats:join(deadline)
  if not place then
    return nil, message, code
  end
  local front
  front, message, code = place:wait(deadline, true)
  if front == false then
    return nil, seats:busy(message), "BUSY"
  elseif not front then
    return nil, message, code
  end
  return Held.new(self._client, place.node, { what = "election " .. seats.path })
end

--- Stands, and runs `fn(term)` once for each term, until it returns or raises while leading.
---@param fn fun(term: zklua.Held): ...
---@return any ...  what `fn` returned; or nil, message, code
function Election:campaign(fn)
  if type(fn) ~= "function" then
    error("fn must be a function, not a " .. type(fn), 2)
  end
  return self._client.runtime:scope(function(scope)
    self._races[scope] = true
    local term, message, code, kept, results
    repeat
      term, message, code = stand(self, own.deadline(self._client))
      if term then
        kept, results = term:run(fn)
      elseif code ~= "LOST" and (code ~= "SESSIONEXPIRED" or not self._client:lifetime().alive) then
        return nil, message, code
      end
    until kept
    return unpack(results, 2, results.n)
  end)
end

--- Stands until elected, at most `wait` seconds. BUSY: not in time, and who leads since when.
---@param options { wait: number|nil }|nil
---@return zklua.Held|nil term, string|nil message, string|nil code
function Election:latch(options)
  local deadline = own.deadline(self._client, options)
  return self._client.runtime:scope(function(scope)
    self._races[scope] = true
    local term, message, code = stand(self, deadline)
    if term then
      self._terms[term] = true
    end
    return term, message, code
  end)
end

--- Leaves the race and steps down, wherever this object stands or leads: waits of a campaign's
--- function end with CANCELLED, and it steps down when the function has returned.
function Election:resign()
  for scope in pairs(self._races) do
    scope:cancel("CANCELLED: resigned from " .. self._seats.path, "CANCELLED")
  end
  for term in pairs(self._terms) do
    term:release()
  end
  return true
end

--- All candidates in order, the leader first (static: the leader alone).
---@return zklua.Contender[]|nil, string|nil message, string|nil code
function Election:candidates(options)
  return self._seats:contenders(own.deadline(self._client, options))
end

--- Who leads; false when nobody does.
---@return zklua.Contender|false|nil, string|nil message, string|nil code
function Election:leader(options)
  return self._seats:first(own.deadline(self._client, options))
end

--- A stream of leaders, false while there is none; the present one comes first.
function Election:changes()
  return changes.new(self._client, function(watch)
    return self._seats:first(own.deadline(self._client), watch)
  end, function(a, b)
    return (a and a.token) == (b and b.token)
  end)
end

return M
