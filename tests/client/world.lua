--- A client core, a peer whose part the spec plays, and a clock that the spec moves.
---
--- Every event passes through `check`, which knows what a client promises: specs need not
--- repeat it, and cannot forget it.
local codec = require("wire.codec")
local testing = require("zklua_testing")
local wire = testing.wire

local world = {}
world.__index = world

world.op = {
  create = 1, delete = 2, exists = 3, get = 4, set = 5, get_acl = 6, set_acl = 7,
  get_children = 8, sync = 9, ping = 11, children = 12, check = 13, multi = 14, create2 = 15,
  reconfig = 16, check_watches = 17, remove_watches = 18, container = 19, ttl = 21,
  multi_read = 22, auth = 100, set_watches = 101, sasl = 102, ephemerals = 103, count = 104,
  set_watches2 = 105, add_watch = 106, whoami = 107, close = -11,
}
world.xid = { watch = -1, ping = -2, auth = -4, set_watches = -8 }
world.kind = { data = 1, exist = 2, child = 4, persistent = 8, recursive = 16 }
world.type = { created = 1, deleted = 2, changed = 3, children = 4, gap = 100 }
world.SESSION = "0x1000123456789ab"
world.PASSWORD = "0123456789abcdef"
world.OPEN_ACL = { { permissions = 31, scheme = "world", id = "anyone" } }
world.STAT = { czxid = "0x100000002", version = 1 }

local FINAL = { expired = true, authfailed = true, closed = true }
local MOVES = {
  connecting = { connected = true, readonly = true, expired = true, authfailed = true,
    closed = true },
  connected = { disconnected = true, expired = true, authfailed = true, closed = true },
  readonly = { disconnected = true, expired = true, authfailed = true, closed = true },
  disconnected = { connected = true, readonly = true, expired = true, authfailed = true,
    closed = true },
}

---@param options table|nil  as for testing.client.new
function world.new(options)
  local all = { endpoints = { "a:1" }, timeout = 9000, now = 1000, seed = 1 }
  for name, value in pairs(options or {}) do
    all[name] = value
  end
  local self = setmetatable({
    now = all.now, inbox = {}, open_links = {}, outstanding = {}, outstanding_count = 0,
    state = "connecting", timeout = all.timeout, zxid = 4294967296,
  }, world)
  self.client = assert(testing.client.new(all))
  return self
end

--- A frame made of records, with its length.
function world.frame(...)
  return (wire.encode({ ... }, true))
end

-- --- what a client promises ------------------------------------------------------------

function world:check(event)
  assert(not self.ended, "an event after END")
  if FINAL[self.state] then
    assert(event.kind == "reply" or event.kind == "end", event.kind .. " after " .. self.state)
  end
  if event.kind == "connect" then
    assert(not self.open_links[event.link], "a link twice")
    assert(event.link > (self.last_link or 0), "link numbers grow")
    assert(event.not_before >= self.now - 1000, "a connect in the past")
    self.open_links[event.link] = true
    self.last_link = event.link
    self.waiting_connect = event
  elseif event.kind == "disconnect" then
    assert(self.open_links[event.link], "a disconnect of no link")
    self.open_links[event.link] = nil
    if self.waiting_connect and self.waiting_connect.link == event.link then
      self.waiting_connect = nil
    end
  elseif event.kind == "state" then
    assert(MOVES[self.state][event.state], self.state .. " to " .. event.state)
    self.state = event.state
    if FINAL[self.state] then
      assert(next(self.open_links) == nil, "a link is open after the end")
    end
  elseif event.kind == "reply" then
    assert(self.outstanding[event.xid], "a reply to no request: " .. event.xid)
    self.outstanding[event.xid] = nil
    self.outstanding_count = self.outstanding_count - 1
  elseif event.kind == "end" then
    assert(FINAL[self.state], "END while " .. self.state)
    assert(next(self.outstanding) == nil, "END before all replies")
    self.ended = true
  end
  return event
end

--- Takes all events; gives them as a list.
function world:drain()
  local events = {}
  while true do
    local event = self.client:event()
    if not event then
      break
    end
    events[#events + 1] = self:check(event)
  end
  local info = self.client:info()
  assert(info.state == self.state, "info says " .. info.state .. ", events " .. self.state)
  assert(info.pending == self.outstanding_count, "pending " .. info.pending)
  local deadline = self.client:deadline()
  assert(deadline == nil or deadline > self.now, "something is due, but there is no event")
  return events
end

--- The events in short: "connect", "reply 3 NONODE", "state connected", "watch 3 /a".
function world.brief(events)
  local list = {}
  for i, event in ipairs(events) do
    local text = event.kind
    if text == "state" then
      text = "state " .. event.state
    elseif text == "reply" then
      text = ("reply %d %s"):format(event.xid, event.code or event.number)
    elseif text == "watch" then
      text = ("watch %d %s"):format(event.type, event.path)
    elseif text == "disconnect" then
      text = "disconnect " .. event.reason
    end
    list[i] = text
  end
  return list
end

function world:events()
  return world.brief(self:drain())
end

-- --- time --------------------------------------------------------------------------------

--- Moves the clock and says so.
function world:at(now)
  self.now = now
  self.client:set_time(now)
  self.client:tick()
end

function world:after(ms)
  self:at(self.now + ms)
end

--- Goes from deadline to deadline until `stop(events)` is true; gives those events.
function world:run_until(stop, steps)
  for _ = 1, steps or 1000 do
    local events = self:drain()
    if stop(events) then
      return events
    end
    local deadline = assert(self.client:deadline(), "nothing will happen any more")
    self:at(deadline)
  end
  error("it did not happen in " .. (steps or 1000) .. " steps", 2)
end

-- --- the peer's hand ---------------------------------------------------------------------

--- Whole frames' bodies, and the bytes behind them.
local function split(bytes)
  local bodies = {}
  while true do
    local what, size = wire.frame_peek(bytes, 100000000)
    if what ~= "whole" then
      assert(what == "partial", "the client wrote a frame that is " .. what)
      return bodies, bytes
    end
    bodies[#bodies + 1] = bytes:sub(5, 4 + size)
    bytes = bytes:sub(5 + size)
  end
end

--- Takes what the client writes on `link`, as { xid=, op=, request= } or, for the first
--- frame, the connect request itself.
function world:take(link)
  link = link or self.link
  local pieces = {}
  while true do
    local bytes = self.client:output(link)
    if not bytes then
      break
    end
    pieces[#pieces + 1] = bytes
    self.client:sent(link, #bytes)
  end
  return self:read(link, table.concat(pieces))
end

--- Reads what the client has written on `link`: pieces of any size.
function world:read(link, bytes)
  local inbox = self.inbox[link] or { bytes = "", begun = false }
  self.inbox[link] = inbox
  inbox.bytes = inbox.bytes .. bytes
  local bodies, taken = nil, {}
  bodies, inbox.bytes = split(inbox.bytes)
  for i, body in ipairs(bodies) do
    if not inbox.begun then
      inbox.begun = true
      taken[i] = assert(wire.decode(body, "connect_request"))
    else
      local header, left = wire.decode(body, "request_header")
      local request = wire.decode(body:sub(#body - left + 1), "request", header.op)
      taken[i] = { xid = header.xid, op = header.op, request = assert(request) }
    end
  end
  return taken
end

function world:feed(bytes, link)
  assert(self.client:feed(link or self.link, bytes))
end

--- Waits for the client to ask for a link, opens it and gives its ConnectRequest.
function world:open()
  self:drain()
  local connect = assert(self.waiting_connect, "the client asks for no link")
  self.waiting_connect = nil
  self.endpoint = connect.endpoint
  self.link = connect.link
  if connect.not_before > self.now then
    self:at(connect.not_before)
  end
  self.client:connected(self.link)
  return self:take()[1]
end

--- The ConnectResponse as a frame. Fields: timeout_ms, session_id, password, readonly.
function world.session_frame(fields)
  local response = { timeout_ms = 9000, session_id = world.SESSION, password = world.PASSWORD,
    has_readonly = true }
  for name, value in pairs(fields or {}) do
    response[name] = value
  end
  return world.frame({ "connect_response", response })
end

--- Opens a link and grants a session; gives the events of that.
function world:attach(fields)
  local request = self:open()
  self:feed(world.session_frame(fields))
  return self:drain(), request
end

--- A reply as a frame. `result` nil: header only.
function world.reply_frame(xid, op, result, code, zxid)
  local header = { xid = xid, code = code or 0, zxid = zxid or 0 }
  if result == nil or (code or 0) ~= 0 then
    return world.frame({ "reply_header", header })
  end
  result.op = op
  return world.frame({ "reply_header", header }, { "result", result })
end

function world.watch_frame(type, path, zxid)
  return world.frame({ "reply_header", { xid = -1, zxid = zxid or "0xffffffffffffffff" } },
    { "watch_event", { type = type, state = 3, path = path } })
end

--- A result that an operation may have.
function world.some_result(op, path)
  local results = {
    [1] = { path = path }, [3] = { stat = world.STAT }, [4] = { data = "hi", stat = world.STAT },
    [5] = { stat = world.STAT }, [6] = { items = world.OPEN_ACL, stat = world.STAT },
    [7] = { stat = world.STAT }, [8] = { items = { "x", "yy" } }, [9] = { path = path },
    [12] = { items = { "x", "yy" }, stat = world.STAT }, [14] = { items = {} },
    [15] = { path = path, stat = world.STAT }, [16] = { data = "", stat = world.STAT },
    [19] = { path = path, stat = world.STAT }, [21] = { path = path, stat = world.STAT },
    [22] = { items = {} }, [103] = { items = { "/e" } }, [104] = { number = 3 },
    [106] = { number = 0 }, [107] = { items = { { scheme = "ip", user = "127.0.0.1" } } },
  }
  return results[op]
end

--- Answers one taken request as a server would.
function world:answer(taken, code, result)
  self.zxid = self.zxid + 1
  local out_of_band = taken.xid < 0
  if not result and not out_of_band then
    result = world.some_result(taken.op, taken.request.path)
  end
  self:feed(world.reply_frame(taken.xid, taken.op, result, code,
    out_of_band and 0 or self.zxid))
end

--- Answers everything that was written.
function world:answer_all()
  for _, taken in ipairs(self:take()) do
    self:answer(taken)
  end
end

-- --- requests ------------------------------------------------------------------------------

---@return number|nil xid, string|nil status
function world:submit(request, options)
  local xid, status = self.client:submit(request, options)
  if xid then
    assert(not self.outstanding[xid], "an xid twice")
    self.outstanding[xid] = true
    self.outstanding_count = self.outstanding_count + 1
  end
  return xid, status
end

function world:get(path, watch, options)
  return self:submit({ op = world.op.get, path = path, watch = watch }, options)
end

function world:exists(path, watch, options)
  return self:submit({ op = world.op.exists, path = path, watch = watch }, options)
end

function world:children(path, watch, options)
  return self:submit({ op = world.op.children, path = path, watch = watch }, options)
end

function world:create(path, options)
  return self:submit({ op = world.op.create, path = path, data = "d", acl = world.OPEN_ACL },
    options)
end

function world:add_watch(path, recursive, options)
  return self:submit({ op = world.op.add_watch, path = path, kind = recursive and 1 or 0 },
    options)
end

function world:auth(credential, options)
  return self:submit({ op = world.op.auth, scheme = "digest", data = credential }, options)
end

--- Loses the link as a driver reports it; gives the events.
function world:lose(link)
  self.client:disconnected(link or self.link)
  return self:drain()
end

--- Submits, answers and takes the events: the request with its watch is in place.
function world:ask(submit, ...)
  local xid = assert(submit(self, ...))
  self:answer_all()
  local events = self:drain()
  assert(events[1] and events[1].xid == xid, "no answer")
  return events[1]
end

--- Frees the client; nothing may be left.
function world:free()
  local memory = self.client:free()
  assert(memory.bytes == 0 and memory.blocks == 0,
    ("%d bytes in %d blocks are left"):format(memory.bytes, memory.blocks))
end

world.codec = codec
return world
