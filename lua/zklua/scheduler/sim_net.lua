--- The network of a simulated world: names, listeners, links, and what goes wrong with them.
---
--- A link is two pipes. Bytes leave in pieces of any size and arrive in order, each after a delay
--- of its own. Faults are of links: `cut` ends one, after any number of bytes; `lose` lets one
--- direction swallow what it is given, and nobody is told; `hold` keeps all that is under way
--- until `release`, as a network does that is parted for a while. `part` does that to every link
--- between two groups of processes, those to come included.
if jit then -- luacheck: ignore
  jit.off(true, true) -- luacheck: ignore: see scheduler/sim.lua
end

local Network = {}
Network.__index = Network

local Stream = {}
Stream.__index = Stream

local M = {}

--- Bytes under way in one direction before a writer has to wait.
local BUFFER = 256 * 1024
--- Bytes of one piece at most; less where the world cuts it up.
local PIECE = 64 * 1024
--- A first packet that nobody answers is sent again after this many seconds.
local RETRY = 1

---@class zklua.scheduler.sim_net.Options
---@field delay_min number|nil  seconds that a piece takes; default 0.0001
---@field delay_max number|nil  default 0.0005
---@field pieces number|nil     the share of writes that arrive in pieces; default 0.25

--- The network of a world: made when the first process asks for it.
---@param options zklua.scheduler.sim_net.Options|nil  taken when it is made
function M.of(world, options)
  if not world.network then
    options = options or {}
    world.network = setmetatable({
      world = world,
      delay_min = options.delay_min or 0.0001,
      delay_max = options.delay_max or 0.0005,
      pieces = options.pieces or 0.25,
      listeners = {}, -- "host:port" -> { owner, accept }
      names = { localhost = { "127.0.0.1" } },
      links = {}, -- those that are open, in no order that anything follows from
      link_count = 0,
      parted = {}, -- process -> group
    }, Network)
  end
  return world.network
end

-- Pipes --------------------------------------------------------------------------

local function new_pipe(world, name)
  return {
    world = world,
    name = name,
    to = nil, -- the stream that reads
    last = 0, -- when the last piece arrives
    under_way = 0, -- bytes
    held = nil, -- while it is held: the pieces, in order
    lost = false,
    left = nil, -- bytes until the link is cut
  }
end

local function deliver(pipe, size, fn, ...)
  if pipe.held then
    pipe.held[#pipe.held + 1] = { size, fn, ... }
    return
  end
  pipe.under_way = pipe.under_way - size
  local from = pipe.to.peer
  if from.writing and pipe.under_way < BUFFER then
    from.writable:set()
  end
  if not pipe.lost then
    fn(pipe.to, ...)
  end
end

local function delay(network, pipe)
  local share = network.world:random(pipe.name)
  return network.delay_min + share * (network.delay_max - network.delay_min)
end

-- fn(reader, ...) after all that was sent before.
local function send(network, pipe, size, fn, ...)
  local world = network.world
  pipe.under_way = pipe.under_way + size
  pipe.last = math.max(pipe.last, world.time + delay(network, pipe))
  world:at(pipe.last, deliver, pipe, size, fn, ...)
end

local function arrive(stream, bytes)
  if stream.closed then
    stream.peer:reset("connection reset by the peer")
  end
  if stream.closed or stream.reset_by then
    return
  end
  stream.chunks[#stream.chunks + 1] = bytes
  stream.readable:set()
end

-- The end of what the peer sent: after what has arrived before it.
local function finish(stream, message, code)
  if not stream.ended then
    stream.ended, stream.ended_code = message, code
    stream.readable:set()
    stream.writable:set()
  end
end

local function send_bytes(network, pipe, bytes)
  local world, at = network.world, 1
  while at <= #bytes do
    local size = math.min(PIECE, #bytes - at + 1)
    if size > 1 and world:random(pipe.name) < network.pieces then
      size = world:pick(pipe.name, 1, size)
    end
    if pipe.left and size > pipe.left then
      size = pipe.left
    end
    if size > 0 then
      send(network, pipe, size, arrive, bytes:sub(at, at + size - 1))
    end
    at = at + size
    if pipe.left then
      pipe.left = pipe.left - size
      if pipe.left == 0 then
        send(network, pipe, 0, function(reader)
          reader.link:cut()
        end)
        return
      end
    end
  end
end

-- Streams ------------------------------------------------------------------------

local function new_stream(link, scheduler, pipe)
  return setmetatable({
    link = link,
    owner = scheduler.name,
    pipe = pipe, -- what it writes into
    chunks = {},
    readable = scheduler.event(),
    writable = scheduler.event(),
    closed = false,
  }, Stream)
end

--- Bytes; or nil, message, CODE. "EOF" is the peer's end, "CLOSED" ours.
function Stream:read(deadline)
  while not self.chunks[1] do
    if self.closed then
      return nil, "closed here", "CLOSED"
    elseif self.ended then
      return nil, self.ended, self.ended_code
    elseif not self.readable:wait(deadline) then
      return nil, "nothing to read in time", "TIMEOUT"
    end
  end
  return table.remove(self.chunks, 1)
end

--- Parks until the network has taken all of `bytes`; one writer at a time.
function Stream:write(bytes)
  local pipe = self.pipe
  local at = 1
  while at <= #bytes do
    while pipe.under_way >= BUFFER and not self.closed and not self.reset_by do
      self.writing = true
      self.writable:wait()
      self.writing = false
    end
    if self.closed then
      return nil, "closed here", "CLOSED"
    elseif self.reset_by then
      return nil, self.reset_by, "IO"
    end
    local size = math.min(#bytes - at + 1, BUFFER - pipe.under_way)
    send_bytes(self.link.network, pipe, bytes:sub(at, at + size - 1))
    at = at + size
  end
  return true
end

--- For a process that is about to end: what fits goes, and nobody waits.
function Stream:write_last(bytes)
  if not self.closed and not self.reset_by then
    send_bytes(self.link.network, self.pipe, bytes)
  end
end

function Stream:drain() end

function Stream:close()
  if not self.closed then
    self.closed = true
    self.chunks = {}
    self.readable:set()
    self.writable:set()
    local link = self.link
    if self.peer.closed then
      link.network.links[link] = nil
    else
      send(link.network, self.pipe, 0, finish, "closed by the peer", "EOF")
    end
  end
end

--- The connection is gone, and what was under way; what has arrived can still be read.
function Stream:reset(message)
  if not self.reset_by then
    self.reset_by = message
    finish(self, message, "IO")
  end
end

-- Links --------------------------------------------------------------------------

local Link = {}
Link.__index = Link

local function new_link(network, from, to)
  network.link_count = network.link_count + 1
  local link = setmetatable({ network = network, number = network.link_count }, Link)
  local name = ("link %d %s-%s"):format(network.link_count, from.name, to.name)
  local there = new_pipe(network.world, name .. " >")
  local back = new_pipe(network.world, name .. " <")
  link.from, link.to = new_stream(link, from, there), new_stream(link, to, back)
  link.from.peer, link.to.peer = link.to, link.from
  there.to, back.to = link.to, link.from
  link.name = name
  network.links[link] = true
  return link
end

--- Both ends read a reset; what is under way is lost. With `bytes`: once so many more have gone
--- that way, "there" (from who connected) or "back".
---@param way string|nil
---@param bytes integer|nil
function Link:cut(way, bytes)
  if bytes and bytes > 0 then
    local pipe = way == "there" and self.from.pipe or self.to.pipe
    pipe.left = bytes
    return
  end
  self.network.world:trace(self.name, "cut")
  self.network.links[self] = nil
  self.from:reset("connection reset by the peer")
  self.to:reset("connection reset by the peer")
end

--- What goes "there" or "back" from now on is never seen, and nobody is told.
function Link:lose(way)
  local pipe = way == "there" and self.from.pipe or self.to.pipe
  pipe.lost = true
end

local function pipes(link)
  return { link.from.pipe, link.to.pipe }
end

--- Keeps all that is under way, and all that comes.
function Link:hold()
  for _, pipe in ipairs(pipes(self)) do
    pipe.held = pipe.held or {}
  end
end

function Link:release()
  for _, pipe in ipairs(pipes(self)) do
    local held = pipe.held or {}
    pipe.held = nil
    for _, piece in ipairs(held) do
      deliver(pipe, (table.unpack or unpack)(piece))
    end
  end
end

-- The network ----------------------------------------------------------------------

function Network:apart(a, b)
  local one, other = self.parted[a], self.parted[b]
  return one ~= other and (one or other) ~= nil
end

-- Links in the order they were made: nothing may follow from the order of a table.
local function each_link(self)
  local list = {}
  for link in pairs(self.links) do
    list[#list + 1] = link
  end
  table.sort(list, function(a, b)
    return a.number < b.number
  end)
  return list
end

--- The open links of a process, or all, in the order they were made.
---@param process string|nil
function Network:links_of(process)
  local list = {}
  for _, link in ipairs(each_link(self)) do
    if not process or link.from.owner == process or link.to.owner == process then
      list[#list + 1] = link
    end
  end
  return list
end

--- Parts the processes named from all others, until `heal`.
---@param processes string[]
function Network:part(processes)
  self.parted = {}
  for _, name in ipairs(processes) do
    self.parted[name] = 1
  end
  for _, link in ipairs(each_link(self)) do
    if self:apart(link.from.owner, link.to.owner) then
      link:hold()
    end
  end
end

function Network:heal()
  self.parted = {}
  for _, link in ipairs(each_link(self)) do
    link:release()
  end
end

--- accept(stream) for each connection to "host:port", in an event of the world; it must not wait.
--- Returns a function that ends it.
---@param scheduler table  the process that listens
---@param address string
---@param accept fun(stream: table)
function Network:listen(scheduler, address, accept)
  if self.listeners[address] then
    error(address .. " is taken by " .. self.listeners[address].scheduler.name, 2)
  end
  local listener = { scheduler = scheduler, accept = accept }
  self.listeners[address] = listener
  return function()
    if self.listeners[address] == listener then
      self.listeners[address] = nil
    end
  end
end

-- One attempt: the first packet arrives, then its answer.
local function attempt(self, call)
  if call.over then
    return
  end
  local world, scheduler = self.world, call.scheduler
  local listener = self.listeners[call.address]
  local owner = listener and listener.scheduler.name
  if owner and self:apart(scheduler.name, owner) then
    world:at(world.time + RETRY, attempt, self, call)
    return
  end
  local link
  if listener then
    link = new_link(self, scheduler, listener.scheduler)
    listener.accept(link.to)
  end
  world:at(world.time + self.delay_max, function()
    if call.over or scheduler.stopped then
      if link then
        link.from:close()
      end
    else
      call.link = link
      call.done:set()
    end
  end)
end

--- Adds `resolve` and `connect` to a simulated scheduler.
function M.attach(scheduler)
  local world = scheduler.world
  local network = M.of(world)

  function scheduler.resolve(name)
    if name:find(":", 1, true) or name:find("^%d+%.%d+%.%d+%.%d+$") then
      return { name }
    end
    local list = network.names[name]
    if not list then
      return nil, "does not resolve", "UNRESOLVED"
    end
    return { (table.unpack or unpack)(list) }
  end

  function scheduler.connect(endpoint, deadline, tls)
    assert(not tls, "tls is not in this version")
    local call = {
      scheduler = scheduler,
      address = endpoint.host .. ":" .. endpoint.port,
      done = scheduler.event(),
      over = false,
    }
    world:at(world.time + network.delay_max, attempt, network, call)
    local answered = call.done:wait(deadline)
    call.over = true
    if not answered then
      return nil, "no answer", "TIMEOUT"
    elseif not call.link then
      return nil, "connection refused", "CONNECT"
    end
    return call.link.from
  end
end

--- The process is gone: its listeners with it, and its peers read a reset.
function M.detach(scheduler)
  local network = M.of(scheduler.world)
  for address, listener in pairs(network.listeners) do
    if listener.scheduler == scheduler then
      network.listeners[address] = nil
    end
  end
  for _, link in ipairs(network:links_of(scheduler.name)) do
    link:cut()
  end
end

return M
