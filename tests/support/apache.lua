--- Real Apache ZooKeeper servers for specs: one, or an ensemble, on loopback.
---
--- Nothing here turns an event loop. Servers run under a watchdog shell that reads a pipe from
--- this process (apache_watchdog.sh), four-letter words go through a short-lived bash, and
--- waiting blocks the thread. So every call works in a plain spec, in a task and before any
--- loop exists, and handles of the test do not move meanwhile.
local uv = require("luv")

local apache = { NAME = "an Apache server" }

local SUPPORT = debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "tests/support"
local CLASS_PATH = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
local START_TIMEOUT = 60 -- seconds; a loaded machine of two cores starts three servers in ten
local START_ATTEMPTS = 3 -- another program may take a chosen port before the server does
-- Specs of the client run on our own server instead where this is said.
local ON_ZKLUA = os.getenv("ZKLUA_SPECS_SERVER") == "zklua"
local PORT_FIRST, PORT_LAST = 15000, 32000 -- below the range of outgoing connections

local function seconds()
  return uv.hrtime() / 1e9
end

local function read_file(name)
  local file = io.open(name, "rb")
  if not file then
    return nil
  end
  local text = file:read("*a")
  file:close()
  return text
end

local function write_file(name, text)
  local file = assert(io.open(name, "wb"))
  assert(file:write(text))
  assert(file:close())
end

local function quote(text)
  return "'" .. tostring(text):gsub("'", "'\\''") .. "'"
end

-- A sanitizer that the specs run under is for what is ours, and slows others down.
local PLAIN = "unset LD_PRELOAD; "

local function capture(command)
  local pipe = assert(io.popen(PLAIN .. command, "r"))
  local text = pipe:read("*a")
  pipe:close()
  return text
end

--- Blocks until `condition` answers something true; false when `timeout` seconds are over.
---@param timeout number
---@param condition fun(): any
---@return any
function apache.wait_for(timeout, condition)
  local deadline = seconds() + timeout
  local pause_ms = 5
  while true do
    local answer = condition()
    if answer then
      return answer
    end
    if seconds() >= deadline then
      return false
    end
    uv.sleep(pause_ms)
    pause_ms = math.min(pause_ms * 2, 50)
  end
end

-- What must outlive a spec file: busted unloads modules between files, but not the registry.
local function keep()
  local registry = debug.getregistry()
  if not registry["zklua.tests.apache"] then
    registry["zklua.tests.apache"] = { ports = {}, paths = 0 }
  end
  return registry["zklua.tests.apache"]
end

local function random_number(limit)
  local a, b, c = uv.random(3):byte(1, 3)
  return (a * 65536 + b * 256 + c) % limit
end

local function ports_in_use()
  local used = {}
  for _, name in ipairs({ "/proc/net/tcp", "/proc/net/tcp6" }) do
    for port in (read_file(name) or ""):gmatch("\n%s*%d+: %x+:(%x+)") do
      used[tonumber(port, 16)] = true
    end
  end
  return used
end

--- `count` ports of 127.0.0.1 that nobody uses and that were never given out before.
local function free_ports(count)
  local used, given, ports = ports_in_use(), keep().ports, {}
  while #ports < count do
    local port = PORT_FIRST + random_number(PORT_LAST - PORT_FIRST)
    if not used[port] and not given[port] then
      given[port] = true
      ports[#ports + 1] = port
    end
  end
  return ports
end

--- A port of 127.0.0.1 at which nobody listens.
---@return integer
function apache.unused_port()
  return free_ports(1)[1]
end

---@class tests.ApacheOptions
---@field tick_time integer|nil       milliseconds, default 2000; sessions live 2 to 20 ticks
---@field session_min integer|nil     milliseconds
---@field session_max integer|nil     milliseconds, default 60000
---@field readonly boolean|nil        serves reads without a quorum (ensembles)
---@field local_sessions boolean|nil  sessions are local and upgraded at need (ensembles)
---@field force_sync boolean|nil      default false: a killed server loses nothing, a machine would
---@field heap_mb integer|nil         default 96
---@field server_jit boolean|nil      full compilation instead of a quick start
---@field config table<string, any>|nil      more lines of zoo.cfg
---@field properties table<string, any>|nil  more -D properties
---@field command (fun(dir: string): string)|nil  runs another server on DIR/zoo.cfg (zkserver.lua)

local function config_text(dir, port, options, members)
  local config = {
    dataDir = dir .. "/data",
    clientPort = port,
    clientPortAddress = "127.0.0.1",
    tickTime = options.tick_time or 2000,
    maxSessionTimeout = options.session_max or 60000,
    minSessionTimeout = options.session_min,
    maxClientCnxns = 0,
    extendedTypesEnabled = "true",
    preAllocSize = 1024,
    ["admin.enableServer"] = "false",
    ["4lw.commands.whitelist"] = "*",
  }
  if members then
    -- In ticks; generous, because a busy machine must not look like a failed server.
    local tick = config.tickTime
    config.initLimit = math.max(10, math.ceil(15000 / tick))
    config.syncLimit = math.max(5, math.ceil(5000 / tick))
    for i, member in ipairs(members) do
      config["server." .. i] = ("127.0.0.1:%d:%d"):format(member.quorum_port, member.election_port)
    end
    if options.local_sessions then
      config.localSessionsEnabled = "true"
      config.localSessionsUpgradingEnabled = "true"
    end
  end
  for key, value in pairs(options.config or {}) do
    config[key] = value
  end
  local lines = {}
  for key, value in pairs(config) do
    lines[#lines + 1] = key .. "=" .. tostring(value)
  end
  table.sort(lines)
  return table.concat(lines, "\n") .. "\n"
end

local function java_command(dir, options)
  local command = {
    "java",
    "-cp", CLASS_PATH,
    "-Xmx" .. (options.heap_mb or 96) .. "m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.net.preferIPv4Stack=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dzookeeper.forceSync=" .. (options.force_sync and "yes" or "no"),
    "-Dreadonlymode.enabled=" .. (options.readonly and "true" or "false"),
    -- A vote that was lost is repeated within a second, not within a minute.
    "-Dzookeeper.fastleader.maxNotificationInterval=1000",
  }
  if not options.server_jit then
    command[#command + 1] = "-XX:TieredStopAtLevel=1"
  end
  for key, value in pairs(options.properties or {}) do
    command[#command + 1] = "-D" .. key .. "=" .. tostring(value)
  end
  command[#command + 1] = "org.apache.zookeeper.server.quorum.QuorumPeerMain"
  command[#command + 1] = dir .. "/zoo.cfg"
  for i, word in ipairs(command) do
    command[i] = quote(word)
  end
  return table.concat(command, " ")
end

---@class tests.ApacheServer
---@field port integer
---@field connect_string string  "127.0.0.1:PORT"
---@field dir string             configuration, data, log
---@field pid integer|nil        of the Java process
local Server = {}
Server.__index = Server

local function new_server(port, options, members, id)
  local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-apache-XXXXXX"))
  assert(uv.fs_mkdir(dir .. "/data", 448))
  write_file(dir .. "/zoo.cfg", config_text(dir, port, options, members))
  if id then
    write_file(dir .. "/data/myid", id .. "\n")
  end
  -- exec makes the watchdog our own child, whose parent's death is ours.
  local watchdog = assert(io.popen((PLAIN .. "exec setpriv --pdeathsig TERM sh %s %s %s"):format(
    quote(SUPPORT .. "/apache_watchdog.sh"), quote(dir),
    options.command and options.command(dir) or java_command(dir, options)), "w"))
  watchdog:setvbuf("no")
  return setmetatable({
    port = port,
    connect_string = "127.0.0.1:" .. port,
    dir = dir,
    _watchdog = watchdog,
  }, Server)
end

function Server:_launch()
  os.remove(self.dir .. "/pid")
  assert(self._watchdog:write("start\n"))
  self.pid = tonumber(apache.wait_for(10, function()
    return (read_file(self.dir .. "/pid") or ""):match("%d+")
  end) or error("the watchdog did not start the server", 2))
end

-- The states of all threads of the Java process, as /proc has them: "SSRZ", "" when it is gone.
local function states(self)
  local tasks = self.pid and uv.fs_scandir(("/proc/%d/task"):format(self.pid))
  local id, list = tasks and uv.fs_scandir_next(tasks), {}
  while id do -- to the end: luv frees the list there
    local stat = read_file(("/proc/%d/task/%s/stat"):format(self.pid, id))
    list[#list + 1] = stat and stat:match("%) (%a)")
    id = uv.fs_scandir_next(tasks)
  end
  return table.concat(list)
end

--- Whether the Java process runs (a stopped one does). One thread may wait for the disk, and hold
--- what is open, after the first is gone.
---@return boolean
function Server:alive()
  return states(self):find("[^ZX]") ~= nil
end

--- What the server at `self.port` answers to `word`, or nil when it does not answer within two
--- seconds.
---@param word string
---@return string|nil
function apache.four_letter(self, word)
  local script = ("exec 3<>/dev/tcp/127.0.0.1/%d && printf %%s %s >&3 && cat <&3"):format(
    self.port, quote(word))
  local answer = capture(("exec timeout 2 bash -c %s 2>/dev/null"):format(quote(script)))
  return answer ~= "" and answer or nil
end

Server.four_letter = apache.four_letter

--- "standalone", "leader", "follower", "read-only"; nil while the server does not serve.
---@return string|nil
function Server:mode()
  local answer = self:alive() and self:four_letter("srvr")
  return answer and answer:match("Mode: (%S+)") or nil
end

--- The lines of `mntr`, as a table of strings by name without the "zk_".
---@return table<string, string>|nil
function Server:metrics()
  local answer = self:four_letter("mntr")
  if not answer then
    return nil
  end
  local metrics = {}
  for name, value in answer:gmatch("zk_(%S+)\t([^\n]*)") do
    metrics[name] = value
  end
  return metrics
end

--- The server's own complaints, for a message.
---@return string
function Server:log()
  return read_file(self.dir .. "/log") or ""
end

--- Waits until the server serves; false when it ended or did not within the time.
---@param timeout number|nil
---@return boolean
function Server:wait_serving(timeout)
  apache.wait_for(timeout or START_TIMEOUT, function()
    return not self:alive() or self:mode()
  end)
  return self:mode() ~= nil
end

function Server:_signal_and_wait(name)
  if not self:alive() then
    return
  end
  uv.kill(self.pid, name)
  if not apache.wait_for(10, function() return not self:alive() end) then
    error("process " .. self.pid .. " outlived " .. name, 3)
  end
end

--- SIGKILL; returns when the process is gone. Its data stay for `restart`.
function Server:kill()
  self:_signal_and_wait("sigkill")
end

--- SIGTERM; returns when the process is gone. Its data stay for `restart`.
function Server:terminate()
  self:_signal_and_wait("sigterm")
end

--- SIGSTOP: connections stay open and nothing answers, once each thread has heard of it.
function Server:pause()
  uv.kill(self.pid, "sigstop")
  if not apache.wait_for(10, function() return not states(self):find("[^TZX]") end) then
    error("process " .. self.pid .. " does not stop", 2)
  end
end

--- SIGCONT.
function Server:resume()
  uv.kill(self.pid, "sigcont")
end

--- Runs the server again on its data and its port, killing it first if need be.
---@param options { wait: boolean|nil }|nil  wait = false returns before it serves
---@return tests.ApacheServer self
function Server:restart(options)
  self:kill()
  self:_launch()
  if not (options and options.wait == false) and not self:wait_serving() then
    error("the server does not serve again: " .. self:log(), 2)
  end
  return self
end

--- Ends the server for good and removes its data.
function Server:stop()
  local watchdog = self._watchdog
  if watchdog then
    self._watchdog = nil
    watchdog:close() -- end of input; waits until the watchdog has cleaned up
    self.pid = nil
  end
end

--- Starts one server and waits until it serves.
---@param options tests.ApacheOptions|nil
---@return tests.ApacheServer
function apache.start(options)
  if ON_ZKLUA and not (options and options.command) then
    return require("support.zkserver").start(options)
  end
  local log
  for _ = 1, START_ATTEMPTS do
    local server = new_server(free_ports(1)[1], options or {})
    server:_launch()
    if server:wait_serving() then
      return server
    end
    log = server:log()
    server:stop()
  end
  error("the server does not start: " .. log, 2)
end

---@class tests.ApacheEnsemble
---@field servers tests.ApacheServer[]
---@field connect_string string
local Ensemble = {}
Ensemble.__index = Ensemble

--- The server that leads now, or nil during an election.
---@return tests.ApacheServer|nil leader, integer|nil index
function Ensemble:leader()
  for i, server in ipairs(self.servers) do
    if server:mode() == "leader" then
      return server, i
    end
  end
end

--- Waits until a leader serves and, when `all`, every other server that runs follows it.
---@param timeout number|nil
---@param all boolean|nil
---@return tests.ApacheServer|nil
function Ensemble:wait_leader(timeout, all)
  return apache.wait_for(timeout or START_TIMEOUT, function()
    local leader
    for _, server in ipairs(self.servers) do
      local mode = server:mode()
      if mode == "leader" then
        leader = server
      elseif all and server:alive() and mode ~= "follower" then
        return nil
      end
    end
    return leader
  end) or nil
end

--- How each server is and what it complained of last, for a message.
---@return string
function Ensemble:describe()
  local lines = {}
  for i, server in ipairs(self.servers) do
    lines[i] = ("\nserver %d, port %d: %s\n%s"):format(i, server.port,
      server:alive() and (server:mode() or "not serving") or "dead", server:log():sub(-2000))
  end
  return table.concat(lines)
end

--- Ends all servers and removes their data.
function Ensemble:stop()
  for _, server in ipairs(self.servers) do
    server:stop()
  end
end

local function try_ensemble(count, options)
  local ports, members = free_ports(3 * count), {}
  for i = 1, count do
    members[i] = {
      client_port = ports[3 * i - 2], quorum_port = ports[3 * i - 1], election_port = ports[3 * i],
    }
  end
  local servers, names = {}, {}
  for i, member in ipairs(members) do
    servers[i] = new_server(member.client_port, options, members, i)
    names[i] = servers[i].connect_string
  end
  for _, server in ipairs(servers) do
    server:_launch()
  end
  return setmetatable({ servers = servers, connect_string = table.concat(names, ",") }, Ensemble)
end

--- Starts `count` servers that form a quorum, and waits until all serve.
---@param count integer
---@param options tests.ApacheOptions|nil
---@return tests.ApacheEnsemble
function apache.ensemble(count, options)
  local log
  for _ = 1, START_ATTEMPTS do
    local ensemble = try_ensemble(count, options or {})
    local deadline = seconds() + START_TIMEOUT
    if ensemble:wait_leader(deadline - seconds(), true) then
      return ensemble
    end
    log = ensemble.servers[1]:log()
    ensemble:stop()
  end
  error("the ensemble does not form: " .. log, 2)
end

--- One server for all spec files of this run, started at the first use. Short ticks, so
--- that sessions from 400 ms on are granted and expire quickly. Use `fresh_path` below.
---@return tests.ApacheServer
function apache.shared()
  if ON_ZKLUA then
    return require("support.zkserver").shared()
  end
  local kept = keep()
  if not (kept.shared and kept.shared:alive()) then
    -- The registry outlives the specs; lua_close then ends the watchdog's input.
    kept.shared = apache.start({ tick_time = 200, session_min = 400 })
  end
  return kept.shared
end

--- A path that no other test of this machine uses: "/t-PROCESS-COUNT".
---@param name string|nil  a word for whoever reads a dump
---@return string
function apache.fresh_path(name)
  local kept = keep()
  kept.paths = kept.paths + 1
  return ("/t-%d-%d%s"):format(uv.os_getpid(), kept.paths, name and "-" .. name or "")
end

return apache
