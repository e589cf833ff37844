--- Programs as functions, each made with globals of its own, from a text that is compiled once.
---
--- Compiling the forty files of the library takes longer than most of what a simulated process does
--- with them. So a text becomes a *factory*: a chunk that is given globals and returns the program
--- as a closure over them. Closures share what was compiled, which nobody can change; functions,
--- upvalues and globals are of each process alone.
---
--- What this module remembers is its only state, and nobody can tell it from compiling again.
local M = {}

--- Texts that are remembered at most; then all are forgotten.
local KEPT_MAX = 1000

local kept, kept_count = {}, 0

local function keep(key, value)
  if kept_count == KEPT_MAX then
    kept, kept_count = {}, 0
  end
  kept[key] = value
  kept_count = kept_count + 1
  return value
end

--- Lets LuaJIT interpret a function, and those inside it: compiled loops would not count for the
--- limit of a process that never waits. (And they would cost more than they save: what is simulated
--- goes from coroutine to coroutine.)
function M.interpret(fn)
  if jit then -- luacheck: ignore
    jit.off(fn, true) -- luacheck: ignore
  end
end

-- The text by itself comes first: what is wrong with it shows as it always does. What is around it
-- stands on the same lines.
local function compile(text, name)
  local fn, message = load(text, name, "t")
  if not fn then
    return nil, message
  end
  local around = "local _ENV = ... return function(...) " .. text .. "\nend"
  local factory = assert(load(around, name, "t"))
  M.interpret(factory)
  return factory
end

local function instance(factory, env)
  if setfenv then -- LuaJIT: luacheck: ignore
    setfenv(factory, env) -- luacheck: ignore
  end
  return factory(env)
end

-- The program of a text that is new, and remembered under `key`.
local function first(key, text, name, env)
  local factory, message = compile(text, name)
  if not factory then
    return nil, message
  end
  return instance(keep(key, factory), env)
end

--- The function of `text` with the globals `env`; or nil, message.
---@param text string
---@param name string  as for `load`
---@param env table
function M.load(text, name, env)
  local key = name .. "\0" .. text
  if kept[key] then
    return instance(kept[key], env)
  end
  return first(key, text, name, env)
end

local function read_file(name)
  local file, message = io.open(name, "rb")
  if not file then
    return nil, message
  end
  local text = file:read("*a")
  file:close()
  return (text:gsub("^#[^\n]*", ""))
end

--- The same of a file.
function M.load_file(name, env)
  local text, message = read_file(name)
  if not text then
    return nil, message
  end
  return M.load(text, "@" .. name, env)
end

--- The function of a module of the library, which is looked for and read once: its files are those
--- that this program runs on itself.
---@param name string
---@param path string  as package.path
function M.load_library(name, path, env)
  local key = path .. "\0" .. name
  if kept[key] then
    return instance(kept[key], env)
  end
  local file, message = package.searchpath(name, path)
  local text
  if file then
    text, message = read_file(file)
  end
  if not text then
    return nil, message
  end
  return first(key, text, "@" .. file, env)
end

return M
