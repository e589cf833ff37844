--- The stream of a watch: the subject reads the state again after each gap and waits for the last
--- change. What it is told is what happened, in order, and between two gaps all of it.
local histories = require "sim.history"

local PATH = "/app/value"

local function company(zk, run)
  local c = run:client(zk, "writer")
  assert(c:ensure("/app"))
  zk.sleep(1.1 - zk.now())
  run:persist(zk, c.create, c, PATH, "first")
  run:persist(zk, c.create, c, PATH .. "/child", "")
  zk.sleep(0.1)
  run:persist(zk, c.set, c, PATH, "second")
  zk.sleep(0.1)
  repeat -- for whoever has only now begun to watch
    run:persist(zk, c.set, c, PATH, "last")
    zk.sleep(1)
  until run:subject_is_over()
end

-- Reads what there is; true when it is what the subject waits for. What was told before cannot be
-- newer than what is read now.
local function is_last(run, h)
  local data, stat = h.c:get(PATH)
  if data and run.told and stat.mzxid < run.told then
    run.behind = ("read zxid %d after an event of %d"):format(stat.mzxid, run.told)
  end
  return data == "last"
end

local function take(run, event)
  run:note("subject", event.type .. " " .. tostring(event.path))
  run.events[#run.events + 1] = event
  if event.path == PATH and event.type == "changed" then
    run.told = event.zxid
  end
end

local function open(zk, run, h, options)
  h.c = assert(zk.connect({ id = "subject" }))
  run.events = {}
  run:begin("opening")
  options.deadline = run:limit().deadline
  local message, code
  h.stream, message, code = h.c:watch(options.recursive and "/app" or PATH, options)
  run:enter("following")
  return rawget(h, "stream"), code or message
end

local function next_of(options)
  return function(zk, run, h)
    local stream, why = open(zk, run, h, { recursive = options.recursive })
    if not stream then
      return why
    end
    stream = nil -- luacheck: ignore -- h has it
    while not is_last(run, h) do
      local deadline = run:limit().deadline
      local event, _, code = h.stream:next(deadline and math.max(0, deadline - zk.now()))
      run:enter("following")
      if not event then
        h.stream:close()
        return code
      end
      take(run, event)
    end
    h.stream:close()
    return "ok"
  end
end

-- By a function that is called with each event.
local function each(zk, run, h)
  local stream, why = open(zk, run, h, {})
  if not stream then
    return why
  end
  stream = nil -- luacheck: ignore -- h has it
  local result, _, code = h.stream:each(function(event)
    run:enter_function("inside")
    take(run, event)
    local last = is_last(run, h)
    run:here()
    run:enter("following")
    return last and "ok" or nil
  end)
  return result or code
end

-- All changes of PATH and, for a recursive stream, below "/app".
local function changes(run, recursive)
  local list = {}
  for _, change in ipairs(histories.of(run.server).changes) do
    if change.path == PATH or recursive and change.path:find("^/app/") then
      list[#list + 1] = change
    end
  end
  return list
end

-- Between two gaps nothing is missing and nothing is out of order.
local function judge_of(recursive)
  return function(_, run)
    if run.behind then
      return run.behind
    end
    local known = changes(run, recursive)
    local previous
    for _, event in ipairs(run.events or {}) do
      if event.type == "gap" or event.type == "closed" then
        previous = nil
      elseif event.type ~= "children" then
        local missing
        for _, change in ipairs(known) do
          if previous and change.zxid > previous and change.zxid < event.zxid then
            missing = change
          end
        end
        if missing then
          return ("%s of %s at %d was not told"):format(missing.type, missing.path, missing.zxid)
        elseif previous and event.zxid < previous then
          return ("zxid %d was told after %d"):format(event.zxid, previous)
        end
        previous = event.zxid
      end
    end
  end
end

local OUTCOMES = {
  opening = {
    expired = "ok SESSIONEXPIRED", expired_after = "ok SESSIONEXPIRED", cancelled = "CANCELLED",
    timed_out = "TIMEOUT", out_of_time = "TIMEOUT", collected = "ok dropped",
  },
  following = { cancelled = "CANCELLED", timed_out = "TIMEOUT ok", out_of_time = "TIMEOUT",
    collected = "ok dropped" },
  inside = { cancelled = "CANCELLED", out_of_time = "TIMEOUT", user_error = "error",
    collected = "ok dropped" },
}

local function left(tree)
  local list = histories.children(tree, "/app")
  return #list == 1 and {} or list
end

local function scenario(name, subject, recursive)
  return { name = name, subject = subject, company = company, left = left, outcomes = OUTCOMES,
    judge = judge_of(recursive) }
end

return {
  scenario("stream", next_of({}), false),
  scenario("stream_recursive", next_of({ recursive = true }), true),
  scenario("stream_each", each, false),
}
