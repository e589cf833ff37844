--- Which code wins when several things are wrong with a request (server-semantics: the order of
--- validation). A row: the request, who sends it if not the first connection, the code; in the
--- name stands what the row is for. The state is what `setup` makes.
local prepared = require("server.prepared")

local create, delete, set = prepared.create, prepared.delete, prepared.set
local set_acl, check, multi = prepared.set_acl, prepared.check, prepared.multi
local OPEN, READ = prepared.open_acl, prepared.read_acl
local BAD_ACL = { prepared.acl(31, "nobody", "knows") }
local NUL = "/open\0"

local precedence = {}

--- /open: anybody may do all. /closed: reading only, with a child. /blind: nothing at all.
--- /eph: ephemeral. /full: has a child. /three: version 3, aversion 2.
function precedence.setup(world)
  world:made(
    create("/open"), create("/closed"), create("/closed/child"), set_acl("/closed", READ),
    create("/blind", { acl = { prepared.acl(0, "world", "anyone") } }),
    create("/eph", { flags = 1 }), create("/full"), create("/full/child"),
    create("/three"), set("/three", "1"), set("/three", "2"), set("/three", "3"),
    set_acl("/three", OPEN), set_acl("/three", OPEN)
  )
end

precedence.rows = {
  { "a create", create("/new"), 0 },
  { "create2", create("/new", { op = 15 }), 0 },
  { "create: unknown flags before all else", create(false, { flags = 7, acl = {} }), -8 },
  { "create: negative flags", create("/new", { flags = -1 }), -8 },
  { "create: the flag of a container", create("/new", { flags = 4 }), -8 },
  { "createContainer", create("/new", { op = 19, flags = 4 }), 0 },
  { "createContainer: the flag of a plain node", create("/new", { op = 19 }), -8 },
  { "create: no ttl nodes here, before the path", create("new", { op = 21, flags = 5 }), -6 },
  { "create: a ttl flag, no ttl nodes here", create("/new", { flags = 5 }), -6 },
  { "create: null path", create(false), -5 },
  { "create: no slash, before the list", create("new", { acl = {} }), -8 },
  { "create: empty path", create(""), -8 },
  { "create: U+0000, before the list", create(NUL, { acl = {} }), -8 },
  { "create: an unknown scheme, before the parent", create("/no/new", { acl = BAD_ACL }), -114 },
  { "create: an empty list", create("/new", { acl = {} }), -114 },
  { "create: a null list", create("/new", { acl = false }), -114 },
  { "create: `auth` without credentials",
    create("/new", { acl = { prepared.acl(31, "auth", "") } }), -114 },
  { "create: no parent, before the rest of the path", create("/open//new"), -101 },
  { "create: no parent", create("/no/new"), -101 },
  { "create: a relative path", create("a/b"), -101 },
  { "create: no CREATE, before the syntax", create("/closed/"), -102 },
  { "create: no CREATE, before it exists", create("/closed/child"), -102 },
  { "create: READ alone is not CREATE", create("/closed/new"), -102 },
  { "create: syntax", create("/open/"), -8 },
  { "create: '..'", create("/open/.."), -8 },
  { "create: a control character", create("/open/a\1"), -8 },
  { "create: not UTF-8", create("/open/\255"), -8 },
  { "create: '//' at the front", create("//new"), -8 },
  { "create: the root exists", create("/"), -110 },
  { "create: exists", create("/open"), -110 },
  { "create: under an ephemeral node", create("/eph/new"), -108 },
  { "create: a quota for nothing", create("/zookeeper/quota/zookeeper_limits",
    { data = "count=1,bytes=1" }), -8 },
  { "create: a limit that cannot be read", create("/zookeeper/quota/zookeeper_stats",
    { data = "many" }), -8 },
  { "create: sequential, the path ends with a slash", create("/open/", { flags = 2 }), 0 },
  { "create: sequential child of the root", create("/", { flags = 2 }), 0 },
  { "create: '.' and a number", create("/open/.", { flags = 2 }), 0 },

  { "a delete", delete("/open"), 0 },
  { "delete: null path", delete(nil), -5 },
  { "delete: no slash", delete("open"), -8 },
  { "delete: U+0000", delete(NUL), -8 },
  { "delete: the root", delete("/"), -8 },
  { "delete: /zookeeper", delete("/zookeeper"), -8 },
  { "delete: the quotas", delete("/zookeeper/quota", 9), -8 },
  { "delete: the configuration", delete("/zookeeper/config"), -8 },
  { "delete: no parent", delete("/no/child"), -101 },
  { "delete: no DELETE on the parent, before the node", delete("/closed/no"), -102 },
  { "delete: no DELETE on the parent, before the version", delete("/closed/child", 9), -102 },
  { "delete: no node, before the version", delete("/no", 9), -101 },
  { "delete: malformed paths are not found", delete("/open/"), -101 },
  { "delete: the list of the node itself counts for nothing", delete("/blind"), 0 },
  { "delete: the version, before the children", delete("/full", 9), -103 },
  { "delete: has children", delete("/full"), -111 },
  { "delete: the right version", delete("/three", 3), 0 },

  { "a setData", set("/open", "x"), 0 },
  { "setData: null path", set(nil, "x"), -8 },
  { "setData: syntax", set("/open/", "x"), -8 },
  { "setData: empty path", set("", "x"), -8 },
  { "setData: no node", set("/no", "x", 9), -101 },
  { "setData: no WRITE, before the version", set("/closed", "x", 9), -102 },
  { "setData: the configuration", set("/zookeeper/config", "x"), -102 },
  { "setData: the version", set("/three", "x", 2), -103 },
  { "setData: the right version", set("/three", "x", 3), 0 },
  { "setData: null data", set("/open", nil), 0 },
  { "setData: the root", set("/", "x"), 0 },

  { "a setACL", set_acl("/open", READ), 0 },
  { "setACL: null path", set_acl(nil, READ), -8 },
  { "setACL: syntax, before the list", set_acl("/open/", {}), -8 },
  { "setACL: the list, before the node", set_acl("/no", BAD_ACL), -114 },
  { "setACL: no node", set_acl("/no", OPEN, 9), -101 },
  { "setACL: no ADMIN, before the version", set_acl("/closed", OPEN, 9), -102 },
  { "setACL: the version of the list, not of the data", set_acl("/three", OPEN, 3), -103 },
  { "setACL: the right version", set_acl("/three", OPEN, 2), 0 },

  { "check: null path", multi(check(nil)), -8 },
  { "check: syntax", multi(check("/open/")), -8 },
  { "check: no node", multi(check("/no", 9)), -101 },
  { "check: no READ, before the version", multi(check("/blind", 9)), -102 },
  { "check: the version", multi(check("/three", 2)), -103 },
  { "check: the right version", multi(check("/three", 3)), 0 },

  { "deleteContainer is no client's", { op = 20, path = "/open" }, -8 },
  { "reconfig, which is off", { op = 16 }, -123 },
  { "an empty multi", multi(), 0 },
  { "multi: the first failure counts", multi(set("/open", "x"), delete("/full"), delete("/no")),
    -111 },
  { "multi: unknown flags anywhere, before all else",
    multi(delete("/no"), create("/new", { flags = 7 })), -5 },
  { "multi: a ttl flag, no ttl nodes here", multi(create("/new", { flags = 5 })), -5 },
  { "multi: createTTL, no ttl nodes here",
    multi(create("/new", { op = 21, flags = 5, ttl_ms = 5 })), -6 },
}

--- Where extendedTypesEnabled is on, for the same state.
precedence.ttl_rows = {
  { "createTTL", create("/new", { op = 21, flags = 5, ttl_ms = 1 }), 0 },
  { "createTTL, sequential", create("/new", { op = 21, flags = 6, ttl_ms = 1 }), 0 },
  { "the longest ttl", create("/new", { op = 21, flags = 5, ttl_ms = "0xffffffffff" }), 0 },
  { "one past it", create("/new", { op = 21, flags = 5, ttl_ms = "0x10000000000" }), -8 },
  { "no ttl, before the path", create("new", { op = 21, flags = 5 }), -8 },
  { "a ttl below zero", create("/new", { op = 21, flags = 5, ttl_ms = -1 }), -8 },
  { "createTTL for a plain node", create("/new", { op = 21, ttl_ms = -1 }), -8 },
  { "create with a ttl flag", create("/new", { flags = 5 }), -8 },
  { "in a multi, a plain flag wins over createTTL",
    multi(create("/new", { op = 21, ttl_ms = 5 })), 0 },
  { "in a multi, a ttl flag without a ttl behind a failure",
    multi(create("/no/new"), create("/new", { flags = 5 })), -101 },
  { "in a multi, a ttl flag without a ttl, in its turn", multi(create("/new", { flags = 5 })), -5 },
  { "in a multi, createTTL", multi(create("/new", { op = 21, flags = 6, ttl_ms = 5 })), 0 },
  { "in a multi, a ttl too long", multi(create("/new", { op = 21, flags = 5, ttl_ms = -5 })), -8 },
}

return precedence
