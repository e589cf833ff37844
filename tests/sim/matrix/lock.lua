--- The lock: one program takes it, works under it and gives it up. Before it another holds it,
--- behind it a third waits.
local histories = require "sim.history"

local PATH = "/app/lock"

-- A holder of the company: takes the lock, adds a word, keeps it until `time`.
local function neighbour(zk, run, who, keep)
  local c = run:client(zk, who)
  return function()
    assert(c:lock(PATH):with(function(held)
      run:took(who, held.token)
      run:wrote(who, held.token, (held:set("/word", who)))
      held:sleep(keep)
    end))
  end
end

local function words(zk, run)
  assert(run:client(zk, "words"):create("/word", ""))
end

-- The subject's work under the lock.
local function work(run, h, held)
  run:enter_function("inside")
  run:took("subject", held.token)
  run:here(h.c:get("/word"))
  run:here(held:sleep(0.02))
  run:wrote("subject", held.token, run:here(held:set("/word", "subject")))
  run:enter("leaving")
  return "done"
end

local function result(ok, message, code)
  if ok then
    return message == "done" and "ok" or "no result"
  end
  return code
end

local function subject(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  h.lock = h.c:lock(PATH)
  run:begin("joining")
  return result(h.lock:with(run:limit(), function(held)
    return work(run, h, held)
  end))
end

local function front(tree)
  local first = histories.children(tree, PATH, "lock%-%d+$")[1]
  return first and first.czxid
end

local function left(tree)
  return histories.children(tree, PATH)
end

-- How often the subject stands in line.
local function stands(tree)
  local count = 0
  for _, node in ipairs(histories.children(tree, PATH)) do
    count = count + (node.data == "subject" and 1 or 0)
  end
  return count
end

local OUTCOMES = {
  joining = {
    expired = "SESSIONEXPIRED", expired_after = "SESSIONEXPIRED", cancelled = "CANCELLED",
    timed_out = "BUSY", out_of_time = "TIMEOUT", collected = "ok dropped",
  },
  inside = { expired = "LOST ok", expired_after = "LOST ok", user_error = "error",
    collected = "ok dropped" },
}

return {
  {
    name = "lock", front = front, stands = stands, left = left, outcomes = OUTCOMES,
    company = function(zk, run)
      words(zk, run)
      local hold = neighbour(zk, run, "holder", 1.3)
      local follow = neighbour(zk, run, "next", 0.1)
      zk.group(function(group)
        group:spawn(hold)
        zk.sleep(1.1)
        group:spawn(follow)
      end)
    end,
    subject = subject,
  },
  {
    name = "lock_first", front = front, stands = stands, left = left,
    outcomes = setmetatable({
      joining = setmetatable({ timed_out = "BUSY ok" }, { __index = OUTCOMES.joining }),
    }, { __index = OUTCOMES }),
    company = function(zk, run)
      words(zk, run)
      local follow = neighbour(zk, run, "next", 0.1)
      zk.sleep(1.3)
      follow()
    end,
    subject = subject,
  },
}
