--- Nodes that go with one session of ours: made once, found again after a lost reply, taken away
--- for certain.
---
--- A write whose reply is lost may have happened. So every node carries an id that nobody else
--- has, and the question is settled by asking: `sync` (the server we come back to may be behind
--- the one that we left), then look for the id. What is found counts only if its owner is the
--- session that asked for it: a node of an older session is about to vanish.
---
--- A node that the caller no longer wants is deleted on behalf of the session, not of the caller:
--- the caller's deadline and cancellation do not reach it, it is tried again after every
--- reconnection, and it ends with the session, because the node does too. Nothing is ever done
--- on a later session.
local arguments = require "zklua.arguments"
local core = require "zklua.core"

local own = {}

local FOREVER = arguments.FOREVER
local PATIENCE = 0.5 -- seconds that a caller waits for a clean-up before it goes on without him
local PAUSE = 0.05 -- seconds, at most, before asking again after a lost connection

-- After these the connection comes back by itself and the question can be asked again.
local PASSING = { CONNECTIONLOSS = true, SESSIONMOVED = true, THROTTLEDOP = true,
  REQUESTTIMEOUT = true, NOTREADONLY = true }
own.PASSING = PASSING

-- After these a clean-up, which nobody waits for any more, is tried again as well: its time was up
-- before it had a connection, or an answer.
local function tried_again(code)
  return PASSING[code] or code == "TIMEOUT" or code == "NOTCONNECTED"
end

-- A write that ends in one of these may have happened.
local MAYBE = { CONNECTIONLOSS = true, TIMEOUT = true, CANCELLED = true, REQUESTTIMEOUT = true }
own.MAYBE = MAYBE

--- A random number of seconds below `most`; the same in no two processes.
---@param most number
---@return number
function own.jitter(most)
  return most * tonumber(core.random_hex(3), 16) / 2 ^ 24
end

---@param path string
---@param name string
---@return string
function own.join(path, name)
  return (path == "/" and "" or path) .. "/" .. name
end

--- 128 random bits as Curator and kazoo write them: with dashes (36 characters) or without.
---@param dashes boolean
---@return string
function own.uuid(dashes)
  local digits = core.random_hex(16)
  if not dashes then
    return digits
  end
  return (digits:gsub("^(%x%x%x%x%x%x%x%x)(%x%x%x%x)(%x%x%x%x)(%x%x%x%x)", "%1-%2-%3-%4-"))
end

--- Waits a moment before asking again, so that a server that answers every request with a
--- failure is not asked in a tight loop. nil, message, code when the task is cancelled.
function own.pause(client)
  return client.runtime:sleep(PAUSE * 0.2 + own.jitter(PAUSE * 0.8))
end

--- Makes `path` and what is missing above it, as containers where the server knows them: they go
--- some time after their last child has gone.
---@return true|nil, string|nil, string|nil
function own.ensure(client, path, deadline)
  local container = true
  while true do
    local made, message, code =
      client:create(path, "", { container = container, deadline = deadline })
    if made or code == "NODEEXISTS" then
      return true
    elseif code == "UNIMPLEMENTED" and container then
      container = nil
    elseif code == "NONODE" then
      local above = path:match("^(.+)/[^/]+$") or path ~= "/" and "/"
      local ok, why, what
      if above then
        ok, why, what = own.ensure(client, above, deadline)
      else
        ok, why, what = client:ensure("/", { deadline = deadline }) -- parents of the chroot
      end
      if not ok then
        return nil, why, what
      end
    elseif not PASSING[code] then
      return nil, message, code
    else
      local ok, why, what = own.pause(client)
      if not ok then
        return nil, why, what
      end
    end
  end
end

--- The nodes below `parent` whose names begin with `id` and that belong to session `life`.
---@return { name: string, path: string, stat: table }[]|nil, string|nil, string|nil
function own.find(client, life, parent, id, deadline)
  local limit = { deadline = deadline }
  local ok, message, code = client:sync(parent, limit)
  if not ok then
    return nil, message, code
  end
  local names
  names, message, code = client:children(parent, limit)
  if not names then
    if code == "NONODE" then
      return {}
    end
    return nil, message, code
  end
  local found = {}
  for _, name in ipairs(names) do
    if name:sub(1, #id) == id then
      local path = own.join(parent, name)
      local stat, why, what = client:exists(path, limit)
      if stat == nil then
        return nil, why, what
      elseif stat and stat.ephemeral_owner == life.id then
        found[#found + 1] = { name = name, path = path, stat = stat }
      end
    end
  end
  return found
end

---@class zklua.Own  a node of ours, or one that may be there (path nil)
---@field parent string
---@field id string         its name begins with this, and no other name does
---@field life table        the session it goes with
---@field name string|nil
---@field path string|nil
---@field czxid number|nil
---@field unsure boolean    a reply was lost: there may be one more
---@field also string|nil    a node that was made and goes in one transaction with this one
---@field owned boolean|nil   others may have made one of this name: look before each delete
---@field proof string|nil   its data, where others may make a node of the same name once it is gone

local function settle(node, name, path, stat)
  node.name, node.path, node.czxid = name, path, stat.czxid
  return node
end

local function create(client, node, want, deadline)
  return client:create(own.join(node.parent, node.id .. want.suffix), want.data,
    { ephemeral = true, sequential = want.sequential, deadline = deadline })
end

-- The node, or nil, message, code. Sets `unsure` as soon as a node may exist that we do not know.
local function try(client, node, want, deadline)
  while true do
    if node.unsure then
      local found, message, code = own.find(client, node.life, node.parent, node.id, deadline)
      if not found then
        return nil, message, code
      elseif found[1] then
        return settle(node, found[1].name, found[1].path, found[1].stat)
      end
    end
    -- Nothing is ever done on a later session; a closed client has none, and its calls say so.
    if not node.life.alive and not client._session.closed then
      return own.ended(node.life, "while joining " .. node.parent)
    end
    local path, stat, code = create(client, node, want, deadline)
    if path then
      return settle(node, path:match("[^/]+$"), path, stat)
    elseif code == "NONODE" then
      local ok, message, what = own.ensure(client, node.parent, deadline)
      if not ok then
        return nil, message, what
      end
    else
      node.unsure = node.unsure or MAYBE[code] or false
      return nil, stat, code
    end
  end
end

--- Makes an ephemeral node `id .. suffix` below `parent` and its parents, exactly one.
---
--- On failure none is left behind: what may exist is swept up in the background.
---@param want { parent: string, id: string, suffix: string, data: string, sequential: boolean }
---@return zklua.Own|nil, string|nil, string|nil
function own.make(client, want, deadline)
  local node = { parent = want.parent, id = want.id, life = client:lifetime(), unsure = false }
  while true do
    local made, message, code = try(client, node, want, deadline)
    if made then
      return made
    end
    local ok = PASSING[code]
    if ok then
      ok, message, code = own.pause(client)
    end
    if not ok then
      if node.unsure or node.path then
        own.sweep(client, node) -- the caller's time is up
      end
      return nil, message, code
    end
  end
end

-- Deletes a node and the one that goes with it; true when they are gone.
local function delete(client, node, path, timeout)
  local options = { timeout = timeout }
  if node.also then
    local done, message, code, index =
      client:transaction():delete(path):delete(node.also):commit(options)
    return (done or code == "NONODE" and index == 1) and true, message, code
  elseif node.owned or node.proof then
    -- An attempt before may have succeeded, and what is there now be another's.
    local data, stat, code = client:get(path, { fresh = true, timeout = timeout })
    if data and (stat.ephemeral_owner ~= node.life.id or node.proof and data ~= node.proof) then
      return true
    elseif not data then
      return code == "NONODE" and true or nil, stat, code
    end
  end
  options.missing_ok = true
  return client:delete(path, options)
end

-- Deletes what is known of the node, or what carries its id. true when there is nothing left.
local function delete_all(client, node, timeout)
  local paths = { node.path }
  if node.unsure or not node.path then
    local found, message, code = own.find(client, node.life, node.parent, node.id,
      client.runtime:now() + timeout)
    if not found then
      return nil, message, code
    end
    for i, entry in ipairs(found) do
      paths[i] = entry.path
    end
  end
  for _, path in ipairs(paths) do
    local ok, message, code = delete(client, node, path, timeout)
    if not ok then
      return nil, message, code
    end
  end
  return true
end

local function sweep(client, node)
  while node.life.alive and not client._session.closed do
    local ok, _, code = delete_all(client, node, FOREVER)
    if ok or not tried_again(code) then
      return
    end
    own.pause(client)
  end
end

--- Takes the node away in the background, for as long as its session lives.
---@param node zklua.Own
function own.sweep(client, node)
  client.runtime:daemon(sweep, client, node)
end

--- Takes the node away. Returns when it is gone, or soon when that cannot be done at once; then
--- the session goes on trying.
---@param node zklua.Own
---@return true|nil, string|nil, string|nil  nil: it cannot be deleted at all (NOAUTH)
function own.remove(client, node)
  local life = node.life
  if client._session.closed then
    return true
  elseif life.alive and life.connected then
    local ok, message, code = client.runtime:shield(delete_all, client, node, PATIENCE)
    if ok or not life.alive then
      return true
    elseif not tried_again(code) then
      return nil, message, code
    end
  end
  if life.alive then
    own.sweep(client, node)
  end
  return true
end

--- The failure of whoever waited on a session that has ended.
function own.ended(life, where)
  local code = life.ended_code or "SESSIONEXPIRED"
  return nil, ("%s: the session ended %s"):format(code, where), code
end

-- Who is in the way -------------------------------------------------------------------------------

--- Reads a node for a message, if that is quick.
function own.glance(client, path)
  if client:lifetime().connected then
    return client.runtime:shield(client.get, client, path, { timeout = PATIENCE })
  end
end

--- The message of BUSY.
---@param what string  "lock /nightly"
---@param holder string
---@param since number|nil  milliseconds since 1970
function own.busy(what, holder, since)
  return ("BUSY: %s is held by %s%s"):format(what, holder,
    since and os.date("! since %Y-%m-%dT%H:%M:%SZ", math.floor(since / 1000)) or "")
end

return own
