--- zk.test: a function that waits as the body of a test, for busted and others that know nothing of
--- waiting.
---
--- A test owns what begins while it runs: tasks, sessions, and servers inside this process. All of
--- that ends with it, and an error in a task that nobody waits for is the test's.
local connection = require "zklua.connection"
local in_order = require "zklua.in_order"
local options = require "zklua.options"
local wrong = require "zklua.wrong"

local M = {}

local TIMEOUT_DEFAULT = 10 -- seconds

--- How long what a test leaves behind may take to end, in seconds.
local CLEANUP = 5

--- Waits that a task may begin after it was cancelled. A loop that never looks at what its waits
--- return would keep everybody from everything.
local WAITS_MAX = 1000

local function keys(set)
  local copy = {}
  for key in pairs(set) do
    copy[key] = true
  end
  return copy
end

-- What is there already is not the test's own.
local function what_is_there(runtime)
  local tasks = {}
  for _, task in pairs(runtime.tasks) do
    tasks[task] = true
  end
  return { tasks = tasks, sessions = keys(runtime.sessions), memories = keys(runtime.memories) }
end

-- Cancels a task of the test; where it takes no notice of that, its next wait raises.
local function stop(task, message)
  task:cancel(message)
  local interrupted, waits = task.interrupted, 0
  task.interrupted = function(self)
    local why, code = interrupted(self)
    waits = waits + (code and 1 or 0)
    if waits > WAITS_MAX then
      error(why, 0)
    end
    return why, code
  end
end

-- A session without a server cannot say goodbye: nothing is to be waited for.
local function farewell(runtime, session)
  local endpoint = session.options.endpoints[1]
  local server = connection.is_memory(endpoint) and runtime.memories[endpoint]
  return server and not server.core and 0 or CLEANUP
end

-- Ends what the test has left: its tasks, which may need their sessions for that; those; servers.
local function clean_up(runtime, before)
  local left = {}
  for _, task in pairs(runtime.tasks) do
    if not before.tasks[task] and not task.background and not task:done() then
      left[#left + 1] = task
    end
  end
  table.sort(left, function(a, b)
    return a.number < b.number
  end)
  for _, task in ipairs(left) do
    stop(task, "CANCELLED: the test has ended")
  end
  for _, task in ipairs(left) do
    pcall(task.wait, task, CLEANUP)
  end
  for _, session in ipairs(in_order(runtime.sessions)) do
    if not before.sessions[session] then
      pcall(session.close, session, farewell(runtime, session))
    end
  end
  for endpoint in pairs(keys(runtime.memories)) do
    if not before.memories[endpoint] then
      runtime:end_memory(endpoint)
    end
  end
end

-- Calls fn() with the runtime's news kept from standard error, where they would stand between the
-- results of tests. Returns the errors that nobody waited for.
local function listening(runtime, fn)
  local errors, on_error, log_hook = {}, runtime.on_error, runtime.log_hook
  runtime.on_error = function(message, trace, task)
    errors[#errors + 1] = { message = message, trace = trace, task = task or {} }
  end
  runtime.log_hook = log_hook or function() end
  fn()
  runtime.on_error, runtime.log_hook = on_error, log_hook
  for i = #errors, 1, -1 do
    if errors[i].task.heard then -- by somebody who asked later
      table.remove(errors, i)
    end
  end
  return errors
end

--- zk.test(fn, options) of a runtime.
function M.new(runtime, fn, given)
  if type(fn) ~= "function" then
    wrong("fn must be a function, not a " .. type(fn))
  end
  given = given or {}
  options.check(given, { timeout = "number" })
  local timeout = given.timeout or TIMEOUT_DEFAULT
  return function(...)
    local before = what_is_there(runtime)
    local task = runtime:spawn(fn, ...)
    local ok, result, _, code, late, place
    local errors = listening(runtime, function()
      ok, result, _, code = pcall(task.wait, task, timeout)
      late = ok and result == nil and code == "TIMEOUT" and not task:done()
      if late then
        place = runtime:place_of(task)
        stop(task, "CANCELLED: the test has taken too long")
      end
    end)
    clean_up(runtime, before)
    local unheard = ok and table.remove(errors, 1)
    for _, one in ipairs(errors) do
      runtime:report(one.message, one.trace)
    end
    if not ok then
      error(result, 0)
    elseif unheard then
      error(unheard.message, 0)
    elseif late then
      error(("the test has not ended after %g s%s"):format(timeout,
        place and "; it stands at " .. place or ""), 2)
    end
  end
end

return M
