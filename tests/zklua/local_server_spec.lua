-- `local:`, with the helper that users have: started on demand, shared, killed, in the way.
local facades = require("zklua.facade")
local places = require("support.local")
local program = require("support.program")
local runtimes = require("zklua.runtime")
local uv = require("luv")
local zkserver = require("support.zkserver")

local WAIT = 10 -- seconds, at most, for what comes at once
local SESSION = 60 -- seconds that a session lives without its process: nothing here waits for that

describe("local:", function()
  local place, zk, logged

  before_each(function()
    place, logged = places.new(), {}
    zk = facades.new(runtimes.new({
      connect = { session_timeout = SESSION, timeout = WAIT },
      log = function(level, message)
        logged[#logged + 1] = level .. " " .. message
      end,
    }))
  end)

  after_each(function()
    zk.runtime:close(1)
    place:remove()
  end)

  local function connect(options)
    return assert(zk.connect(place.servers, options))
  end

  local function eventually(predicate)
    local deadline = zk.now() + WAIT
    while not predicate() do
      assert(zk.now() < deadline, "it never came to it")
      zk.sleep(0.005)
    end
  end

  -- How many servers this runtime starts from now on.
  local function count_starts()
    local machine = zk.runtime.scheduler.machine
    local start, count = machine.start_server, 0
    machine.start_server = function(...)
      count = count + 1
      return start(...)
    end
    return function()
      return count
    end
  end

  describe("a server", function()
    it("is started where there is none, and is one for all", function()
      local a = connect()
      assert(a:create("/from-here", "x"))
      assert.equal("", place:run("assert(zk.connect():create('/from-there', 'y'))").stderr)
      assert.equal("y", (assert(a:get("/from-there"))))
      local host, pid = place:holder()
      assert.equal(zk.hostname(), host)
      assert.is_true(pid ~= uv.os_getpid())
      assert.same({ "info", "session" }, { logged[1]:match("^(%w+) (%w+)") })
    end)

    it("keeps what it was given", function()
      assert(connect():create("/kept", "x"))
      zk.runtime:close(1)
      place:signal("sigterm")
      eventually(function() return not place:alive() end)
      assert.equal("x", (assert(connect():get("/kept"))))
    end)

    it("is started once by tasks that come together", function()
      local starts = count_starts()
      zk.group(function(group)
        for _ = 1, 20 do
          group:spawn(connect)
        end
      end)
      assert.equal(1, starts())
    end)

    it("is one, whoever of several programs begins #once", function()
      local programs = {}
      for i = 1, 4 do
        programs[i] = place:start("local c = assert(zk.connect()) print(c:create('/n-', '', "
          .. "{ sequential = true }))")
      end
      local names = {}
      for i = 1, 4 do
        local result = programs[i]:finish()
        assert.equal(0, result.code, result.stderr)
        names[i] = result.stdout:match("/n%-(%d+)")
      end
      table.sort(names)
      assert.same({ "0000000000", "0000000001", "0000000002", "0000000003" }, names)
    end)

    it("stays when the program that has started it is killed #once", function()
      local first = place:start("local c = assert(zk.connect()) print('up') zk.sleep(60)")
      first:says("up")
      local c = connect()
      local _, pid = place:holder()
      first:kill("sigkill")
      first:finish()
      assert(c:create("/on"))
      assert.same({ pid }, { select(2, place:holder()) })
    end)

    it("does not hold the program that has started it #once", function()
      local result = place:run("zk.connect() print('end')")
      assert.equal("end\n", result.stdout)
      assert.equal(0, result.code)
      assert.is_true(place:alive())
    end)

    it("is not started by a program that does not connect #once", function()
      assert.equal(0, place:run("").code)
      assert.is_nil(uv.fs_stat(place.directory))
    end)

    it("ends when nobody needs it, and is started again #slow #once", function()
      connect():close()
      local _, first = place:holder()
      eventually(function() return not place:alive() end)
      assert.is_nil(uv.fs_stat(place.directory .. "/sock"))
      connect()
      assert.is_true(select(2, place:holder()) ~= first)
    end)
  end)

  it("ends although somebody came, who had no session #slow #once", function()
    local helper = program.start({ program.zklua(), "server", "--local", place.directory })
    helper:says("^%+")
    local scheduler = zk.runtime.scheduler
    assert(scheduler.connect({ pipe = place.directory .. "/sock" }, zk.now() + WAIT)):close()
    eventually(function() return not place:alive() end)
    assert.equal(0, helper:finish().code)
  end)

  describe("a directory", function()
    for _, name in ipairs({ "a b", "100%d%%", "'\"$x`;", ("long"):rep(30) .. "/" .. ("x"):rep(200),
      "-e", "ümläut" }) do
      it("may be named " .. name .. " #once", function()
        place:remove()
        place = places.new(name)
        assert(connect():create("/x", "1"))
        assert.equal("1\n", place:run("print((zk.connect():get('/x')))").stdout)
      end)
    end

    it("is the same under another spelling", function()
      local starts = count_starts()
      local c = connect()
      assert(c:create("/x"))
      local other = assert(zk.connect("local:" .. place.root .. "/./" .. "/state/"))
      assert.is_table(other:exists("/x"))
      assert.equal(1, starts())
    end)

    it("may be named from the working directory on", function()
      local result = program.run({ program.zklua(), "-s", "local:state", "-e",
        "assert(zk.connect():create('/x'))" }, { cwd = place.root })
      assert.equal(0, result.code, result.stderr)
      assert.is_table(connect():exists("/x"))
    end)
  end)

  describe("a lock", function()
    local HOLD = [[
      local c = assert(zk.connect())
      for _ = 1, 20 do
        assert(c:lock("/lock"):with(function()
          local file = assert(io.open(arg[1], "a"))
          assert(file:write("in ", arg[2], "\n"))
          file:flush()
          zk.pause()
          assert(file:write("out ", arg[2], "\n"))
          file:close()
        end))
      end]]

    it("excludes programs from each other #once", function()
      local name, programs = place.root .. "/turns", {}
      for i = 1, 3 do
        programs[i] = program.start({ program.zklua(), "-s", place.servers, "-e", HOLD, name,
          tostring(i) })
      end
      for i = 1, 3 do
        local result = programs[i]:finish()
        assert.equal(0, result.code, result.stderr)
      end
      local inside, count = nil, 0
      for line in io.lines(name) do
        local what, who = line:match("^(%w+) (%w+)$")
        assert.equal(what == "out" and who or nil, inside)
        inside = what == "in" and who or nil
        count = count + 1
      end
      assert.equal(3 * 20 * 2, count)
    end)

    it("goes on at once when its holder is killed", function()
      local holder = place:start("assert(zk.connect():lock('/lock'):acquire()) print('mine') "
        .. "zk.sleep(60)", { "-timeout", tostring(SESSION * 1000) })
      holder:says("mine")
      local c = connect()
      assert.is_false((c:lock("/lock"):try()))
      local waiting = zk.spawn(function() return c:lock("/lock"):acquire({ wait = WAIT }) end)
      eventually(function() return #assert(c:lock("/lock"):contenders()) == 2 end)
      holder:kill("sigkill")
      assert(waiting:wait(WAIT)):release()
      holder:finish()
    end)
  end)

  describe("a helper that is killed", function()
    it("is started again, and sessions go on", function()
      local c = connect()
      local id, states = c:session().id, {}
      c:on("state", function(state) states[#states + 1] = state end)
      assert(c:create("/mine", "", { ephemeral = true }))
      for _ = 1, 3 do
        local _, pid = place:holder()
        place:signal("sigkill")
        assert.equal(id, assert(c:exists("/mine")).ephemeral_owner)
        assert.is_true(select(2, place:holder()) ~= pid)
      end
      assert.equal(id, c:session().id)
      eventually(function() return #states == 6 end)
      assert.is_nil(table.concat(states, " "):find("expired", 1, true))
    end)

    it("loses nothing that it has acknowledged", function()
      local c, other = connect(), connect()
      local made, failed, reading = {}, 0, true
      assert(c:create("/load"))
      local reader = zk.spawn(function()
        local count = 0
        while reading do
          assert(other:children("/load")) -- asked again as often as need be
          count = count + 1
        end
        return count
      end)
      zk.group(function(group)
        for task = 1, 8 do
          group:spawn(function()
            for i = 1, 40 do
              local path, _, code = c:create(("/load/%d-%d"):format(task, i), "")
              assert.is_true(path ~= nil or code == "CONNECTIONLOSS", code)
              made[#made + 1] = path
              failed = failed + (path and 0 or 1)
            end
          end)
        end
        group:spawn(function()
          for kill = 1, 4 do
            eventually(function() return #made + failed > kill * 50 end)
            local _, pid = place:holder()
            place:signal("sigkill")
            eventually(function() return place:alive() and select(2, place:holder()) ~= pid end)
          end
        end)
      end)
      reading = false
      assert.is_true(reader:wait(WAIT) > 0)
      local there = {}
      for _, name in ipairs(assert(c:children("/load"))) do
        there["/load/" .. name] = true
      end
      for _, path in ipairs(made) do
        assert.is_true(there[path], path)
      end
      assert.is_true(failed <= 4 * 8, failed .. " lost")
    end)

    it("is started again for a program in another process", function()
      local one = place:start("local c = assert(zk.connect()) print('up') io.read() "
        .. "print((c:get('/x')))")
      one:says("up")
      place:signal("sigkill")
      assert(connect():create("/x", "there"))
      one:kill("sigkill")
      one:finish()
    end)
  end)

  -- What zk.connect says, at once and not after its time is over.
  describe("that cannot be had", function()
    local function refusal(servers)
      local c, message, code = zk.connect(servers or place.servers, { timeout = 600 })
      assert.is_nil(c)
      assert.equal("NOTCONNECTED", code)
      assert.equal(message, zk.runtime.unreachable)
      return (message:gsub("^NOTCONNECTED: local:", ""))
    end

    it("names a helper that is stopped, and what starts it", function()
      connect()
      zk.runtime:close(1)
      local host, pid = place:holder()
      place:signal("sigstop")
      assert.equal(("%s: its server (pid %d on %s) is stopped; kill -CONT %d"):format(
        place.directory, pid, host, pid), refusal())
      place:signal("sigcont")
      connect()
    end)

    it("tells a program that is connected when the helper stops", function()
      local c = connect({ session_timeout = 2 })
      place:signal("sigstop")
      eventually(function()
        return table.concat(logged, "\n"):find("warning local:[^\n]* is stopped; kill %-CONT")
      end)
      place:signal("sigcont")
      assert(c:exists("/"))
    end)

    it("names the host that has the lock", function()
      assert(uv.fs_mkdir(place.directory, 448))
      local holder = program.start({ "bash", "-c", "exec 9>local.lock && flock 9 && "
        .. "echo elsewhere 99999999 >&9 && echo has && exec sleep 60" }, { cwd = place.directory })
      holder:says("has")
      local message = refusal()
      holder:kill("sigkill")
      holder:finish()
      assert.matches(": its server runs on elsewhere (pid 99999999), and local: serves one machine",
        message, 1, true)
      assert.matches("local:DIR", message, 1, true)
    end)

    it("names a server that has the data", function()
      assert(uv.fs_mkdir(place.directory, 448))
      local server = zkserver.serve({ program.zklua(), "server", "--data", place.directory,
        "--listen", "127.0.0.1:0" })
      local message = refusal()
      local pid = server.process.pid
      server:stop()
      assert.matches(tostring(pid), message, 1, true)
      assert.matches(zk.hostname(), message, 1, true)
    end)

    it("names what is in the way", function()
      local file = assert(io.open(place.directory, "w"))
      file:close()
      assert.matches(place.directory .. ": cannot be used: Not a directory", refusal(), 1, true)
      assert.matches("Not a directory", refusal("local:" .. place.directory .. "/below"), 1, true)
    end)

    it("names a directory that others may read", function()
      assert(uv.fs_mkdir(place.directory, 493))
      assert(uv.fs_chmod(place.directory, 493))
      assert.matches(place.directory .. ": is open to other users (mode 755); close it with "
        .. "'chmod 700'", refusal(), 1, true)
    end)

    it("names a place where nothing can be made", function()
      assert.matches("/proc/sys/zklua: ", refusal("local:/proc/sys/zklua"), 1, true)
    end)

    it("names a directory of somebody else", function()
      local directory = "/" -- root's, when we are somebody else
      if uv.getuid() == 0 then
        directory = place.directory
        assert(uv.fs_mkdir(directory, 448))
        assert(uv.fs_chown(directory, 65534, 65534))
      end
      assert.matches(directory .. ": belongs to user id ", refusal("local:" .. directory), 1, true)
    end)

    it("names a disk that takes no more #once", function()
      local result = program.run({ "bash", "-c", "ulimit -f 1; exec \"$@\"", "bash",
        program.zklua(), "-s", place.servers, "-e", "assert(zk.connect())" })
      assert.equal(3, result.code)
      assert.matches("^zklua: NOTCONNECTED: local:[^\n]*File too large; local:DIR is another place, "
        .. "and %-s or ZKLUA_SERVER names another server\n$", result.stderr)
    end)

    -- What fn() gives where the binding lies alone, and PATH leads to the shell script `zklua`, or
    -- to no zklua.
    local function with_zklua(script, fn)
      local binding = assert(package.searchpath("zklua.core", package.cpath))
      assert(os.execute(("mkdir '%s/zklua' '%s/bin' && cp '%s' '%s/zklua'"):format(place.root,
        place.root, binding, place.root)))
      if script then
        local file = assert(io.open(place.root .. "/bin/zklua", "w"))
        assert(file:write("#!/bin/sh\n", script, "\n"))
        file:close()
        assert(uv.fs_chmod(place.root .. "/bin/zklua", 493))
      end
      local cpath, path = package.cpath, os.getenv("PATH")
      package.cpath = place.root .. "/?.so"
      uv.os_setenv("PATH", place.root .. "/bin")
      local ok, result = pcall(fn)
      package.cpath = cpath
      uv.os_setenv("PATH", path)
      assert.is_true(ok, result)
      return result
    end

    it("says that there is no zklua to serve", function()
      assert.equal(place.directory .. ": there is no zklua to serve, neither beside the library nor "
        .. "on PATH; install it, or name a server", with_zklua(nil, refusal))
    end)

    it("says that its servers die", function()
      assert.matches(": its server ends without a word", with_zklua("kill -9 $$", refusal), 1, true)
    end)

    it("starts another when one is killed before it serves", function()
      local c = with_zklua(("if [ ! -e '%s/2' ]; then [ -e '%s/1' ] && : >'%s/2'; : >'%s/1'; "
        .. "kill -9 $$; fi; exec '%s' \"$@\""):format(place.root, place.root, place.root,
        place.root, program.zklua()), connect)
      assert(c:create("/x"))
    end)

    it("ends the executable with status 3 and one line #once", function()
      local result = program.run({ program.zklua(), "-s", "local:/proc/sys/zklua", "-e",
        "assert(zk.connect())" })
      assert.equal(3, result.code)
      assert.matches("^zklua: NOTCONNECTED: local:/proc/sys/zklua: [^\n]*\n$", result.stderr)
    end)

    it("waits no longer than it may", function()
      assert(uv.fs_mkdir(place.directory, 448))
      local holder = program.start({ "bash", "-c", "exec 9>local.lock && flock 9 && "
        .. "echo >&9 && echo has && exec sleep 60" }, { cwd = place.directory })
      holder:says("has")
      local _, message, code = zk.connect(place.servers, { timeout = 0.3 })
      holder:kill("sigkill")
      holder:finish()
      assert.equal("TIMEOUT", code)
      assert.matches(place.servers, message, 1, true)
    end)
  end)
end)
