--- What happened in a trial, in order: a list of entries with the time in `at` and what in `kind`.
--- Checks read it and nothing else, so that a history that never was shows what they find.
---
--- Of clients, `who` is one session of one process:
---   submit  xid, operation            what was asked for
---   reply   xid, code, a, b, zxid     its end; zxid: of the answer's header, nil: nobody answered
---   watch   type, path, kinds, zxid   an event
---   state   state, reason, session    of the connection
---   believed session, to              the server ends it, and it was alive for sure until then
---   unwatch path, watch               one watch of this kind less
---   over                              the session's client is done
---   killed                            the process is gone; nothing of it follows
--- Of the server:
---   started count, sessions, ephemerals   with so many transactions in its log
---   crashed count                         so many of them are left
---   logged  session, xid, zxid, time, type ...   a transaction for its disk (see bytes.lua)
---   durable zxid                          all up to this one is on its disk
---   granted session, timeout              a connection has its session
---   heard   session, xid, op              a request or ping of it
---   said    session, xid, zxid            an answer that leaves
---   forced  session                       the trial has it expire now
---   tree    zxid, nodes                   all that is there: path -> { data, stat, perms }
---   quiet   what it did before is over: nothing is under way, and no fault comes any more
local History = {}
History.__index = History

local M = {}

---@param world table  the clock
function M.new(world)
  return setmetatable({ world = world, list = {} }, History)
end

function History:note(kind, entry)
  entry.kind, entry.at = kind, self.world.time
  self.list[#self.list + 1] = entry
  return entry
end

--- The entries of clients, each client's by itself: who -> list, and the names in order.
function M.clients(list)
  local clients, names = {}, {}
  for _, entry in ipairs(list) do
    local who = entry.who
    if who then
      if not clients[who] then
        clients[who] = {}
        names[#names + 1] = who
      end
      table.insert(clients[who], entry)
    end
  end
  return clients, names
end

--- The transactions that are in the log at the end: those a crash has lost are not.
function M.log(list)
  local log, kept = {}, 0
  for _, entry in ipairs(list) do
    if entry.kind == "logged" then
      log[#log + 1] = entry
    elseif entry.kind == "crashed" then
      kept = entry.count
      for i = #log, kept + 1, -1 do
        log[i] = nil
      end
    end
  end
  return log
end

--- session -> xid -> { who, xid, operation, at }, of all that was asked for by sessions that had a
--- connection at some time.
function M.requests(list)
  local session_of, requests = {}, {}
  for _, entry in ipairs(list) do
    if entry.kind == "state" and entry.session then
      session_of[entry.who] = entry.session
    end
  end
  for _, entry in ipairs(list) do
    local session = entry.kind == "submit" and session_of[entry.who]
    if session then
      requests[session] = requests[session] or {}
      requests[session][entry.xid] = entry
    end
  end
  return requests, session_of
end

return M
