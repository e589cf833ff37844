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
    _clients = {}, -- session -> client, see Server:client
  }, Server)
end

local function check(self, running)
  if not self._memory then
    wrong("this server is closed")
  elseif running ~= nil and self._running ~= running then
    wrong(running and "this server is stopped" or "this server is running")
  end
end

-- The session of a client to this server; raises when it is not a client of it.
local function session_of(self, client)
  local session = type(client) == "table" and type(client.lifetime) == "function"
    and client._session
  if not session then
    wrong(("client must be a client, not a %s"):format(type(client)))
  elseif session.options.endpoints[1] ~= self.connect_string then
    wrong("this client is not one of this server")
  end
  return session
end

-- From `count` on, as an option of how many messages from now on.
local function check_count(count)
  count = count == nil and 1 or count
  if type(count) ~= "number" or count < 1 or count % 1 ~= 0 then
    wrong("count must be a whole number from 1 on")
  end
  return count
end

local function quiet(given)
  local options = { log = function() end }
  for name, value in pairs(given or {}) do
    options[name] = value
  end
  return options
end

--- A client of it, connected. What is done to it is done on purpose: nothing is written about that
--- unless the options have a `log`. The server keeps it from being collected, and so from being
--- closed at any moment of a test that made it and forgot it.
function Server:client(given)
  check(self)
  if given == nil or type(given) == "table" then
    given = quiet(given)
  end
  local client, message, code = Client.connect(self._runtime, self.connect_string, given)
  for session in pairs(self._clients) do
    self._clients[session] = not session.closed and self._clients[session] or nil
  end
  if client then
    self._clients[client._session] = client
  end
  return client, message, code
end

--- Ends the client's session; false when it has ended already.
function Server:expire(client)
  check(self, true)
  local session = session_of(self, client)
  return self._memory:expire(client:session().id, session)
end

--- Breaks the client's connection; its session stays.
function Server:cut(client)
  check(self)
  self._memory:cut(session_of(self, client))
end

--- What comes to the client comes so many seconds later; 0: at once again.
function Server:delay(client, seconds)
  check(self)
  local session = session_of(self, client)
  if type(seconds) ~= "number" or not (seconds >= 0 and seconds < math.huge) then
    wrong("seconds must be a number from 0 on")
  end
  self._memory:disturb(session, "late", seconds > 0 and seconds or nil)
end

--- The client's `count`-th reply from now on does not arrive: its connection breaks in that place.
--- The server has done what was asked.
function Server:drop_reply(client, count)
  check(self)
  local session = session_of(self, client)
  self._memory:disturb(session, "replies", check_count(count))
end

--- The client's `count`-th request from now on does not arrive: its connection breaks in that
--- place. The server has done nothing.
function Server:drop_request(client, count)
  check(self)
  local session = session_of(self, client)
  self._memory:disturb(session, "requests", check_count(count))
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

--- Stops it for good; all it held is gone, and its clients are closed.
function Server:close()
  check(self)
  self._runtime:end_memory(self.connect_string)
  self._memory = nil
end

return M
