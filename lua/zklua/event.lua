--- What a task waits for and somebody else sets.
---
--- Auto-reset: each `set` lets one wait through, the oldest; a `set` that nobody waits for is
--- remembered, once. `set` never runs the waiter at once and never fails, so a callback may call
--- it anywhere.
local Event = {}
Event.__index = Event

local M = {}

function M.new(runtime)
  return setmetatable({
    runtime = runtime, signalled = false, queue = {}, head = 1, tail = 1,
  }, Event)
end

function Event:set()
  local queue = self.queue
  while self.head < self.tail do
    local task = queue[self.head]
    queue[self.head] = nil
    self.head = self.head + 1
    if task then -- false: it gave up
      task.signalled = true
      task.wake:set()
      return
    end
  end
  self.head, self.tail = 1, 1
  self.signalled = true
end

local function leave(self, place)
  if place == self.tail - 1 then
    self.queue[place] = nil
    self.tail = place
  else
    self.queue[place] = false
  end
end

local function wait_until(self, deadline)
  local task = self.runtime:waiter("event:wait")
  local message, code = task:interrupted()
  if code then
    return nil, message, code
  elseif self.signalled then
    self.signalled = false
    return true
  end
  local place = self.tail
  self.queue[place] = task
  self.tail = place + 1
  task.signalled = false
  while true do
    task:park(deadline)
    if task.signalled then
      return true
    end
    message, code = task:interrupted()
    if code then
      leave(self, place)
      return nil, message, code
    elseif deadline and self.runtime:now() >= deadline then
      leave(self, place)
      return false
    end
  end
end

--- Waits at most `timeout` seconds (nil: for ever). True when set, false when time ran out;
--- nil, message, CODE when the task was cancelled.
---@param timeout number|nil
function Event:wait(timeout)
  return wait_until(self, self.runtime:deadline(timeout))
end

--- The same with a point in time on the runtime's clock.
---@param deadline number|nil
function Event:wait_until(deadline)
  return wait_until(self, deadline)
end

return M
