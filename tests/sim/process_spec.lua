-- Programs as simulated processes: isolated, in virtual time, against the real server core.
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")

local function new_world(seed)
  local world = worlds.new({ seed = seed or 1, lines = true })
  return world, servers.new(world)
end

local function start(world, name, main, options)
  options = options or {}
  options.name, options.main, options.servers = name, main, "10.0.0.1"
  return processes.start(world, options)
end

describe("a simulated process", function()
  it("is one of twelve that run the same script file", function()
    local function play(seed)
      local world = new_world(seed)
      local list = {}
      for i = 1, 12 do
        list[i] = processes.start(world, {
          name = "p" .. i, file = "scripts/lock.lua", arguments = { "1", "2" },
          servers = "10.0.0.1",
        })
      end
      world:run(60)
      local tokens = {}
      for _, process in ipairs(list) do
        assert.equal(0, process.status, process.failure)
        assert.same({}, process.errors)
        for token in process:text():gmatch("inside, turn %d of 2, token (0x%x+)") do
          tokens[#tokens + 1] = token
        end
      end
      assert.equal(24, #tokens)
      return world.hash
    end
    assert.equal(play(1), play(1))
    assert.are_not.equal(play(1), play(2))
  end)

  it("has globals and modules of its own", function()
    local world = new_world()
    local folder = os.tmpname()
    os.remove(folder)
    os.execute("mkdir " .. folder)
    local file = assert(io.open(folder .. "/program.lua", "w"))
    file:write([[
      package.path = package.path .. ";]] .. folder .. [[/?.lua"
      counter = (counter or 0) + 1
      string.marker = (string.marker or 0) + 1
      local counted = require "counted"
      counted.count = counted.count + 1
      print(counter, string.marker, counted.count, ...)
    ]])
    file:close()
    file = assert(io.open(folder .. "/counted.lua", "w"))
    file:write("return { count = 0 }")
    file:close()
    for i = 1, 2 do
      local process = processes.start(world, { name = "p" .. i, file = folder .. "/program.lua",
        arguments = { "x" } })
      world:run(world.time + 1)
      assert.equal("1\t1\t1\tx\n", process:text(), process.failure)
    end
    assert.is_nil(string.marker)
    os.execute("rm -r " .. folder)
  end)

  -- Runs a program of this text for a second.
  local function run(text)
    local world = new_world()
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write(text)
    file:close()
    local process = processes.start(world, { name = "p", file = name })
    os.remove(name)
    world:run(1)
    return process, name
  end

  for _, case in ipairs({
    { "real files", 'io.open("/etc/passwd")', "io.open", "tables or in nodes" },
    { "lines of real files", 'for _ in io.lines("/etc/passwd") do end', "io.lines", "in nodes" },
    { "removing files", 'os.remove("/tmp/none")', "os.remove", "in nodes" },
    { "renaming files", 'os.rename("/tmp/none", "/tmp/other")', "os.rename", "in nodes" },
    { "temporary names", "os.tmpname()", "os.tmpname", "in nodes" },
    { "temporary files", "io.tmpfile()", "io.tmpfile", "in nodes" },
    { "other programs", 'os.execute("true")', "os.execute", "into a function" },
    { "pipes to programs", 'io.popen("true")', "io.popen", "zk.run" },
    { "input", "io.read()", "io.read", "arguments" },
    { "input by name", "io.stdin:read()", "io.stdin:read", "arguments" },
    { "modules of the machine", 'require "luv"', "'luv'", "of C" },
    { "the registry", "debug.getregistry()", "debug.getregistry", "other processes" },
    { "taking off the hook", "debug.sethook()", "debug.sethook", "other processes" },
    { "upvalues of others", "debug.getupvalue(print, 1)", "debug.getupvalue", "other processes" },
  }) do
    it("refuses " .. case[1] .. ", and says what to do", function()
      local process, name = run("\n" .. case[2])
      assert.equal(1, process.status)
      assert.matches(name .. ":2: ", process.failure, 1, true)
      assert.matches(case[3] .. " is not to be had in a simulation: ", process.failure, 1, true)
      assert.matches(case[4], process.failure, 1, true)
    end)
  end

  it("says which file is not there", function()
    local process = run('dofile("/none/there.lua")')
    assert.matches("/none/there.lua: No such file", process.failure, 1, true)
  end)

  it("has dates of UTC, and one clock for all", function()
    local process = run([[
      print(os.time({ year = 2001, month = 9, day = 9, hour = 1, min = 46, sec = 40 }))
      print(os.date("%Y-%m-%d %H:%M:%S"), os.date("*t").hour, os.date("!%H", 0))
      print(os.time() - 1000000000, os.clock())
    ]])
    assert.equal("1000000000\n2001-09-09 01:46:40\t1\t00\n0\t0\n",
      (process:text():gsub("%.0", "")), process.failure)
  end)

  it("has methods of strings of its own", function()
    local process = run([[
      local zk = require "zklua"
      function string.shout(s) return s:upper() .. "!" end
      getmetatable("").__concat = "mine"
      zk.sleep(0.1)
      print(("word"):shout(), getmetatable("").__index == string)
    ]])
    assert.equal("WORD!\ttrue\n", process:text(), process.failure)
    assert.is_nil(string.shout) -- luacheck: ignore
    assert.is_nil(getmetatable("").__concat)
    assert.equal(string, getmetatable("").__index)
  end)

  it("calls finalizers when it is asked to, whatever the collector does", function()
    local world = new_world()
    local states = {}
    local process = start(world, "p", function(zk)
      local c = assert(zk.connect())
      assert(c:create("/n", "1"))
      local function state()
        states[#states + 1] = c._session.life.core:info().watches
      end
      assert(c:watch("/n"))
      collectgarbage() -- this program shares the host's globals: the collector comes by itself
      collectgarbage()
      zk.sleep(1)
      state()
      zk.sleep(1)
      state()
    end)
    world:run(1.5)
    process:finalize()
    world:run(10)
    assert.equal(0, process.status, process.failure)
    assert.same({ 1, 0 }, states)
  end)

  it("collects for itself", function()
    local world = new_world()
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write([[
      local zk = require "zklua"
      local c = assert(zk.connect())
      assert(c:create("/n", "1"))
      assert(c:watch("/n"))
      collectgarbage("step")
      collectgarbage("stop")
      print(c._session.life.core:info().watches)
      print(collectgarbage(), collectgarbage("isrunning"))
      zk.sleep(1)
      print(c._session.life.core:info().watches, collectgarbage("count") > 0)
    ]])
    file:close()
    local process = processes.start(world, { name = "p", file = name, servers = "10.0.0.1" })
    os.remove(name)
    world:run(10)
    assert.equal("1\n0\ttrue\n0\ttrue\n", process:text(), process.failure)
    assert.is_true(collectgarbage("isrunning"))
  end)

  it("knows the world's time and its own name", function()
    local world = new_world()
    local seen
    start(world, "web-1", function(zk)
      zk.sleep(90)
      seen = { zk.now(), zk.hostname() }
    end)
    world:run(100)
    assert.same({ 90, "web-1" }, seen)
  end)

  it("loses what it holds when it is killed, after its session's timeout and no later", function()
    local world = new_world()
    local first = start(world, "first", function(zk)
      local c = assert(zk.connect({ session_timeout = 6 }))
      c:lock("/l"):with(function(held)
        held:sleep(1000)
      end)
    end)
    local had
    start(world, "second", function(zk)
      zk.sleep(1)
      local c = assert(zk.connect({ session_timeout = 6 }))
      c:lock("/l"):with(function()
        had = world.time
      end)
    end)
    world:run(10)
    assert.is_nil(had)
    first:kill()
    world:run(30)
    assert.equal("killed", first.status)
    assert.is_true(had > 12 and had < 10 + 6 + 2 * 2, tostring(had)) -- a ping may be 2 s old
  end)

  it("is a stale holder that knows it when it was stopped for too long", function()
    local world = new_world()
    local valid, message
    local first = start(world, "first", function(zk)
      local c = assert(zk.connect({ session_timeout = 4 }))
      c:lock("/l"):with(function(held)
        held:create("/mark", "x")
        zk.sleep(3)
        valid = held:valid()
        message = select(3, held:set("/mark", "y"))
      end)
    end)
    world:run(1)
    first:pause(20)
    world:run(40)
    assert.is_false(valid)
    assert.equal("LOST", message)
  end)

  it("ends its waits when it is interrupted, and frees what it held", function()
    local world, server = new_world()
    local process = start(world, "p", function(zk)
      local c = assert(zk.connect())
      c:create("/e", "x", { ephemeral = true })
      assert(zk.sleep(1000))
    end)
    world:run(1)
    assert.equal(1, server.core:info().ephemerals)
    process:interrupt()
    world:run(2)
    assert.equal(1, process.status)
    assert.matches("interrupted by a signal", process.failure, 1, true)
    assert.equal(0, server.core:info().ephemerals)
  end)
end)

describe("a simulated server", function()
  it("keeps what it has acknowledged through any number of crashes", function()
    for seed = 1, 20 do
      local world, server = new_world(seed)
      local acknowledged = {}
      start(world, "writer", function(zk)
        local c = assert(zk.connect({ session_timeout = 30 }))
        for i = 1, 200 do
          if c:create("/n" .. i, "x") then
            acknowledged[#acknowledged + 1] = "/n" .. i
          end
          zk.sleep(0.01)
        end
      end)
      for _ = 1, 5 do
        world:run(world.time + 0.1 + world:random("crashes") * 0.5)
        server:crash()
        world:run(world.time + 0.2)
        server:start()
      end
      world:run(world.time + 60)
      assert.is_true(#acknowledged > 10)
      local missing
      start(world, "reader", function(zk)
        local c = assert(zk.connect())
        for _, path in ipairs(acknowledged) do
          if not c:exists(path) then
            missing = path
          end
        end
        missing = missing or false
      end)
      world:run(world.time + 60)
      assert.is_false(missing, ("seed %d"):format(seed))
    end
  end)

  it("keeps sessions over a restart, and ends them when nobody comes back", function()
    local world, server = new_world()
    local process = start(world, "p", function(zk)
      local c = assert(zk.connect({ session_timeout = 10 }))
      c:create("/e", "x", { ephemeral = true })
      zk.sleep(1000)
    end)
    world:run(1)
    server:crash()
    world:run(3)
    server:start()
    world:run(30)
    assert.equal(1, server.core:info().ephemerals)
    process:kill()
    world:run(50)
    assert.equal(0, server.core:info().ephemerals)
    assert.equal(0, server.core:info().sessions)
  end)

  it("expires a session on request", function()
    local world, server = new_world()
    local told
    start(world, "p", function(zk)
      local c = assert(zk.connect())
      c:on("expired", function()
        told = true
      end)
      zk.spawn(function()
        zk.sleep(1)
        world:at(world.time, function()
          server:expire(c:session().id)
        end)
      end)
      zk.sleep(10)
    end)
    world:run(20)
    assert.is_true(told)
  end)

  it("cannot be started twice, nor crash when it is down", function()
    local _, server = new_world()
    assert.error_matches(function() server:start() end, "runs already")
    server:crash()
    assert.error_matches(function() server:crash() end, "does not run")
  end)
end)
