--- One connection of a player: sends requests, and writes what comes back into its stream
--- (player.lua names the items). All methods that wait run inside a coroutine.
local codec = require("wire.codec")
local link = require("differential.link")
local wire = require("zklua_testing").wire

local peer = {}

local EVENT, HEADER_SIZE = -1, 16
local CHECK = 13
local ZERO_PASSWORD = ("\0"):rep(16)
local WRONG_PASSWORD = ("\1"):rep(16)

local Peer = {}
Peer.__index = Peer

function peer.i32_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  local number = ((a * 256 + b) * 256 + c) * 256 + d
  return number >= 2 ^ 31 and number - 2 ^ 32 or number
end

local function zxid_of(body)
  return "0x" .. codec.hex(body:sub(5, 12))
end

local function on_frame(self, body)
  if self.handshaking then
    self.handshaking = false
    self:note({ kind = "connect", body = body, session = self.session })
    return
  end
  local xid = #body >= HEADER_SIZE and peer.i32_at(body, 1)
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
      if not pending.silent then
        self:note({ kind = "reply", body = body, request = pending })
      end
      return
    end
  end
  for _, request in ipairs(self.unanswered) do
    if request.xid == xid then
      self.late[#self.late + 1] = { body = body, request = request }
      return
    end
  end
  self:note({ kind = "stray", body = body })
end

--- `owner` as in link.lua, with the server's port in owner.server; `zxids` learns which zxid came
--- with which request, and `late` gets { body =, request = } for answers to requests that need
--- none.
function peer.open(owner, stream, zxids, late)
  local self = setmetatable({
    stream = stream, pending = {}, unanswered = {}, zxids = zxids, late = late,
  }, Peer)
  self.link = link.open(owner, owner.server.port, function(body) on_frame(self, body) end)
  return self
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

-- Handshakes --------------------------------------------------------------------------------------

local function connect_request(step, known)
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

--- Begins with what a connect step says; `known` is what is known of the session it names.
function Peer:greet(step, known)
  self.handshaking, self.session = true, step.session
  self.link:write(step.bytes or connect_request(step, known))
end

--- Waits for the answer; false when none came.
function Peer:greeted()
  return self.link:wait(function() return not self.handshaking end)
end

-- Requests ----------------------------------------------------------------------------------------

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
    if request.unanswered then
      self.unanswered[#self.unanswered + 1] = request
    elseif not request.frame or request.answers then
      self.pending[#self.pending + 1] = request
    end
  end
  self.link:write(table.concat(frames))
end

return peer
