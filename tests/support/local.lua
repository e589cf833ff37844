--- A directory for `local:` of its own, and what is known of the helper that serves it.
local program = require("support.program")
local uv = require("luv")

local Place = {}
Place.__index = Place

local function read_file(name)
  local file = io.open(name, "rb")
  local text = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return text
end

--- A new place; `name` is where below a temporary directory, which is not made yet.
---@param name string|nil
local function new(name)
  local root = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-local-XXXXXX"))
  local directory = root .. "/" .. (name or "state")
  local servers = "local:" .. directory
  return setmetatable({ root = root, directory = directory, servers = servers }, Place)
end

--- Host and process id of the last one that had the lock.
function Place:holder()
  local host, pid = read_file(self.directory .. "/local.lock"):match("^(%S+) (%d+)\n$")
  return host, tonumber(pid)
end

--- Whether the last helper lives: it is one of ours by the command that it runs.
function Place:alive()
  local _, pid = self:holder()
  local command = pid and read_file(("/proc/%d/cmdline"):format(pid)) or ""
  if not command:find("\0--local\0" .. self.directory .. "\0", 1, true) then
    return false
  end
  local state = read_file(("/proc/%d/stat"):format(pid)):match(".*%) (%a)")
  return state ~= nil and state ~= "Z" and state ~= "X"
end

function Place:log()
  return read_file(self.directory .. "/local.log")
end

function Place:signal(name)
  assert(self:alive(), "no helper serves " .. self.directory)
  local _, pid = self:holder()
  assert(uv.kill(pid, name))
end

--- A zklua program that runs `code` there, with further options.
---@param code string
---@param options string[]|nil
---@return tests.Program
function Place:start(code, options)
  local line = { program.zklua(), "-s", self.servers, "-e", code }
  for i, word in ipairs(options or {}) do
    table.insert(line, 3 + i, word)
  end
  return program.start(line)
end

--- The same, and its end.
function Place:run(code)
  return self:start(code):finish()
end

--- Ends the helper and removes all.
function Place:remove()
  if self:alive() then
    self:signal("sigkill")
  end
  while self:alive() do
    uv.sleep(1)
  end
  os.execute("rm -rf '" .. self.root .. "'")
end

return { new = new }
