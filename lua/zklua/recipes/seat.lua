--- From nothing to a holder: joins a line or an office, waits for the front, hands it out.
local Held = require "zklua.holder"

local seat = {}

---@param seats table  of line.lua or office.lua
---@param stay boolean  wait until `deadline`, or only look
---@return zklua.Held|false|nil held, string|nil message, string|nil code  false: BUSY
function seat.take(client, seats, deadline, stay)
  local place, message, code = seats:join(deadline)
  if not place then
    return nil, message, code
  end
  local front
  front, message, code = place:wait(deadline, stay)
  if front == false then
    return false, seats:busy(message), "BUSY"
  elseif not front then
    return nil, message, code
  end
  return Held.new(client, place.node, { what = seats.what .. " " .. seats.path })
end

return seat
