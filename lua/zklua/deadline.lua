--- A timeout becomes a deadline once, where the call begins; what the call does passes the
--- deadline on, so that ten steps share the time instead of each taking all of it.
local wrong = require "zklua.wrong"

local deadline = {}

--- Seconds from now, or nil for never. Raises for anything that is not a time.
function deadline.after(now, timeout)
  if timeout == nil then
    return nil
  elseif type(timeout) ~= "number" or timeout ~= timeout then
    wrong("timeout must be a number of seconds, not " .. type(timeout))
  elseif timeout == math.huge then
    return nil
  end
  return now + math.max(0, timeout)
end

--- The earlier of two deadlines; nil is never.
function deadline.earlier(a, b)
  if a and b then
    return a < b and a or b
  end
  return a or b
end

return deadline
