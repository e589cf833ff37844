--- A subtree in memory, always the newest known: one recursive watch says which node changed,
--- one request reads all that changed meanwhile, and after a gap all is read anew and compared,
--- so that whoever listens to the changes never meets a gap.
---
--- Paths are relative to the cached node, which is "/".
local follow = require "zklua.follow"
local handlers = require "zklua.handlers"
local nodes = require "zklua.nodes"
local options_of = require "zklua.options"
local watch = require "zklua.watch"

local M = {}

local OPTIONS = options_of.set()
local SHOWN = { stale = true, revision = true }

--- Nodes in a cache; more end it with LIMIT.
local NODES_MAX = 1000000
--- Changes a listener may be behind; then it gets a snapshot instead.
local BEHIND_MAX = 10000
local BATCH_MAX = 200 -- nodes read by one request

local function parent_of(path)
  if path == "/" then
    return nil
  end
  return path:match("^(/.+)/[^/]*$") or "/"
end

local function join(path, name)
  return path == "/" and "/" .. name or path .. "/" .. name
end

-- The path in the client's view.
local function outside(cache, path)
  if cache.path == "/" then
    return path
  end
  return path == "/" and cache.path or cache.path .. path
end

-- The path within the cache of one in the client's view.
local function inside(cache, path)
  if cache.path == "/" then
    return path
  end
  return path == cache.path and "/" or path:sub(#cache.path + 1)
end

-- The tree -------------------------------------------------------------------

-- All nodes sorted by path; the same table until something changes.
local function list(cache)
  if not cache.listed then
    cache.listed = {}
    for path, node in pairs(cache.nodes) do
      local name = path:match("[^/]*$")
      cache.listed[#cache.listed + 1] = {
        path = path, name = name, data = node.data, stat = node.stat,
      }
    end
    table.sort(cache.listed, function(a, b)
      return a.path < b.path
    end)
  end
  return cache.listed
end

local function tell(cache, type, path, node)
  cache.touched, cache.listed = true, nil
  for queue in cache.listeners:each() do
    if queue:size() >= BEHIND_MAX then
      queue:clear()
      queue:push({ type = "snapshot", path = "/", nodes = list(cache) })
    else
      queue:push({ type = type, path = path, data = node.data, stat = node.stat })
    end
  end
end

local function link(cache, path, present)
  local parent = parent_of(path)
  local above = parent and cache.nodes[parent]
  if above then
    above.children[path:match("[^/]*$")] = present
    above.names = nil
  end
end

local function put(cache, path, data, stat)
  local node = cache.nodes[path]
  if node then
    if node.stat.mzxid == stat.mzxid and node.stat.aversion == stat.aversion then
      node.stat = stat -- only its children differ, and they speak for themselves
      return true
    end
    node.data, node.stat = data, stat
    tell(cache, "changed", path, node)
    return true
  elseif cache.count == NODES_MAX then
    return nil, ("LIMIT: more than %d nodes (cache %s)"):format(NODES_MAX, cache.path), "LIMIT"
  end
  node = { data = data, stat = stat, children = {} }
  cache.nodes[path] = node
  cache.count = cache.count + 1
  link(cache, path, true)
  tell(cache, "added", path, node)
  return true
end

-- Takes a node off, what is below it first.
local function remove(cache, path)
  local node = cache.nodes[path]
  if not node then
    return
  end
  local names = {}
  for name in pairs(node.children) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    remove(cache, join(path, name))
  end
  cache.nodes[path] = nil
  cache.count = cache.count - 1
  link(cache, path, nil)
  tell(cache, "removed", path, node)
end

-- Reading --------------------------------------------------------------------

-- Reads `paths`, parents first, into the tree. With `found` it asks for children too and adds
-- their paths there. True, or nil, message, CODE.
local function read(cache, paths, found)
  for first = 1, #paths, BATCH_MAX do
    local list = {}
    for i = first, math.min(first + BATCH_MAX - 1, #paths) do
      list[#list + 1] = { "get", outside(cache, paths[i]) }
      if found then
        list[#list + 1] = { "children", outside(cache, paths[i]) }
      end
    end
    local results, message, code = cache.client:read_many(list, follow.patient())
    if not results then
      return nil, message, code
    end
    local step = found and 2 or 1
    for i = 1, #results, step do
      local path, result = paths[first + (i - 1) / step], results[i]
      local ok
      if result.data then
        ok, message, code = put(cache, path, result.data, result.stat)
        for _, name in ipairs(ok and found and results[i + 1].children or {}) do
          found[#found + 1] = join(path, name)
        end
      elseif result.code == "NONODE" then
        remove(cache, path)
        ok = true
      else
        ok, message, code = nodes.failed(result.code, nil, "cache", path)
      end
      if not ok then
        return nil, message, code
      end
    end
  end
  return true
end

-- Reads everything; what is no longer found is taken off.
local function read_all(cache)
  local seen, level = {}, { "/" }
  while level[1] do
    local below = {}
    local ok, message, code = read(cache, level, below)
    if not ok then
      return nil, message, code
    end
    for _, path in ipairs(level) do
      seen[path] = true
    end
    level = below
  end
  local gone = {}
  for path in pairs(cache.nodes) do
    if not seen[path] then
      gone[#gone + 1] = path
    end
  end
  table.sort(gone)
  for _, path in ipairs(gone) do
    remove(cache, path)
  end
  return true
end

-- What the events that wait are about: sorted paths, or nil for everything.
local function take_dirty(cache, event)
  local set, paths, all = {}, {}, false
  local queue = cache.queue
  while event do
    if event.type == "gap" then
      all = true
    else
      set[inside(cache, event.path)] = true
    end
    event = queue:size() > 0 and cache:next_event() or nil
  end
  if all then
    return nil
  end
  for path in pairs(set) do
    paths[#paths + 1] = path
  end
  table.sort(paths)
  return paths
end

local function changed(cache)
  cache:refreshed()
  if cache.touched or not cache.loaded then
    cache.touched, cache.loaded = false, true
    cache:announce()
  end
end

local function work(cache)
  local ok, message, code
  repeat
    ok, message, code = watch.listen(cache.queue, cache.client, cache.path, follow.patient())
  until ok or not follow.PASSING[code] or cache.ended
  if ok then
    ok, message, code = read_all(cache)
  end
  while not cache.ended do
    if ok then
      changed(cache)
    elseif not follow.PASSING[code] then
      return cache:finish(message, code)
    end
    local event = cache:next_event()
    if not event then
      return
    end
    local dirty = take_dirty(cache, event)
    if dirty then
      ok, message, code = read(cache, dirty)
    else
      ok, message, code = read_all(cache)
    end
  end
end

-- The handle -----------------------------------------------------------------

local Cache = { age = follow.methods.age, close = follow.methods.close }

--- Data and stat from memory; nil for an absent node.
function Cache:get(path)
  local node = self._state.nodes[path]
  if node then
    return node.data, node.stat
  end
end

--- Sorted names from memory; nil for an absent node. The table is the cache's own.
function Cache:children(path)
  local node = self._state.nodes[path]
  if not node then
    return nil
  end
  if not node.names then
    node.names = {}
    for name in pairs(node.children) do
      node.names[#node.names + 1] = name
    end
    table.sort(node.names)
  end
  return node.names
end

--- All nodes sorted by path, { path, name, data, stat }: the same table until `revision` changes.
function Cache:list()
  return list(self._state)
end

--- for path, node in cache:pairs(): as it was when the loop began.
function Cache:pairs()
  local all, i = list(self._state), 0
  return function()
    i = i + 1
    if all[i] then
      return all[i].path, all[i]
    end
  end
end

--- Waits until the subtree has been read once.
function Cache:ready(timeout)
  local cache = self._state
  local deadline = cache.runtime:deadline(timeout)
  while not cache.loaded do
    local ok, message, code = cache:wait_change(cache.revision, deadline, self)
    if not ok then
      return nil, message, code
    end
  end
  return true
end

local Changes = {}
Changes.__index = Changes

--- The next change; calling the stream does the same. A snapshot holds `nodes`, as list() does.
function Changes:next(timeout)
  local queue = self._queue
  return queue:next(queue.runtime:deadline(timeout), "the changes of a cache", self)
end

function Changes.__call(self)
  return (self:next())
end

function Changes:close()
  local queue = self._queue
  self._off()
  queue.closed = true
  queue:clear()
  queue.event:set()
end
Changes.__close = Changes.close

--- A stream: "snapshot", then "added", "changed", "removed", in order; never a gap.
function Cache:changes()
  local cache = self._state
  local queue = watch.new_queue(cache.runtime)
  if cache.ended then
    queue.closed = true
  end
  queue:push({ type = "snapshot", path = "/", nodes = list(cache) })
  local stream = setmetatable({ _queue = queue, _cache = cache, _handle = self }, Changes)
  stream._off = cache.listeners:add(queue) -- one that has ended tells nobody
  return stream, nil, nil, stream
end

-- Listeners hear of the end behind the last change.
local function end_listeners(cache)
  for queue in cache.listeners:each() do
    queue:push({ type = "closed", path = "/", code = cache.ended[2] })
    queue.closed = true
  end
  cache.listeners = handlers.new()
end

--- c:cache(path, options). Does not wait: `ready` does.
function M.open(client, path, options)
  if options ~= nil then
    options_of.check(options, OPTIONS)
  end
  local cache = follow.new(client, path, true, "cache")
  cache.nodes, cache.count, cache.on_finish = {}, 0, end_listeners
  cache.listeners = handlers.new()
  cache:start(work)
  return follow.handle(cache, client, Cache, SHOWN)
end

return M
