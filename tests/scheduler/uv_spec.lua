-- The scheduler over libuv meets the contract, and lives with whatever else uses the loop.
local child = require("support.child")
local uv = require("luv")
local contract = require("scheduler.contract")
local run = require("scheduler.run")
local schedulers = require("zklua.scheduler.uv")

local function listen()
  local server = uv.new_tcp()
  server:bind("127.0.0.1", 0)
  server:listen(16, function()
    local peer = uv.new_tcp()
    server:accept(peer)
    peer:read_start(function(_, chunk)
      if chunk then
        peer:write(chunk)
      else
        peer:close()
      end
    end)
  end)
  return server:getsockname().port, function()
    server:close()
  end
end

contract(describe, it, assert, {
  name = "uv", make = schedulers.new, run = run, listen = listen,
})

describe("the scheduler uv", function()
  it("pumps the loop on a plain main thread", function()
    local scheduler = schedulers.new()
    assert.equal("pump", scheduler.waiting())
    local event = scheduler.event()
    scheduler.spawn(function()
      scheduler.sleep(0.01)
      event:set()
    end)
    assert.is_true(event:wait())
    assert.is_false(event:wait(scheduler.now() + 0.01))
  end)

  it("refuses to wait inside a callback of the loop", function()
    local scheduler = schedulers.new()
    local mode, reason, failure
    local timer = uv.new_timer()
    local event = scheduler.event()
    timer:start(1, 0, function()
      timer:close()
      mode, reason = scheduler.waiting()
      failure = select(2, pcall(scheduler.event().wait, scheduler.event()))
      event:set()
    end)
    assert.is_true(event:wait())
    assert.is_nil(mode)
    assert.matches("callback of the event loop", reason, 1, true)
    assert.matches("cannot wait", failure, 1, true)
  end)

  it("is woken by a set from a callback that is not its own", function()
    local scheduler = schedulers.new()
    local event, seen = scheduler.event(), false
    scheduler.spawn(function()
      event:wait()
      seen = true
    end)
    local timer = uv.new_timer()
    timer:start(5, 0, function()
      timer:close()
      event:set()
    end)
    uv.run() -- the program's own loop: it lives until the task has ended, and no longer
    assert.is_true(seen)
  end)

  it("does not keep a loop alive for daemons", function()
    local scheduler = schedulers.new()
    scheduler.daemon(function()
      scheduler.sleep(1000)
    end)
    local began = scheduler.now()
    uv.run()
    assert.is_true(scheduler.now() - began < 5)
  end)

  it("keeps the loop alive for a coroutine that sleeps", function()
    local scheduler = schedulers.new()
    local ended = false
    scheduler.spawn(function()
      scheduler.sleep(0.03)
      ended = true
    end)
    uv.run()
    assert.is_true(ended)
  end)

  it("reads a socket before a timer that is due at the same time", function()
    local scheduler = schedulers.new()
    local port, close = listen()
    run(scheduler, function()
      local stream = assert(scheduler.connect({ host = "127.0.0.1", port = port },
        scheduler.now() + 5))
      local order = {}
      scheduler.spawn(function()
        stream:read()
        order[#order + 1] = "read"
      end)
      scheduler.sleep(0)
      assert(stream:write("x"))
      local until_late = scheduler.now() + 0.05
      scheduler.spawn(function()
        scheduler.event():wait(until_late)
        scheduler.sleep(0)
        order[#order + 1] = "timer"
      end)
      scheduler.sleep(0)
      while scheduler.now() < until_late + 0.01 do end -- both are due when the loop comes round
      scheduler.sleep(0.02)
      assert.same({ "read", "timer" }, order)
      stream:close()
    end)
    close()
  end)

  it("leaves in the socket what a reader is not there for", function()
    local scheduler = schedulers.new()
    local TOTAL = 4 * 1024 * 1024
    local server = uv.new_tcp()
    server:bind("127.0.0.1", 0)
    server:listen(1, function()
      local peer = uv.new_tcp()
      server:accept(peer)
      peer:write(("x"):rep(TOTAL), function()
        peer:close()
      end)
    end)
    run(scheduler, function()
      local port = server:getsockname().port
      local stream = assert(scheduler.connect({ host = "127.0.0.1", port = port }))
      scheduler.sleep(0.1) -- time enough for all of it to come
      local held = 0
      for i = stream.first, stream.last do
        held = held + #stream.chunks[i]
      end
      assert.is_true(held > 0 and held <= 2 * 65536)
      local read = 0
      while read < TOTAL do
        read = read + #assert(stream:read())
      end
      assert.equal(TOTAL, read)
      stream:close()
    end)
    server:close()
    uv.run("nowait")
  end)

  -- The signal of a broken pipe would end the process, this one too: hence a child.
  it("fails a write to a peer that has gone, and leaves the signal to programs started later",
    function()
      local output, status = child.run([[
        local uv = require("luv")
        local scheduler = require("zklua.scheduler.uv").new()
        local server = uv.new_tcp()
        server:bind("127.0.0.1", 0)
        server:listen(8, function()
          local peer = uv.new_tcp()
          server:accept(peer)
          peer:close()
        end)
        scheduler.spawn(function()
          local port = server:getsockname().port
          local stream = assert(scheduler.connect({ host = "127.0.0.1", port = port }))
          local socket = stream.handle
          scheduler.sleep(0.05)
          print(uv.try_write(socket, "one")) -- answered by a reset
          scheduler.sleep(0.05)
          print(uv.try_write(socket, "two"))
          stream:close()
          server:close()
        end)
        scheduler.sleep(0.2)
        local pipe = io.popen("kill -PIPE $$; echo survived")
        io.write(pipe:read("*a"))
        pipe:close()
        uv.run("nowait")
      ]], "127.0.0.1:1", 20)
      assert.equal(0, status, output)
      assert.matches("^3\nnil\tEPIPE[^\n]*\n$", output)
    end)

  it("says who kept the loop from turning", function()
    local stalls = {}
    local scheduler = schedulers.new({
      on_stall = function(seconds, co)
        stalls[#stalls + 1] = { seconds, co }
      end,
    })
    scheduler.watch_stalls(0.02)
    local guilty
    run(scheduler, function()
      guilty = coroutine.running()
      local stop = scheduler.now() + 0.05
      while scheduler.now() < stop do end
      scheduler.sleep(0)
    end)
    assert.equal(1, #stalls)
    assert.is_true(stalls[1][1] >= 0.05)
    assert.equal(guilty, stalls[1][2])
  end)

  it("does not take waiting for work", function()
    local stalls = 0
    local scheduler = schedulers.new({
      on_stall = function()
        stalls = stalls + 1
      end,
    })
    scheduler.watch_stalls(0.02)
    run(scheduler, function()
      scheduler.sleep(0.06)
    end)
    scheduler.event():wait(scheduler.now() + 0.06)
    assert.equal(0, stalls)
  end)
end)
