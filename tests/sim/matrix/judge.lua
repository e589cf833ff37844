--- The judgement of a run of the matrix: what came of the subject and of its company, what the
--- server's disk says of their beliefs, and what is left over.
local faults = require "sim.matrix.faults"
local histories = require "sim.history"

local M = {}

-- Programs ---------------------------------------------------------------------------------------

local function programs(run)
  local subject, company = run.process, run.company
  for _, process in ipairs({ subject, company }) do
    if process.status == 1 then
      return ("%s: %s"):format(process.name, process.failure)
    elseif process.errors[1] then
      return ("%s: %s"):format(process.name, process.errors[1])
    end
  end
  if not run.company_done then
    return "the others have not come to their end"
  elseif subject.status == nil and not run.subject_done then
    return ("it has not come to its end (%s)"):format(run.phase)
  end
end

-- What may come of the subject, by the phase of the point and the fault: words in a string.
local function may_come(run)
  local words, outcomes = {}, run.scenario.outcomes
  for number, kind in pairs(run.plan) do
    local row = outcomes[run.points[number] and run.points[number].phase] or {}
    for word in (row[kind] or row.any or "ok"):gmatch("%S+") do
      words[word] = true
    end
  end
  if not next(words) then
    words.ok = true
  end
  return words
end

local function outcome(run)
  if run.process.status == "killed" or may_come(run)[run.outcome] then
    return nil
  end
  local words = {}
  for word in pairs(may_come(run)) do
    words[#words + 1] = word
  end
  table.sort(words)
  return ("it ended with %s; what may come of it: %s"):format(tostring(run.outcome),
    table.concat(words, " "))
end

-- Beliefs ----------------------------------------------------------------------------------------

-- Whoever believed to hold it was first at some time before; whoever wrote under its guard was so
-- at that very transaction; tokens grow; whoever asks once stands there once.
local function beliefs(run)
  local front, stands = run.scenario.front, run.scenario.stands
  if not front then
    return nil
  end
  local since, at_zxid, newest, wrong = {}, {}, 0, nil
  histories.replay(run.server, function(tree, txn)
    local token = front(tree)
    if stands and stands(tree) > 1 then
      wrong = "it stands there twice"
    end
    if txn then
      at_zxid[txn.zxid] = token
    end
    if token and not since[token] then
      since[token] = txn and txn.index - 1 or #run.server.log
      if token < newest then
        wrong = wrong or ("token %d follows %d"):format(token, newest)
      end
      newest = math.max(newest, token)
    end
  end)
  for _, belief in ipairs(run.beliefs) do
    if not since[belief.token] or since[belief.token] > belief.at then
      return ("%s believed to hold %d, which was never first"):format(belief.who, belief.token)
    end
  end
  for _, write in ipairs(run.writes) do
    if at_zxid[write.zxid] ~= write.token then
      return ("%s wrote at zxid %d with token %d, when %s was first"):format(write.who, write.zxid,
        write.token, tostring(at_zxid[write.zxid]))
    end
  end
  return wrong
end

-- What is left -----------------------------------------------------------------------------------

local function sessions_of(process)
  local count = 0
  if process.status == nil then
    for _ in pairs(process.runtime.sessions) do
      count = count + 1
    end
  end
  return count
end

local function watches_of(session)
  for _, kind in ipairs({ 1, 2, 4, 8, 16 }) do
    local path = next(session.watches[kind])
    if path then
      return ("a watch of kind %d on %s is left in the program"):format(kind, path)
    end
  end
end

local function tasks_left(process)
  for _, task in pairs(process.runtime.tasks) do
    if task ~= process.main and not task.ended then
      return ("the task %s is left"):format(task:label())
    end
  end
end

-- These leave the connection alone, so what has to be tidied up can be at once.
local MILD = { cancelled = true, timed_out = true, out_of_time = true, user_error = true }

--- A moment after the subject's end: no watch of a program that has given up waits for its event.
function M.soon(run)
  local second = next(run.plan, (next(run.plan)))
  if MILD[run.fault] and not second then
    for session in pairs(run.process.runtime.sessions) do
      return watches_of(session)
    end
  end
end

local function left_over(run, tree)
  local left = run.scenario.left(tree, run)
  if left[1] then
    local paths = {}
    for i, node in ipairs(left) do
      paths[i] = node.path
    end
    return "left are " .. table.concat(paths, " ")
  end
  for _, process in ipairs({ run.process, run.company }) do
    if process.status == nil then
      local message = tasks_left(process)
      for session in pairs(process.runtime.sessions) do
        message = message or watches_of(session)
      end
      if message then
        return process.name .. ": " .. message
      end
    end
  end
  local counts = run.server.core:info()
  local open = sessions_of(run.process) + sessions_of(run.company)
  if counts.watches > 0 then
    return ("%d watches are left at the server"):format(counts.watches)
  elseif counts.sessions ~= open then
    return ("the server has %d sessions, the programs %d"):format(counts.sessions, open)
  end
end

--- A program that has dropped everything has no session any more.
local function collected(run)
  if run.fault ~= "collected" or run.process.status ~= nil then
    return nil
  end
  faults.collected(run)
  run.world:run(run.world.time + 2)
  if sessions_of(run.process) > 0 then
    return "its client was dropped, and its session goes on"
  end
end

local function verdict(message)
  return message == nil or nil, message
end

--- When all is quiet.
function M.settled(run)
  local message = programs(run) or outcome(run) or run.early or beliefs(run)
  if message then
    return nil, message
  end
  local tree = histories.of(run.server).nodes
  if run.scenario.judge then
    message = run.scenario.judge(tree, run)
  end
  message = message or collected(run) -- which may tidy up
  return verdict(message or left_over(run, histories.of(run.server).nodes))
end

--- When the programs have ended.
function M.closed(run)
  local message = programs(run)
  for _, process in ipairs({ run.process, run.company }) do
    if process.status == nil then
      message = message or process.name .. " does not end"
    end
  end
  local counts = run.server.core:info()
  if counts.sessions > 0 or counts.ephemerals > 0 then
    message = message or ("left at the server are %d sessions and %d ephemerals"):format(
      counts.sessions, counts.ephemerals)
  end
  return verdict(message)
end

return M
