--- Every node of a server, asked for by a client of its own, without a network.
local core = require("zklua.core")

local M = {}

local ENDPOINT = "10.0.0.9:2181"

-- Client and server exchange what they have, until neither has anything.
local function exchange(client, server, on_reply)
  local link, connection, busy
  local function go()
    repeat
      busy = false
      local kind, a, b, c, d = client:event()
      while kind do
        busy = true
        if kind == "connect" then
          link, connection = a, server:accept()
          client:connected(link)
        elseif kind == "reply" then
          on_reply(a, b, c, d)
        end
        kind, a, b, c, d = client:event()
      end
      local output = link and client:output(link)
      while output do
        busy = true
        server:feed(connection, output)
        output = client:output(link)
      end
      local zxid = server:next_txn()
      while zxid do
        busy = true
        server:committed(zxid)
        zxid = server:next_txn()
      end
      while server:changed() do
        busy = true
      end
      local answer = link and server:output(connection)
      while answer do
        busy = true
        client:feed(link, answer)
        answer = server:output(connection)
      end
    until not busy
  end
  local function leave()
    server:closed(connection)
    while server:changed() do end
  end
  return go, leave
end

local function join(path, name)
  return (path == "/" and "/" or path .. "/") .. name
end

--- path -> { data, stat, perms } of all nodes of a server core that runs. It gets one more session,
--- and nothing may be on its way to a disk.
---@param system table  from core.simulate
function M.take(system, server)
  local client = system.client({ endpoints = { ENDPOINT }, session_timeout = 10 })
  local nodes, calls, ask = {}, {}, nil
  local go, leave = exchange(client, server, function(xid, code, a, b)
    assert(not code, code)
    calls[xid](a, b)
  end)
  local function call(method, path, answer)
    calls[assert(client[method](client, path))] = answer
  end
  function ask(path)
    local node = {}
    nodes[path] = node
    call("get", path, function(data, stat)
      node.data, node.stat = data, stat
    end)
    call("get_acl", path, function(list)
      node.perms = list[1].perms
    end)
    call("children", path, function(names)
      for _, name in ipairs(names) do
        ask(join(path, name))
      end
    end)
  end
  ask("/")
  go()
  leave()
  assert(client:pending() == 0, "the census has no answer")
  return nodes
end

--- All nodes that a server has which finds this log.
---@param payloads string[]
---@param options table  of core.server
function M.of_log(payloads, options)
  local system = core.simulate({ seed = 1, hostname = "census" })
  local server = system.server(options)
  for _, payload in ipairs(payloads) do
    server:replay(payload)
  end
  server:start()
  return M.take(system, server)
end

return M
