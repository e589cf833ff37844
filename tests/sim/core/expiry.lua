--- Sessions expire neither early nor late: not before their timeout has passed since the server
--- last heard of them, and at most two ticks after that; and never while their client is sure by
--- its own clock that they live.
local TICKS = 2
local ROUNDING = 0.002 -- the server's clocks count whole milliseconds

local EXPIRED_BY_SERVER = 0 -- the xid of a closeSession that no client has sent

local function late(sessions, now, tick)
  for id, session in pairs(sessions) do
    local limit = session.heard + session.timeout + TICKS * tick
    if now > limit + ROUNDING then
      return ("session %s is there at %.3f, and was to end by %.3f"):format(id, now, limit)
    end
  end
end

local function judge(id, session, now, tick)
  local due = session.heard + session.timeout
  if now < due - ROUNDING then
    return ("session %s expired at %.3f, before %.3f"):format(id, now, due)
  elseif now > due + TICKS * tick + ROUNDING then
    return ("session %s expired at %.3f, later than %.3f"):format(id, now, due + TICKS * tick)
  end
end

-- The sessions that a server finds in a log, with the timeouts they were made with.
local function of_log(log, now)
  local sessions = {}
  for _, txn in ipairs(log) do
    if txn.type == -10 then
      sessions[txn.session] = { timeout = txn.timeout, heard = now }
    elseif txn.type == -11 then
      sessions[txn.session] = nil
    end
  end
  return sessions
end

return function(list)
  local log, sessions, forced, tick, running = {}, {}, {}, 0, false
  for _, entry in ipairs(list) do
    local kind, id, now = entry.kind, entry.session, entry.at
    local session = sessions[id]
    if kind == "started" then
      tick, running = entry.tick, true
      sessions = of_log(log, now)
    elseif kind == "crashed" then
      local wrong = late(sessions, now, tick)
      if wrong then
        return wrong
      end
      for i = #log, entry.count + 1, -1 do
        log[i] = nil
      end
      sessions, running = {}, false
    elseif kind == "logged" then
      log[#log + 1] = entry
      if entry.type == -10 then
        sessions[id] = { timeout = entry.timeout, heard = now }
      elseif entry.type == -11 then
        sessions[id] = nil
        local wrong = session and entry.xid == EXPIRED_BY_SERVER and not forced[id]
          and judge(id, session, now, tick)
        if wrong then
          return wrong
        end
      end
    elseif kind == "believed" and not forced[id] and entry.to > now then
      return ("%s takes session %s for alive until %.3f, and it expired at %.3f"):format(entry.who,
        id, entry.to, now)
    elseif kind == "forced" then
      forced[id] = true
    elseif session and (kind == "heard" or kind == "granted") then
      session.heard = now
      session.timeout = entry.timeout or session.timeout
    end
  end
  return running and late(sessions, list[#list].at, tick) or nil
end
