--- The builder of a multi: operations that happen all or not at all.
local errors = require "zklua.error"
local nodes = require "zklua.nodes"
local options_of = require "zklua.options"
local paths = require "zklua.path"
local watches = require "zklua.watches"
local wrong = require "zklua.wrong"

local Transaction = {}
Transaction.__index = Transaction

local M = {}

local VERSION = { version = "number" }
local CREATE = {}
for name, kind in pairs(nodes.CREATE) do
  if name ~= "parents" and name ~= "timeout" and name ~= "deadline" and name ~= "fail_fast" then
    CREATE[name] = kind
  end
end

function M.new(client)
  return setmetatable({
    client = client,
    operations = {},
    paths = {},
    guards = 0, -- operations in front that the program does not know of
  }, Transaction)
end

local function add(self, path, sequential, operation)
  if self.committed then
    wrong("the transaction was committed")
  end
  paths.check(path, "path", sequential)
  operation[2] = nodes.full_path(self.client, path, sequential)
  self.operations[#self.operations + 1] = operation
  self.paths[#self.paths + 1] = path
  return self
end

local function version_of(options)
  if options == nil then
    return -1
  end
  options_of.check(options, VERSION)
  return options.version or -1
end

function Transaction:create(path, data, options)
  if type(data) == "table" and options == nil and data ~= require("zklua.null") then
    data, options = nil, data
  end
  nodes.check_data(data)
  if options then
    options_of.check(options, CREATE)
  end
  local acl = nodes.create_acl(self.client._session, options)
  local mode = nodes.create_mode(options)
  local done = add(self, path, options and options.sequential, {
    "create", path, nodes.core_data(data), acl, mode, options and options.ttl,
  })
  return done
end

function Transaction:set(path, data, options)
  nodes.check_data(data)
  if data == nil then
    wrong("data must be a string or zk.null, not nil")
  end
  local version = version_of(options)
  local done = add(self, path, false, { "set", path, nodes.core_data(data), version })
  return done
end

function Transaction:delete(path, options)
  local version = version_of(options)
  local done = add(self, path, false, { "delete", path, version })
  return done
end

--- The others happen only if this node exists and, with `version`, has that version.
function Transaction:check(path, options)
  local version = version_of(options)
  local done = add(self, path, false, { "check", path, version })
  return done
end

local EPHEMERAL, EPHEMERAL_SEQUENTIAL = 1, 3

-- What failed, counted as the program counts.
local function explain(self, code, failed_at)
  local operation = self.operations[failed_at]
  local version = operation[1] == "set" and operation[4] or operation[3]
  local message = errors.message(code, operation[1], self.paths[failed_at], version, true)
  local count = #self.operations - self.guards
  if count == 1 then
    return message
  end
  return ("%s; nothing was done (operation %d of %d)"):format(
    message, failed_at - self.guards, count)
end

-- The session's list of its ephemerals follows what was done.
local function note(self, results)
  local session = self.client._session
  for i, operation in ipairs(self.operations) do
    local kind, mode = operation[1], operation[5]
    if kind == "create" then
      if mode == EPHEMERAL or mode == EPHEMERAL_SEQUENTIAL then
        session:note_created(results[i].path)
      end
      results[i].path = watches.relative(results[i].path, self.client.prefix)
    elseif kind == "delete" then
      session:note_deleted(operation[2])
    end
  end
end

--- The list of results; or nil, message, CODE and which operation failed.
function Transaction:commit(options)
  if self.committed then
    wrong("the transaction was committed")
  end
  self.committed = true
  local operations = self.operations
  if not operations[1] then
    return {}
  end
  local ok, results, failed_at = nodes.ask(self.client, "transaction", self.paths[1], options, nil,
    false, function(link, deadline, fail_fast)
      return link:multi(operations, deadline, fail_fast)
    end)
  if not ok then
    return nil, results, failed_at
  elseif failed_at then
    local code = results[failed_at].code
    return nil, explain(self, code, failed_at), code, failed_at
  end
  note(self, results)
  return results
end

return M
