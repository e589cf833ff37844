-- Which servers a program means that names none.
local program = require("support.program")
local servers = require("zklua.servers")
local uv = require("luv")

local MACHINE = require("zklua.scheduler.uv").new().machine

local directory

local function write(name, text)
  local path = directory .. "/" .. name
  local file = assert(io.open(path, "wb"))
  assert(file:write(text))
  file:close()
  return path
end

describe("which servers are meant", function()
  before_each(function()
    directory = assert(uv.fs_mkdtemp("/tmp/zklua-servers-XXXXXX"))
  end)

  after_each(function()
    os.execute("rm -rf '" .. directory .. "'")
  end)

  -- What a file says, and what is read from it: servers, or what is wrong, behind the file's name.
  for _, case in ipairs({
    { "server = 'zk1:2181,zk2:2181'", "zk1:2181,zk2:2181" },
    { "-- ours\nserver = [[zk1/app]] -- all of them\n", "zk1/app" },
    { "server = 'zk1'; server = 'zk2'", "zk2" },
    { "local name = 'zk'\nserver = name .. 1 .. ':' .. 2000 + 181", "zk1:2181" },
    { "server = 'local:/srv/my zklua'", "local:/srv/my zklua" },
    { "server = 'memory:'", "memory:" },
    { "#!/usr/bin/lua\nserver = 'zk1'", "zk1" },
    { "", nil },
    { "-- nothing yet\n", nil },
    { "server = 'zk1:2181", wrong = ":1: unfinished string" },
    { "\nserver == 'zk1'", wrong = ":2: " },
    { "\nservers = 'zk1'", wrong = ":2: unknown name servers; there is: server" },
    { "server = 'zk1'\n\ntimeout = 3", wrong = ":3: unknown name timeout; there is: server" },
    { "server = 2181", wrong = ":1: server must be a string, not a number" },
    { "server = { 'zk1' }", wrong = ":1: server must be a string, not a table" },
    { "server = nil", wrong = ":1: server must be a string, not a nil" },
    { "server = ''", wrong = ":1: server: " },
    { "server = 'zk1:x'", wrong = ':1: server: "zk1:x" is not host:port' },
    { "\nserver = 'zk1' .. domain", wrong = ":2: there is nothing named domain here" },
    { "server = os.getenv('ZK')", wrong = ":1: there is nothing named os here" },
    { "require 'os'", wrong = ":1: there is nothing named require here" },
    { "error_ = 1", wrong = ":1: unknown name error_" },
    { "\27Lua", wrong = "rc.lua: " },
  }) do
    it("is read from a file: " .. case[1]:gsub("%c", " "), function()
      local name = write("rc.lua", case[1])
      local values, problem = servers.read(name, MACHINE)
      if case.wrong then
        assert.is_nil(values)
        assert.matches(case.wrong, problem, 1, true)
        if case.wrong:find("^:") then
          assert.equal(name .. case.wrong, problem:sub(1, #name + #case.wrong))
        end
      else
        assert.same({ server = case[2] }, values)
      end
    end)
  end

  it("names a file in full, however long its name is", function()
    local long = directory .. ("/directory %1"):rep(12)
    assert(os.execute("mkdir -p '" .. long .. "'"))
    local name = write(long:sub(#directory + 2) .. "/rc.lua", "x = 1")
    assert.equal(name .. ":1: unknown name x; there is: server", select(2, servers.read(name)))
  end)

  it("passes over a file that is not there, and over no other", function()
    local file = write("file", "")
    assert.same({}, servers.read(directory .. "/absent"))
    assert.same({}, servers.read(file .. "/below"))
    local values, problem = servers.read(directory)
    assert.is_nil(values)
    assert.matches(directory .. ": ", problem, 1, true)
  end)

  it("is said by the first that says it", function()
    local none, one, two = write("none", ""), write("one", "server='a'"), write("two", "server='b'")
    local bad = write("bad", "server=1")
    assert.same({ "g", "servers" }, { servers.find("g", MACHINE, { bad }) })
    assert.same({ "a", one }, { servers.find(nil, MACHINE, { none, one, bad }) })
    assert.same({ "b", two }, { servers.find(nil, MACHINE, { directory .. "/no", two, one }) })
    assert.same({ "local:" }, { servers.find(nil, MACHINE, { none }) })
    local found, problem = servers.find(nil, MACHINE, { none, bad, one })
    assert.is_nil(found)
    assert.matches(bad .. ":1: server must be a string", problem, 1, true)
  end)

  it("is not known to a host without a machine", function()
    local found, problem = servers.find(nil, nil)
    assert.is_nil(found)
    assert.matches("no server is named", problem, 1, true)
  end)

  -- The rule as a program meets it: environment, and which file of whose.
  describe("by the executable #once", function()
    local function ask(environment, ...)
      local env = { HOME = directory, XDG_CONFIG_HOME = false, ZKLUA_SERVER = false }
      for name, value in pairs(environment) do
        env[name] = value
      end
      local line = { program.zklua(), "-timeout", "200", ... }
      line[#line + 1] = "-e"
      line[#line + 1] = "assert(zk.connect())"
      return program.run(line, { env = env, cwd = directory })
    end

    before_each(function()
      assert(os.execute(("mkdir -p '%s/.config/zklua' '%s/xdg/zklua'"):format(directory,
        directory)))
      write(".config/zklua/rc.lua", "server = '127.0.0.1:11'")
      write("xdg/zklua/rc.lua", "server = '127.0.0.1:12'")
    end)

    for _, case in ipairs({
      { {}, reaches = 11 },
      { { XDG_CONFIG_HOME = "xdg" }, reaches = 11 }, -- it has to be absolute
      { { XDG_CONFIG_HOME = "DIR/xdg" }, reaches = 12 },
      { { ZKLUA_SERVER = "127.0.0.1:13" }, reaches = 13 },
      { { ZKLUA_SERVER = "" }, reaches = 11 },
      { { ZKLUA_SERVER = "127.0.0.1:13" }, "-s", "127.0.0.1:14", reaches = 14 },
    }) do
      it("is " .. case.reaches, function()
        local environment = {}
        for name, value in pairs(case[1]) do
          environment[name] = value:gsub("DIR", directory)
        end
        local result = ask(environment, (table.unpack or unpack)(case, 2))
        assert.equal(3, result.code, result.stderr)
        assert.matches("^zklua: TIMEOUT: [^\n]*: 127.0.0.1:" .. case.reaches .. " [^\n]*\n$",
          result.stderr)
      end)
    end

    it("is told when a file is wrong, with its line", function()
      local name = write(".config/zklua/rc.lua", "\n\nsrever = 'zk1'")
      local result = ask({})
      assert.equal(1, result.code)
      assert.matches(name .. ":3: unknown name srever", result.stderr, 1, true)
    end)

    it("is told when the variable is wrong", function()
      local result = ask({ ZKLUA_SERVER = "zk1:x" })
      assert.equal(1, result.code)
      assert.matches('ZKLUA_SERVER: "zk1:x" is not host:port', result.stderr, 1, true)
    end)
  end)
end)
