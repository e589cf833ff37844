--- What ends by itself, for sequences on servers with short times: sessions that nobody keeps
--- alive, and nodes that the reaper takes.
---
--- Each of these is followed by a wait until it has happened, and nothing else is asked meanwhile:
--- when exactly it happens is no server's fault. `state` is the generator's; see generator.lua for
--- its steps and errands.lua for `await`.
local arguments = require("differential.arguments")

local lives = {}

-- The servers grant what is asked for from two ticks of 200 ms on.
local SHORT_MS = { 400, 500, 700, 1000, 1, 0, -5 }
local GRANTED_MIN_MS = 400
-- Long enough for one burst, however busy the machine.
local ONE_BURST_MS = 3000
-- Kept alive by pings four times a second, for longer than that.
local KEPT_MS, KEPT_FOR_MS = 2000, 3500
local TTLS_MS = { 1, 40, 300, 700 }
local LONG_TTL = "0x493e0"
local OPEN = { arguments.WORLD }

local function create(path, flags)
  return { op = 1, path = path, data = "life", acl = OPEN, flags = flags or 0 }
end

local function container(path)
  return { op = 19, path = path, data = "", acl = OPEN, flags = 4 }
end

local function with_ttl(path, ttl, sequential)
  return { op = 21, path = path, data = "", acl = OPEN, flags = sequential and 6 or 5,
    ttl_ms = ttl }
end

local function delete(path)
  return { op = 2, path = path, version = -1 }
end

local function send(state, connection, records)
  local list = {}
  for i, record in ipairs(records) do
    list[i] = state:request({ record = record })
  end
  state:step({ kind = "send", connection = connection.number, requests = list })
end

-- A connection that is not `other`: opened when there is none.
local function another(state, other)
  for _, connection in ipairs(state.connections) do
    if connection ~= other then
      return connection
    end
  end
  return state:connect()
end

-- Sessions ----------------------------------------------------------------------------------------

-- What others see of it: one kind of watch on a path, as 3.8 knows no more.
local function watch_mark(state, connection, mark)
  local record = state.random:pick({
    { op = 3, path = mark, watch = true }, { op = 4, path = mark, watch = true },
    { op = 8, path = mark, watch = true }, { op = 106, path = mark, kind = 0 },
    { op = 106, path = mark, kind = 1 },
  })
  send(state, connection, { record })
end

-- Its connection is left open without a word, or closed without one; or the session is taken over
-- by a connection with a shorter timeout first.
local function abandon(state, connection, mark)
  local step = { kind = "await", ended = connection.session }
  local lives_ms = ONE_BURST_MS
  if not connection.fresh then
    if state.random:chance(50) then
      state:drop(connection)
    end
    local asked_ms = state.random:pick(SHORT_MS)
    lives_ms = math.max(asked_ms, GRANTED_MIN_MS)
    connection = state:connect(connection.session, asked_ms)
  end
  if state.random:chance(50) then
    state:drop(connection)
  else
    step.closes = connection.number
    state:forget(connection.number)
  end
  step.gone = { { path = mark, lives_ms = lives_ms, session = connection.session } }
  return step
end

-- A session of another that pings keep alive though its time is short.
local function keep_another(state, connection)
  return state:connect(another(state, connection).session, KEPT_MS)
end

--- A session with ephemeral nodes ends because nobody keeps it alive; it cannot be had back.
function lives.session(state)
  local connection
  if state.random:chance(30) then
    another(state) -- somebody has to see it
    connection = state:connect(nil, ONE_BURST_MS)
    connection.fresh = true
  else
    connection = state.random:pick(state.connections)
  end
  local session = connection.session
  local mark = ("%s/mark-%d"):format(state.root, session)
  local kept = not connection.fresh and state.random:chance(30) and keep_another(state, connection)
  if connection.fresh then
    send(state, connection, { create(mark, 1), create(state.root .. "/one-", 3) })
  else
    send(state, connection, { create(mark, 1) })
    watch_mark(state, another(state, connection), mark)
    state:barrier()
  end
  local step = abandon(state, connection, mark) -- nothing may be said to it any more
  if kept then
    step.keep, step.least_ms = kept.number, KEPT_FOR_MS
  end
  state:step(step)
  state:end_session(session)
  if kept then
    state:connect(kept.session)
  end
  state:barrier(true)
  state:refused(session)
  send(state, another(state), {
    { op = 3, path = mark }, { op = 12, path = state.root }, { op = 103, path = "" },
  })
end

-- Nodes -------------------------------------------------------------------------------------------

local function watches(state, base)
  local function any(path)
    return state.random:pick({
      { op = 3, path = path, watch = true }, { op = 12, path = path, watch = true },
      { op = 106, path = path, kind = 0 }, { op = 106, path = path, kind = 1 },
    })
  end
  return { any(base), any(base .. "/c"), any(base .. "/t0"), any(base .. "/kept") }
end

--- Containers that have lost their children and nodes whose ttl is over go; others stay.
function lives.nodes(state)
  -- Without a watch of its own, whose events would come between its replies at any place.
  local actor = state:connect(state.random:pick(state.connections).session)
  local watcher = another(state, actor)
  state.arenas = (state.arenas or 0) + 1
  local base = ("%s/reap-%d"):format(state.root, state.arenas)
  local before = {
    create(base), container(base .. "/c"), create(base .. "/c/x"), container(base .. "/new"),
    container(base .. "/kept"), create(base .. "/kept/x"), create(base .. "/kept/y"),
    container(base .. "/two"), create(base .. "/two/x"), create(base .. "/two/y"),
    with_ttl(base .. "/long", LONG_TTL),
    { op = 14, operations = { with_ttl(base .. "/held", "0x1"), create(base .. "/held/x") } },
  }
  local creates = 6 -- directly below base
  send(state, actor, before)
  send(state, watcher, watches(state, base))
  state:barrier()

  -- From the first of these on the reaper may come.
  local last = { delete(base .. "/c/x"), delete(base .. "/two/x"), delete(base .. "/kept/y") }
  local gone = { { path = base .. "/c", lives_ms = 0 }, { path = base .. "/two", lives_ms = 0 } }
  for i = 0, state.random:below(3) do
    local ttl_ms, sequential = state.random:pick(TTLS_MS), state.random:chance(30)
    local path = base .. "/t" .. i
    last[#last + 1] = with_ttl(path, ("0x%x"):format(ttl_ms), sequential)
    gone[#gone + 1] = {
      path = sequential and ("%s%010d"):format(path, creates) or path, lives_ms = ttl_ms,
    }
    creates = creates + 1
  end
  last[#last + 1] = delete(base .. "/two/y") -- so the last change below base is the reaper's
  send(state, actor, last)
  state:step({ kind = "await", gone = gone })
  state:barrier(true)
  send(state, watcher, { { op = 12, path = base }, { op = 4, path = base .. "/new" },
    { op = 4, path = base .. "/kept" }, { op = 4, path = base .. "/long" },
    { op = 4, path = base .. "/held" }, { op = 3, path = base .. "/c" } })

  send(state, actor, { delete(base .. "/held/x"), delete(base .. "/kept/x") })
  state:step({ kind = "await", gone = {
    { path = base .. "/held", lives_ms = 0 }, { path = base .. "/kept", lives_ms = 0 },
  } })
  state:barrier(true)
  send(state, actor, { { op = 12, path = base }, { op = 4, path = base .. "/new" } })
end

return lives
