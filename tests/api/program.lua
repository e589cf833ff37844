--- Runs the programs of the API's specs: each is one that a user would write, and is run in the
--- two places where users have theirs, on a plain main thread and in a task.
---
--- `program(name, fn)` gives `fn` the connect string of a real server with a chroot of its own,
--- and every wait of it ends after DEADLINE. `later(name, part, fn)` is a program that needs a
--- part of the contract which is not in this version: written out, loaded, and pending.
local chroot = require("support.chroot")

local DEADLINE = 30 -- seconds

local function run(fn)
  local zk = require("zklua")
  return zk.timeout(DEADLINE, fn, chroot("program"), zk)
end

local function run_as_task(fn)
  local zk = require("zklua")
  return zk.spawn(run, fn):wait(DEADLINE + 5)
end

---@param it function  busted's, which only the spec file sees
---@param pending function  busted's
---@return fun(name: string, fn: fun(servers: string, zk: zklua)) program
---@return fun(name: string, part: string, fn: function) later
return function(it, pending)
  local function program(name, fn)
    it(name .. " (main thread)", function()
      run(fn)
    end)
    it(name .. " (task)", function()
      run_as_task(fn)
    end)
  end

  local function later(name, part, fn)
    assert(type(fn) == "function")
    it(name, function()
      pending("not in this version: " .. part)
    end)
  end

  return program, later
end
