--- zk.test: a function that waits as the body of a test, for busted and others that know nothing of
--- waiting.
local options = require "zklua.options"
local wrong = require "zklua.wrong"

local M = {}

local TIMEOUT_DEFAULT = 10 -- seconds

--- How long what a test leaves behind may take to end, in seconds.
local CLEANUP = 5

-- Sessions and tasks of before the test are not its own.
local function what_is_there(runtime)
  local tasks, sessions = {}, {}
  for _, task in pairs(runtime.tasks) do
    tasks[task] = true
  end
  for session in pairs(runtime.sessions) do
    sessions[session] = true
  end
  return tasks, sessions
end

-- Ends what the test has left: its tasks, then its sessions.
local function clean_up(runtime, tasks, sessions)
  local left = {}
  for _, task in pairs(runtime.tasks) do
    if not tasks[task] and not task.background and not task:done() then
      left[#left + 1] = task
      task:cancel("CANCELLED: the test has ended")
    end
  end
  for _, task in ipairs(left) do
    pcall(task.wait, task, CLEANUP)
  end
  for session in pairs(runtime.sessions) do
    if not sessions[session] then
      pcall(session.close, session, CLEANUP)
    end
  end
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
    local tasks, sessions = what_is_there(runtime)
    local task = runtime:spawn(fn, ...)
    local ok, result, _, code = pcall(task.wait, task, timeout)
    local late = ok and result == nil and code == "TIMEOUT" and not task:done()
    if late then
      task:cancel("CANCELLED: the test has taken too long")
    end
    clean_up(runtime, tasks, sessions)
    if late then
      error(("the test has not ended after %g s"):format(timeout), 2)
    elseif not ok then
      error(result, 0)
    end
  end
end

return M
