-- The scheduler of virtual time meets the contract.
local contract = require("scheduler.contract")
local net = require("zklua.scheduler.sim_net")
local schedulers = require("zklua.scheduler.sim")

local function run(scheduler, fn)
  local done, failure = scheduler.event(), nil
  scheduler.spawn(function()
    local ok, message = pcall(fn)
    failure = not ok and message or nil
    done:set()
  end)
  assert(done:wait(scheduler.now() + 20), "the test does not come to an end")
  if failure then
    error(failure, 0)
  end
end

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
