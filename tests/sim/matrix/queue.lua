--- The queue, with leases and without: the subject puts, takes and finishes items, while the
--- company produces and consumes. Every item is accounted for.
local histories = require "sim.history"

local PATH = "/app/queue"
local LEASE_ENDS = 11 -- seconds after which the item of a dead worker is there again

-- The company's consumer: takes one item, leaves the others to the subject, and when that is over
-- takes what there is until nothing comes any more.
local function consume(zk, run, lease)
  local queue = run:client(zk, "consumer"):queue(PATH, { lease = lease })
  local over, had = false, 0
  repeat
    over = run:subject_is_over()
    local item = (over or had == 0) and queue:take({ wait = over and LEASE_ENDS or 1 })
    if item then
      had = had + 1
      run:add("taken", item.data)
      run:took("consumer", item.token)
      zk.sleep(0.5) -- so that the subject finds it claimed
      local done = item:done()
      run:add(done and "done" or "unknown", item.data)
    elseif not over then
      zk.sleep(0.1)
    end
  until over and not item
end

local function produce(zk, run, queue, item)
  while not queue:put(item) do -- the server restarts: it may be there, and be put again
    run:add("maybe", item)
    zk.sleep(0.1)
  end
  run:add("put", item)
end

-- Two items at these times, one more should the first have gone with the subject's session, and the
-- consumer.
local function company(lease, first, second)
  return function(zk, run)
    local queue = run:client(zk, "producer"):queue(PATH)
    zk.sleep(first - zk.now())
    produce(zk, run, queue, "1")
    zk.sleep(second - zk.now())
    produce(zk, run, queue, "2")
    zk.sleep(math.max(0, 1.4 - zk.now()))
    local consumer = zk.spawn(consume, zk, run, lease)
    zk.sleep(5)
    if not run:subject_is_over() then
      produce(zk, run, queue, "3")
    end
    consumer:wait()
  end
end

local function take(run, h)
  local message, code
  h.item, message, code = h.queue:take(run:limit())
  if not rawget(h, "item") then
    return nil, code or message
  end
  run:add("taken", h.item.data)
  run:took("subject", h.item.token)
  return true
end

-- Takes an item, works on it and ends it in this way.
local function work(lease, finish)
  return function(zk, run, h)
    h.c = assert(zk.connect({ id = "subject" }))
    h.queue = h.c:queue(PATH, { lease = lease })
    run:begin("taking")
    local item, why = take(run, h)
    if not item then
      return why
    end
    run:enter("working")
    zk.sleep(0.02)
    run:enter("finishing")
    return finish(run, h)
  end
end

-- One that ends without its item being done gives it back.
local function finish(run, h, word, data, ok, _, code)
  run:add(ok and word or "unknown", data)
  if not ok and code ~= "LOST" then
    h.item:retry()
  end
  return ok and "ok" or code
end

local function done(run, h)
  return finish(run, h, "done", h.item.data, h.item:done())
end

local function retry(_, h)
  local ok, _, code = h.item:retry()
  return ok and "ok" or code
end

local function fail(run, h)
  return finish(run, h, "failed", h.item.data, h.item:fail("it broke"))
end

local function put(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  h.queue = h.c:queue(PATH, { limit = 10 })
  run:begin("putting")
  run:add("maybe", "mine")
  local path, _, code = h.queue:put("mine", run:limit())
  if path then
    run:add("put", "mine")
  end
  return path and "ok" or code
end

local function count(run, what, item)
  return (run.tally[what] or {})[item] or 0
end

-- The items of both, from what each has told.
local function items(run)
  local set = {}
  for _, what in ipairs({ "put", "maybe", "taken", "done", "failed" }) do
    for item in pairs(run.tally[what] or {}) do
      set[item] = true
    end
  end
  return set
end

-- Whoever works on an item does so by a claim of its own, which was there.
local function judge_claims(run)
  local owners = {}
  histories.replay(run.server, function(tree)
    for _, node in ipairs(histories.children(tree, PATH .. "-claims")) do
      owners[node.czxid] = node.owner
    end
  end)
  for _, belief in ipairs(run.beliefs) do
    local owner = owners[belief.token]
    if not owner or (belief.who == "subject") ~= (run.sessions[owner] ~= nil) then
      return ("%s worked by the claim %d of %s"):format(belief.who, belief.token, tostring(owner))
    end
  end
end

-- At least once: nothing that was put is lost, nothing is finished more often than it was put.
local function judge_lease(_, run)
  local wrong = judge_claims(run)
  if wrong then
    return wrong
  end
  for item in pairs(items(run)) do
    local finished = count(run, "done", item) + count(run, "failed", item)
    local sure, most = count(run, "put", item), count(run, "put", item) + count(run, "maybe", item)
    if finished > most then
      return ("item %s was finished %d times"):format(item, finished)
    elseif finished + count(run, "unknown", item) < sure then
      return ("item %s was put, and nobody has done it"):format(item)
    end
  end
end

-- What may cost an item of a queue without leases: its taker goes with it.
local MORTAL = { expired = true, expired_after = true, killed = true, collected = true }

-- At most once; and nothing is lost but with its taker.
local function judge_once(_, run)
  for item in pairs(items(run)) do
    local taken, sure = count(run, "taken", item), count(run, "put", item)
    local most = sure + count(run, "maybe", item)
    if taken > most then
      return ("item %s was taken %d times"):format(item, taken)
    elseif taken < sure and not MORTAL[run.fault] then
      return ("item %s was put, and nobody has had it"):format(item)
    end
  end
end

local function left(tree, run)
  local list = histories.children(tree, PATH)
  for _, node in ipairs(histories.children(tree, PATH .. "-claims")) do
    if not node.path:find("-worker$") or not run:lives(node.owner) then
      list[#list + 1] = node
    end
  end
  return list
end

local MAYBE = "ok CONNECTIONLOSS"

local PUT = {
  putting = {
    lost_before = MAYBE, lost_after = MAYBE, restarted = MAYBE, restarted_after = MAYBE,
    expired = MAYBE .. " SESSIONEXPIRED", expired_after = MAYBE .. " SESSIONEXPIRED",
    cancelled = "CANCELLED", timed_out = "TIMEOUT", out_of_time = "TIMEOUT",
  },
}

local LEASE = {
  taking = { cancelled = "CANCELLED", timed_out = "EMPTY ok", out_of_time = "TIMEOUT",
    collected = "ok dropped" },
  working = { expired = "LOST", expired_after = "LOST", cancelled = "CANCELLED ok",
    out_of_time = "TIMEOUT ok", collected = "dropped" },
  finishing = { expired = "LOST SESSIONEXPIRED", expired_after = "LOST SESSIONEXPIRED",
    cancelled = "CANCELLED ok", out_of_time = "TIMEOUT ok", collected = "ok dropped" },
}

-- An item whose lease has ended is given back.
local RETRY = {
  taking = LEASE.taking,
  working = { expired = "LOST ok", expired_after = "LOST ok", collected = "dropped" },
}

-- What was on its way when the end came is had.
local ONCE = {
  taking = { cancelled = "CANCELLED ok", timed_out = "EMPTY ok", out_of_time = "TIMEOUT ok",
    collected = "ok dropped" },
  working = { collected = "dropped" },
}

local function scenario(name, subject, lease, first, second, outcomes)
  return {
    name = name, subject = subject, company = company(lease, first, second), left = left,
    judge = lease and judge_lease or judge_once,
    outcomes = outcomes or lease and LEASE or ONCE,
  }
end

-- Each mode with one that waits for the first item, and one that finds it.
return {
  scenario("queue_put", put, true, 0.5, 0.6, PUT),
  scenario("queue", work(true, done), true, 1.3, 1.35),
  scenario("queue_ready", work(true, done), true, 0.5, 0.6),
  scenario("queue_retry", work(true, retry), true, 0.5, 0.6, RETRY),
  scenario("queue_fail", work(true, fail), true, 0.5, 0.6),
  scenario("queue_once", work(false, done), false, 1.3, 1.35),
  scenario("queue_once_ready", work(false, done), false, 0.5, 0.6),
}
