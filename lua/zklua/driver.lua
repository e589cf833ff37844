--- Moves bytes and time between one core client and a scheduler's streams.
---
--- Its coroutines are daemons: a *pump* that keeps the time, and for each link a reader and a
--- writer. Whoever submits a request calls `poke`; the writer becomes ready behind the tasks
--- that are ready already, so everything they submit in this turn leaves in one write.
---
--- Feed before tick: a deadline that has come lets the loop poll once more, so that an answer
--- which waits in the socket counts before the core judges the silence.
local connection = require "zklua.connection"
local finalizer = require "zklua.finalizer"
local local_servers = require "zklua.local_server"

local Driver = {}
Driver.__index = Driver

local M = {}

--- Where many requests wait and few answers came, the next are allowed to gather: a server that
--- trickles its replies would else cost one turn of the loop, a read and a write, for each two or
--- three of them. Below BULK_MIN outstanding nothing is ever held back.
local BULK_MIN = 256
local BULK_SHARE = 16 -- a turn that answered less than this part of what waits was a trickle
local GATHER = 0.001 -- seconds; a small part of the time that BULK_MIN requests take a server

local LAST_WORDS = 0.2 -- seconds that the end of a process waits for the server to end the session

local QUICK_ATTEMPTS, QUICK_PAUSE = 10, 0.01 -- to reach a server of this machine
local LOOK_AFTER = 0.3 -- seconds that a server of this machine may be silent before it is looked at

--- What people read about links that the core gave up.
local REASONS = {
  timeout = "no answer",
  refused = "closed the connection before it granted a session",
  nomem = "out of memory",
  expired = "does not know the session any more",
  auth = "refused a credential",
}

--- `handler` has the methods reply(xid, code, a, b), state(name, reason, detail),
--- watch(type, path, kinds, zxid) and ended(); they must not wait.
function M.new(runtime, core, endpoints, timeout, handler)
  return setmetatable({
    runtime = runtime,
    scheduler = runtime.scheduler,
    core = core,
    endpoints = endpoints,
    timeout = timeout, -- of one attempt
    handler = handler,
    links = {}, -- number -> { endpoint, stream, output }
    attempts = {}, -- endpoint -> how often it was tried
    failures = {}, -- endpoint -> why it did not answer last time
    event = runtime.scheduler.event(),
    quick = QUICK_ATTEMPTS, -- that are left until a session is granted
    output = nil, -- the writer's event while there is a link
    poked = false,
    ended = false,
  }, Driver)
end

function Driver:start()
  self.scheduler.daemon(self.pump, self)
end

--- There may be something to write, or an earlier deadline. Cheap, and never runs anything.
function Driver:poke()
  if not self.poked then
    self.poked = true
    local event = self.output or self.event
    event:set()
  end
end

-- Events ---------------------------------------------------------------------

-- Of links, the oldest first.
local function numbers(links)
  local list = {}
  for number in pairs(links) do
    list[#list + 1] = number
  end
  table.sort(list)
  return list
end

local function take_events(self)
  local core, handler = self.core, self.handler
  local replies = 0
  while true do
    local kind, a, b, c, d = core:event()
    if kind == nil then
      return replies
    elseif kind == "reply" then
      replies = replies + 1
      handler:reply(a, b, c, d)
    elseif kind == "watch" then
      handler:watch(a, b, c, d)
    elseif kind == "connect" then
      self.links[a] = { number = a, endpoint = self.endpoints[b] }
      self.scheduler.daemon(self.open, self, self.links[a], c)
    elseif kind == "disconnect" then
      self:drop(a, b, c)
    elseif kind == "state" then
      if a == "connected" or a == "readonly" then
        self.failures = {}
        self.quick = QUICK_ATTEMPTS
      end
      handler:state(a, b, c)
    elseif kind == "end" then
      self.ended = true
      for _, number in ipairs(numbers(self.links)) do
        self:drop(number)
      end
      handler:ended()
    end
  end
end

--- Hands on all events there are and returns how many replies were among them. Out of memory
--- takes nothing off: collect, and try once more before the next turn.
function Driver:drain()
  local ok, replies = pcall(take_events, self)
  if ok then
    return replies
  end
  collectgarbage()
  self.runtime:log("error", "events wait: " .. tostring(replies))
  self.event:set()
  return 0
end

function Driver:drop(number, reason, detail)
  local link = self.links[number]
  if not link then
    return
  end
  self.links[number] = nil
  if self.output == link.output then
    self.output = nil
  end
  if link.stream then
    link.stream:close()
    link.output:set()
    link.guard = nil
  end
  if reason == "protocol" then
    self.failures[link.endpoint] = "answered with something that is not ZooKeeper"
      .. (detail and " (" .. detail .. ")" or "")
  elseif REASONS[reason] then
    self.failures[link.endpoint] = link.failure or REASONS[reason]
  end
end

--- The streams that are open.
function Driver:streams()
  local list = {}
  for _, number in ipairs(numbers(self.links)) do
    list[#list + 1] = self.links[number].stream
  end
  return list
end

--- One sentence part per endpoint that was tried and failed.
function Driver:explain()
  local parts = {}
  for _, endpoint in ipairs(self.endpoints) do
    local why = self.failures[endpoint]
    parts[#parts + 1] = endpoint .. " " .. (why or "no answer")
  end
  return table.concat(parts, "; ")
end

-- Time -----------------------------------------------------------------------

function Driver:pump()
  local core, scheduler = self.core, self.scheduler
  while true do
    self:drain()
    if self.ended then
      return
    end
    if self.output then
      self.output:set()
    end
    if not self.output then
      self.poked = false
    end
    local deadline = core:deadline()
    self.armed_for = deadline
    if not self.event:wait(deadline) then
      scheduler.sleep(0)
      core:tick()
    end
  end
end

-- After a write: requests may have brought a deadline earlier than the pump waits for.
local function check_deadline(self)
  local deadline = self.core:deadline()
  if deadline and (not self.armed_for or deadline < self.armed_for) then
    self.event:set()
  end
end

-- Links ----------------------------------------------------------------------

-- Addresses are asked for anew at every attempt; each attempt begins with the next of them.
local function connect(self, link, deadline)
  if connection.is_local(link.endpoint) then
    return local_servers.of(self.runtime, link.endpoint):connect(deadline)
  end
  if connection.is_memory(link.endpoint) then
    local server = self.runtime:memory(link.endpoint)
    if not server then
      return nil, "is no server of this program (zk.server makes one)"
    end
    return server:connect(self.handler.session)
  end
  local host, port = connection.split(link.endpoint)
  local addresses, message = self.scheduler.resolve(host, deadline)
  if not addresses then
    return nil, message
  end
  local attempt = self.attempts[link.endpoint] or 0
  self.attempts[link.endpoint] = attempt + 1
  for i = 0, #addresses - 1 do
    local address = addresses[(attempt + i) % #addresses + 1]
    local stream
    stream, message = self.scheduler.connect({ host = address, port = port }, deadline)
    if stream or self.links[link.number] ~= link then
      return stream, message
    end
  end
  return nil, message
end

-- A process that ends without closing its clients tells the server so, if the socket takes it.
-- The guard is made after the socket: finalizers run in reverse order, so the socket still lives.
local function new_guard(self, link)
  local guard
  guard = finalizer(function()
    if self.links[link.number] == link and not self.ended and not self.handler:forked() then
      self.core:close(0.1)
      local bytes = self.core:output(link.number)
      while bytes do -- what was asked before, then closeSession
        link.stream:write_last(bytes)
        bytes = self.core:output(link.number)
      end
      link.stream:drain(LAST_WORDS)
    end
  end)
  return guard
end

-- Spreads a crowd over time; a server inside this process knows when there is none. Before this
-- user's own there is none either, and its clients are who starts it again. One that is about to
-- end may still let us in, so a few attempts are quick; but it may be what it is asked that ends
-- it.
local function pause(self, link, not_before)
  if self.quick > 0 and connection.is_local(link.endpoint) then
    local first = self.quick == QUICK_ATTEMPTS
    self.quick = self.quick - 1
    not_before = math.min(not_before, first and 0 or self.scheduler.now() + QUICK_PAUSE)
  end
  local server = connection.is_memory(link.endpoint) and self.runtime:memory(link.endpoint)
  local seconds = not_before - self.scheduler.now()
  if seconds > 0 and server then
    server:pause(self.handler.session, not_before)
  elseif seconds > 0 then
    self.scheduler.sleep(seconds)
  end
end

function Driver:open(link, not_before)
  local scheduler, core, number = self.scheduler, self.core, link.number
  pause(self, link, not_before)
  if self.links[number] ~= link then
    return
  end
  local stream, message, code = connect(self, link, scheduler.now() + self.timeout)
  if self.links[number] ~= link then
    if stream then
      stream:close()
    end
    return
  end
  if not stream then
    self.failures[link.endpoint] = message
    link.failure = message
    if code == "HOPELESS" then
      self.handler:hopeless(link.endpoint, message)
    end
    core:disconnected(number)
    self.event:set()
    return
  end
  link.stream = stream
  link.output = scheduler.event()
  link.guard = new_guard(self, link)
  core:connected(number)
  self.output = link.output
  scheduler.daemon(self.write, self, link)
  if connection.is_local(link.endpoint) then
    scheduler.daemon(self.look_at_local, self, link)
  end
  self.event:set()
  self:read(link)
end

-- A process that is stopped lets everybody in, and answers nobody.
function Driver:look_at_local(link)
  local server = local_servers.of(self.runtime, link.endpoint)
  while true do
    self.scheduler.sleep(LOOK_AFTER)
    if self.links[link.number] ~= link or self.handler.connected then
      return
    end
    local why = server:stopped()
    if why then
      link.failure = why
      self.handler:hopeless(link.endpoint, why)
    end
  end
end

local function lost(self, link, message)
  if self.links[link.number] == link then
    link.failure = message
    self.failures[link.endpoint] = message
    self.core:disconnected(link.number)
    self.event:set()
  end
end

function Driver:read(link)
  local core, number, stream = self.core, link.number, link.stream
  while self.links[number] == link do
    local bytes, message = stream:read()
    if not bytes then
      return lost(self, link, message)
    end
    if self.handler:forked() then
      return -- the socket is the parent's
    end
    if not core:feed(number, bytes) then
      return lost(self, link, "out of memory")
    end
    local replies = self:drain()
    self:poke()
    local waiting = core:pending()
    if waiting >= BULK_MIN and replies * BULK_SHARE < waiting then
      self.scheduler.sleep(GATHER)
    end
  end
end

function Driver:write(link)
  local core, number, stream = self.core, link.number, link.stream
  while self.links[number] == link do
    self.poked = false
    local bytes = not self.handler:forked() and core:output(number)
    if bytes then
      local ok, message = stream:write(bytes)
      if not ok then
        return lost(self, link, message)
      end
    else
      check_deadline(self)
      link.output:wait()
    end
  end
end

return M
