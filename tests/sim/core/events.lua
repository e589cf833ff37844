--- An event comes before data that shows the change: on one connection, before any reply as of the
--- change or later; over a reconnection, before a reply that shows its node otherwise than the
--- reply that set the watch. What watches that stay are told is all that happens, in its order.
---
--- What changed when is the reference's word.
local answers = require("sim.core.answers")
local histories = require("sim.core.history")

local DATA, EXIST, CHILD, PERSISTENT, RECURSIVE = 1, 2, 4, 8, 16

local Watcher = {}
Watcher.__index = Watcher

local function has(kinds, kind)
  return math.floor(kinds / kind) % 2 == 1
end

-- Which changes reach a watch.
local function concerns(watch, change)
  local kind, path = watch.kind, watch.path
  if kind == RECURSIVE then
    local below = path == "/" and "/" or path .. "/"
    return change.type ~= "children"
      and (change.path == path or change.path:sub(1, #below) == below)
  elseif change.path ~= path then
    return false
  elseif kind == CHILD then
    return change.type == "children" or change.type == "deleted"
  end
  return kind == PERSISTENT or change.type ~= "children"
end

-- The place of the first change behind `zxid`.
local function behind(changes, zxid)
  local low, high = 1, #changes + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if changes[middle].zxid > zxid then
      high = middle
    else
      low = middle + 1
    end
  end
  return low
end

-- The first change from place `at` on that reaches the watch, and its place.
local function next_change(changes, watch, at)
  while changes[at] and not concerns(watch, changes[at]) do
    at = at + 1
  end
  return changes[at], at
end

-- From here on, the server surely watches: it knows the connection, and the tree as of `zxid`.
local function aim(self, watch, zxid)
  watch.due, watch.at = next_change(self.changes, watch, behind(self.changes, zxid))
  watch.sure = true
end

local function set(self, path, kind, zxid, stat)
  local key = kind .. path
  local watch = self.watches[key]
  if not watch then
    watch = { path = path, kind = kind, count = 0 }
    self.watches[key] = watch
  end
  watch.count = watch.count + 1
  watch.stat = stat or false
  if kind < PERSISTENT or not watch.sure then
    aim(self, watch, zxid)
  end
end

-- A change, or an event, in words.
local function told(change)
  return ("%s was %s at %d"):format(change.path, change.type, change.zxid)
end

-- Replies ------------------------------------------------------------------------

-- What a reply shows of a node: its path, and its stat, false when it is not there; or nil.
local function shown(operation, reply)
  local kind, code = operation.kind, reply.code
  if kind == "get" or kind == "exists" or kind == "children" then
    local stat = kind == "exists" and reply.a or reply.b
    if code == "NONODE" then
      return operation.path, false
    elseif not code then
      return operation.path, stat
    end
  elseif kind == "set" and not code then
    return operation.path, reply.a
  elseif kind == "create" and not code then
    return reply.a, reply.b
  elseif kind == "delete" and not code then
    return operation.path, false
  end
end

local function differs(watch, stat)
  local before = watch.stat
  if not before or not stat then
    return (before and true or false) ~= (stat and true or false)
  end
  local field = watch.kind == CHILD and "pzxid" or "mzxid"
  return before[field] ~= stat[field]
end

local function check_shown(self, reply, operation)
  local path, stat = shown(operation, reply)
  for _, kind in ipairs(path and { DATA, EXIST, CHILD } or {}) do
    local watch = self.watches[kind .. path]
    if watch and differs(watch, stat) then
      return ("%s sees that %s has changed, in the reply to %d, before the event"):format(self.who,
        path, reply.xid)
    end
  end
end

local function register(self, reply, operation)
  local kind, code = operation.kind, reply.code
  if kind == "add_watch" and not code then
    set(self, operation.path, operation.recursive and RECURSIVE or PERSISTENT, reply.zxid)
  elseif operation.watch and not code then
    set(self, operation.path, kind == "children" and CHILD or DATA, reply.zxid,
      kind == "exists" and reply.a or reply.b)
  elseif operation.watch and kind == "exists" and code == "NONODE" then
    set(self, operation.path, EXIST, reply.zxid, false)
  end
end

function Watcher:reply(reply)
  local operation = self.operations[reply.xid]
  if not reply.zxid then
    return
  end
  for _, watch in pairs(self.watches) do
    if not watch.sure then
      aim(self, watch, reply.zxid)
    elseif watch.due and watch.due.zxid <= reply.zxid then
      return ("%s has a reply as of zxid %d, before the event that %s"):format(self.who, reply.zxid,
        told(watch.due))
    end
  end
  local wrong = check_shown(self, reply, operation)
  register(self, reply, operation)
  return wrong
end

-- Events -------------------------------------------------------------------------

local function equals(change, event)
  return change and change.zxid == event.zxid and change.type == event.type
    and change.path == event.path
end

local function find(changes, event)
  local at = behind(changes, event.zxid - 1)
  while changes[at] and changes[at].zxid == event.zxid do
    if equals(changes[at], event) then
      return at
    end
    at = at + 1
  end
end

-- One watch of those that an event is for.
local function reach(self, watch, event)
  if watch.sure and event.zxid and not equals(watch.due, event) then
    return ("%s is told that %s, and that %s is due"):format(self.who, told(event),
      watch.due and told(watch.due) or "nothing")
  elseif watch.kind < PERSISTENT then
    self.watches[watch.kind .. watch.path] = nil
  elseif event.zxid then
    local at = watch.sure and watch.at or find(self.changes, event)
    watch.due, watch.at = next_change(self.changes, watch, at + 1)
    watch.sure = true
  end
end

-- A server has our lasting watches again, and does not say what they have missed.
local function gap(self, event)
  for _, kind in ipairs({ DATA, EXIST, CHILD }) do
    if has(event.kinds, kind) then
      self.watches[kind .. event.path] = nil
    end
  end
end

function Watcher:watch(event)
  if event.type == "gap" then
    return gap(self, event)
  elseif event.zxid and not find(self.changes, event) then
    return ("%s is told that %s, which never was"):format(self.who, told(event))
  end
  local reached = 0 -- kinds
  for _, watch in pairs(self.watches) do
    if concerns(watch, event) and has(event.kinds, watch.kind) then
      reached = has(reached, watch.kind) and reached or reached + watch.kind
      local wrong = reach(self, watch, event)
      if wrong then
        return wrong
      end
    end
  end
  if reached ~= event.kinds then
    return ("%s is told that %s was %s for watches %d, and has %d of them"):format(self.who,
      event.path, event.type, event.kinds, reached)
  end
end

-- The rest -----------------------------------------------------------------------

function Watcher:submit(entry)
  self.operations[entry.xid] = entry.operation
end

function Watcher:state(entry)
  if entry.state ~= "connected" then
    for _, watch in pairs(self.watches) do
      watch.sure = false
    end
  end
end

function Watcher:unwatch(entry)
  local watch = self.watches[entry.watch .. entry.path]
  if watch then
    watch.count = watch.count - 1
    if watch.count == 0 then
      self.watches[entry.watch .. entry.path] = nil
    end
  end
end

return function(list)
  local tree = answers.replay(list)
  if not tree then
    return nil -- without its word nothing is known; the rule of answers has complained
  end
  local clients, names = histories.clients(list)
  for _, who in ipairs(names) do
    local watcher = setmetatable({
      who = who, changes = tree.changes, operations = {}, watches = {},
    }, Watcher)
    for _, entry in ipairs(clients[who]) do
      local take = Watcher[entry.kind]
      local wrong = take and take(watcher, entry)
      if wrong then
        return wrong
      end
    end
  end
end
