--- An ephemeral node that heals: there for as long as its owner wants it, over all of its sessions.
---
--- Guarantees: after an expiry the node is made again on the client's new session, with the data
--- last set; one that an older session of this client has left behind is replaced; it is not left
--- behind by `close`. Does not guarantee presence at any moment: between an expiry and the new
--- session it is not there, and others see it go.
---
--- Errors of the first creation are the caller's: NODEEXISTS (another client's node has the name),
--- NOAUTH. Later ones are tried again; a node of another client in our place is waited out.
--- Connection loss: goes on. Cancellation of the first creation: nothing is left. A node that
--- somebody deletes is made again.
---
--- The node is looked after for as long as there is the client, whether or not anybody has what
--- was handed out. A client that was dropped can end: what looks after the node has no hold on it.
local arguments = require "zklua.arguments"
local own = require "zklua.own"

local RETRY = 1 -- seconds between attempts that the server refuses

local Member = {}
Member.__index = Member

local M = {}

-- The node is there and ours: true. nil, message, code otherwise. Asks for nothing any more once
-- it is closed: the sweep of `close` goes behind all that was asked before, and ahead of the rest.
local function make(self, deadline)
  local client, path = self._client, self._path
  local life = client:lifetime()
  local limit = { deadline = deadline }
  while not self._closed do
    local made, stat, code =
      client:create(path, self._data, { ephemeral = true, deadline = deadline })
    if made then
      self._owners[stat.ephemeral_owner] = true
      return true
    end
    local message = stat
    if code == "NODEEXISTS" then
      stat, message, code = client:exists(path, limit)
      if stat and stat.ephemeral_owner == life.id then
        return true -- made by a create whose reply was lost
      elseif stat and self._owners[stat.ephemeral_owner or ""] then
        made, message, code = client:delete(path, { version = stat.version, deadline = deadline })
      elseif stat then
        return nil, ("NODEEXISTS: %s is another's"):format(path), "NODEEXISTS"
      end
    elseif code == "NONODE" then
      made, message, code = own.ensure(client, path:match("^(.+)/[^/]+$") or "/", deadline)
    end
    self._owners[life.id or ""] = true -- the create may have happened
    if code and code ~= "NONODE" and code ~= "BADVERSION" and not own.PASSING[code] then
      return nil, message, code
    elseif own.PASSING[code] then
      made, message, code = own.pause(client)
      if not made then
        return nil, message, code
      end
    end
  end
  return nil, ("CLOSED: the member %s was closed"):format(path), "CLOSED"
end

-- How long to leave it after a failure. An expiry is no refusal: a new session comes, and everybody
-- sees us gone until then.
local function pause(client, code)
  if client:lifetime().alive then
    client.runtime:sleep((own.PASSING[code] or code == "SESSIONEXPIRED") and 0.05 or RETRY)
  end
end

-- Looks after every change of the node and of the session, and makes it again.
local function keep(self)
  local client, wake = self._client, self._wake
  local read = { watch = wake, deadline = arguments.deadline(client) }
  while not self._closed do
    local stat, _, code = client:exists(self._path, read)
    if self._closed then
      break
    elseif stat and stat.ephemeral_owner == client:lifetime().id then
      wake:wait()
    elseif code and code ~= "NONODE" then
      if not client:lifetime().alive then
        return -- on_expire = "stop", or the client was closed
      end
      pause(client, code)
    else
      client:unwatch(self._path, nil, wake)
      local made
      made, _, code = make(self, arguments.deadline(client))
      if not made then
        pause(client, code)
      end
    end
  end
  client:unwatch(self._path, nil, wake) -- its own, or of a look that was under way
end

-- Deletes the node if it is ours, once nothing makes it any more.
local function sweep(self, client)
  local life = client:lifetime()
  local parent, name = self._path:match("^(.*)/([^/]+)$")
  return own.remove(client, { parent = parent == "" and "/" or parent, id = name, name = name,
    path = self._path, life = life, unsure = false, owned = true })
end

---@param options { timeout: number|nil }|nil  of the first creation
---@return zklua.Member|nil, string|nil message, string|nil code
function M.new(client, path, data, options)
  arguments.path(path)
  arguments.string(data, "data")
  local state = { _client = client._class.new(client._session, client.prefix), _path = path,
    _data = data, _owners = {}, _wake = client.runtime:event() }
  local ok, message, code = make(state, arguments.deadline(client, options))
  if not ok then
    sweep(state, client)
    return nil, message, code
  end
  client.runtime:daemon(keep, state)
  return setmetatable({ _state = state, _client = client }, Member)
end

--- Changes the data, now and for every healing. Never writes to another client's node.
---@return true|nil, string|nil message, string|nil code
function Member:set(data)
  arguments.string(data, "data")
  local state = self._state
  state._data = data
  local client, path = self._client, state._path
  while true do
    local stat, message, code = client:exists(path)
    if stat == false or stat and stat.ephemeral_owner ~= client:lifetime().id then
      return true -- is being healed, with the new data
    elseif stat then
      stat, message, code = client:set(path, state._data, { version = stat.version })
    end
    if stat or code == "NONODE" then
      return true
    elseif own.PASSING[code] then -- the data is the same however often it is written
      local ok, why, what = own.pause(client)
      if not ok then
        return nil, why, what
      end
    elseif code ~= "BADVERSION" then
      return nil, message, code
    end
  end
end

--- Takes the node away and heals it no more.
---@return true|nil, string|nil message, string|nil code
function Member:close()
  local state = self._state
  if state._closed then
    return true
  end
  state._closed = true
  state._wake:set()
  return sweep(state, self._client)
end

return M
