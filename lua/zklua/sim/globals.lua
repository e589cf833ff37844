--- The global variables of a simulated process: the standard library, without what would reach out
--- of the simulation. Time is the process's, chance the world's, and output goes to the process.
local code = require "zklua.sim.code"

local M = {}

local PLAIN = {
  "_VERSION", "assert", "error", "getmetatable", "ipairs", "next", "pairs", "pcall",
  "rawequal", "rawget", "rawlen", "rawset", "select", "setmetatable", "tonumber", "tostring",
  "type",   "newproxy", "unpack", "warn", "xpcall", "jit",
}
local LIBRARIES = { "string", "table", "math", "coroutine", "utf8", "bit" }
--- Of debug, what looks and does not reach into others.
local LOOKS = { "traceback", "getinfo", "getlocal" }

local FILES = "keep in tables or in nodes what you would keep in files"
local NO_INPUT = "there is nobody who writes to it; give the program arguments"

local function copy(from)
  local to = {}
  for key, value in pairs(from) do
    to[key] = value
  end
  return to
end

local function refusal(what, instead)
  return function()
    error(("%s is not to be had in a simulation: %s"):format(what, instead), 2)
  end
end

-- What is refused in table `to`, each with what to do instead.
local function refuse(to, prefix, names, instead)
  for _, name in ipairs(names) do
    to[name] = refusal(prefix .. name, instead)
  end
end

-- A chunk whose globals are `env`.
local function load_in(env, chunk, name, mode)
  if setfenv then -- LuaJIT: luacheck: ignore
    local fn, message = load(chunk, name, mode)
    return fn and setfenv(fn, env), message -- luacheck: ignore
  end
  return load(chunk, name, mode or "bt", env)
end

local function add_loading(env)
  function env.load(chunk, name, mode, other)
    return load_in(other or env, chunk, name, mode)
  end
  env.loadstring = env.load
  function env.loadfile(name)
    return code.load_file(name, env)
  end
  function env.dofile(name)
    local fn, message = code.load_file(name, env)
    return (fn or error(message, 2))()
  end
end

-- `preload` are modules that are given; others are files found on the real path.
local function add_require(env, preload)
  local loaded = {}
  env.package = { loaded = loaded, preload = preload, path = package.path, cpath = "",
    config = package.config }
  for name in pairs(env) do
    if type(env[name]) == "table" then
      loaded[name] = env[name]
    end
  end
  function env.require(name)
    if loaded[name] ~= nil then
      return loaded[name]
    end
    local loader = preload[name]
    if not loader then
      local ours = name:find("^zklua%.")
      local file = ours or package.searchpath(name, env.package.path)
      if not file then
        error(("module '%s' is not to be had in a simulation: modules are Lua files on "
          .. "package.path, and those of C would reach the machine"):format(name), 2)
      end
      local message
      if ours then
        loader, message = code.load_library(name, env.package.path, env)
      else
        loader, message = code.load_file(file, env)
      end
      if not loader then
        error(message, 2)
      end
    end
    local value = loader(name)
    if value ~= nil then
      loaded[name] = value
    elseif loaded[name] == nil then
      loaded[name] = true
    end
    return loaded[name]
  end
end

-- The zone is that of no machine: UTC.
local function utc_time(when)
  local fields = copy(when)
  fields.isdst = false
  local time = os.time(fields)
  local utc = os.date("!*t", time)
  utc.isdst = false
  return time + os.difftime(time, os.time(utc))
end

local function add_os(env, process)
  local system = process.core
  env.os = {
    time = function(when)
      return when and utc_time(when) or math.floor(process:wall())
    end,
    date = function(format, time)
      format = "!" .. (format or "%c"):gsub("^!", "")
      return os.date(format, time or math.floor(process:wall()))
    end,
    clock = system.now,
    difftime = os.difftime,
    getenv = function(name)
      return process.env[name]
    end,
    setlocale = function() end,
    exit = function(status)
      process:exit(status)
    end,
  }
  refuse(env.os, "os.", { "execute" }, "there is no machine that could run it, as for zk.run; "
    .. "put what it does into a function")
  refuse(env.os, "os.", { "remove", "rename", "tmpname" }, FILES)
end

local function add_io(env, process)
  local function stream(name)
    local file = {}
    function file:write(...)
      for i = 1, select("#", ...) do
        process:print(name, tostring((select(i, ...))))
      end
      return self
    end
    function file:flush() return self end
    function file:setvbuf() return true end
    function file:close() return true end
    return file
  end
  env.io = { stdout = stream("stdout"), stderr = stream("stderr") }
  function env.io.write(...)
    return env.io.stdout:write(...)
  end
  env.io.stdin = stream("stdin")
  refuse(env.io, "io.", { "open", "lines", "input", "output", "tmpfile" }, FILES)
  refuse(env.io, "io.", { "popen" }, "there is no machine that could run it, as for zk.run")
  refuse(env.io, "io.", { "read" }, NO_INPUT)
  refuse(env.io.stdin, "io.stdin:", { "read", "lines", "write" }, NO_INPUT)
  function env.io.close() return true end
  function env.io.type(file)
    local known = file == env.io.stdout or file == env.io.stderr or file == env.io.stdin
    return known and "file" or nil
  end
  function env.print(...)
    local words = {}
    for i = 1, select("#", ...) do
      words[i] = tostring((select(i, ...)))
    end
    process:print("stdout", table.concat(words, "\t") .. "\n")
  end
end

-- What looks at the program, without the doors to others: registry, upvalues, hooks.
local function add_debug(env)
  env.debug = {}
  for _, name in ipairs(LOOKS) do
    env.debug[name] = debug[name]
  end
  refuse(env.debug, "debug.", { "debug", "getregistry", "getupvalue", "setupvalue", "upvalueid",
    "upvaluejoin", "setlocal", "sethook", "gethook", "getmetatable", "setmetatable", "getuservalue",
    "setuservalue", "getfenv", "setfenv" }, "it would reach into other processes")
  if setfenv then -- luacheck: ignore
    refuse(env, "", { "getfenv", "setfenv" }, "use load with a table of globals")
  end
end

-- The metatable of strings belongs to all; a process sees a copy, and its own library in it.
local function add_string_methods(env)
  local shared = getmetatable("")
  local own = copy(shared)
  own.__index = env.string
  function env.getmetatable(value)
    if type(value) == "string" then
      return own
    end
    return getmetatable(value)
  end
  return {
    enter = function()
      shared.__index = own.__index
    end,
    leave = function()
      shared.__index = string
    end,
  }
end

-- The collector is the host's, and so is what it is set to.
local function add_collector(env, process)
  function env.collectgarbage(what)
    if what == nil or what == "collect" then
      collectgarbage()
      collectgarbage() -- what finalizers have left
      process:finalize()
    elseif what == "count" then
      return collectgarbage("count")
    end
    return what == "isrunning" or 0
  end
end

-- Coroutines of the program count as its tasks do, for the limit of what never waits.
local function add_coroutines(env, process)
  local create = process.scheduler.create
  env.coroutine.create = create
  function env.coroutine.wrap(fn)
    local co = create(fn)
    local function pass(ok, ...)
      if not ok then
        error((...), 0)
      end
      return ...
    end
    return function(...)
      return pass(coroutine.resume(co, ...))
    end
  end
end

-- Chance that follows from the world's seed and the process's name.
local function add_random(env, process)
  local world, name = process.world, process.name .. " math.random"
  function env.math.random(low, high)
    if not low then
      return world:random(name)
    elseif not high then
      low, high = 1, low
    end
    return world:pick(name, low, high)
  end
  function env.math.randomseed() end
end

--- A table of globals for `process`, which has world, name, core, env, wall(), print(name, text)
--- and exit(status).
---@param preload table<string, function>
function M.new(process, preload)
  local env = {}
  env._G = env
  for _, name in ipairs(PLAIN) do
    env[name] = _G[name]
  end
  for _, name in ipairs(LIBRARIES) do
    env[name] = _G[name] and copy(_G[name])
  end
  add_debug(env)
  add_loading(env)
  process.scheduler.strings = add_string_methods(env)
  add_os(env, process)
  add_io(env, process)
  add_random(env, process)
  add_coroutines(env, process)
  add_collector(env, process)
  preload["zklua.core"] = function()
    return process.core
  end
  add_require(env, preload)
  return env
end


return M
