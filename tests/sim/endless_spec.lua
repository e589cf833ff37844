-- Programs that never wait are ended, with the line where they were.
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")

-- Runs `text` as a program file, with small limits, for some virtual seconds.
local function run(text, seconds)
  local world = worlds.new({ seed = 1 })
  servers.new(world)
  local name = os.tmpname()
  local file = assert(io.open(name, "w"))
  file:write('local zk = require "zklua"\n', text)
  file:close()
  local process = processes.start(world, {
    name = "p", file = name, servers = "10.0.0.1", instructions_max = 1e6, turns_max = 1e4,
  })
  os.remove(name)
  world:run(seconds or 10)
  return process, name, world
end

describe("a program that never waits", function()
  for _, case in ipairs({
    { "computes", "while true do end" },
    { "holds on by pcall", "while true do pcall(function() while true do end end) end" },
    { "calls functions of C", "while true do\nlocal _ = ('x'):rep(10) end", line = 3 },
    { "computes in a task", "zk.spawn(function()\nwhile true do end end) zk.sleep(5)", line = 3 },
    { "computes in a coroutine", "coroutine.wrap(function() while true do end end)()" },
    { "makes coroutine after coroutine",
      "while true do\nlocal co = coroutine.create(next) coroutine.resume(co, {}) end", line = 3 },
    { "stands in a call of the library",
      "local event = zk.event()\nwhile true do event:set() end", line = 3 },
  }) do
    it("and " .. case[1] .. " is ended", function()
      local process, name, world = run(case[2])
      assert.equal(1, process.status)
      assert.matches("p has computed for 1000000 instructions without a wait, last at "
        .. name .. ":" .. (case.line or 2), process.failure, 1, true)
      assert.matches("zk.pause, zk.sleep", process.failure, 1, true)
      assert.matches("traceback", process.failure, 1, true)
      assert.same({}, process.errors)
      assert.equal(10, world.time)
    end)
  end

  for _, case in ipairs({
    { "polls by zk.pause", "while true do\nzk.pause() end" },
    { "polls by zk.sleep(0)", "while true do\nzk.sleep(0) end" },
    { "polls by a sleep of no length", "while true do\nzk.sleep(1e-6) end" },
  }) do
    it("and " .. case[1] .. " is ended", function()
      local process, name = run(case[2])
      assert.equal(1, process.status)
      assert.matches("p took 10000 turns within less than 50 s of virtual time, last at "
        .. name .. ":3: it polls", process.failure, 1, true)
    end)
  end

  it("does not get in the way of one that computes and waits", function()
    local process = run([[
      local sum = 0
      for i = 1, 50 do
        for j = 1, 1e5 do sum = sum + j % 7 end
        zk.pause()
      end
      local generate = coroutine.wrap(function(...)
        for i = 1, select("#", ...) do coroutine.yield((select(i, ...))) end
        error({ "as it is" })
      end)
      print(generate(1, nil, 3), generate(), generate(), select(2, pcall(generate))[1])
      for _ = 1, 9000 do zk.pause() end
    ]])
    assert.equal(0, process.status, process.failure)
    assert.equal("1\tnil\t3\tas it is\n", process:text())
  end)

  it("lets the others go on", function()
    local world = worlds.new({ seed = 1 })
    servers.new(world)
    local got
    processes.start(world, { name = "endless", servers = "10.0.0.1", instructions_max = 1e6,
      connect = { session_timeout = 6 },
      main = function(zk)
        local c = assert(zk.connect())
        assert(c:lock("/l"):acquire())
        zk.sleep(1)
        while true do end -- luacheck: ignore
      end })
    processes.start(world, { name = "other", servers = "10.0.0.1", main = function(zk)
      local c = assert(zk.connect())
      zk.sleep(0.5)
      got = c:lock("/l"):acquire({ wait = 60 })
    end })
    world:run(30)
    assert.is_table(got)
  end)
end)
