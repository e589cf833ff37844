--- Option tables are checked where they come in, so that a typing mistake is found at the line
--- that made it.
local options = {}

--- A set of option names: those of every call, and `names`.
function options.set(...)
  local allowed = { timeout = "number", deadline = "number", fail_fast = "boolean" }
  for _, more in ipairs({ ... }) do
    for name, kind in pairs(more) do
      allowed[name] = kind
    end
  end
  return allowed
end

--- Raises at `level` of the caller for what is not a table, not an option, or of another type.
function options.check(given, allowed, level)
  if type(given) ~= "table" then
    error("options must be a table, not a " .. type(given), level + 1)
  end
  for name, value in pairs(given) do
    local kind = allowed[name]
    if not kind then
      error(("unknown option %q"):format(tostring(name)), level + 1)
    elseif kind ~= "any" and type(value) ~= kind then
      error(("%s must be a %s, not a %s"):format(name, kind, type(value)), level + 1)
    end
  end
end

return options
