--- The member: a node that is there over all sessions of its owner, until that takes it away.
local histories = require "sim.history"

local PATH = "/app/members/subject"
local HEALED = 3 -- seconds after which the node has to be there again

-- Looks at the disk: the node is there, with the data last set, and belongs to a session of the
-- subject's.
local function check_healed(run)
  local node = histories.of(run.server).nodes[PATH]
  if not node then
    return "absent"
  elseif not run:lives(node.owner) then
    return "another's"
  end
  return node.data
end

local function subject(zk, run, h)
  h.c = assert(zk.connect({ id = "subject" }))
  run:begin("joining")
  local message, code
  h.member, message, code = h.c:member(PATH, "one", run:limit())
  if not rawget(h, "member") then
    return code or message
  end
  run:enter("there")
  zk.sleep(0.02)
  run:enter("setting")
  local ok, _, why = h.member:set("two")
  run:enter("resting")
  zk.shield(zk.sleep, HEALED)
  local seen = check_healed(run)
  run:enter("closing")
  assert(h.member:close())
  if seen ~= "two" and (ok or seen ~= "one") then
    return "it is " .. seen .. (why and " after " .. why or "")
  end
  return ok and "ok" or why
end

-- Another, whose node is of no concern to the subject's and stays what it is.
local function company(zk, run)
  local c = run:client(zk, "other")
  local other = assert(c:member("/app/members/other", "here"))
  zk.sleep(1 + 2 * HEALED)
  assert(histories.of(run.server).nodes["/app/members/other"].data == "here")
  assert(other:close())
end

local function left(tree)
  return histories.children(tree, "/app/members")
end

local LOST = "ok CONNECTIONLOSS"

return {
  {
    name = "member", subject = subject, company = company, left = left,
    outcomes = {
      joining = {
        expired = "ok SESSIONEXPIRED", expired_after = "ok SESSIONEXPIRED",
        cancelled = "CANCELLED", timed_out = "TIMEOUT", out_of_time = "TIMEOUT",
        collected = "ok dropped",
      },
      there = { expired = "ok SESSIONEXPIRED", expired_after = "ok SESSIONEXPIRED",
        cancelled = "CANCELLED", out_of_time = "TIMEOUT", collected = "dropped" },
      setting = {
        lost_before = LOST, lost_after = LOST, restarted = LOST, restarted_after = LOST,
        expired = LOST .. " SESSIONEXPIRED", expired_after = LOST .. " SESSIONEXPIRED",
        cancelled = "CANCELLED", out_of_time = "TIMEOUT", collected = "dropped",
      },
      resting = { collected = "dropped" },
    },
  },
}
