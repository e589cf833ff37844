local apache = require("support.apache")
local places = require("support.local")
local program = require("support.program")
local uv = require("luv")

local ZKLUA = program.zklua()
local unpack = table.unpack or unpack

local function run(arguments, options)
  return program.run({ ZKLUA, unpack(arguments) }, options)
end

local function write(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  return name
end

local DEAD = "127.0.0.1:" .. apache.unused_port()

-- What the executable does with a line: status, and how its two outputs begin or what they hold.
local CASES = {
  { name = "prints its version", args = { "--version" }, code = 0, out = "^zklua %d+%.%d+%.%d+ " },
  { name = "prints its help", args = { "--help" }, code = 0, out = "^usage: zklua" },
  { name = "serves a program from memory",
    args = { "-s", "memory:", "-e", 'print(#zk.connect():children("/zookeeper"))' },
    code = 0, out = "^2\n$" },
  { name = "refuses to do nothing", args = {}, code = 2, err = "^zklua: no script named" },
  { name = "refuses an unknown option", args = { "-q" }, code = 2,
    err = "^zklua: unknown option %-q" },
  { name = "has no verbs yet", args = { "ls", "/" }, code = 2,
    err = "^zklua: this version has no verb 'ls'" },
  { name = "wants a script that is there", args = { "/no/such.lua" }, code = 2,
    err = "^zklua: /no/such.lua: No such file" },
  { name = "wants a script that is a file", args = { "/" }, code = 2,
    err = "^zklua: /: cannot be read" },
  { name = "reports a syntax error in one line", args = { "-e", "x = = 1" }, code = 1,
    err = "^zklua: %(%-e%):1: [^\n]*\n$" },
  { name = "gives arguments", args = { "-e", "print(#arg, arg[1], arg[0], ...)", "x", "-s" },
    code = 0,
    out = "^2\tx\t%-e\tx\t%-s\n$" },
  { name = "joins several -e", args = { "-e", "local x = 1", "-e", "print(x)" }, code = 0,
    out = "^1\n" },
  { name = "has the library at hand in -e", args = { "-e", "print(zk == require('zklua'))" },
    code = 0, out = "^true\n" },
  { name = "reads standard input", args = { "-", "x" }, stdin = "print('in', ...)", code = 0,
    out = "^in\tx\n$" },
  { name = "knows a script by its first line", args = { "-" }, stdin = "#!/usr/bin/zklua\nprint(1)",
    code = 0, out = "^1\n$" },
  { name = "gives os.exit its status", args = { "-e", "os.exit(7)" }, code = 7 },
  { name = "gives os.exit(true) success", args = { "-e", "os.exit(true)" }, code = 0 },
  { name = "shows an error with its place",
    args = { "-e", "local function f() error('boom') end f()" },
    code = 1, err = "^zklua: %(%-e%):1: boom\nstack traceback:\n.*in main chunk\n$" },
  { name = "shows nothing of its own in a traceback", args = { "-e", "error('x')" }, code = 1,
    err = "^[^/]*$" },
  { name = "shows an error that is no string", args = { "-e", "error({})" }, code = 1,
    err = "^zklua: %(error object is a table value%)\n" },
  { name = "shows an error that can speak", code = 1, err = "^zklua: spoken\n",
    args = { "-e", "error(setmetatable({}, { __tostring = function() return 'spoken' end }))" } },
  { name = "shows the error of a task nobody waits for", code = 1, out = "^on\n$",
    err = "^zklua: task %(%-e%):1: .*inner",
    args = { "-e", "local zk = require 'zklua' zk.spawn(function() error('inner') end) "
      .. "zk.sleep(0.01) print('on')" } },
  { name = "fails with the task it waits for", code = 1, err = "^zklua: [^\n]*inner\n",
    args = { "-e", "local zk = require 'zklua' zk.spawn(function() error('inner') end):wait()" } },
  { name = "shows the traceback of the task that failed", code = 1,
    err = "inner\nstack traceback:.*in upvalue 'culprit'",
    args = { "-e", "local function culprit() error('inner') end "
      .. "zk.spawn(function() culprit() return 1 end):wait()" } },
  { name = "shows the traceback of a task of a group", code = 1,
    err = "stack traceback:.*in upvalue 'culprit'",
    args = { "-e", "local function culprit() error('inner') end "
      .. "zk.group(function(g) g:spawn(function() culprit() return 1 end) end)" } },
  { name = "fails by a clean-up that fails", code = 1, err = "unclean",
    args = { "-e", "zk.spawn(function() zk.sleep(60) error('unclean') end) zk.sleep(0.01)" } },
  { name = "closes sessions on os.exit in a task", code = 5,
    args = { "-e", "zk.spawn(function() zk.sleep(0) os.exit(5) end) zk.sleep(60)" } },
  { name = "ends with its main task", code = 0, out = "^$", err = "^$",
    args = { "-e", "zk.spawn(function() zk.sleep(60) end) zk.sleep(0.01)" } },
  { name = "ends although a task ignores it", code = 0, err = "^$",
    args = { "-e", "zk.spawn(function() while true do zk.sleep(60) end end) zk.sleep(0.01)" } },
  { name = "lets a task clean up", code = 0, out = "^CANCELLED\nclean\n$",
    args = { "-e", "zk.spawn(function() print((select(3, zk.sleep(60)))) "
      .. "zk.shield(zk.sleep, 0.05) print('clean') end) zk.sleep(0.01)" } },
  { name = "says in one line that there is no server", code = 3,
    err = "^zklua: TIMEOUT: [^\n]*127%.0%.0%.1:%d+[^\n]*\n$",
    args = { "-s", DEAD, "-timeout", "300", "-e", "assert(require('zklua').connect())" } },
  { name = "knows that error by its place, too", code = 3, err = "^zklua: TIMEOUT: [^\n]*\n$",
    args = { "-s", DEAD, "-timeout", "300", "-e",
      "local c, m = require('zklua').connect() error(m)" } },
  { name = "takes the servers of the environment", code = 3, err = "^zklua: TIMEOUT: ",
    env = { ZKLUA_SERVER = DEAD },
    args = { "-timeout", "300", "-e", "assert(require('zklua').connect())" } },
  { name = "fails otherwise when the script handles it", code = 1, err = "other",
    args = { "-s", DEAD, "-timeout", "300", "-e",
      "local c = require('zklua').connect() error('other')" } },
  { name = "keeps data and messages apart", code = 1, out = "^data\n$", err = "^zklua: .*boom",
    args = { "-e", "print('data') error('boom')" } },
}

describe("zklua", function()
  for _, case in ipairs(CASES) do
    it(case.name, function()
      local result = run(case.args, { stdin = case.stdin, env = case.env })
      assert.equal(case.code, result.code, result.stderr)
      assert.equal(0, result.signal)
      assert.truthy(result.stdout:find(case.out or ""), result.stdout)
      assert.truthy(result.stderr:find(case.err or "^$"), result.stderr)
    end)
  end

  it("runs a file of any name, from any directory", function()
    local name = write(os.tmpname(),
      "print(arg[0], arg[-1], require('zklua')._VERSION ~= nil, ...)")
    local result = run({ "run", name, "x" }, { cwd = "/" })
    assert.equal(name .. "\trun\ttrue\tx\n", result.stdout)
    result = run({ name, "y" }, { cwd = "/", env = { LUA_PATH = "", LUA_CPATH = false } })
    assert.equal(0, result.code, result.stderr)
    os.remove(name)
  end)

  -- As a user who is not root, for whom the directory follows from the environment.
  describe("that is given no server", function()
    local place, command

    before_each(function()
      place = places.new()
      -- The build may lie where another user cannot go.
      assert(os.execute(("mkdir '%s/zklua' && cp -RL '%s' '%s/lua' '%s/zklua' && chmod -R a+rX '%s'")
        :format(place.root, ZKLUA, program.build(), place.root, place.root)))
      command = { place.root .. "/zklua/zklua" }
      if uv.getuid() == 0 then
        assert(uv.fs_chown(place.root, 65534, 65534))
        command = { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", command[1] }
      end
    end)

    after_each(function()
      place:remove()
    end)

    local function ask(environment, ...)
      local line = { unpack(command) }
      for _, word in ipairs({ ... }) do
        line[#line + 1] = word
      end
      local env = { HOME = place.root, XDG_STATE_HOME = false, XDG_CONFIG_HOME = false,
        ZKLUA_SERVER = false }
      for name, value in pairs(environment) do
        env[name] = value
      end
      return program.run(line, { env = env, cwd = place.root })
    end

    local CONNECT = "for _ = 1, 2 do assert(zk.connect():close()) end"

    it("uses local: and says so, once", function()
      place.directory = place.root .. "/.local/state/zklua/data"
      local result = ask({}, "-e", CONNECT)
      assert.equal("zklua: no server named, so this machine's own: local: in " .. place.directory
        .. "\n", result.stderr)
      assert.equal(0, result.code)
      assert.is_true(place:alive())
    end)

    it("uses the directory that the server uses by itself", function()
      place.directory = place.root .. "/.local/state/zklua/data"
      local line = { unpack(command) }
      line[#line + 1], line[#line + 2] = "server", "--local"
      local helper = program.start(line, { env = { HOME = place.root, XDG_STATE_HOME = false } })
      helper:says("^%+")
      assert.equal(0, ask({}, "-e", CONNECT).code)
      assert.same({ helper.pid }, { select(2, place:holder()) })
      helper:kill("sigterm")
      helper:finish()
    end)

    it("keeps its data where the user wants such things", function()
      place.directory = place.root .. "/xdg/zklua/data"
      local result = ask({ XDG_STATE_HOME = place.root .. "/xdg" }, "-e", CONNECT)
      assert.matches("local: in " .. place.directory, result.stderr, 1, true)
      assert.is_true(place:alive())
    end)

    it("says nothing of it when it does not connect, or was told to", function()
      assert.equal("", ask({}, "-e", "").stderr)
      assert.is_nil(uv.fs_stat(place.root .. "/.local"))
      place.directory = place.root .. "/.local/state/zklua/data"
      assert.equal("", ask({}, "-s", "local:", "-e", CONNECT).stderr)
      assert.is_true(place:alive())
    end)
  end)

  it("reaches the server it was given, and closes its session", function()
    local server = apache.shared()
    local path = apache.fresh_path()
    local script = ([[
      local zk = require "zklua"
      local c = assert(zk.connect())
      assert(c:create(%q, "x", { ephemeral = true }))
      print(c:session().timeout)
    ]]):format(path)
    local result = run({ "-s", server.connect_string, "-timeout", "3000", "-e", script })
    assert.equal("3\n", (result.stdout:gsub("%.0", "")), result.stderr)
    assert.equal(0, result.code)
    result = run({ "-e", ([[assert(zk.connect(nil, { session_timeout = 3 }):exists(%q) == false)]])
      :format(path) }, { env = { ZKLUA_SERVER = server.connect_string } })
    assert.equal(0, result.code, result.stderr)
  end)

  it("closes sessions on os.exit", function()
    local server = apache.shared()
    local path = apache.fresh_path()
    local result = run({ "-server", server.connect_string, "-e", ([[
      local c = assert(require("zklua").connect())
      assert(c:create(%q, "", { ephemeral = true }))
      os.exit(4)
    ]]):format(path) })
    assert.equal(4, result.code, result.stderr)
    local c = assert(require("zklua").connect(server.connect_string))
    assert.is_false((c:exists(path)))
    c:close()
  end)

  it("ends with its reader", function()
    local result = program.run({ "bash", "-c",
      '"$0" -e "for i = 1, 1e12 do print(i) end" | head -1; echo "${PIPESTATUS[0]}"', ZKLUA })
    assert.equal("1\n141\n", result.stdout)
    assert.equal("", result.stderr)
  end)
end)
