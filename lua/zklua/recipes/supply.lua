--- Which items of a queue nobody works on, in order, and the wait for one.
---
--- A reading of the lists is shared by all tasks that take from one handle, so that many items
--- cost few readings; a name in it may be stale, which the claim finds out. Who finds nothing reads
--- again with watches and waits for them; all who wait wake at a change, spread over JITTER.
local core = require "zklua.core"
local in_order = require "zklua.in_order"
local own = require "zklua.own"

local JITTER = 0.01 -- seconds
local AT_ONCE = 128 -- names kept from one reading

local Supply = {}
Supply.__index = Supply
local Visit = {}
Visit.__index = Visit

local M = {}

function M.new(client, items, claims)
  return setmetatable({ _client = client, _items = items, _claims = claims, _names = {},
    _next = 1, _visits = {}, _visit_count = 0 }, Supply)
end

-- Both lists at one moment, in one request.
local function read(self, deadline)
  local results, message, code = self._client:read_many(
    { { "children", self._items }, { "children", self._claims } }, { deadline = deadline })
  if not results then
    return nil, message, code
  end
  for _, result in ipairs(results) do
    if result.op == "error" and result.code ~= "NONODE" then
      return nil, ("%s: queue %s cannot be read"):format(result.code, self._items), result.code
    end
  end
  return results[1].children or {}, results[2].children or {}
end

-- A list, with a watch that is set when it changes.
local function watched_list(self, path, deadline, watch)
  while true do
    local names, message, code = self._client:children(path, { watch = watch, deadline = deadline })
    if names then
      return names
    elseif code == "NONODE" then
      names, message, code = own.ensure(self._client, path, deadline)
    end
    if not names then
      return nil, message, code
    end
  end
end

-- Claims first: an item whose claim goes in between is seen as claimed, but then its watch fires.
local function read_watched(self, deadline, watch)
  local claims, message, code = watched_list(self, self._claims, deadline, watch)
  if not claims then
    return nil, message, code
  end
  local items
  items, message, code = watched_list(self, self._items, deadline, watch)
  return items, items and claims or message, code
end

-- Whether there is anything; nil, message, code when that is not known.
local function refill(self, items, claims, code)
  if not items then
    return nil, claims, code
  end
  local taken, found, names = {}, {}, {}
  for _, name in ipairs(claims) do
    taken[name] = true
  end
  for _, name in ipairs(items) do
    local prefix, sequence = core.split_sequence(name)
    if prefix == "qn-" and not taken[name] then
      found[#found + 1] = { name = name, sequence = sequence }
    end
  end
  table.sort(found, function(a, b) return a.sequence < b.sequence end)
  for i = 1, math.min(#found, AT_ONCE) do
    names[i] = found[i].name
  end
  self._names, self._next = names, 1
  return names[1] ~= nil
end

--- One search for an item; `leave` ends it.
function Supply:visit()
  local visit = setmetatable({ _supply = self, _event = self._client.runtime:event() }, Visit)
  self._visit_count = self._visit_count + 1
  self._visits[visit] = self._visit_count
  return visit
end

function Supply:close()
  self._closed = true
  for _, visit in ipairs(in_order(self._visits)) do
    visit._event:set()
  end
  return true
end

local function take_off_watches(visit)
  local supply = visit._supply
  if visit._armed then
    supply._client:unwatch(supply._items, "child", visit._event)
    supply._client:unwatch(supply._claims, "child", visit._event)
  end
end

local function rest(visit, deadline)
  local supply = visit._supply
  local woken, message, code = visit._event:wait_until(deadline)
  if woken == false then
    return nil, ("EMPTY: nothing came to queue %s in time"):format(supply._items), "EMPTY"
  elseif woken and not supply._closed then
    woken, message, code = supply._client.runtime:sleep(own.jitter(JITTER))
  end
  return woken, message, code
end

--- The name of an item to try; nil, message, code: EMPTY, CLOSED, and a call's. It waits for one
--- until `deadline`; what there is is a question to the server, which has until `answered`.
function Visit:next(deadline, answered)
  local supply = self._supply
  while not supply._closed do
    local name = supply._names[supply._next]
    if name then
      supply._next = supply._next + 1
      return name
    end
    local found, message, code
    if self._armed then
      take_off_watches(self)
      found, message, code = refill(supply, read_watched(supply, answered, self._event))
      if found == false then
        found, message, code = rest(self, deadline)
      end
    else
      found, message, code = refill(supply, read(supply, answered))
      self._armed = found == false
    end
    if found == nil then
      return nil, message, code
    end
  end
  return nil, ("CLOSED: this handle of queue %s was closed"):format(supply._items), "CLOSED"
end

function Visit:leave()
  take_off_watches(self)
  self._supply._visits[self] = nil
end

return M
