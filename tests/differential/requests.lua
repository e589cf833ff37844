--- Single requests of a sequence: well-formed records, whose arguments are often right, often
--- nearly right and sometimes absurd. Each builder takes the state of the generator and the
--- connection that will send, and gives a record of the codec. Here are the writes; those of
--- reads.lua are given on.
---
--- What is left out is left out for one of two reasons, named where it happens: it would stop an
--- Apache server from starting again, or 3.8 and 3.9 would from there on hold different trees or
--- watches, so that nothing that follows could be compared.
local arguments = require("differential.arguments")
local model = require("differential.model")
local reads = require("differential.reads")

local requests = {}

local OPEN = { arguments.WORLD }

-- Writes ------------------------------------------------------------------------------------------

-- Never one that could succeed outside of the root: it would stay.
local function create_path(g, sequential)
  local which = g.random:below(100)
  if g.careful and not sequential then
    return arguments.new_path(g)
  elseif g.careful then
    which = 99
  end
  if which < g.bad then
    return arguments.bad_path(g)
  elseif which < g.bad + 5 then
    return arguments.missing_path(g)
  elseif which < g.bad + 10 and not sequential then
    return g.random:pick({ g.model:pick(g.random), "/", g.random:pick(arguments.RESERVED) })
  end
  local path = arguments.child_path(g)
  if not sequential then
    return path
  end
  return model.parent(path) .. g.random:pick({ "/s-", "/g-", "/", "/q", "/." })
end

-- Flags that do not belong to the operation: a server that minds them and one that does not
-- would go on with different trees. So the parent is missing.
local function mismatched_create(g)
  local op, flags = 19, g.random:pick({ 0, 1, 2, 3, 5, 6 })
  if g.random:chance(50) then
    op, flags = g.random:pick({ 1, 15 }), 4
  end
  return { op = op, path = g.root .. "/void/x", data = "m", acl = OPEN, flags = flags }
end

local function create_ttl(g)
  local flags = g.random:pick({ 5, 5, 6 })
  local record = { op = 21, flags = flags, ttl_ms = g.random:pick(arguments.TTLS) }
  if not g.careful and g.random:chance(g.bad + 3) then
    if g.random:chance(50) then
      record.ttl_ms = g.random:pick(arguments.BAD_TTLS)
    else
      -- With a ttl below 0 this would end an Apache server for good.
      record.flags = g.random:pick({ 0, 1, 2, 3, 4 })
      record.ttl_ms = g.random:pick({ 0, "0x1", "0x3e8" })
    end
  end
  return record
end

local function create_record(g)
  local op = g.random:weighted({ 10, 1, 8, 15, 2, 19, 3, 21 })
  if g.theme.lasting and op > 15 then
    op = 1
  end
  if op == 21 then
    return create_ttl(g)
  elseif op == 19 then
    return { op = 19, flags = 4 }
  elseif not g.careful and g.random:chance(g.bad) then
    local flags = g.random:chance(50) and arguments.BAD_FLAGS or { 5, 6 }
    return { op = op, flags = g.random:pick(flags) }
  end
  return { op = op, flags = g.random:pick({ 0, 0, 0, 0, 1, 1, 2, 3 }) }
end

local SEQUENTIAL = { [2] = true, [3] = true, [6] = true }
local EPHEMERAL = { [1] = true, [3] = true }

local function path_looks_right(path)
  return path and not path:find("//", 1, true) and not path:find("[%z\1-\31\127-\255]")
    and not path:find("/%.%.?$") and not path:find("/%.%.?/") and path:sub(-1) ~= "/"
end

local function believe_create(g, connection, record)
  local path = record.path
  if not path or record.acl == false or #record.acl == 0 then
    return
  end
  if SEQUENTIAL[record.flags] then
    path = g.model:sequential(path)
  end
  local parent = model.parent(path)
  if path_looks_right(path) and parent and g.model:node(parent) then
    g.model:create(path, EPHEMERAL[record.flags] and connection.session or nil)
  end
end

function requests.create(g, connection, inside_multi)
  if not g.careful and g.random:chance(g.bad) and g.random:chance(25) then
    return mismatched_create(g)
  end
  local record = create_record(g)
  record.path = create_path(g, SEQUENTIAL[record.flags])
  record.data = arguments.data(g)
  record.acl = arguments.acl_for(g, record.path)
  if not g.careful and g.random:chance(1) then
    record.path, record.acl = g.root .. "/void/x", arguments.IPV6_ACL
  elseif not g.careful and not inside_multi and g.random:chance(1) then
    record.acl = g.random:pick(arguments.NULL_ID_ACLS)
    return record
  end
  if record.op ~= 21 or (g.setup == "full" and record.flags >= 5) then
    believe_create(g, connection, record)
  end
  return record
end

function requests.delete(g)
  local path = g.random:chance(20) and arguments.any_path(g) or arguments.own_path(g)
  if path == g.root then
    path = arguments.child_path(g)
  elseif g.random:chance(g.bad) then
    path = g.random:pick({ "/", g.random:pick(arguments.RESERVED), arguments.bad_path(g) })
  end
  local node = g.model:node(path)
  local record = { op = 2, path = path, version = arguments.version(g, node and node.version) }
  if node and (record.version == -1 or record.version == node.version) then
    g.model:delete(path)
  end
  return record
end

function requests.set_data(g)
  local path = arguments.any_path(g)
  if path:match("^/zookeeper") then
    path = "/zookeeper/config" -- the others may be changed, and would stay so
  end
  local node = g.model:node(path)
  local record = {
    op = 5, path = path, data = arguments.data(g),
    version = arguments.version(g, node and node.version),
  }
  if node and (record.version == -1 or record.version == node.version) then
    node.version = node.version + 1
  end
  return record
end

function requests.set_acl(g)
  local path = g.random:chance(30) and arguments.any_path(g) or arguments.own_path(g)
  if path == g.root or path:match("^/zookeeper") then
    path = g.root .. "/void"
  end
  local node = g.model:node(path)
  local record = {
    op = 7, path = path, acl = arguments.acl_for(g, path),
    version = arguments.version(g, node and node.aversion),
  }
  if g.random:chance(2) then
    record.path, record.acl, node = g.root .. "/void/x", arguments.IPV6_ACL, nil
  end
  if node and record.acl and (record.version == -1 or record.version == node.aversion) then
    node.aversion = node.aversion + 1
  end
  return record
end

--- The servers' own; refused when it comes from a client.
function requests.delete_container(g)
  return { op = 20, path = arguments.any_path(g) }
end

--- Only for use inside a multi: alone and successful it would end an Apache server for good.
function requests.check(g)
  local path = arguments.any_path(g)
  local node = g.model:node(path)
  return { op = 13, path = path, version = arguments.version(g, node and node.version) }
end

--- Flags that fail the multi as a whole are left to requests.bad_multi.
local function multi_create(g, connection)
  local record = requests.create(g, connection, true)
  if record.op == 21 and record.flags < 5 then
    record.flags = 5
  elseif record.op ~= 21 and (record.flags < 0 or record.flags > 4) then
    record.flags = 0
  end
  return record
end

-- Under a quota Apache judges each operation by what was used before the multi, we by what those
-- before it leave: so there is one that counts.
local function quota_multi(g, connection)
  local write = g.random:pick({ multi_create, requests.delete, requests.set_data })
  return { op = 14, operations = { requests.check(g), write(g, connection), requests.check(g) } }
end

function requests.multi(g, connection)
  if g.quota then
    return quota_multi(g, connection)
  end
  local operations, before = {}, g.careful
  g.careful = g.random:chance(70)
  for i = 1, g.random:weighted({ 1, 0, 4, 1, 8, 2, 6, 3, 3, 5, 1, 8 }) do
    local build = g.random:weighted({
      8, multi_create, 4, requests.delete, 6, requests.set_data, 5, requests.check,
    })
    operations[i] = build(g, connection)
  end
  g.careful = before
  return { op = 14, operations = operations }
end

--- A flag that does not exist, or asks for a ttl where none can be, inside a multi.
function requests.bad_multi(g)
  local flags = g.random:pick(g.random:chance(50) and arguments.BAD_FLAGS or { 5, 6 })
  return { op = 14, operations = {
    { op = 5, path = g.root, data = "never", version = -1 },
    { op = g.random:pick({ 1, 15 }), path = g.root .. "/z", data = "x", acl = OPEN,
      flags = flags },
    { op = 5, path = g.root, data = "never", version = -1 },
  } }
end

-- Quotas ------------------------------------------------------------------------------------------
-- Only text that parses, and never the limits of the tree itself: both would end an Apache server
-- for good.

local function limits(g)
  local count, bytes = g.random:pick({ -1, 3, 6, 10 }), g.random:pick({ -1, 20, 60, 4000 })
  local text = ("count=%d,bytes=%d"):format(count, bytes)
  if g.random:chance(70) then
    text = ("%s=;byteHardLimit=%d;countHardLimit=%d"):format(text, bytes, count)
  end
  return text
end

--- The nodes that put a quota on the root or on what may be below it.
function requests.quota(g)
  local base = "/zookeeper/quota" .. g.root
  local list = { { op = 1, path = base, data = "", acl = OPEN, flags = 0 } }
  if g.random:chance(30) then
    base = base .. "/a"
    list[2] = { op = 1, path = base, data = "", acl = OPEN, flags = 0 }
  end
  local two = {
    { op = 1, path = base .. "/zookeeper_limits", data = limits(g), acl = OPEN, flags = 0 },
    { op = 1, path = base .. "/zookeeper_stats", data = "count=0,bytes=0", acl = OPEN,
      flags = 0 },
  }
  local first = g.random:below(2) + 1
  list[#list + 1], list[#list + 2] = two[first], two[3 - first]
  g.quota = base
  return list
end

--- Looks at a quota or changes it.
function requests.use_quota(g)
  local which = g.random:below(10)
  if which < 7 then
    return { op = 4, path = g.quota .. "/zookeeper_stats" }
  elseif which < 9 then
    return { op = 5, path = g.quota .. "/zookeeper_limits", data = limits(g), version = -1 }
  end
  return { op = 2, path = g.quota .. "/zookeeper_limits", version = -1 }
end

for name, build in pairs(reads) do
  requests[name] = build
end

return requests
