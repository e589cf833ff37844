--- A simulated ZooKeeper server: the real server core, on a simulated network and disk.
---
--- The disk keeps transactions in order. What is written becomes durable after a while; a crash
--- loses any part of what is not, from its end, and a restart replays the rest. (How the bytes of
--- a log survive a crash is the store's own affair, and tested there.)
local nets = require "zklua.scheduler.sim_net"
local schedulers = require "zklua.scheduler.sim"
local taps = require "zklua.sim.tap"
local core = require "zklua.core"

if jit then -- luacheck: ignore
  jit.off(true, true) -- luacheck: ignore: see scheduler/sim.lua
end

local Server = {}
Server.__index = Server

local M = {}

local PID = 1

---@class zklua.sim.server.Options
---@field name string|nil     in the trace and the network; default "zk"
---@field address string|nil  default "10.0.0.1:2181"
---@field tick_time number|nil  seconds; default 2
---@field sync_min number|nil, sync_max number|nil  what a sync takes, in seconds

---@param options zklua.sim.server.Options|nil
function M.new(world, options)
  options = options or {}
  local self = setmetatable({
    world = world,
    name = options.name or "zk",
    address = options.address or "10.0.0.1:2181",
    tick_time = options.tick_time or 2,
    sync_min = options.sync_min or 0.0002,
    sync_max = options.sync_max or 0.002,
    log = {}, -- payloads
    durable = 0, -- how many of them are
    starts = 0,
    running = false,
  }, Server)
  self:start()
  return self
end

-- Connections --------------------------------------------------------------------

-- After every call of the core: whose output, reading or end has changed, and what is to be logged?
local function work(self)
  local server = self.core
  while true do
    local number, reads, ending = server:changed()
    if not number then
      break
    end
    local connection = self.connections[number]
    connection.reads, connection.ending = reads, ending
    connection.more:set()
    connection.readable:set()
  end
  local kind, session = server:event()
  while kind do
    self.world:trace(self.name, session and kind .. " " .. session or kind)
    kind, session = server:event()
  end
  local zxid, payload = server:next_txn()
  while zxid do
    self.log[#self.log + 1] = payload
    self.last_zxid = zxid
    self.to_sync:set()
    zxid, payload = server:next_txn()
  end
  self.timer:set()
end

local function close(self, connection)
  local number = connection.number
  if number then
    connection.number = nil
    self.connections[number] = nil
    self.core:closed(number)
    connection.stream:close()
    connection.more:set()
    connection.readable:set()
    work(self)
  end
end

local function read(self, connection)
  while connection.number do
    if connection.reads then
      local bytes = connection.stream:read()
      if not bytes then
        return close(self, connection)
      elseif connection.number then
        if connection.tap then
          connection.tap:feed(bytes)
        end
        self.core:feed(connection.number, bytes)
        work(self)
      end
    else
      connection.readable:wait()
    end
  end
end

local function write(self, connection)
  while connection.number do
    if connection.ending == "at once" then
      return close(self, connection)
    end
    local bytes = self.core:output(connection.number)
    if bytes then
      if connection.tap then
        connection.tap:output(bytes)
      end
      if not connection.stream:write(bytes) then
        return close(self, connection)
      end
      if connection.number then
        work(self)
      end
    elseif connection.ending then
      return close(self, connection)
    else
      connection.more:wait()
    end
  end
end

-- What the world does to it comes between its own turns, which set its clocks.
local function set_clocks(self)
  local scheduler = self.scheduler
  scheduler.core.set_time(self.world.time, scheduler.wall())
end

local function accept(self, stream)
  local scheduler = self.scheduler
  set_clocks(self)
  local number = self.core:accept()
  if not number then
    stream:close()
    return
  end
  local connection = {
    number = number, -- nil once the core knows it no more
    stream = stream,
    reads = true,
    more = scheduler.event(),
    readable = scheduler.event(),
    tap = self.world.lines and taps.new(self.world, stream.peer.owner),
  }
  self.connections[number] = connection
  scheduler.daemon(read, self, connection)
  scheduler.daemon(write, self, connection)
  work(self)
end

-- Time and disk --------------------------------------------------------------------

local function keep_time(self)
  local server, scheduler = self.core, self.scheduler
  while true do
    local deadline = server:deadline()
    if deadline and deadline <= scheduler.now() then
      scheduler.sleep(0) -- what waits in a socket counts first
      server:tick()
      work(self)
    else
      self.timer:wait(deadline)
    end
  end
end

local function sync(self)
  local world, scheduler = self.world, self.scheduler
  while true do
    self.to_sync:wait()
    while self.durable < #self.log do
      local count, zxid = #self.log, self.last_zxid
      local share = world:random(self.name .. " disk")
      scheduler.sleep(self.sync_min + share * (self.sync_max - self.sync_min))
      self.durable = count
      world:trace(self.name, "durable " .. count)
      self.core:committed(zxid)
      work(self)
    end
  end
end

-- Its life ---------------------------------------------------------------------------

--- Recovers what its disk holds and serves it.
function Server:start()
  if self.running then
    error("this server runs already", 2)
  end
  local world = self.world
  self.starts = self.starts + 1
  local system = core.simulate({
    seed = core.mix(world.seed, self.name, self.starts),
    hostname = self.name,
    pid = PID,
  })
  local scheduler = schedulers.new({
    world = world,
    name = self.name,
    core = system,
    on_error = function(_, trace)
      error(trace, 0)
    end,
  })
  self.scheduler = scheduler
  self.secret = self.secret or system.random_hex(10) -- kept with the log
  self.core = system.server({
    log = true, secret = self.secret, tick_time = self.tick_time, ttl_nodes = true,
  })
  self.connections = {}
  self.timer, self.to_sync = scheduler.event(), scheduler.event()
  self.last_zxid = nil
  for _, payload in ipairs(self.log) do
    self.core:replay(payload)
  end
  self.core:start()
  self.running = true
  world:trace(self.name, "start " .. #self.log)
  scheduler.daemon(keep_time, self)
  scheduler.daemon(sync, self)
  nets.of(world):listen(scheduler, self.address, function(stream)
    accept(self, stream)
  end)
  scheduler.daemon(work, self)
end

--- The power goes: of what was not durable any part may be left, but nothing behind what is lost.
function Server:crash()
  if not self.running then
    error("this server does not run", 2)
  end
  local kept = self.world:pick(self.name .. " disk", self.durable, #self.log)
  self.world:trace(self.name, ("crash, %d of %d kept"):format(kept, #self.log))
  self.running = false
  self.scheduler.stop()
  for i = kept + 1, #self.log do
    self.log[i] = nil
  end
  self.durable = kept
  self.core, self.connections = nil, {}
end

--- Ends a session as its expiry would; false when there is none of this id ("0x...").
function Server:expire(id)
  set_clocks(self)
  local known = self.core:expire(id)
  work(self)
  return known
end

return M
