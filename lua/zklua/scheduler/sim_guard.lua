--- Ends a simulated process that never waits: one that computes for ever would stop the world, and
--- one that polls for ever would let it crawl.
---
--- Instructions are counted by a hook, so that the same program ends at the same place whatever the
--- machine. The hook is of each coroutine on Lua 5.4, and of the whole state on LuaJIT, where it is
--- set for each turn, and does not see compiled code: see sim/code.lua.
local M = {}

--- Instructions between two waits of a process; some seconds.
local INSTRUCTIONS_MAX = 1e8
--- Turns of a process within BUSY_TIME; one that only polls comes to five times as many.
local TURNS_MAX = 1e6
local BUSY_TIME = 50 -- seconds of virtual time

--- Instructions between two calls of the hook.
local STEP = 10000
--- What a new coroutine counts for, lest a chain of short ones go unseen.
local NEW_COROUTINE = 1000

local COMPUTES = "%s has computed for %.0f instructions without a wait, last at %s: virtual time "
  .. "stands still meanwhile. Give way in long loops (zk.pause, zk.sleep), or raise "
  .. "instructions_max"
local POLLS = "%s took %.0f turns within less than %g s of virtual time, last at %s: it polls. "
  .. "Wait for an event, sleep longer in loops, or raise turns_max"

local per_state = jit ~= nil -- luacheck: ignore
local sethook, gethook, getinfo = debug.sethook, debug.gethook, debug.getinfo
local running, traceback = coroutine.running, debug.traceback

-- Where a coroutine stands: the innermost place that is not the library's, else the innermost.
local function place(co)
  local first
  for level = 0, 50 do
    local info = getinfo(co, level, "Sl")
    if not info then
      break
    elseif info.currentline > 0 then
      local here = ("%s:%d"):format(info.short_src, info.currentline)
      if not info.source:find("zklua/[%w_/]+%.lua$") then
        return here
      end
      first = first or here
    end
  end
  return first or "?"
end

---@class zklua.scheduler.sim_guard.Options
---@field name string  the process
---@field world table
---@field instructions_max number|nil  between two waits; default 1e8
---@field turns_max number|nil  within 50 s of virtual time; default 1e6
---@field on_endless fun(message: string, trace: string)  ends the process; may not raise

---@param options zklua.scheduler.sim_guard.Options
function M.new(options)
  local name, world = options.name, options.world
  local instructions_max = options.instructions_max or INSTRUCTIONS_MAX
  local turns_max = options.turns_max or TURNS_MAX
  local step = math.min(STEP, instructions_max)
  local guard = {}
  local used, over = 0, nil -- instructions since the last wait; why the process has ended
  local turns, since = 0, world.time
  local host, saved, saved_mask, saved_count -- LuaJIT: who runs the world, and the hook set there

  -- Raises again and again, so that a pcall in a loop does not help.
  local function hook()
    local co = running()
    if per_state and co == host then
      return
    elseif not over then
      used = used + step
      if used < instructions_max then
        return
      end
      over = COMPUTES:format(name, instructions_max, place(co))
      options.on_endless(over, traceback(co, over))
    end
    sethook(hook, "", 1)
    error(over, 0)
  end

  --- Counts for the coroutine, which has not run yet.
  function guard.watch(co)
    if not per_state then
      sethook(co, hook, "", step)
    end
  end

  --- Makes `create` one whose coroutines count.
  function guard.watching(create)
    return function(fn)
      local co = create(fn)
      guard.watch(co)
      used = used + NEW_COROUTINE
      return co
    end
  end

  --- A turn begins: the process has waited. True when it has had too many of them.
  function guard.enter()
    used = 0
    if per_state then
      host = running()
      saved, saved_mask, saved_count = gethook()
      sethook(hook, "", step)
    end
    turns = turns + 1
    if turns < turns_max then
      return false
    end
    local busy = world.time - since < BUSY_TIME
    turns, since = 0, world.time
    return busy
  end

  --- Ends the process for that; `co` is one that it runs again and again.
  function guard.accuse(co)
    over = POLLS:format(name, turns_max, BUSY_TIME, co and place(co) or "?")
    options.on_endless(over, co and traceback(co, over) or over)
  end

  --- It ends.
  function guard.leave()
    if per_state then
      sethook(saved, saved_mask, saved_count)
    end
  end

  return guard
end

return M
