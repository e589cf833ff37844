-- How a process may end, or fork, with a client open: nothing crashes, a child writes nothing,
-- and the session is closed where there is still a way to.
local apache = require("support.apache")
local chroot = require("support.chroot")
local zk = require("zklua")

local LUA = rawget(_G, "jit") and "luajit" or "lua5.4"
local WAIT = 10

describe("a process that ends", function()
  local servers, c

  setup(function()
    servers = chroot("ending")
    c = assert(zk.connect(servers))
  end)

  teardown(function()
    c:close()
  end)

  -- Runs a program in a process of its own; what it printed, and how it ended.
  local function run(program)
    local prelude = ("package.path, package.cpath = %q, %q\n"
      .. "local zk, uv = require 'zklua', require 'luv'\n"
      .. "local c = assert(zk.connect(%q, { session_timeout = 3 }))\n"
      .. "assert(c:create('/here', '', { ephemeral = true }))\n"):format(
      package.path, package.cpath, servers)
    local result = assert(zk.run({ LUA, "-" }, {
      stdin = prelude .. program, stderr = "capture", timeout = 60,
    }))
    assert.equal(0, result.signal, result.stderr)
    return result
  end

  -- Whether the session was closed, rather than left to expire after 3 seconds.
  local function closed_at_once()
    local began = zk.now()
    while c:exists("/here") do
      assert(zk.now() - began < WAIT, "the session does not end")
      zk.sleep(0.01)
    end
    return zk.now() - began < 1.5
  end

  local CLOSES = {
    { "by its last line", "" },
    { "by an error", "error('x')", 1 },
    { "by os.exit that closes the state", "os.exit(7, true)", 7 },
    { "after it has dropped the client",
      "c = nil collectgarbage() collectgarbage() zk.sleep(0.5)" },
    { "with tasks, streams, values and caches about", [[
      stream, live, cache = assert(c:watch('/')), assert(c:live('/')), assert(c:cache('/'))
      assert(cache:ready())
      for _ = 1, 10 do zk.spawn(function() zk.event():wait() end) end
      zk.sleep(0.01)]] },
    { "after a loop of its own, in which a task waited", [[
      zk.spawn(function() assert(c:get('/here')) zk.sleep(0.05) print('task') end)
      uv.run()
      print('loop')]], 0, "task\nloop\n" },
    { "after it has walked the loop's handles", "uv.walk(function() end)" },
    { "with more than one client",
      "d = assert(zk.connect(" .. "'SERVERS'" .. ")) assert(d:get('/'))" },
  }
  for _, case in ipairs(CLOSES) do
    it(case[1] .. " closes its session", function()
      local result = run((case[2]:gsub("SERVERS", servers)))
      assert.equal(case[3] or 0, result.code, result.stderr)
      if case[4] then
        assert.equal(case[4], result.stdout)
      end
      assert.is_true(closed_at_once())
    end)
  end

  it("by os.exit leaves its session to expire", function()
    assert.equal(3, run("os.exit(3)").code)
    assert.is_false(closed_at_once())
  end)

  it("with requests under way does not crash", function()
    assert.equal(0, run("for _ = 1, 100 do zk.spawn(c.get, c, '/') end assert(c:get('/'))").code)
    closed_at_once()
  end)

  -- Luv's loop calls back what was under way when the state is closed, after nearly all is gone.
  for _, where in ipairs({ "nohost.invalid", "127.0.0.1:" .. apache.unused_port() }) do
    for turns = 0, 3 do
      it(("%d turns after it began to connect to %s is silent"):format(turns, where), function()
        local result = run(([[
          for _ = 1, 8 do zk.spawn(zk.connect, %q, { timeout = 20 }) end
          for _ = 1, %d do assert(zk.pause()) end]]):format(where, turns))
        assert.equal("", result.stderr)
        assert.equal(0, result.code)
        closed_at_once()
      end)
    end
  end

  it("closed its client before, and has nothing left to do", function()
    assert.equal(0, run("assert(c:close())").code)
    assert.is_true(closed_at_once())
  end)

  it("calls of a callback of the loop are refused, and the loop goes on", function()
    local result = run([[
      local timer = uv.new_timer()
      timer:start(1, 0, function()
        timer:close()
        print(select(2, pcall(c.get, c, '/')))
        zk.spawn(function() print(c:exists('/') ~= nil) end)
      end)
      uv.run()]])
    assert.matches("get cannot wait inside a callback of the event loop: "
      .. "start a task with zk.spawn", result.stdout, 1, true)
    assert.matches("true\n", result.stdout, 1, true)
    closed_at_once()
  end)

  it("keeps to its own session after a fork", function()
    local result = run([[
      local host = require('zklua_testing').host
      print(host.fork(function()
        local ok, message = pcall(c.set, c, '/here', 'from the child')
        local closed = pcall(c.close, c, 0.1)
        c = nil
        collectgarbage()
        return tostring(ok) .. ' ' .. tostring(message)
      end))
      print(assert(c:get('/here')) == '', c:state())]])
    assert.matches("false .*connect again after fork", result.stdout)
    assert.matches("true\tconnected", result.stdout, 1, true)
    assert.is_true(closed_at_once())
  end)
end)
