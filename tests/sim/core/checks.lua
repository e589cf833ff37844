--- The eight rules that a history has to keep: each is a function of it that gives nil, or what is
--- wrong in one sentence.
local answers = require("sim.core.answers")
local ephemerals = require("sim.core.ephemerals")
local events = require("sim.core.events")
local expiry = require("sim.core.expiry")
local histories = require("sim.core.history")
local reference = require("sim.reference")

local M = {}

-- Every request ends once: it is answered, or given up by its client.
local function completions(list)
  local clients, names = histories.clients(list)
  for _, who in ipairs(names) do
    local open, last, silent = {}, {}, false
    for _, entry in ipairs(clients[who]) do
      local kind, xid = entry.kind, entry.xid
      if silent and kind ~= "killed" then
        return ("%s goes on after its end: %s"):format(who, kind)
      elseif kind == "submit" then
        open[xid], last[xid] = true, entry
      elseif kind == "reply" and not last[xid] then
        return ("%s has a reply to request %d, which it never made"):format(who, xid)
      elseif kind == "reply" and not open[xid] then
        return ("request %d of %s ended twice"):format(xid, who)
      elseif kind == "reply" then
        open[xid] = nil
      elseif kind == "killed" then
        open, silent = {}, true
      elseif kind == "over" then
        silent = true
      end
    end
    local xid = next(open)
    if xid then
      return ("request %d of %s, %s, has no end"):format(xid, who, last[xid].operation.kind)
    end
  end
end

-- What is sent to a session answers what it asked, in its order, and is never a riddle to its
-- client, who could hide it by coming back.
local function order_of_answers(list)
  local last = {}
  for _, entry in ipairs(list) do
    local session, xid = entry.session, entry.xid
    if entry.kind == "state" and entry.reason == "protocol" then
      return ("%s was sent what no server sends"):format(entry.who)
    elseif entry.kind == "said" and xid > 0 then
      if xid <= (last[session] or 0) then
        return ("session %s is sent the answer to %d behind that to %d"):format(session, xid,
          last[session])
      end
      last[session] = xid
    end
  end
end

-- What a session asks for happens, and is answered, in the order in which it asked.
local function order(list)
  local wrong = order_of_answers(list)
  if wrong then
    return wrong
  end
  local clients, names = histories.clients(list)
  for _, who in ipairs(names) do
    local last = 0
    for _, entry in ipairs(clients[who]) do
      if entry.kind == "reply" and entry.zxid then
        if entry.xid <= last then
          return ("%s has the reply to request %d behind that to %d"):format(who, entry.xid, last)
        end
        last = entry.xid
      end
    end
  end
  local done = {}
  for _, txn in ipairs(histories.log(list)) do
    local session, xid = txn.session, txn.xid
    if xid > 0 then
      if xid <= (done[session] or 0) then
        return ("request %d of %s is in the log behind %d"):format(xid, session, done[session])
      end
      done[session] = xid
    end
  end
end

local SYNC = 9 -- the operation

-- A sync is answered as of everything that had been asked for when the server heard of it.
local function syncs(list)
  local logged, floors = 0, {}
  for _, entry in ipairs(list) do
    if entry.kind == "logged" then
      logged = entry.zxid
    elseif entry.kind == "crashed" then
      logged = entry.count -- the first zxid is 1, and none is missing
    elseif entry.kind == "heard" and entry.op == SYNC then
      floors[entry.session .. ":" .. entry.xid] = logged
    elseif entry.kind == "said" and entry.xid > 0 then
      local floor = floors[entry.session .. ":" .. entry.xid] or 0
      if entry.zxid < floor then
        return ("sync %d of session %s is answered as of %d, and %d was on its way"):format(
          entry.xid, entry.session, entry.zxid, floor)
      end
    end
  end
end

-- Nobody sees time go back: not a client in its replies, not a session in what the server sends on
-- all its connections; and who asks for a write or a sync hears of a later time than anybody had
-- heard of when it was asked for.
local function zxids(list)
  local wrong = syncs(list)
  if wrong then
    return wrong
  end
  local seen, sent, newest, floors = {}, {}, 0, {}
  for _, entry in ipairs(list) do
    local who, zxid = entry.who, entry.zxid
    if entry.kind == "said" then
      if zxid < (sent[entry.session] or 0) then
        return ("session %s is sent zxid %d after %d"):format(entry.session, zxid,
          sent[entry.session])
      end
      sent[entry.session] = zxid
    elseif entry.kind == "submit" then
      local kind = entry.operation.kind
      if reference.WRITES[kind] or kind == "sync" then
        floors[who .. ":" .. entry.xid] = newest
      end
    elseif entry.kind == "reply" and zxid then
      local floor = floors[who .. ":" .. entry.xid] or 0
      if zxid < (seen[who] or 0) then
        return ("%s sees zxid %d after %d"):format(who, zxid, seen[who])
      elseif zxid < floor then
        return ("request %d of %s is answered as of zxid %d, and %d was known before it"):format(
          entry.xid, who, zxid, floor)
      end
      seen[who], newest = zxid, math.max(newest, zxid)
    end
  end
end

-- Nothing is told that is not on the disk, and what was told survives every crash; each write that
-- was answered is in the log, and none that was surely not sent; no transaction is missing between
-- two that are there.
local function durability(list)
  local log, said, durable = {}, 0, 0
  for _, entry in ipairs(list) do
    if entry.kind == "logged" then
      log[#log + 1] = entry
    elseif entry.kind == "durable" then
      durable = entry.zxid
    elseif entry.kind == "said" then
      said = math.max(said, entry.zxid)
      if said > durable then
        return ("zxid %d is told, and %d is on the disk"):format(said, durable)
      end
    elseif entry.kind == "crashed" then
      durable = log[entry.count] and log[entry.count].zxid or 0
      if said > durable then
        return ("a crash leaves zxid %d, and %d was told"):format(durable, said)
      end
      for i = #log, entry.count + 1, -1 do
        log[i] = nil
      end
    end
  end
  local logged = {}
  for i, txn in ipairs(log) do
    if txn.zxid ~= log[1].zxid + i - 1 then
      return ("zxid %d is in the log where %d should be"):format(txn.zxid, log[1].zxid + i - 1)
    end
    logged[txn.session .. ":" .. txn.xid] = true
  end
  local requests, sessions = histories.requests(list)
  for _, entry in ipairs(list) do
    local session = entry.kind == "reply" and sessions[entry.who]
    local request = session and requests[session][entry.xid]
    if request and reference.WRITES[request.operation.kind] then
      local there = logged[session .. ":" .. entry.xid]
      if entry.zxid and not there then
        return ("request %d of %s was answered, and is not in the log"):format(entry.xid, entry.who)
      elseif entry.code == "NOTCONNECTED" and there then
        return ("request %d of %s is in the log, and was surely not sent"):format(entry.xid,
          entry.who)
      end
    end
  end
end

--- The rules by name, in the order in which a history is judged.
M.RULES = {
  { name = "one end for each request", check = completions },
  { name = "order", check = order },
  { name = "zxids", check = zxids },
  { name = "durability", check = durability },
  { name = "expiry", check = expiry },
  { name = "ephemerals", check = ephemerals },
  { name = "answers", check = answers.check },
  { name = "events before data", check = events },
}

--- True; or nil and the first rule that is broken, and how.
function M.all(list)
  for _, rule in ipairs(M.RULES) do
    local wrong = rule.check(list)
    if wrong then
      return nil, rule.name .. ": " .. wrong
    end
  end
  return true
end

return M
