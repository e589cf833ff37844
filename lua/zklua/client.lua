--- What zk.connect gives: the operations over a session, views of it, and its end. The methods
--- themselves live in nodes.lua, trees.lua and the files of what they make.
local acls = require "zklua.acl"
local connection = require "zklua.connection"
local core = require "zklua.core"
local finalizer = require "zklua.finalizer"
local nodes = require "zklua.nodes"
local options_of = require "zklua.options"
local paths = require "zklua.path"
local servers_of = require "zklua.servers"
local sessions = require "zklua.session"
local transactions = require "zklua.transaction"
local trees = require "zklua.trees"
local wrong = require "zklua.wrong"

local Client = {}
Client.__index = Client
Client._class = Client

nodes.attach(Client)
trees.attach(Client)

local SESSION_TIMEOUT_DEFAULT = 30

local CONNECT = {
  servers = "any", session_timeout = "number", timeout = "number", readonly = "boolean",
  auth = "table", acl = "any", tls = "any", on_expire = "string", on_error = "function",
  log = "function", id = "string", session = "table", fail_fast = "boolean",
  reply_max = "number",
}

--- Recipes are methods too; each file is loaded when it is first asked for.
local RECIPES = {
  "lock", "rwlock", "semaphore", "multilock", "election", "queue", "barrier", "gate", "counter",
  "member", "group", "discovery", "tasks", "once", "journal", "partition", "ids",
}

-- Making ---------------------------------------------------------------------

--- A client, or a view with paths below `prefix`, of a session.
function Client.new(session, prefix, id, guard)
  return setmetatable({
    _session = session,
    runtime = session.runtime,
    prefix = prefix,
    id = id or core.hostname() .. "/" .. core.pid(),
    _guard = guard,
  }, Client)
end

local function check_auth(auth)
  for i, credential in ipairs(auth or {}) do
    if type(credential) ~= "table" or type(credential[1]) ~= "string"
      or type(credential[2]) ~= "string" then
      wrong(("auth[%d] must be { scheme, id }"):format(i))
    end
  end
end

local function check_session(session)
  if session == nil then
    return
  elseif type(session.id) ~= "string" or not session.id:find("^0x%x+$") then
    wrong('session.id must be a string, "0x..."')
  elseif type(session.password) ~= "string" or not session.password:find("^%x+$")
    or #session.password ~= 32 then
    wrong("session.password must be a string of 32 hexadecimal digits")
  end
end

local REPLY_MAX_LEAST, REPLY_MAX_MOST = 1024, 2 ^ 31 - 1

local function reply_max(value)
  if value and not (value >= REPLY_MAX_LEAST and value <= REPLY_MAX_MOST and value % 1 == 0) then
    wrong(("reply_max must be a whole number of bytes, %d to %d"):format(REPLY_MAX_LEAST,
      REPLY_MAX_MOST))
  end
  return value
end

-- Endpoints and chroot of `servers`, else of what the runtime, the user or the machine names; and
-- whether nobody named any.
local function find_servers(runtime, servers)
  local machine = runtime.scheduler.machine
  local source = "servers"
  if not servers then
    servers, source = servers_of.find(runtime.servers, machine)
    if not servers then
      wrong(source)
    end
  end
  local place, problem = connection.parse(servers, machine)
  if not place then
    wrong(source and source .. ": " .. problem or problem)
  end
  return place, source == nil
end

-- The options as session.new takes them.
local function read_options(place, options)
  options_of.check(options, CONNECT)
  if options.tls ~= nil then
    wrong("tls is not in this version")
  elseif options.on_expire and options.on_expire ~= "renew" and options.on_expire ~= "stop" then
    wrong('on_expire must be "renew" or "stop"')
  end
  check_auth(options.auth)
  check_session(options.session)
  local session_timeout = options.session_timeout or SESSION_TIMEOUT_DEFAULT
  if not (session_timeout >= 0.001 and session_timeout < 2 ^ 31 / 1000) then
    wrong("session_timeout is out of range")
  end
  return {
    endpoints = place.endpoints,
    chroot = place.chroot,
    session_timeout = session_timeout,
    timeout = options.timeout,
    readonly = options.readonly,
    auth = options.auth,
    acl = options.acl ~= nil and acls.encode(options.acl) or nil,
    on_expire = options.on_expire,
    on_error = options.on_error,
    log = options.log,
    session = options.session,
    fail_fast = options.fail_fast,
    reply_max = reply_max(options.reply_max),
  }
end

local function merged(defaults, options)
  local all = {}
  for _, source in ipairs({ defaults, options }) do
    for key, value in pairs(source) do
      all[key] = value
    end
  end
  return all
end

--- zk.connect([servers,] [options]) of a runtime.
function Client.connect(runtime, servers, options)
  if type(servers) == "table" and options == nil and not servers[1] then
    servers, options = servers.servers, servers
  end
  if options ~= nil and type(options) ~= "table" then
    wrong("options must be a table, not a " .. type(options))
  end
  options = merged(runtime.connect_defaults, options or {})
  local place, unnamed = find_servers(runtime, servers or options.servers)
  local settings = read_options(place, options)
  runtime:waiter("connect")
  local session = sessions.new(runtime, settings)
  local connected, message, code = session:wait_connected(
    options.timeout or settings.session_timeout)
  if not connected then
    return nil, message, code
  end
  if unnamed and runtime.on_local then
    runtime.on_local(connection.directory(place.endpoints[1]))
  end
  -- A client that nobody can reach any more closes its session. The driver holds the session, so
  -- the guard hangs on what the user holds.
  local guard = finalizer(function()
    if not session.closed and not core.forked() then
      session:close_soon(session.timeout)
    end
  end)
  return Client.new(session, nil, options.id, guard)
end

-- Views ----------------------------------------------------------------------

--- A view of the same session whose paths are relative to `path`.
function Client:at(path)
  paths.check(path, "path")
  local prefix = nodes.full_path(self, path)
  if prefix == "/" then
    prefix = nil
  end
  return Client.new(self._session, prefix, self.id, self._guard)
end

--- The view of everything within the chroot.
function Client:root()
  return Client.new(self._session, nil, self.id, self._guard)
end

--- The path within the chroot of a path of this view.
function Client:resolve(path)
  paths.check(path, "path")
  return (nodes.full_path(self, path))
end

-- The session ----------------------------------------------------------------

--- The present session as an object: see lifetime.lua.
function Client:lifetime()
  return self._session.life
end

function Client:state()
  return self._session.state
end

function Client:session()
  local info = self._session.life.core:info()
  return { id = info.session, password = info.password, timeout = info.timeout }
end

function Client:metrics()
  return self._session:metrics()
end

function Client:on(event, fn)
  local off = self._session:on(event, fn)
  return off
end

--- Ends the session, for all views; true.
function Client:close(timeout)
  if timeout ~= nil and type(timeout) ~= "number" then
    wrong("timeout must be a number of seconds, not " .. type(timeout))
  end
  local done = self._session:close(timeout)
  return done
end

-- What others make -----------------------------------------------------------

--- Takes a one-shot watcher off again; true if it was there. `kind`: "data", "exist", "child" or
--- nil for whichever it is.
function Client:unwatch(path, kind, watcher)
  return self._session.watches:remove(nodes.full_path(self, path), kind, watcher)
end

--- As any call: another task than the one that closed the client is told so by `commit`.
function Client:transaction()
  if self._session.closed and self._session.closed_by == self.runtime:current() then
    wrong("transaction: the client is closed")
  end
  return transactions.new(self)
end

for _, name in ipairs({ "watch", "live", "cache" }) do
  Client[name] = function(self, path, options)
    paths.check(path, "path")
    return require("zklua." .. name).open(self, path, options)
  end
end

for _, name in ipairs(RECIPES) do
  Client[name] = function(self, path, ...)
    local module = "zklua.recipes." .. name
    local found, recipe = pcall(require, module)
    if not found then
      if tostring(recipe):find("module '" .. module .. "' not found", 1, true) then
        wrong(name .. " is not in this version")
      end
      error(recipe, 0)
    end
    return recipe.new(self, path, ...)
  end
end

return Client
