-- A barrier while things go wrong: as many parties as it wants pass round after round, and a new
-- process takes the place of each that is killed.
--
-- The server's log says who was there when: nobody enters who has not been there together with as
-- many as are wanted, and nobody has left while one that was there then still is. When all is well
-- again nobody is left behind: rounds go on, and at the end no node is left.
local histories = require("sim.history")
local trials = require("zklua.sim.trial")

local PATH = "/jobs/barrier"
local ROUNDS = 3 -- of each party, when all is well again

local MAY_FAIL = { TIMEOUT = true, NOTCONNECTED = true, SESSIONEXPIRED = true, CANCELLED = true }

-- Enters with a limit, or without one: then cancelled when nobody else will come any more.
local function enter(trial, zk, name, barrier)
  if trial.world:random(name) < 0.4 then
    return barrier:enter({ wait = 1 + trial.world:random(name) * 15 })
  end
  local task = zk.spawn(barrier.enter, barrier)
  while not task:done() and not trial.over_now do
    task:wait(0.5)
  end
  task:cancel()
  return task:wait()
end

local function leave(trial, name, barrier)
  local impatient = not trial.healing and trial.world:random(name) < 0.2
  return barrier:leave(impatient and { wait = 1 + trial.world:random(name) * 5 } or nil)
end

local function fault(trial, name, message)
  trial.fault = trial.fault or ("%s: %s"):format(name, message)
end

-- Whether every place has had its rounds since all is well.
local function count_round(trial, slot)
  trial.rounds[slot] = trial.rounds[slot] + 1
  for i = 1, trial.parties do
    if trial.rounds[i] < ROUNDS then
      return
    end
  end
  trial.over_now = true
end

local function party(trial, slot)
  return function(zk, name)
    local c = assert(zk.connect({ timeout = 1000 }))
    local count = 0
    while not trial.over_now do
      count = count + 1
      local record = { id = ("%s round %d"):format(name, count) }
      trial.records[#trial.records + 1] = record
      local barrier = c:barrier(PATH, { parties = trial.parties, id = record.id })
      local ok, message, code = enter(trial, zk, name, barrier)
      if ok then
        record.entered = histories.latest(trial.server)
        trial.entered[record.id] = record.entered
        zk.sleep(trial.world:random(name) * 0.5)
        ok, message, code = leave(trial, name, barrier)
        record.left = ok and histories.latest(trial.server)
        if ok and trial.healing then
          count_round(trial, slot)
        end
      end
      if not ok and not MAY_FAIL[code] then
        fault(trial, name, tostring(message))
      end
      zk.sleep(trial.world:random(name) * 0.2)
    end
    return c
  end
end

-- The judgement ------------------------------------------------------------------

-- Calls fn(zxid, there, node) after each change from the node of `id` on, which is `node`; `there`
-- is who is there, name -> node.
local function replay(history, id, fn)
  local there, ours = {}, nil
  for _, change in ipairs(history.changes) do
    local name = change.path:match("^" .. PATH .. "/([^/]+)$")
    if name and name ~= "ready" and change.type ~= "changed" then
      there[name] = change.node
      if change.node and change.node.data == id then
        ours = change.node
      end
    end
    if name and ours and fn(change.zxid, there, ours) then
      return
    end
  end
end

-- The first moment at which all were there together with `record`, and who that was. Who was inside
-- before it came is of another round.
local function opening(trial, history, record)
  local opened, all
  replay(history, record.id, function(zxid, there, ours)
    local count = 0
    all = {}
    for name, node in pairs(there) do
      all[name] = node
      local entered = trial.entered[node.data]
      if not entered or entered >= ours.czxid then
        count = count + 1
      end
    end
    opened = count >= trial.parties and zxid
    return opened
  end)
  return opened, all
end

local function check_record(trial, history, record)
  local opened, all = opening(trial, history, record)
  if not opened or opened > record.entered then
    return nil, "was let in early"
  elseif not record.left then
    return true
  end
  local still
  replay(history, record.id, function(zxid, there)
    if zxid > record.left then
      return true
    end
    still = nil
    for name, node in pairs(all) do
      still = there[name] and there[name].czxid == node.czxid and node.data or still
    end
  end)
  if still then
    return nil, ("has left while %s was there"):format(still)
  end
  return true
end

local function judge(trial)
  if trial.fault then
    return nil, trial.fault
  end
  local history = histories.of(trial.server)
  for _, record in ipairs(trial.records) do
    if record.entered then
      local ok, message = check_record(trial, history, record)
      if not ok then
        return nil, ("%s %s"):format(record.id, message)
      end
    end
  end
  local left = history:below(PATH)[1]
  if left then
    return nil, ("%s is left, of %s"):format(left, history.nodes[left].data)
  end
  return true
end

--- One seed: true, or nil and what went wrong; and the trial.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.records, trial.rounds, trial.entered = {}, {}, {} -- entered: id -> zxid
  trial.parties = trial.world:pick("barrier", 3, 8)
  for i = 1, trial.parties do
    trial.rounds[i] = 0
    trial:start("party-" .. i, party(trial, i), { replaced = true })
  end
  return trial:run(judge)
end
