-- The scheduler of virtual time meets the contract.
local contract = require("scheduler.contract")
local net = require("zklua.scheduler.sim_net")
local run = require("scheduler.run")
local schedulers = require("zklua.scheduler.sim")

local function listen(scheduler)
  local echo = schedulers.new({ world = scheduler.world, name = "echo" })
  local close = net.of(scheduler.world):listen(echo, "127.0.0.1:7", function(stream)
    echo.daemon(function()
      local bytes = stream:read()
      while bytes do
        stream:write(bytes)
        bytes = stream:read()
      end
      stream:close()
    end)
  end)
  return 7, close
end

contract(describe, it, assert, {
  name = "sim", make = schedulers.new, run = run, listen = listen,
})
