--- Ephemerals are there if and only if their session is: the end of a session takes exactly its
--- nodes, a server that starts finds those of the sessions it finds, and no node that anybody sees
--- belongs to a session that is not there.
local histories = require("sim.core.history")
local reference = require("sim.reference")
local words = require("sim.core.words")

-- session -> { from, to }, zxids; without `to` it lives.
local function lives_of(log)
  local lives = {}
  for _, txn in ipairs(log) do
    if txn.type == -10 then
      lives[txn.session] = { from = txn.zxid }
    elseif txn.type == -11 and lives[txn.session] then
      lives[txn.session].to = txn.zxid
    end
  end
  return lives
end

local function check_owner(lives, path, stat, zxid)
  local owner = stat and stat.ephemeral_owner
  local life = owner and lives[owner]
  if owner and not (life and zxid >= life.from and zxid < (life.to or math.huge)) then
    return ("%s is there at zxid %d, and its session %s is not"):format(path, zxid, owner)
  end
end

-- In whatever anybody was shown.
local function check_sights(list, lives)
  for _, entry in ipairs(list) do
    local wrong
    if entry.kind == "tree" then
      for path, node in pairs(entry.nodes) do
        wrong = wrong or check_owner(lives, path, node.stat, entry.zxid)
      end
    elseif entry.kind == "reply" and entry.zxid then
      for _, value in ipairs({ entry.a or false, entry.b or false }) do
        local stat = type(value) == "table" and value.czxid and value or nil
        wrong = wrong or check_owner(lives, "a node of a reply", stat, entry.zxid)
      end
    end
    if wrong then
      return wrong
    end
  end
end

local function text(paths)
  return table.concat(words.sorted(paths), " ")
end

return function(list)
  local log = histories.log(list)
  local wrong = check_sights(list, lives_of(log))
  if wrong then
    return wrong
  end
  -- Nodes of sessions, by what was asked for and logged.
  local requests = histories.requests(list)
  local tree, sessions = reference.new(), 0
  local counts = { [0] = { sessions = 0, ephemerals = 0 } } -- by the length of the log
  for i, txn in ipairs(log) do
    tree:begin(txn.zxid, txn.time)
    if txn.type == -10 then
      tree:open(txn.session)
      sessions = sessions + 1
    elseif txn.type == -11 then
      local paths = tree:close(txn.session)
      sessions = sessions - 1
      local named, had = text(txn.paths), text(paths)
      if named ~= had then
        return ("zxid %d: session %s ends with %s, and had %s"):format(txn.zxid, txn.session,
          named, had)
      end
    elseif txn.type == 20 then
      tree:reap(txn.path)
    else
      local request = requests[txn.session] and requests[txn.session][txn.xid]
      if request then
        tree:write(request.operation, txn.session)
      end
    end
    counts[i] = { sessions = sessions, ephemerals = #tree:ephemerals() }
  end
  for _, entry in ipairs(list) do
    local right = entry.kind == "started" and counts[entry.count]
    if right and (right.sessions ~= entry.sessions or right.ephemerals ~= entry.ephemerals) then
      return ("a server starts with %d sessions and %d ephemerals, and %d and %d are right"):format(
        entry.sessions, entry.ephemerals, right.sessions, right.ephemerals)
    end
  end
end
