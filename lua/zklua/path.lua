--- Paths of nodes: their parts, and the check that raises at the caller's line.
local core = require "zklua.core"

local path = {}

--- "/a" of "/a/b", "/" of "/a", nil of the root.
function path.parent(p)
  if p == "/" then
    return nil
  end
  return p:match("^(/.+)/[^/]*$") or "/"
end

--- The last component; "" of the root.
function path.name(p)
  return p:match("[^/]*$")
end

--- Joins components and paths by single slashes: join("/a", "b", "/c") is "/a/b/c".
function path.join(...)
  local parts = { ... }
  local joined = table.concat(parts, "/"):gsub("/+", "/")
  if joined ~= "/" then
    joined = joined:gsub("/$", "")
  end
  return joined
end

--- The components as a list.
function path.split(p)
  local parts = {}
  for part in p:gmatch("[^/]+") do
    parts[#parts + 1] = part
  end
  return parts
end

--- "lock-", 7 of "lock-0000000007"; nil where there is no sequence number.
path.split_sequence = core.split_sequence

--- nil when well-formed, else why not.
path.problem = core.check_path

--- Raises at `level` of the caller when `p` is not a well-formed path.
---@param name string  of the argument
function path.check(p, name, level, sequential)
  if type(p) ~= "string" then
    error(("%s must be a string, not %s"):format(name, type(p)), level + 1)
  end
  local problem = core.check_path(p, sequential)
  if problem then
    error(("%s %s: %q"):format(name, problem, p), level + 1)
  end
  return p
end

return path
