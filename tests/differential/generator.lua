--- A sequence: fifty requests on a few connections, made from a seed alone.
---
--- It is a list of steps, each of which is over before the next begins:
---
---   connect   opens connection `connection` with a new session or one that is there (`session`);
---             `wrong` names what is wrong about it
---   send      `requests` in one burst on `connection`; `closes`: the server then closes it
---   drop      closes a connection without a word
---   await     waits for what ends by itself (lives.lua, errands.lua)
---   word      asks the four-letter words `words`, behind a barrier
---   barrier   a ping on every open connection, so that all events are in; `unordered`: the order
---             of the events before it is the server's choice
---
--- Requests: { xid =, op =, record = }, { xid =, op =, body = bytes } or { xid =, frame = bytes };
--- `special` is an xid to send instead, `relative` names the request whose zxid a setWatches refers
--- to, `tail` adds bytes behind the record, `answers` says that a frame is answered, `unanswered`
--- that a request need not be. Numbers of connections and sessions begin at 1 and are never given
--- twice.
local lives = require("differential.lives")
local malformed = require("differential.malformed")
local model = require("differential.model")
local random = require("differential.random")
local requests = require("differential.requests")
local themes = require("differential.themes")
local words = require("differential.words")

local generator = {}

local REQUESTS = 50
local CONNECTIONS_MAX = 4
local BURST_MAX = 6
local CAREFUL = 40 -- percent of the requests that should succeed
-- Servers grant 20 s at least and 60 s at most: no session may end by itself.
local TIMEOUTS_MS = { 40000, 40000, 40000, 25000, 0, 1, -5, 2147483647, -2147483648 }
-- Where they grant what is asked for, only those end that are meant to.
local LASTING_MS = { 40000, 25000, 2147483647 }
local ODD_XIDS = { 0, -3, -100, 2147483647, -2147483648 } -- servers only give them back

-- Of every eight sequences one runs on servers as they are without options, where nodes with a
-- ttl are refused and reconfig is not.
local PLAIN_EVERY = 8
-- And of every twenty-four one runs, beside its likes, on servers with short times, where sessions
-- and nodes end by themselves.
local BRIEF_EVERY, BRIEF_AT = 24, 5
local ENDS_EVERY = 15 -- requests of such a sequence

local WORDS, WORDS_MAX = 2, 4 -- percent of the steps that ask words; asked at a time
local OPEN = { { permissions = 31, scheme = "world", id = "anyone" } }

local State = {}
State.__index = State

local function pick_setup(seed)
  if seed % PLAIN_EVERY == 0 then
    return "plain"
  end
  return seed % BRIEF_EVERY == BRIEF_AT and "brief" or "full"
end

local function new_state(seed)
  local rng = random.new(seed)
  local root = ("/d-%d"):format(seed)
  local setup = pick_setup(seed)
  local theme = themes.pick(rng, setup)
  return setmetatable({
    random = rng, root = root, theme = theme, bad = theme.bad, watching = theme.watching,
    setup = setup, ends_at = 0,
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

--- Opens a connection with a new session or with one that is there, which it then takes over.
function State:connect(session, timeout_ms)
  if session and self.sessions[session].connection then
    self:barrier() -- what is on its way to the connection that will be closed
  end
  local number = next_number(self)
  local usual = self.setup == "brief" and LASTING_MS or TIMEOUTS_MS
  local step = self:step({ kind = "connect", connection = number,
    timeout_ms = timeout_ms or self.random:pick(usual) })
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

--- A session that is over.
function State:end_session(session)
  self.model:end_session(session)
  self.closed_session = session
  self.sessions[session] = nil
end

--- Nobody gets a session back that is over.
function State:refused(session)
  self:step({ kind = "connect", connection = next_number(self), timeout_ms = TIMEOUTS_MS[1],
    wrong = "closed", session = session })
end

-- What is sent behind the end of a session changes nothing, whether it is answered or not.
local function too_late(self)
  local request = self:request({ record = self.random:pick({
    { op = 1, path = self.root .. "/late", data = "", acl = OPEN, flags = 1 },
    { op = 5, path = self.root, data = "late", version = -1 }, { op = 4, path = self.root },
    { op = -11 },
  }) })
  request.unanswered = true
  return request
end

--- Its ephemeral nodes go in an order that servers choose: hence the barriers.
function State:close(connection)
  self:barrier()
  local list = { self:request({ record = { op = -11 } }) }
  local followed = #self.connections > 1 and self.random:chance(20)
  for i = 1, followed and self.random:below(3) + 1 or 0 do
    list[1 + i] = too_late(self)
  end
  self:step({ kind = "send", connection = connection.number, closes = true, requests = list })
  self:end_session(connection.session)
  self:forget(connection.number)
  if followed then
    self:rebase(self.connections[1])
  end
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

--- After a write that some servers count and others do not their zxids differ by one until the
--- next write (known.lua).
function State:rebase(connection)
  self:step({ kind = "send", connection = connection.number, requests = { self:request({
    record = { op = 5, path = self.root, data = "again", version = -1 },
  }) } })
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
    self:rebase(connection)
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
  self:rebase(self.random:pick(self.connections))
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

local function ask_words(self)
  local list = {}
  for i = 1, self.random:below(WORDS_MAX) + 1 do
    list[i] = self.random:pick(words.ALL)
  end
  self:barrier()
  self:step({ kind = "word", words = list })
end

local function one_step(self)
  if #self.connections == 0 then
    self:connect(some_session(self, is_detached))
    return
  end
  if self.setup == "brief" and self.count >= self.ends_at then
    self.random:pick({ lives.session, lives.nodes })(self)
    self.ends_at = self.count + ENDS_EVERY
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
  elseif self.setup ~= "brief" and self.random:chance(WORDS) then
    ask_words(self)
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
