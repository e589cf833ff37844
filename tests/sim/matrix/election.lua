--- The election, dynamic and static: the subject stands while another leads and a third waits,
--- works in its term and steps down. A campaign whose term is lost stands again.
local histories = require "sim.history"

local PATH = "/app/leader"

local function candidate(zk, run, who, mode, keep)
  local c = run:client(zk, who)
  return function()
    c:election(PATH, { mode = mode }):campaign(function(term)
      run:took(who, term.token)
      run:wrote(who, term.token, (term:set("/word", who)))
      term:sleep(keep)
    end)
  end
end

local function company(mode, keep)
  return function(zk, run)
    assert(run:client(zk, "words"):create("/word", ""))
    local lead = candidate(zk, run, "leader", mode, 1.3)
    local follow = candidate(zk, run, "next", mode, keep)
    zk.group(function(group)
      group:spawn(lead)
      zk.sleep(1.1)
      group:spawn(follow)
    end)
  end
end

local function work(run, h, term)
  run:took("subject", term.token)
  run:here(h.c:get("/word"))
  run:here(term:sleep(0.02))
  run:wrote("subject", term.token, run:here(term:set("/word", "subject")))
  return term.lost:is_set() and "lost" or "ok"
end

local function campaign(mode)
  return function(zk, run, h)
    h.c = assert(zk.connect({ id = "subject" }))
    h.election = h.c:election(PATH, { mode = mode })
    run:begin("standing")
    local result, _, code = h.election:campaign(function(term)
      run:enter_function("leading")
      local answer = work(run, h, term)
      run:enter("leaving")
      return answer
    end)
    return code or result
  end
end

local function latch(mode)
  return function(zk, run, h)
    h.c = assert(zk.connect({ id = "subject" }))
    h.election = h.c:election(PATH, { mode = mode })
    run:begin("latching")
    local message, code
    h.term, message, code = h.election:latch(run:limit())
    if not rawget(h, "term") then
      return code or message
    end
    run:enter("in_term")
    local answer = work(run, h, h.term)
    run:enter("releasing")
    assert(h.term:release())
    return answer
  end
end

-- Sees leader after leader until the last of the company has led.
local function follow(mode)
  return function(zk, run, h)
    h.c = assert(zk.connect({ id = "subject" }))
    h.changes = assert(h.c:election(PATH, { mode = mode }):changes())
    run:begin("following")
    while true do
      run:limit()
      local timeout = run.fault == "timed_out" and run.deadline - zk.now() or nil
      local leader, _, code = h.changes:next(timeout)
      if leader == nil then
        h.changes:close()
        return code
      elseif leader and leader.id == "next" then
        h.changes:close()
        return "ok"
      end
    end
  end
end

local function contenders(tree, mode)
  local pattern = mode == "static" and "^leader%-_c_" or ""
  return histories.children(tree, mode == "static" and "/app" or PATH, pattern)
end

local function front_of(mode)
  return function(tree)
    local node = mode == "static" and tree[PATH] or contenders(tree, mode)[1]
    return node and node.czxid
  end
end

local function stands_of(mode)
  return function(tree)
    local count = 0
    for _, node in ipairs(contenders(tree, mode)) do
      count = count + (node.data == "subject" and 1 or 0)
    end
    return count
  end
end

local function left_of(mode)
  return function(tree)
    local left = contenders(tree, mode)
    left[#left + 1] = mode == "static" and tree[PATH] or nil
    return left
  end
end

local OUTCOMES = {
  standing = { cancelled = "CANCELLED", out_of_time = "TIMEOUT", collected = "ok dropped" },
  leading = { user_error = "error", collected = "ok dropped" },
  latching = {
    expired = "SESSIONEXPIRED", expired_after = "SESSIONEXPIRED", cancelled = "CANCELLED",
    timed_out = "BUSY", out_of_time = "TIMEOUT", collected = "dropped",
  },
  in_term = { expired = "lost ok", expired_after = "lost ok", collected = "dropped",
    cancelled = "ok", out_of_time = "ok" },
  releasing = { collected = "ok dropped" },
  following = { cancelled = "CANCELLED", out_of_time = "TIMEOUT", timed_out = "TIMEOUT",
    collected = "dropped" },
}

local list = {}
for _, mode in ipairs({ "dynamic", "static" }) do
  for name, subject in pairs({ campaign = campaign, latch = latch, changes = follow }) do
    list[#list + 1] = {
      name = ("election_%s_%s"):format(mode, name),
      -- Who follows the leaders has to be able to see the last of them, whatever comes.
      company = company(mode, name == "changes" and 2 or 0.1), subject = subject(mode),
      outcomes = OUTCOMES,
      front = front_of(mode), stands = stands_of(mode), left = left_of(mode),
    }
  end
end
table.sort(list, function(a, b)
  return a.name < b.name
end)
return list
