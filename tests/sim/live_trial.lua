-- Live values while things go wrong: writers create, set and delete a node, readers hold live
-- values of it, watch them change, close them and open others.
--
-- What a reader sees are states that the node had, in the server's order and never the same again;
-- the first is no older than the call that made the value. `stale` is true whenever there is no
-- connection, `age` says since when, and `wait` gives what its predicate took. When all is well
-- again every value comes to the last state in time.
local histories = require("sim.history")
local trials = require("zklua.sim.trial")

local PATH = "/flag"
local IN_TIME = 15 -- seconds from the last write until everybody knows it

-- Writers ------------------------------------------------------------------------

local function writer(trial)
  return function(zk, name)
    local world = trial.world
    local c = assert(zk.connect({ timeout = 1000 }))
    local count = 0
    while not trial.healing do
      count = count + 1
      local data, what = ("%s %d"):format(name, count), world:random(name)
      if what < 0.2 then
        c:delete(PATH, { timeout = 3 })
      elseif what < 0.3 then -- gone and back with one zxid
        c:transaction():delete(PATH):create(PATH, data):commit({ timeout = 3 })
      elseif what < 0.6 then
        c:create(PATH, data, { timeout = 3 })
      else
        c:set(PATH, data, { timeout = 3 })
      end
      zk.sleep(world:random(name) * 0.4)
    end
    trial.writing = trial.writing - 1
    if trial.writing == 0 then -- the last word: a value, or none
      local last = world:random(name) < 0.7 and "last" or nil
      repeat
        local ok, _, code
        if last then
          ok, _, code = c:set(PATH, last, { create = true, timeout = 3 })
        else
          ok, _, code = c:delete(PATH, { missing_ok = true, timeout = 3 })
        end
      until ok and not code
      trial.last = { data = last, time = world.time }
    end
    return c
  end
end

-- Readers ------------------------------------------------------------------------

local MAY_FAIL = { TIMEOUT = true, NOTCONNECTED = true, SESSIONEXPIRED = true, CLOSED = true,
  CONNECTIONLOSS = true }

local function fault(trial, name, message, ...)
  trial.fault = trial.fault or (name .. ": " .. message):format(...)
end

-- Looks at `stale` and `age` now; `before` is what the look before this one found.
local function look(trial, zk, name, c, live, before)
  local now, stale, age = zk.now(), live.stale, live:age()
  local oldest = before and (before.stale and before.age or 0) + now - before.time + 1e-6
  if not stale and c:state() ~= "connected" then
    fault(trial, name, "not stale while %s", c:state())
  elseif not stale and age ~= 0 then
    fault(trial, name, "not stale, and %g s old", age)
  elseif stale and before and age > oldest then
    fault(trial, name, "%g s old, and %g s ago it was %g", age, now - before.time, before.age)
  end
  return { stale = stale, age = age, time = now }
end

-- All that the value becomes, in a task of its own.
local function note_changes(live, record)
  local _, message, code = live:each(function(data, stat)
    record[#record + 1] = { data = data, mzxid = stat and stat.mzxid, czxid = stat and stat.czxid,
      revision = live.revision }
  end)
  record.code, record.message = code, message
end

-- Waits for what a random predicate wants, sometimes for any change.
local function wait(trial, name, live)
  local world = trial.world
  local digit = world:random(name) < 0.7 and tostring(world:pick(name, 0, 9))
  local function wanted(data)
    return data and data:sub(-1) == digit
  end
  local revision = live.revision
  local data, stat, code = live:wait(digit and wanted or nil, world:random(name) * 4)
  if data == nil then
    if not MAY_FAIL[code] then
      fault(trial, name, "a wait ended with %s", tostring(stat))
    end
  elseif digit and not wanted(data) then
    fault(trial, name, "waited for a %s, and was given %s", digit, data)
  elseif not digit and live.revision <= revision then
    fault(trial, name, "waited for a change, and there was none")
  end
end

local function open(trial, c, name)
  local record = { name = name, from = histories.durable(trial.server) }
  record.default = trial.world:random(name) < 0.3 and "default" or nil
  local live, message, code = c:live(PATH, { default = record.default, timeout = 20 })
  if live then
    trial.records[#trial.records + 1] = record
  elseif not MAY_FAIL[code] then
    fault(trial, name, "%s", message)
  end
  return live, record
end

-- One value, until `time`; or, when all is well again, until the last state has come.
local function read(trial, zk, c, name, time)
  local live, record = open(trial, c, name)
  if not live then
    return false
  end
  local changes = zk.spawn(note_changes, live, record)
  local before
  repeat
    before = look(trial, zk, name, c, live, before)
    wait(trial, name, live)
  until zk.now() >= time or trial.last or c:state() == "expired"
  if trial.last then
    local last = trial.last.data
    local data = live:wait(function(data)
      return data == (last or record.default)
    end, IN_TIME)
    record.last = data ~= nil
    if not record.last and c:state() ~= "expired" then
      fault(trial, name, "holds %s %g s after the last write of %s", tostring(live.data), IN_TIME,
        tostring(last))
    end
  end
  live:close()
  changes:wait()
  look(trial, zk, name, c, live)
  if not live.stale or record.code ~= "CLOSED" and record.code ~= "SESSIONEXPIRED" then
    fault(trial, name, "closed, and %s", live.stale and tostring(record.message) or "not stale")
  end
  return record.last
end

local function reader(trial)
  return function(zk, name)
    local world = trial.world
    local c
    local tasks = {}
    local function connect()
      local stops = world:random(name) < 0.3
      c = assert(zk.connect({ timeout = 1000, on_expire = stops and "stop" or nil }))
    end
    connect()
    for i = 1, world:pick(name, 1, 2) do
      local row = name .. " " .. i
      tasks[i] = zk.spawn(function()
        repeat
          local mine = c
          local done = read(trial, zk, mine, row, zk.now() + 1 + world:random(row) * 15)
          if mine:state() == "expired" and mine == c then
            connect()
          elseif not done then
            zk.sleep(0.2)
          end
        until done
      end)
    end
    for _, task in ipairs(tasks) do
      task:wait()
    end
    return c
  end
end

-- The judgement ------------------------------------------------------------------

local function is(state, seen, default)
  if not state.data then
    return seen.mzxid == nil and seen.data == default
  end
  return state.data == seen.data and state.mzxid == seen.mzxid and state.czxid == seen.czxid
end

-- The state of the node that was the last at a zxid: its index.
local function index_at(states, zxid)
  local index = 1
  while states[index + 1] and states[index + 1].zxid <= zxid do
    index = index + 1
  end
  return index
end

local function check_record(states, record)
  local at, revision = index_at(states, record.from), -1
  for i, seen in ipairs(record) do
    at = i > 1 and at + 1 or at
    while states[at] and not is(states[at], seen, record.default) do
      at = at + 1
    end
    local before = record[i - 1]
    if not states[at] then
      return nil, ("saw %s of zxid %s out of turn"):format(tostring(seen.data),
        tostring(seen.mzxid))
    elseif before and before.mzxid == seen.mzxid then
      return nil, ("was told twice of %s"):format(tostring(seen.data))
    elseif seen.revision <= revision then
      return nil, ("revision %d comes after %d"):format(seen.revision, revision)
    end
    revision = seen.revision
  end
  if record.last and not is(states[#states], record[#record], record.default) then
    return nil, ("has seen the last state, and then told %s"):format(tostring(record[#record].data))
  end
  return true
end

local function judge(trial)
  if trial.fault then
    return nil, trial.fault
  end
  local states = histories.of(trial.server):states(PATH)
  for _, record in ipairs(trial.records) do
    local ok, message = check_record(states, record)
    if not ok then
      return nil, record.name .. " " .. message
    end
  end
  return true
end

--- One seed: true, or nil and what went wrong; and the trial.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.records = {}
  trial.writing = trial.world:pick("live", 1, 3)
  for i = 1, trial.writing do
    trial:start("writer-" .. i, writer(trial), { replaced = true })
  end
  for i = 1, trial.world:pick("live", 2, 6) do
    trial:start("reader-" .. i, reader(trial), { replaced = true })
  end
  return trial:run(judge)
end
