--- A server core, the log behind it and clients on its connections, all in the spec's hand: the
--- time, what is durable when, and in which pieces bytes arrive.
local codec = require("wire.codec")
local testing = require("zklua_testing")
local wire = testing.wire

local host = {}
host.__index = host

host.op = {
  create = 1, delete = 2, exists = 3, get = 4, set = 5, get_acl = 6, set_acl = 7,
  get_children = 8, sync = 9, ping = 11, children = 12, check = 13, multi = 14, create2 = 15,
  reconfig = 16, check_watches = 17, remove_watches = 18, container = 19, delete_container = 20,
  ttl = 21, multi_read = 22, auth = 100, set_watches = 101, sasl = 102, ephemerals = 103,
  count = 104, set_watches2 = 105, add_watch = 106, whoami = 107, close = -11,
}
host.OPEN_ACL = { { permissions = 31, scheme = "world", id = "anyone" } }
host.NOW, host.WALL = 1000000, 1700000000000

local EVENTS = { "created", "deleted", "changed", "children" }
local XIDS = { ping = -2, auth = -4, set_watches = -8, set_watches2 = -8 }

---@param options table|nil  as for testing.server.new; split: bytes arrive one by one
function host.new(options)
  local all = { now = host.NOW, wall = host.WALL, tick = 2000, seed = 7, version = "3.9.5",
    secret = ("s"):rep(20) }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  local self = setmetatable({ now = all.now, split = all.split, clients = {}, shown = {},
    payloads = {} }, host)
  self.server = assert(testing.server.new(all))
  self:set_time(all.now)
  self.server:start()
  return self
end

--- Frees the server; nothing may be left.
function host:free()
  local memory = self.server:free()
  assert(memory.bytes == 0 and memory.blocks == 0,
    ("%d bytes in %d blocks are left"):format(memory.bytes, memory.blocks))
end

--- A frame made of records, with its length.
function host.frame(...)
  return (wire.encode({ ... }, true))
end

function host.request_frame(xid, op, fields)
  local request = { op = op }
  for name, value in pairs(fields or {}) do
    request[name] = value
  end
  return host.frame({ "request_header", { xid = xid, op = op } }, { "request", request })
end

-- --- time and the log --------------------------------------------------------------------

function host:set_time(now)
  self.now = now
  self.server:set_time(now, host.WALL + now - host.NOW)
end

--- Lets time pass as a driver does: from deadline to deadline, never late.
function host:after(ms)
  local until_ms = self.now + ms
  while true do
    local deadline = self.server:deadline()
    if not deadline or deadline > until_ms then
      break
    end
    self:set_time(math.max(deadline, self.now))
    self.server:tick()
    self:settle()
    assert((self.server:deadline() or self.now + 1) > self.now, "a deadline that does not move")
  end
  self:set_time(until_ms)
end

--- Takes what was prepared into the log: not durable yet. Gives the number of transactions.
function host:log()
  local count = 0
  while true do
    local zxid, payload = self.server:next_txn()
    if not zxid then
      return count
    end
    count = count + 1
    self.shown[#self.shown + 1] = zxid
    self.payloads[#self.payloads + 1] = payload
  end
end

--- The disk is done with the next `count` transactions of the log, or with all.
function host:commit(count)
  local zxid
  for _ = 1, count or #self.shown do
    zxid = table.remove(self.shown, 1)
  end
  if zxid then
    self.server:committed(zxid)
  end
  self:drain()
end

--- Everything that was asked becomes durable and is answered, and what that lets in too.
function host:settle()
  self:drain()
  while self:log() > 0 or #self.shown > 0 do
    self:commit()
  end
end

-- --- connections -----------------------------------------------------------------------------

local client = {}
client.__index = client

---@param peer table|nil  { address = bytes, port = number }
function host:connect(peer)
  peer = peer or {}
  local number, status = self.server:accept(peer.address, peer.port)
  if not number then
    return nil, status
  end
  local self_client = setmetatable({ host = self, number = number, xid = 0, bytes = "",
    asked = {}, all = {} }, client)
  self.clients[number] = self_client
  return self_client
end

--- A connection with a session of its own.
function host:attach(fields, peer)
  local c = assert(self:connect(peer))
  c:handshake(fields)
  self:settle()
  local answer = c:receive()[1]
  assert(answer and answer.session, "no session")
  c.session, c.password = answer.session, answer.password
  return c
end

--- Writes out what there is to write, as a driver would, and closes what is to be closed.
function host:drain()
  while true do
    local number = self.server:next_connection()
    if not number then
      return
    end
    local c = self.clients[number]
    if c and not c.stuck then
      c:take_output()
    end
    if c and not c.gone then
      local ending = self.server:ending(number)
      if ending == "at once" or
        (ending == "after output" and not self.server:output(number)) then
        c:close(ending)
      end
    end
  end
end

--- The news since the last call, as "kind session number".
function host:news()
  local list = {}
  while true do
    local event = self.server:event()
    if not event then
      return list
    end
    list[#list + 1] = event.kind
  end
end

function client:take_output()
  local server = self.host.server
  while true do
    local bytes = server:output(self.number)
    if not bytes then
      return
    end
    self.bytes = self.bytes .. bytes
    server:sent(self.number, #bytes)
  end
end

--- The other end of the connection is gone, or the driver has closed it.
function client:close(how)
  self.gone = how or "peer"
  self.host.clients[self.number] = nil
  self.host.server:closed(self.number)
end

--- Bytes arrive: at once, or one by one with the host's `split`.
function client:feed(bytes)
  local h = self.host
  if not h.split then
    if not self.gone then
      h.server:feed(self.number, bytes)
    end
    return h:drain()
  end
  for i = 1, #bytes do
    if self.gone then
      return
    end
    h.server:feed(self.number, bytes:sub(i, i))
    h:drain()
  end
end

--- Fields: timeout_ms, session_id, password, last_zxid_seen, has_readonly.
function client:handshake(fields)
  local request = { timeout_ms = 10000, password = ("\0"):rep(16), has_readonly = true }
  for name, value in pairs(fields or {}) do
    request[name] = value
  end
  self.old = not request.has_readonly
  self:feed(host.frame({ "connect_request", request }))
end

--- Sends a request by the name of its operation; gives its xid.
function client:send(name, fields, xid)
  local op = assert(host.op[name], name)
  if not xid then
    xid = XIDS[name]
  end
  if not xid then
    self.xid = self.xid + 1
    xid = self.xid
  end
  self:expect(xid, op)
  self:feed(host.request_frame(xid, op, fields))
  return xid
end

--- The answer with this xid is one to `op`.
function client:expect(xid, op)
  self.asked[xid] = self.asked[xid] or {}
  table.insert(self.asked[xid], op)
end

function client:create(path, fields)
  local request = { path = path, data = "d", acl = host.OPEN_ACL }
  for name, value in pairs(fields or {}) do
    request[name] = value
  end
  return self:send("create", request)
end

function client:get(path, watch)
  return self:send("get", { path = path, watch = watch })
end

function client:set(path, data)
  return self:send("set", { path = path, data = data, version = -1 })
end

-- --- what clients get ---------------------------------------------------------------------------

local function read_connect(body)
  local response = assert(wire.decode(body, "connect_response"))
  return { session = response.timeout_ms and response.session_id, refused = not
    response.timeout_ms, timeout = response.timeout_ms, password = response.password,
    size = #body }
end

function client:read_reply(body)
  local header, left = assert(wire.decode(body, "reply_header"))
  local answer = { xid = header.xid or 0, zxid = header.zxid or "0x0", code = header.code or 0 }
  local record = body:sub(#body - left + 1)
  if answer.xid == -1 then
    local event, rest = assert(wire.decode(record, "watch_event"))
    assert(rest == 0 and event.state == 3)
    answer.event, answer.path = EVENTS[event.type], event.path
    return answer
  end
  answer.op = table.remove(assert(self.asked[answer.xid], "no such request: " .. answer.xid), 1)
  assert(answer.op, "answered twice: " .. answer.xid)
  if #record > 0 then
    assert(answer.code == 0, "an error with a record")
    local rest
    answer.result, rest = assert(wire.decode(record, "result", answer.op))
    assert(rest == 0, "bytes behind the record")
  end
  return answer
end

--- The answers and events that have arrived since the last call.
function client:receive()
  local list, at = {}, 1
  while #self.bytes - at >= 3 do
    local a, b, c, d = self.bytes:byte(at, at + 3)
    local size = ((a * 256 + b) * 256 + c) * 256 + d
    if #self.bytes - at - 3 < size then
      break
    end
    local body = self.bytes:sub(at + 4, at + 3 + size)
    at = at + 4 + size
    if not self.begun then
      self.begun = true
      list[#list + 1] = read_connect(body)
    else
      list[#list + 1] = self:read_reply(body)
    end
  end
  self.bytes = self.bytes:sub(at)
  return list
end

--- The same in short: "session", "refused", "3 OK", "4 NONODE", "event changed /a".
function client:brief()
  local list = {}
  for i, answer in ipairs(self:receive()) do
    if answer.refused ~= nil then
      list[i] = answer.refused and "refused" or "session"
    elseif answer.event then
      list[i] = ("event %s %s"):format(answer.event, answer.path)
    else
      list[i] = ("%d %s"):format(answer.xid, wire.code_name(answer.code))
    end
  end
  return list
end

--- One request, made durable and answered; gives its answer.
function client:ask(name, fields, xid)
  local sent = self:send(name, fields, xid)
  self.host:settle()
  local found
  for _, answer in ipairs(self:receive()) do
    if answer.xid == sent then
      assert(not found, "answered twice")
      found = answer
    else
      self.all[#self.all + 1] = answer
    end
  end
  return assert(found, "not answered")
end

--- The name of the code that one request was answered with.
function client:code(name, fields, xid)
  return wire.code_name(self:ask(name, fields, xid).code)
end

host.codec = codec
--- The answer to a four-letter word; the connection has to be closed behind it. `split`: it
--- arrives byte by byte.
function host:ask(word, split)
  local c = assert(self:connect())
  self.split = split
  c:feed(word)
  self.split = nil
  assert(c.gone == "after output", c.gone)
  return c.bytes
end

function host.lines(text)
  local list = {}
  for line in text:gmatch("([^\n]*)\n") do
    list[#list + 1] = line
  end
  return list
end

return host
