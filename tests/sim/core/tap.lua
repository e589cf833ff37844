--- What a simulated server hears, logs and says, noted in a history as it happens: see history.lua.
---
--- The server's core is replaced by one that does the same and is listened to. Frames are read here
--- once more, so that what a client makes of them can be compared with what was sent.
local bytes = require("sim.bytes")

local Tap = {}
Tap.__index = Tap

local M = {}

local AUTH, CLOSE_SESSION, SMALLEST_HEADER = -4, -11, 16

-- Frames -------------------------------------------------------------------------

local function heard(self, connection, frame)
  local session, xid = connection.session, bytes.int(frame, 1)
  if session and xid ~= AUTH then
    self.history:note("heard", { session = session, xid = xid, op = bytes.int(frame, 5) })
  end
end

local function granted(self, connection, frame)
  local timeout = bytes.int(frame, 5)
  if timeout > 0 then
    connection.session = bytes.id(frame, 9)
    self.sent[connection.session] = self.sent[connection.session] or {}
    self.history:note("granted", { session = connection.session, timeout = timeout / 1000 })
  end
end

local function said(self, connection, frame)
  if not connection.answered then
    connection.answered = true
    return granted(self, connection, frame)
  elseif #frame < SMALLEST_HEADER then
    error("a frame without a header")
  end
  local xid, zxid = bytes.int(frame, 1), bytes.long(frame, 5)
  if xid > 0 then
    self.sent[connection.session][xid] = zxid
  end
  if xid ~= -1 and zxid >= 0 then
    self.history:note("said", { session = connection.session, xid = xid, zxid = zxid })
  end
end

-- The core -----------------------------------------------------------------------

local Listening = {}

function Listening.accept(self, core)
  local number = core:accept()
  if number then
    self.connections[number] = { input = "", output = "" }
  end
  return number
end

function Listening.feed(self, core, number, input)
  local connection = self.connections[number]
  connection.input = bytes.frames(connection.input .. input, function(frame)
    heard(self, connection, frame)
  end)
  return core:feed(number, input)
end

function Listening.output(self, core, number)
  local connection, output = self.connections[number], core:output(number)
  if output then
    connection.output = bytes.frames(connection.output .. output, function(frame)
      said(self, connection, frame)
    end)
  end
  return output
end

function Listening.next_txn(self, core)
  local zxid, payload = core:next_txn()
  if zxid then
    local txn = self.history:note("logged", bytes.txn(payload))
    if txn.type == CLOSE_SESSION and txn.xid == 0 then
      self.hooks.expired(txn.session)
    end
  end
  return zxid, payload
end

function Listening.committed(self, core, zxid)
  self.history:note("durable", { zxid = zxid })
  return core:committed(zxid)
end

function Listening.expire(self, core, session)
  self.history:note("forced", { session = session })
  return core:expire(session)
end

local function listen(self)
  local core = self.server.core
  self.connections = {}
  self.server.core = setmetatable({}, {
    __index = function(proxy, name)
      local listening, method = Listening[name], core[name]
      local function call(_, ...)
        if listening then
          return listening(self, core, ...)
        end
        return method(core, ...)
      end
      rawset(proxy, name, call)
      return call
    end,
  })
  local count, info = #self.server.log, core:info()
  self.history:note("started", {
    count = count, sessions = info.sessions, ephemerals = info.ephemerals,
    tick = self.server.tick_time,
  })
end

--- Listens to `server` from now on, which has to have done nothing yet, and after each start.
---@param hooks table  started(server): it has started again; expired(session): it ends this one
function M.attach(server, history, hooks)
  local self = setmetatable({
    server = server,
    history = history,
    hooks = hooks,
    sent = {}, -- session -> xid -> zxid of the answer's header
    connections = {},
  }, Tap)
  local start, crash = server.start, server.crash
  function server.start()
    start(server)
    listen(self)
    hooks.started(server)
  end
  function server.crash()
    crash(server)
    history:note("crashed", { count = #server.log })
  end
  listen(self)
  return self
end

--- The zxid in the header of the answer to a request; nil when none was written.
function Tap:zxid(session, xid)
  return session and self.sent[session] and self.sent[session][xid]
end

return M
