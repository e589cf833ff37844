--- Plays sequences on one server and writes down all that it says.
---
--- A transcript has one stream per connection, in the order of arrival, of these items:
---   { kind = "connect", body =, session = }   the answer to a handshake
---   { kind = "reply", body =, request = }     request: the step's request it belongs to
---   { kind = "event", body = }
---   { kind = "stray", body = }                belongs to no request
---   { kind = "silence", missing = n }         requests that were not answered
---   { kind = "mark", unordered = bool }       all events of what came before are in
---   { kind = "end" }                          closed, by whichever side
--- and in `tree` the replies to a walk over all that the sequence left behind.
---
--- All methods that talk run inside a coroutine.
local codec = require("wire.codec")
local link = require("differential.link")
local wire = require("zklua_testing").wire

local player = {}

local EVENT, PING, HEADER_SIZE = -1, -2, 16
local ZERO_PASSWORD = ("\0"):rep(16)
local WRONG_PASSWORD = ("\1"):rep(16)
local CLOSE_SESSION, CHECK = -11, 13
local JANITOR_TIMEOUT_MS = 60000
local TIMEOUT_MS = 40000
local WORLD = { { permissions = 31, scheme = "world", id = "anyone" } }

local function i32_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  local number = ((a * 256 + b) * 256 + c) * 256 + d
  return number >= 2 ^ 31 and number - 2 ^ 32 or number
end

local function zxid_of(body)
  return "0x" .. codec.hex(body:sub(5, 12))
end

-- One connection ----------------------------------------------------------------------------------

local Peer = {}
Peer.__index = Peer

local function on_frame(self, body)
  if self.handshaking then
    self.handshaking = false
    self:note({ kind = "connect", body = body, session = self.session })
    return
  end
  local xid = #body >= HEADER_SIZE and i32_at(body, 1)
  if xid == EVENT then
    self:note({ kind = "event", body = body })
    return
  end
  for i, pending in ipairs(self.pending) do
    if (pending.special or pending.xid) == xid then
      table.remove(self.pending, i)
      if pending.record and pending.op ~= CHECK then
        self.zxids[pending.xid] = zxid_of(body) -- others may have no counterpart elsewhere
      end
      self:note({ kind = "reply", body = body, request = pending })
      return
    end
  end
  self:note({ kind = "stray", body = body })
end

function Peer:note(item)
  self.stream[#self.stream + 1] = item
  return item
end

--- Waits until everything was answered, or the connection is gone.
function Peer:settle(until_closed)
  if not self.link:wait(function() return #self.pending == 0 and not until_closed end)
    or #self.pending > 0 then
    self:note({ kind = "silence", missing = #self.pending })
    self.pending = {}
  end
  self:note_end()
end

function Peer:note_end()
  if self.link.closed and not self.ended then
    self.ended = true
    self:note({ kind = "end" })
  end
end

local function open_peer(self, stream, zxids)
  local peer = setmetatable({ stream = stream, pending = {}, zxids = zxids }, Peer)
  peer.link = link.open(self, self.server.port, function(body) on_frame(peer, body) end)
  return peer
end

local function frame_of(request, zxids)
  if request.frame then
    return request.frame
  elseif request.bytes then
    return request.bytes
  end
  local header = { "request_header", { xid = request.special or request.xid, op = request.op } }
  local frame
  if request.record then
    if request.relative then
      request.record.zxid = zxids[request.relative] or 0
    end
    frame = wire.encode({ header, { "request", request.record } })
  else
    frame = wire.encode({ header }) .. request.body
  end
  frame = frame .. (request.tail and "tail" or "")
  frame = codec.int(#frame) .. frame
  if not request.relative then
    request.bytes = frame -- the same for every server
  end
  return frame
end

function Peer:send(list)
  local frames = {}
  for i, request in ipairs(list) do
    frames[i] = frame_of(request, self.zxids)
    if not request.frame or request.answers then
      self.pending[#self.pending + 1] = request
    end
  end
  self.link:write(table.concat(frames))
end

-- Steps -------------------------------------------------------------------------------------------

local Player = {}
Player.__index = Player

---@param server table  { port, ... }
function player.new(server)
  return setmetatable({ server = server }, Player)
end

local function handshake(step, known)
  local record = {
    timeout_ms = step.timeout_ms, has_readonly = not step.old, readonly = step.readonly,
    password = ZERO_PASSWORD,
  }
  if step.attach or step.wrong == "password" or step.wrong == "closed" then
    record.session_id, record.password = known and known.id or 0, known and known.password
    if step.wrong == "password" then
      record.password = WRONG_PASSWORD
    end
  elseif step.wrong == "id" then
    record.session_id, record.password = "0x7700000000001234", WRONG_PASSWORD
  else
    local size = step.password_size or 16
    record.password = size >= 0 and ("\0"):rep(size) or nil
  end
  if step.wrong == "zxid" then
    record.last_zxid_seen = "0x7fffffffffffffff"
  end
  return (wire.encode({ { "connect_request", record } }, true))
end

local steps = {}

function steps.connect(self, run, step)
  local stream = {}
  run.streams[step.connection] = stream
  local peer = open_peer(self, stream, run.zxids)
  run.peers[step.connection] = peer
  peer.handshaking, peer.session = true, step.session
  peer.link:write(step.bytes or handshake(step, run.sessions[step.session]))
  if not peer.link:wait(function() return not peer.handshaking end) then
    peer:note({ kind = "silence", missing = 1 })
  end
  local answer = stream[1]
  local response = answer and answer.kind == "connect"
    and wire.decode(answer.body, "connect_response")
  if step.wrong and not peer.link:wait(function() return false end) then
    peer:note({ kind = "silence", missing = 0 })
  elseif response and not step.wrong then
    local before = run.sessions[step.session]
    run.sessions[step.session] = {
      id = response.session_id, password = response.password, peer = peer,
    }
    if before then
      before.peer:settle(true) -- the server closes it
    end
  end
  peer:note_end()
end

function steps.send(_, run, step)
  local peer = run.peers[step.connection]
  if not peer.link.closed then
    peer:send(step.requests)
  end
  peer:settle(step.closes)
  local session = run.sessions[peer.session]
  if session and step.requests[1].op == CLOSE_SESSION then
    session.ended = true
  end
end

function steps.drop(_, run, step)
  local peer = run.peers[step.connection]
  peer.link:close()
  peer:note_end()
end

function steps.barrier(_, run, step)
  local asked = {}
  for number = 1, run.peers_max do
    local peer = run.peers[number]
    if peer and not peer.link.closed then
      asked[#asked + 1] = peer
      peer:send({ { xid = 0, op = 11, special = PING, record = { op = 11 } } })
    end
  end
  for _, peer in ipairs(asked) do
    peer:settle()
    peer:note({ kind = "mark", unordered = step.unordered })
  end
end

-- The janitor -------------------------------------------------------------------------------------
-- A connection of its own, above all ACLs, that makes the root of a sequence, reads what was left
-- below it and takes it away.

local function janitor(self)
  if self._janitor and not self._janitor.link.closed then
    return self._janitor
  end
  local peer = open_peer(self, {}, {})
  self._janitor = peer
  peer.handshaking = true
  peer.link:write(handshake({ timeout_ms = JANITOR_TIMEOUT_MS }))
  peer:send({ { xid = 1, op = 100,
    record = { op = 100, scheme = "digest", data = "super:admin" } } })
  peer:settle()
  return peer
end

local function ask(peer, records)
  local list = {}
  for i, record in ipairs(records) do
    list[i] = { xid = i, op = record.op, record = record }
  end
  local first = #peer.stream + 1
  peer:send(list)
  peer:settle()
  local replies = {}
  for i = first, #peer.stream do
    replies[#replies + 1] = peer.stream[i]
  end
  peer.stream = {}
  return replies
end

local function children(reply)
  if reply.kind ~= "reply" or i32_at(reply.body, 13) ~= 0 then
    return {}
  end
  local result = wire.decode(reply.body:sub(HEADER_SIZE + 1), "result", 8)
  local names = result and result.items or {}
  table.sort(names)
  return names
end

--- All paths below and at `top`, parents first; what was read is appended to `tree`.
local function walk(peer, top, tree)
  local all, level = {}, { top }
  while #level > 0 do
    local records = {}
    for _, path in ipairs(level) do
      records[#records + 1] = { op = 8, path = path }
      records[#records + 1] = { op = 4, path = path }
      records[#records + 1] = { op = 6, path = path }
    end
    local replies, below = ask(peer, records), {}
    for i, path in ipairs(level) do
      all[#all + 1] = path
      for _, name in ipairs(replies[3 * i - 2] and children(replies[3 * i - 2]) or {}) do
        below[#below + 1] = path .. "/" .. name
      end
    end
    for _, reply in ipairs(replies) do
      tree[#tree + 1] = reply
    end
    level = below
  end
  return all
end

local function sweep(peer, paths)
  local records = {}
  for i = #paths, 1, -1 do
    records[#records + 1] = { op = 2, path = paths[i], version = -1 }
  end
  ask(peer, records)
end

-- A session that is still there after a disagreement, or in a shortened sequence, would end in the
-- midst of a later one.
local function end_sessions(self, run)
  for number = 1, run.peers_max do
    if run.peers[number] then
      run.peers[number].link:close()
    end
  end
  for _, known in pairs(run.sessions) do
    if not known.ended then
      local peer = open_peer(self, {}, {})
      peer.handshaking = true
      peer.link:write(handshake({ attach = true, timeout_ms = TIMEOUT_MS }, known))
      peer.link:wait(function() return not peer.handshaking end)
      peer:send({ { xid = 1, op = CLOSE_SESSION, record = { op = CLOSE_SESSION } } })
      peer:settle(true)
    end
  end
end

--- Plays a sequence and clears up behind it.
---@return table transcript  { streams = , tree = , sessions = }
function Player:play(sequence)
  local run = { streams = {}, peers = {}, peers_max = 0, sessions = {}, zxids = {} }
  for _, step in ipairs(sequence.steps) do
    run.peers_max = math.max(run.peers_max, step.connection or 0)
  end
  local peer = janitor(self)
  local tree = ask(peer, { { op = 1, path = sequence.root, data = "", acl = WORLD } })
  for _, step in ipairs(sequence.steps) do
    steps[step.kind](self, run, step)
  end
  end_sessions(self, run)
  peer = janitor(self)
  local paths = walk(peer, sequence.root, tree)
  local quota = walk(peer, "/zookeeper/quota" .. sequence.root, tree)
  sweep(peer, quota)
  sweep(peer, paths)
  return { streams = run.streams, tree = tree, sessions = run.sessions }
end

--- Ends the janitor's session.
function Player:finish()
  local peer = self._janitor
  if peer and not peer.link.closed then
    peer:send({ { xid = 1, op = CLOSE_SESSION, record = { op = CLOSE_SESSION } } })
    peer:settle(true)
  end
end

return player
