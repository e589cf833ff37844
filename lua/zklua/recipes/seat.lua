--- From nothing to a holder: joins a line or an office, waits for the front, hands it out.
local Held = require "zklua.holder"

local seat = {}

--- The deadline is that of our turn. Whether it has come is a question to the server, which has
--- the client's own time for its answer, so that impatience is BUSY and never "may have happened".
---@param seats table  of line.lua or office.lua
---@param stay boolean  wait until `deadline`, or only look
---@return zklua.Held|false|nil held, string|nil message, string|nil code  false: BUSY
function seat.take(client, seats, deadline, stay)
  local runtime = client.runtime
  local answered = math.max(deadline, runtime:now() + client._session.timeout)
  local place, message, code = seats:join(answered)
  if not place then
    return nil, message, code
  end
  local front
  if stay and runtime:now() < deadline then
    front, message, code = place:wait(deadline, true)
  else
    front, message, code = place:wait(answered, false)
  end
  if front == false then
    return false, seats:busy(message), "BUSY"
  elseif code == "TIMEOUT" and runtime:now() >= deadline and deadline < answered then
    return false, ("BUSY: %s %s is not known to be ours in time"):format(seats.what, seats.path),
      "BUSY"
  elseif not front then
    return nil, message, code
  end
  return Held.new(client, place.node, { what = seats.what .. " " .. seats.path })
end

return seat
