--- What a rule has to say, in words.
local M = {}

--- A value as one reads it, with the fields of a table in the order of their names.
function M.value(value)
  if type(value) ~= "table" then
    return type(value) == "string" and ("%q"):format(value) or tostring(value)
  end
  local keys, parts = {}, {}
  for key in pairs(value) do
    keys[#keys + 1] = key
  end
  table.sort(keys, function(a, b)
    return tostring(a) < tostring(b)
  end)
  for _, key in ipairs(keys) do
    parts[#parts + 1] = (type(key) == "number" and "" or key .. "=") .. M.value(value[key])
  end
  return "{" .. table.concat(parts, " ") .. "}"
end

--- The same names in their order.
function M.sorted(list)
  local copy = {}
  for i, name in ipairs(list) do
    copy[i] = name
  end
  table.sort(copy)
  return copy
end

return M
