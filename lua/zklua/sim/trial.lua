--- A trial: programs against a server while things go wrong, then not any more, then the judgement.
---
--- What goes wrong, when and to whom follows from the seed alone. Four phases: faults; healing,
--- after which every program has to do what is left within a bounded time; the audit, by whoever
--- wrote the trial, on what the server holds; and the end, when the programs close what they have
--- open, and no watch, task or request of theirs may be left. A trial that fails is had again by
--- its seed.
local nets = require "zklua.scheduler.sim_net"
local processes = require "zklua.sim.process"
local servers = require "zklua.sim.server"
local worlds = require "zklua.scheduler.sim_world"

local Trial = {}
Trial.__index = Trial

local M = {}

local CHANCE = "faults"
local SPREAD = 100 -- how many times slower than at best a network or a disk can be
local CLOSING_TIME = 10 -- seconds for what is open to be closed

---@class zklua.sim.trial.Options
---@field seed integer
---@field lines boolean|nil          keep the story
---@field faults string[]|nil        which kinds; default: all, of which each seed takes some
---@field duration number|nil        seconds with faults; default 20
---@field pause number|nil           seconds between two faults, on average; default 0.7
---@field session_timeout number|nil default 6
---@field patience number|nil        seconds after healing until all have ended; default 60

---@param options zklua.sim.trial.Options
function M.new(options)
  local world = worlds.new({ seed = options.seed, lines = options.lines })
  local self = setmetatable({
    world = world,
    network = nets.of(world),
    server = servers.new(world),
    processes = {},
    duration = options.duration or 20,
    pause = options.pause or 0.7,
    session_timeout = options.session_timeout or 6,
    patience = options.patience or 60,
    counts = {}, -- fault -> how often
    coming = 0, -- processes that take the place of one that was killed, and have not begun
    healing = false,
    closing = false,
    waiting = {}, -- events of programs that have done their work
  }, Trial)
  self.kinds = self:choose(options.faults or M.KINDS)
  -- A race is as wide as the way is long: some seeds are near, others far, with disks of any speed.
  self.network.delay_max = self.network.delay_max * SPREAD ^ world:random(CHANCE)
  self.server.sync_max = self.server.sync_max * SPREAD ^ world:random(CHANCE)
  return self
end

-- Each seed takes some kinds of faults: those that come together hide some of what each brings.
function Trial:choose(kinds)
  local chosen = {}
  for _, kind in ipairs(kinds) do
    if self.world:random(CHANCE) < 0.5 then
      chosen[#chosen + 1] = kind
    end
  end
  return chosen[1] and chosen or kinds
end

-- Parks a program until the trial is so far.
local function await(self, zk, phase)
  while not self[phase] do
    local event = zk.event()
    self.waiting[#self.waiting + 1] = event
    event:wait()
  end
end

local function enter(self, phase)
  self[phase] = true
  local waiting = self.waiting
  self.waiting = {}
  for _, event in ipairs(waiting) do
    event:set()
  end
end

--- A program that belongs to the trial. When `main(zk, name)` has returned, its work is done, but
--- the process and what it returned, its client, stay until all is over: a node that is left then
--- is left for good. A second result is called when the audit is over, to close what is still open.
---@param name string
---@param main fun(zk: table, name: string): any, function|nil
---@param options { replaced: boolean|nil }|nil  a new process does the same when this one is killed
function Trial:start(name, main, options)
  local process
  process = processes.start(self.world, {
    name = name,
    main = function(zk)
      local client, close = main(zk, name)
      process.kept = client or true
      await(self, zk, "closing")
      if close then
        close()
      end
      process.closed = true
      await(self, zk, "over")
    end,
    servers = "10.0.0.1",
    connect = { session_timeout = self.session_timeout, log = function() end },
  })
  self.processes[#self.processes + 1] = process
  if options and options.replaced then
    function process.on_exit()
      if process.status == "killed" then
        self:replace(name, main, options)
      end
    end
  end
  return process
end

-- Faults -------------------------------------------------------------------------

local function random_of(self, list)
  return list[self.world:pick(CHANCE, 1, #list)]
end

-- A program that still runs, or nil.
local function living(self)
  local list = {}
  for _, process in ipairs(self.processes) do
    if process.status == nil then
      list[#list + 1] = process
    end
  end
  return list[1] and random_of(self, list)
end

local function some_link(self)
  local links = self.network:links_of()
  return links[1] and random_of(self, links)
end

local function seconds(self, least, most)
  return least + self.world:random(CHANCE) * (most - least)
end

local function later(self, time, fn)
  self.world:at(self.world.time + time, fn)
end

-- The one that comes has a name of its own: "party-1", "party-1.2", "party-1.3".
function Trial:replace(name, main, options)
  local base, count = name:match("^(.-)%.(%d+)$")
  self.coming = self.coming + 1
  later(self, seconds(self, 0.1, self.session_timeout), function()
    self.coming = self.coming - 1
    self:start(("%s.%d"):format(base or name, (count or 1) + 1), main, options)
  end)
end

local FAULTS = {
  cut = function(self)
    local link = some_link(self)
    if link then
      link:cut()
    end
  end,
  -- In the middle of a request, or of the answer to one that was carried out.
  cut_inside = function(self)
    local link = some_link(self)
    if link then
      link:cut(self.world:random(CHANCE) < 0.5 and "there" or "back",
        self.world:pick(CHANCE, 1, 200))
    end
  end,
  lose = function(self)
    local link = some_link(self)
    if link then
      link:lose(self.world:random(CHANCE) < 0.5 and "there" or "back")
    end
  end,
  part = function(self)
    local process = living(self)
    if process then
      self.network:part({ process.name })
      later(self, seconds(self, 0.1, 2 * self.session_timeout), function()
        self.network:heal()
      end)
    end
  end,
  pause = function(self)
    local process = living(self)
    if process then
      process:pause(seconds(self, 0.1, 2 * self.session_timeout))
    end
  end,
  kill = function(self)
    local process = living(self)
    -- Somebody has to be left who shows that what the dead held is free.
    if process and (self.counts.kill or 0) < #self.processes - 1 then
      process:kill()
    end
  end,
  crash = function(self)
    if self.server.running then
      self.server:crash()
      later(self, seconds(self, 0.01, 3), function()
        if not self.server.running then
          self.server:start()
        end
      end)
    end
  end,
  expire = function(self)
    local process = living(self)
    local id = process and process.sessions and process:sessions()[1]
    if id and self.server.running then
      self.server:expire(id)
    end
  end,
}

--- All kinds of faults, in an order that chance can follow.
M.KINDS = { "cut", "cut_inside", "lose", "part", "pause", "kill", "crash", "expire" }

local function next_fault(self)
  if self.healing then
    return
  end
  local kind = random_of(self, self.kinds)
  self.counts[kind] = (self.counts[kind] or 0) + 1
  self.world:trace("fault", kind)
  FAULTS[kind](self)
  later(self, seconds(self, 0, 2 * self.pause), function()
    next_fault(self)
  end)
end

-- The run ------------------------------------------------------------------------

-- Whether every program has done its work, or cannot any more.
local function all_done(self)
  if self.coming > 0 then
    return false
  end
  for _, process in ipairs(self.processes) do
    if process.status == nil and not process.kept then
      return false
    end
  end
  return true
end

local function heal(self)
  self.healing = true
  self.network:heal()
  for _, link in ipairs(self.network:links_of()) do
    link:cut() -- one that loses what it is given never tells
  end
  if not self.server.running then
    self.server:start()
  end
  self.world:trace("fault", "healed")
end

local function verdict(self)
  for _, process in ipairs(self.processes) do
    if process.status == nil and not process.kept then
      return nil, ("%s is not done %g s after all was well again"):format(process.name,
        self.patience)
    elseif process.status == 1 then
      return nil, ("%s: %s"):format(process.name, process.failure)
    elseif process.errors[1] then
      return nil, ("%s: %s"):format(process.name, process.errors[1])
    end
  end
  return true
end

-- Who has not closed what it had open, or has left something behind on its own side.
local function left_in(process)
  if process.status ~= nil then
    return nil
  elseif not process.closed then
    return "does not come to an end of closing"
  end
  for _, task in pairs(process.runtime.tasks) do
    if task ~= process.main then
      return ("has left the task %s"):format(task:label())
    end
  end
  for session in pairs(process.runtime.sessions) do
    local info = session.life.core:info()
    if info.watches > 0 or info.pending > 0 then
      return ("has %d watches and %d requests left"):format(info.watches, info.pending)
    end
  end
end

-- Nothing may be left when all is closed and the clients are still there. What only the collector
-- keeps is nothing.
local function leftovers(self)
  collectgarbage()
  collectgarbage()
  for _, process in ipairs(self.processes) do
    process:finalize()
  end
  self.world:run(self.world.time + 1)
  for _, process in ipairs(self.processes) do
    local left = left_in(process)
    if left then
      return nil, ("%s %s"):format(process.name, left)
    end
  end
  local count = self.server.core:info().watches
  if count > 0 then
    return nil, ("%d watches are left at the server"):format(count)
  end
  return true
end

-- Faults, then none, until every program has done its work or has had its time.
local function go_on(self)
  local world = self.world
  later(self, seconds(self, 0, self.pause), function()
    next_fault(self)
  end)
  while world.time < self.duration and not all_done(self) do
    world:run(world.time + 0.25)
  end
  heal(self)
  local deadline = world.time + self.patience
  while world.time < deadline and not all_done(self) do
    world:run(world.time + 0.25)
  end
end

local function judge(self, audit, audit_closed)
  local world = self.world
  local ok, message = verdict(self)
  if ok then
    world:run(world.time + 3 * self.session_timeout) -- the sessions of the dead end
    ok, message = audit(self)
  end
  enter(self, "closing")
  world:run(world.time + CLOSING_TIME)
  if ok then
    ok, message = leftovers(self)
  end
  if ok and audit_closed then
    ok, message = audit_closed(self)
  end
  return ok, message
end

--- Carries it out, and lets `audit(trial)` judge when all is quiet, and `audit_closed(trial)` when
--- all is closed: true, or nil and what went wrong; and the trial.
---@param audit fun(trial: table): boolean|nil, string|nil
---@param audit_closed (fun(trial: table): boolean|nil, string|nil)|nil
function Trial:run(audit, audit_closed)
  go_on(self)
  local ok, message = judge(self, audit, audit_closed)
  enter(self, "over")
  self.world:run(self.world.time + CLOSING_TIME)
  if ok then
    ok, message = verdict(self)
  end
  return ok, message, self
end

--- Runs `look(c)` in a program of its own, with a client, and gives what it returns.
function Trial:look(look)
  local results
  local process = processes.start(self.world, {
    name = "auditor", servers = "10.0.0.1",
    connect = { session_timeout = 30, log = function() end },
    main = function(zk)
      results = { look(assert(zk.connect())) }
    end,
  })
  self.world:run(self.world.time + 5)
  assert(process.status == 0, process.failure or "the audit has not ended")
  return (table.unpack or unpack)(results)
end

return M
