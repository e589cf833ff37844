--- `memory:` -- a server inside this process, turned by the loop of its clients: no thread, no
--- socket, no disk, and gone with the runtime that has it. For tests, and for programs that want
--- the patterns among their own tasks only. Sessions end when they are closed, or by `expire`.
---
--- `connect` gives the same stream that a scheduler's `connect` does. What is written to it is
--- worked on at once; the answer stays in the server until it is read.
local zkcore = require "zklua.core"

local Memory = {}
Memory.__index = Memory

local Stream = {}
Stream.__index = Stream

local M = {}

--- Answers that are read before the loop must poll again: no socket wakes anybody here, and
--- other connections and timers are not to starve.
local READS_PER_POLL = 64

--- Any timeout that a client asks for, in seconds.
local SESSION_TIMEOUT_MIN, SESSION_TIMEOUT_MAX = 0.001, 86400

---@param scheduler table
function M.new(scheduler)
  local self = setmetatable({
    scheduler = scheduler,
    core = zkcore.server({
      sessions_keep = true,
      ttl_nodes = true,
      session_timeout_min = SESSION_TIMEOUT_MIN,
      session_timeout_max = SESSION_TIMEOUT_MAX,
    }),
    streams = {}, -- the server's number of a connection -> stream
    event = scheduler.event(),
    armed_for = nil,
    reads = 0,
  }, Memory)
  scheduler.daemon(self.pump, self)
  return self
end

-- The server -----------------------------------------------------------------

-- Keeps the time: connections without a session, containers and TTL nodes.
function Memory:pump()
  local core = self.core
  while true do
    local deadline = core:deadline()
    self.armed_for = deadline
    if not self.event:wait(deadline) then
      self.scheduler.sleep(0)
      if zkcore.forked() then
        return -- it is the parent's
      end
      core:tick()
      self:turn()
    end
  end
end

-- After every call: whose output, reading or end has changed?
local function turn(self)
  local core = self.core
  while true do
    local number, reads, ending = core:changed()
    if not number then
      break
    end
    local stream = self.streams[number]
    stream.reads = reads
    stream.ending = ending
    if ending == "at once" then
      stream:cut()
    end
    stream.readable:set()
    stream.writable:set()
  end
  while core:event() do -- news for a log that nobody reads
  end
  local deadline = core:deadline()
  if deadline and (not self.armed_for or deadline < self.armed_for) then
    self.event:set()
  end
end
Memory.turn = turn

--- A stream to it; or nil, message, CODE.
function Memory:connect()
  local number = self.core:accept()
  if not number then
    return nil, "accepts no more connections", "CONNECT"
  end
  local stream = setmetatable({
    memory = self,
    number = number, -- nil once the server has let go of it
    reads = true, -- the server wants more
    readable = self.scheduler.event(),
    writable = self.scheduler.event(),
    closed = false,
  }, Stream)
  self.streams[number] = stream
  turn(self)
  return stream
end

--- Ends a session as its expiry would; false when there is none of this id ("0x...").
function Memory:expire(id)
  local known = self.core:expire(id)
  turn(self)
  return known
end

--- Cuts every connection, as a network would. Sessions stay.
function Memory:cut()
  for _, stream in pairs(self.streams) do
    stream:cut()
  end
  turn(self)
end

-- Streams ----------------------------------------------------------------------

--- The connection ends here: the server knows nothing of it any more, its peer reads the end.
function Stream:cut()
  local number = self.number
  if number then
    self.number = nil
    self.memory.streams[number] = nil
    self.memory.core:closed(number)
    self.readable:set()
    self.writable:set()
  end
end

--- Bytes; or nil, message, CODE. "EOF" is the server's end, "CLOSED" ours.
function Stream:read(deadline)
  local memory = self.memory
  memory.reads = memory.reads + 1
  if memory.reads % READS_PER_POLL == 0 then
    memory.scheduler.sleep(0)
  end
  while not self.closed do
    local bytes = self.number and memory.core:output(self.number)
    if bytes then
      turn(memory)
      return bytes
    end
    if self.ending then
      self:cut()
    end
    if not self.number then
      return nil, "closed by the peer", "EOF"
    elseif not self.readable:wait(deadline) then
      return nil, "nothing to read in time", "TIMEOUT"
    end
  end
  return nil, "closed here", "CLOSED"
end

--- True when the server has taken all of `bytes`; one writer at a time.
function Stream:write(bytes)
  while self.number and not self.reads do
    self.writable:wait()
  end
  if self.closed then
    return nil, "closed here", "CLOSED"
  elseif not self.number then
    return nil, "closed by the peer", "IO"
  end
  self.memory.core:feed(self.number, bytes)
  turn(self.memory)
  return true
end

--- The server ends with the process: there is nobody to tell.
function Stream:write_last() end
function Stream:drain() end

function Stream:close()
  if not self.closed then
    self.closed = true
    self:cut()
    turn(self.memory)
    self.readable:set()
    self.writable:set()
  end
end

return M
