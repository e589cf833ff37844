--- What can happen to a program while it waits: `M[kind](run)` does it, in an event of the world
--- right after the program has begun to wait.
---
--- A fault is over by itself, and soon: what has to come of it is the run's affair.
local SOON = 0.01 -- seconds, in which a request under way is carried out and answered
local DOWN = 0.2 -- seconds that a server is down

local M = {}

--- All kinds, in the order in which they are tried.
M.KINDS = {
  "lost_before", "lost_after", "expired", "expired_after", "cancelled", "timed_out",
  "out_of_time", "user_error", "collected", "restarted", "restarted_after", "killed",
}

--- Those that end what the program wants by a point in time, which has to be known from the start.
M.LATE = { timed_out = true, out_of_time = true }
M.LIMIT = SOON / 2 -- seconds from the point to the deadline

-- The way from the server: what comes is kept, and fn() follows soon after the first of it. With
-- `least`, at once: then it is the answer to what was sent here.
local function keep_back(run, fn)
  local link = run:link()
  if not link then
    return run:after(SOON, fn)
  end
  local back = link.to.pipe
  back.held = back.held or {}
  local function look()
    if back.held and not back.held[1] and run:is_open(link) then
      return run:after(SOON, look)
    end
    run:after(SOON, function()
      fn(link)
    end)
  end
  run:after(SOON, look)
end

local function cut(run, link)
  if link and run:is_open(link) then
    link:cut()
  end
end

--- What is on its way to the server never arrives.
function M.lost_before(run)
  local link = run:link()
  if link then
    link:lose("there")
    run:after(SOON, function()
      cut(run, link)
    end)
  end
end

--- What is on its way arrives, and so does the event that is waited for; but nobody hears of it.
function M.lost_after(run)
  keep_back(run, function(link)
    cut(run, link)
  end)
end

local function expire(run)
  if run.server.running then
    run.server:expire(run:session())
  end
end

--- The session ends before what is on its way arrives.
M.expired = expire

--- The session ends behind what is on its way, and nobody has heard the answer.
function M.expired_after(run)
  local link = run:link()
  if link then
    link.to.pipe.held = link.to.pipe.held or {}
  end
  run:after(SOON, function()
    expire(run)
    cut(run, link)
  end)
end

function M.cancelled(run)
  if run.task then -- it may have ended in this very turn
    run.task:cancel()
  end
end

-- The answer is later than the deadline.
local function late(run)
  local link = run:link()
  if link then
    link:hold()
    run:after(2 * SOON, function()
      link:release()
    end)
  end
end

--- The deadline of the call comes.
M.timed_out = late
--- The zk.timeout around the program comes to its end.
M.out_of_time = late

--- The program's own function raises an error when its wait is over.
function M.user_error(run)
  run.raises = true
end

--- The program drops all that it holds, and what nobody holds is collected.
function M.collected(run)
  for name in pairs(run.handles) do
    run.handles[name] = nil
  end
  if jit then -- luacheck: ignore
    jit.flush() -- luacheck: ignore -- compiled traces hold what they have met
  end
  collectgarbage()
  collectgarbage()
  run.process:finalize()
end

local function restart(run)
  run.server:crash()
  run:after(DOWN, function()
    run.server:start()
  end)
end

--- The server's machine fails before what is on its way arrives.
M.restarted = restart

--- The server's machine fails when all is carried out and before an answer has come.
function M.restarted_after(run)
  keep_back(run, function()
    if run.server.running then
      restart(run)
    end
  end)
end

--- kill -9 of the program; the others go on.
function M.killed(run)
  run.process:kill()
end

return M
