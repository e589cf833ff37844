--- Who may do what with a node.
---
--- Permissions are letters: r read, w write, c create children, d delete children, a administer
--- (set the acl). Wherever the library takes an acl it takes one of the names "open", "creator",
--- "read", one entry, or a list of entries.
local core = require "zklua.core"

local acl = {}

--- Anyone may do anything.
acl.open = { { perms = "rwcda", scheme = "world", id = "anyone" } }
--- Whoever this session has authenticated as may do anything, others nothing.
acl.creator = { { perms = "rwcda", scheme = "auth", id = "" } }
--- Anyone may read.
acl.read = { { perms = "r", scheme = "world", id = "anyone" } }

local NAMED = { open = acl.open, creator = acl.creator, read = acl.read }

local function entry(perms, scheme, id)
  return { perms = perms or "rwcda", scheme = scheme, id = id }
end

function acl.world(perms)
  return entry(perms, "world", "anyone")
end

function acl.auth(perms)
  return entry(perms, "auth", "")
end

--- The user with that password, of the scheme digest.
function acl.digest(user, password, perms)
  return entry(perms, "digest", core.digest_id(user, password))
end

--- An address or a network, "10.0.0.0/8".
function acl.ip(address, perms)
  return entry(perms, "ip", address)
end

--- The form the core takes; raises at `level` of the caller for what is not an acl.
function acl.encode(value, level)
  local list = NAMED[value] or value
  if type(list) == "table" and list.scheme then
    list = { list }
  end
  if type(list) ~= "table" or not list[1] then
    error('acl must be "open", "creator", "read" or a list of entries', level + 1)
  end
  local encoded, message = core.acl(list)
  if not encoded then
    error("acl: " .. message, level + 1)
  end
  return encoded
end

return acl
