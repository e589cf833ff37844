--- Who works on which item of a queue, and the item itself while it is worked on.
---
--- A claim is an ephemeral node with the name of the item. The name is not unique in time: when a
--- claim has gone another may make one like it. So each carries a proof of its own as its data,
--- which answers a lost reply; and each worker has a unique ephemeral beside the claims, which
--- lives exactly as long as its claims can, and which guarded writes check together with the claim.
local arguments = require "zklua.arguments"
local Held = require "zklua.holder"
local own = require "zklua.own"

local Claims = {}
Claims.__index = Claims
local Item = {} -- of a lease: a Held
local Taken = {} -- of `lease = false`: gone from the queue already
Taken.__index = Taken

local M = {}
local item_meta = Held.extend(Item)

---@param lease boolean
---@param id string|nil  who we are to others
function M.new(client, path, lease, id)
  return setmetatable({
    _client = client,
    _items = path,
    _claims = path .. "-claims",
    _failed = path .. "-failed",
    _lease = lease,
    _id = arguments.identity(client, id),
    _count = 0,
  }, Claims)
end

-- Taking ------------------------------------------------------------------------------------------

-- Our node among the claims, on the present session.
local function worker_of(self, deadline)
  local worker = self._worker
  if worker and worker.life == self._client:lifetime() and worker.life.alive then
    return worker
  end
  local node, message, code = own.make(self._client, { parent = self._claims,
    id = "_c_" .. own.uuid(true) .. "-worker", suffix = "", sequential = false, data = self._id },
    deadline)
  self._worker = node
  return node, message, code
end

local function new_claim(self, worker, name)
  self._count = self._count + 1
  return { parent = self._claims, id = name, name = name, path = own.join(self._claims, name),
    life = worker.life, unsure = false, proof = ("%s %d"):format(worker.name, self._count) }
end

-- Whether `claim` is there and the one that we made; nil, message, code: not known.
local function is_ours(self, claim, deadline)
  local data, stat, code = self._client:get(claim.path, { fresh = true, deadline = deadline })
  if data then
    return data == claim.proof and stat.ephemeral_owner == claim.life.id
  elseif code == "NONODE" then
    return false
  end
  return nil, stat, code
end

-- The item under our claim: an Item; nil when it was done before we claimed it.
local function open_lease(self, worker, claim, deadline)
  local path = own.join(self._items, claim.name)
  local results, message, code = self._client:read_many(
    { { "get", path }, { "get", claim.path } }, { deadline = deadline })
  local read, mine = results and results[1], results and results[2]
  if not results or read.op == "error" or mine.op == "error" then
    own.sweep(self._client, claim)
    if read and read.op == "error" and read.code ~= "NONODE" then
      return nil, ("%s: item %s cannot be read"):format(read.code, path), read.code
    end
    return nil, message, code
  end
  claim.czxid = mine.stat.czxid
  local item = Held.new(self._client, claim, { what = "item " .. path, meta = item_meta,
    guards = { worker.path, claim.path }, unwatched = true })
  item.data, item.path, item._claims = read.data, path, self
  return item
end

-- Nothing is ever done on a later session: what we made there would not be ours to take away.
local function session_gone(self)
  self._worker = nil
  return nil, "SESSIONEXPIRED: the session ended while taking an item", "SESSIONEXPIRED"
end

-- Makes the claim: true, false (another was faster), or nil, message, code. Asks again for as
-- long as it is known that it did not happen.
local function make_claim(self, worker, claim, deadline)
  while true do
    if not claim.life.alive then
      return session_gone(self)
    end
    local done, message, code, index = self._client:transaction():check(worker.path)
      :create(claim.path, claim.proof, { ephemeral = true }):commit({ deadline = deadline })
    if done then
      return true
    elseif code == "NODEEXISTS" or code == "NONODE" and index == 2 then
      return false
    elseif code == "NONODE" then
      return session_gone(self)
    elseif own.MAYBE[code] then
      if own.PASSING[code] then
        done, message, code = is_ours(self, claim, deadline)
      end
      if done then
        return true
      elseif done == nil then
        own.sweep(self._client, claim)
        return nil, message, code
      end
    else
      return nil, message, code
    end
    done, message, code = own.pause(self._client)
    if not done then
      return nil, message, code
    end
  end
end

local function take_lease(self, worker, name, deadline)
  local claim = new_claim(self, worker, name)
  local done, message, code = make_claim(self, worker, claim, deadline)
  if done then
    return open_lease(self, worker, claim, deadline)
  end
  return nil, message, code
end

-- Deletes the item and makes the claim; true, false (another was faster) or nil, message, code.
-- Once it is on its way the answer is waited for, whatever the caller's deadline.
local function delete_and_claim(self, path, claim)
  local client, limit = self._client, { deadline = arguments.deadline(self._client) }
  while claim.life.alive do
    local done, message, code, index = client:transaction():delete(path)
      :create(claim.path, claim.proof, { ephemeral = true }):commit(limit)
    if done then
      return true
    elseif index == 1 and code == "NONODE" or code == "NODEEXISTS" then
      return false
    elseif code == "NONODE" then
      done, message, code = own.ensure(client, self._claims, limit.deadline)
      if not done then
        return nil, message, code
      end
    elseif own.PASSING[code] then
      own.pause(client)
      done, message, code = is_ours(self, claim, limit.deadline)
      if done or done == nil and not own.PASSING[code] then
        return done, message, code
      end
    else
      return nil, message, code
    end
  end
  return session_gone(self)
end

local function take_for_good(self, worker, name, deadline)
  local client, path = self._client, own.join(self._items, name)
  local data, message, code = client:get(path, { deadline = deadline })
  if not data then
    return nil, message, code ~= "NONODE" and code or nil
  end
  local claim = new_claim(self, worker, name)
  local done, why, what = client.runtime:shield(delete_and_claim, self, path, claim)
  if not done then
    return nil, why, what
  end
  own.sweep(client, claim)
  return setmetatable({ data = data, path = path, _claims = self }, Taken)
end

--- Takes the item `name`; nil without a code when another was faster.
function Claims:take(name, deadline)
  local worker, message, code = worker_of(self, deadline)
  if not worker then
    return nil, message, code
  end
  return (self._lease and take_lease or take_for_good)(self, worker, name, deadline)
end

-- The item ----------------------------------------------------------------------------------------

local function add_failed(self, transaction, item, reason)
  local path = own.join(self._failed, item.path:match("[^/]+$"))
  return transaction:create(path, item.data):create(path .. "/reason", reason)
end

-- Takes item and claim away in one transaction with what `more` adds, through lost replies.
local function finish(item, more)
  local client, claims = item._client, item._claims
  local limit = { deadline = arguments.deadline(client) }
  while true do
    local transaction = item:transaction()
    transaction:delete(item._node.path):delete(item.path)
    if more then
      more(transaction)
    end
    local done, message, code, index = transaction:commit(limit)
    if own.PASSING[code] then
      done, message, code = own.pause(client)
      if done and client:sync(item.path, limit) and client:exists(item.path, limit) == false
        and client:lifetime() == item._node.life then
        item:_end() -- our claim has kept it from everybody else: it went in our transaction
        return true
      end
    elseif done then
      item:_end()
      return true
    elseif code == "NONODE" and index == 2 then
      return item:release() -- somebody has deleted the item itself
    elseif code == "NONODE" then
      done, message, code = own.ensure(client, claims._failed, limit.deadline)
    end
    if code then
      return nil, message, code
    end
  end
end

--- Done with it: gone from the queue.
---@return true|nil, string|nil message, string|nil code
function Item:done()
  return finish(self)
end

--- Gives it back, to its place in the queue.
---@return true|nil, string|nil message, string|nil code
function Item:retry()
  if self._over == "lost" then
    return nil, self.lost.reason, "LOST"
  end
  return self:release()
end

--- Moves it to `PATH-failed`, with the reason as a child of it.
---@return true|nil, string|nil message, string|nil code
function Item:fail(reason)
  if type(reason) ~= "string" then
    error("reason must be a string, not a " .. type(reason), 2)
  end
  return finish(self, function(transaction)
    add_failed(self._claims, transaction, self, reason)
  end)
end

function Taken.done()
  return true
end

--- Puts it back at the end of the queue: its place is taken.
function Taken:retry()
  local claims = self._claims
  local path, message, code = claims._client:create(own.join(claims._items, "qn-"), self.data,
    { sequential = true })
  return path and true, message, code
end

function Taken:fail(reason)
  if type(reason) ~= "string" then
    error("reason must be a string, not a " .. type(reason), 2)
  end
  local claims, client = self._claims, self._claims._client
  local ok, message, code = own.ensure(client, claims._failed, arguments.deadline(client))
  if ok then
    ok, message, code = add_failed(claims, client:transaction(), self, reason):commit()
  end
  return ok and true, message, code
end

return M
