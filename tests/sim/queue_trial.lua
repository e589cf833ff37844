-- A queue while things go wrong: producers add numbered items, consumers take them with a lease.
--
-- At the end every item whose `put` was acknowledged was done, each `done` that said true was said
-- once for its item, and neither items nor claims are left. An item may be handled again when its
-- worker has lost it; how often is the contract's affair only if nobody lost anything.
--
-- In half of the seeds items are taken for good: then none is handled twice, and one may be lost
-- with whoever was taking it.
local trials = require("zklua.sim.trial")

local ITEMS = 6 -- of each producer

-- What a take may end with when it has none.
local MAY_FAIL = { EMPTY = true, NOTCONNECTED = true, SESSIONEXPIRED = true }

local function producer(trial, name)
  return function(zk)
    local c = assert(zk.connect({ timeout = 1000 }))
    local queue = c:queue("/jobs/queue")
    for i = 1, ITEMS do
      local item = name .. ":" .. i
      local path, _, code = queue:put(item)
      if path then
        trial.put[item] = (trial.put[item] or 0) + 1
      elseif code ~= "NOTCONNECTED" then
        trial.maybe[item] = true
      end
      zk.sleep(trial.world:random(name) * 2)
    end
    trial.producing = trial.producing - 1
    return c
  end
end

local function consumer(trial, name)
  return function(zk)
    local c = assert(zk.connect({ timeout = 1000 }))
    local queue = c:queue("/jobs/queue", { lease = trial.lease })
    local idle = 0
    -- Until everybody has gone, and nothing has come for longer than a dead worker's lease lasts.
    while idle < 3 or trial.producing > 0 do
      local item, message, code = queue:take({ wait = trial.session_timeout })
      if item then
        idle = 0
        local data = item.data
        trial.taken[data] = (trial.taken[data] or 0) + 1
        zk.sleep(trial.world:random(name) * 0.5)
        trial.unknown[data] = (trial.unknown[data] or 0) + 1 -- until answered: it may be killed
        if item:done() then
          trial.unknown[data] = trial.unknown[data] - 1
          trial.done[data] = (trial.done[data] or 0) + 1
        end
      elseif not MAY_FAIL[code] then
        error(message)
      elseif trial.healing then
        idle = idle + 1
      else
        zk.sleep(0.1)
      end
    end
    return c
  end
end

-- What became of the items: with a lease all are done, without one none is taken twice.
local function judge_items(trial)
  for item in pairs(trial.put) do
    if trial.lease and not trial.done[item] and (trial.unknown[item] or 0) == 0 then
      return nil, ("item %s was put, and nobody has done it"):format(item)
    end
  end
  for item, count in pairs(trial.lease and trial.done or trial.taken) do
    if count > 1 then
      return nil, ("item %s was done %d times"):format(item, count)
    elseif not trial.put[item] and not trial.maybe[item] and not trial.dead then
      return nil, ("item %s was done, and nobody has put it"):format(item)
    end
  end
  return true
end

local function judge(trial)
  local ok, message = judge_items(trial)
  if not ok then
    return nil, message
  end
  local items, claims = trial:look(function(c)
    local claims = {}
    for _, name in ipairs(c:children("/jobs/queue-claims") or {}) do
      if not name:find("-worker$") then -- each consumer has one for as long as its session lives
        claims[#claims + 1] = name
      end
    end
    return c:children("/jobs/queue") or {}, claims
  end)
  if items[1] or claims[1] then
    return nil, ("left are items %s and claims %s"):format(table.concat(items, " "),
      table.concat(claims, " "))
  end
  return true
end

--- One seed: true, or nil and what went wrong; and the trial.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.put, trial.maybe, trial.taken, trial.done, trial.unknown = {}, {}, {}, {}, {}
  trial.lease = trial.world:random("queue") < 0.5
  trial.producing = trial.world:pick("queue", 1, 3)
  for i = 1, trial.producing do
    local process = trial:start("producer-" .. i, producer(trial, "producer-" .. i))
    function process.on_exit()
      if not process.kept then -- it was killed: what it was putting may be there
        trial.producing = trial.producing - 1
        trial.dead = true
      end
    end
  end
  for i = 1, trial.world:pick("queue", 2, 4) do
    local name = "consumer-" .. i
    trial:start(name, consumer(trial, name), { replaced = true }) -- somebody has to be left
  end
  return trial:run(judge)
end
