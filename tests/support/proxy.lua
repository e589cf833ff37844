--- A TCP proxy before a server, for specs that need a reply to be lost at a chosen moment.
---
--- It reads the frames that pass, so that a spec can say "the reply to the next create" instead of
--- counting bytes, and it counts requests by operation. It runs on the loop of the spec, so it
--- moves only while the spec waits.
local uv = require("luv")

local OPS = {
  [1] = "create", [2] = "delete", [3] = "exists", [4] = "get", [5] = "set", [6] = "get_acl",
  [7] = "set_acl", [8] = "children", [9] = "sync", [11] = "ping", [12] = "children",
  [13] = "check", [14] = "multi", [15] = "create", [19] = "create", [21] = "create",
  [22] = "multi_read", [100] = "auth", [101] = "set_watches", [105] = "set_watches",
  [106] = "add_watch", [18] = "remove_watches", [-11] = "close",
}

local proxy = {}

local function i32(text, at)
  local a, b, c, d = text:byte(at, at + 3)
  local value = ((a * 256 + b) * 256 + c) * 256 + d
  return value >= 2 ^ 31 and value - 2 ^ 32 or value
end

-- Calls frame(bytes with length) for each whole frame; keeps the rest.
local function splitter(frame)
  local kept = ""
  return function(bytes)
    kept = kept .. bytes
    while #kept >= 4 do
      local size = i32(kept, 1) + 4
      if #kept < size then
        return
      end
      local whole = kept:sub(1, size)
      kept = kept:sub(size + 1)
      frame(whole)
    end
  end
end

---@class tests.Proxy
---@field port integer
---@field connect_string string
---@field counts table<string, integer>  requests that reached the server, by operation
local Proxy = {}
Proxy.__index = Proxy

local function close_handle(handle)
  if not handle:is_closing() then
    handle:close()
  end
end

local function cut(connection)
  if connection.open then
    connection.open = false
    close_handle(connection.client)
    close_handle(connection.server)
    connection.proxy._connections[connection] = nil
  end
end

local function send(connection, handle, bytes)
  if not connection.open then
    return
  elseif connection.proxy._held then
    table.insert(connection.proxy._held, function()
      send(connection, handle, bytes)
    end)
  else
    handle:write(bytes)
  end
end

-- The rule that this frame meets, taken off when its turn has come.
local function matching_rule(self, side, op)
  for i, rule in ipairs(self._rules) do
    if rule.side == side and rule.op == op then
      rule.nth = rule.nth - 1
      if rule.nth == 0 then
        table.remove(self._rules, i)
        return rule
      end
    end
  end
end

-- Cuts, or holds from this frame on; true when the frame must not be passed now.
local function obey(connection, rule, handle, frame)
  local self = connection.proxy
  self.hits = self.hits + 1
  if rule.hold then
    self:pause()
    send(connection, handle, frame)
  else
    cut(connection)
  end
end

local function on_request(connection)
  local shaken = false
  return splitter(function(frame)
    if not connection.open then
      return
    end
    local op
    if shaken then
      local xid = i32(frame, 5)
      op = OPS[i32(frame, 9)] or "other"
      connection.ops[xid] = op
      local rule = matching_rule(connection.proxy, "request", op)
      if rule then
        return obey(connection, rule, connection.server, frame)
      end
      local counts = connection.proxy.counts
      counts[op] = (counts[op] or 0) + 1
    end
    shaken = true
    send(connection, connection.server, frame)
  end)
end

local function on_reply(connection)
  local shaken = false
  return splitter(function(frame)
    if not connection.open then
      return
    end
    if shaken then
      local xid = i32(frame, 5)
      local op = connection.ops[xid]
      connection.ops[xid] = nil
      local rule = op and matching_rule(connection.proxy, "reply", op)
      if rule then
        return obey(connection, rule, connection.client, frame)
      end
    end
    shaken = true
    send(connection, connection.client, frame)
  end)
end

local function pump(connection, from, feed)
  from:read_start(function(failure, bytes)
    if failure or not bytes then
      cut(connection)
    else
      feed(bytes)
    end
  end)
end

local function accept(self)
  local client, server = uv.new_tcp(), uv.new_tcp()
  self._listener:accept(client)
  if self._refusing then
    return close_handle(client), close_handle(server)
  end
  local connection = { proxy = self, client = client, server = server, open = true, ops = {} }
  self._connections[connection] = true
  self.accepted = self.accepted + 1
  client:nodelay(true)
  server:connect("127.0.0.1", self._target, function(failure)
    if failure or not connection.open then
      return cut(connection)
    end
    server:nodelay(true)
    pump(connection, client, on_request(connection))
    pump(connection, server, on_reply(connection))
  end)
end

--- A proxy before `server` (anything with a `port`).
---@return tests.Proxy
function proxy.start(server)
  local self = setmetatable({ _target = server.port, _connections = {}, _rules = {}, counts = {},
    hits = 0, accepted = 0, _listener = uv.new_tcp() }, Proxy)
  assert(self._listener:bind("127.0.0.1", 0))
  assert(self._listener:listen(128, function(failure)
    if not failure then
      accept(self)
    end
  end))
  self.port = self._listener:getsockname().port
  self.connect_string = "127.0.0.1:" .. self.port
  return self
end

--- Breaks all connections now.
function Proxy:cut()
  for connection in pairs(self._connections) do
    cut(connection)
  end
end

local function add_rule(self, side, op, nth, hold)
  table.insert(self._rules, { side = side, op = op, nth = nth or 1, hold = hold })
end

--- Lets the server see the nth next request of this kind and breaks the connection instead of
--- passing its reply: applied, and the client cannot know. `hits` counts when it has happened.
---@param op string
---@param nth integer|nil  default 1
function Proxy:lose_reply(op, nth)
  add_rule(self, "reply", op, nth)
end

--- Breaks the connection instead of passing the nth next request of this kind: not applied.
function Proxy:lose_request(op, nth)
  add_rule(self, "request", op, nth)
end

--- Pauses as soon as the nth next reply of this kind would pass; `resume` lets it through.
function Proxy:hold_reply(op, nth)
  add_rule(self, "reply", op, nth, true)
end

--- Pauses as soon as the nth next request of this kind would pass.
function Proxy:hold_request(op, nth)
  add_rule(self, "request", op, nth, true)
end

--- Connections stay open and nothing passes, either way, until `resume`.
function Proxy:pause()
  self._held = self._held or {}
end

function Proxy:resume()
  local held = self._held or {}
  self._held = nil
  for _, go in ipairs(held) do
    go()
  end
end

--- Closes new connections at once, until `refuse(false)`.
function Proxy:refuse(on)
  self._refusing = on ~= false
end

--- How many requests reached the server since the last call, but for keep-alive and handshakes.
---@return integer total, table<string, integer> counts
function Proxy:take_counts()
  local counts, total = self.counts, 0
  self.counts = {}
  for op, count in pairs(counts) do
    if op ~= "ping" and op ~= "set_watches" and op ~= "auth" then
      total = total + count
    end
  end
  return total, counts
end

function Proxy:stop()
  self:cut()
  close_handle(self._listener)
end

return proxy
