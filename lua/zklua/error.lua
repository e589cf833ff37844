--- Failures as people read them: `nil, message, CODE`, the message one sentence that names the
--- code, the path, the operation, and what to do where that helps.
local core = require "zklua.core"
local wrong = require "zklua.wrong"

local M = {}

--- Codes that no server sends and the core does not know.
local OURS = {
  "TIMEOUT", "CANCELLED", "CLOSED", "NOTCONNECTED", "BUSY", "LOST", "EMPTY", "FULL", "FOREIGN",
  "BADDATA", "LIMIT",
}

local WRITES = {
  create = true, set = true, delete = true, set_acl = true, transaction = true, reconfig = true,
}

-- {path}, {parent}, {op} and {detail} are filled in; a function chooses by operation.
local SENTENCES = {
  NONODE = function(op)
    return op == "create" and "parent {parent} of {path} does not exist ({op})"
      or "{path} does not exist ({op})"
  end,
  NODEEXISTS = "{path} exists already ({op})",
  BADVERSION = "{path} is not at version {detail} ({op}); read it again, or use update",
  NOTEMPTY = "{path} has children ({op})",
  NOAUTH = "not permitted on {path} ({op}); see get_acl and add_auth",
  INVALIDACL = "the acl for {path} is not acceptable ({op}); \"creator\" needs add_auth first",
  NOCHILDRENFOREPHEMERALS =
    "{parent}, the parent of {path}, is ephemeral and has no children ({op})",
  NOTREADONLY = "the server is read-only: cut off from its ensemble ({op} {path})",
  QUOTAEXCEEDED = "a quota above {path} is used up ({op})",
  UNIMPLEMENTED = "the server does not offer this ({op} {path})",
  CONNECTIONLOSS = "the connection was lost before the answer ({op} {path}){maybe}",
  TIMEOUT = "no answer in time ({op} {path}){maybe}",
  CANCELLED = "the task was cancelled ({op} {path}){maybe}",
  NOTCONNECTED = "no connection; the request was not sent ({op} {path})",
  CLOSED = "the client was closed ({op} {path}){maybe}",
  SESSIONEXPIRED = "the session has expired ({op} {path}){maybe}",
  SESSIONMOVED = "the session moved to another server ({op} {path})",
  AUTHFAILED = "a credential{scheme} was refused ({op} {path})",
  LIMIT = "the request is over a limit: 1,048,575 bytes each{size}, 1,000,000 requests or 64 MiB "
    .. "without an answer ({op} {path})",
  NOMEM = "out of memory ({op} {path})",
  THROTTLEDOP = "the server is overloaded ({op} {path}); try again later",
  RECONFIGDISABLED = "the server does not allow it, reconfigEnabled is false ({op} {path})",
}

-- Options of the operations of a client, which those of a transaction do not have.
local HINTS = {
  NONODE = {
    create = "; parents=true makes it",
    set = "; create=true makes it",
    delete = "; missing_ok=true accepts that",
  },
  NOTEMPTY = { delete = "; recursive=true deletes them too" },
}

local function parent_of(path)
  return path:match("^(/.+)/[^/]*$") or "/"
end

--- The sentence for a code.
---@param code string
---@param op string  the name of the method
---@param path string|nil
---@param detail string|number|nil  a version, the size of LIMIT, the scheme of AUTHFAILED
---@param inside boolean|nil  it is an operation of a transaction
function M.message(code, op, path, detail, inside)
  local sentence = SENTENCES[code] or "{op} {path} failed"
  if type(sentence) == "function" then
    sentence = sentence(op)
  end
  local fields = {
    op = op,
    path = path or "",
    parent = path and parent_of(path) or "",
    detail = tostring(detail or "expected"),
    size = detail and (" (its data have %s)"):format(detail) or "",
    scheme = detail and (" of scheme %s"):format(detail) or "",
    maybe = WRITES[op] and "; it may have happened" or "",
  }
  local text = sentence:gsub("{(%a+)}", fields):gsub(" %)", ")"):gsub("  ", " ")
  local hint = not inside and HINTS[code] and HINTS[code][op] or ""
  return code .. ": " .. text .. hint
end

--- nil, message, CODE.
function M.fail(code, op, path, detail)
  return nil, M.message(code, op, path, detail), code
end

--- Every code as code.NAME == "NAME"; a name that does not exist raises.
function M.codes()
  local names = {}
  for name in pairs(core.codes) do
    names[name] = name
  end
  for _, name in ipairs(OURS) do
    names[name] = name
  end
  return setmetatable(names, {
    __index = function(_, name)
      wrong(("there is no code %s"):format(tostring(name)))
    end,
    __newindex = function()
      wrong("zk.code is read-only")
    end,
  })
end

return M
