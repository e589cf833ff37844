--- What the specs of the codec share: hexadecimal text, frames as lists of parts, and
--- values from a seed.
local wire = require("zklua_testing").wire

local codec = {}

function codec.unhex(text)
  return (text:gsub("%s", ""):gsub("%x%x", function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

function codec.hex(bytes)
  return (bytes:gsub(".", function(byte)
    return ("%02x"):format(byte:byte())
  end))
end

--- The four bytes of a 32-bit number.
function codec.int(value)
  value = value % 4294967296
  local bytes = {}
  for i = 4, 1, -1 do
    bytes[i] = string.char(value % 256)
    value = math.floor(value / 256)
  end
  return table.concat(bytes)
end

--- A string as it travels.
function codec.str(text)
  return codec.int(#text) .. text
end

--- Reads a body as records of the kinds (and operations) that `parts` has.
---@return table|nil parts  nil when refused
---@return number|nil left  bytes behind the last record
function codec.read(body, parts)
  local result = {}
  for i, part in ipairs(parts) do
    local kind = part[1]
    local record, left = wire.decode(body, kind, part[2].op)
    if not record then
      return nil
    end
    result[i] = { kind, record }
    body = body:sub(#body - left + 1)
  end
  return result, #body
end

--- A source of values that is the same on every Lua: Park and Miller's generator.
function codec.random(seed)
  local state = seed % 2147483646 + 1
  local random = {}

  --- 0 .. limit - 1
  function random.below(limit)
    state = state * 16807 % 2147483647
    return state % limit
  end

  function random.pick(list)
    return list[random.below(#list) + 1]
  end

  function random.i32()
    return random.pick({
      0, 1, -1, 31, 2147483647, -2147483648, random.below(1000), -random.below(1000000),
    })
  end

  --- As text; nil for zero, as records show it.
  function random.i64()
    return random.pick({
      "0x1", "0xffffffffffffffff", "0x8000000000000000", "0x7fffffffffffffff",
      ("0x%x"):format(random.below(1000000) + 1),
    })
  end

  function random.bytes()
    local list = {}
    for i = 1, random.pick({ 0, 1, 2, 7, 8, 40 }) do
      list[i] = string.char(random.below(256))
    end
    return table.concat(list)
  end

  --- A string of the protocol, sometimes null.
  function random.string()
    if random.below(5) > 0 then
      return random.bytes()
    end
  end

  --- A vector, sometimes null.
  function random.list(element)
    if random.below(8) == 0 then
      return false
    end
    local list = {}
    for i = 1, random.below(5) do
      list[i] = element()
    end
    return list
  end

  return random
end

--- The record without the fields that are zero, as decoding shows it.
function codec.without_zeros(record)
  local result = {}
  for name, value in pairs(record) do
    if value ~= 0 and not (value == false and name == "watch") then
      result[name] = value
    end
  end
  return result
end

return codec
