--- Wrong use is reported where the program made it: at the innermost line that is not the
--- library's, however many of its functions lie between.
local LIBRARY = debug.getinfo(1, "S").source:match("^(.*[/\\])[^/\\]*$")

--- Raises `message` at the program's line.
---@param message string
return function(message)
  local level = 2
  while true do
    local info = debug.getinfo(level, "Sl")
    if not info then
      error(message, 0)
    elseif info.currentline > 0 and info.source:sub(1, #LIBRARY) ~= LIBRARY then
      error(message, level)
    end
    level = level + 1
  end
end
