--- What a player does beside requests: waits for what ends by itself, and asks four-letter words.
--- What it finds goes into the transcript's `aside`:
---   { kind = "lapse", early = n, missing = n }   how many of what was awaited ended before its
---                                                time, how many never
---   { kind = "word", word =, text =, names =, sessions = }   an answer; names: of ports, and the
---                                                sequence's names of sessions by their hex ids
---   { kind = "silence", missing = 1 }            connections that have gone stay counted
local link = require("differential.link")
local uv = require("luv")

local errands = {}

local LIMIT_MS = 10000
local LOOK_EVERY_MS = 50
local PING_EVERY_MS = 250
local PING = -2

local function now_ms()
  return uv.hrtime() / 1e6
end

-- Waiting -----------------------------------------------------------------------------------------

local function ping(peer)
  if not peer.link.closed and #peer.pending == 0 then
    peer:send({ { xid = 0, op = 11, special = PING, record = { op = 11 }, silent = true } })
  end
end

-- Whether something that is gone had lived long enough, as far as we can know: we saw it begin
-- before the server did, and end after it.
local function is_early(run, awaited, seen_ms)
  local since_ms = awaited.session and run.sessions_touched_ms[awaited.session]
    or run.touched_ms
  return seen_ms - since_ms < awaited.lives_ms
end

--- Step: waits until all nodes of `gone`, { path =, lives_ms =, session = }, have ended by
--- themselves, with `session` that of the ephemeral node or nil; for at least `least_ms`, with the
--- session of connection `keep` kept alive meanwhile. `ended` names a session that is over then,
--- `closes` a connection that the server closes.
function errands.await(self, run, step)
  local begun_ms, pinged_ms = now_ms(), 0
  local left, early = {}, 0
  for i, awaited in ipairs(step.gone) do
    left[i] = awaited
  end
  while true do
    local paths, still = {}, {}
    for i, awaited in ipairs(left) do
      paths[i] = awaited.path
    end
    local gone = #paths > 0 and self.janitor:missing(paths) or {}
    for _, awaited in ipairs(left) do
      if not gone[awaited.path] then
        still[#still + 1] = awaited
      elseif is_early(run, awaited, now_ms()) then
        early = early + 1
      end
    end
    left = still
    local spent_ms = now_ms() - begun_ms
    if spent_ms >= (step.least_ms or 0) and (#left == 0 or spent_ms > LIMIT_MS) then
      break
    end
    if step.keep and now_ms() - pinged_ms >= PING_EVERY_MS then
      pinged_ms = now_ms()
      ping(run.peers[step.keep])
    end
    link.pause(self, LOOK_EVERY_MS)
  end
  if step.keep then
    run.peers[step.keep]:settle()
  end
  if step.closes then
    run.peers[step.closes]:settle(true)
  end
  if step.ended and run.sessions[step.ended] then
    run.sessions[step.ended].ended = true
  end
  run.aside[#run.aside + 1] = { kind = "lapse", early = early, missing = #left }
end

-- Four-letter words -------------------------------------------------------------------------------

local function ask(self, word)
  local pieces = {}
  local line = link.open(self, self.server.port, function(bytes)
    pieces[#pieces + 1] = bytes
  end, true)
  local port = line:port()
  line:write(word)
  line:wait(function() return false end)
  line:close()
  return table.concat(pieces), port
end

-- Connections that we closed are there until the server has noticed.
local function wait_noticed(self, run)
  local open = 2 -- the janitor's and that which asks
  for number = 1, run.peers_max do
    local peer = run.peers[number]
    open = open + (peer and not peer.link.closed and 1 or 0)
  end
  local deadline_ms = now_ms() + LIMIT_MS
  repeat
    local text = ask(self, "srvr")
    if tonumber(text:match("Connections: (%d+)")) == open then
      return
    end
    link.pause(self, 1)
  until now_ms() > deadline_ms
  run.aside[#run.aside + 1] = { kind = "silence", missing = 1 }
end

--- Step: asks `words` one after the other.
function errands.word(self, run, step)
  wait_noticed(self, run)
  for _, word in ipairs(step.words) do
    local text, port = ask(self, word)
    local names = { [port or 0] = "asker" }
    names[self.janitor.peer.link:port() or 0] = "janitor"
    for number = 1, run.peers_max do
      local peer = run.peers[number]
      local its = peer and peer.link:port()
      if its then
        names[its] = "connection " .. number
      end
    end
    local sessions = {}
    for number, session in pairs(run.sessions) do
      if session.id then
        sessions[session.id] = "session " .. number
      end
    end
    run.aside[#run.aside + 1] = {
      kind = "word", word = word, text = text, names = names, sessions = sessions,
    }
  end
end

return errands
