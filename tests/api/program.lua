--- Runs the programs of the API's specs: each is one that a user would write, and is run in the
--- two places where users have theirs, on a plain main thread and in a task; and once more on the
--- server inside the process.
---
--- `program(name, fn)` gives `fn` the connect string of a real server with a chroot of its own,
--- and every wait of it ends after DEADLINE. `apart(name, fn)` is a program that does something to
--- that server, which "memory:" has not. `later(name, part, fn)` is a program that needs a
--- part of the contract which is not in this version: written out, not run, pending.
local chroot = require("support.chroot")
local facades = require("zklua.facade")
local runtimes = require("zklua.runtime")

local DEADLINE = 30 -- seconds

-- Runs `body`, with what the library would write to standard error kept instead: lines of its log
-- are thrown away, an error in a task that nobody waits for is a failure.
local function quietly(zk, body)
  local runtime, errors = zk.runtime, {}
  local on_error, log_hook = runtime.on_error, runtime.log_hook
  runtime.on_error = function(_, trace)
    errors[#errors + 1] = trace
  end
  runtime.log_hook = function() end
  local ok, message = pcall(body)
  runtime.on_error, runtime.log_hook = on_error, log_hook
  if not ok then
    error(message, 0)
  end
  assert(not errors[1], errors[1])
end

local function run(zk, servers, fn)
  return zk.timeout(DEADLINE, fn, servers, zk)
end

local function run_in_memory(fn)
  local zk, servers = facades.new(runtimes.new()), "memory:/program"
  quietly(zk, function()
    local c = assert(zk.connect("memory:"))
    assert(c:create("/program"))
    assert(c:close())
    run(zk, servers, fn)
  end)
end

---@param it function  busted's, which only the spec file sees
---@param pending function  busted's: a test that is not run
---@return fun(name: string, fn: fun(servers: string, zk: zklua)) program
---@return fun(name: string, part: string, fn: function) later
---@return fun(name: string, fn: fun(servers: string, zk: zklua)) apart
return function(it, pending)
  local function apart(name, fn)
    it(name .. " (main thread)", function()
      local zk = require("zklua")
      quietly(zk, function()
        run(zk, chroot("program"), fn)
      end)
    end)
    it(name .. " (task)", function()
      local zk = require("zklua")
      quietly(zk, function()
        zk.spawn(run, zk, chroot("program"), fn):wait(DEADLINE + 5)
      end)
    end)
  end

  local function program(name, fn)
    apart(name, fn)
    it(name .. " (memory:)", function()
      run_in_memory(fn)
    end)
  end

  local function later(name, part, fn)
    pending(name .. " (not in this version: " .. part .. ")", fn)
  end

  return program, later, apart
end
