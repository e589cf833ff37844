-- An election while things go wrong: candidates lead for a while, step down, and stand again.
--
-- A leader writes under the guard of its term. In the order of their zxids the tokens of accepted
-- writes never go back, no two candidates write with the same token, and at the end nobody is left.
local trials = require("zklua.sim.trial")

local TERMS = 3

local function candidate(trial, name)
  return function(zk)
    local world = trial.world
    local c = assert(zk.connect({ timeout = 1000 }))
    local election = c:election("/jobs/leader", { id = name, mode = trial.mode })
    local terms = 0
    while terms < TERMS do
      local led = election:campaign(function(term)
        for _ = 1, 3 do
          local stat = term:set("/leader", name)
          if stat then
            trial.accepted[#trial.accepted + 1] =
              { zxid = stat.mzxid, token = term.token, name = name }
          end
          if not stat or not term:sleep(world:random(name) * 0.2) then
            return false
          end
        end
        return true
      end)
      if led then
        terms = terms + 1
      end
      zk.sleep(world:random(name) * 0.3)
    end
    return c
  end
end

local function judge(trial)
  table.sort(trial.accepted, function(a, b)
    return a.zxid < b.zxid
  end)
  local names = {}
  for i, write in ipairs(trial.accepted) do
    local before = trial.accepted[i - 1]
    if before and write.token < before.token then
      return nil, ("token %d wrote after token %d"):format(write.token, before.token)
    elseif (names[write.token] or write.name) ~= write.name then
      return nil, ("%s and %s led with the same token"):format(names[write.token], write.name)
    end
    names[write.token] = write.name
  end
  local left = trial:look(function(c)
    return c:children("/jobs/leader") or {}
  end)
  for _, name in ipairs(left) do
    if name ~= "term" then
      return nil, ("%s is left of an election in which nobody stands"):format(name)
    end
  end
  return true
end

--- One seed: true, or nil and what went wrong; and the trial. Odd seeds elect statically.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.accepted = {}
  trial.mode = seed % 2 == 1 and "static" or "dynamic"
  trial:look(function(c)
    assert(c:create("/leader", ""))
    assert(c:ensure("/jobs"))
  end)
  for i = 1, trial.world:pick("election", 3, 6) do
    trial:start("candidate-" .. i, candidate(trial, "candidate-" .. i))
  end
  return trial:run(judge)
end
