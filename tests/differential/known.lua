--- The differences between Apache ZooKeeper 3.8.0 as Debian ships it (left) and a server that
--- answers as 3.9.5 does (right): each with its reason and with what exactly it explains. A
--- difference that no rule explains is a failure.
---
--- `explains(frame, record, context)` sees one pair of frames with the fields that differ; record
--- is the request's. context.known_zxid(zxid) tells whether a zxid is one that replies have named,
--- context.connections how many there were.
local compare = require("differential.compare")
local malformed = require("differential.malformed")
local model = require("differential.model")
local words = require("differential.words")

local known = {}

local NO_ZXID = "0xffffffffffffffff"
local EMPTY_MULTI = "ffffffff01ffffffff"

local function codes(frame, left, right)
  return frame.kind == "reply" and frame.left.code == left and frame.right.code == right
end

--- Whether nothing but `names` differs.
local function only(frame, names)
  for _, field in ipairs(frame.fields) do
    if not names[field:match("^[^.]*")] then
      return false
    end
  end
  return true
end

local ANSWER = { code = true, result = true, rest = true }
local ANSWER_AND_ZXID = { code = true, result = true, rest = true, zxid = true }

local function has_operation(record, accept)
  for _, operation in ipairs(record.operations or {}) do
    if accept(operation) then
      return true
    end
  end
  return false
end

local function unknown_flags(record)
  return record.flags and (record.flags < 0 or record.flags > 6)
end

local function mismatched_flags(record)
  return record.flags and (record.op == 19) ~= (record.flags == 4) and record.op ~= 21
end

local function has_entry(record, accept)
  for _, entry in ipairs(record.acl or {}) do
    if accept(entry) then
      return true
    end
  end
  return false
end

local function is_ipv6(entry)
  return entry.scheme == "ip" and entry.id ~= nil and entry.id:find(":", 1, true) ~= nil
end

local function is_without_id(entry)
  return entry.id == nil
end

local function same_in_another_order(left, right)
  local counts, digests = {}, 0
  local function key(entry)
    return ("%s %s %s"):format(entry.permissions, entry.scheme, entry.id)
  end
  for _, entry in ipairs(left.items) do
    counts[key(entry)] = (counts[key(entry)] or 0) + 1
    digests = digests + (entry.scheme == "digest" and 1 or 0)
  end
  for _, entry in ipairs(right.items) do
    counts[key(entry)] = (counts[key(entry)] or 0) - 1
  end
  for _, count in pairs(counts) do
    if count ~= 0 then
      return false
    end
  end
  return digests > 1
end

--- Whether the one operation for which two answers differ is such, with these codes: a request
--- by itself, or one operation of a multi.
local function one_operation(frame, record, left, right, accept)
  if codes(frame, left, right) then
    return accept(record) and only(frame, ANSWER)
  end
  local index = tonumber(frame.fields[1]:match("^result%.items%.(%d+)%.number$"))
  return index ~= nil and #frame.fields == 1 and frame.left.result.items[index].number == left
    and frame.right.result.items[index].number == right and accept(record.operations[index])
end

-- Behind the last reply that was sent before, and no later than the next one says.
local function is_timely(frame)
  local zxid, before, after = frame.right.zxid, frame.right_before, frame.right_after
  return (not before or compare.zxid_less(before, zxid))
    and (not after or not compare.zxid_less(after, zxid))
end

known.rules = {
  {
    name = "events carry the zxid of their transaction",
    reason = "3.8 sends -1, 3.9.0 and later the zxid.",
    explains = function(frame, _, context)
      return frame.kind == "event" and only(frame, { zxid = true })
        and frame.left.zxid == NO_ZXID and context.known_zxid(frame.right.zxid)
        and is_timely(frame)
    end,
  },
  {
    name = "exists needs READ",
    reason = "Checked since 3.8.4 and 3.9.2.",
    explains = function(frame, record)
      return record.op == 3 and codes(frame, 0, -102) and only(frame, ANSWER)
        and model.guarded(record.path)
    end,
  },
  {
    name = "checkWatches sees other connections' watches",
    reason = "3.8 answers for any connection that watches the path, 3.9 for its own.",
    explains = function(frame, record, context)
      return record.op == 17 and codes(frame, 0, -121) and only(frame, ANSWER)
        and context.connections > 1
    end,
  },
  {
    name = "kinds 4 and 5 of checkWatches and removeWatches",
    reason = "Not known to 3.8; the generator sends them only where nothing is to be removed.",
    explains = function(frame, record)
      return (record.op == 17 or record.op == 18) and (record.kind == 4 or record.kind == 5)
        and codes(frame, -5, -121) and only(frame, ANSWER)
    end,
  },
  {
    name = "a flag that does not exist, inside a multi",
    reason = "3.8.0 answers -8 for that operation, 3.8.2 and later -5 for the whole request.",
    explains = function(frame, record)
      return record.op == 14 and codes(frame, 0, -5) and has_operation(record, unknown_flags)
        and only(frame, ANSWER_AND_ZXID)
    end,
  },
  {
    name = "whether a write that cannot be read takes a zxid",
    reason = "3.8 decodes most writes after it took the zxid, 3.9 before; ours take one.",
    explains = function(frame)
      return codes(frame, -5, -5) and malformed.is_write(frame.request.op)
        and only(frame, { zxid = true })
    end,
  },
  {
    name = "IPv6 addresses in ACLs",
    reason = "Taken since 3.9.4; the generator sends them only for nodes that are missing.",
    explains = function(frame, record)
      return one_operation(frame, record, -114, -101, function(operation)
        return has_entry(operation, is_ipv6)
      end)
    end,
  },
  {
    name = "flags that do not belong to the operation",
    reason = "Apache makes a node of another kind than its own digest says; we refuse them. Sent "
      .. "only where the parent is missing.",
    explains = function(frame, record)
      return one_operation(frame, record, -101, -8, mismatched_flags)
    end,
  },
  {
    name = "an entry of an ACL without an id",
    reason = "Apache fails over the null (-5); such an ACL is an invalid one.",
    explains = function(frame, record)
      return one_operation(frame, record, -5, -114, function(operation)
        return has_entry(operation, is_without_id)
      end)
    end,
  },
  {
    name = "the order of what `auth` stands for",
    reason = "A connection's identities are a set; an ACL lists them as its server keeps them.",
    explains = function(frame, record)
      return record.op == 6 and codes(frame, 0, 0) and only(frame, { result = true })
        and same_in_another_order(frame.left.result, frame.right.result)
    end,
  },
  {
    name = "checkWatches of a path that does not begin with a slash",
    reason = "3.8 walks from the path to the root: it fails where there is none (-5), and finds "
      .. "nothing for a path without a name.",
    explains = function(frame, record)
      return record.op == 17 and record.path and record.path:sub(1, 1) ~= "/"
        and (codes(frame, -5, -121) or codes(frame, -5, 0)
          or record.path == "" and codes(frame, -121, 0)) and only(frame, ANSWER)
    end,
  },
  {
    name = "a count of entries below zero",
    reason = "Apache takes the list for empty and the entries for what follows it, we refuse it.",
    explains = function(frame, _)
      return frame.request ~= nil and frame.request.negative_count and codes(frame, -8, -5)
        and only(frame, ANSWER)
    end,
  },
  {
    name = "what follows an error",
    reason = "Apache appends an empty multi to the error of a multiRead of writes; no client reads "
      .. "behind an error.",
    explains = function(frame)
      return frame.request ~= nil and frame.request.op == 22 and codes(frame, -5, -5)
        and frame.left.rest == EMPTY_MULTI and frame.right.rest == nil
        and only(frame, { rest = true })
    end,
  },
  {
    name = "check outside a multi",
    reason = "3.8.0 logs what no server can load; 3.9.3 and later refuse it and close.",
    explains = function(frame, record)
      return record.op == 13 and codes(frame, -101, -6) and frame.right.zxid == NO_ZXID
        and only(frame, ANSWER_AND_ZXID)
    end,
  },
}

--- Known too, but never sent: each would leave the servers in different states, or an Apache server
--- unable to start.
known.unsent = {
  { "a wrong password for a session that is connected",
    "Apache closes the session's connection before it looks at the password, we look first." },
  { "standard and persistent watches of one connection on one path",
    "3.8 keeps one of them, 3.9.0 and later all." },
  { "removeWatches of kind 1 or 2 where the watch is persistent", "3.8 removes it, 3.9 does not." },
  { "a write in one burst behind a setACL, or behind a multi that fails, on the same node",
    "Apache judges it by the ACL before, or by what the multi would have left, as threads run." },
  { "more than one change in a multi under a quota",
    "Apache judges each by the usage before the multi, we by what those before it leave." },
  { "a null path in addWatch, removeWatches, setWatches2 or a multi",
    "To Apache it is a path, or fails the multi as a whole; we refuse it." },
  { "paths and tokens that are null or not UTF-8 in sync, setWatches and sasl",
    "Java gives other bytes back than it read, or closes the connection." },
  { "lists of ACLs of more entries than we keep", "Ours have a limit: -114." },
  { "a handshake longer than 1 KiB", "We close such a connection." },
  { "a request behind closeSession, other than to see that it changes nothing",
    "Apache answers it, mostly by -112, or does not, as its threads run; we never do." },
  { "an idle session's own watches when it expires",
    "Apache closes the connection, and may do so before it has written the events." },
  { "`stmk`", "Its argument changes what an Apache server writes into its log." },
  { "check alone with success, createTTL with flags of no ttl and a negative ttl, limits for the "
      .. "tree of quotas, statistics of a quota that are no numbers",
    "An Apache server does not start again with these in its log; we refuse them." },
}

-- Four-letter words ------------------------------------------------------------------------------

local OUR_METRICS = { zk_memory_bytes = true }

local function below(left, right)
  return left ~= nil and right ~= nil and tonumber(right) < tonumber(left)
end

--- Each explains one value of an answer: `explains(name, left, right)`, with the name and the two
--- values that words.lua gave it.
known.words = {
  {
    name = "what a connection at work is interested in", words = { stat = true, cons = true },
    reason = "Apache does not listen to a connection while it works for it, as for one that asks, "
      .. "and shows that.",
    explains = function(name, left, right)
      return name:match(" interest$") and left ~= "1" and right == "1"
    end,
  },
  {
    name = "when an answer counts as sent", words = { stat = true, cons = true },
    reason = "Apache counts it when it has written it, and may be about to.",
    explains = function(name, left, right)
      return name:match(" sent$") and below(right, left)
    end,
  },
  {
    name = "what is outstanding", words = { stat = true, srvr = true, mntr = true },
    reason = "Apache's count is wrong for good after requests behind closeSession, even below 0.",
    explains = function(name, left, right)
      return (name == "Outstanding" or name == "zk_outstanding_requests") and left and right == "0"
    end,
  },
  {
    name = "which requests are a connection's last", words = { cons = true },
    reason = "We note each as it comes, Apache as it answers, and none of auth and sasl.",
    explains = function(name, left, right)
      return name:match(" lcxid$") and below(right, left)
    end,
  },
  {
    name = "metrics of Apache's parts", words = { mntr = true },
    reason = "Its threads, queues, caches and quorum, most of which a server of one thread that "
      .. "stands alone has not.",
    explains = function(name, left, right)
      return left ~= nil and right == nil and not words.METRICS[name]
    end,
  },
  {
    name = "metrics of our parts", words = { mntr = true },
    reason = "The memory that the tree and its company take is not known to Apache.",
    explains = function(name, left, right)
      return OUR_METRICS[name] and left == nil and right ~= nil
    end,
  },
  {
    name = "the size of all data", words = { mntr = true },
    reason = "Apache writes a quota's statistics without counting them, and counts them when they "
      .. "are deleted: its sum drifts.",
    explains = function(name, left, right)
      return name == "zk_approximate_data_size" and tonumber(left) and tonumber(right)
    end,
  },
  {
    name = "the environment of a Java machine", words = { envi = true },
    reason = "There is none, nor a heap with limits (os.memory).",
    explains = function(name, left, right)
      return (name:match("^java%.") or name:match("^os%.memory%.")) and left == "is set"
        and right == nil
    end,
  },
  {
    name = "how often a recursive watch counts", words = { mntr = true },
    reason = "3.8 keeps it in both tables, 3.9.0 and later in one.",
    explains = function(name, left, right)
      return name == "zk_watch_count" and below(left, right)
        and tonumber(left) <= 2 * tonumber(right)
    end,
  },
  {
    name = "the last request of a connection that made none", words = { cons = true },
    reason = "Apache takes the handshake for request 0.",
    explains = function(name, left, right)
      return name:match(" lcxid$") and left == "0x0" and right == nil or name:match(" fields$")
        and left:gsub(" lcxid", "") == right:gsub(" lcxid", "")
    end,
  },
  {
    name = "the last request behind crst", words = { cons = true },
    reason = "Apache forgets it, we reset what is counted and timed.",
    explains = function(name, left, right)
      return name:match(" lop$") and left == "NA" or name:match(" lcxid$") and left == nil
        or name:match(" lzxid$") and type(left) == "table" and left.zxid == NO_ZXID
        and right ~= nil
    end,
  },
  {
    name = "connections that are gone", words = { dump = true },
    reason = "Apache lists them until they would have expired.",
    explains = function(name, left, right)
      return (name == "strangers" or name == "sockets") and below(left, right)
    end,
  },
  {
    name = "connections that watch nothing any more", words = { wchs = true, wchc = true },
    reason = "Apache goes on to count and to name those whose last watch has fired.",
    explains = function(name, left, right)
      return name == "connections" and below(left, right)
        or name:match("^session ") and left == "" and right == nil
    end,
  },
  {
    name = "sessions without ephemeral nodes any more", words = { dump = true },
    reason = "Apache goes on to name those whose last one a multi deleted.",
    explains = function(name, left, right)
      return name == "with_ephemerals" and below(left, right)
        or name:match("^ephemerals of ") and left == "" and right == nil
    end,
  },
}

local function word_explanations(frame)
  local names, seen = {}, {}
  for _, field in ipairs(frame.fields) do
    local by
    local name = field:gsub("^values%.", ""):gsub("%.zxid$", "")
    for _, rule in ipairs(known.words) do
      if rule.words[frame.left.word]
        and rule.explains(name, frame.left.values[name], frame.right.values[name]) then
        by = rule.name
      end
    end
    if not by then
      return nil
    elseif not seen[by] then
      names[#names + 1], seen[by] = by, true
    end
  end
  return names
end

local NO_RECORD = {}

--- The names of the rules that explain in what two frames differ, or nil.
---@return string[]|nil
function known.explanations(frame, context)
  if frame.fields[1] == "kind" then
    return nil
  elseif frame.kind == "word" then
    return word_explanations(frame)
  elseif frame.kind ~= "reply" and frame.kind ~= "event" then
    return nil
  end
  local record = frame.request and frame.request.record or NO_RECORD
  for _, rule in ipairs(known.rules) do
    if rule.explains(frame, record, context) then
      return { rule.name }
    end
  end
  return nil
end

return known
