--- Settings of a service, lines of "name = value" in one node, followed live. What is not set there
--- is as the program brought it; a node that cannot be read leaves the last good values in place.
local settings = {}

local Settings = {}
Settings.__index = Settings

-- The values of a text; or nil and the line that is none.
local function parse(text)
  local values = {}
  for line in text:gmatch("[^\n]+") do
    local name, value = line:match("^%s*([%w_]+)%s*=%s*(.-)%s*$")
    if not name then
      return nil, line
    end
    values[name] = tonumber(value) or value
  end
  return values
end

local function format(values)
  local lines = {}
  for name, value in pairs(values) do
    lines[#lines + 1] = ("%s = %s"):format(name, value)
  end
  table.sort(lines)
  return table.concat(lines, "\n")
end

--- Follows the settings at `path`. `defaults` has every name there is.
function settings.open(c, path, defaults)
  assert(type(defaults) == "table", "defaults must be a table")
  local live, message, code = c:live(path, { default = "" })
  if not live then
    return nil, message, code
  end
  return setmetatable({ _live = live, _defaults = defaults, _values = {} }, Settings)
end

function Settings:_refresh()
  if self._seen ~= self._live.revision then
    self._seen = self._live.revision
    local values, line = parse(self._live.data)
    self._values = values or self._values
    self.problem = line -- nil when all is well
  end
end

--- The present value of a setting.
function Settings:get(name)
  local default = self._defaults[name]
  assert(default ~= nil, "no such setting")
  self:_refresh()
  local value = self._values[name]
  return value == nil and default or value
end

--- Waits until a setting has this value: true; or nil, message, code.
function Settings:wait(name, value, timeout)
  local data, message, code = self._live:wait(function()
    return self:get(name) == value
  end, timeout)
  if not data then
    return nil, message, code
  end
  return true
end

--- Whether the server may know better.
function Settings:stale()
  return self._live.stale
end

function Settings:close()
  self._live:close()
end

--- Changes some settings and leaves the others as they are. Doing it twice does no harm.
function settings.save(c, path, changes)
  while true do
    local data, message, code = c:update(path, function(text)
      local values = parse(text) or {}
      for name, value in pairs(changes) do
        values[name] = value
      end
      return format(values)
    end, { create = true })
    if data then
      return true
    elseif code ~= "CONNECTIONLOSS" then
      return nil, message, code
    end
  end
end

return settings
