--- The checksums of the data directory, from their definitions and in arithmetic that every Lua
--- has.
local checksum = {}

--- Bytes only.
local function exclusive_or(a, b)
  local result, bit = 0, 1
  while a > 0 or b > 0 do
    if a % 2 ~= b % 2 then
      result = result + bit
    end
    a, b, bit = math.floor(a / 2), math.floor(b / 2), bit * 2
  end
  return result
end

local XOR = {}
for a = 0, 255 do
  XOR[a] = {}
  for b = 0, 255 do
    XOR[a][b] = exclusive_or(a, b)
  end
end

-- Of each byte the four bytes of its remainder, highest first.
local TABLE = {}
for byte = 0, 255 do
  local value = byte
  for _ = 1, 8 do
    local odd = value % 2 == 1
    value = math.floor(value / 2)
    if odd then
      local result = 0
      for shift = 0, 3 do
        local power = 256 ^ shift
        local mine = math.floor(value / power) % 256
        local polynomial = math.floor(0xedb88320 / power) % 256
        result = result + XOR[mine][polynomial] * power
      end
      value = result
    end
  end
  TABLE[byte] = {
    math.floor(value / 2 ^ 24), math.floor(value / 2 ^ 16) % 256, math.floor(value / 256) % 256,
    value % 256,
  }
end

function checksum.crc32(bytes)
  local a, b, c, d = 255, 255, 255, 255
  for i = 1, #bytes do
    local row = TABLE[XOR[d][bytes:byte(i)]]
    a, b, c, d = row[1], XOR[a][row[2]], XOR[b][row[3]], XOR[c][row[4]]
  end
  return (255 - a) * 2 ^ 24 + (255 - b) * 2 ^ 16 + (255 - c) * 256 + (255 - d)
end

function checksum.adler32(bytes)
  local a, b = 1, 0
  for i = 1, #bytes do
    a = (a + bytes:byte(i)) % 65521
    b = (b + a) % 65521
  end
  return b * 65536 + a
end

return checksum
