--- Child processes of the uv scheduler.
local uv = require "luv"

local M = {}

-- Collects what a pipe says, up to `limit` bytes; what comes after is read and dropped, so that
-- the child never blocks on us. Returns a function that gives the text.
local function collect(scheduler, pipe, limit, finish)
  local parts, size, cut = {}, 0, false
  uv.read_start(pipe, function(_, chunk)
    if chunk then
      local room = limit - size
      if #chunk > room then
        chunk, cut = chunk:sub(1, room), true
      end
      if #chunk > 0 then
        parts[#parts + 1] = chunk
        size = size + #chunk
      end
      return
    end
    scheduler._enter()
    scheduler._close(pipe)
    finish()
    scheduler._leave()
  end)
  return function()
    return table.concat(parts), cut
  end
end

-- This process's environment with `changes` over it, as libuv wants it.
local function environment(changes)
  if not changes then
    return nil
  end
  local all, list = uv.os_environ(), {}
  for name, value in pairs(changes) do
    all[name] = tostring(value)
  end
  for name, value in pairs(all) do
    list[#list + 1] = name .. "=" .. value
  end
  return list
end

local function rest_of(argv)
  local words = {}
  for i = 2, #argv do
    words[#words + 1] = tostring(argv[i])
  end
  return words
end

local function feed(scheduler, pipe, bytes)
  if #bytes == 0 then
    scheduler._close(pipe)
    return
  end
  uv.write(pipe, bytes, function()
    scheduler._close(pipe)
  end)
end

--- Adds `run_process` to a uv scheduler.
function M.attach(scheduler)
  --- Starts argv[1] with the rest as arguments. options: stdin, env, cwd, limit (bytes of each
  --- output), capture_stdout, capture_stderr. `done(result)` is called from the loop once the
  --- process has ended and its outputs are read.
  --- Returns a function that sends a signal; or nil, message, CODE.
  function scheduler.run_process(argv, options, done)
    local result, readers, left = {}, {}, 1 -- the exit, and each output
    local stdin = options.stdin and uv.new_pipe(false)
    local outputs = {}
    local function finish()
      left = left - 1
      if left > 0 then
        return
      end
      for name, read in pairs(readers) do
        local cut
        result[name], cut = read()
        result.truncated = result.truncated or cut or nil
      end
      done(result)
    end
    for name, fd in pairs({ stdout = 1, stderr = 2 }) do
      outputs[name] = options["capture_" .. name] and uv.new_pipe(false) or fd
    end
    local handle, problem, code
    handle, problem, code = uv.spawn(tostring(argv[1]), {
      args = rest_of(argv),
      stdio = { stdin or nil, outputs.stdout, outputs.stderr },
      env = environment(options.env),
      cwd = options.cwd,
    }, function(status, signal)
      scheduler._enter()
      result.code, result.signal = status, signal
      scheduler._close(handle)
      finish()
      scheduler._leave()
    end)
    if not handle then
      for _, pipe in ipairs({ stdin or 0, outputs.stdout, outputs.stderr }) do
        if type(pipe) == "userdata" then
          scheduler._close(pipe)
        end
      end
      code = code or tostring(problem):match("^E[A-Z0-9]+") or "NOTSTARTED"
      return nil, tostring(problem), code
    end
    for name, pipe in pairs(outputs) do
      if type(pipe) == "userdata" then
        left = left + 1
        readers[name] = collect(scheduler, pipe, options.limit, finish)
      end
    end
    if stdin then
      feed(scheduler, stdin, options.stdin)
    end
    return function(signal)
      if not uv.is_closing(handle) then
        uv.process_kill(handle, signal)
      end
    end
  end
end

return M
