-- Streams while things go wrong: writers change a small tree, and followers open streams of all
-- kinds on it, side by side, close them and open others.
--
-- The server's log says what each stream had to tell. Between two gaps its events are a piece of
-- that without a hole, in the same order, none twice; after a gap none is missing of what the
-- server has done since the gap was read; at the end all is there. `closed` comes last and only
-- where a session ends for good. Who reads again at each gap and each event ends with the truth.
local histories = require("sim.history")
local trials = require("zklua.sim.trial")

local ROOT = "/tree"
local PATHS = { "/tree/a", "/tree/a/x", "/tree/a/y", "/tree/b", "/tree/b/x", "/tree/c" }
local QUIET = 3 -- seconds without an event

-- Writers ------------------------------------------------------------------------

local function change(trial, c, name)
  local world = trial.world
  local path = PATHS[world:pick(name, 1, #PATHS)]
  local what, limit = world:random(name), { timeout = 2 }
  if what < 0.35 then
    local ephemeral = path:find("/[xc]$") and world:random(name) < 0.3
    c:create(path, "", { ephemeral = ephemeral, timeout = 2 })
  elseif what < 0.6 then
    c:set(path, tostring(world.time), limit)
  elseif what < 0.8 then
    c:delete(path, { recursive = world:random(name) < 0.5, timeout = 2 })
  elseif what < 0.9 then -- several changes with one zxid
    c:transaction():create(path, ""):set(path, "more"):set(ROOT, "touched"):commit(limit)
  else
    c:transaction():delete(path):create(path, "again"):commit(limit)
  end
end

local function writer(trial)
  return function(zk, name)
    local c = assert(zk.connect({ timeout = 1000 }))
    while not trial.healing do
      change(trial, c, name)
      zk.sleep(trial.world:random(name) * 0.6)
    end
    for _ = 1, 10 do
      change(trial, c, name)
      zk.sleep(trial.world:random(name) * 0.6)
    end
    trial.writing = trial.writing - 1
    return c
  end
end

-- Followers ----------------------------------------------------------------------

local function random_watch(world, name)
  local watch = { path = world:random(name) < 0.5 and ROOT or PATHS[world:pick(name, 1, #PATHS)] }
  watch.recursive = world:random(name) < 0.5
  if not watch.recursive then
    local kind = world:random(name)
    watch.data, watch.children = kind > 0.2, kind < 0.8
  end
  return watch
end

-- The tree from `path` down as its reader knows it: path -> data.
local function read_below(c, path, known)
  local data = c:get(path)
  known[path] = data
  for _, child in ipairs(data and c:children(path) or {}) do
    read_below(c, path .. "/" .. child, known)
  end
end

-- Keeps what is known up to date: the tree is read again after a gap, a node after its event.
local function note(c, known, path, event)
  if event.type == "gap" then
    for old in pairs(known) do
      known[old] = nil
    end
    read_below(c, path, known)
  elseif event.type ~= "closed" then
    known[event.path] = c:get(event.path)
  end
end

-- Follows one stream until `time`, or until all is over; true when it is. What was seen is kept.
local function follow(trial, zk, c, name, time)
  local server = trial.server
  local watch = random_watch(trial.world, name)
  local stream, message, code = c:watch(watch.path, { recursive = watch.recursive,
    data = watch.data, children = watch.children, timeout = 20 })
  if not stream then
    if code ~= "TIMEOUT" and code ~= "NOTCONNECTED" and code ~= "SESSIONEXPIRED"
      and code ~= "CONNECTIONLOSS" and code ~= "CLOSED" then
      error(message)
    end
    return false
  end
  -- Each piece holds the events between two gaps, and what the server had done at its beginning.
  local record = { watch = watch, name = name, { since = histories.latest(server) } }
  trial.records[#trial.records + 1] = record
  record.known = watch.recursive and trial.world:random(name) < 0.5 and {} or nil
  if record.known then
    read_below(c, watch.path, record.known)
  end
  local still, latest = 0, nil
  while zk.now() < time or trial.healing and not record.done do
    local event, _, why = stream:next(trial.healing and QUIET or 0.5)
    if event and event.type == "gap" then
      record[#record + 1] = { since = histories.latest(server) }
    elseif event then
      local piece = record[#record]
      piece[#piece + 1] = event
    end
    if event and record.known then
      note(c, record.known, watch.path, event)
    end
    if why and why ~= "TIMEOUT" then
      record.code = why
      return false
    end
    -- All was seen when nothing has come several times in a row, nor been done.
    local quiet = not event and latest == histories.latest(server) and trial.writing == 0
    still = quiet and trial.healing and c:state() == "connected" and still + 1 or 0
    latest = histories.latest(server)
    record.done = still >= 3 and latest
  end
  stream:close()
  record.code = select(3, stream:next())
  return record.done
end

-- A client which renews itself or does not, is closed now and then, and is followed by another.
local function new_supply(trial, zk, name)
  local function connect()
    local stops = trial.world:random(name) < 0.5
    return assert(zk.connect({ timeout = 1000, on_expire = stops and "stop" or nil }))
  end
  local supply = { client = connect() }
  function supply.renew(old)
    if supply.client == old then
      supply.client = nil
      old:close()
      supply.client = connect()
    end
  end
  function supply.get()
    while not supply.client do
      zk.sleep(0.1)
    end
    return supply.client
  end
  return supply
end

local function follower(trial)
  return function(zk, name)
    local world = trial.world
    local supply = new_supply(trial, zk, name)
    local tasks = {}
    for i = 1, world:pick(name, 1, 3) do
      local row = name .. " " .. i
      tasks[i] = zk.spawn(function()
        local c, done
        repeat
          c = supply.get()
          done = follow(trial, zk, c, row, zk.now() + world:random(row) * 10)
          local ended = c:state() == "expired"
          if not done and (ended or world:random(row) < 0.1 and not trial.healing) then
            supply.renew(c)
          end
        until done
      end)
    end
    for _, task in ipairs(tasks) do
      task:wait()
    end
    return supply.get()
  end
end

-- The judgement ------------------------------------------------------------------

local function text(event)
  return ("%s %s %d"):format(event.type, event.path, event.zxid or 0)
end

-- Where `piece` begins in what the stream had to tell from `from` on: an index, or nil.
local function find(expected, from, piece)
  local first = piece[1] and text(piece[1])
  for i = from, #expected do
    if text(expected[i]) == first then
      return i
    end
  end
end

-- The index behind the last event of `piece`; or nil, message.
local function match(expected, from, piece)
  if not piece[1] then
    return from
  end
  local at = find(expected, from, piece)
  if not at then
    return nil, ("%s was told, which did not happen then"):format(text(piece[1]))
  elseif at > 1 and at > from and expected[at - 1].zxid > piece.since then
    return nil, ("%s was not told, after %d"):format(text(expected[at - 1]), piece.since)
  end
  for _, event in ipairs(piece) do
    if not expected[at] or text(expected[at]) ~= text(event) then
      return nil, ("%s was told in the place of %s"):format(text(event),
        expected[at] and text(expected[at]) or "nothing")
    end
    at = at + 1
  end
  return at
end

local function check_record(history, record)
  local expected = history:events(record.watch)
  local at, message = 1, nil
  for i, piece in ipairs(record) do
    local last = piece[#piece]
    if last and last.type == "closed" then
      if i ~= #record or record.code ~= "CLOSED" then
        return nil, "something came after closed"
      end
      piece[#piece] = nil
    end
    at, message = match(expected, at, piece)
    if not at then
      return nil, message
    end
  end
  local last = record[#record]
  while not last[1] and expected[at] and expected[at].zxid <= last.since do
    at = at + 1 -- was done before, or it may have been: it was not on the disk yet
  end
  if record.done and expected[at] and expected[at].zxid <= record.done then
    return nil, ("%s was not told at the end"):format(text(expected[at]))
  elseif record.code ~= "CLOSED" and record.code then
    return nil, ("it ended with %s"):format(record.code)
  end
  return true
end

-- What a reader knew at its end against the server's tree at that time.
local function check_known(trial, record)
  local there = histories.of(trial.server, record.done)
  local path = record.watch.path
  local below = there:below(path)
  below[#below + 1] = there.nodes[path] and path
  for _, name in ipairs(below) do
    if record.known[name] ~= there.nodes[name].data then
      return nil, ("%s is known as %s and holds %s"):format(name, tostring(record.known[name]),
        there.nodes[name].data)
    end
  end
  for name in pairs(record.known) do
    if not there.nodes[name] then
      return nil, ("%s is known and gone"):format(name)
    end
  end
  return true
end

local function judge(trial)
  local history = histories.of(trial.server)
  for _, record in ipairs(trial.records) do
    local ok, message = check_record(history, record)
    if ok and record.done and record.known then
      ok, message = check_known(trial, record)
    end
    if not ok then
      return nil, ("%s, the %s of %s: %s"):format(record.name,
        record.watch.recursive and "tree" or "node", record.watch.path, message)
    end
  end
  return true
end

--- One seed: true, or nil and what went wrong; and the trial.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.records = {}
  trial:look(function(c)
    assert(c:create(ROOT, ""))
  end)
  trial.writing = trial.world:pick("stream", 1, 3)
  for i = 1, trial.writing do
    trial:start("writer-" .. i, writer(trial), { replaced = true })
  end
  for i = 1, trial.world:pick("stream", 2, 6) do
    trial:start("follower-" .. i, follower(trial), { replaced = true })
  end
  return trial:run(judge)
end
