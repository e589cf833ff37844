--- Option tables are checked where they come in, so that a typing mistake is found at the line
--- that made it.
local wrong = require "zklua.wrong"
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

--- Raises for what is not a table, not an option, or of another type.
function options.check(given, allowed)
  if type(given) ~= "table" then
    wrong("options must be a table, not a " .. type(given))
  end
  for name, value in pairs(given) do
    local kind = allowed[name]
    if not kind then
      wrong(("unknown option %q"):format(tostring(name)))
    elseif kind ~= "any" and type(value) ~= kind then
      wrong(("%s must be a %s, not a %s"):format(name, kind, type(value)))
    end
  end
end

return options
