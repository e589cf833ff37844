--- A sequence: fifty requests on a few connections, made from a seed alone.
---
--- It is a list of steps, each of which is over before the next begins:
---
---   connect   opens connection `connection` with a new session or one that is there (`session`);
---             `wrong` names what is wrong about it
---   send      `requests` in one burst on `connection`; `closes`: the server then closes it
---   drop      closes a connection without a word
---   barrier   a ping on every open connection, so that all events are in; `unordered`: the order
---             of the events before it is the server's choice
---
--- Requests: { xid =, op =, record = }, { xid =, op =, body = bytes } or { xid =, frame = bytes };
--- `special` is an xid to send instead, `relative` names the request whose zxid a setWatches refers
--- to, `tail` adds bytes behind the record, `answers` says that a frame is answered. Numbers of
--- connections and sessions begin at 1 and are never given twice.
local malformed = require("differential.malformed")
local model = require("differential.model")
local random = require("differential.random")
local requests = require("differential.requests")

local generator = {}

local REQUESTS = 50
local CONNECTIONS_MAX = 4
local BURST_MAX = 6
local CAREFUL = 40 -- percent of the requests that should succeed
-- Servers grant 20 s at least and 60 s at most: no session may end by itself.
local TIMEOUTS_MS = { 40000, 40000, 40000, 25000, 0, 1, -5, 2147483647, -2147483648 }
local ODD_XIDS = { 0, -3, -100, 2147483647, -2147483648 } -- servers only give them back

-- Of every eight sequences one runs on servers as they are without options, where nodes with a
-- ttl are refused and reconfig is not.
local PLAIN_EVERY = 8

local GENERAL = {
  20, "create", 9, "delete", 10, "set_data", 4, "set_acl", 6, "exists", 8, "get_data",
  3, "get_acl", 4, "get_children", 4, "get_children2", 10, "multi", 4, "multi_read", 2, "sync",
  3, "add_watch", 2, "remove_watches", 2, "check_watches", 1, "set_watches", 1, "set_watches2",
  2, "get_ephemerals", 2, "get_all_children_number", 1, "who_am_i", 1, "ping", 1, "reconfig",
  1, "delete_container",
}
local WATCHES = {
  16, "create", 12, "delete", 12, "set_data", 1, "set_acl", 8, "exists", 8, "get_data",
  4, "get_children", 4, "get_children2", 8, "multi", 8, "add_watch", 5, "remove_watches",
  4, "check_watches", 4, "set_watches", 4, "set_watches2", 1, "sync", 1, "ping",
}
local PERMISSIONS = {
  20, "create", 8, "delete", 10, "set_data", 14, "set_acl", 8, "exists", 10, "get_data",
  10, "get_acl", 4, "get_children", 4, "get_children2", 8, "multi", 5, "multi_read",
  4, "get_all_children_number", 3, "who_am_i", 2, "add_watch",
}
local MULTIS = {
  10, "create", 4, "delete", 4, "set_data", 2, "set_acl", 40, "multi", 10, "multi_read",
  5, "get_children2", 3, "add_watch", 3, "get_data",
}
local QUOTAS = {
  25, "create", 12, "delete", 20, "set_data", 12, "multi", 15, "use_quota", 3, "get_data",
  3, "get_children2",
}

-- bad: percent of arguments that are wrong; watching: percent of reads that set a watch;
-- moves: percent of steps that open, move or close; auths, spoils, ends: percent of steps.
local THEMES = {
  { weight = 6, mix = GENERAL, bad = 4, watching = 30, moves = 6, auths = 2, spoils = 1, ends = 1 },
  { weight = 4, mix = WATCHES, bad = 2, watching = 70, moves = 8, auths = 1, spoils = 0, ends = 1 },
  { weight = 3, mix = PERMISSIONS, bad = 4, watching = 20, moves = 6, auths = 14, spoils = 0,
    ends = 1 },
  { weight = 3, mix = MULTIS, bad = 3, watching = 20, moves = 3, auths = 1, spoils = 1, ends = 0 },
  { weight = 2, mix = QUOTAS, bad = 1, watching = 10, moves = 3, auths = 1, spoils = 0, ends = 0,
    quota = true },
  { weight = 2, mix = GENERAL, bad = 30, watching = 20, moves = 5, auths = 3, spoils = 15,
    ends = 5 },
  { weight = 2, mix = GENERAL, bad = 2, watching = 40, moves = 35, auths = 5, spoils = 0,
    ends = 4 },
}

local State = {}
State.__index = State

local function pick_theme(rng)
  local list = {}
  for _, theme in ipairs(THEMES) do
    list[#list + 1], list[#list + 2] = theme.weight, theme
  end
  return rng:weighted(list)
end

local function new_state(seed)
  local rng = random.new(seed)
  local root = ("/d-%d"):format(seed)
  local theme = pick_theme(rng)
  return setmetatable({
    random = rng, root = root, theme = theme, bad = theme.bad, watching = theme.watching,
    setup = seed % PLAIN_EVERY == 0 and "plain" or "full",
    model = model.new(root),
    steps = {}, count = 0, xid = 0,
    connections = {}, -- those that are open, in the order they were opened
    opened = 0,
    sessions = {}, -- number -> { connection = number | nil }; nil when it was closed
    born = 0,
  }, State)
end

function State:step(step)
  self.steps[#self.steps + 1] = step
  return step
end

function State:request(request)
  self.xid = self.xid + 1
  self.count = self.count + 1
  request.xid = self.xid
  request.op = request.op or request.record.op
  return request
end

-- Connections -------------------------------------------------------------------------------------

function State:forget(number)
  for i, connection in ipairs(self.connections) do
    if connection.number == number then
      table.remove(self.connections, i)
      if self.sessions[connection.session] then
        self.sessions[connection.session].connection = nil
      end
      return
    end
  end
end

local function next_number(self)
  self.opened = self.opened + 1
  return self.opened
end

function State:connect(session)
  if session and self.sessions[session].connection then
    self:barrier() -- what is on its way to the connection that will be closed
  end
  local number = next_number(self)
  local step = self:step({ kind = "connect", connection = number,
    timeout_ms = self.random:pick(TIMEOUTS_MS) })
  if session then
    step.attach = true
    if self.sessions[session].connection then
      self:forget(self.sessions[session].connection)
    end
  else
    self.born = self.born + 1
    session = self.born
    self.sessions[session] = {}
  end
  step.session = session
  step.old = self.random:chance(5)
  step.readonly = self.random:chance(10)
  step.password_size = self.random:pick({ 16, 16, 16, 0, 3, -1 })
  local connection = { number = number, session = session, modes = {} }
  self.connections[#self.connections + 1] = connection
  self.sessions[session].connection = number
  return connection
end

local function some_session(self, accept)
  local list = {}
  for number = 1, self.born do
    if self.sessions[number] and accept(self.sessions[number]) then
      list[#list + 1] = number
    end
  end
  return #list > 0 and self.random:pick(list) or nil
end

local function is_detached(session)
  return session.connection == nil
end

-- Attempts that end in a refusal.
function State:connect_wrongly()
  local wrong = self.random:pick({ "password", "id", "zxid", "closed", "frame" })
  local step = { kind = "connect", connection = next_number(self), timeout_ms = TIMEOUTS_MS[1],
    wrong = wrong }
  if wrong == "password" then
    -- Apache closes the session's connection before it looks at the password.
    step.session = some_session(self, is_detached)
    if not step.session then
      step.wrong = "id"
    end
  elseif wrong == "closed" then
    step.session = self.closed_session
    if not step.session then
      step.wrong = "id"
    end
  elseif wrong == "frame" then
    step.bytes = self.random:pick({
      "\0\0\0\4abcd", "\0\0\0\0", "\255\255\255\255", "\127\255\255\255",
      "\0\0\0\20" .. ("\0"):rep(20), "\0\0\0\44" .. ("\255"):rep(44), "GET / HTTP/1.1\r\n\r\n",
    })
  end
  self:step(step)
end

--- What was on its way must have come: behind a barrier.
function State:drop(connection)
  self:step({ kind = "drop", connection = connection.number })
  self:forget(connection.number)
end

function State:barrier(unordered)
  self:step({ kind = "barrier", unordered = unordered })
end

--- Its ephemeral nodes go in an order that servers choose: hence the barriers.
function State:close(connection)
  self:barrier()
  self:step({ kind = "send", connection = connection.number, closes = true,
    requests = { self:request({ record = { op = -11 } }) } })
  self.model:end_session(connection.session)
  self.closed_session = connection.session
  self.sessions[connection.session] = nil
  self:forget(connection.number)
  self:barrier(true)
end

function State:move()
  local detached = some_session(self, is_detached)
  local which = self.random:below(10)
  if which < 3 and #self.connections < CONNECTIONS_MAX then
    self:connect()
  elseif which < 5 and detached then
    self:connect(detached)
  elseif which < 6 and #self.connections > 0 then
    self:connect(self.random:pick(self.connections).session)
  elseif which < 7 then
    self:connect_wrongly()
  elseif which < 8 and #self.connections > 1 then
    self:barrier()
    self:drop(self.random:pick(self.connections))
  elseif #self.connections > 1 then
    self:close(self.random:pick(self.connections))
  end
end

-- Requests ----------------------------------------------------------------------------------------

-- After a write that could not be read the servers' zxids differ by one (known.lua) until the
-- next write.
local function rebase(self)
  return self:request({ record = { op = 5, path = self.root, data = "again", version = -1 } })
end

local function with_watch_zxid(self, request)
  if request.op == 101 or request.op == 105 then
    local which = self.random:below(4)
    if which == 0 then
      request.record.zxid = 0
    elseif which == 1 then
      request.record.zxid = "0x7fffffffffffffff"
    else
      request.relative = self.random:below(self.xid) + 1
    end
    request.special = self.random:chance(50) and -8 or nil
  end
  return request
end

local function ordinary(self, connection)
  local name = self.random:weighted(self.theme.mix)
  self.careful = self.random:chance(CAREFUL)
  local request = self:request({ record = requests[name](self, connection) })
  if request.op == 11 then
    request.special = -2
  elseif self.random:chance(1) then
    request.special = self.random:pick(ODD_XIDS)
  end
  self.careful = false
  request.tail = self.random:chance(1) or nil
  return with_watch_zxid(self, request)
end

--- Some things Apache answers as its threads happen to run, so they have no company in a burst.
--- A multi that fails while an earlier write to the same nodes is on its way makes Apache go on
--- with what it knew of them before that write: a multi comes first. A write behind a setACL that
--- is on its way is judged by the ACL before it: a setACL comes last. And quotas are judged by
--- the usage that was written so far: under a quota every request waits.
function State:burst(connection)
  local list, alone
  for i = 1, self.random:chance(40) and 1 or self.random:below(BURST_MAX) + 1 do
    local request = ordinary(self, connection)
    if i == 1 or request.op == 14 or alone then
      list = {}
      self:step({ kind = "send", connection = connection.number, requests = list })
    end
    list[#list + 1] = request
    alone = request.op == 7 or self.theme.quota
  end
end

function State:spoil(connection)
  local list = {}
  if self.random:chance(20) then
    list[1] = self:request({ record = requests.bad_multi(self) })
  else
    local op, body, negative_count = malformed.request(self)
    list[1] = self:request({ op = op, body = body, negative_count = negative_count })
  end
  self:step({ kind = "send", connection = connection.number, requests = list })
  if malformed.is_write(list[1].op) then
    -- Not in the same burst: Apache would judge it by what a multi had done before it failed.
    self:step({ kind = "send", connection = connection.number, requests = { rebase(self) } })
  end
end

function State:auth(connection)
  local name = self.random:chance(10) and "sasl" or "auth"
  local request = self:request({ record = requests[name](self) })
  request.special = self.random:chance(70) and -4 or nil
  self:step({ kind = "send", connection = connection.number, requests = { request } })
end

-- Alone, and bound to fail: had it success, an Apache server would never start again. Some servers
-- close the connection then; those that do not take a zxid.
function State:lone_check(connection)
  local record = { op = 13, path = self.root .. "/never", version = -1 }
  self:step({ kind = "send", connection = connection.number,
    requests = { self:request({ record = record }) } })
  self:drop(connection)
  self:step({ kind = "send", connection = self.random:pick(self.connections).number,
    requests = { rebase(self) } })
end

--- Something after which the server closes the connection. All its events must have come before.
function State:ending(connection)
  self:barrier()
  local which = self.random:below(10)
  local request
  if which < 1 and #self.connections > 1 then
    self:lone_check(connection)
    return
  elseif which < 4 then
    request = self:request({ record = requests.bad_auth(self) })
  else
    request = self:request({ op = 0 })
    request.frame, request.answers = malformed.ending(self, request.xid)
  end
  self:step({ kind = "send", connection = connection.number, requests = { request },
    closes = true })
  self:forget(connection.number)
end

-- A request as large as a frame may be, and one byte more.
function State:large(connection)
  local path = self.root .. "/a"
  local overhead = 8 + 4 + #path + 4 + 4
  local fits = self:request({ record = { op = 5, path = path, version = -1,
    data = ("y"):rep(malformed.FRAME_MAX - overhead) } })
  self:step({ kind = "send", connection = connection.number, requests = { fits } })
  self:step({ kind = "send", connection = connection.number, requests = {
    self:request({ record = { op = 4, path = path } }),
  } })
end

local function one_step(self)
  if #self.connections == 0 then
    self:connect(some_session(self, is_detached))
    return
  end
  local theme, at = self.theme, self.random:below(100)
  local connection = self.random:pick(self.connections)
  if at < theme.moves then
    self:move()
  elseif at < theme.moves + theme.auths then
    self:auth(connection)
  elseif at < theme.moves + theme.auths + theme.spoils then
    self:spoil(connection)
  elseif at < theme.moves + theme.auths + theme.spoils + theme.ends then
    self:ending(connection)
  elseif self.random:below(1000) == 0 then
    self:large(connection)
  else
    self:burst(connection)
  end
end

-- No session outlives its sequence.
local function finish(self)
  self:barrier()
  while #self.connections > 0 do
    self:close(self.connections[#self.connections])
  end
  for session = 1, self.born do
    if self.sessions[session] then
      self:close(self:connect(session))
    end
  end
end

---@param seed integer
---@return table sequence  { seed, root, setup, steps }
function generator.sequence(seed)
  local self = new_state(seed)
  self:connect()
  if self.random:chance(70) then
    self:connect()
  end
  if self.theme.quota then
    local list = {}
    for i, record in ipairs(requests.quota(self)) do
      list[i] = self:request({ record = record })
    end
    self:step({ kind = "send", connection = 1, requests = list })
  end
  while self.count < REQUESTS do
    one_step(self)
  end
  finish(self)
  return { seed = seed, root = self.root, setup = self.setup, steps = self.steps }
end

return generator
