--- Operations that are more than one request, or about more than one node: whole paths, subtrees,
--- read-change-write; and those about the session and the ensemble.
local errors = require "zklua.error"
local nodes = require "zklua.nodes"
local options_of = require "zklua.options"
local paths = require "zklua.path"
local watches = require "zklua.watches"
local wrong = require "zklua.wrong"

local ask, answer = nodes.ask, nodes.answer
local failed, full_path = nodes.failed, nodes.full_path

local M = {}

local ENSURE = options_of.set({ acl = "any", container = "boolean" })
local UPDATE = options_of.set({ version = "number", create = "boolean" })
local CONFIG = options_of.set({ watch = "any", fresh = "boolean" })

--- One request of a batch: few enough for a server's request limit with the longest paths in use.
local BATCH_MAX = 200
local BATCH_BYTES_MAX = 400000

-- Batches of `list`, in order, each within the limits.
local function batches(list)
  local at = 1
  return function()
    local batch, bytes = {}, 0
    while at <= #list and #batch < BATCH_MAX and bytes < BATCH_BYTES_MAX do
      batch[#batch + 1] = list[at]
      bytes = bytes + #list[at] + 40
      at = at + 1
    end
    return batch[1] and batch or nil
  end
end

local function join(path, name)
  return path == "/" and "/" .. name or path .. "/" .. name
end

-- Whole paths ----------------------------------------------------------------

-- The chroot's own parents lie outside of what this session can name.
local function ensure_chroot(self, deadline)
  local session = self._session
  local options = {}
  for key, value in pairs(session.options) do
    options[key] = value
  end
  options.chroot, options.session, options.on_expire = nil, nil, "stop"
  local outside = require("zklua.session").new(session.runtime, options)
  local left = math.max(0, deadline - session.runtime:now())
  local ok, message, code = outside:wait_connected(left)
  if not ok then
    return nil, message, code
  end
  local above = self._class.new(outside)
  ok, message, code = above:ensure(session.options.chroot, { deadline = deadline })
  outside:close()
  return ok, message, code
end

-- `top` is the path of the user's call, for messages.
local function ensure(self, path, create_options, deadline)
  if self:exists(path, { deadline = deadline, fail_fast = create_options.fail_fast }) then
    return true
  end
  for _ = 1, 8 do -- a parent that vanishes again that often is being removed
    local made, message, code = self:create(path, "", create_options)
    if made or code == "NODEEXISTS" then
      return true
    elseif code == "UNIMPLEMENTED" and create_options.container then
      create_options.container = nil
    elseif code == "NONODE" then
      local parent = paths.parent(path)
      if parent then
        made, message, code = ensure(self, parent, create_options, deadline)
      elseif self.prefix then
        made, message, code = self:root():ensure(self.prefix, { deadline = deadline })
      else
        made, message, code = ensure_chroot(self, deadline)
      end
      if not made then
        return nil, message, code
      end
    else
      return nil, message, code
    end
  end
  return failed("NONODE", nil, "ensure", path)
end

-- Subtrees -------------------------------------------------------------------

-- Reads the children of `parents` into `found`. True, or nil, message, CODE.
local function add_children(self, parents, found, deadline, fail_fast)
  for batch in batches(parents) do
    local list = {}
    for i, path in ipairs(batch) do
      list[i] = { "children", path }
    end
    local results, message, code = self:read_many(list, {
      deadline = deadline, fail_fast = fail_fast,
    })
    if not results then
      return nil, message, code
    end
    for i, result in ipairs(results) do
      if result.children then
        for _, name in ipairs(result.children) do
          found[#found + 1] = join(batch[i], name)
        end
      elseif result.code ~= "NONODE" then
        return failed(result.code, nil, "children", batch[i])
      end
    end
  end
  return true
end

--- All paths below `path`, parents before children.
local function descendants(self, path, deadline, fail_fast)
  local all, level = {}, { path }
  while level[1] do
    local below = {}
    local ok, message, code = add_children(self, level, below, deadline, fail_fast)
    if not ok then
      return nil, message, code
    end
    for _, found in ipairs(below) do
      all[#all + 1] = found
    end
    level = below
  end
  return all
end

-- Deletes a batch at once; when others meddle with it, node by node, and what then has children
-- again is left for the next round. True, or nil, message, CODE.
local function delete_batch(self, batch, call)
  local transaction = self:transaction()
  for _, path in ipairs(batch) do
    transaction:delete(path)
  end
  local done, message, code = transaction:commit(call)
  if done then
    return true
  elseif code ~= "NONODE" and code ~= "NOTEMPTY" then
    return nil, message, code
  end
  for _, path in ipairs(batch) do
    done, message, code = self:delete(path, call)
    if not done and code ~= "NONODE" and code ~= "NOTEMPTY" then
      return nil, message, code
    end
  end
  return true
end

local ROUNDS = 8 -- somebody who keeps creating below what is deleted wins after that many

local function delete_below(self, path, deadline, fail_fast, version)
  local call = { deadline = deadline, fail_fast = fail_fast }
  if version then
    local stat, message, code = self:exists(path, call)
    if not stat then
      return nil, message, code
    elseif stat.version ~= version then
      return failed("BADVERSION", nil, "delete", path, version)
    end
  end
  local done, message, code
  for _ = 1, ROUNDS do
    local found
    found, message, code = descendants(self, path, deadline, fail_fast)
    if not found then
      return nil, message, code
    end
    local reversed = {}
    for i = #found, 1, -1 do
      reversed[#reversed + 1] = found[i]
    end
    for batch in batches(reversed) do
      done, message, code = delete_batch(self, batch, call)
      if not done then
        return nil, message, code
      end
    end
    done, message, code = self:delete(path, {
      deadline = deadline, fail_fast = fail_fast, version = version,
    })
    if done or code == "NONODE" then
      return true
    elseif code ~= "NOTEMPTY" then
      break
    end
  end
  return nil, message, code
end

-- Read, change, write --------------------------------------------------------

local function update(self, path, fn, options)
  if type(fn) ~= "function" then
    wrong("fn must be a function, not a " .. type(fn))
  end
  full_path(self, path)
  local deadline, fail_fast = nodes.frame(self._session, options or {}, UPDATE)
  local call = { deadline = deadline, fail_fast = fail_fast }
  while true do
    local data, stat, code = self:get(path, call)
    local absent = code == "NONODE" and options and options.create
    if not data and not absent then
      return nil, stat, code
    end
    local changed = fn(data or "", not absent and stat or nil)
    if changed == nil then
      return data or "", not absent and stat or nil
    end
    local done, message, why
    if absent then
      done, message, why = self:create(path, changed, {
        deadline = deadline, fail_fast = fail_fast, parents = true,
      })
      done = done and message -- the stat
    else
      done, message, why = self:set(path, changed, {
        deadline = deadline, fail_fast = fail_fast, version = stat.version,
      })
    end
    if done then
      return changed, done
    end
    local vanished = why == "NONODE" and options and options.create
    if why ~= "BADVERSION" and why ~= "NODEEXISTS" and not vanished then
      return nil, message, why
    end
  end
end

-- Many at once ---------------------------------------------------------------

local function check_reads(self, list)
  if type(list) ~= "table" then
    wrong("list must be a table, not a " .. type(list))
  end
  local operations = {}
  for i, item in ipairs(list) do
    if type(item) ~= "table" or item[1] ~= "get" and item[1] ~= "children" then
      wrong(('list[%d] must be { "get", path } or { "children", path }'):format(i))
    end
    paths.check(item[2], ("path of list[%d]"):format(i))
    operations[i] = { item[1], full_path(self, item[2]) }
  end
  return operations
end

--- Adds the methods to the class of clients.
function M.attach(Client)
  Client.update = update
  Client._delete_below = delete_below

  function Client:ensure(path, options)
    full_path(self, path)
    paths.check(path, "path")
    options = options or {}
    local deadline, fail_fast = nodes.frame(self._session, options, ENSURE)
    return ensure(self, path, {
      acl = options.acl, container = options.container, deadline = deadline, fail_fast = fail_fast,
    }, deadline)
  end

  function Client:read_many(list, options)
    local operations = check_reads(self, list)
    if not operations[1] then
      return {}
    end
    local ok, results, code = ask(self, "read_many", operations[1][2], options, nil, true,
      function(link, deadline, fail_fast)
        return link:multi_read(operations, deadline, fail_fast)
      end)
    if not ok then
      return nil, results, code
    end
    for _, result in ipairs(results) do
      if result.children then
        table.sort(result.children)
      end
    end
    return results
  end

  function Client:count(path, options)
    local full = full_path(self, path)
    return answer(ask(self, "count", path, options, nil, true, function(link, deadline, fast)
      return link:count(full, deadline, fast)
    end))
  end

  function Client:ephemerals(path, options)
    local full = full_path(self, path or "/")
    local ok, a, b = ask(self, "ephemerals", path or "/", options, nil, true,
      function(link, deadline, fast)
        return link:ephemerals(full, deadline, fast)
      end)
    if not ok then
      return nil, a, b
    end
    for i, found in ipairs(a) do
      a[i] = watches.relative(found, self.prefix)
    end
    table.sort(a)
    return a
  end

  function Client:whoami(options)
    return answer(ask(self, "whoami", nil, options, nil, true, function(link, deadline, fast)
      return link:whoami(deadline, fast)
    end))
  end

  function Client:add_auth(scheme, id, options)
    if type(scheme) ~= "string" or type(id) ~= "string" then
      wrong("scheme and id must be strings")
    end
    local ok, a, b = ask(self, "add_auth", nil, options, nil, false, function(link, deadline, fast)
      return link:add_auth(scheme, id, deadline, fast)
    end)
    if not ok then
      return nil, b == "AUTHFAILED" and errors.message(b, "add_auth", nil, scheme) or a, b
    end
    local credentials = self._session.credentials
    credentials[#credentials + 1] = { scheme, id }
    return true
  end

  function Client:config(options)
    local target = type(options) == "table" and options.watch
    if target and type(target) ~= "function" and not (type(target) == "table" and target.set) then
      wrong("watch must be an event or a function")
    end
    local path = "/zookeeper/config"
    if type(options) == "table" and options.fresh then
      local deadline, fail_fast = nodes.frame(self._session, options, CONFIG)
      options = { watch = target, deadline = deadline, fail_fast = fail_fast }
      local ok, a, b = self:sync("/", { deadline = deadline, fail_fast = fail_fast })
      if not ok then
        return nil, a, b
      end
    end
    return answer(ask(self, "config", path, options, CONFIG, true, function(link, deadline, fast)
      return link:config(target and true or false, deadline, fast)
    end, target and watches.watcher("config", path, nil, target)))
  end

  function Client:reconfig(change, options)
    if type(change) ~= "table" then
      wrong("change must be a table, not a " .. type(change))
    end
    for name, value in pairs(change) do
      local kind = name == "version" and "number" or "string"
      if name ~= "joining" and name ~= "leaving" and name ~= "members" and name ~= "version" then
        wrong(("unknown field of change %q"):format(tostring(name)))
      elseif type(value) ~= kind then
        wrong(("change.%s must be a %s"):format(name, kind))
      end
    end
    return answer(ask(self, "reconfig", nil, options, nil, false, function(link, deadline, fast)
      return link:reconfig(change.joining, change.leaving, change.members, change.version or -1,
        deadline, fast)
    end))
  end
end

return M
