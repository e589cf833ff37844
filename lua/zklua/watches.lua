--- Who waits for which change: one-shot watchers by kind and path, and listeners of persistent
--- watches. It survives the session; a new one arms the persistent watches again and tells the
--- one-shot watchers that something may have changed.
---
--- Kinds are the core's: 1 data, 2 exist, 4 child, 8 persistent, 16 recursive.
local Watches = {}
Watches.__index = Watches

local M = {}

local DATA, EXIST, CHILD, PERSISTENT, RECURSIVE = 1, 2, 4, 8, 16
local ONE_SHOT = { DATA, EXIST, CHILD }
local NAMES = { data = DATA, exist = EXIST, child = CHILD }

function M.new(session)
  return setmetatable({
    session = session,
    runtime = session.runtime,
    [DATA] = {}, -- path -> list of watchers
    [EXIST] = {},
    [CHILD] = {},
    [PERSISTENT] = {}, -- path -> list of listeners
    [RECURSIVE] = {},
    arming = {}, -- listener -> the session that is to set its watch again, until it answers
  }, Watches)
end

local function has(kinds, kind)
  return kinds % (2 * kind) >= kind
end

local function relative(path, prefix)
  if not prefix then
    return path
  end
  return path == prefix and "/" or path:sub(#prefix + 1)
end

local function append(lists, path, item)
  local list = lists[path]
  if list then
    list[#list + 1] = item
  else
    lists[path] = { item }
  end
end

-- Takes off the first item that `matches`; true if there was one.
local function take(lists, path, matches)
  local list = lists[path]
  for i, item in ipairs(list or {}) do
    if matches(item) then
      table.remove(list, i)
      if #list == 0 then
        lists[path] = nil
      end
      return true
    end
  end
  return false
end

-- One-shot watchers ----------------------------------------------------------

--- What a read hands over: told when its reply is there, since only that says which kind of
--- watch the server keeps. `target` is an event or a function.
function M.watcher(op, path, prefix, target)
  return { op = op, path = path, prefix = prefix, target = target }
end

function Watches:armed(watcher, code)
  local kind
  local queue = watcher.queue
  if queue then
    if not code then
      queue.listening = true
      self:listen(queue.path, queue.recursive, queue)
      if queue.closed then -- meanwhile: a cache is there before its watch is
        queue.listening = false
        self:unlisten(queue.path, queue.recursive, queue)
      end
    end
    return
  end
  if watcher.op == "children" then
    kind = not code and CHILD
  elseif not code then
    kind = DATA
  elseif watcher.op == "exists" and code == "NONODE" then
    kind = EXIST
  end
  if kind then
    append(self[kind], watcher.path, watcher)
  end
end

local function call(self, watcher, event)
  local target = watcher.target
  if type(target) == "function" then
    local copy = { type = event.type, zxid = event.zxid, code = event.code }
    copy.path = relative(event.path, watcher.prefix)
    self.runtime:spawn(target, copy)
  else
    target:set()
  end
end

--- Takes a watcher off again. `kind`: its bit or name, nil for whichever it is.
function Watches:remove(path, kind, target)
  kind = NAMES[kind] or kind
  for _, one in ipairs(kind and { kind } or ONE_SHOT) do
    local found = take(self[one], path, function(watcher)
      return watcher.target == target
    end)
    if found then
      self.session.life.core:unwatch(path, one)
      self.session.life.driver:poke()
      return true
    end
  end
  return false
end

-- Persistent watches ---------------------------------------------------------

--- Listens with `listener:receive(event)`, which must not wait, on a persistent watch that the
--- server has confirmed. event.path is within the chroot.
function Watches:listen(path, recursive, listener)
  append(self[recursive and RECURSIVE or PERSISTENT], path, listener)
end

function Watches:unlisten(path, recursive, listener)
  local kind = recursive and RECURSIVE or PERSISTENT
  local life = self.session.life
  local found = take(self[kind], path, function(other)
    return other == listener
  end)
  if found and life.alive and not self.arming[listener] then
    life.core:unwatch(path, kind)
    life.driver:poke()
  end
end

function Watches:tell(listeners, event)
  for _, listener in ipairs(listeners or {}) do
    listener:receive(event)
  end
end

local function parent_of(path)
  if path == "/" then
    return nil
  end
  local parent = path:match("^(/.+)/[^/]*$")
  return parent or "/"
end

-- Paths in an order that does not follow from where strings lie in memory.
local function sorted_paths(lists)
  local paths = {}
  for path in pairs(lists) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  return paths
end

-- News -----------------------------------------------------------------------

--- An event of the core.
function Watches:fire(life, type, path, kinds, zxid)
  if life ~= self.session.life then
    return -- of a session that has been replaced: its watchers were told
  end
  local event = { type = type, path = path, zxid = zxid }
  for _, kind in ipairs(ONE_SHOT) do
    local list = has(kinds, kind) and self[kind][path]
    if list then
      self[kind][path] = nil
      for _, watcher in ipairs(list) do
        call(self, watcher, event)
      end
    end
  end
  if has(kinds, PERSISTENT) then
    self:tell(self[PERSISTENT][path], event)
  end
  if has(kinds, RECURSIVE) then
    local above = path
    repeat
      self:tell(self[RECURSIVE][above], event)
      above = type ~= "gap" and parent_of(above)
    until not above
  end
end

local function fire_one_shots(self, fields)
  for _, kind in ipairs(ONE_SHOT) do
    local lists = self[kind]
    self[kind] = {}
    for _, path in ipairs(sorted_paths(lists)) do
      for _, watcher in ipairs(lists[path]) do
        call(self, watcher, { type = fields.type, code = fields.code, path = path })
      end
    end
  end
end

local function listens(self, kind, path, listener)
  for _, other in ipairs(self[kind][path] or {}) do
    if other == listener then
      return true
    end
  end
  return false
end

-- Sets one persistent watch on the present session; `listener` hears a gap when it is set. One that
-- stops listening meanwhile has its watch taken off when it is there: before that there is nothing
-- to take, or only what others have on the same path.
local function listen_again(self, kind, path, listener)
  local life = self.session.life
  local xid, refusal = life.core:add_watch(path, kind == RECURSIVE)
  self.arming[listener] = life
  local function answer(code)
    if self.arming[listener] ~= life then
      return -- another session is to do it
    end
    self.arming[listener] = nil
    if not listens(self, kind, path, listener) then
      if not code then
        life.core:unwatch(path, kind)
        life.driver:poke()
      end
    elseif not code then
      listener:receive({ type = "gap", path = path })
    elseif code == "CONNECTIONLOSS" then
      listen_again(self, kind, path, listener)
    else
      take(self[kind], path, function(other)
        return other == listener
      end)
      listener:receive({ type = "closed", path = path, code = code })
    end
  end
  if xid then
    life:on_reply(xid, answer)
  else
    answer(refusal)
  end
end

--- The client has a new session.
function Watches:renewed()
  fire_one_shots(self, { type = "gap" })
  for _, kind in ipairs({ PERSISTENT, RECURSIVE }) do
    local lists = self[kind]
    for _, path in ipairs(sorted_paths(lists)) do
      for _, listener in ipairs({ (table.unpack or unpack)(lists[path] or {}) }) do -- luacheck: ignore
        listen_again(self, kind, path, listener)
      end
    end
  end
end

--- There will be no session any more.
function Watches:ended(code)
  fire_one_shots(self, { type = "closed", code = code })
  for _, kind in ipairs({ PERSISTENT, RECURSIVE }) do
    local lists = self[kind]
    self[kind] = {}
    for _, path in ipairs(sorted_paths(lists)) do
      self:tell(lists[path], { type = "closed", path = path, code = code })
    end
  end
end

M.relative = relative

return M
