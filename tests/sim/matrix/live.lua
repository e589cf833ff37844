--- The live value: the subject waits for the last of several values, whatever comes in between.
local histories = require "sim.history"

local PATH = "/app/value"

local function company(zk, run)
  local c = run:client(zk, "writer")
  assert(c:ensure("/app"))
  zk.sleep(1.1 - zk.now())
  run:persist(zk, c.create, c, PATH, "first")
  zk.sleep(0.1)
  run:persist(zk, c.set, c, PATH, "second")
  zk.sleep(0.1)
  run:persist(zk, c.set, c, PATH, "last")
end

local function timeout_of(zk, run)
  local deadline = run:limit().deadline
  return deadline and deadline - zk.now()
end

-- Waits by a predicate.
local function wait(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  run:begin("opening")
  local message, code
  h.live, message, code = h.c:live(PATH, { default = "none", deadline = run:limit().deadline })
  if not rawget(h, "live") then
    return code or message
  end
  run:enter("waiting")
  local data, _, why = h.live:wait(function(data)
    run:here()
    return data == "last"
  end, timeout_of(zk, run))
  run:enter("having")
  zk.sleep(data and 0.02 or 0)
  h.live:close()
  return data == "last" and "ok" or why
end

-- Calls a function with each value.
local function each(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  h.live = assert(h.c:live(PATH, { default = "none" }))
  run:begin("following")
  run.in_user_code = true
  local ok, result, _, why = pcall(h.live.each, h.live, function(data)
    run:here()
    if data == "last" then
      return "ok"
    end
  end)
  h.live:close()
  return ok and (result or why) or "error"
end

-- Only has it, while something else goes on.
local function have(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  h.live = assert(h.c:live(PATH, { default = "none" }))
  run:begin("having")
  zk.shield(zk.sleep, 3)
  local tries = 0
  while h.live.stale and tries < 30 do -- a second fault may have come just now
    tries = tries + 1
    zk.shield(zk.sleep, 0.1)
  end
  local data, stale = h.live.data, h.live.stale
  h.live:close()
  return data == "last" and not stale and "ok" or ("%s, stale %s"):format(data, tostring(stale))
end

local function left(tree)
  local list = histories.children(tree, "/app")
  return #list == 1 and {} or list
end

local OUTCOMES = {
  opening = {
    expired = "ok SESSIONEXPIRED", expired_after = "ok SESSIONEXPIRED", cancelled = "CANCELLED",
    timed_out = "TIMEOUT", out_of_time = "TIMEOUT", collected = "ok dropped",
  },
  waiting = { cancelled = "CANCELLED ok", timed_out = "TIMEOUT ok", out_of_time = "TIMEOUT ok",
    collected = "dropped" },
  following = { cancelled = "CANCELLED ok", out_of_time = "TIMEOUT ok", user_error = "error",
    collected = "ok dropped" },
  having = { collected = "dropped" },
}

local function scenario(name, subject)
  return { name = name, subject = subject, company = company, left = left, outcomes = OUTCOMES }
end

return { scenario("live", wait), scenario("live_each", each), scenario("live_held", have) }
