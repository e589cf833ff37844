--- Numbers, strings and transactions in the bytes that travel and that are logged; written anew for
--- what trials look at, so that no mistake of the codec can hide in it.
local M = {}

local byte = string.byte

--- The signed 32-bit number at `at`.
function M.int(bytes, at)
  local a, b, c, d = byte(bytes, at, at + 3)
  local number = ((a * 256 + b) * 256 + c) * 256 + d
  return number < 2147483648 and number or number - 4294967296
end

--- The signed 64-bit number at `at`, which has to be a small one.
function M.long(bytes, at)
  local low = M.int(bytes, at + 4)
  return M.int(bytes, at) * 4294967296 + (low < 0 and low + 4294967296 or low)
end

--- The 64 bits at `at` as programs see session ids: "0x100000002".
function M.id(bytes, at)
  local digits = ("%02x%02x%02x%02x%02x%02x%02x%02x"):format(byte(bytes, at, at + 7))
  return "0x" .. digits:gsub("^0+(.)", "%1")
end

--- The string at `at`, and where it ends.
function M.string(bytes, at)
  local size = math.max(0, M.int(bytes, at))
  return bytes:sub(at + 4, at + 3 + size), at + 4 + size
end

--- Where the access list at `at` ends.
function M.skip_acl(bytes, at)
  local count, _ = M.int(bytes, at), nil
  at = at + 4
  for _ = 1, count do
    _, at = M.string(bytes, at + 4) -- behind the permissions: a scheme, and whom it means
    _, at = M.string(bytes, at)
  end
  return at
end

local RECORD = 33 -- where it begins, behind the header
M.RECORD = RECORD

local DETAILS = {
  [-1] = function(txn, payload)
    txn.code = M.int(payload, RECORD)
  end,
  [-10] = function(txn, payload)
    txn.timeout = M.int(payload, RECORD) / 1000
  end,
  [-11] = function(txn, payload)
    local at = RECORD + 4
    txn.paths = {}
    for i = 1, M.int(payload, RECORD) do
      txn.paths[i], at = M.string(payload, at)
    end
  end,
  [20] = function(txn, payload)
    txn.path = M.string(payload, RECORD)
  end,
}

--- A logged transaction: who asked for it, its zxid, its time in milliseconds, its type, and of
--- those that nobody asked for what they did.
function M.txn(payload)
  local txn = {
    session = M.id(payload, 1),
    xid = M.int(payload, 9),
    zxid = M.long(payload, 13),
    time = M.long(payload, 21),
    type = M.int(payload, 29),
  }
  local details = DETAILS[txn.type]
  if details then
    details(txn, payload)
  end
  return txn
end

--- Takes the whole frames off `buffer`: calls fn(frame) for each, and returns the rest.
function M.frames(buffer, fn)
  local at = 1
  while #buffer >= at + 3 do
    local size = M.int(buffer, at)
    if #buffer < at + 3 + size then
      break
    end
    fn(buffer:sub(at + 4, at + 3 + size))
    at = at + 4 + size
  end
  return buffer:sub(at)
end

return M
