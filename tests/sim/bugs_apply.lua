--- Makes copies of source files with one seeded bug each (see bugs.lua), and runs with them.
---
--- The product knows nothing of it: a copy lies in a folder that comes before the real one on the
--- search path. A change whose old text does not occur exactly once is an error, so that the list
--- of bugs cannot fall behind the sources.
local read_file = require("support.file").read

local M = {}

-- `source` with `from`, which occurs once, replaced by `to`.
local function replace(source, change, name)
  local first, last = source:find(change.from, 1, true)
  local problem = not first and "does not occur"
    or source:find(change.from, last + 1, true) and "occurs more than once"
  if problem then
    error(("bug %s: its old text %s in %s:\n%s"):format(name, problem, change.file, change.from), 0)
  end
  return source:sub(1, first - 1) .. change.to .. source:sub(last + 1)
end

--- The changed sources: file name -> text.
---@return table<string, string>
function M.patched(bug)
  local sources = {}
  for _, change in ipairs(bug) do
    local file = change.file
    sources[file] = replace(sources[file] or read_file(file), change, bug.name)
  end
  return sources
end

--- Whether it is a bug in C, which needs a compiler.
function M.is_c(bug)
  return bug[1].file:find("%.[ch]$") ~= nil
end

--- Writes the changed sources below `folder`, under their own names.
function M.write(bug, folder)
  for name, text in pairs(M.patched(bug)) do
    os.execute(("mkdir -p '%s/%s'"):format(folder, name:match("^(.*)/")))
    local file = assert(io.open(folder .. "/" .. name, "wb"))
    file:write(text)
    file:close()
  end
end

--- One seed of a trial: true, or false and what went wrong, be it by an error.
function M.try(trial, seed)
  local ok, fine, message = pcall(trial, seed)
  if ok then
    return fine == true, message
  end
  return false, fine
end

-- Modules of the simulation itself: loaded anew, in case that the bug is in one of them.
local function is_of_simulation(name)
  return name:find("^zklua%.sim%.") or name:find("^zklua%.scheduler%.") or name:find("^sim%.")
end

local function take_out_modules()
  local taken = {}
  for name, module in pairs(package.loaded) do
    if is_of_simulation(name) then
      taken[name] = module
    end
  end
  for name in pairs(taken) do
    package.loaded[name] = nil
  end
  return taken
end

--- Calls `fn(...)` while a bug in Lua is there for all programs that are simulated in it, and gives
--- what it returns. What it needs of the simulation it has to require itself.
function M.under(bug, fn, ...)
  local folder, path = os.tmpname(), package.path
  os.remove(folder)
  M.write(bug, folder)
  local others = take_out_modules()
  package.path = ("%s/lua/?.lua;%s"):format(folder, path)
  local results = { pcall(fn, ...) }
  package.path = path
  take_out_modules()
  for name, module in pairs(others) do
    package.loaded[name] = module
  end
  os.execute("rm -r '" .. folder .. "'")
  if not results[1] then
    error(results[2], 0)
  end
  return (table.unpack or unpack)(results, 2) -- luacheck: ignore
end

return M
