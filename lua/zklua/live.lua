--- A live value: what a node holds, always the newest known. A persistent watch says that
--- something changed, a read says what it is now; several changes in a row cost one read.
local follow = require "zklua.follow"
local options_of = require "zklua.options"
local watch = require "zklua.watch"
local wrong = require "zklua.wrong"

local unpack = table.unpack or unpack

local M = {}

local OPTIONS = options_of.set({ default = "string" })
local SHOWN = { exists = true, data = true, stat = true, stale = true, revision = true }

-- Whether a reading differs from what is known. After a gap it often does not.
local function is_new(value, stat)
  local known = value.stat
  if value.revision == 0 or not known or not stat then
    return value.revision == 0 or known ~= stat
  end
  return known.mzxid ~= stat.mzxid or known.aversion ~= stat.aversion
end

-- Takes in an answer of get. True, or nil, message, CODE for what ends the value.
local function take(value, data, stat, code)
  if value.ended then
    return true -- it was closed while it was read: what is known stays
  end
  local new = is_new(value, data and stat or nil)
  if data then
    value.exists, value.data, value.stat = true, data, stat
  elseif code == "NONODE" then
    value.exists, value.data, value.stat = false, value.default, nil
  else
    return nil, stat, code
  end
  value:refreshed()
  if new then
    value:announce()
  end
  return true
end

-- Reads again after each event, or after several at once, until there are no more.
local function work(value)
  while value:next_event() do
    value.queue:clear()
    local ok, message, code = take(value, value.client:get(value.path, follow.patient()))
    if not ok and not follow.PASSING[code] then
      value:finish(message, code)
    end
  end
end

local Live = { age = follow.methods.age, close = follow.methods.close }

--- Waits until predicate(data, stat) is true; without one, for the next change. Data is false
--- where there is none, since nil is a failure.
function Live:wait(predicate, timeout)
  local value = self._state
  if predicate ~= nil and type(predicate) ~= "function" then
    wrong("predicate must be a function, not a " .. type(predicate))
  end
  local deadline = value.runtime:deadline(timeout)
  local seen = value.revision
  while not predicate or not predicate(value.data, value.stat) do
    local ok, message, code = value:wait_change(seen, deadline, self)
    if not ok then
      return nil, message, code
    elseif not predicate then
      break
    end
    seen = value.revision
  end
  return value.data or false, value.stat
end

--- Calls fn(data, stat) now and after each change until it returns something other than nil.
function Live:each(fn)
  if type(fn) ~= "function" then
    wrong("fn must be a function, not a " .. type(fn))
  end
  local value = self._state
  while true do
    local seen = value.revision
    local results = { fn(value.data, value.stat) }
    if results[1] ~= nil then
      return unpack(results)
    end
    local ok, message, code = value:wait_change(seen, nil, self)
    if not ok then
      return nil, message, code
    end
  end
end

--- c:live(path, options).
function M.open(client, path, options)
  if options ~= nil then
    options_of.check(options, OPTIONS)
  end
  local given = options or {}
  local call = { timeout = given.timeout, deadline = given.deadline, fail_fast = given.fail_fast }
  local value = follow.new(client, path, false, "live value")
  value.exists, value.data, value.default = false, given.default, given.default
  local ok, message, code = watch.listen(value.queue, client, path, call)
  if ok then
    ok, message, code = take(value, client:get(path, call))
  end
  if not ok then
    value:finish(message, code)
    return nil, message, code
  end
  value:start(work)
  return follow.handle(value, client, Live, SHOWN)
end

return M
