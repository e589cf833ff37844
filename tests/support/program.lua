--- Runs programs for specs: starts, watches what they say, signals, waits for their end. Every
--- wait has a limit, and nothing sleeps.
local uv = require("luv")

local program = {}

local LIMIT = 20 -- seconds; a spec that needs more has failed

--- The build directory under test, by the module path that this run was given.
---@return string
function program.build()
  local place = package.cpath:match("([^;]-)/lua5%.4/%?%.so")
    or package.cpath:match("([^;]-)/luajit/%?%.so")
  return assert(place and uv.fs_realpath(place), "no build directory in " .. package.cpath)
end

--- The zklua executable of the build under test.
function program.zklua()
  return program.build() .. "/zklua"
end

---@class tests.Program
local Program = {}
Program.__index = Program

-- Turns the loop until `condition` holds; raises with what the program has said when it does not.
local function wait_until(self, what, condition)
  local timer, late = uv.new_timer(), false
  uv.update_time() -- a timer counts from the loop's last turn, which may be long ago
  uv.timer_start(timer, LIMIT * 1000, 0, function() late = true end)
  while not late and not condition() do
    uv.run("once")
  end
  uv.close(timer)
  uv.run("nowait") -- luv crashes when Lua ends between a handle's close and its last turn
  if late then
    self:kill("sigkill")
    error(("%s: not within %d s; stdout:\n%s\nstderr:\n%s"):format(
      what, LIMIT, self.stdout, self.stderr), 3)
  end
end

local function environment(changes)
  local all, list = uv.os_environ(), {}
  for name, value in pairs(changes or {}) do
    all[name] = value or nil
  end
  for name, value in pairs(all) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

--- Starts argv[1] with the rest as arguments. options: stdin (text; true leaves it open), env
--- (changes; false removes a variable), cwd.
---@param argv string[]
---@param options { stdin: string|true|nil, env: table|nil, cwd: string|nil }|nil
---@return tests.Program
function program.start(argv, options)
  options = options or {}
  local self = setmetatable({ stdout = "", stderr = "", open = 3 }, Program)
  local input, output, errors = uv.new_pipe(false), uv.new_pipe(false), uv.new_pipe(false)
  local pid
  self.handle, pid = uv.spawn(argv[1], {
    args = { (table.unpack or unpack)(argv, 2) },
    stdio = { input, output, errors },
    env = environment(options.env),
    cwd = options.cwd,
  }, function(code, signal)
    self.code, self.signal_number = code, signal
    self.open = self.open - 1
    uv.close(self.handle)
  end)
  assert(self.handle, pid)
  self.pid = pid
  for field, pipe in pairs({ stdout = output, stderr = errors }) do
    uv.read_start(pipe, function(_, chunk)
      if chunk then
        self[field] = self[field] .. chunk
      else
        uv.close(pipe)
        self.open = self.open - 1
      end
    end)
  end
  if options.stdin == true then
    self.input = input
  elseif options.stdin then
    uv.write(input, options.stdin, function() uv.close(input) end)
  else
    uv.close(input)
  end
  return self
end

--- Waits until standard output, or what `field` names, matches `pattern`; returns its captures.
---@param pattern string
---@param field "stdout"|"stderr"|nil
function Program:says(pattern, field)
  field = field or "stdout"
  wait_until(self, "waiting for " .. pattern, function()
    return self[field]:find(pattern) or self.open == 0
  end)
  if not self[field]:find(pattern) then
    error("ended without saying " .. pattern .. ": " .. self.stderr, 2)
  end
  return self[field]:match(pattern)
end

function Program:kill(name)
  if self.code == nil then
    uv.process_kill(self.handle, name)
  end
end

--- Waits for its end. The result's `signal` is the number of the signal that ended it, or 0.
---@return { code: integer, signal: integer, stdout: string, stderr: string, seconds: number }
function Program:finish()
  local start = uv.hrtime()
  wait_until(self, "waiting for the end", function() return self.open == 0 end)
  if self.input then
    uv.close(self.input)
    self.input = nil
    uv.run("nowait")
  end
  return {
    code = self.code, signal = self.signal_number, stdout = self.stdout, stderr = self.stderr,
    seconds = (uv.hrtime() - start) / 1e9,
  }
end

--- Starts and waits for the end.
function program.run(argv, options)
  return program.start(argv, options):finish()
end

return program
