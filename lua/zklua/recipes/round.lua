--- One party's way through one round of a barrier.
---
--- Each party has an ephemeral node; `ready` is made by whoever sees that all are there, and says up
--- to which zxid it has looked: whoever came later, even before `ready` itself, was not among those
--- that were counted. To them it is the `ready` of an earlier round, as to anybody one is whose
--- parties died before they could take it away: it is replaced, and nodes that old are not counted.
local own = require "zklua.own"

local READ_AT_ONCE = 500 -- nodes in one multiRead

local Round = {}
Round.__index = Round

local M = {}

function M.join(client, path, parties, data, deadline)
  local node, message, code = own.make(client, { parent = path, id = own.uuid(true), suffix = "",
    sequential = false, data = data }, deadline)
  if not node then
    return nil, message, code
  end
  return setmetatable({ _client = client, _node = node, _path = path, _parties = parties,
    _ready = own.join(path, "ready"), _event = client.runtime:event(),
    _seen = nil, -- the zxid of a `ready` that we were told of and have not looked at
    _opened = nil, -- the zxid up to which nodes are of our round, when all were there
    _key = nil }, Round) -- the czxid of its `ready`
end

-- The names of the parties that are there, and the zxid since which that is so.
local function present(self, deadline)
  local names, stat, code = self._client:children(self._path, { deadline = deadline })
  if not names then
    return nil, stat, code
  end
  local others = {}
  for _, name in ipairs(names) do
    if name ~= "ready" then
      others[#others + 1] = name
    end
  end
  return others, stat.pzxid
end

-- What `ready` says, which whoever made it had counted up to. Curator's and kazoo's say nothing.
local COUNTED = "counted to %d"
local COUNTED_PATTERN = "^counted to (%d+)$"

-- The zxid up to which nodes are of the round that `ready` has opened, and its own; nothing when it
-- has gone.
local function counted(self, deadline)
  local data, stat, code = self._client:get(self._ready, { deadline = deadline })
  if data then
    return tonumber(data:match(COUNTED_PATTERN)) or stat.czxid, stat.czxid
  elseif code ~= "NONODE" then
    return nil, stat, code
  end
end

-- How many of `names` were made after transaction `zxid`.
local function count_newer(self, names, zxid, deadline)
  local count = 0
  for from = 1, #names, READ_AT_ONCE do
    local wanted = {}
    for i = from, math.min(from + READ_AT_ONCE - 1, #names) do
      wanted[#wanted + 1] = { "get", own.join(self._path, names[i]) }
    end
    local results, message, code = self._client:read_many(wanted, { deadline = deadline })
    if not results then
      return nil, message, code
    end
    for _, result in ipairs(results) do
      count = count + (result.op == "get" and result.stat.czxid > zxid and 1 or 0)
    end
  end
  return count
end

-- Makes `ready`, in place of `old` if there is one: with another version then, for whoever has read
-- the old one and is about to delete it.
local function open(self, old, zxid, deadline)
  local transaction = self._client:transaction()
  if old then
    transaction:delete(self._ready, { version = old.version })
  end
  transaction:create(self._ready, COUNTED:format(zxid))
  if old and old.version == 0 then
    transaction:set(self._ready, COUNTED:format(zxid))
  end
  local ok, message, code = transaction:commit({ deadline = deadline })
  if ok or code == "NODEEXISTS" or code == "NONODE" or code == "BADVERSION" then
    return nil -- somebody has; look again
  end
  return nil, message, code
end

-- Whether our round is open, and the `ready` of an earlier one if that is there: its stat, and the
-- zxid up to which nodes are of that round. nil: look again, or with message and code.
local function is_open(self, deadline)
  local ready, message, code = self._client:exists(self._ready,
    { deadline = deadline, watch = self._watch })
  if ready == nil then
    return nil, message, code
  elseif not ready then
    -- An event of its coming is believed: the first that leaves may take it away again before we
    -- look (kazoo does), and then there is nothing left to see.
    self._opened, self._key = self._seen, self._seen
    return self._opened ~= nil
  end
  local upto, key, what = counted(self, deadline)
  if not upto then
    return nil, key, what
  elseif upto >= self._node.czxid then
    self._opened, self._key = upto, key
    return true
  end
  self._seen = nil
  return false, ready, upto
end

-- One look: true when open; nil to look again or with message and code.
local function look(self, deadline)
  local opened, ready, upto = is_open(self, deadline)
  if opened ~= false then
    return opened, ready, upto
  end
  local names, zxid, code = present(self, deadline)
  local count, message = names and #names, zxid
  if names and ready then
    count, message, code = count_newer(self, names, upto, deadline)
  end
  if not count then
    return nil, message, code
  end
  self.count = count
  if count >= self._parties then
    return open(self, ready, zxid, deadline)
  end
  local woken, why, what = self._event:wait_until(deadline)
  if woken == false then
    return nil, ("TIMEOUT: %d of %d parties came to barrier %s in time"):format(count,
      self._parties, self._path), "TIMEOUT"
  end
  return nil, why, what
end

-- Repeats `step` through lost connections until it answers; on failure our node goes.
local function persist(self, step, deadline)
  local ok, message, code
  local life = self._node.life
  -- A read that was under way goes on with the next session, and nobody wakes us there.
  local off = life:on_end(function()
    self._event:set()
  end)
  repeat
    ok, message, code = step(self, deadline)
    if not life.alive then
      return own.ended(life, "at barrier " .. self._path)
    elseif own.PASSING[code] then
      local paused, why, what = own.pause(self._client)
      message, code = not paused and why or nil, not paused and what or nil
    end
  until ok or code
  off()
  if not ok then
    own.remove(self._client, self._node)
  end
  return ok, message, code
end

function Round:wait_open(deadline)
  self._watch = function(event)
    if event.type == "created" then
      self._seen = event.zxid or math.huge -- servers before 3.9 do not tell
    end
    self._event:set()
  end
  local ok, message, code = persist(self, look, deadline)
  self._client:unwatch(self._ready, nil, self._watch)
  return ok, message, code
end

-- Waits until the node `name` is gone, or something about it has changed; or strikes it off: made
-- after our round was opened it is of the next one, and waits for us.
local function wait_for(self, name, deadline)
  local path = own.join(self._path, name)
  local data, stat, code = self._client:get(path, { deadline = deadline, watch = self._event })
  if not data then
    return nil, stat, code ~= "NONODE" and code or nil
  elseif stat.czxid > self._opened then
    self._known[name] = false
    self._client:unwatch(path, "data", self._event)
    return nil
  end
  local woken, why, what = self._event:wait_until(deadline)
  if not woken then
    self._client:unwatch(path, "data", self._event)
    return nil, why or "TIMEOUT: not all have left barrier " .. self._path, what or "TIMEOUT"
  end
end

-- Takes our node away, and `ready` with it if we are the last: in one, because to who has come for
-- the next round already we would be one of them once `ready` is gone. Where the next round was
-- opened while we stayed, `ready` is its own and stays.
local function go(self, last, deadline)
  local client, path = self._client, self._node.path
  if last then
    local ready, message, code = client:exists(self._ready, { deadline = deadline })
    if ready == nil then
      return nil, message, code
    elseif ready and ready.czxid <= self._key then
      local ok
      ok, message, code = client:transaction():delete(self._ready, { version = ready.version })
        :delete(path):commit({ deadline = deadline })
      if code ~= "NONODE" and code ~= "BADVERSION" and code ~= "NOAUTH" then
        return ok, message, code
      end
    end
  end
  return client:delete(path, { missing_ok = true, deadline = deadline })
end

-- The lowest stays until it is alone and waits for the highest; the others go and wait for the
-- lowest. Who comes after our first look is of the next round, and so may be who came before it, in
-- the place of one that has died.
local function step_out(self, deadline)
  local names, message, code = present(self, deadline)
  if not names then
    return nil, message, code
  end
  local known, left, mine = self._known or {}, {}, false
  for _, name in ipairs(names) do
    known[name] = known[name] or not self._known
    if known[name] then
      left[#left + 1] = name
      mine = mine or name == self._node.name
    end
  end
  self._known = known
  if #left > 1 and mine and left[1] == self._node.name then
    return wait_for(self, left[#left], deadline)
  elseif mine then
    local alone = #left == 1
    local ok
    ok, message, code = go(self, alone, deadline)
    return ok and alone or nil, message, code
  elseif #left > 0 then
    return wait_for(self, left[1], deadline)
  end
  return true
end

function Round:leave(deadline)
  self._event = self._client.runtime:event()
  return persist(self, step_out, deadline)
end

return M
