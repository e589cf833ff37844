--- A simulated process: a program with globals, modules, clock and sessions of its own. Many of
--- them live in one Lua state and know nothing of each other but what the network tells.
local code = require "zklua.sim.code"
local finalizer = require "zklua.finalizer"
local globals = require "zklua.sim.globals"
local schedulers = require "zklua.scheduler.sim"
local core = require "zklua.core"

local Process = {}
Process.__index = Process

local M = {}

--- How long a program that has ended stays for its sessions to be closed, in seconds.
local CLOSE_TIMEOUT = 5

local unpack = table.unpack or unpack

---@class zklua.sim.process.Options
---@field name string           host and process in one; in the trace and the network
---@field file string|nil       the program: a file
---@field main fun(zk: table, ...)|nil  or a function, which shares the caller's globals
---@field arguments any[]|nil
---@field servers string|nil    where zk.connect goes when it names no server
---@field connect table|nil     defaults for the options of zk.connect
---@field env table<string, string>|nil  what os.getenv sees
---@field instructions_max number|nil  that it may compute without a wait; default 1e8
---@field turns_max number|nil  that it may take within 50 s of virtual time; default 1e6

local function load_program(self, options)
  if options.main then
    code.interpret(options.main)
    return options.main
  end
  local program, message = code.load_file(options.file, self.globals)
  if not program then
    error(message, 3)
  end
  return function(_, ...)
    return program(...)
  end
end

-- The program as its main task, and what its end brings with it.
local function run(self, program, arguments)
  local failure
  local ok = xpcall(function()
    program(self.zk, unpack(arguments, 1, arguments.n or #arguments))
  end, function(message)
    failure = debug.traceback(tostring(message), 2)
  end)
  self.failure = failure
  self.runtime:cancel_tasks("CANCELLED: the program has ended")
  self.runtime:close(CLOSE_TIMEOUT)
  self:exit(ok and 0 or 1)
end

-- The collector comes when it likes, and no two runs alike. So what hangs on a collection waits
-- until somebody asks for it.
local function add_finalizer(self)
  local count, dying = 0, self.dying
  return function(fn)
    count = count + 1
    local number = count
    return finalizer(function()
      dying[#dying + 1] = { number = number, fn = fn }
    end)
  end
end

local function finalize(self)
  local dying = {}
  for i = #self.dying, 1, -1 do
    dying[i], self.dying[i] = self.dying[i], nil
  end
  table.sort(dying, function(a, b)
    return a.number < b.number
  end)
  for _, entry in ipairs(dying) do
    pcall(entry.fn)
  end
end

---@param options zklua.sim.process.Options
function M.start(world, options)
  world.starts = (world.starts or 1) + 1 -- pids are of the world; 1 is the servers'
  local self = setmetatable({
    world = world,
    name = options.name,
    env = options.env or {},
    output = {}, -- { time, "stdout" or "stderr", text }
    failure = nil, -- the traceback of what ended it
    status = nil, -- once it has ended: a number, or "killed"
    errors = {}, -- tracebacks of tasks that nobody waited for
    dying = {}, -- finalizers of what was collected
    on_exit = nil, -- called with the process when it has ended, in whatever way
  }, Process)
  self.core = core.simulate({
    seed = core.mix(world.seed, self.name, world.starts),
    hostname = self.name,
    pid = world.starts,
  })
  self.scheduler = schedulers.new({
    world = world, name = self.name, core = self.core,
    on_error = function(_, trace)
      self.errors[#self.errors + 1] = trace
    end,
    on_endless = function(_, trace)
      self.failure = trace
      self:finish(1)
    end,
    instructions_max = options.instructions_max,
    turns_max = options.turns_max,
  })
  self.globals = globals.new(self, {
    zklua = function()
      return self.zk
    end,
    ["zklua.finalizer"] = function()
      return add_finalizer(self)
    end,
  })
  local require_here = self.globals.require
  self.runtime = require_here("zklua.runtime").new({
    scheduler = self.scheduler,
    servers = options.servers,
    connect = options.connect,
    on_error = function(_, trace)
      self.errors[#self.errors + 1] = trace
    end,
    log = function(level, message)
      self:print("stderr", level .. ": " .. message .. "\n")
    end,
  })
  self.zk = require_here("zklua.facade").new(self.runtime)
  self.globals.arg = options.arguments or {}
  local program = load_program(self, options)
  self.main = self.runtime:spawn(run, self, program, options.arguments or {})
  self.main.name = "main"
  world:trace(self.name, "start")
  return self
end

--- Seconds since 1970 by the process's wall clock.
function Process:wall()
  return self.scheduler.wall()
end

function Process:print(stream, text)
  self.output[#self.output + 1] = { self.world.time, stream, text }
  self.world:trace(self.name, text)
end

--- The ids of its sessions that are connected, in the order of their ids.
function Process:sessions()
  local list = {}
  for session in pairs(self.runtime.sessions) do
    local life = session.life
    if life and life.connected and life.id then
      list[#list + 1] = life.id
    end
  end
  table.sort(list)
  return list
end

--- Calls the finalizers of what has been collected, the oldest first. In a simulation they wait for
--- this, or for `collectgarbage` in the program: when the collector comes is another matter each
--- time.
function Process:finalize()
  if self.status ~= nil then
    return
  elseif self.scheduler.waiting() == "park" then
    finalize(self)
  else
    self.scheduler.daemon(finalize, self)
  end
end

--- All that it wrote to a stream.
---@param stream string|nil  default "stdout"
function Process:text(stream)
  local parts = {}
  for _, piece in ipairs(self.output) do
    if piece[2] == (stream or "stdout") then
      parts[#parts + 1] = piece[3]
    end
  end
  return table.concat(parts)
end

-- The process is gone: the system closes its sockets, its sessions are left to expire.
function Process:finish(status)
  if self.status == nil then
    self.status = status
    self.world:trace(self.name, "exit " .. tostring(status))
    self.scheduler.stop()
    if self.on_exit then
      self:on_exit()
    end
  end
end

--- Ends it here, as os.exit does.
function Process:exit(status)
  self:finish(status == true and 0 or status == false and 1 or status or 0)
  if coroutine.running() and self.scheduler.waiting() == "park" then
    coroutine.yield() -- and is never resumed
  end
end

--- kill -9.
function Process:kill()
  self:exit("killed")
end

--- Ctrl-C: the main task's waits end.
function Process:interrupt()
  self.main:cancel("CANCELLED: interrupted by a signal")
end

--- SIGSTOP, and SIGCONT after so many seconds.
function Process:pause(seconds)
  self.world:trace(self.name, ("pause %g"):format(seconds))
  self.scheduler.pause(seconds)
end

return M
