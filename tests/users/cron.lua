--- Runs something every so often, on one of many machines: whoever leads. How often it has run is
--- kept beside it, guarded by the term, so that a former leader cannot turn it back.
local cron = {}

local function rounds(c, path)
  local data, message, code = c:get(path)
  if not data then
    return nil, message, code
  end
  return tonumber(data) or 0
end

-- Reads after a lost reply: nobody else writes while the term is ours.
local function record(c, term, path, round)
  while true do
    local done, message, code = term:set(path, tostring(round))
    if done or code ~= "CONNECTIONLOSS" or rounds(c, path) == round then
      return done or code == "CONNECTIONLOSS" or nil, message, code
    end
  end
end

local function lead(c, term, path, period, job, stop)
  local round, message, code = rounds(c, path)
  while round do
    if stop(round) then
      return round
    end
    job(round + 1)
    local ok
    ok, message, code = record(c, term, path, round + 1)
    if not ok then
      break
    end
    round = round + 1
    if not term:sleep(period) then
      break
    end
  end
  return nil, message, code
end

--- Stands for leader at `path`, and as a leader runs job(round) each `period` seconds, until
--- stop(round) is true; returns the number of rounds. An error in the job steps down and is raised.
function cron.run(c, path, period, job, stop)
  assert(type(job) == "function", "job must be a function")
  local count = path .. "/rounds"
  local ok, message, code = c:ensure(count)
  if not ok then
    return nil, message, code
  end
  return c:election(path .. "/leader"):campaign(function(term)
    return lead(c, term, count, period, job, stop or function() return false end)
  end)
end

--- Who runs it, and how often it has run.
function cron.status(c, path)
  local leader = c:election(path .. "/leader"):leader()
  return leader and leader.id or nil, rounds(c, path .. "/rounds")
end

return cron
