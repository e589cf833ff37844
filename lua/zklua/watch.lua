--- Streams: what happens to a node, or to all below it, in the order in which it happened.
---
--- The stream that the user holds is only a handle; the queue behind it hangs on the session. So
--- a handle that is dropped closes its queue when it is collected.
local finalizer = require "zklua.finalizer"
local nodes = require "zklua.nodes"
local options_of = require "zklua.options"
local watches = require "zklua.watches"
local wrong = require "zklua.wrong"

local M = {}

--- Events a stream keeps for a slow reader; more become one gap.
local QUEUE_MAX = 10000

local OPTIONS = options_of.set({ recursive = "boolean", data = "boolean", children = "boolean" })

-- The queue ------------------------------------------------------------------

local Queue = {}
Queue.__index = Queue

local function new_queue(runtime)
  return setmetatable({
    runtime = runtime, items = {}, head = 1, tail = 1, event = runtime:event(), closed = false,
    waits = {}, -- a wait for the next item -> the handle that it is in
  }, Queue)
end
M.new_queue = new_queue

function Queue:push(item)
  self.items[self.tail] = item
  self.tail = self.tail + 1
  self.event:set()
end

function Queue:size()
  return self.tail - self.head
end

function Queue:clear()
  self.items, self.head, self.tail = {}, 1, 1
end

-- Parks until something has come, or the end. True, or nil, message, CODE.
local function await(queue, deadline, what)
  while queue.head == queue.tail do
    if queue.closed then
      return nil, "CLOSED: " .. what .. " was closed", "CLOSED"
    end
    local woken, message, code = queue.event:wait_until(deadline)
    if woken == nil then
      return nil, message, code
    elseif not woken and queue.head == queue.tail then
      return nil, "TIMEOUT: nothing happened in time (" .. what .. ")", "TIMEOUT"
    end
  end
  return true
end

--- The next item; nil, message, CODE. `handle` is not collected meanwhile: who waits in it has not
--- dropped it.
function Queue:next(deadline, what, handle)
  local wait = {}
  self.waits[wait] = handle
  local ok, message, code = await(self, deadline, what)
  self.waits[wait] = nil
  if not ok then
    return nil, message, code
  end
  local item = self.items[self.head]
  self.items[self.head] = nil
  self.head = self.head + 1
  return item
end

-- Filled by the session ------------------------------------------------------

local DATA_TYPES = { created = true, changed = true, deleted = true }

-- Takes an event of the session, paths within the chroot.
function Queue:receive(event)
  if self.closed then
    return
  end
  local kind = event.type
  if DATA_TYPES[kind] and self.without_data or kind == "children" and self.without_children then
    return
  end
  local item = { type = kind, zxid = event.zxid, code = event.code }
  item.path = watches.relative(event.path, self.prefix)
  if kind == "closed" then
    self.closed = true
    self.listening = false
  elseif self:size() >= QUEUE_MAX then
    self:clear()
    item = { type = "gap", path = watches.relative(self.path, self.prefix) }
  end
  self:push(item)
end

local function stop_listening(queue)
  if queue.listening then
    queue.listening = false
    queue.session.watches:unlisten(queue.path, queue.recursive, queue)
  end
end

-- The handle -----------------------------------------------------------------

local Stream = {}
Stream.__index = Stream

--- The next event; calling the stream does the same. After `closed` comes nothing.
function Stream:next(timeout)
  local queue = self._queue
  return queue:next(queue.runtime:deadline(timeout), "the stream of " .. self.path, self)
end

function Stream.__call(self)
  return (self:next())
end

local function close(stream)
  if stream._off then
    stream._off()
    stream._off = nil
  end
  local queue = stream._queue
  if not queue.closed then
    queue.closed = true
    queue:clear()
    queue.event:set()
  end
  stop_listening(queue)
end

function Stream:close()
  close(self)
end

Stream.__close = close

local function finish(stream, ok, ...)
  close(stream)
  if not ok then
    error((...), 0)
  end
  return ...
end

local function each(stream, fn)
  while true do
    local event, message, code = stream:next()
    if not event then
      return nil, message, code
    end
    local results = { fn(event) }
    if results[1] ~= nil then
      return (table.unpack or unpack)(results) -- luacheck: ignore
    end
  end
end

--- Calls fn(event) until it returns something other than nil; closes the stream on every way out.
function Stream:each(fn)
  if type(fn) ~= "function" then
    wrong("fn must be a function, not a " .. type(fn))
  end
  return finish(self, pcall(each, self, fn))
end

--- The stream outlives the task that opened it.
function Stream:detach()
  if self._off then
    self._off()
    self._off = nil
  end
  return self
end

--- Sets the persistent watch for `queue`, which has session, path, recursive. Asks again when the
--- connection is lost. True, or nil, message, CODE.
function M.listen(queue, client, path, options)
  local function answer(link, deadline, fail_fast)
    return link:add_watch(queue.path, queue.recursive, deadline, fail_fast)
  end
  -- The listener must be there before the event that follows the answer is looked at.
  local watcher = { op = "watch", queue = queue }
  return nodes.ask(client, "watch", path, options, OPTIONS, true, answer, watcher)
end

--- c:watch(path, options).
function M.open(client, path, options)
  if options ~= nil then
    options_of.check(options, OPTIONS)
  end
  local given = options or {}
  if given.recursive and given.children then
    wrong("children does not go with recursive: there children report themselves")
  end
  local session = client._session
  local queue = new_queue(session.runtime)
  queue.session, queue.prefix = session, client.prefix
  queue.path = nodes.full_path(client, path)
  queue.recursive = given.recursive or false
  queue.without_data = given.data == false
  queue.without_children = given.children == false
  local call = {}
  for _, name in ipairs({ "timeout", "deadline", "fail_fast" }) do
    call[name] = given[name]
  end
  local ok, message, code = M.listen(queue, client, path, call)
  if not ok then
    return nil, message, code
  end
  local stream = setmetatable({ path = path, _queue = queue, _client = client }, Stream)
  stream._guard = finalizer(function()
    queue.closed = true
    stop_listening(queue)
  end)
  local task = session.runtime:current()
  if task and task ~= session.runtime.main then
    -- Weak: the task's list must not keep a stream that was dropped.
    local weak = setmetatable({ stream }, { __mode = "v" })
    stream._off = task:on_end(function()
      if weak[1] then
        weak[1]._off = nil
        close(weak[1])
      end
    end)
  end
  return stream, nil, nil, stream
end

M.stop_listening = stop_listening

return M
