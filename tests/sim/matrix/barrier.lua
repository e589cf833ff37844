--- The barrier: three parties, of which the subject is the second to come. Should it not come, a
--- spare does, so that the others can pass.
local histories = require "sim.history"

local PATH, PARTIES = "/app/barrier", 3

-- What the log held when somebody passed, in (`entered`) or out (`left`).
local function passed(run, who, way)
  run.passes[#run.passes + 1] = { who = who, way = way, at = #run.server.log }
  run:note(who, way)
end

-- One party of the company: true when it got in and out.
local function party(zk, run, who)
  local barrier = run:client(zk, who):barrier(PATH, { parties = PARTIES, id = who })
  assert(barrier:enter())
  passed(run, who, "entered")
  zk.sleep(0.05)
  assert(barrier:leave())
  passed(run, who, "left")
end

-- The subject will not come any more, and no node of its stands for it.
local function is_missing(run)
  return run:subject_is_over() and not run.subject_entered
end

local function company(zk, run)
  run.passes = {}
  zk.group(function(group)
    group:spawn(party, zk, run, "first")
    zk.sleep(1.3)
    group:spawn(party, zk, run, "third")
    local first_passed
    repeat
      zk.sleep(0.5)
      first_passed = run.passes[1]
    until first_passed or is_missing(run)
    if not first_passed then
      group:spawn(party, zk, run, "spare")
    end
  end)
end

local function subject(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  h.barrier = h.c:barrier(PATH, { parties = PARTIES })
  run:begin("entering")
  local ok, _, code = h.barrier:enter(run:limit())
  if not ok then
    return code
  end
  run.subject_entered = true
  passed(run, "subject", "entered")
  run:enter("inside")
  zk.sleep(0.02)
  run:enter("leaving")
  ok, _, code = h.barrier:leave(run:limit())
  if ok then
    passed(run, "subject", "left")
  end
  return ok and "ok" or code
end

local function present(tree)
  local names, count = {}, 0
  for _, node in ipairs(histories.children(tree, PATH)) do
    if node.path ~= PATH .. "/ready" then
      names[node.data], count = node.czxid, count + 1
    end
  end
  return names, count
end

-- Nobody gets in before all were there at once, or out while somebody is inside who got in.
local function judge(_, run)
  local full, steps = nil, {}
  histories.replay(run.server, function(tree, txn)
    local names, count = present(tree)
    local index = txn and txn.index - 1 or #run.server.log
    if count >= PARTIES and not full then
      full = index
    end
    steps[index] = names
  end)
  for _, pass in ipairs(run.passes) do
    if pass.way == "entered" and (not full or pass.at < full) then
      return pass.who .. " got in before all were there"
    elseif pass.way == "left" then
      for other in pairs(steps[pass.at] or {}) do
        return ("%s got out while %s was there"):format(pass.who, other)
      end
    end
  end
end

local function left(tree)
  return histories.children(tree, PATH)
end

return {
  {
    name = "barrier", subject = subject, company = company, judge = judge, left = left,
    outcomes = {
      entering = {
        expired = "SESSIONEXPIRED", expired_after = "SESSIONEXPIRED", cancelled = "CANCELLED",
        timed_out = "TIMEOUT", out_of_time = "TIMEOUT", collected = "ok dropped",
      },
      inside = {
        expired = "SESSIONEXPIRED", expired_after = "SESSIONEXPIRED", cancelled = "CANCELLED",
        out_of_time = "TIMEOUT", collected = "dropped",
      },
      leaving = {
        expired = "SESSIONEXPIRED", expired_after = "SESSIONEXPIRED", cancelled = "CANCELLED",
        timed_out = "TIMEOUT", out_of_time = "TIMEOUT",
      },
    },
  },
}
