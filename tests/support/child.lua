--- Runs a program in an interpreter of its own, of the same kind as ours: for what can only be seen
--- from outside, like an exit status or what a clean end leaves behind.
local child = {}

child.INTERPRETER = rawget(_G, "jit") and "luajit" or "lua5.4"
child.KILLED = 137 -- the status of a program that ran into its time

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

---@param code string
---@param servers string  what zk.connect() takes when it is given nothing
---@param seconds number  then it is killed
---@return string output  both standard output and standard error
---@return integer status  above 128: the signal that ended it, and 128
function child.run(code, servers, seconds)
  local name = os.tmpname()
  local file = assert(io.open(name, "wb"))
  assert(file:write(code))
  file:close()
  local pipe = assert(io.popen(table.concat({
    "ZKLUA_SERVER=" .. quote(servers), "LUA_PATH=" .. quote(package.path),
    "LUA_CPATH=" .. quote(package.cpath), "timeout --signal=KILL", seconds, child.INTERPRETER, name,
    "2>&1; echo status $?",
  }, " ")))
  local text = pipe:read("*a")
  pipe:close()
  os.remove(name)
  local output, status = text:match("^(.*)status (%d+)\n$")
  return output, tonumber(status)
end

return child
