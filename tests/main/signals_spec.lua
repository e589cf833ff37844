local apache = require("support.apache")
local program = require("support.program")
local zk = require("zklua")

local ZKLUA = program.zklua()
local SIGINT, SIGTERM, SIGHUP = 2, 15, 1

local function start(script)
  return program.start({ ZKLUA, "-s", apache.shared().connect_string, "-e",
    "local zk = require 'zklua' io.stdout:setvbuf('no')\n" .. script }, { stdin = true })
end

-- Programs that say "ready" and then would go on for ever; the first signal ends each of them.
local ENDLESS = {
  { name = "a wait", script = [[
      print("ready") assert(zk.sleep(60))]] },
  { name = "a wait that nobody checks, again and again", script = [[
      print("ready") while true do zk.sleep(60) end]] },
  { name = "a computation", script = [[
      print("ready") while true do end]] },
  { name = "a computation in a function of C", script = [[
      print("ready") local t = {} for i = 1, 1000 do t[i] = i end
      while true do table.sort(t, function(a, b) return a > b end) end]] },
  { name = "a generator that yields all the time", script = [[
      local next_number = coroutine.wrap(function() while true do coroutine.yield(1) end end)
      print("ready") while true do next_number() end]] },
  { name = "a generator whose errors are swallowed", script = [[
      local function generator() while true do coroutine.yield(1) end end
      print("ready")
      while true do
        local co = coroutine.create(generator)
        while coroutine.resume(co) do end
      end]] },
  { name = "a computation in a task while the main task waits", script = [[
      zk.spawn(function() print("ready") while true do end end) assert(zk.sleep(60))]] },
  { name = "a wait for a task", script = [[
      local task = zk.spawn(function() zk.sleep(60) end) print("ready") assert(task:wait())]] },
}

describe("a signal", function()
  for _, case in ipairs(ENDLESS) do
    it("ends " .. case.name, function()
      local child = start(case.script)
      child:says("ready")
      child:kill("sigint")
      local result = child:finish()
      assert.equal(SIGINT, result.signal, result.stderr)
      assert.equal("", result.stderr)
      assert.is_true(result.seconds < 3, result.seconds)
    end)
  end

  it("ends a read from standard input", function()
    local child = start("print('ready') print(io.read()) assert(zk.sleep(60))")
    child:says("ready")
    repeat -- until it sleeps in the read
      local stat = assert(io.open(("/proc/%d/stat"):format(child.pid)))
      local state = stat:read("*a"):match("%) (%a)")
      stat:close()
    until state == "S"
    child:kill("sigint")
    local result = child:finish()
    assert.truthy(result.stdout:find("^ready\nnil\tInterrupted"), result.stdout)
    assert.equal(SIGINT, result.signal)
  end)

  for name, number in pairs({ sigint = SIGINT, sigterm = SIGTERM, sighup = SIGHUP }) do
    it("named " .. name .. " cancels, lets the program clean up, shows in its status", function()
      local child = start([[
        print("ready")
        local slept, message, code = zk.sleep(60)
        print(slept, code, zk.shield(zk.sleep, 0.05))]])
      child:says("ready")
      child:kill(name)
      local result = child:finish()
      assert.equal("ready\nnil\tCANCELLED\ttrue\n", result.stdout)
      assert.equal(number, result.signal)
    end)
  end

  it("lets a computation clean up", function()
    local child = start([[
      print("ready")
      local ok, message = pcall(function() while true do end end)
      print(ok, message)
      print(zk.shield(zk.sleep, 0.3))
      print("cleaned")]])
    child:says("ready")
    child:kill("sigint")
    local result = child:finish()
    assert.equal("ready\nfalse\t(-e):3: interrupted\ntrue\ncleaned\n", result.stdout)
    assert.equal(SIGINT, result.signal)
  end)

  it("does not hide what goes wrong in the clean-up", function()
    local child = start([[print("ready") zk.sleep(60) error("not clean")]])
    child:says("ready")
    child:kill("sigint")
    assert.truthy(child:finish().stderr:find("not clean", 1, true))
  end)

  it("counts once when it comes twice at once, as timeout(1) sends it", function()
    local result = program.run({ "timeout", "0.3", ZKLUA, "-e",
      "local zk = require 'zklua' zk.sleep(60) print(zk.shield(zk.sleep, 0.2)) print('clean')" })
    assert.equal("true\nclean\n", result.stdout, result.stderr)
    assert.equal(124, result.code)
  end)

  for _, second in ipairs({ "sigint", "sigterm" }) do
    it("ends the program at once when it is the second, " .. second, function()
      local child = start([[
        print("ready") zk.sleep(60) print("cleaning") zk.shield(zk.sleep, 60)]])
      child:says("ready")
      child:kill("sigint")
      child:says("cleaning")
      -- A signal within a tenth of a second counts as the same; the program waits that out.
      zk.sleep(0.15)
      child:kill(second)
      local result = child:finish()
      assert.equal(second == "sigint" and SIGINT or SIGTERM, result.signal)
      assert.is_true(result.seconds < 3)
    end)
  end

  it("is not heard under nohup when it is SIGHUP", function()
    local child = program.start({ "sh", "-c", 'trap "" HUP; exec "$0" -e "$1"', ZKLUA,
      "print('ready') io.stdout:flush() require('zklua').sleep(0.3) print('done')" })
    child:says("ready")
    child:kill("sighup")
    local result = child:finish()
    assert.equal("ready\ndone\n", result.stdout)
    assert.equal(0, result.signal)
  end)
end)

describe("a signal on a real server", function()
  local c, path

  before_each(function()
    c = assert(zk.connect(apache.shared().connect_string))
    path = apache.fresh_path()
  end)

  after_each(function()
    c:close()
  end)

  -- Long sessions: what is gone at the end of the program was removed, and did not expire.
  for name, ending in pairs({ ["a wait"] = "assert(zk.sleep(60))",
    ["a loop"] = "while true do end" }) do
    for _, signal in ipairs({ "sigint", "sigterm" }) do
      it("removes ephemerals out of " .. name .. " by " .. signal, function()
        local child = start(([[
          local c = assert(zk.connect(nil, { session_timeout = 30 }))
          assert(c:create(%q, "", { ephemeral = true }))
          print("ready") ]] .. ending):format(path))
        child:says("ready")
        assert.truthy(c:exists(path))
        child:kill(signal)
        local result = child:finish()
        assert.is_false((c:exists(path)))
        assert.equal("", result.stderr)
      end)
    end
  end

  it("takes a waiting contender out of the line", function()
    local held = assert(c:lock(path):acquire())
    local child = start(([[
      local c = assert(zk.connect(nil, { session_timeout = 30 }))
      print("ready")
      print(c:lock(%q):acquire())]]):format(path))
    child:says("ready")
    while #assert(c:children(path)) < 2 do
      zk.sleep(0.01)
    end
    child:kill("sigint")
    local result = child:finish()
    assert.equal(SIGINT, result.signal)
    assert.truthy(result.stdout:find("CANCELLED", 1, true), result.stdout)
    assert.equal(1, #assert(c:children(path)))
    assert(held:release())
  end)

  it("frees a lock that is held", function()
    local child = start(([[
      local c = assert(zk.connect(nil, { session_timeout = 30 }))
      c:lock(%q):with(function() print("ready") while true do end end)]]):format(path))
    child:says("ready")
    child:kill("sigterm")
    child:finish()
    local held = assert(c:lock(path):acquire({ wait = 5 }))
    assert(held:release())
  end)
end)
