--- Whole files.
local M = {}

--- All that a file holds.
function M.read(name)
  local file = assert(io.open(name, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end

--- Makes a file hold `bytes` and nothing else; its name.
function M.write(name, bytes)
  local file = assert(io.open(name, "wb"))
  assert(file:write(bytes))
  assert(file:close())
  return name
end

return M
