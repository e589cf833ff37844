--- `local:` -- reaches this user's server on this machine, and starts it where there is none.
---
--- It is `zklua server --local DIR`, a process of its own which ends by itself; what is in DIR and
--- what it says to us is written in src/main/local.h. Whoever cannot connect starts one: of several
--- that are started at the same moment one gets the lock, and the others say so and end. So nobody
--- needs to know whether one is there, is about to end, or was killed just now.
---
--- One object stands for a directory in a runtime, so that many tasks start one helper.
local core = require "zklua.core"
local connection = require "zklua.connection"

local Server = {}
Server.__index = Server

local M = {}

--- Between attempts, while another has the lock and does not listen: it begins or ends just now.
local PAUSE_FIRST, PAUSE_MAX = 0.001, 0.05
--- Having the lock for so long and not listening, it does neither.
local GRACE = 0.5
--- Servers in a row that end without a word before it is no use to start more. One such was killed.
local DEATHS_MAX = 10

--- The server of a "local:" endpoint.
---@param runtime table
---@param endpoint string  as zklua/connection.lua writes it
function M.of(runtime, endpoint)
  local server = runtime.local_servers[endpoint]
  if not server then
    server = setmetatable({
      scheduler = runtime.scheduler,
      directory = connection.directory(endpoint),
      starting = nil, -- what is under way: { waiting = events, answer, reasons }
      deaths = 0, -- of servers that said nothing, since one did
    }, Server)
    runtime.local_servers[endpoint] = server
  end
  return server
end

-- Who serves -----------------------------------------------------------------

local function first_line(name)
  local file = io.open(name, "rb")
  local line = file and file:read("*l")
  if file then
    file:close()
  end
  return line or ""
end

-- Host and process of the last one that had the lock.
local function holder(self)
  local host, pid = first_line(self.directory .. "/local.lock"):match("^(%S+) (%d+)$")
  return host, pid
end

--- Why it does not answer, if that can be seen: it is stopped.
function Server:stopped()
  local host, pid = holder(self)
  if pid and first_line("/proc/" .. pid .. "/stat"):match(".*%) (%a)") == "T" then
    return ("its server (pid %s on %s) is stopped; kill -CONT %s"):format(pid, host, pid)
  end
end

-- Why the one that has the lock cannot be reached.
local function out_of_reach(self)
  local host, pid = holder(self)
  if not pid then
    return nil
  elseif host ~= core.hostname() then
    return ("its server runs on %s (pid %s), and local: serves one machine; use local:DIR with a "
      .. "DIR on a disk of this machine, or name a server"):format(host, pid)
  end
  return self:stopped() or ("pid %s on %s has %s/local.lock and does not serve; end it")
    :format(pid, host, self.directory)
end

-- Starting one ---------------------------------------------------------------

-- What a helper said as part of a sentence, without what that begins with already; nil if it ended
-- without a word.
local function sentence(self, text)
  local parts = {}
  for line in text:gmatch("[^\n]+") do
    line = line:gsub("^%d+%-%d+%-%S+ %a+ +", ""):gsub("^zklua: ", ""):gsub("^local: ", "")
    if line:sub(1, #self.directory) == self.directory then
      line = line:sub(#self.directory + 1):gsub("^:? ", "")
    end
    parts[#parts + 1] = line
  end
  local reasons = parts[1] and table.concat(parts, "; ")
  if not reasons then
    return nil
  end
  local says_what_to_do = reasons:find("local:DIR", 1, true) or reasons:find("; choose ", 1, true)
    or reasons:find("stop that one", 1, true)
  return says_what_to_do and reasons or reasons .. "; local:DIR is another place, and -s or "
    .. "ZKLUA_SERVER names another server"
end

local function begin(self)
  local start = { waiting = {} }
  local function done(answer, text)
    start.answer, start.reasons = answer, not answer and sentence(self, text) or nil
    if answer or start.reasons then
      self.deaths = 0
    else
      self.deaths = self.deaths + 1
      start.answer = self.deaths < DEATHS_MAX and "killed" or nil
      start.reasons = not start.answer and "its server ends without a word" or nil
    end
    self.starting = nil
    for event in pairs(start.waiting) do
      event:set()
    end
  end
  self.starting = start
  local started, problem = self.scheduler.machine.start_server({ "--local", self.directory }, done)
  if not started then
    start.reasons = problem
    self.starting = nil
  end
  return start
end

-- "+" or "=", see local.h, or "killed"; nil and why there will be no server; or nothing, when it is
-- not known in time.
local function start(self, deadline)
  local one = self.starting or begin(self)
  if not one.answer and not one.reasons then
    local event = self.scheduler.event()
    one.waiting[event] = true
    event:wait(deadline)
    one.waiting[event] = nil
  end
  return one.answer, one.reasons
end

-- Reaching it ----------------------------------------------------------------

-- Why it is no use to try on, if that can be seen. `code` is what the last attempt met.
local function hopeless(self, code)
  if code == "FULL" then
    return self:stopped()
  end
  return out_of_reach(self)
end

--- A stream; or nil, message, CODE: "HOPELESS" when waiting would not help.
function Server:connect(deadline)
  local scheduler = self.scheduler
  local pause, in_vain_since = PAUSE_FIRST, nil
  while true do
    local stream, message, code = scheduler.connect({ pipe = self.directory .. "/sock" }, deadline)
    if stream or code == "TIMEOUT" then
      return stream, message, code
    end
    local time = scheduler.now()
    if in_vain_since and time - in_vain_since > GRACE then
      local why = hopeless(self, code)
      if why then
        return nil, why, "HOPELESS"
      end
    end
    if time >= deadline then
      return nil, message, "TIMEOUT"
    end
    local answer, reasons = "=", nil
    if code ~= "FULL" then
      answer, reasons = start(self, deadline)
    end
    if reasons then
      return nil, reasons, "HOPELESS"
    elseif not answer then
      return nil, "its server is not ready yet", "TIMEOUT"
    end
    in_vain_since = answer == "=" and (in_vain_since or time) or nil
    if answer ~= "+" or pause > PAUSE_FIRST then
      scheduler.sleep(math.min(pause, math.max(0, deadline - scheduler.now())))
    end
    pause = math.min(2 * pause, PAUSE_MAX)
  end
end

return M
