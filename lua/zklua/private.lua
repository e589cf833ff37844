--- A private server inside this process, for tests: what a network or an operator does to a server
--- can be done to it by a call. Its sessions expire only when they are told to.
local Client = require "zklua.client"
local options = require "zklua.options"
local wrong = require "zklua.wrong"

local Server = {}
Server.__index = Server

local M = {}

local ALLOWED = {} -- `dir` is reserved

--- zk.server(options) of a runtime.
function M.new(runtime, given)
  given = given or {}
  if type(given) == "table" and given.dir ~= nil then
    wrong("a private server in a directory is not in this version; it keeps all in memory")
  end
  options.check(given, ALLOWED)
  local endpoint, memory = runtime:private_memory()
  return setmetatable({
    connect_string = endpoint,
    _runtime = runtime,
    _memory = memory,
    _running = true,
  }, Server)
end

local function check(self, running)
  if not self._memory then
    wrong("this server is closed")
  elseif running ~= nil and self._running ~= running then
    wrong(running and "this server is stopped" or "this server is running")
  end
end

-- The streams of a client to this server; raises when it is not a client of it.
local function streams_of(self, client, name)
  local life = type(client) == "table" and type(client.lifetime) == "function" and client:lifetime()
  if not life then
    wrong(("client must be a client, not a %s"):format(type(client)))
  end
  local list = {}
  for _, stream in ipairs(life.driver:streams()) do
    if stream.memory == self._memory then
      list[#list + 1] = stream
    end
  end
  if not list[1] and name then
    wrong(("%s: this client is not connected to this server"):format(name))
  end
  return list
end

--- A client of it, connected.
function Server:client(given)
  check(self)
  return Client.connect(self._runtime, self.connect_string, given)
end

--- Ends the client's session; false when it has ended already.
function Server:expire(client)
  check(self, true)
  streams_of(self, client)
  return self._memory:expire(client:session().id)
end

--- Breaks the client's connection; its session stays.
function Server:cut(client)
  check(self)
  for _, stream in ipairs(streams_of(self, client)) do
    stream:cut()
  end
  self._memory:turn()
end

--- What comes to the client comes so many seconds later, until it connects anew; 0: at once again.
function Server:delay(client, seconds)
  check(self, true)
  if type(seconds) ~= "number" or seconds < 0 or seconds ~= seconds then
    wrong("seconds must be a number from 0 on")
  end
  for _, stream in ipairs(streams_of(self, client, "delay")) do
    stream.late = seconds > 0 and seconds or nil
  end
end

--- The client's `count`-th reply from now on does not arrive: its connection breaks in that place.
--- The server has done what was asked.
function Server:drop_reply(client, count)
  check(self, true)
  count = count == nil and 1 or count
  if type(count) ~= "number" or count < 1 or count % 1 ~= 0 then
    wrong("count must be a whole number from 1 on")
  end
  for _, stream in ipairs(streams_of(self, client, "drop_reply")) do
    stream.replies_left = count
  end
end

--- Ends as a server does that is killed: connections break, and it refuses new ones.
function Server:stop()
  check(self, true)
  self._running = false
  self._memory:stop()
end

--- Serves again, with all that was acknowledged. Sessions go on.
function Server:start()
  check(self, false)
  self._running = true
  self._memory:start()
end

--- Stops it for good; all it held is gone.
function Server:close()
  check(self)
  if self._running then
    self:stop()
  end
  self._runtime.memories[self.connect_string] = nil
  self._memory = nil
end

return M
