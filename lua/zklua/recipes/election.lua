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
local arguments = require "zklua.arguments"
local changes = require "zklua.recipes.changes"
local in_order = require "zklua.in_order"
local seat = require "zklua.recipes.seat"

local unpack = table.unpack or unpack
local OPTIONS = { id = "string", data = "string", mode = "string", dialect = "string" }
local MODES = { dynamic = "zklua.recipes.line", static = "zklua.recipes.office" }

local Election = {}
Election.__index = Election

local function new(client, path, options)
  arguments.path(path)
  options = arguments.options(options, OPTIONS)
  local mode = options.mode or "dynamic"
  local seats = MODES[mode]
    or error(("mode must be \"dynamic\" or \"static\", not %q"):format(mode), 2)
  return setmetatable({
    _client = client,
    _seats = require(seats).new(client, path, { what = "election",
      id = options.data or options.id, dialect = options.dialect }),
    _races = setmetatable({}, { __mode = "k" }), -- scopes; one that has ended ignores `cancel`
    _terms = setmetatable({}, { __mode = "k" }), -- handed out by `latch`
    _count = 0, -- of both
  }, Election)
end

local function note(self, set, member)
  self._count = self._count + 1
  set[member] = self._count
end

--- Stands, and runs `fn(term)` for each term, until it returns or raises while leading.
---@return any ...  what `fn` returned, or nil, message, code
function Election:campaign(fn)
  if type(fn) ~= "function" then
    error("fn must be a function, not a " .. type(fn), 2)
  end
  local client = self._client
  return client.runtime:scope(function(scope)
    note(self, self._races, scope)
    while true do
      local term, message, code = seat.take(client, self._seats, arguments.deadline(client), true)
      if term then
        local kept, results = term:run(fn)
        if kept then
          return unpack(results, 2, results.n)
        end
      elseif code ~= "LOST" and (code ~= "SESSIONEXPIRED" or not client:lifetime().alive) then
        return nil, message, code
      end
    end
  end)
end

--- Stands until elected, at most `wait` seconds. BUSY: not in time, and who leads since when.
function Election:latch(options)
  local client, deadline = self._client, arguments.deadline(self._client, options)
  return client.runtime:scope(function(scope)
    note(self, self._races, scope)
    local term, message, code = seat.take(client, self._seats, deadline, true)
    if not term then
      return nil, message, code
    end
    note(self, self._terms, term)
    return term
  end)
end

--- Leaves the race and steps down: waits of a campaign's function end with CANCELLED, and it steps
--- down when the function has returned.
function Election:resign()
  for _, scope in ipairs(in_order(self._races)) do
    scope:cancel("CANCELLED: resigned from " .. self._seats.path, "CANCELLED")
  end
  for _, term in ipairs(in_order(self._terms)) do
    term:release()
  end
  return true
end

--- All candidates in order, the leader first (static: the leader alone).
function Election:candidates(options)
  return self._seats:contenders(arguments.deadline(self._client, options))
end

--- Who leads; false when nobody does.
function Election:leader(options)
  return self._seats:first(arguments.deadline(self._client, options))
end

--- A stream of leaders, false while there is none; the present one comes first.
function Election:changes()
  return changes.new(self._client, self._seats)
end

return { new = new }
