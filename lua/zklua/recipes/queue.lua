--- First in, first out, any number of producers and consumers.
---
--- An item is a persistent sequential node `PATH/qn-SEQ` (the shape of ZooKeeper's own recipe and
--- of Curator's SimpleDistributedQueue). Taking one makes an ephemeral claim of the same name in
--- `PATH-claims`, so that both modes, and a consumer of each, can work on one queue.
---
--- Lease (default): the item stays until `item:done()`; its claim goes with the worker's session,
--- and then another takes it. At least once: handling must bear a repetition. `lease = false`: the
--- claim is made in the transaction that deletes the item. At most once.
---
--- Guarantees: no item is lost or taken by two at a time; taken in order of creation (completion
--- is the consumers' affair; an item given back comes again with the next reading of the list).
--- Errors: EMPTY, FULL, CLOSED, NOAUTH. `put` with its reply lost: CONNECTIONLOSS, may have been
--- added. `take` with its reply lost: looked into, nothing is lost. Cancelled or timed out it has
--- taken nothing. The limit is looked at before each `put`: producers at once can exceed it.
--- Nobody polls: an empty queue waits on watches, all consumers wake, spread over JITTER.
local arguments = require "zklua.arguments"
local claims = require "zklua.recipes.claim"
local own = require "zklua.own"
local supply = require "zklua.recipes.supply"

local Queue = {}
Queue.__index = Queue

local function new(client, path, options)
  arguments.path(path)
  options = arguments.options(options, { lease = "boolean", limit = "number", id = "string" })
  if path == "/" then error("path must not be \"/\"", 2) end
  return setmetatable({
    _client = client,
    _path = path,
    _limit = options.limit,
    _claims = claims.new(client, path, options.lease ~= false, options.id),
    _supply = supply.new(client, path, path .. "-claims"),
  }, Queue)
end

local function add(self, list, deadline)
  local client, limit = self._client, { deadline = deadline }
  while true do
    local stat = self._limit and client:exists(self._path, limit)
    if stat and stat.children_count + #list > self._limit then
      return nil, ("FULL: queue %s is at its limit of %d"):format(self._path, self._limit), "FULL"
    end
    local transaction = client:transaction()
    for _, data in ipairs(list) do
      transaction:create(own.join(self._path, "qn-"), data, { sequential = true })
    end
    local results, message, code = transaction:commit(limit)
    if code == "NONODE" then
      results, message, code = own.ensure(client, self._path, deadline)
    elseif results then
      local paths = {}
      for i, result in ipairs(results) do
        paths[i] = result.path
      end
      return paths
    end
    if not results then
      return nil, message, code
    end
  end
end

--- Adds an item at the end; its path.
function Queue:put(data, options)
  arguments.string(data, "data")
  local paths, message, code = add(self, { data }, arguments.call_deadline(self._client, options))
  return paths and paths[1], message, code
end

--- Adds all or none, in this order, in one transaction; their paths.
function Queue:put_all(list, options)
  arguments.strings(list, "list")
  return add(self, list, arguments.call_deadline(self._client, options))
end

--- Takes the oldest item that nobody works on, waiting at most `wait` seconds for one. To find out
--- what there is and to claim it takes as long as the server takes, at most the client's timeout.
function Queue:take(options)
  local client, deadline = self._client, arguments.deadline(self._client, options)
  local answered = math.max(deadline, client.runtime:now() + client._session.timeout)
  local visit = self._supply:visit()
  local item, message, code
  repeat
    local name
    name, message, code = visit:next(deadline, answered)
    if name then
      item, message, code = self._claims:take(name, answered)
    end
    if own.PASSING[code] or code == "SESSIONEXPIRED" and client:lifetime().alive then
      local ok, why, what = own.pause(client)
      message, code = not ok and why or nil, not ok and what or nil
    end
  until item or code
  visit:leave()
  if code == "TIMEOUT" and client.runtime:now() >= deadline then
    message, code = "EMPTY: " .. message, "EMPTY" -- no answer in time is nothing in time
  end
  return item, message, code
end

--- `for item in queue:items() do`; ends when this handle is closed or the task cancelled.
function Queue:items()
  return function()
    local item, message, code = self:take()
    if not item and code ~= "CLOSED" and code ~= "CANCELLED" then
      error(message, 2)
    end
    return item
  end
end

--- Wakes whoever takes from this handle with CLOSED; the queue and other handles go on.
function Queue:close()
  return self._supply:close()
end

return { new = new }
