--- The scheduler over libuv: luv's own handles on the loop the program already has.
---
--- Coroutines never run inside the call that makes them ready. `set` puts them into a queue, and
--- the queue runs at the end of the loop callback that filled it; what a program makes ready from
--- its own callbacks runs at the end of that turn of the loop. So one read from a socket that
--- answers a thousand tasks resumes a thousand tasks, and what they send leaves in one write.
---
--- No error leaves a loop callback: luv ends the process for one, even under a pcall.
---
--- When the Lua state is closed, luv ends its loop and calls back what is under way, after the
--- finalizers of all that was made later than the loop. Nothing may be resumed then.
---
--- All handles but one are unreferenced. The `keeper` holds the loop while a spawned coroutine is
--- unfinished or the main thread waits; daemons (a connection that idles) do not hold it.
local uv = require "luv"
local core = require "zklua.core"
local finalizer = require "zklua.finalizer"
local machine = require "zklua.scheduler.uv_machine"
local timers = require "zklua.scheduler.timers"
local net = require "zklua.scheduler.uv_net"
local process = require "zklua.scheduler.uv_process"

local now = core.now
local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local running, unpack = coroutine.running, table.unpack or unpack
local traceback = debug.traceback

--- Resumptions before the loop may poll again: tasks that keep waking each other must not keep
--- the sockets waiting.
local BURST_MAX = 4096

local M = {}

local function nothing() end

local function default_on_error(_, trace)
  io.stderr:write(trace, "\n")
end

---@class zklua.scheduler.uv.Options
---@field on_error fun(message: any, traceback: string)|nil  an error that left a coroutine
---@field on_stall fun(seconds: number, co: thread|nil)|nil  who kept the loop from turning
local function new(options)
  core.survive_broken_pipes() -- luv's writes raise the signal
  options = options or {}
  local scheduler = {}
  local ready, head, tail = {}, 1, 1 -- coroutines that may run, in order
  local later, later_count = {}, 0 -- coroutines that run after the next poll
  local heap = timers.new() -- events whose wait has a deadline
  local owned = setmetatable({}, { __mode = "k" }) -- the coroutines made here
  local turning, deferred, pumping, armed_for = false, false, false, nil
  local kept, closing, turned_at = 0, 0, now()
  local on_error = options.on_error or default_on_error
  local state = { closed = false }
  state.guard = finalizer(function()
    state.closed = true
  end)
  local timer, idle, check = uv.new_timer(), uv.new_idle(), uv.new_check()
  local keeper = uv.new_async(nothing)
  for _, handle in ipairs({ timer, idle, check, keeper }) do
    uv.unref(handle)
  end

  local function keep(change)
    kept = kept + change
    if kept == 0 then
      uv.unref(keeper)
    elseif kept == change then
      uv.ref(keeper)
    end
  end

  local function on_closed()
    closing = closing - 1
  end

  -- Closes a handle, once.
  function scheduler._close(handle)
    if not uv.is_closing(handle) then
      closing = closing + 1
      uv.close(handle, on_closed)
    end
  end

  local function report(message, trace)
    local ok, second = pcall(on_error, message, trace)
    if not ok then
      pcall(default_on_error, nil, "error in on_error: " .. tostring(second))
    end
  end

  -- One line for whoever kept the loop waiting longer than scheduler.stall_after.
  local function check_stall(co)
    local time = now()
    local stalled = time - turned_at
    turned_at = time
    local limit = scheduler.stall_after
    if limit and stalled > limit and options.on_stall then
      pcall(options.on_stall, stalled, co)
    end
  end

  local function on_check() end -- forward

  -- Makes the loop come round without blocking, for work that was queued outside of a turn.
  local function defer()
    if not deferred then
      deferred = true
      uv.idle_start(idle, nothing)
      uv.check_start(check, on_check)
    end
  end

  local function turn()
    if state.closed then
      return
    end
    if deferred then
      deferred = false
      uv.idle_stop(idle)
      uv.check_stop(check)
    end
    turning = true
    local budget = BURST_MAX
    while head < tail and budget > 0 do
      local co = ready[head]
      ready[head] = nil
      head = head + 1
      budget = budget - 1
      local ok, message = resume(co)
      if not ok then
        report(message, traceback(co, tostring(message)))
      end
      if scheduler.stall_after then
        check_stall(co)
      end
    end
    turning = false
    if head == tail then
      head, tail = 1, 1
    end
    if head < tail or later_count > 0 then
      defer()
    end
  end

  -- Every loop callback of ours begins with `enter` and ends with `leave`, so that what it makes
  -- ready needs no further turn of the loop.
  local function enter()
    turning = true
    if scheduler.stall_after then
      turned_at = now()
    end
  end
  scheduler._enter, scheduler._leave = enter, turn

  function on_check()
    enter()
    for i = 1, later_count do
      ready[tail] = later[i]
      tail = tail + 1
      later[i] = nil
    end
    later_count = 0
    turn()
  end

  local function make_ready(co)
    ready[tail] = co
    tail = tail + 1
    if not turning then
      defer()
    end
  end

  -- Waiting ------------------------------------------------------------------

  local MAIN = {} -- stands for the main thread as a waiter

  local function wake(event, woken)
    local waiter = event.waiter
    event.waiter = nil
    event.woken = woken
    if event.index then
      timers.remove(heap, event)
    end
    if waiter ~= MAIN then
      make_ready(waiter)
    elseif pumping then
      uv.stop() -- timers that are late run before the poll, which would then block all the same
    end
  end

  local on_timer

  local function arm()
    local first = timers.first(heap)
    if not first then
      if armed_for then
        armed_for = nil
        uv.timer_stop(timer)
      end
    elseif armed_for ~= first.deadline then
      armed_for = first.deadline
      local wait_ms = math.ceil((first.deadline - now()) * 1000)
      uv.timer_start(timer, math.max(0, math.min(wait_ms, 2 ^ 31)), 0, on_timer)
    end
  end

  function on_timer()
    local time, first = now(), timers.first(heap)
    armed_for = nil
    -- A timer that comes far too late: a callback that is not ours, or a suspended machine.
    if first and scheduler.stall_after then
      turned_at = math.max(turned_at, first.deadline) -- what was reported is not told twice
      check_stall(nil)
    end
    enter()
    while first and first.deadline <= time do
      wake(first, false)
      first = timers.first(heap)
    end
    arm()
    turn()
  end

  -- A main thread that may run the loop does so until the event is set.
  local function pump(event)
    if scheduler.stall_after then
      check_stall(nil)
    end
    keep(1)
    while event.waiter do
      if head < tail then
        turn()
      end
      if event.waiter then
        pumping = true
        uv.run("once")
        pumping = false
        turned_at = now()
      end
    end
    -- The program may end here, and luv frees a handle that is still closing when its state ends,
    -- before the loop has let go of it.
    if closing > 0 then
      uv.run("nowait")
    end
    keep(-1)
    return event.woken
  end

  --- Tells of a stall so far, before whoever is to blame ends or the limit changes.
  function scheduler.notice_stall()
    if scheduler.stall_after then
      local co, main = running()
      check_stall(not main and co or nil)
    end
  end

  --- From now on a loop that does not turn for `seconds` is a stall; nil: nothing is.
  function scheduler.watch_stalls(seconds)
    if not scheduler.stall_after then
      turned_at = now() -- what the program did before anybody cared is its own affair
    end
    scheduler.stall_after = seconds
  end

  --- How a wait behaves at this place: "park", "pump", or nil and why it cannot.
  function scheduler.waiting()
    local co, main = running()
    if co and not main then
      if owned[co] then
        return "park"
      end
      return nil, "inside a coroutine that is not a task"
    end
    if turning or uv.loop_mode() then
      return nil, "inside a callback of the event loop"
    end
    return "pump"
  end

  local Event = {}
  Event.__index = Event

  function Event:set()
    if self.waiter then
      wake(self, true)
    else
      self.signalled = true
    end
  end

  function Event:wait(deadline)
    if self.signalled then
      self.signalled = false
      return true
    end
    if self.waiter then
      error("an event has one waiter at a time", 2)
    end
    local co, main = running()
    local parks = co and not main
    if parks and not owned[co] or not parks and (turning or uv.loop_mode()) then
      error("cannot wait " .. select(2, scheduler.waiting()), 2)
    end
    if deadline then
      if deadline <= now() then
        return false
      end
      timers.insert(heap, self, deadline)
      arm()
    end
    if parks then
      self.waiter = co
      yield()
      return self.woken
    end
    self.waiter = MAIN
    return pump(self)
  end

  function scheduler.event()
    return setmetatable({ signalled = false, waiter = nil, woken = false }, Event)
  end

  --- Parks for `seconds`. Zero or less: until the loop has polled once, so that whatever waits
  --- in a socket is read first.
  function scheduler.sleep(seconds)
    if seconds > 0 then
      scheduler.event():wait(now() + seconds)
      return
    end
    local mode, reason = scheduler.waiting()
    if mode == "park" then
      later_count = later_count + 1
      later[later_count] = running()
      defer()
      yield()
    elseif mode == "pump" then
      keep(1) -- a loop that nothing keeps alive does not even poll
      turn()
      uv.run("nowait")
      keep(-1)
      turned_at = now()
    else
      error("cannot sleep " .. reason, 2)
    end
  end

  -- Coroutines ---------------------------------------------------------------

  local function start(counted, fn, ...)
    local arguments, count = { ... }, select("#", ...)
    local co = create(function()
      local ok, failure = xpcall(function()
        fn(unpack(arguments, 1, count))
      end, function(message)
        return { message, traceback(tostring(message), 2) }
      end)
      if counted then
        keep(-1)
      end
      if not ok then
        report(failure[1], failure[2])
      end
    end)
    owned[co] = true
    if counted then
      keep(1)
    end
    make_ready(co)
  end

  --- Starts a coroutine; the loop lives at least as long as it does.
  function scheduler.spawn(fn, ...)
    start(true, fn, ...)
  end

  --- Starts a coroutine that does not keep the program alive.
  function scheduler.daemon(fn, ...)
    start(false, fn, ...)
  end

  scheduler.now = now
  net.attach(scheduler)
  process.attach(scheduler)
  machine.attach(scheduler)
  return scheduler
end

M.new = new

return M
