-- Members while things go wrong: each keeps its node among the others' through all its sessions.
--
-- In quiet times the nodes are those of the living members, one each, with the data last set, and
-- of their present sessions; and whoever has followed the group sees the same. Nobody writes to
-- another's node. What was closed stays away.
local histories = require("sim.history")
local trials = require("zklua.sim.trial")
local vandal = require("sim.vandal")

local GROUP = "/jobs/group"

-- What a first creation may fail with: the name is taken by a session that has not ended yet, or
-- time was up.
local MAY_FAIL = { NODEEXISTS = true, TIMEOUT = true, NOTCONNECTED = true, SESSIONEXPIRED = true }

local function join(trial, zk, c, name, path)
  while true do
    local data = ("%s %.3f"):format(name, zk.now())
    trial.expected[path] = { data = data, client = c }
    local member, message, code = c:member(path, data, { wait = 1 + trial.world:random(name) * 9 })
    if member then
      return member
    elseif not MAY_FAIL[code] then
      error(message)
    end
    trial.expected[path] = nil
    zk.sleep(trial.world:random(name))
  end
end

-- Sets another data, again until it is known to have happened.
local function set(trial, zk, member, name, path)
  local data = ("%s %.3f"):format(name, zk.now())
  trial.expected[path].data = data
  while not member:set(data) do
    zk.sleep(0.1)
  end
end

-- Lives: sets, leaves, comes again, until all is well; then one of four leaves for good.
local function life(trial, slot)
  return function(zk, name)
    local world = trial.world
    local c = assert(zk.connect({ timeout = 1000 }))
    local path = GROUP .. "/" .. slot
    local member = join(trial, zk, c, name, path)
    local news = zk.event()
    c:on("state", function()
      news:set()
    end)
    while not trial.healing do
      zk.sleep(world:random(name) * 2)
      if world:random(name) < 0.6 then
        set(trial, zk, member, name, path)
      else
        c:exists(path, { watch = news, timeout = 1 })
        news:wait(world:random(name) * 4) -- also in the middle of healing
        c:unwatch(path, nil, news)
        assert(member:close())
        trial.expected[path] = nil
        zk.sleep(world:random(name) * 2)
        member = join(trial, zk, c, name, path)
      end
    end
    if world:random(name) < 0.25 then
      assert(member:close())
      trial.expected[path] = nil
      return c
    end
    set(trial, zk, member, name, path)
    return c, function()
      assert(member:close())
    end
  end
end

-- Follows the group by its changes alone.
local function observer(trial)
  return function(zk, name)
    local c = assert(zk.connect({ timeout = 1000 }))
    local cache = c:cache(GROUP)
    local changes = cache:changes()
    local seen = {}
    trial.seen[name] = seen
    zk.spawn(function()
      local function note(node)
        if node.path ~= "/" then
          seen[GROUP .. node.path] = node.data
        end
      end
      for event in changes do
        if event.type == "snapshot" then
          for path in pairs(seen) do
            seen[path] = nil
          end
          for _, node in ipairs(event.nodes) do
            note(node)
          end
        elseif event.type == "removed" then
          seen[GROUP .. event.path] = nil
        else
          note(event)
        end
      end
    end)
    return c, function()
      cache:close()
    end
  end
end

-- Whether `there` (path -> data) is what it has to be.
local function compare(trial, there, who)
  for path, expected in pairs(trial.expected) do
    if there[path] ~= expected.data then
      return nil, ("%s: %s holds %s and should hold %s"):format(who, path,
        tostring(there[path]), expected.data)
    end
  end
  for path in pairs(there) do
    if not trial.expected[path] then
      return nil, ("%s: %s is there, and its member is not"):format(who, path)
    end
  end
  return true
end

-- Data are written by the session that made the node, and by no other.
local function check_writes(history)
  for _, change in ipairs(history.changes) do
    local node = change.node
    if change.type == "changed" and node.owner and node.owner ~= change.session then
      return nil, ("session %s wrote to the node of session %s at zxid %d"):format(change.session,
        node.owner, change.zxid)
    end
  end
  return true
end

local function judge(trial)
  for path, expected in pairs(trial.expected) do
    if not expected.client then
      return nil, ("nobody has %s"):format(path)
    end
  end
  local history = histories.of(trial.server)
  local there = {}
  for _, path in ipairs(history:below(GROUP)) do
    local node = history.nodes[path]
    there[path] = node.data
    local expected = trial.expected[path]
    if expected and node.owner ~= expected.client:session().id then
      return nil, ("%s is of session %s, which its member has no more"):format(path,
        tostring(node.owner))
    end
  end
  local ok, message = check_writes(history)
  if ok then
    ok, message = compare(trial, there, "the server")
  end
  for _, process in ipairs(trial.processes) do
    if ok and process.status == nil and trial.seen[process.name] then
      ok, message = compare(trial, trial.seen[process.name], process.name)
    end
  end
  return ok, message
end

local function judge_closed(trial)
  local left = histories.of(trial.server):below(GROUP)
  if left[1] then
    return nil, ("%s is left, and every member is closed"):format(left[1])
  end
  return true
end

--- One seed: true, or nil and what went wrong; and the trial.
return function(seed, lines)
  local trial = trials.new({ seed = seed, lines = lines })
  trial.expected, trial.seen = {}, {} -- path -> { data, client }; observer -> path -> data
  for i = 1, trial.world:pick("member", 2, 6) do
    local slot = "member-" .. i
    trial:start(slot, life(trial, slot), { replaced = true })
  end
  for i = 1, trial.world:pick("member", 1, 3) do
    trial:start("observer-" .. i, observer(trial), { replaced = true })
  end
  if trial.world:random("member") < 0.5 then
    trial:start("vandal", vandal(trial, GROUP, 0))
  end
  return trial:run(judge, judge_closed)
end
