--- Which servers a program means that names none. The first that is there counts: what the runner
--- was given with -s, ZKLUA_SERVER, this user's file, this machine's file, and at last `local:`.
---
--- The files are Lua, and hold one assignment: server = "zk1:2181,zk2:2181". They see nothing and
--- can do nothing else. What is wrong with one is told, for a program that would pass over it and
--- lock on this machine alone would do harm.
local connection = require "zklua.connection"

local M = {}

local SYSTEM_FILE = "/etc/zklua.conf"
local NAMES = { server = true }

-- What io.open says of a file that is not there.
local ENOENT, ENOTDIR = 2, 20

local function is_absolute(name)
  return name ~= nil and name:sub(1, 1) == "/"
end

--- The files that count, in order.
---@return string[]
function M.files()
  local base, home = os.getenv("XDG_CONFIG_HOME"), os.getenv("HOME")
  if not is_absolute(base) then
    base = is_absolute(home) and home .. "/.config" or nil
  end
  return base and { base .. "/zklua/rc.lua", SYSTEM_FILE } or { SYSTEM_FILE }
end

-- The text of a file, false if there is none; or nil and what is wrong.
local function read_text(name)
  local file, message, number = io.open(name, "rb")
  if not file then
    if number == ENOENT or number == ENOTDIR then
      return false
    end
    return nil, message
  end
  local text
  text, message = file:read("*a")
  file:close()
  if not text then
    return nil, name .. ": " .. (message or "cannot be read")
  end
  return text
end

-- The globals of a file: assignments are looked at as they are made, so that what is wrong with
-- one is told with its line.
local function new_globals(values, machine)
  return setmetatable({}, {
    __index = function(_, name)
      error(("there is nothing named %s here"):format(name), 2)
    end,
    __newindex = function(_, name, value)
      if not NAMES[name] then
        error(("unknown name %s; there is: server"):format(tostring(name)), 2)
      elseif type(value) ~= "string" then
        error(("server must be a string, not a %s"):format(type(value)), 2)
      end
      local place, problem = connection.parse(value, machine)
      if not place then
        error("server: " .. problem, 2)
      end
      values[name] = value
    end,
  })
end

local function load_text(text, globals)
  text = text:gsub("^#[^\n]*", "")
  if setfenv then -- LuaJIT: luacheck: ignore
    local chunk, message = load(text, "=rc", "t")
    return chunk and setfenv(chunk, globals), message -- luacheck: ignore
  end
  return load(text, "=rc", "t", globals)
end

--- What a file says: { server = ... }, empty if there is no such file; or nil and what is wrong.
---@param name string
---@param machine table|nil  a scheduler's
function M.read(name, machine)
  local text, problem = read_text(name)
  if text == nil then
    return nil, problem
  end
  local values = {}
  local chunk, message = load_text(text or "", new_globals(values, machine))
  local ok = chunk ~= nil
  if chunk then
    ok, message = pcall(chunk)
  end
  if not ok then
    -- The name in full, which Lua would cut short.
    return nil, name .. (tostring(message):match("^rc(:.*)$") or ": " .. tostring(message))
  end
  return values
end

--- The servers, and who named them (nil: nobody did, and it is `local:`); or nil and what is wrong.
---@param given string|string[]|nil  -s of the runner
---@param machine table|nil  a scheduler's; a host without one has no files and no `local:`
---@param files string[]|nil  default: M.files()
function M.find(given, machine, files)
  if given then
    return given, "servers"
  end
  local servers = os.getenv("ZKLUA_SERVER")
  if servers and servers ~= "" then
    return servers, "ZKLUA_SERVER"
  elseif not machine then
    return nil, "no server is named, and this host has no local: of its own"
  end
  for _, name in ipairs(files or M.files()) do
    local values, problem = M.read(name, machine)
    if not values then
      return nil, problem
    elseif values.server then
      return values.server, name
    end
  end
  return connection.LOCAL
end

return M
