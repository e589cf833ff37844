--- A world of virtual time: one queue of what is due, one source of chance, one trace.
---
--- Time jumps from one due event to the next; nothing here waits. Two runs with the same seed do
--- the same things in the same order, which the trace's hash shows.
local core = require "zklua.core"
local timers = require "zklua.scheduler.timers"

local World = {}
World.__index = World

local M = {}

--- Text that is kept of a trace, so that a failure can be told as a story; older lines go.
local LINES_MAX = 10000

---@class zklua.sim.world.Options
---@field seed integer|nil
---@field lines boolean|nil  keep the trace as text

---@param options zklua.sim.world.Options|nil
function M.new(options)
  options = options or {}
  return setmetatable({
    seed = options.seed or 0,
    time = 0, -- seconds since the beginning
    due = timers.new(),
    drawn = {}, -- entity -> how many numbers it has had
    hash = 0, -- of all that was traced
    lines = options.lines and {} or nil,
    line_count = 0,
  }, World)
end

-- Events -----------------------------------------------------------------------

--- fn(...) at `time`, on the next whole microsecond as clocks count; behind what is due already
--- when that is over. The result is for `cancel`.
function World:at(time, fn, ...)
  local event = { fn = fn, count = select("#", ...), ... }
  local whole = self.time
  if time > whole then
    local count = math.ceil(time * 1e6)
    whole = count / 1e6 >= time and count / 1e6 or (count + 1) / 1e6 -- `time` may be between two
  end
  timers.insert(self.due, event, whole)
  return event
end

--- Takes an event out; one that was carried out is left as it is.
function World:cancel(event)
  if event.index then
    timers.remove(self.due, event)
  end
end

local unpack = table.unpack or unpack

--- Carries out what is due next; false when nothing ever is.
function World:step()
  local event = timers.first(self.due)
  if not event then
    return false
  end
  timers.remove(self.due, event)
  self.time = event.deadline
  event.fn(unpack(event, 1, event.count))
  return true
end

--- Goes on until `time`, or until nothing is due any more.
function World:run(time)
  local first = timers.first(self.due)
  while first and first.deadline <= time do
    self:step()
    first = timers.first(self.due)
  end
  if self.time < time then
    self.time = time
  end
end

-- Chance -----------------------------------------------------------------------

--- The next number of this entity, from 0 and below 1. Each entity has a row of its own: one draw
--- less of one changes nothing for another, so that a failing run can be made smaller.
---@param entity string
function World:random(entity)
  local count = (self.drawn[entity] or 0) + 1
  self.drawn[entity] = count
  return core.mix(self.seed, entity, count) / 2 ^ 53
end

--- A whole number from `low` to `high`.
function World:pick(entity, low, high)
  return low + math.floor(self:random(entity) * (high - low + 1))
end

-- The trace ----------------------------------------------------------------------

--- Notes that `who` did `what`; part of the hash, with the time.
---@param who string
---@param what string  text or bytes
function World:trace(who, what)
  self.hash = core.mix(self.hash, who .. "\0" .. what, math.floor(self.time * 1e6 + 0.5))
  local lines = self.lines
  if lines then
    self.line_count = self.line_count + 1
    lines[self.line_count] = ("%12.6f  %-10s %s"):format(self.time, who, what)
    lines[self.line_count - LINES_MAX] = nil
  end
end

--- The lines that were kept, the oldest first.
function World:story()
  local story = {}
  for i = math.max(1, self.line_count - LINES_MAX + 1), self.line_count do
    story[#story + 1] = self.lines[i]
  end
  return story
end

return M
