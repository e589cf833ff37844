--- What a recipe is called with: checked where it comes in, so that a mistake is found at the line
--- that made it.
local core = require "zklua.core"

local arguments = {}

arguments.FOREVER = 3e8 -- seconds; a deadline that a person does not live to see
local FOREVER = arguments.FOREVER

--- The deadline of a call that waits, from its options; always a number. Raises at `level` for
--- options that are none.
---@param options table|nil
---@param level integer|nil  default: the caller of our caller
---@return number deadline
function arguments.deadline(client, options, level)
  level = level or 3
  local runtime = client.runtime
  if options == nil then
    return runtime:now() + FOREVER
  end
  if type(options) ~= "table" then
    error("options must be a table, not a " .. type(options), level)
  end
  for name, value in pairs(options) do
    if name ~= "wait" and name ~= "timeout" and name ~= "deadline" then
      error(("unknown option %q"):format(tostring(name)), level)
    elseif type(value) ~= "number" or value ~= value then
      error(name .. " must be a number of seconds", level)
    end
  end
  local seconds = math.min(options.wait or FOREVER, options.timeout or FOREVER, FOREVER)
  return math.min(runtime:now() + math.max(seconds, 0), options.deadline or math.huge)
end

--- The same for a call that takes the client's timeout unless told.
function arguments.call_deadline(client, options)
  local deadline = arguments.deadline(client, options or { timeout = client._session.timeout }, 4)
  return deadline
end

---@param value any
---@param name string
function arguments.string(value, name)
  if type(value) ~= "string" then
    error(("%s must be a string, not a %s"):format(name, type(value)), 3)
  end
end

---@param list any
---@param name string
function arguments.strings(list, name)
  if type(list) ~= "table" then
    error(("%s must be a table, not a %s"):format(name, type(list)), 3)
  end
  for i, value in ipairs(list) do
    if type(value) ~= "string" then
      error(("%s[%d] must be a string, not a %s"):format(name, i, type(value)), 3)
    end
  end
end

--- Checks the options of a recipe against their types; raises at the caller of `c:recipe()`.
---@param options table|nil
---@param types table<string, string>
---@return table
function arguments.options(options, types)
  if options ~= nil and type(options) ~= "table" then
    error("options must be a table, not a " .. type(options), 3)
  end
  for name, value in pairs(options or {}) do
    if not types[name] then
      error(("unknown option %q"):format(tostring(name)), 3)
    elseif type(value) ~= types[name] then
      error(("%s must be a %s, not a %s"):format(name, types[name], type(value)), 3)
    end
  end
  return options or {}
end

---@param path any
---@return string path
function arguments.path(path)
  local fault = type(path) ~= "string" and "path must be a string" or core.check_path(path)
  if fault then
    error(type(path) == "string" and ("path %q %s"):format(path, fault) or fault, 3)
  end
  return path
end

--- Who this client is to others.
function arguments.identity(client, id)
  return id or client.id or (core.hostname() .. "/" .. core.pid())
end

return arguments
