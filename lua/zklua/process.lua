--- zk.run: a child process, while tasks and sessions live on.
local deadlines = require "zklua.deadline"
local tasks = require "zklua.task"
local wrong = require "zklua.wrong"

local M = {}

local OUTPUT_MAX = 64 * 1024 * 1024 -- bytes kept of each output; more is read and dropped
local KILL_AFTER = 5 -- seconds from SIGTERM to SIGKILL

local KINDS = {
  stdin = "string", stdout = "string", stderr = "string", env = "table", cwd = "string",
  timeout = "number", limit = "number",
}

local function check(argv, options)
  if type(argv) ~= "table" or type(argv[1]) ~= "string" then
    wrong("argv must be a list of strings")
  end
  for i, word in ipairs(argv) do
    if type(word) ~= "string" and type(word) ~= "number" then
      wrong(("argv[%d] must be a string, not a %s"):format(i, type(word)))
    end
  end
  if type(options) ~= "table" then
    wrong("options must be a table, not a " .. type(options))
  end
  for name, value in pairs(options) do
    if not KINDS[name] then
      wrong(("unknown option %q"):format(tostring(name)))
    elseif type(value) ~= KINDS[name] then
      wrong(("%s must be a %s, not a %s"):format(name, KINDS[name], type(value)))
    end
  end
  for _, name in ipairs({ "stdout", "stderr" }) do
    local value = options[name]
    if value and value ~= "capture" and value ~= "inherit" then
      wrong(name .. ' must be "capture" or "inherit"')
    end
  end
end

-- Ends the child and waits until it has ended; nothing reaches the caller meanwhile.
local function stop(runtime, task, kill, done)
  tasks.enter(tasks.scope(task, { barrier = true }), function()
    kill("sigterm")
    local deadline = runtime:now() + KILL_AFTER
    while not done() and runtime:now() < deadline do
      task:park(deadline)
    end
    if not done() then
      kill("sigkill")
    end
    while not done() do
      task:park(nil)
    end
  end)
end

--- { code, signal, stdout, stderr }; or nil, message, CODE. See library/zklua.lua.
function M.run(runtime, argv, options)
  options = options or {}
  check(argv, options)
  local task = runtime:waiter("run")
  local message, code = task:interrupted()
  if code then
    return nil, message, code
  end
  if not runtime.scheduler.run_process then
    wrong("run: this host cannot start processes")
  end
  local deadline = deadlines.after(runtime:now(), options.timeout)
  local result
  local kill
  kill, message, code = runtime.scheduler.run_process(argv, {
    stdin = options.stdin, cwd = options.cwd, env = options.env,
    limit = options.limit or OUTPUT_MAX,
    capture_stdout = options.stdout ~= "inherit",
    capture_stderr = options.stderr == "capture",
  }, function(ended)
    result = ended
    task.wake:set()
  end)
  if not kill then
    return nil, ("%s: cannot start %s (run)"):format(code, argv[1]), code
  end
  while not result do
    message, code = task:interrupted()
    if not code and deadline and runtime:now() >= deadline then
      code = "TIMEOUT"
      message = ("TIMEOUT: %s has not ended within %g s (run)"):format(argv[1], options.timeout)
    end
    if code then
      stop(runtime, task, kill, function()
        return result
      end)
      return nil, message, code
    end
    task:park(deadline)
  end
  return result
end

return M
