--- Every answer is what the reference tree says, at the zxid it carries; what nobody knows of a
--- write is resolved by the log; and all nodes that are there after a start, and at the end, are
--- those of the reference.
local core = require("zklua.core")
local histories = require("sim.core.history")
local reference = require("sim.reference")
local words = require("sim.core.words")

local show = words.value

local M = {}

local WALL_BEGIN = 1e9 -- of the simulation
local CLOCK_ERROR = 2 -- milliseconds, of rounding
local REAP_TIME = 65000 -- milliseconds in which the server takes off what is due

-- Comparing ----------------------------------------------------------------------

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then
    return a == b
  end
  for key, value in pairs(a) do
    if not same(value, b[key]) then
      return false
    end
  end
  for key in pairs(b) do
    if a[key] == nil then
      return false
    end
  end
  return true
end

-- Names come in any order.
local function normal(operation, a)
  if type(a) ~= "table" then
    return a
  elseif operation.kind == "children" or operation.kind == "ephemerals" then
    return words.sorted(a)
  elseif operation.kind == "multi_read" then
    local results = {}
    for i, result in ipairs(a) do
      results[i] = result
      if result.op == "children" then
        results[i] = { op = "children", children = words.sorted(result.children) }
      end
    end
    return results
  end
  return a
end

local function compare(request, reply, code, a, b)
  if reply.code == code and same(normal(request.operation, reply.a), a) and same(reply.b, b) then
    return nil
  end
  return ("%s asked for %s: it was answered %s %s %s, and %s %s %s is right (zxid %s)"):format(
    request.who, show(request.operation), show(reply.code), show(reply.a), show(reply.b),
    show(code), show(a), show(b), tostring(reply.zxid))
end

local function compare_trees(entry, all)
  for path, node in pairs(all) do
    if not same(entry.nodes[path], node) then
      return ("%s at zxid %d is %s, and %s is right"):format(path, entry.zxid,
        show(entry.nodes[path]), show(node))
    end
  end
  for path in pairs(entry.nodes) do
    if not all[path] then
      return ("%s is there at zxid %d, and should not be"):format(path, entry.zxid)
    end
  end
end

-- Going through the log ----------------------------------------------------------

-- What was seen of the tree at each zxid: reads with their replies, and whole trees; and the
-- replies to writes, by who and xid.
local function sort_out(list, requests, sessions)
  local seen, written = {}, {}
  for _, entry in ipairs(list) do
    local request
    if entry.kind == "reply" and entry.zxid then
      request = requests[sessions[entry.who]][entry.xid]
      if not request then
        error("a reply to nothing")
      end
      if reference.WRITES[request.operation.kind] then
        written[request] = entry
      end
    end
    if entry.kind == "tree" or request and not written[request] then
      seen[entry.zxid] = seen[entry.zxid] or {}
      table.insert(seen[entry.zxid], { entry = entry, request = request })
    end
  end
  return seen, written
end

local function look(tree, seen, sessions)
  for _, sight in ipairs(seen or {}) do
    local entry, request, wrong = sight.entry, sight.request, nil
    if request then
      wrong = compare(request, entry, tree:read(request.operation, sessions[request.who]))
    else
      wrong = compare_trees(entry, tree:all())
    end
    if wrong then
      return wrong
    end
  end
end

-- One write that somebody asked for.
local function write(tree, txn, request, reply)
  if not request then
    return ("zxid %d is a request %d of %s, who never made it"):format(txn.zxid, txn.xid,
      txn.session)
  end
  local code, a, b = tree:write(request.operation, txn.session)
  if txn.type == -1 and core.codes[code or "OK"] ~= txn.code then
    return ("zxid %d: the log says error %d for %s, and %s is right"):format(txn.zxid, txn.code,
      show(request.operation), tostring(code))
  elseif txn.type ~= -1 and code then
    return ("zxid %d: the log holds %s, which has to fail with %s"):format(txn.zxid,
      show(request.operation), code)
  elseif reply and reply.zxid ~= txn.zxid then
    return ("request %d of %s has zxid %d in the log, and %d in its reply"):format(txn.xid,
      request.who, txn.zxid, reply.zxid)
  end
  return reply and compare(request, reply, code, a, b)
end

local function step(tree, txn, requests, written)
  tree:begin(txn.zxid, txn.time)
  local late = math.floor((WALL_BEGIN + txn.at) * 1000) - txn.time
  if late < -CLOCK_ERROR or late > CLOCK_ERROR then
    return ("zxid %d, of type %d, has a time that is %d ms off"):format(txn.zxid, txn.type, late)
  elseif txn.type == -10 then
    tree:open(txn.session)
  elseif txn.type == -11 then
    tree:close(txn.session, txn.paths)
  elseif txn.type == 20 then
    if not tree:may_reap(txn.path, txn.time) then
      return ("zxid %d: the server takes off %s, which is to stay"):format(txn.zxid, txn.path)
    end
    tree:reap(txn.path)
  else
    local request = requests[txn.session] and requests[txn.session][txn.xid]
    return write(tree, txn, request, written[request or false])
  end
end

-- What the server has left although its time is over.
local function overdue(tree, times, now)
  for path, node in pairs(tree.nodes) do
    local since = math.max(node.mtime + (node.ttl or 0), times[node.pzxid] or 0)
    if since < now - REAP_TIME and tree:may_reap(path, now) then
      return path .. " is still there, and was to be taken off"
    end
  end
end

--- Takes the reference through the log: the tree at its end, or nil and what is wrong.
function M.replay(list)
  local requests, sessions = histories.requests(list)
  local seen, written = sort_out(list, requests, sessions)
  local tree, times, quiet = reference.new(), {}, nil
  local wrong = look(tree, seen[0], sessions)
  for _, txn in ipairs(histories.log(list)) do
    wrong = wrong or step(tree, txn, requests, written) or look(tree, seen[txn.zxid], sessions)
    if wrong then
      return nil, wrong
    end
    times[txn.zxid], seen[txn.zxid] = txn.time, nil
  end
  seen[0] = nil
  local zxid = next(seen)
  if zxid then
    return nil, ("zxid %d was seen, and is not in the log"):format(zxid)
  end
  for _, entry in ipairs(list) do
    quiet = quiet or entry.kind == "quiet" and entry
  end
  wrong = quiet and overdue(tree, times, math.floor((WALL_BEGIN + quiet.at) * 1000))
  if wrong then
    return nil, wrong
  end
  return tree
end

function M.check(list)
  local tree, wrong = M.replay(list)
  return not tree and wrong or nil
end

return M
