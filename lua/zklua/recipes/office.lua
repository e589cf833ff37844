--- One node that whoever comes first creates: the static election's counterpart of line.lua.
---
--- The node has a fixed name, so it cannot prove whose it is; a second one with a unique name,
--- beside it, is made and goes in the same transaction. That one answers a lost reply and is what
--- guarded writes check.
---
--- Guarantees: one node at a time, made by one contender; no wake-up is missed. Does not guarantee
--- an order among those who wait: all watch the node and try when it goes, so a departure costs at
--- most two requests for each of them, spread over JITTER.
--- Connection loss, cancellation, loss: as for line.lua.
local arguments = require "zklua.arguments"
local own = require "zklua.own"

local JITTER = 0.02 -- seconds

local Office = {}
Office.__index = Office
local Place = {}
Place.__index = Place

---@param options { what: string, id: string|nil }
function Office.new(client, path, options)
  if path == "/" then
    error("path must not be \"/\"", 3)
  end
  return setmetatable({ path = path, what = options.what, _client = client,
    _data = arguments.identity(client, options.id) }, Office)
end

--- Who holds the office, false when nobody does. `watch` is set when that may have changed.
---@return zklua.Contender|false|nil, string|nil, string|nil
function Office:first(deadline, watch)
  local client, path = self._client, self.path
  local read = { deadline = deadline, watch = watch }
  while true do
    local data, stat, code = client:get(path, read)
    if data then
      return { id = data, path = path, since = stat.ctime, token = stat.czxid }
    elseif code ~= "NONODE" then
      return nil, stat, code
    elseif not watch then
      return false
    end
    local known, message, what = client:exists(path, read)
    if known == false then
      return false
    elseif not known then
      return nil, message, what
    end
    client:unwatch(path, "data", watch)
  end
end

--- A list of who holds it: of one, or of none.
---@return zklua.Contender[]|nil, string|nil, string|nil
function Office:contenders(deadline)
  local first, message, code = self:first(deadline)
  if first == nil then
    return nil, message, code
  end
  return { first or nil }
end

function Office:busy()
  local data, stat = own.glance(self._client, self.path)
  return own.busy(self.what .. " " .. self.path, data or "nobody any more", data and stat.ctime)
end

--- Prepares to contend; nothing is asked of the server yet.
function Office:join()
  local id = "-_c_" .. own.uuid(true)
  local parent, name = self.path:match("^(.*)/([^/]+)$")
  return setmetatable({
    node = { parent = parent == "" and "/" or parent, id = name .. id, path = self.path .. id,
      also = self.path, life = self._client:lifetime(), unsure = false },
    _office = self,
    _client = self._client,
  }, Place)
end

-- Whether our unique node is there: settles what happened to a transaction.
function Place:_taken(deadline)
  local node = self.node
  if node.unsure then
    local ok, message, code = self._client:sync(node.path, { deadline = deadline })
    if not ok then
      return nil, message, code
    end
  end
  local stat, message, code = self._client:exists(node.path, { deadline = deadline })
  if stat and stat.ephemeral_owner == node.life.id then
    node.czxid, node.unsure = stat.czxid, false
    return true
  end
  return stat and false or stat, message, code
end

-- One attempt. true: ours. false: another's. nil: again, or a failure with message and code.
function Place:_try(deadline)
  local node, office, mine = self.node, self._office, { ephemeral = true }
  if node.unsure then
    local taken, message, code = self:_taken(deadline)
    if taken ~= false then
      return taken, message, code
    end
  end
  if not node.life.alive then -- nothing is ever done on a later session
    return own.ended(node.life, "waiting for " .. office.path)
  end
  local results, message, code, index = self._client:transaction()
    :create(office.path, office._data, mine):create(node.path, office._data, mine)
    :commit({ deadline = deadline })
  if results then
    node.unsure = true -- until we have seen it under our own session
    return self:_taken(deadline)
  elseif code == "NODEEXISTS" and index == 1 then
    return false
  elseif code == "NONODE" then
    local ok, why, what = own.ensure(self._client, node.parent, deadline)
    return nil, not ok and why or nil, what
  end
  node.unsure = node.unsure or own.MAYBE[code] or false
  return nil, message, code
end

-- Waits until the node changes or goes. false: the time is over.
function Place:_watch(event, deadline)
  local client, path = self._client, self._office.path
  local data, message, code = client:get(path, { watch = event, deadline = deadline })
  if not data then
    return nil, message, code ~= "NONODE" and code or nil
  end
  local woken, why, what = event:wait_until(deadline)
  if not woken then
    client:unwatch(path, "data", event)
    return woken, why, what
  end
  local ok
  ok, why, what = client.runtime:sleep(own.jitter(JITTER))
  return nil, not ok and why or nil, what
end

--- As for a place in line: true, false (not in time), or nil, message, code.
function Place:wait(deadline, stay)
  local client, life = self._client, self.node.life
  local event = client.runtime:event()
  local taken, message, code
  repeat
    taken, message, code = self:_try(deadline)
    if taken == false and stay then
      taken, message, code = self:_watch(event, deadline)
    end
    if not life.alive then
      taken, message, code = own.ended(life, "waiting for " .. self._office.path)
    elseif code and own.PASSING[code] then
      local ok, why, what = own.pause(client)
      message, code = not ok and why or nil, not ok and what or nil
    end
  until taken ~= nil or code
  if not taken and self.node.unsure then
    own.sweep(client, self.node)
  end
  return taken, message, code
end

return Office
