--- A runtime: one scheduler, its tasks, its clients. `zk.*` is a facade of one, and nothing in
--- the library is kept anywhere else, so that isolated programs can live in one Lua state.
local connection = require "zklua.connection"
local deadlines = require "zklua.deadline"
local events = require "zklua.event"
local in_order = require "zklua.in_order"
local memories = require "zklua.memory"
local tasks = require "zklua.task"
local wrong = require "zklua.wrong"

local running = coroutine.running

local Runtime = {}
Runtime.__index = Runtime

local M = {}

---@class zklua.runtime.Options
---@field scheduler table|nil  default: the one over libuv
---@field on_error fun(message: any, traceback: string, task: table|nil)|nil
---@field log fun(level: string, message: string)|nil  "info", "warning", "error"
---@field servers string|nil  where zk.connect() goes when it names no server
---@field connect table|nil  defaults for the options of zk.connect
---@field on_local fun(directory: string)|nil  a connection to local: was made, which nobody named

---@param options zklua.runtime.Options|nil
function M.new(options)
  options = options or {}
  local self = setmetatable({
    on_error = options.on_error,
    log_hook = options.log,
    servers = options.servers,
    connect_defaults = options.connect or {},
    tasks = setmetatable({}, { __mode = "k" }), -- coroutine -> task
    task_count = 0, -- so far
    sessions = {}, -- those that are open -> number
    session_count = 0, -- so far
    memories = {}, -- endpoint -> server inside this process
    local_servers = {}, -- endpoint -> what reaches this user's server
    on_local = options.on_local,
    private_count = 0,
  }, Runtime)
  self.scheduler = options.scheduler
    or require("zklua.scheduler.uv").new({
      on_error = function(message, trace)
        self:report(message, trace)
      end,
      on_stall = function(seconds, co)
        self:report_stall(seconds, co)
      end,
    })
  self.main = tasks.new(self, "main")
  return self
end

-- Time -----------------------------------------------------------------------

--- Seconds, monotonic, counting suspend.
function Runtime:now()
  return self.scheduler.now()
end

--- `timeout` seconds from now; nil is never.
function Runtime:deadline(timeout)
  return timeout and deadlines.after(self.scheduler.now(), timeout) or nil
end

--- Parks the caller: true, or nil, message, CODE when it was cancelled.
function Runtime:sleep(seconds)
  if type(seconds) ~= "number" then
    wrong("seconds must be a number, not " .. type(seconds))
  end
  local task = self:waiter("sleep")
  if seconds <= 0 then
    return self:pause()
  end
  return task:sleep_until(self.scheduler.now() + seconds)
end

--- Lets everything else that is ready run, sockets first. For long computations.
function Runtime:pause()
  local task = self:waiter("pause")
  local message, code = task:interrupted()
  if code then
    return nil, message, code
  end
  self.scheduler.sleep(0)
  return true
end

-- Tasks ----------------------------------------------------------------------

--- The running task; the main thread is one. Nil inside other coroutines.
function Runtime:current()
  local co, main = running()
  if co and not main then
    return self.tasks[co]
  end
  return self.main
end

--- The running task, which is about to wait. Raises where nothing can wait.
function Runtime:waiter(what)
  local co, main = running()
  if co and not main then
    local task = self.tasks[co]
    if task then
      return task
    end
  elseif self.scheduler.waiting() then
    return self.main
  end
  local _, reason = self.scheduler.waiting()
  wrong(("%s cannot wait %s: start a task with zk.spawn"):format(
    what, reason or "outside of a task"))
end

local function body(self, task, fn, ...)
  local co = running()
  self.tasks[co] = task
  tasks.run(task, fn, ...)
  self:notice_stall() -- while it is known whose coroutine this is
  self.tasks[co] = nil
end

local function check_function(fn)
  if type(fn) ~= "function" then
    wrong("fn must be a function, not " .. type(fn))
  end
end

--- Starts a task: fn(...), at the next turn of the loop.
function Runtime:spawn(fn, ...)
  check_function(fn)
  local task = tasks.new(self)
  task.fn = fn
  self.scheduler.spawn(body, self, task, fn, ...)
  return task
end

--- As spawn, for the library's own work: it does not keep the program alive.
function Runtime:daemon(fn, ...)
  local task = tasks.new(self)
  task.fn = fn
  task.background = true
  self.scheduler.daemon(body, self, task, fn, ...)
  return task
end

--- An event a task can wait for.
function Runtime:event()
  return events.new(self)
end

--- fn(group): see task.lua.
function Runtime:group(fn, ...)
  check_function(fn)
  return tasks.group(self:waiter("group"), fn, ...)
end

--- fn(scope, ...) in the current task; scope:cancel(message, CODE) ends its waits.
function Runtime:scope(fn, ...)
  check_function(fn)
  local scope = tasks.scope(self:waiter("scope"))
  return tasks.enter(scope, fn, scope, ...)
end

--- fn(...), whose waits end after `seconds` with TIMEOUT.
function Runtime:timeout(seconds, fn, ...)
  check_function(fn)
  local task = self:waiter("timeout")
  local scope = tasks.scope(task, {
    limit = deadlines.after(self.scheduler.now(), seconds),
    limit_message = ("TIMEOUT: not done within %g s (zk.timeout)"):format(seconds),
  })
  return tasks.enter(scope, fn, ...)
end

--- fn(...), which cancellation from outside does not reach.
function Runtime:shield(fn, ...)
  check_function(fn)
  return tasks.enter(tasks.scope(self:waiter("shield"), { barrier = true }), fn, ...)
end

-- Servers --------------------------------------------------------------------

--- The server at an endpoint inside this process. That of "memory:" begins with the first who
--- asks for it; the others were made by zk.server, and nil is what is left of one that is closed.
function Runtime:memory(endpoint)
  endpoint = endpoint or connection.MEMORY
  if endpoint == connection.MEMORY and not self.memories[endpoint] then
    self.memories[endpoint] = memories.new(self.scheduler)
  end
  return self.memories[endpoint]
end

--- One more of them, which can be stopped and started: endpoint, server.
function Runtime:private_memory()
  self.private_count = self.private_count + 1
  local endpoint = connection.MEMORY .. self.private_count
  self.memories[endpoint] = memories.new(self.scheduler, { log = true })
  return endpoint, self.memories[endpoint]
end

--- Ends one for good, and the clients that it had: what they wait for cannot come any more.
function Runtime:end_memory(endpoint)
  local memory = self.memories[endpoint]
  self.memories[endpoint] = nil
  memory:stop()
  for session in pairs(self.sessions) do
    if session.options.endpoints[1] == endpoint then
      session:close_soon(0)
    end
  end
end

-- News -----------------------------------------------------------------------

--- An error nobody waits for.
function Runtime:report(message, trace, task)
  if self.on_error then
    self.on_error(message, trace, task)
  else
    local name = task and ("task %s: "):format(task:label()) or ""
    io.stderr:write("zklua: ", name, trace, "\n")
  end
end

function Runtime:log(level, message)
  if self.log_hook then
    self.log_hook(level, message)
  elseif level ~= "info" then
    io.stderr:write("zklua: ", message, "\n")
  end
end

-- Where a coroutine stands in code that is not the library's.
local function place_of(co)
  for level = 0, 50 do
    local info
    if co then
      info = debug.getinfo(co, level, "Sl")
    else
      info = debug.getinfo(level + 2, "Sl")
    end
    if not info then
      return nil
    end
    local ours = info.source:find("zklua/[%w_/]+%.lua$") and not info.source:find("_spec%.lua$")
    if info.currentline > 0 and not ours then
      return ("%s:%d"):format(info.short_src, info.currentline)
    end
  end
end

--- "FILE:LINE" of the program where a task stands, nil when that is not known.
function Runtime:place_of(task)
  for co, other in pairs(self.tasks) do
    if other == task then
      return place_of(co)
    end
  end
end

-- One line to the log of every session that starved.
function Runtime:report_stall(seconds, co)
  local who = "the program"
  if co then
    local task = self.tasks[co]
    who = "task " .. (task and task:label() or "?")
  end
  local place = place_of(co)
  local message = ("%s ran for %.1f s without a wait%s; sessions starve (zk.run, zk.pause)")
    :format(who, seconds, place and ", up to " .. place or "")
  local ours = true -- the runtime's own log, for all that have none
  for _, session in ipairs(in_order(self.sessions)) do
    if seconds > session.session_timeout / 3 and (session.options.log or ours) then
      ours = ours and session.options.log ~= nil
      session:log("warning", message)
    end
  end
end

--- A stall that ends here, and not with the turn, is told before it is forgotten.
function Runtime:notice_stall()
  if self.scheduler.notice_stall then
    self.scheduler.notice_stall()
  end
end

--- Sessions want the loop to turn at least every third of their timeout.
function Runtime:watch_stalls()
  local limit
  for session in pairs(self.sessions) do
    limit = deadlines.earlier(limit, session.session_timeout / 3)
  end
  if self.scheduler.watch_stalls then
    self.scheduler.watch_stalls(limit)
  end
end

--- Cancels every task that runs, but for this one and the library's own, and returns them.
---@param message string|nil
---@return table[]
function Runtime:cancel_tasks(message)
  local current, cancelled = self:current(), {}
  for _, task in pairs(self.tasks) do
    if task ~= current and not task.background then
      cancelled[#cancelled + 1] = task
    end
  end
  table.sort(cancelled, function(a, b)
    return a.number < b.number
  end)
  for _, task in ipairs(cancelled) do
    task:cancel(message)
  end
  return cancelled
end

--- Closes every client, each at most `timeout` seconds, all at once.
function Runtime:close(timeout)
  return self:shield(function()
    return self:group(function(group)
      for _, session in ipairs(in_order(self.sessions)) do
        group:spawn(session.close, session, timeout)
      end
      return true
    end)
  end)
end

return M
