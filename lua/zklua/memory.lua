--- `memory:` -- a server inside this process, turned by the loop of its clients: no thread, no
--- socket, no disk, and gone with the runtime that has it. For tests, and for programs that want
--- the patterns among their own tasks only. Sessions end when they are closed, or by `expire`.
---
--- `connect` gives the same stream that a scheduler's `connect` does. What is written to it is
--- worked on at once; the answer stays in the server until it is read.
---
--- One that is made with `log` keeps its transactions, so that it can be stopped and started again
--- (zklua/private.lua); they are kept as long as it is.
---
--- What is to happen to a client, `late` or lost, is kept for its owner, whoever connects again and
--- again: it outlives the connection.
local in_order = require "zklua.in_order"
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

-- A server that knows the sessions of the one before it, if they were of the same log.
local function new_core(self)
  return zkcore.server({
    sessions_keep = true,
    ttl_nodes = true,
    session_timeout_min = SESSION_TIMEOUT_MIN,
    session_timeout_max = SESSION_TIMEOUT_MAX,
    log = self.log ~= nil,
    secret = self.secret,
  })
end

---@param scheduler table
---@param options { log: boolean|nil }|nil
function M.new(scheduler, options)
  local self = setmetatable({
    scheduler = scheduler,
    core = nil, -- while it is stopped
    log = options and options.log and {} or nil, -- payloads
    secret = options and options.log and zkcore.random_hex(10) or nil,
    streams = {}, -- the server's number of a connection -> stream
    waiting = {}, -- events of those who want to connect when it serves again -> number
    wait_count = 0, -- so far
    troubles = setmetatable({}, { __mode = "k" }), -- owner -> see trouble_of
    event = scheduler.event(),
    armed_for = nil,
    reads = 0,
  }, Memory)
  self:start()
  return self
end

--- Serves, with all that was logged; of one that was stopped.
function Memory:start()
  self.core = new_core(self)
  if self.log then
    for _, payload in ipairs(self.log) do
      self.core:replay(payload)
    end
    self.core:start()
  end
  for _, event in ipairs(in_order(self.waiting)) do
    event:set()
  end
  self.scheduler.daemon(self.pump, self, self.core)
end

--- Ends as a server that is killed does: connections break, and nobody answers.
function Memory:stop()
  self:cut()
  self.core = nil
  self.event:set()
end

-- The server -----------------------------------------------------------------

-- Keeps the time: connections without a session, containers and TTL nodes.
function Memory:pump(core)
  while self.core == core do
    local deadline = core:deadline()
    self.armed_for = deadline
    if not self.event:wait(deadline) then
      self.scheduler.sleep(0)
      if zkcore.forked() or self.core ~= core then
        return -- it is the parent's, or stopped
      end
      core:tick()
      self:turn()
    end
  end
end

-- What is logged is durable at once.
local function commit(self)
  local core, log = self.core, self.log
  local zxid, payload = core:next_txn()
  while zxid do
    log[#log + 1] = payload
    core:committed(zxid)
    zxid, payload = core:next_txn()
  end
end

-- After every call: whose output, reading or end has changed?
local function turn(self)
  local core = self.core
  if not core then
    return
  end
  if self.log then
    commit(self)
  end
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

-- What is done to the connections of `owner`: `late`, the seconds that what comes to it takes;
-- `requests` and `replies`, how many from now on until one is lost, and the connection with it;
-- `again`, that it lost its connection by us, and need not pause before it connects again.
local function trouble_of(self, owner)
  local trouble = self.troubles[owner] or {}
  self.troubles[owner] = trouble
  return trouble
end

--- The pause of `owner` before it connects, at most until `deadline`: none after what was done to
--- it here, where it would only make tests slow, and none once a stopped server serves again. When
--- the server itself ended the connection the pause is needed, as with any server: of two who have
--- one session each would send the other away for ever.
function Memory:pause(owner, deadline)
  local trouble = trouble_of(self, owner)
  if self.core and trouble.again then
    trouble.again = nil
    return
  end
  local event = self.scheduler.event()
  self.wait_count = self.wait_count + 1
  self.waiting[event] = self.wait_count
  event:wait(deadline)
  self.waiting[event] = nil
end

-- Those that are open, in the order of their numbers.
local function streams(self)
  local list = {}
  for _, stream in pairs(self.streams) do
    list[#list + 1] = stream
  end
  table.sort(list, function(a, b)
    return a.number < b.number
  end)
  return list
end

--- Changes what is done to the connections of `owner`, those to come too.
---@param kind "late"|"requests"|"replies"
---@param value number|nil
function Memory:disturb(owner, kind, value)
  trouble_of(self, owner)[kind] = value
  for _, stream in ipairs(streams(self)) do
    if stream.owner == owner then
      stream.readable:set()
    end
  end
end

--- A stream to it; or nil, message, CODE.
---@param owner table  who connects
function Memory:connect(owner)
  if not self.core then
    return nil, "connection refused", "CONNECT"
  end
  local number = self.core:accept()
  if not number then
    return nil, "accepts no more connections", "CONNECT"
  end
  local stream = setmetatable({
    memory = self,
    owner = owner,
    trouble = trouble_of(self, owner),
    greeting = { requests = true, replies = true }, -- until each side's first message has passed
    number = number, -- nil once the server has let go of it
    reads = true, -- the server wants more
    readable = self.scheduler.event(),
    writable = self.scheduler.event(),
    closed = false,
    broken = false, -- a request was lost: nothing more arrives
  }, Stream)
  self.streams[number] = stream
  turn(self)
  return stream
end

--- Ends a session as its expiry would, `owner`'s if that is known; false when there is none of this
--- id ("0x...").
---@param id string
---@param owner table|nil
function Memory:expire(id, owner)
  local known = self.core:expire(id)
  if known and owner then
    trouble_of(self, owner).again = true
  end
  turn(self)
  return known
end

--- Cuts every connection, or those of `owner`, as a network would. Sessions stay.
---@param owner table|nil
function Memory:cut(owner)
  for _, stream in ipairs(streams(self)) do
    if not owner or stream.owner == owner then
      stream.trouble.again = true
      stream:cut()
    end
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

-- What stands before the message that is to be lost, and whether that one has come. Bytes are whole
-- frames. Only calls are counted. A greeting is none, what is numbered below 0 (pings, credentials,
-- watches armed again, events) is not of the program's own making, and a request of a type below 0
-- is the end of the session: were it lost, nothing but an expiry could end it.
local function before_lost(self, kind, bytes)
  local trouble, at = self.trouble, 1
  while at <= #bytes and (trouble[kind] or self.greeting[kind]) do
    local a, b, c, d, number, _, _, _, type = bytes:byte(at, at + 8)
    if self.greeting[kind] then
      self.greeting[kind] = nil
    elseif number < 128 and (kind == "replies" or type < 128) then
      trouble[kind] = trouble[kind] - 1
      if trouble[kind] == 0 then
        trouble[kind] = nil
        return bytes:sub(1, at - 1), true
      end
    end
    at = at + 4 + ((a * 256 + b) * 256 + c) * 256 + d
  end
  return bytes, false
end

-- What arrives of `bytes`, now: nil when nothing does.
local function arriving(self, bytes)
  local began = self.trouble.late and self.memory.scheduler.now()
  while began and self.trouble.late and self.number do
    local due = began + self.trouble.late
    if self.memory.scheduler.now() >= due then
      break
    end
    self.readable:wait(due)
  end
  if not self.number then
    return nil -- cut meanwhile: what was on its way is lost
  end
  local lost
  bytes, lost = before_lost(self, "replies", bytes)
  if lost then
    self.trouble.again = true
    self:cut()
    turn(self.memory)
  end
  return bytes ~= "" and bytes or nil
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
      bytes = arriving(self, bytes)
      if bytes then
        return bytes
      end
    end
    if self.ending or self.broken then
      self:cut()
      turn(memory)
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
  elseif self.broken then
    return true
  end
  bytes, self.broken = before_lost(self, "requests", bytes)
  if bytes ~= "" then
    self.memory.core:feed(self.number, bytes)
    turn(self.memory)
  end
  if self.broken then
    self.trouble.again = true
    self.readable:set() -- what came before is still answered
  end
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
