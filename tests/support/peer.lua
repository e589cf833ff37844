--- A server's side of one link, in memory: what a core client wrote, and canned answers to it.
local frames = require("support.frames")

local peer = {}
peer.__index = peer

local PING, AUTH, CLOSE = 11, 100, -11

--- Takes events until none is left, or until `kind` comes, whose values it gives.
local function next_event(client, kind)
  while true do
    local event = { client:event() }
    if event[1] == nil or event[1] == kind then
      return event
    end
  end
end
peer.next_event = next_event

--- Opens the link that `client` asks for and lets it wait for the session.
function peer.open(client)
  local event = next_event(client, "connect")
  assert(event[1] == "connect", "the client asks for no link")
  local self = setmetatable({ client = client, link = event[2], inbox = "", written = {} }, peer)
  client:connected(self.link)
  self.handshake = self:take()[1]
  return self
end

--- Opens a link and grants a session; events up to the news of it are gone.
function peer.attach(client, session)
  local self = peer.open(client)
  session = session or {}
  assert(client:feed(self.link, frames.connect_response({
    timeout = session.timeout or 30000,
    id = session.id or "0x1234567890abcdef",
    password = session.password,
  })))
  local event = next_event(client, "state")
  assert(event[2] == "connected", "attached, but " .. tostring(event[2]))
  return self
end

--- The requests written since the last call: bodies of frames.
function peer:take()
  local bodies
  local bytes = self.client:output(self.link)
  bodies, self.inbox = frames.split(self.inbox .. (bytes or ""))
  return bodies
end

--- The next request that is neither ping nor close: its record, op and xid.
function peer:request()
  for _, body in ipairs(self:take()) do
    self.written[#self.written + 1] = body
  end
  while #self.written > 0 do
    local body = table.remove(self.written, 1)
    local xid, op = frames.read_i32(body, 1), frames.read_i32(body, 5)
    if op ~= PING and op ~= CLOSE then
      return body:sub(9), op, op == AUTH and -4 or xid
    end
  end
end

--- Answers `xid` as the server would.
function peer:reply(xid, code, body, zxid)
  assert(self.client:feed(self.link, frames.reply(xid, zxid or 1, code, body)))
end

--- Answers the next request; gives its record and op, and the values of the reply event.
function peer:answer(code, body, zxid)
  local record, op, xid = self:request()
  assert(record, "nothing was asked")
  self:reply(xid, code, body, zxid)
  return record, op, next_event(self.client, "reply")
end

return peer
