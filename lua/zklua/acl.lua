--- Who may do what with a node.
---
--- Permissions are letters: r read, w write, c create children, d delete children, a administer
--- (set the acl). Wherever the library takes an acl it takes one of the names "open", "creator",
--- "read", one entry, or a list of entries.
local core = require "zklua.core"
local wrong = require "zklua.wrong"

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
  if type(user) ~= "string" or type(password) ~= "string" then
    wrong("user and password must be strings")
  end
  return entry(perms, "digest", core.digest_id(user, password))
end

--- An address or a network, "10.0.0.0/8".
function acl.ip(address, perms)
  return entry(perms, "ip", address)
end

--- The form the core takes; raises for what is not an acl.
function acl.encode(value)
  local list = NAMED[value] or value
  if type(list) == "table" and list.scheme then
    list = { list }
  end
  if type(list) ~= "table" or not list[1] then
    wrong('acl must be "open", "creator", "read" or a list of entries')
  end
  local encoded, message = core.acl(list)
  if not encoded then
    wrong("acl: " .. message)
  end
  return encoded
end

return acl
