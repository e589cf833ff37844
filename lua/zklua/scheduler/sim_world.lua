--- A world of virtual time: one queue of what is due, one source of chance, one trace.
---
--- Time jumps from one due event to the next; nothing here waits. Two runs with the same seed do
--- the same things in the same order, which the trace's hash shows.
local core = require "zklua.core"
local timers = require "zklua.scheduler.timers"

if jit then -- luacheck: ignore
  jit.off(true, true) -- luacheck: ignore: see scheduler/sim.lua
end

local World = {}
World.__index = World

local M = {}

--- Text that is kept of a trace, so that a failure can be told as a story; older lines go.
local LINES_MAX = 10000
--- The width of the column that says who, at most.
local WHO_MAX = 28

--- Events at one instant: more are a circle that lets no time pass.
local INSTANT_MAX = 1000000

---@class zklua.sim.world.Options
---@field seed integer|nil
---@field lines boolean|nil  keep the trace as text
---@field instant_max integer|nil  events at one instant of virtual time before it is an error

---@param options zklua.sim.world.Options|nil
function M.new(options)
  options = options or {}
  return setmetatable({
    seed = options.seed or 0,
    time = 0, -- seconds since the beginning
    due = timers.new(), -- later
    soon = {}, soon_head = 1, soon_tail = 1, -- at this instant, in order
    instant_count = 0, -- events carried out at it
    instant_max = options.instant_max or INSTANT_MAX,
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
  if time <= self.time then
    self:post(event)
  else
    local count = math.ceil(time * 1e6)
    local whole = count / 1e6
    timers.insert(self.due, event, whole >= time and whole or (count + 1) / 1e6)
  end
  return event
end

--- event.fn() now, behind what is due already: for whoever has an event of his own, to be used
--- again and again. One that is waiting is left where it is.
function World:post(event)
  if not event.soon then
    event.soon = true
    self.soon[self.soon_tail] = event
    self.soon_tail = self.soon_tail + 1
  end
end

--- Takes an event out; one that was carried out is left as it is.
function World:cancel(event)
  event.soon = false
  if event.index then
    timers.remove(self.due, event)
  end
end

local function endless(self, event)
  local info = debug.getinfo(event.fn, "S")
  error(("%d events at %.6f s of virtual time, and more are due: time does not go on; "
    .. "the last is %s:%d"):format(self.instant_max, self.time, info.short_src,
    info.linedefined), 0)
end

-- What is due next: what fell due when this instant began, then what was asked for since.
local function take(self)
  local first = self.due[1]
  if first and first.deadline <= self.time then
    timers.remove(self.due, first)
    return first
  end
  while self.soon_head < self.soon_tail do
    local event = self.soon[self.soon_head]
    self.soon[self.soon_head] = nil
    self.soon_head = self.soon_head + 1
    if event.soon then
      event.soon = false
      return event
    end
  end
  if first then
    timers.remove(self.due, first)
    self.time = first.deadline
    self.instant_count = 0
  end
  return first
end

local unpack = table.unpack or unpack

--- Carries out what is due next; false when nothing ever is.
function World:step()
  local event = take(self)
  if not event then
    return false
  end
  self.instant_count = self.instant_count + 1
  if self.instant_count > self.instant_max then
    endless(self, event)
  elseif (event.count or 0) == 0 then
    event.fn()
  else
    event.fn(unpack(event, 1, event.count))
  end
  return true
end

--- Goes on until `time`, or until nothing is due any more.
function World:run(time)
  while true do
    local first = self.due[1]
    if self.soon_head == self.soon_tail and not (first and first.deadline <= time) then
      break
    end
    self:step()
  end
  if self.time < time then
    self.time = time
    self.instant_count = 0
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
  self:note(who, what)
end

--- The same for the story alone, where one is kept: what happens is no other with it.
function World:note(who, what)
  local lines = self.lines
  if lines then
    self.line_count = self.line_count + 1
    lines[self.line_count] = { self.time, who, what }
    lines[self.line_count - LINES_MAX] = nil
  end
end

local function printable(what)
  return (what:gsub("\n+$", ""):gsub("[^\t\n\32-\126\128-\255]", function(byte)
    return ("\\x%02x"):format(byte:byte())
  end))
end

--- The lines that were kept, the oldest first: time, who, what. What has several lines goes on
--- below itself.
function World:story()
  local first = math.max(1, self.line_count - LINES_MAX + 1)
  local width, story = 10, {}
  for i = first, self.line_count do
    width = math.max(width, #self.lines[i][2])
  end
  width = math.min(width, WHO_MAX)
  local margin = (" "):rep(12 + 2 + width + 1)
  local format = "%12.6f  %-" .. width .. "s %s"
  for i = first, self.line_count do
    local line = self.lines[i]
    story[#story + 1] = format:format(line[1], line[2],
      (printable(line[3]):gsub("\n", "\n" .. margin)))
  end
  return story
end

return M
