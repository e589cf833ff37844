--- A server whose requests go straight to prep, for specs: nothing is durable before `commit`.
local assert = require("luassert")
local frames = require("support.frames")
local prep = require("zklua_testing").prep
local txn = require("zklua_testing").txn
local wire = require("zklua_testing").wire

local prepared = {}

local function acl(permissions, scheme, id)
  return { permissions = permissions, scheme = scheme, id = id }
end

prepared.open_acl = { acl(31, "world", "anyone") }
prepared.read_acl = { acl(1, "world", "anyone") }
prepared.acl = acl

--- Requests as tables. `more` overrides fields; false is the protocol's null.
local function request(fields, more)
  for name, value in pairs(more or {}) do
    fields[name] = value
  end
  if fields.path == false then
    fields.path = nil
  end
  return fields
end

function prepared.create(path, more)
  return request({ op = 1, path = path, data = "", acl = prepared.open_acl }, more)
end

function prepared.delete(path, version)
  return request({ op = 2, path = path, version = version or -1 })
end

function prepared.set(path, data, version)
  return request({ op = 5, path = path, data = data, version = version or -1 })
end

function prepared.set_acl(path, list, version)
  return request({ op = 7, path = path, acl = list, version = version or -1 })
end

function prepared.check(path, version)
  return request({ op = 13, path = path, version = version or -1 })
end

function prepared.multi(...)
  return { op = 14, operations = { ... } }
end

local World = {}
World.__index = World

--- A world around a core of zklua_testing.prep that is ready to start.
function prepared.around(core)
  core:start()
  local world = setmetatable({ core = core }, World)
  world.connection, world.session_id, world.first_entry = core:open()
  return world
end

--- A started server with one session. Fields of `options` as for zklua_testing.prep.new.
function prepared.new(options)
  options = options or {}
  options.now, options.wall = options.now or 1000, options.wall or 882976
  options.seed = options.seed or 11
  return prepared.around(prep.new(options))
end

--- Prepares one request and gives the code of its answer, and its proposal. Of a multi that
--- failed the code is that of the first operation that did, with its place from 1.
function World:ask(fields, connection)
  local status, code = self.core:ask(connection or self.connection, fields)
  assert.are.equal("OK", status)
  assert.are.equal(0, code)
  local proposal = self.core:last()
  if proposal.op == 14 and proposal.failed_index < proposal.changes then
    return proposal.failed_code, proposal, proposal.failed_index + 1
  end
  return proposal.code, proposal
end

--- Prepares requests that have to succeed.
function World:made(...)
  for i, fields in ipairs({ ... }) do
    local code = self:ask(fields)
    if code ~= 0 then
      error(("request %d, %s: code %d"):format(i, fields.path or "multi", code), 2)
    end
  end
  return self
end

--- An entry of the log as fields.
function prepared.decode(payload)
  return (assert(txn.decode(payload)))
end

--- Shows all that waits to the log and gives it: { zxid, payload } each.
function World:log()
  local entries = {}
  while true do
    local zxid, payload = self.core:next()
    if not zxid then
      return entries
    end
    entries[#entries + 1] = { zxid = zxid, payload = payload }
  end
end

--- What a connection was sent since the last call: events as { type, path }, answers as
--- { xid, code, body }.
function World:heard(connection)
  local heard = {}
  for i, body in ipairs(frames.split(self.core:sent(connection or self.connection))) do
    local header = assert(wire.decode(body:sub(1, 16), "reply_header"))
    if header.xid == -1 then
      local event = assert(wire.decode(body:sub(17), "watch_event"))
      heard[i] = { event.type, event.path, zxid = header.zxid }
    else
      heard[i] = { xid = header.xid, code = header.code or 0, zxid = header.zxid,
        body = body:sub(17) }
    end
  end
  return heard
end

--- The names of a node's children, in order.
function World:children(path)
  local names = {}
  for name in pairs(self.core:tree()) do
    local parent, child = name:match("^(.*)/([^/]+)$")
    if child and (parent == "" and "/" or parent) == path then
      names[#names + 1] = child
    end
  end
  table.sort(names)
  return names
end

function World:free()
  return self.core:free()
end

return prepared
