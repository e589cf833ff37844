--- Starts worker processes for a spec, ends them, and reads their log.
local uv = require("luv")
local core = require("zklua.core")
local apache = require("support.apache")

local HERE = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "tests/interop"

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

---@class tests.Workers
local Workers = {}
Workers.__index = Workers

local workers = {}

--- Workers for `servers`, a connect string; none runs yet.
---@return tests.Workers
function workers.new(servers)
  local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-workers-XXXXXX"))
  return setmetatable({
    servers = servers, dir = dir, log = dir .. "/log", stop_file = dir .. "/stop", pipes = {},
  }, Workers)
end

function Workers:_start(name, command)
  local errors = ("%s/%s.errors"):format(self.dir, name)
  -- The worker is our own child and goes when we go.
  local pipe = assert(io.popen(("echo $$; exec setpriv --pdeathsig KILL %s 2>%s"):format(
    command, quote(errors))))
  self.pipes[name] = { pipe = pipe, pid = tonumber(pipe:read("*l")), errors = errors }
end

--- Starts a process of worker.lua on the interpreter that runs the specs. `session_timeout` is in
--- seconds; without it the session outlives whatever a spec does to the servers.
function Workers:start(name, pattern, session_timeout)
  local environment = ("env LUA_PATH=%s LUA_CPATH=%s"):format(
    quote(package.path), quote(package.cpath))
  self:_start(name, ("%s %s %s/worker.lua %s %s %s %s %s %d"):format(
    environment, quote(uv.exepath()), quote(HERE), pattern, quote(self.servers), name,
    quote(self.log), quote(self.stop_file), session_timeout or 30))
end

--- Starts a process of kazoo_worker.py, which holds the lock of `worker.lua kazoo_lock`.
function Workers:start_kazoo(name)
  self:_start(name, ("env -u LD_PRELOAD /usr/bin/python3 %s/kazoo_worker.py %s %s %s %s"):format(
    quote(HERE), quote(self.servers), name, quote(self.log), quote(self.stop_file)))
end

--- The log so far, by time: a list of { at =, name =, event =, a =, b = }.
function Workers:events()
  local events, file = {}, io.open(self.log)
  if file then
    for line in file:lines() do
      local at, name, event, a, b = line:match("^(%S+) (%S+) (%S+) ?(%S*) ?(%S*)$")
      if at then -- else: the beginning of a line that is being written
        events[#events + 1] = {
          at = tonumber(at), name = name, event = event, a = a, b = b, order = #events,
        }
      end
    end
    file:close()
  end
  table.sort(events, function(x, y)
    if x.at ~= y.at then
      return x.at < y.at
    end
    return x.order < y.order
  end)
  return events
end

--- How often `event` has been logged.
function Workers:count(event)
  local count = 0
  for _, one in ipairs(self:events()) do
    if one.event == event then
      count = count + 1
    end
  end
  return count
end

--- Waits until `event` has been logged `more` times more; raises after `timeout` seconds.
function Workers:wait_progress(event, more, timeout)
  local goal = self:count(event) + more
  if not apache.wait_for(timeout, function() return self:count(event) >= goal end) then
    error(("%s hangs: %d of %d"):format(event, self:count(event), goal) .. self:_errors(), 2)
  end
end

function Workers:_errors()
  local texts = {}
  for name, worker in pairs(self.pipes) do
    local file = io.open(worker.errors)
    local text = file and file:read("*a") or ""
    if file then
      file:close()
    end
    if text ~= "" then
      texts[#texts + 1] = "\n" .. name .. ": " .. text
    end
  end
  return table.concat(texts)
end

--- Tells all to stop and waits for them; raises unless all of them finished in `timeout` seconds.
---@return table[] events
function Workers:finish(timeout)
  assert(io.open(self.stop_file, "w")):close()
  local expected = 0
  for _ in pairs(self.pipes) do
    expected = expected + 1
  end
  local ended = apache.wait_for(timeout, function() return self:count("finished") == expected end)
  local events, errors = self:events(), self:_errors()
  self:kill()
  if not ended then
    error("a worker did not finish" .. errors, 2)
  end
  return events
end

--- Ends one worker by SIGKILL; the log says "killed" of it.
function Workers:kill_worker(name)
  local worker = self.pipes[name]
  self.pipes[name] = nil
  uv.kill(worker.pid, "sigkill")
  worker.pipe:close() -- waits for it, so that until here its id was its own
  local file = assert(io.open(self.log, "a"))
  file:write(("%.6f %s killed\n"):format(core.now(), name))
  file:close()
end

--- Removes what is left of them, whatever they do.
function Workers:kill()
  for name in pairs(self.pipes) do
    self:kill_worker(name)
  end
  if not os.getenv("ZKLUA_KEEP_LOGS") then
    os.execute("rm -rf " .. quote(self.dir))
  end
end

return workers
