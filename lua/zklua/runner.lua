--- Runs a program as the zklua executable does: the script is the main task, its end is the end
--- of the program, and whatever ends it, sessions are closed on the way out, so that what was
--- held is free at once.
---
--- `host` is what the executable knows: `version`, `wake_fd`, and the functions of src/main/main.c:
--- `signal` (the first one's number, or nil), `interrupt` and `turned`.
local command_line = require("zklua.command_line")

local runner = {}

local SUCCESS, FAILURE, USAGE, UNREACHABLE = 0, 1, 2, 3

--- How long the program stays for each session to be closed, in seconds: long enough for a slow
--- network, short enough for somebody who pressed Ctrl-C.
local CLOSE_TIMEOUT = 5
--- How long it stays for its other tasks to clean up.
local TASKS_TIMEOUT = 5

local unpack = table.unpack or unpack

local function complain(message)
  io.stderr:write("zklua: ", message, "\n")
end

-- The program as a function, or nil, message, status.
local function load_program(plan)
  if plan.action == "code" then
    -- Who types a line does not want to type what every line would begin with.
    local program, message = load('local zk = require "zklua" ' .. plan.code, "=(-e)")
    return program, message, FAILURE
  end
  local name = plan.file ~= "-" and plan.file or nil
  if name then
    -- A file that is not there is a mistake in the command, not in the program.
    local file, message = io.open(name, "rb")
    local readable = file and file:read(0)
    if file and not readable then
      readable, message = file:seek("end") == 0, name .. ": cannot be read"
    end
    if file then
      file:close()
    end
    if not readable then
      return nil, message, USAGE
    end
  end
  local program, message = loadfile(name)
  return program, message, FAILURE
end

-- The frames that run a task, below the program's own: of no use to its author.
local MACHINERY = { "/zklua/runner.lua:", "/zklua/task.lua:", "/zklua/runtime.lua:",
  "/zklua/scheduler/uv.lua:", "[C]: in function 'xpcall'" }

local function is_machinery(line)
  for _, mark in ipairs(MACHINERY) do
    if line:find(mark, 1, true) then
      return true
    end
  end
end

local function trim(trace)
  local lines = {}
  for line in trace:gmatch("[^\n]+") do
    lines[#lines + 1] = line
  end
  while #lines > 2 and is_machinery(lines[#lines]) do
    lines[#lines] = nil
  end
  return table.concat(lines, "\n")
end

local function describe(failure)
  local message = tostring(failure)
  if type(failure) ~= "string" and not (getmetatable(failure) or {}).__tostring then
    message = ("(error object is a %s value)"):format(type(failure))
  end
  return message
end

-- Whether an uncaught error is but the echo of having been asked to end.
local function echoes_cancellation(failure)
  return type(failure) == "string"
    and (failure:find("CANCELLED", 1, true) or failure:find(": interrupted$")) ~= nil
end

-- One program's run: a runtime, how its main task ended, and whether any other task failed.
local Run = {}
Run.__index = Run

local function new_run(host, plan)
  local self = setmetatable({ host = host, failed = false, local_told = false }, Run)
  self.runtime = require("zklua.runtime").new({
    servers = plan.servers,
    connect = { session_timeout = plan.session_timeout, readonly = plan.readonly },
    on_local = function(directory)
      self:tell_local(directory)
    end,
    on_error = function(message, trace, task)
      self:task_failed(message, trace, task)
    end,
  })
  return self
end

-- Errors that nobody waited for: told at once, remembered for the exit status. A task that is
-- surprised by the end of its sessions, or of itself, is no news.
function Run:task_failed(message, trace, task)
  local asked = self.host.signal() or task and task.code
  if self.closing or asked and echoes_cancellation(message) then
    return
  end
  self.failed = true
  complain(("task %s: %s"):format(task and task:label() or "?", trim(trace or describe(message))))
end

-- A lock on this machine alone may not be what somebody means who names no server.
function Run:tell_local(directory)
  if not self.local_told then
    self.local_told = true
    complain("no server named, so this machine's own: local: in " .. directory)
  end
end

-- From now on the executable is told of each turn of the loop, and interrupts what stops it.
function Run:insist()
  local check = require("luv").new_check()
  check:unref()
  check:start(self.host.turned)
  self.host.turned()
end

-- A signal wakes the loop by a byte in a pipe; the main task then hears of it in its wait.
function Run:watch_signals()
  local poll = assert(require("luv").new_poll(self.host.wake_fd))
  poll:unref()
  poll:start("r", function()
    poll:stop()
    self:insist()
    self.main:cancel("CANCELLED: interrupted by a signal")
  end)
end

-- os.exit ends the program where it stands, but not its sessions behind its back.
function Run:replace_exit()
  local exit = os.exit
  os.exit = function(...)
    if self.runtime.scheduler.waiting() then
      self:close()
    end
    exit(...)
  end
end

-- Ends what still runs when the program is over. Waits end at once; a task that does not care is
-- interrupted. Tasks of the library that keep sessions and what hangs on them are left alone.
function Run:end_tasks()
  local runtime = self.runtime
  runtime.scheduler.sleep(0) -- those just spawned begin, so that they are known
  local left = runtime:cancel_tasks("CANCELLED: the program has ended")
  if not left[1] then
    return
  end
  self.host.interrupt()
  self:insist()
  local deadline = runtime:now() + TASKS_TIMEOUT
  for _, task in ipairs(left) do
    local ok, failure = pcall(task.wait, task, math.max(0, deadline - runtime:now()))
    if not ok then -- nobody else is told, since we wait for it
      self:task_failed(failure, task.trace, task)
    end
  end
end

function Run:close()
  self.closing = true
  -- What goes wrong here must not hide how the program ended.
  local ok, message = pcall(self.runtime.close, self.runtime, CLOSE_TIMEOUT)
  if not ok then
    complain("closing sessions: " .. describe(message))
  end
end

-- Runs `program` as the main task to its end; true, or false with what it raised.
function Run:program(program, arguments)
  local failure, trace
  local function remember(message)
    -- An error that has come through a task or a scope has its first traceback there.
    local main = self.main
    failure = message
    trace = main.trace_of == message and main.trace or debug.traceback(describe(message), 2)
    return message
  end
  local succeeded = false
  self.main = self.runtime:spawn(function()
    succeeded = xpcall(program, remember, unpack(arguments))
  end)
  self.main.name = "main"
  self:watch_signals()
  self.main:wait()
  return succeeded, failure, trace
end

-- Whether it says what zk.connect has said when no server answered, perhaps with a place before it.
local function names_unreachable(runtime, failure)
  return runtime.unreachable and type(failure) == "string"
    and failure:find(runtime.unreachable, 1, true) ~= nil
end

-- Tells how the main task ended; the status it ended with.
function Run:judge(succeeded, failure, trace)
  if succeeded then
    return SUCCESS
  elseif self.host.signal() and echoes_cancellation(failure) then
    return FAILURE -- the executable then ends by the signal itself
  elseif names_unreachable(self.runtime, failure) then
    complain(self.runtime.unreachable)
    return UNREACHABLE
  end
  complain(trim(trace))
  return FAILURE
end

local function run(host, plan)
  local program, message, status = load_program(plan)
  if not program then
    complain(message)
    return status
  end
  local self = new_run(host, plan)
  package.loaded["zklua"] = require("zklua.facade").new(self.runtime)
  rawset(_G, "arg", plan.arguments)
  self:replace_exit()
  status = self:judge(self:program(program, plan.arguments))
  self:end_tasks()
  self:close()
  -- Handles that were just closed need one more turn: luv crashes when Lua ends before it.
  require("luv").run("nowait")
  return status == SUCCESS and self.failed and FAILURE or status
end

--- Does what the command line says and returns the exit status.
---@param host table  see above
---@param words table<integer, string>  the command line, with the executable's name at 0
---@return integer status
function runner.main(host, words)
  local plan, message = command_line.read(words)
  if not plan then
    complain(message .. " (zklua --help tells more)")
    return USAGE
  elseif plan.action == "help" then
    io.stdout:write(command_line.HELP)
    return SUCCESS
  elseif plan.action == "version" then
    print(("zklua %s (%s)"):format(host.version, _VERSION))
    return SUCCESS
  end
  return run(host, plan)
end

return runner
