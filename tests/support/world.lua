--- A world of virtual time with one server in it, and programs that use that: for cases that are
--- played by hand, event by event. (zklua.sim.trial makes a world in which things go wrong by
--- themselves.)
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")

local function quiet() end

--- The world and its server; and start(name, main, session_timeout), which starts main(zk, name) as
--- a process whose connections tell nothing on their own.
---@param options zklua.sim.world.Options|nil  default: the seed 1
---@return table world
---@return table server
---@return fun(name: string, main: function, session_timeout: number|nil): table start
return function(options)
  local world = worlds.new(options or { seed = 1 })
  local server = servers.new(world)
  local function start(name, main, session_timeout)
    return processes.start(world, { name = name, servers = "10.0.0.1", main = main,
      connect = { session_timeout = session_timeout, log = quiet } })
  end
  return world, server, start
end
