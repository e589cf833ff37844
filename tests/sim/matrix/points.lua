--- The points of a run: each time that a task of the subject's process, also one of the library's
--- own, gives way until something happens. They have numbers; the plan of the run says at which of
--- them a fault comes.
local faults = require "sim.matrix.faults"

local PAUSE_MAX = 0.06 -- seconds: who waits no longer does so before it asks again

local M = {}

-- Places -----------------------------------------------------------------------------------------

local PLUMBING = { "/scheduler/", "/task%.lua$", "/event%.lua$", "/lifetime%.lua$", "/nodes%.lua$",
  "/runtime%.lua$", "/facade%.lua$", "sim/matrix/points%.lua$", "sim/matrix/run%.lua$",
  "sim/matrix/play%.lua$" }

local function is_plumbing(source)
  for _, pattern in ipairs(PLUMBING) do
    if source:find(pattern) then
      return true
    end
  end
  return not source:find("^@")
end

-- Where the running coroutine waits: the lines above what all waits share, the innermost first.
local function place()
  local lines, level = {}, 3
  local info = debug.getinfo(level, "Sl")
  while info and #lines < 4 do
    if info.currentline > 0 and not is_plumbing(info.source) then
      lines[#lines + 1] = ("%s:%d"):format(info.source:match("([^/]+/[^/]+)$"), info.currentline)
    end
    level = level + 1
    info = debug.getinfo(level, "Sl")
  end
  return (table.concat(lines, " < "):gsub("zklua/", ""))
end

-- Counting ---------------------------------------------------------------------------------------

local function begin_fault(run, kind)
  run.world:trace("fault", kind)
  faults[kind](run)
end

-- A task of the subject gives way.
local function parked(run, task, seconds)
  run.count = run.count + 1
  local number = run.count
  local point = {
    time = run.world.time, place = place(), phase = run.phase, limited = run.limited,
    in_user_code = run.in_user_code and task == run.task,
    pause = seconds and seconds <= PAUSE_MAX,
  }
  run.points[number] = point
  run.world:trace("point", number .. " " .. point.phase .. " " .. point.place)
  local kind = run.plan[number]
  if kind then
    run.world:at(run.world.time, begin_fault, run, kind)
  end
end

--- Counts the waits of the subject's tasks, all but its main one, which is the matrix's own. A
--- point: { time, place, phase, limited, in_user_code, pause }.
function M.watch(run)
  local process, running = run.process, coroutine.running
  local scheduler, tasks = process.scheduler, process.runtime.tasks
  local make, plain = scheduler.event, nil
  local function wait(event, deadline)
    local task = run.counting and not event.signalled and tasks[running()]
    if task and task ~= process.main and not (deadline and deadline <= scheduler.now()) then
      parked(run, task, deadline and deadline - scheduler.now())
    end
    return plain(event, deadline)
  end
  function scheduler.event()
    local event = make()
    plain = plain or event.wait
    event.wait = wait
    return event
  end
end

-- What is asked of them --------------------------------------------------------------------------

--- Whether the fault can come at the point at all.
function M.applies(kind, point)
  if kind == "timed_out" then
    return point.limited
  elseif kind == "out_of_time" then
    return point.phase ~= "after" -- the zk.timeout is around the program
  elseif kind == "user_error" then
    return point.in_user_code
  elseif kind == "cancelled" then
    return point.phase ~= "after"
  end
  return true
end

--- Why `point` of a run is not the one that the run without faults had; nil when it is.
function M.differs(point, expected)
  if not point then
    return "the point was not reached"
  elseif point.place ~= expected.place or math.abs(point.time - expected.time) > 1e-9 then
    return ("the run went another way before the point: %s at %.6f, not %s at %.6f"):format(
      point.place, point.time, expected.place, expected.time)
  end
end

return M
