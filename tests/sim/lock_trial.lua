-- Locks while things go wrong: workers add to a counter that only the lock protects.
--
-- The judgement is the server's: a write behind the lock is accepted only with the lock's node
-- there, so in the order of their zxids the tokens never go back, and no addition is lost that was
-- acknowledged. Who says by his own clock that he holds it does so, where nobody ends sessions or
-- deletes nodes on purpose. Afterwards nobody waits, and no node is left.
--
-- In half of the seeds a vandal deletes nodes, which their owners learn late. Half of the waits end
-- with the lock alone: who misses his turn is not saved by his impatience.
local histories = require("sim.history")
local trials = require("zklua.sim.trial")
local vandal = require("sim.vandal")

local TURNS = 4

-- What a turn may end with.
local MAY_FAIL = { BUSY = true, LOST = true, NOTCONNECTED = true, SESSIONEXPIRED = true }

-- Adds one, twice, each time to what it has read; false when the lock is lost in between.
local function add(trial, name, held)
  local world = trial.world
  for _ = 1, 2 do
    local data, stat = trial.clients[name]:get("/counter")
    if not data or not held:sleep(world:random(name) * 0.2) then
      return false
    end
    if held:valid() then
      trial.beliefs[#trial.beliefs + 1] =
        { token = held.token, name = name, zxid = histories.durable(trial.server) }
    end
    -- Unknown until answered: this process may be killed, and the lock be lost meanwhile.
    trial.unknown = trial.unknown + 1
    local written = held:set("/counter", tostring(tonumber(data) + 1))
    if written then
      trial.unknown = trial.unknown - 1
      trial.accepted[#trial.accepted + 1] =
        { zxid = written.mzxid, token = held.token, before = stat.mzxid }
    else
      return false
    end
  end
  return true
end

-- One worker: has to be inside `TURNS` times, whatever happens to it.
local function worker(trial, name)
  return function(zk)
    local world = trial.world
    local c = assert(zk.connect({ timeout = 1000 }))
    trial.clients[name] = c
    local lock = c:lock("/jobs/lock")
    local turns = 0
    while turns < TURNS do
      local patience = world:random(name) < 0.5 and 0.5 + world:random(name) * 6 or nil
      local ok, inside, code = lock:with({ wait = patience }, function(held)
        return add(trial, name, held)
      end)
      assert(ok or MAY_FAIL[code], inside)
      trial.sections = trial.sections + 1
      if ok and inside then
        turns = turns + 1
      end
      zk.sleep(world:random(name) * 0.3)
    end
    return c
  end
end

-- Who was sure to hold the lock when its node had gone from the server's disk.
local function check_beliefs(trial)
  if trial.vandal or trial.counts.expire then
    return true
  end
  local tokens, ends = {}, {} -- path -> token of the node that is there, token -> zxid
  for _, change in ipairs(histories.of(trial.server).changes) do
    if change.type == "deleted" then
      ends[tokens[change.path]] = change.zxid
    end
    tokens[change.path] = change.node and change.node.czxid
  end
  for _, belief in ipairs(trial.beliefs) do
    local gone = ends[belief.token]
    if gone and gone <= belief.zxid then
      return nil, ("%s believed at zxid %d to hold %d, which had ended at %d"):format(belief.name,
        belief.zxid, belief.token, gone)
    end
  end
  return true
end

local function judge(trial)
  local counter, left = trial:look(function(c)
    local names, _, code = c:children("/jobs/lock")
    return tonumber((assert(c:get("/counter")))), names and #names or code
  end)
  if left ~= 0 and left ~= "NONODE" then
    return nil, ("%s nodes are left in the lock, and nobody wants it"):format(left)
  end
  local sum = #trial.accepted
  if counter < sum or counter > sum + trial.unknown then
    return nil, ("%d additions were acknowledged, %d may have happened, and the counter is %d")
      :format(sum, trial.unknown, counter)
  end
  table.sort(trial.accepted, function(a, b)
    return a.zxid < b.zxid
  end)
  for i = 2, sum do
    local before, write = trial.accepted[i - 1], trial.accepted[i]
    if write.token < before.token then
      return nil, ("token %d wrote after token %d"):format(write.token, before.token)
    elseif write.before < before.zxid then
      return nil, ("a write at zxid %d knew nothing of the one at %d"):format(write.zxid,
        before.zxid)
    end
  end
  return check_beliefs(trial)
end

--- One seed: true, or nil and what went wrong; and the trial.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.accepted, trial.unknown, trial.sections, trial.clients = {}, 0, 0, {}
  trial.beliefs = {}
  trial:look(function(c)
    assert(c:create("/counter", "0"))
  end)
  local count = trial.world:pick("lock", 3, 8)
  for i = 1, count do
    trial:start("worker-" .. i, worker(trial, "worker-" .. i))
  end
  trial.vandal = trial.world:random("lock") < 0.5
  if trial.vandal then
    trial:start("vandal", vandal(trial, "/jobs/lock", 0.2))
  end
  return trial:run(judge)
end
