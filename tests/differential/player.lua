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
--- in `tree` the replies to a walk over all that the sequence left behind, in `aside` what
--- errands.lua brings home, and in `late` the answers that a server may give or not.
---
--- All methods that talk run inside a coroutine.
local errands = require("differential.errands")
local janitor = require("differential.janitor")
local peer = require("differential.peer")
local uv = require("luv")
local wire = require("zklua_testing").wire

local player = {}

local PING, CLOSE_SESSION = -2, -11
local TIMEOUT_MS = 40000
local WORLD = { { permissions = 31, scheme = "world", id = "anyone" } }

local Player = {}
Player.__index = Player

---@param server table  { port, ... }
function player.new(server)
  local self = setmetatable({ server = server }, Player)
  self.janitor = janitor.new(self)
  return self
end

-- Steps -------------------------------------------------------------------------------------------

local steps = { await = errands.await, word = errands.word }

local function touch(run, session)
  run.touched_ms = uv.hrtime() / 1e6
  if session then
    run.sessions_touched_ms[session] = run.touched_ms
  end
end

function steps.connect(self, run, step)
  local stream = {}
  run.streams[step.connection] = stream
  local newcomer = peer.open(self, stream, run.zxids, run.late)
  run.peers[step.connection] = newcomer
  touch(run, step.session)
  newcomer:greet(step, run.sessions[step.session])
  if not newcomer:greeted() then
    newcomer:note({ kind = "silence", missing = 1 })
  end
  local answer = stream[1]
  local response = answer and answer.kind == "connect"
    and wire.decode(answer.body, "connect_response")
  if step.wrong and not newcomer.link:wait(function() return false end) then
    newcomer:note({ kind = "silence", missing = 0 })
  elseif response and not step.wrong then
    local before = run.sessions[step.session]
    run.sessions[step.session] = {
      id = response.session_id, password = response.password, peer = newcomer,
    }
    if before then
      before.peer:settle(true) -- the server closes it
    end
  end
  newcomer:note_end()
end

function steps.send(_, run, step)
  local sender = run.peers[step.connection]
  touch(run, sender.session)
  if not sender.link.closed then
    sender:send(step.requests)
  end
  sender:settle(step.closes)
  local session = run.sessions[sender.session]
  if session and step.requests[1].op == CLOSE_SESSION then
    session.ended = true
  end
end

function steps.drop(_, run, step)
  local gone = run.peers[step.connection]
  gone.link:close()
  gone:note_end()
end

function steps.barrier(_, run, step)
  local asked = {}
  for number = 1, run.peers_max do
    local each = run.peers[number]
    if each and not each.link.closed then
      asked[#asked + 1] = each
      each:send({ { xid = 0, op = 11, special = PING, record = { op = 11 } } })
    end
  end
  for _, each in ipairs(asked) do
    each:settle()
    each:note({ kind = "mark", unordered = step.unordered })
  end
end

-- Sequences ---------------------------------------------------------------------------------------

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
      local closer = peer.open(self, {}, {})
      closer:greet({ attach = true, timeout_ms = TIMEOUT_MS }, known)
      closer:greeted()
      closer:send({ { xid = 1, op = CLOSE_SESSION, record = { op = CLOSE_SESSION } } })
      closer:settle(true)
    end
  end
end

--- Plays a sequence and clears up behind it.
---@return table transcript  { streams = , tree = , aside = , late = , sessions = }
function Player:play(sequence)
  local run = {
    streams = {}, aside = {}, late = {}, peers = {}, peers_max = 0, sessions = {}, zxids = {},
    touched_ms = 0, sessions_touched_ms = {}, -- when something was last sent, for a session
  }
  for _, step in ipairs(sequence.steps) do
    run.peers_max = math.max(run.peers_max, step.connection or 0)
  end
  local tree = self.janitor:ask({ { op = 1, path = sequence.root, data = "", acl = WORLD } })
  for _, step in ipairs(sequence.steps) do
    steps[step.kind](self, run, step)
  end
  end_sessions(self, run)
  local paths = self.janitor:walk(sequence.root, tree)
  local quota = self.janitor:walk("/zookeeper/quota" .. sequence.root, tree)
  self.janitor:sweep(quota)
  self.janitor:sweep(paths)
  return {
    streams = run.streams, tree = tree, aside = run.aside, late = run.late, sessions = run.sessions,
  }
end

--- Ends what it has of its own on the server.
function Player:finish()
  self.janitor:finish()
end

return player
