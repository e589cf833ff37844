--- Numbers that are given once: tickets in the order of asking, blocks of numbers to use up without
--- asking again, and small numbers that machines have while they live.
local zk = require "zklua"

local names = {}

--- The next ticket of a series, from 0 on. One whose reply was lost is left out: a number is never
--- given twice. The node says who has it, and goes with its session; the series goes on.
function names.ticket(c, series)
  local base = "/tickets/" .. series
  while true do
    local path, message, code = c:create(zk.path.join(base, "n-"), "", {
      sequential = true, ephemeral = true, parents = true,
    })
    if path then
      local _, number = zk.path.split_sequence(zk.path.name(path))
      return number
    elseif code ~= "CONNECTIONLOSS" then
      return nil, message, code
    end
  end
end

--- `size` numbers at once: the first and the last. A block whose reply was lost is left out.
function names.block(c, series, size)
  assert(type(size) == "number" and size >= 1 and size % 1 == 0, "size must be whole")
  while true do
    local next_one, message, code = c:update("/blocks/" .. series, function(text)
      return tostring((tonumber(text) or 0) + size)
    end, { create = true })
    if next_one then
      return tonumber(next_one) - size, tonumber(next_one) - 1
    elseif code ~= "CONNECTIONLOSS" then
      return nil, message, code
    end
  end
end

--- The smallest number from 1 to `most` that no machine has; it is this client's until it ends.
function names.claim(c, series, most)
  local number = 1
  while number <= most do
    local path = ("/machines/%s/%d"):format(series, number)
    local made, message, code = c:create(path, c.id, { ephemeral = true, parents = true })
    if code == "CONNECTIONLOSS" then -- whose is what is there now?
      local stat
      stat, message, code = c:exists(path)
      made = stat and stat.ephemeral_owner == c:session().id
      number = stat == false and number - 1 or number
    end
    if made then
      return number
    elseif code and code ~= "NODEEXISTS" and code ~= "NONODE" then
      return nil, message, code
    end
    number = number + 1
  end
  return nil, ("all %d numbers of %s are taken"):format(most, series), "FULL"
end

return names
