--- The scheduler of virtual time: coroutines of one simulated process, in a world that it shares
--- with others (sim_world.lua, sim_net.lua).
---
--- A process acts in *turns*: its clock is set, what is due and what became ready runs to its next
--- wait, all in no time. A turn is an event of the world, so processes act in turn as the world's
--- queue has them.
local system = require "zklua.core"
local guards = require "zklua.scheduler.sim_guard"
local net = require "zklua.scheduler.sim_net"
local timers = require "zklua.scheduler.timers"
local worlds = require "zklua.scheduler.sim_world"

if jit then -- luacheck: ignore
  jit.off(true, true) -- luacheck: ignore: what jumps between coroutines is slower compiled
end

local create, resume, yield = coroutine.create, coroutine.resume, coroutine.yield
local running, unpack = coroutine.running, table.unpack or unpack
local traceback = debug.traceback

local M = {}

--- How long a process that has more to do waits for what is in its sockets: time has to pass, or
--- a program that polls would never get anywhere.
local POLL = 1e-5

--- Resumptions before the process polls, as with a real loop, and what each takes of the time
--- before the next poll: coroutines that keep waking each other do not stop the clock.
local BURST_MAX = 4096
local RESUMPTION = 1e-6

--- Where wall clocks begin; any date will do, and this one shows that it is simulated.
local WALL_BEGIN = 1e9

local function default_on_error(_, trace)
  io.stderr:write(trace, "\n")
end

---@class zklua.scheduler.sim.Options
---@field world table|nil  default: one of its own
---@field name string|nil  the process, in the trace and the network; default "main"
---@field core table|nil  a module table from core.simulate; default: one of its own
---@field on_error fun(message: any, traceback: string)|nil  an error that left a coroutine
---@field on_endless fun(message: string, trace: string)|nil  of a process that never waits: has to
---  stop it; without it nobody looks (instructions_max, turns_max: see sim_guard.lua)

---@param options zklua.scheduler.sim.Options|nil
function M.new(options)
  options = options or {}
  local world = options.world or worlds.new()
  local name = options.name or "main"
  local core = options.core or system.simulate({ seed = world.seed, hostname = name })
  local on_error = options.on_error or default_on_error
  local scheduler = { world = world, name = name, core = core, stopped = false, kept = 0,
    strings = nil } -- what enters and leaves the methods of strings of this process
  local ready, head, tail = {}, 1, 1 -- coroutines that may run, in order
  local later = {} -- those that run after the next poll
  local heap = timers.new() -- events whose wait has a deadline
  local owned = setmetatable({}, { __mode = "k" }) -- the coroutines made here
  local turning = false
  local soon, armed = {}, nil -- the turn at this instant, and the next that is due later
  local now = core.now
  local guard = options.on_endless and guards.new({
    name = name, world = world, on_endless = options.on_endless,
    instructions_max = options.instructions_max, turns_max = options.turns_max,
  })

  local function report(message, trace)
    local ok, second = pcall(on_error, message, trace)
    if not ok then
      pcall(default_on_error, nil, "error in on_error: " .. tostring(second))
    end
  end

  local turn -- forward

  local function turn_at(time)
    if scheduler.stopped then
      return
    elseif armed and armed.index then
      if armed.deadline <= time then
        return -- sooner than needed does no harm
      end
      world:cancel(armed)
    end
    armed = world:at(time, turn)
  end

  local MAIN = {} -- stands for the main thread as a waiter

  local function make_ready(co)
    ready[tail] = co
    tail = tail + 1
    if not turning and not scheduler.stopped then
      world:post(soon)
    end
  end

  local function wake(event, woken)
    local waiter = event.waiter
    event.waiter = nil
    event.woken = woken
    if event.index then
      timers.remove(heap, event)
    end
    if waiter ~= MAIN then
      make_ready(waiter)
    end
  end

  local function run_ready()
    local count = 0
    while head < tail and count < BURST_MAX and not scheduler.stopped do
      local co = ready[head]
      ready[head] = nil
      head = head + 1
      count = count + 1
      local ok, message = resume(co)
      if not ok and not scheduler.stopped then
        report(message, traceback(co, tostring(message)))
      end
    end
    return count
  end

  local paused_until = 0

  function turn()
    if world.time < paused_until then
      turn_at(paused_until)
      return
    end
    core.set_time(world.time, WALL_BEGIN + world.time)
    turning = true
    if scheduler.strings then
      scheduler.strings.enter()
    end
    local busy = guard and guard.enter()
    local first = timers.first(heap)
    if first and first.deadline <= world.time then
      -- As a real loop has it: timers before what has come in meanwhile, as after a pause.
      local came = {}
      for i = head, tail - 1 do
        came[#came + 1] = ready[i]
      end
      tail = head
      while first and first.deadline <= world.time do
        wake(first, false)
        first = timers.first(heap)
      end
      for i = 1, #came do
        ready[tail] = came[i]
        tail = tail + 1
      end
    end
    for i = 1, #later do
      ready[tail] = later[i]
      tail = tail + 1
      later[i] = nil
    end
    if busy then
      guard.accuse(ready[head])
    end
    local resumed = run_ready()
    if guard then
      guard.leave()
    end
    if scheduler.strings then
      scheduler.strings.leave()
    end
    turning = false
    first = timers.first(heap)
    if head < tail or #later > 0 then
      turn_at(world.time + POLL + resumed * RESUMPTION)
    elseif first then
      turn_at(first.deadline)
    end
  end
  soon.fn = turn

  -- Waiting ------------------------------------------------------------------

  -- A main thread turns the world until the event is set.
  local function pump(event)
    if event.index then
      turn_at(event.deadline)
    end
    while event.waiter do
      if not world:step() then
        event.waiter = nil
        error("nothing in this world is ever due, and the main thread waits", 0)
      end
    end
    core.set_time(world.time, WALL_BEGIN + world.time)
    return event.woken
  end

  --- How a wait behaves at this place: "park", "pump", or nil and why it cannot.
  function scheduler.waiting()
    local co, main = running()
    if co and not main then
      if owned[co] then
        return "park"
      end
      return nil, "inside a coroutine that is not a task"
    elseif turning then
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
    elseif self.waiter then
      error("an event has one waiter at a time", 2)
    end
    local co, main = running()
    local parks = co and not main
    if parks and not owned[co] or not parks and turning then
      error("cannot wait " .. select(2, scheduler.waiting()), 2)
    elseif deadline then
      if deadline <= now() then
        return false
      end
      timers.insert(heap, self, deadline)
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

  --- Parks for `seconds`; zero or less: until the process has polled once.
  function scheduler.sleep(seconds)
    local mode, reason = scheduler.waiting()
    if not mode then
      error("cannot sleep " .. reason, 2)
    elseif seconds > 0 or mode == "pump" then
      scheduler.event():wait(now() + math.max(seconds, POLL))
    else
      later[#later + 1] = running()
      yield()
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
        scheduler.kept = scheduler.kept - 1
      end
      if not ok then
        report(failure[1], failure[2])
      end
    end)
    owned[co] = true
    if guard then
      guard.watch(co)
    end
    if counted then
      scheduler.kept = scheduler.kept + 1
    end
    make_ready(co)
  end

  --- Starts a coroutine. `scheduler.kept` counts those that have not ended.
  function scheduler.spawn(fn, ...)
    start(true, fn, ...)
  end

  --- Starts a coroutine that does not keep the program alive.
  function scheduler.daemon(fn, ...)
    start(false, fn, ...)
  end

  --- The process is gone, as by kill -9: nothing of it ever runs again, and its peers read that.
  function scheduler.stop()
    if not scheduler.stopped then
      scheduler.stopped = true
      world:cancel(soon)
      if armed then
        world:cancel(armed)
      end
      net.detach(scheduler)
    end
  end

  --- Nothing of it runs for so many seconds; its clocks go on, as those of a stopped process do.
  function scheduler.pause(seconds)
    paused_until = math.max(paused_until, world.time + seconds)
  end

  --- coroutine.create, for the program's own: they count for the limit of instructions.
  scheduler.create = guard and guard.watching(create) or create

  --- Seconds since 1970, by the wall clock of the process.
  function scheduler.wall()
    return WALL_BEGIN + world.time
  end

  scheduler.now = now
  core.set_time(world.time, WALL_BEGIN + world.time)
  net.attach(scheduler)
  return scheduler
end

return M
