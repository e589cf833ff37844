--- Tasks: coroutines that can be waited for, named and cancelled. This is the only place that
--- parks; everything that waits does it by `task:park` in a loop that looks at its own condition
--- and at `task:interrupted`.
---
--- What ends waits from outside is a *scope*. The innermost scope of a task is `task.scope`, and
--- a task is its own outermost one. Once a scope is cancelled, every wait inside it returns nil
--- with the scope's message and code, until the scope ends. A scope with a `limit` cancels itself
--- when that time has come. A *barrier* hides the scopes outside of it: shielded clean-up.
---
--- A wake-up may be spurious: whoever parks must check.
local deadlines = require "zklua.deadline"
local handlers = require "zklua.handlers"
local in_order = require "zklua.in_order"
local wrong = require "zklua.wrong"

local unpack = table.unpack or unpack
local traceback = debug.traceback

local Scope = {}
Scope.__index = Scope

--- Makes every current and later wait inside return nil, message, code. Only the first counts.
---@param message string
---@param code string
function Scope:cancel(message, code)
  if not self.code and not self.ended then
    self.message, self.code = message, code
    self.task.wake:set()
  end
end

local Task = {}
Task.__index = Task

local M = {}

--- The record a request of this task fills in; one per task, used again for every call.
local function new_call(task)
  return { task = task, done = false, code = nil, a = nil, b = nil }
end

function M.new(runtime, name)
  runtime.task_count = runtime.task_count + 1
  local task = setmetatable({
    number = runtime.task_count,
    runtime = runtime,
    name = name,
    wake = runtime.scheduler.event(),
    signalled = false, -- by an event it waits for
    ended = false,
    outer = nil,
    message = nil,
    code = nil,
    limit = nil,
  }, Task)
  task.task = task
  task.scope = task
  task.call = new_call(task)
  return task
end

-- Waiting --------------------------------------------------------------------

--- Why waits of this task must end: message, code; nothing while they need not.
function Task:interrupted()
  local scope = self.scope
  repeat
    if scope.code then
      return scope.message, scope.code
    elseif scope.limit and self.runtime:now() >= scope.limit then
      scope.message, scope.code = scope.limit_message, "TIMEOUT"
      return scope.message, scope.code
    elseif scope.barrier then
      return nil
    end
    scope = scope.outer
  until not scope
  return nil
end

--- When the scopes around this task end its waits, or nil.
function Task:limit_of_scopes()
  local scope, limit = self.scope, nil
  repeat
    limit = deadlines.earlier(limit, scope.limit)
    scope = not scope.barrier and scope.outer
  until not scope
  return limit
end

--- Gives way until woken, until `deadline`, or for no reason at all.
function Task:park(deadline)
  if self.scope ~= self then
    deadline = deadlines.earlier(deadline, self:limit_of_scopes())
  end
  return self.wake:wait(deadline)
end

--- Parks until `deadline`: true, or nil, message, CODE.
function Task:sleep_until(deadline)
  repeat
    local message, code = self:interrupted()
    if code then
      return nil, message, code
    end
    local woken = self:park(deadline)
  until not woken and self.runtime:now() >= deadline
  local message, code = self:interrupted()
  if code then
    return nil, message, code
  end
  return true
end

-- Scopes ---------------------------------------------------------------------

-- Errors pass through scopes and groups as they are; their first traceback is kept for the
-- report, since passing an error on loses it.
local function keep_trace(task)
  return function(message)
    if not task.trace or task.trace_of ~= message then
      task.trace_of, task.trace = message, traceback(tostring(message), 2)
    end
    return message
  end
end

local function leave(task, scope, ok, ...)
  task.scope = scope.outer
  scope.ended = true
  if not ok then
    error((...), 0)
  end
  return ...
end

--- A scope for the running task; `fields` may set `barrier`, or `limit` and `limit_message`.
function M.scope(task, fields)
  local scope = fields or {}
  scope.task = task
  scope.outer = task.scope
  return setmetatable(scope, Scope)
end

--- Calls fn(...) inside `scope` and returns what it returns; errors pass through.
function M.enter(scope, fn, ...)
  local task = scope.task
  task.scope = scope
  return leave(task, scope, xpcall(fn, keep_trace(task), ...))
end

-- Life -----------------------------------------------------------------------

local function pack(...)
  return { n = select("#", ...), ... }
end

-- A cancelled task that ends by assert(call()) has ended as it was asked to.
local function died_of_cancellation(task, message)
  return task.code and type(message) == "string" and message:find(task.code, 1, true)
end

local function finish(task, ok, ...)
  local runtime = task.runtime
  task.ended = true
  if ok then
    task.results = pack(...)
  elseif died_of_cancellation(task, (...)) then
    task.results = pack(nil, task.message, task.code)
  else
    task.failed, task.failure = true, (...)
  end
  if task.at_end then
    for fn in task.at_end:each() do
      fn()
    end
  end
  for _, waiter in ipairs(task.waiters or {}) do
    waiter.wake:set()
  end
  if task.failed and not task.group and not (task.waiters and task.waiters[1]) then
    runtime:report(task.failure, task.trace or tostring(task.failure), task)
  end
end

--- The body of a task's coroutine.
function M.run(task, fn, ...)
  finish(task, xpcall(fn, keep_trace(task), ...))
end

--- Calls fn() when the task ends. Returns a function that takes it off.
function Task:on_end(fn)
  self.at_end = self.at_end or handlers.new()
  return self.at_end:add(fn)
end

function Task:done()
  return self.ended
end

--- Makes every current and later wait of the task return nil, message, "CANCELLED", except in
--- shielded clean-up. A task that never waits runs on.
function Task:cancel(message, code)
  code = code or "CANCELLED"
  message = message or ("%s: the task %s was cancelled"):format(code, self:label())
  Scope.cancel(self, message, code)
end

--- What messages call it: its name, else where its function stands.
function Task:label()
  if not self.name and self.fn then
    local info = debug.getinfo(self.fn, "S")
    self.name = ("%s:%d"):format(info.short_src, info.linedefined)
  end
  return self.name or "?"
end

local function remove(list, value)
  for i = #list, 1, -1 do
    if list[i] == value then
      table.remove(list, i)
      return
    end
  end
end

--- Waits until the task has ended and returns what its function returned. An error in it is
--- raised here.
---@param timeout number|nil
function Task:wait(timeout)
  local runtime = self.runtime
  local deadline = runtime:deadline(timeout)
  if not self.ended then
    local waiter = runtime:waiter("task:wait")
    if waiter == self then
      wrong("a task cannot wait for itself")
    end
    self.waiters = self.waiters or {}
    self.waiters[#self.waiters + 1] = waiter
    while not self.ended do
      local message, code = waiter:interrupted()
      if not code and deadline and runtime:now() >= deadline then
        code = "TIMEOUT"
        message = ("TIMEOUT: the task %s has not ended after %g s"):format(self:label(), timeout)
      end
      if code then
        remove(self.waiters, waiter)
        return nil, message, code
      end
      waiter:park(deadline)
    end
  end
  if self.failed then
    self.heard = true
    local task = runtime:current()
    if task then
      task.trace_of, task.trace = self.failure, self.trace
    end
    error(self.failure, 0)
  end
  return unpack(self.results, 1, self.results.n)
end

-- Groups ---------------------------------------------------------------------

local Group = {}
Group.__index = Group

local function cancel_group(group, message, code)
  group.cancelled = group.cancelled or { message, code }
  for _, task in ipairs(in_order(group.tasks)) do
    task:cancel(message, code)
  end
  group.scope:cancel(message, code)
end

local function fail_group(group, failure, trace)
  if not group.failed then
    group.failed, group.failure, group.trace = true, failure, trace
    cancel_group(group, "CANCELLED: another task of the group failed", "CANCELLED")
  end
end

--- Starts a task of the group.
function Group:spawn(fn, ...)
  if self.ended then
    wrong("the group has ended")
  end
  local task = self.runtime:spawn(fn, ...)
  task.group = self
  self.count = self.count + 1
  self.tasks[task] = self.count
  task:on_end(function()
    self.tasks[task] = nil
    if task.failed then
      fail_group(self, task.failure, task.trace)
    end
    self.owner.wake:set()
  end)
  if self.cancelled then
    task:cancel(self.cancelled[1], self.cancelled[2])
  end
  return task
end

--- Calls fn(group, ...) and returns when it and all tasks of the group have ended. The first
--- error cancels the rest and is raised; cancellation of the caller reaches them all.
function M.group(owner, fn, ...)
  local group = setmetatable(
    { runtime = owner.runtime, owner = owner, tasks = {}, count = 0 }, Group)
  group.scope = M.scope(owner)
  local results = pack(pcall(M.enter, group.scope, fn, group, ...))
  if not results[1] then
    fail_group(group, results[2], owner.trace)
  end
  while next(group.tasks) do
    local message, code = owner:interrupted()
    if code and not group.cancelled then
      cancel_group(group, message, code)
    end
    -- Its tasks were told; they end in their own time, and a group never leaves one behind.
    owner.wake:wait(not group.cancelled and owner:limit_of_scopes() or nil)
  end
  group.ended = true
  if group.failed then
    owner.trace_of, owner.trace = group.failure, group.trace
    error(group.failure, 0)
  elseif group.cancelled then
    return nil, group.cancelled[1], group.cancelled[2]
  end
  return unpack(results, 2, results.n)
end

return M
