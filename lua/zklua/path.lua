--- Paths of nodes: their parts, and the check that raises at the caller's line.
local core = require "zklua.core"
local wrong = require "zklua.wrong"

local path = {}

local function check_text(p)
  if type(p) ~= "string" then
    wrong("path must be a string, not " .. type(p))
  end
end

--- "/a" of "/a/b", "/" of "/a", nil of the root.
function path.parent(p)
  check_text(p)
  if p == "/" then
    return nil
  end
  return p:match("^(/.+)/[^/]*$") or "/"
end

--- The last component; "" of the root.
function path.name(p)
  check_text(p)
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
  check_text(p)
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

--- Raises when `p` is not a well-formed path.
---@param name string  of the argument
function path.check(p, name, sequential)
  if type(p) ~= "string" then
    wrong(("%s must be a string, not %s"):format(name, type(p)))
  end
  local problem = core.check_path(p, sequential)
  if problem then
    wrong(("%s %s: %q"):format(name, problem, p))
  end
  return p
end

return path
