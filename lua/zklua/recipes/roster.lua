--- A line of contenders as one sees it who does not stand in it.
local own = require "zklua.own"

local READ_AT_ONCE = 500 -- nodes in one multiRead

local roster = {}

-- Sorted by arrival; {} when nobody ever came.
local function entries_of(line, deadline)
  local entries, message, code = line:read(deadline)
  if not entries then
    if code == "NONODE" then
      return {}
    end
    return nil, message, code
  end
  local origin = entries[1] and entries[1].sequence
  table.sort(entries, function(a, b)
    return line.distance(a.sequence, origin) < line.distance(b.sequence, origin)
  end)
  return entries
end

local function contender(path, data, stat)
  return { id = data, path = path, since = stat.ctime, token = stat.czxid }
end

--- The contenders in order, each with what it says of itself.
---@return zklua.Contender[]|nil, string|nil, string|nil
function roster.contenders(line, deadline)
  local entries, message, code = entries_of(line, deadline)
  local found = {}
  for from = 1, #(entries or {}), READ_AT_ONCE do
    local wanted = {}
    for i = from, math.min(from + READ_AT_ONCE - 1, #entries) do
      wanted[#wanted + 1] = { "get", own.join(line.path, entries[i].name) }
    end
    local results
    results, message, code = line.client:read_many(wanted, { deadline = deadline })
    if not results then
      return nil, message, code
    end
    for i, result in ipairs(results) do
      if result.op == "get" then -- else it has left meanwhile
        found[#found + 1] = contender(wanted[i][2], result.data, result.stat)
      end
    end
  end
  return entries and found, message, code
end

--- The first in line, false when there is none. `watch` is set when that may have changed; it
--- costs two requests.
---@return zklua.Contender|false|nil, string|nil, string|nil
function roster.first(line, deadline, watch)
  local client = line.client
  while true do
    local entries, message, code = entries_of(line, deadline)
    if not entries then
      return nil, message, code
    end
    for _, entry in ipairs(entries) do
      local path = own.join(line.path, entry.name)
      local data, stat, what = client:get(path, { deadline = deadline, watch = watch })
      if data then
        return contender(path, data, stat)
      elseif what ~= "NONODE" then
        return nil, stat, what
      end
    end
    if not watch then
      return false
    end
    -- Nobody: the next to come shows as a child. Look again with that watch set.
    local ok
    ok, message, code = own.ensure(client, line.path, deadline)
    if ok then
      entries, message, code = line:read(deadline, watch)
    end
    if not ok or not entries then
      return nil, message, code
    elseif not entries[1] then
      return false
    end
    client:unwatch(line.path, "child", watch)
  end
end

--- The message of BUSY, with the holder and since when as far as that can be read quickly.
---@param name string  of the node that is first in line
function roster.busy(line, name)
  local path = own.join(line.path, name)
  local data, stat = own.glance(line.client, path)
  return own.busy(line.what .. " " .. line.path, data or path, data and stat.ctime)
end

return roster
