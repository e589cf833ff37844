--- The requests of a sequence that change no node: reads, watches and what belongs to a connection.
--- See requests.lua.
local arguments = require("differential.arguments")
local model = require("differential.model")

local reads = {}

-- Who addauth makes of a connection; arguments.lua has their digests.
local USERS = { "u:p", "bob:pw", "super:admin" }

--- A connection keeps one kind of watch on a path: 3.8 knows no more, 3.9 does.
local function claim(connection, path, mode)
  local kept = connection.modes[path]
  if kept and kept ~= mode then
    return false
  end
  connection.modes[path], connection.last_watched = mode, path
  return true
end

local function wants_watch(g, connection, path)
  return g.random:chance(g.watching) and claim(connection, path, "standard")
end

local function reader(op)
  return function(g, connection)
    local path = arguments.any_path(g)
    return { op = op, path = path, watch = wants_watch(g, connection, path) }
  end
end

reads.get_data = reader(4)
reads.get_children = reader(8)
reads.get_children2 = reader(12)

function reads.exists(g, connection)
  local path = arguments.any_path(g)
  local watch = not model.guarded(path) and wants_watch(g, connection, path)
  return { op = 3, path = path, watch = watch }
end

function reads.get_acl(g)
  return { op = 6, path = arguments.any_path(g) }
end

function reads.multi_read(g)
  local operations = {}
  for i = 1, g.random:below(5) do
    operations[i] = {
      op = g.random:pick({ 4, 8 }), path = arguments.any_path(g), watch = g.random:chance(30),
    }
  end
  return { op = 22, operations = operations }
end

function reads.add_watch(g, connection)
  local path = g.random:chance(20) and g.root or arguments.any_path(g)
  if g.random:chance(g.bad) then
    return { op = 106, path = path, kind = g.random:pick({ 2, 3, -1, 7, 100 }) }
  end
  local kind = g.random:below(2)
  if not claim(connection, path, kind == 0 and "persistent" or "recursive") then
    kind = connection.modes[path] == "recursive" and 1 or 0
    if connection.modes[path] == "standard" then
      return { op = 106, path = path, kind = 5 }
    end
  end
  return { op = 106, path = path, kind = kind }
end

-- Kinds 1 and 2 take persistent watches away in 3.8 and leave them in 3.9, and 4 and 5 are not
-- known to 3.8; 3 takes all away everywhere.
local function removable(g, connection, path)
  local mode = connection.modes[path]
  if mode == "persistent" then
    return g.random:pick({ 3, 5, 0, 6 })
  elseif mode == "recursive" then
    return g.random:pick({ 3, 4, 0, -1 })
  end
  return g.random:pick({ 1, 1, 2, 2, 3, 3, 4, 5, 0, 6 })
end

local function watched_path(g, connection)
  local path = arguments.any_path(g)
  if connection.last_watched and g.random:chance(60) then
    path = connection.last_watched
  end
  return path
end

function reads.remove_watches(g, connection)
  local path = watched_path(g, connection)
  local kind = removable(g, connection, path)
  if kind == 3 then
    connection.modes[path] = nil
  end
  return { op = 18, path = path, kind = kind }
end

function reads.check_watches(g, connection)
  local path = watched_path(g, connection)
  return { op = 17, path = path, kind = removable(g, connection, path) }
end

-- Events at once give a path back as Java decoded it.
local function is_ill_formed(path)
  for _, bad in ipairs(arguments.ILL_FORMED_ENDS) do
    if path:sub(-#bad) == bad then
      return true
    end
  end
  return false
end

local function watch_list(g, connection, mode)
  if g.random:chance(1) then
    return false
  end
  local list = {}
  for _ = 1, g.random:below(4) do
    local path = arguments.any_path(g)
    if not is_ill_formed(path) and claim(connection, path, mode) then
      list[#list + 1] = path
    end
  end
  return list
end

local function set_watches_record(g, connection, op)
  return {
    op = op,
    data_watches = watch_list(g, connection, "standard"),
    exist_watches = watch_list(g, connection, "standard"),
    child_watches = watch_list(g, connection, "standard"),
  }
end

function reads.set_watches(g, connection)
  return set_watches_record(g, connection, 101)
end

function reads.set_watches2(g, connection)
  local record = set_watches_record(g, connection, 105)
  record.persistent_watches = watch_list(g, connection, "persistent")
  record.recursive_watches = watch_list(g, connection, "recursive")
  return record
end

function reads.get_ephemerals(g)
  return { op = 103, path = g.random:pick({ "", "/", g.root, g.root .. "/", g.root .. "/a",
    g.model:pick(g.random), "nothing", " ", false }) or nil }
end

function reads.get_all_children_number(g)
  return { op = 104, path = arguments.any_path(g) }
end

function reads.sync(g)
  local path = g.model:pick(g.random)
  local odd = { g.root .. "/void", "/", "", "a//", "/\195\164" }
  return { op = 9, path = g.random:chance(40) and path or g.random:pick(odd) }
end

function reads.who_am_i()
  return { op = 107 }
end

function reads.ping()
  return { op = 11 }
end

function reads.reconfig(g)
  return g.random:pick({
    { op = 16, zxid = -1 }, { op = 16, joining = "server.5=127.0.0.1:1:2;3", zxid = -1 },
    { op = 16, leaving = "3", zxid = -1 }, { op = 16, members = "server.1=h:1:2;3", zxid = "0x5" },
    { op = 16, joining = "", leaving = "", members = "", zxid = 0 },
  })
end

--- Answered out of turn, so never sent behind another request.
function reads.auth(g)
  local which = g.random:below(10)
  if which < 8 then
    return { op = 100, scheme = "digest", data = g.random:pick(USERS) }
  elseif which < 9 then
    return { op = 100, scheme = "digest", data = g.random:pick({ "plain", "a:b:c", ":", ":x" }) }
  end
  return { op = 100, scheme = "ip", data = g.random:pick({ "", "1.2.3.4" }) }
end

--- SASL is not configured anywhere: answered, and nothing comes of it. Out of turn as auth is. Over
--- a null token Apache fails and closes, so none is sent.
function reads.sasl(g)
  return { op = 102, data = g.random:pick({ "", "token" }) }
end

--- Ends the connection.
function reads.bad_auth(g)
  return g.random:pick({
    { op = 100, scheme = "world", data = "anyone" }, { op = 100, scheme = "foo", data = "x" },
    { op = 100, scheme = "sasl", data = "x" }, { op = 100, scheme = "", data = "x" },
    { op = 100, scheme = "auth", data = "" }, { op = 100, scheme = "super", data = "admin" },
    { op = 100, scheme = "x509", data = "" },
  })
end


return reads
