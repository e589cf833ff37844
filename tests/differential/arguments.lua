--- What the requests of a sequence are made of: paths, ACLs, versions, data, ttls; right ones and
--- wrong ones. `g` is the state of the generator: random, model, root; `bad`, the percent of
--- arguments that are to be wrong; `careful` when none is to be.
local model = require("differential.model")

local arguments = {}

local NAMES = { "a", "b", "c", "d", "e", "g", "gh" }
local DEPTH_MAX = 4
arguments.WORLD = { permissions = 31, scheme = "world", id = "anyone" }
local READ = { permissions = 1, scheme = "world", id = "anyone" }

-- What addauth makes of USERS below.
local DIGESTS = {
  "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=", "nobody:x", ":b",
}

local function entry(permissions, scheme, id)
  return { permissions = permissions, scheme = scheme, id = id }
end

-- Lists that no server takes.
local BAD_ACLS = {
  {}, false,
  { entry(31, "world", "someone") }, { entry(31, "world", "") },
  { entry(31, "foo", "bar") }, { entry(31, "", "bar") }, { entry(31, nil, "bar") },
  { entry(31, "super", "") }, { entry(31, "digest", "a:") }, { entry(31, "digest", "a:b:c") },
  { entry(31, "digest", "a") }, { entry(31, "digest", "") },
  { entry(31, "ip", "999.1.1.1") }, { entry(31, "ip", "127.0.0.1/33") }, { entry(31, "ip", "") },
  { entry(31, "ip", "127.0.0") }, { entry(31, "ip", "127.0.0.1/") },
  { entry(31, "ip", "127.0.0.1/-1") }, { entry(31, "ip", "localhost") },
  { entry(31, "ip", "127.0.0.1/8/8") }, { entry(31, "ip", "127.0.0.1/x") },
  { arguments.WORLD, entry(31, "foo", "bar") },
}
-- Apache fails over these, and a multi as a whole: not sent inside one.
arguments.NULL_ID_ACLS = { { entry(31, "world") }, { entry(31, "digest") }, { entry(31, "ip") } }
-- 3.9 takes it: only sent where the next check fails anyway.
arguments.IPV6_ACL = { entry(31, "ip", "::1") }

arguments.BAD_FLAGS = { -1, 7, 8, 100, 2147483647, -2147483648 }
arguments.TTLS = { "0x1", "0x3e8", "0xffffffffff", "0x493e0" }
arguments.BAD_TTLS = { 0, -1, -1000, "0x10000000000", "0x7fffffffffffffff" }

-- Below the root, or instead of it.
local BAD_ENDS = {
  "/", "//a", "/./a", "/../a", "/a/.", "/a/..", "/a//", "/.", "/..", "/...", "/.x", "/\1", "/a\31",
  "/\127", "/\194\128", "/\194\159", "/\194\160", "/\237\159\191", "/\238\128\128", "/\239\163\191",
  "/\239\164\128", "/\239\191\175", "/\239\191\176", "/\239\191\189", "/\195\164", "/ ",
}
-- What Java's decoder makes of these differs in length from what it read.
arguments.ILL_FORMED_ENDS = {
  "/\255", "/\192\175", "/\237\160\128", "/\240\144\128\128", "/a\195", "/a\0b", "/\0",
}
-- Nothing a client may do to these changes them.
arguments.RESERVED = { "/zookeeper", "/zookeeper/quota", "/zookeeper/config" }

-- Paths -------------------------------------------------------------------------------------------

local function depth(path)
  local _, slashes = path:gsub("/", "")
  return slashes
end

function arguments.child_path(g)
  local parent = g.model:pick(g.random)
  if depth(parent) > DEPTH_MAX then
    parent = g.root
  end
  return parent .. "/" .. g.random:pick(NAMES)
end

-- Below a node that no request ever makes.
function arguments.missing_path(g)
  return g.root .. g.random:pick({ "/void/x", "/void/x/y" })
end

function arguments.bad_path(g)
  local which = g.random:below(20)
  if which < 12 then
    return g.root .. g.random:pick(BAD_ENDS)
  elseif which < 15 then
    return g.root .. g.random:pick(arguments.ILL_FORMED_ENDS)
  end
  return g.random:pick({ "", "a", "no/slash", g.root:sub(2), " " .. g.root })
end

--- Where something is, mostly.
function arguments.any_path(g)
  if g.careful then
    return g.model:pick(g.random)
  end
  local which = g.random:below(100)
  if which < g.bad then
    return arguments.bad_path(g)
  elseif which < g.bad + 8 then
    return arguments.missing_path(g)
  elseif which < g.bad + 30 then
    return arguments.child_path(g)
  elseif which < g.bad + 33 then
    return g.random:pick(arguments.RESERVED)
  end
  return g.model:pick(g.random)
end

--- Where nothing is yet, as far as is known.
function arguments.new_path(g)
  local path
  for _ = 1, 4 do
    path = arguments.child_path(g)
    if not g.model:node(path) then
      break
    end
  end
  return path
end

--- A node that may be changed freely: never the root, which must stay open.
function arguments.own_path(g)
  local path = g.model:pick(g.random)
  return path ~= g.root and path or arguments.child_path(g)
end

function arguments.version(g, actual)
  local which = g.random:below(g.careful and 8 or 10)
  if which < 5 then
    return -1
  elseif which < 8 then
    return actual or 0
  end
  return g.random:pick({ 0, 1, 7, -2, 2147483647, -2147483648 })
end

function arguments.data(g)
  local which = g.random:below(40)
  if which < 4 then
    return nil
  elseif which < 8 then
    return ""
  elseif which < 38 then
    return ("v%d"):format(g.random:below(1000))
  end
  return ("x"):rep(g.random:below(5000))
end

-- ACLs --------------------------------------------------------------------------------------------

local function permissions(g)
  return g.random:pick({ 31, 31, 1, 2, 3, 4, 8, 12, 16, 17, 30, 0, 5, 65535, -1 })
end

local function digest_entry(g)
  return entry(permissions(g), "digest", g.random:pick(DIGESTS))
end

local function ip_entry(g)
  return entry(permissions(g), "ip",
    g.random:pick({ "127.0.0.1", "127.0.0.0/8", "10.0.0.0/8", "0.0.0.0/0", "127.0.0.1/32" }))
end

--- Everybody reads.
local function open_acl(g)
  local which = g.random:below(10)
  if which < 6 then
    return { arguments.WORLD }
  elseif which < 7 then
    return { READ, digest_entry(g) }
  elseif which < 8 then
    return { digest_entry(g), READ, READ, ip_entry(g) }
  end
  return { entry(1 + 2 * g.random:below(16), "world", "anyone") }
end

--- Anything goes.
local function guarded_acl(g)
  local which = g.random:below(12)
  if which < 3 then
    return { digest_entry(g) }
  elseif which < 5 then
    return { ip_entry(g) }
  elseif which < 7 then
    return { digest_entry(g), digest_entry(g), ip_entry(g) }
  elseif which < 10 then
    return { entry(permissions(g), "auth", g.random:pick({ "", "ignored" })) }
  end
  return { entry(permissions(g), "world", "anyone") }
end

function arguments.acl_for(g, path)
  if not g.careful and g.random:chance(g.bad) then
    return g.random:pick(BAD_ACLS)
  elseif model.guarded(path) then
    return guarded_acl(g)
  end
  return open_acl(g)
end

return arguments
