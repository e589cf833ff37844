--- The queue of contenders that locks and elections stand in.
---
--- A contender is an ephemeral sequential node; the server's numbers give the order of arrival.
--- Whoever has none before it that excludes it is at the front. Each waits on the one node that
--- stands right before it, so one departure wakes one contender, however long the line. Requests:
--- to join two at the front and three behind it, one when the turn comes, one to leave.
---
--- Guarantees: one node at most for each `join`, whatever replies are lost (see own.lua); on every
--- way out but success the node is taken away; no wake-up is missed, because the watch is set by a
--- read that finds the node or its absence, and the line is read again after each.
--- Does not guarantee that being at the front lasts: see holder.lua.
--- Loss of the connection: the place is kept and waiting goes on. End of the session: the place is
--- gone, SESSIONEXPIRED, or CLOSED with its client. Our node deleted by somebody: LOST.
--- Cancellation: CANCELLED.
---
--- A child that contends in a dialect that ours does not count would be overlooked, and would
--- overlook us: FOREIGN.
local arguments = require "zklua.arguments"
local dialects = require "zklua.recipes.dialect"
local own = require "zklua.own"
local roster = require "zklua.recipes.roster"

local WRAP, HALF = 2 ^ 32, 2 ^ 31

local Line = {}
Line.__index = Line
local Place = {}
Place.__index = Place

-- The line seen from outside.
Line.contenders, Line.first, Line.busy = roster.contenders, roster.first, roster.busy

---@class zklua.LineOptions
---@field what string|nil     for messages: "lock", "election"
---@field id string|nil       the data of our nodes
---@field kind "lock"|"read"|"write"|nil  default "lock"
---@field dialect string|nil  default "curator"
---@field sees string[]|nil   dialects whose contenders count as well

---@param options zklua.LineOptions
function Line.new(client, path, options)
  local kind, dialect = options.kind or "lock", options.dialect or "curator"
  local words = dialects.words(dialect, kind)
  if not words then
    error(("dialect %q has no %s"):format(dialect, kind), 3)
  end
  local excludes, unknown = dialects.exclusion(dialect, kind, options.sees)
  if not excludes then
    error(("unknown dialect %q in sees"):format(unknown), 3)
  end
  return setmetatable({
    path = path,
    what = options.what or "lock",
    client = client,
    _words = words,
    _kind = kind,
    _excludes = excludes,
    _data = arguments.identity(client, options.id),
  }, Line)
end

--- How far `sequence` comes after `origin` in order of creation; negative: before it. The server's
--- counter is a signed number of 32 bits, so the difference counts.
---@return number
function Line.distance(sequence, origin)
  return (sequence - origin + HALF) % WRAP - HALF
end

--- The contenders, in no order; other children are ignored.
---@return { name: string, sequence: number, excludes: boolean }[]|nil, string|nil, string|nil
function Line:read(deadline, watch)
  local names, message, code = self.client:children(self.path,
    { deadline = deadline, watch = watch })
  if not names then
    return nil, message, code
  end
  local entries = {}
  for _, name in ipairs(names) do
    local shape, sequence = dialects.shape(name)
    if shape then
      local excludes = self._excludes[shape]
      if excludes == nil then
        return nil, ("FOREIGN: %s contends as %s, which ours does not see; use one dialect")
          :format(own.join(self.path, name), shape), "FOREIGN"
      end
      entries[#entries + 1] = { name = name, sequence = sequence, excludes = excludes }
    end
  end
  return entries
end

-- Reads the line in a task of its own: asked right behind a create, without waiting for its reply,
-- the list comes in the same round trip and shows the new node, for a server answers one session in
-- order. Nobody relies on that: a list without our node is thrown away.
local function read_ahead(line, deadline)
  local ahead = { done = line.client.runtime:event() }
  line.client.runtime:daemon(function()
    ahead.entries = line:read(deadline)
    ahead.done:set()
  end)
  return ahead
end

--- Takes a place at the end of the line.
---@return table|nil place, string|nil message, string|nil code
function Line:join(deadline)
  local id, suffix = dialects.new_name(self._words, self._kind)
  local ahead = read_ahead(self, deadline)
  local node, message, code = own.make(self.client, { parent = self.path, id = id,
    suffix = suffix, sequential = true, data = self._data }, deadline)
  if not node then
    return nil, message, code
  end
  local _, sequence = dialects.shape(node.name)
  return setmetatable({ node = node, sequence = sequence, _line = self, _client = self.client,
    _ahead = ahead }, Place)
end

-- The list that was asked for while joining, if it shows us.
local function list_of_joining(self, deadline)
  local ahead = self._ahead
  self._ahead = nil
  if ahead and not self.node.unsure and ahead.done:wait_until(deadline) then
    for _, entry in ipairs(ahead.entries or {}) do
      if entry.name == self.node.name then
        return ahead.entries
      end
    end
  end
end

-- The name of the nearest before us that excludes us (false: we are at the front) and of the
-- first of those; nil: not known.
function Place:_look(deadline)
  local node = self.node
  local entries, message, code = list_of_joining(self, deadline), nil, nil
  if not entries then
    entries, message, code = self._line:read(deadline)
  end
  if not entries then
    return nil, message, code
  end
  local near, first, present
  for _, entry in ipairs(entries) do
    entry.distance = Line.distance(entry.sequence, self.sequence)
    if entry.name == node.name then
      present = true
    elseif entry.name:sub(1, #node.id) == node.id then
      node.unsure = true -- a create of ours that we gave up for lost has arrived after all
      self._crowded = true
    elseif entry.excludes and entry.distance < 0 then
      near = (not near or entry.distance > near.distance) and entry or near
      first = (not first or entry.distance < first.distance) and entry or first
    end
  end
  if not present then
    return nil, ("LOST: our place in line, %s, was deleted"):format(node.path), "LOST"
  end
  self._first = first and first.name
  return near and near.name or false, self._first
end

-- Deletes what carries our id beside the node that we stand with.
function Place:_thin_out(deadline)
  local node = self.node
  local found, message, code = own.find(self._client, node.life, node.parent, node.id, deadline)
  for _, entry in ipairs(found or {}) do
    if entry.name ~= node.name then
      self._client:delete(entry.path, { missing_ok = true, deadline = deadline })
    end
  end
  self._crowded = nil
  return found and true, message, code
end

-- Looks once and waits once. true: at the front. false, name: the time is over, and who is first.
-- nil: look again, or a failure with message and code.
function Place:_step(event, deadline, stay)
  local client = self._client
  local near, first, code = self:_look(deadline)
  if self._crowded and near then
    local ok, message, what = self:_thin_out(deadline)
    return nil, not ok and message or nil, what
  elseif near == false then
    return true
  elseif near == nil then
    return nil, first, code
  elseif not stay then
    return false, first
  end
  local path = own.join(self.node.parent, near)
  -- A get and not `exists`: if the node is gone already, no watch stays behind.
  local data, message, what = client:get(path, { watch = event, deadline = deadline })
  if not data then
    return nil, message, what ~= "NONODE" and what or nil
  end
  local woken, why, reason = event:wait_until(deadline)
  if not woken then
    client:unwatch(path, "data", event)
  end
  if woken == false then
    return false, first
  end
  return nil, why, reason
end

--- Waits until we are at the front; with `stay` false, only looks. `false, name`: not in time,
--- with the name of the first in line. Unless the answer is true the place has been given up.
---@param deadline number  of the whole wait
---@param stay boolean
---@return boolean|nil front, string|nil message, string|nil code
function Place:wait(deadline, stay)
  local runtime, life = self._client.runtime, self.node.life
  local event = runtime:event()
  local front, message, code
  repeat
    front, message, code = self:_step(event, deadline, stay)
    if not life.alive then
      front, message, code = own.ended(life, "in line for " .. self._line.path)
    elseif code == "TIMEOUT" and self._first and runtime:now() >= deadline then
      front, message, code = false, self._first, nil -- the time ran out between two waits
    elseif code and own.PASSING[code] then
      local ok, why, what = own.pause(self._client)
      message, code = not ok and why or nil, not ok and what or nil
    end
  until front ~= nil or code
  if front ~= true then
    self:leave()
  end
  return front, message, code
end

--- Gives the place up; see `own.remove`.
function Place:leave()
  return own.remove(self._client, self.node)
end

return Line
