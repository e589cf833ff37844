--- How programs in other languages name the contenders of a lock or an election, so that they and
--- we can stand in one line, or at least notice each other.
local core = require "zklua.core"
local own = require "zklua.own"

local dialect = {}

-- `head`, a unique part, `joint`, the mark of the kind; the server appends the number.
local DIALECTS = {
  curator = { head = "_c_", dashes = true, joint = "-",
    lock = "lock-", read = "__READ__", write = "__WRIT__", latch = "latch-" },
  kazoo = { head = "", dashes = false, joint = "",
    lock = "__lock__", read = "__rlock__", write = "__lock__" },
  apache = { head = "x-", dashes = false, joint = "-", lock = "" },
}

-- What is recognised, as "dialect/kind". A name matches one at most.
local SHAPES = {
  { "lock%-$", "curator/lock" }, -- Go and Rust clients too
  { "__READ__$", "curator/read" },
  { "__WRIT__$", "curator/write" },
  { "latch%-$", "curator/latch" },
  { "__lock__$", "kazoo/lock" }, -- its write lock too
  { "__rlock__$", "kazoo/read" },
  { "^x%-.+%-$", "apache/lock" },
  { "^n_$", "apache/election" },
}

---@param name string  of a child
---@return string|nil shape, number|nil sequence  nil: no contender of any known kind
function dialect.shape(name)
  local prefix, sequence = core.split_sequence(name)
  if prefix then
    for _, shape in ipairs(SHAPES) do
      if prefix:find(shape[1]) then
        return shape[2], sequence
      end
    end
  end
end

---@param name string
---@param kind "lock"|"read"|"write"
---@return table|nil words  nil: no such dialect, or it has no such kind
function dialect.words(name, kind)
  local words = DIALECTS[name]
  return words and words[kind] and words
end

--- The two parts of a new node's name: unique, and shared by its kind.
---@return string id, string suffix
function dialect.new_name(words, kind)
  return words.head .. own.uuid(words.dashes) .. words.joint, words[kind]
end

--- Shape → whether a contender of that shape before one of `kind` is in its way. A shape that is
--- not in the table does not know of us.
---@param sees string[]|nil  dialects whose locks count as well
---@return table<string, boolean>|nil, string|nil unknown
function dialect.exclusion(name, kind, sees)
  local excludes = {}
  if kind == "lock" then
    excludes[name .. "/lock"] = true
  else -- a reader is held up by writers, a writer by all
    excludes[name .. "/read"] = kind == "write"
    excludes[name .. (name == "kazoo" and "/lock" or "/write")] = true
  end
  for _, other in ipairs(sees or {}) do
    if not dialect.words(other, "lock") then
      return nil, tostring(other)
    end
    excludes[other .. "/lock"] = true
  end
  return excludes
end

return dialect
