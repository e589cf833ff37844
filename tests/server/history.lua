--- Random requests to a server, and what they leave behind: the entries of its log, and its tree
--- after each of them.
local codec = require("wire.codec")
local prepared = require("server.prepared")

local history = {}

local LISTS = {
  prepared.open_acl,
  { prepared.acl(31, "world", "anyone"), prepared.acl(1, "ip", "10.0.0.1") },
  { prepared.acl(31, "ip", "127.0.0.1") },
}

--- Paths that meet again and again, up to three levels deep.
local function path_of(random)
  local path = ""
  for _ = 1, random.below(3) + 1 do
    path = path .. "/" .. random.pick({ "a", "b" })
  end
  return path
end

local function create_of(random)
  local kind = random.below(10)
  local more = { acl = random.pick(LISTS), data = ("d"):rep(random.below(40)) }
  if kind < 2 then
    more.flags = 1
  elseif kind == 2 then
    more.op, more.flags = 19, 4
  elseif kind == 3 then
    more.op, more.flags, more.ttl_ms = 21, 5, random.below(1000) + 1
  elseif kind == 4 then
    more.flags = 2
  elseif kind == 5 then
    more.op = 15
  end
  return prepared.create(path_of(random), more)
end

local function operation_of(random)
  local kind = random.below(10)
  if kind < 5 then
    return create_of(random)
  elseif kind < 8 then
    return prepared.delete(path_of(random), random.pick({ -1, -1, 0 }))
  end
  return prepared.set(path_of(random), ("x"):rep(random.below(60)), random.pick({ -1, -1, 0, 1 }))
end

local function request_of(random)
  local kind = random.below(12)
  if kind == 0 then
    return prepared.set_acl(path_of(random), random.pick(LISTS), -1)
  elseif kind == 1 then
    local operations = {}
    for i = 1, random.below(5) do
      operations[i] = operation_of(random)
    end
    return { op = 14, operations = operations }
  end
  return operation_of(random)
end

--- Runs `count` requests of up to three sessions, some of which end. At most `ahead` proposals
--- wait at any time. Gives the world (all committed), and a list with one element per zxid:
--- { payload, tree, digest, sessions }.
function history.run(seed, count, ahead)
  local random = codec.random(seed)
  local world = prepared.new({ ttl_nodes = true, seed = seed })
  local core, steps = world.core, {}

  local function commit(most)
    for _, entry in ipairs(world:log()) do
      steps[tonumber((entry.zxid:gsub("0x", "")), 16)] = { payload = entry.payload }
    end
    while #core:waiting() > most do
      core:commit(1)
      local state = core:state()
      local step = steps[tonumber((state.zxid:gsub("0x", "")), 16)]
      step.tree, step.digest, step.sessions = core:tree(), state.digest, core:sessions()
    end
  end

  local open = { world.connection }
  steps[1] = { payload = world.first_entry, tree = core:tree(), digest = core:state().digest,
    sessions = core:sessions() }
  for _ = 1, count do
    core:set_time(1000, 1000000 + random.below(100000))
    if random.below(25) == 0 and #open > 1 then
      core:close(table.remove(open, random.below(#open) + 1))
    elseif random.below(20) == 0 and #open < 3 then
      commit(0)
      local connection, _, payload = core:open() -- commits its own transaction
      open[#open + 1] = connection
      steps[#steps + 1] = { payload = payload, tree = core:tree(), digest = core:state().digest,
        sessions = core:sessions() }
    else
      core:ask(random.pick(open), request_of(random))
    end
    commit(random.below(ahead + 1))
  end
  commit(0)
  return world, steps
end

return history
