-- `zklua server` as a process: start, stop, limits, and clients that behave badly.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")
local write = require("support.file").write

local ZKLUA = program.zklua()
local ANYWHERE = "127.0.0.1:0"
local CREATE, DELETE, GET, PING, CLOSE = 1, 2, 4, 11, -11
local unpack = table.unpack or unpack

local function exists(name)
  return uv.fs_stat(name) ~= nil
end

local function capture(command)
  local pipe = io.popen(command)
  local text = pipe:read("*a")
  pipe:close()
  return text
end

describe("zklua server", function()
  local dir, servers, links

  before_each(function()
    dir = capture("mktemp -d"):match("[^\n]+")
    servers, links = {}, {}
  end)

  after_each(function()
    for _, link in ipairs(links) do
      link:close()
    end
    for _, server in ipairs(servers) do
      server:stop("sigkill")
    end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function serve(arguments, options)
    local server = zkserver.serve({ ZKLUA, "server", unpack(arguments) }, options)
    servers[#servers + 1] = server
    return server
  end

  local function serve_config(text)
    return serve({ write(dir .. "/zoo.cfg", ("dataDir=%s/data\nclientPort=0\n"):format(dir)
      .. "clientPortAddress=127.0.0.1\n" .. text) })
  end

  local function open(where, options)
    local link = talk.open(where, options)
    links[#links + 1] = link
    return link
  end

  local function stop(server, signal)
    local result = server:stop(signal)
    assert.equal(0, result.code, result.stderr)
    assert.truthy(result.stderr:find(" info  stopped\n", 1, true), result.stderr)
    return result
  end

  -- A session that creates `path` and is answered.
  local function create(server, path, data)
    local link = open(server.port)
    link:handshake()
    link:send(1, CREATE, talk.create_record(path, data))
    local xid, code = link:reply()
    assert.same({ 1, 0 }, { xid, code })
    return link
  end

  local function get(server, path)
    local link = open(server.port)
    link:handshake()
    link:send(1, GET, frames.string(path) .. "\0")
    local _, code, body = link:reply()
    link:close()
    return code == 0 and body:sub(5, 4 + frames.read_i32(body)) or nil, code
  end

  describe("starts", function()
    it("in memory, and keeps nothing", function()
      local server = serve({ "--memory", "--listen", ANYWHERE })
      create(server, "/a", "data")
      assert.equal("data", get(server, "/a"))
      assert.truthy(stop(server).stderr:find("in memory only", 1, true))
    end)

    it("on a directory that it makes, and finds all again", function()
      local options = { "--data", dir .. "/new", "--listen", ANYWHERE }
      local server = serve(options)
      create(server, "/a", "data")
      local log = stop(server).stderr
      assert.truthy(log:find("from zxid 0x0, kept in " .. dir .. "/new", 1, true), log)
      server = serve(options)
      assert.equal("data", get(server, "/a"))
      assert.truthy(stop(server).stderr:find("from zxid 0x2", 1, true))
    end)

    it("in this user's state directory, and says where", function()
      -- root's is the machine's own, which no spec should touch.
      local as_nobody = uv.getuid() == 0
        and { "setpriv", "--reuid=65534", "--clear-groups", ZKLUA } or { ZKLUA }
      assert(os.execute("chmod 777 '" .. dir .. "'"))
      local argv = as_nobody
      for _, word in ipairs({ "server", "--listen", ANYWHERE }) do
        argv[#argv + 1] = word
      end
      for _, case in ipairs({
        { env = { XDG_STATE_HOME = dir .. "/state" }, place = dir .. "/state/zklua/data" },
        { env = { XDG_STATE_HOME = "relative", HOME = dir },
          place = dir .. "/.local/state/zklua/data" },
        { env = { XDG_STATE_HOME = false, HOME = dir }, place = dir .. "/.local/state/zklua/data" },
      }) do
        local server = zkserver.serve(argv, { env = case.env })
        servers[#servers + 1] = server
        assert.truthy(stop(server).stderr:find("kept in " .. case.place .. "\n", 1, true))
        assert.is_true(exists(case.place .. "/version-2"))
        assert.equal("40700", ("%o"):format(uv.fs_stat(case.place).mode))
      end
    end)

    it("on several addresses, of both families", function()
      local server = serve({ "--memory", "--listen", ANYWHERE .. ",[::1]:0,unix:" .. dir .. "/s" })
      local v4, v6 = server:logs("serving at 127.0.0.1:(%d+), %[::1%]:(%d+), unix:")
      create(server, "/a", "data")
      for _, link in ipairs({
        open(tonumber(v4)), open(tonumber(v6), { host = "::1" }), open(dir .. "/s"),
      }) do
        link:handshake()
        link:send(1, GET, frames.string("/a") .. "\0")
        local _, code, body = link:reply()
        assert.same({ 0, "data" }, { code, body:sub(5, 8) })
      end
      stop(server)
    end)

    it("on every address where none is named", function()
      local server = serve({ "--memory", "--listen", "*:0" })
      local port = server:logs("serving at %[::%]:(%d+)")
      open(tonumber(port)):handshake()
      open(tonumber(port), { host = "::1" }):handshake()
      stop(server)
    end)

    it("and tells the service manager when it serves, and when it stops", function()
      local manager = program.start({ "/usr/bin/python3", "-c", [[
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.bind(sys.argv[1])
print("bound", flush=True)
while True:
    state = s.recv(1000).decode()
    print(state, flush=True)
    if state == "STOPPING=1":
        break
]], dir .. "/notify" }, { env = { LD_PRELOAD = false } })
      manager:says("bound")
      local server = serve({ "--memory", "--listen", ANYWHERE },
        { env = { NOTIFY_SOCKET = dir .. "/notify" } })
      manager:says("READY=1")
      assert.is_nil(manager.stdout:find("STOPPING", 1, true))
      stop(server)
      assert.equal("bound\nREADY=1\nSTOPPING=1\n", manager:finish().stdout)
    end)
  end)

  describe("does not start", function()
    local function refused(arguments, pattern)
      local result = program.run({ ZKLUA, "server", unpack(arguments) })
      assert.equal(1, result.code, result.stderr)
      assert.truthy(result.stderr:find(pattern), result.stderr)
    end

    it("where the port is taken", function()
      local server = serve({ "--memory", "--listen", ANYWHERE })
      refused({ "--memory", "--listen", "127.0.0.1:" .. server.port },
        "cannot listen at: 127.0.0.1:" .. server.port .. ": address already in use")
      -- Nothing was touched for that.
      refused({ "--data", dir .. "/new", "--listen", "127.0.0.1:" .. server.port }, "in use")
      assert.is_false(exists(dir .. "/new"))
    end)

    it("where the name stands for nothing", function()
      refused({ "--memory", "--listen", "no-such-host.invalid:0" }, "no%-such%-host.invalid:0: ")
    end)

    it("where the address is another machine's", function()
      refused({ "--memory", "--listen", "192.0.2.1:0" }, "192.0.2.1:0: address not available")
    end)

    it("on a directory that another server holds, and names it", function()
      local server = serve({ "--data", dir .. "/data", "--listen", ANYWHERE })
      refused({ "--data", dir .. "/data", "--listen", ANYWHERE },
        "[^\n]*" .. uv.os_gethostname():gsub("%p", "%%%0") .. " " .. server.process.pid)
      create(server, "/a")
      stop(server)
      stop(serve({ "--data", dir .. "/data", "--listen", ANYWHERE }))
    end)

    it("on a directory that cannot be made", function()
      write(dir .. "/file", "")
      refused({ "--data", dir .. "/file", "--listen", ANYWHERE }, dir .. "/file")
    end)

    it("on a Unix socket that another server answers, or a file that is none", function()
      local path = dir .. "/s"
      local server = serve({ "--memory", "--listen", "unix:" .. path })
      refused({ "--memory", "--listen", "unix:" .. path }, "address already in use")
      open(path):handshake()
      stop(server)
      assert.is_false(exists(path))
      write(path, "precious")
      refused({ "--memory", "--listen", "unix:" .. path }, "file already exists")
      assert.is_true(exists(path))
    end)

    it("but takes over a socket that a killed server has left", function()
      local path = dir .. "/s"
      serve({ "--memory", "--listen", "unix:" .. path }):stop("sigkill")
      assert.is_true(exists(path))
      local server = serve({ "--memory", "--listen", "unix:" .. path })
      open(path):handshake()
      stop(server)
    end)
  end)

  describe("refuses the line", function()
    for _, case in ipairs({
      { args = { "--bogus" }, message = "unknown option --bogus" },
      { args = { "--data" }, message = "--data needs a value" },
      { args = { "--data", "" }, message = "--data needs a value" },
      { args = { "--listen" }, message = "--listen needs a value" },
      { args = { "--data", "x", "--memory" }, message = "exclude each other" },
      { args = { "--memory", "zoo.cfg" }, message = "'zoo.cfg': a configuration stands alone" },
      { args = { "zoo.cfg", "--memory" }, message = "'zoo.cfg': a configuration stands alone" },
      { args = { "a.cfg", "b.cfg" }, message = "'a.cfg': a configuration stands alone" },
      { args = { "" }, message = "'': a configuration stands alone" },
      { args = { "--memory", "--listen", "h:1:2" }, message = "IPv6 address stands in brackets" },
      { args = { "--memory", "--listen", "[::1" }, message = "the bracket is not closed" },
      { args = { "--memory", "--listen", "[::1]2" }, message = "written [HOST]:PORT" },
      { args = { "--memory", "--listen", "[]:1" }, message = "no address in the brackets" },
      { args = { "--memory", "--listen", "h:" }, message = "the port must be a number" },
      { args = { "--memory", "--listen", "h:65536" }, message = "the port must be a number" },
      { args = { "--memory", "--listen", "h:-1" }, message = "the port must be a number" },
      { args = { "--memory", "--listen", "h:1x" }, message = "the port must be a number" },
      { args = { "--memory", "--listen", "h:1,,h:2" }, message = "an address is empty" },
      { args = { "--memory", "--listen", "unix:" }, message = "names no file" },
      { args = { "--memory", "--listen", "unix:/" .. ("x"):rep(107) },
        message = "has at most 107 bytes" },
      { args = { "--memory", "--listen", ("h:1,"):rep(16) .. "h:1" },
        message = "at most 16 addresses" },
      { args = { "--memory", "--listen", ("h"):rep(256) .. ":1" }, message = "too long for" },
      { args = { "--check" }, message = "--check takes one directory" },
      { args = { "--check", "" }, message = "--check: a directory without a name" },
      { args = { "--salvage", "a", "" }, message = "--salvage: a directory without a name" },
      { args = { "--to-ensemble", "a,b,c", "", "o" },
        message = "--to-ensemble: a directory without a name" },
      { args = { "--check", "a", "b" }, message = "--check takes one directory" },
      { args = { "--salvage", "a" }, message = "--salvage takes a directory and where to write" },
      { args = { "--to-ensemble", "a,b", "c" }, message = "--to-ensemble takes HOSTS" },
    }) do
      it(table.concat(case.args, " "):sub(1, 40), function()
        local result = program.run({ ZKLUA, "server", unpack(case.args) })
        assert.equal(2, result.code, result.stderr)
        assert.truthy(result.stderr:find(case.message, 1, true), result.stderr)
        assert.truthy(result.stderr:find("(zklua server --help tells more)", 1, true))
      end)
    end

    it("and tells all about it on request", function()
      local result = program.run({ ZKLUA, "server", "--memory", "--help" })
      assert.equal(0, result.code)
      assert.truthy(result.stdout:find("^usage: zklua server"))
    end)
  end)

  describe("stops", function()
    for _, signal in ipairs({ "sigterm", "sigint", "sighup" }) do
      it("on " .. signal, function()
        local server = serve({ "--data", dir .. "/data", "--listen", ANYWHERE })
        local link = create(server, "/a")
        stop(server, signal)
        local _, how = link:drain()
        assert.truthy(how == "EOF" or how == "ECONNRESET", how)
        assert.equal(0, program.run({ ZKLUA, "server", "--check", dir .. "/data" }).code)
      end)
    end

    it("not on SIGHUP when it was started to outlive its terminal", function()
      local server = zkserver.serve({ "nohup", ZKLUA, "server", "--memory", "--listen", ANYWHERE })
      servers[#servers + 1] = server
      server.process:kill("sighup")
      create(server, "/a")
      stop(server)
    end)

    it("under load, and has kept what it acknowledged", function()
      local server = serve({ "--data", dir .. "/data", "--listen", ANYWHERE })
      local link = open(server.port)
      link:handshake()
      local data, load = ("x"):rep(1000), {}
      for i = 1, 20000 do
        load[i] = frames.frame(frames.i32(i) .. frames.i32(CREATE)
          .. talk.create_record("/n" .. i, data))
      end
      link:write(table.concat(load))
      link:reply()
      stop(server)
      local acknowledged = 1 + #frames.split((link:drain()))
      server = serve({ "--data", dir .. "/data", "--listen", ANYWHERE })
      assert.equal(data, get(server, "/n" .. acknowledged))
      local nodes = tonumber(server:four_letter("srvr"):match("Node count: (%d+)"))
      assert.is_true(nodes - 5 >= acknowledged, nodes .. " nodes, " .. acknowledged .. " answers")
      assert.is_true(acknowledged < 20000) -- else the load was over before the stop
      stop(server)
    end)

    it("while it takes snapshots all the time, and the directory is sound", function()
      local server = serve_config("snapCount=2\n")
      local link = open(server.port)
      link:handshake()
      local load = {}
      for i = 1, 5000 do
        load[i] = frames.frame(frames.i32(i) .. frames.i32(CREATE)
          .. talk.create_record("/n" .. i, ("x"):rep(1000)))
      end
      link:write(table.concat(load))
      server:logs("snapshot of zxid 0x%x+: %d+ bytes")
      stop(server)
      local acknowledged = #frames.split((link:drain()))
      local result = program.run({ ZKLUA, "server", "--check", dir .. "/data" })
      assert.equal(0, result.code, result.stderr)
      local nodes = tonumber(result.stdout:match("(%d+) nodes, "))
      assert.is_true(nodes - 4 >= acknowledged, nodes .. " nodes, " .. acknowledged .. " answers")
    end)

    it("and the sessions live on", function()
      local options = { "--data", dir .. "/data", "--listen", ANYWHERE }
      local server = serve(options)
      local link = open(server.port)
      local session = link:handshake()
      link:send(1, CREATE, talk.create_record("/e", "", 1))
      link:reply()
      stop(server)
      server = serve(options)
      assert.equal("", get(server, "/e"))
      link = open(server.port)
      assert.equal(session.id, link:handshake(session).id)
      link:send(1, CLOSE)
      assert.equal(1, (link:reply()))
      assert.equal("EOF", select(2, link:drain()))
      assert.is_nil(get(server, "/e"))
    end)
  end)

  describe("stops by itself", function()
    -- What a full disk does, too: a write fails. Behind 400 KiB, here.
    local function serve_until_full(config)
      local name = write(dir .. "/full.cfg", ("dataDir=%s/data\nclientPort=0\n"):format(dir)
        .. "clientPortAddress=127.0.0.1\n" .. config)
      local server = zkserver.serve({ "bash", "-c", "ulimit -f 400; exec \"$@\"", "bash", ZKLUA,
        "server", name })
      servers[#servers + 1] = server
      return server
    end

    for _, case in ipairs({
      { name = "a file that may not grow", config = "preAllocSize=0\n" },
      { name = "no room to set aside", config = "" },
    }) do
      it("when the log cannot be written: " .. case.name, function()
        local server = serve_until_full(case.config)
        local link = open(server.port)
        link:handshake()
        local data, acknowledged = ("x"):rep(10000), 0
        repeat
          link:send(acknowledged + 1, CREATE, talk.create_record("/n" .. acknowledged + 1, data))
          local body = link:frame()
          if body then
            assert.equal(0, frames.read_i32(body, 13))
            acknowledged = acknowledged + 1
          end
        until not body
        local result = server.process:finish()
        assert.equal(1, result.code, result.stderr)
        assert.truthy(result.stderr:find("error the log cannot be written: ", 1, true),
          result.stderr)
        assert.is_true(acknowledged > 20 and acknowledged <= 40, tostring(acknowledged))
        -- The cause is gone, and all that was acknowledged is there.
        server = serve({ dir .. "/full.cfg" })
        assert.equal(data, get(server, "/n" .. acknowledged))
        create(server, "/after")
        stop(server)
      end)
    end
  end)

  describe("guards itself against", function()
    -- Whether another client is served as if nothing were.
    local function goes_on(server)
      local link = open(server.port)
      link:handshake()
      link:send(-2, PING)
      assert.equal(-2, (link:reply()))
      link:close()
    end

    local function rss_kib(server)
      local status = capture("cat /proc/" .. server.process.pid .. "/status")
      return tonumber(status:match("VmRSS:%s*(%d+)"))
    end

    it("more connections of one address than maxClientCnxns", function()
      local server = serve_config("maxClientCnxns=2\n")
      local first, second = open(server.port), open(server.port)
      first:handshake()
      second:handshake()
      local input, how = open(server.port):drain()
      assert.equal("", input)
      assert.truthy(how == "EOF" or how == "ECONNRESET", how)
      server:logs("127.0.0.1:%d+ turned away: too many connections")
      second:close()
      assert.is_true(zkserver.wait_for(20, function()
        local third = open(server.port)
        third:write(frames.frame(frames.i32(0) .. frames.i64(0) .. frames.i32(30000)
          .. frames.i64(0) .. frames.string(("\0"):rep(16)) .. "\0"))
        return third:frame() ~= nil
      end))
    end)

    it("more connections in all than maxCnxns", function()
      local server = serve_config("maxCnxns=1\n")
      open(server.port):handshake()
      assert.equal("", (open(server.port):drain()))
      server:logs("turned away: too many connections")
    end)

    it("more connections than it may have descriptors", function()
      local server = zkserver.serve({ "sh", "-c", "ulimit -n 160; exec \"$@\"", "sh", ZKLUA,
        "server", "--data", dir .. "/data", "--listen", ANYWHERE })
      servers[#servers + 1] = server
      local held = {}
      for i = 1, 150 do
        held[i] = open(server.port)
      end
      server:logs("connections turned away: 96 are open")
      -- Those that came first are served, and the log has its files.
      held[1]:handshake()
      held[1]:send(1, CREATE, talk.create_record("/a", "data"))
      assert.equal(0, (select(2, held[1]:reply())))
      for i = 2, 150 do
        held[i]:close()
      end
      assert.is_true(zkserver.wait_for(20, function()
        local link = open(server.port)
        link:write("ruok")
        return link:drain() == "imok"
      end))
      goes_on(server)
      stop(server)
    end)

    it("a stall of its own: sessions are given the time", function()
      local server = serve_config("tickTime=100\n")
      local link = open(server.port)
      assert.equal(400, link:handshake({ timeout = 400 }).timeout)
      link:send(1, CREATE, talk.create_record("/e", "", 1))
      assert.equal(0, (select(2, link:reply())))
      server.process:kill("sigstop")
      uv.sleep(1500)
      server.process:kill("sigcont")
      link:send(-2, PING)
      assert.equal(-2, (link:reply()))
      assert.equal("", get(server, "/e"))
      server:logs("this server did not run for %d+ ms")
    end)

    it("a session whose client says nothing", function()
      local server = serve_config("tickTime=100\n")
      local link = open(server.port)
      link:handshake({ timeout = 400 })
      link:send(1, CREATE, talk.create_record("/e", "", 1))
      link:reply()
      server:logs("session 0x%x+ expired")
      link:drain()
      assert.is_nil(get(server, "/e"))
    end)

    it("more data than memoryLimitInMb", function()
      local server = serve_config("memoryLimitInMb=16\n")
      local link = open(server.port)
      link:handshake()
      local code, count = 0, 0
      while code == 0 and count < 100 do
        count = count + 1
        link:send(count, CREATE, talk.create_record("/n" .. count, ("x"):rep(500000)))
        code = select(2, link:reply())
      end
      assert.equal(-125, code)
      assert.is_true(count > 10 and count < 40, tostring(count))
      assert.equal(500000, #get(server, "/n1"))
      link:send(101, DELETE, frames.string("/n1") .. frames.i32(-1))
      assert.equal(0, (select(2, link:reply())))
      link:send(102, DELETE, frames.string("/n2") .. frames.i32(-1))
      assert.equal(0, (select(2, link:reply())))
      link:send(103, CREATE, talk.create_record("/n1", ("x"):rep(500000)))
      assert.equal(0, (select(2, link:reply())))
    end)

    it("more requests half sent than memoryLimitInMb lets in", function()
      local server = serve_config("memoryLimitInMb=16\nmaxClientCnxns=0\n")
      for _ = 1, 20 do
        local link = open(server.port)
        link:handshake()
        link:write(frames.i32(1000000) .. ("x"):rep(900000))
      end
      server:logs("127.0.0.1:%d+ cut off: no memory for its request")
      goes_on(server)
    end)

    it("requests larger than jute.maxbuffer", function()
      local server = serve_config("jute.maxbuffer=2000\n")
      local link = open(server.port)
      link:handshake()
      local overhead = 8 + #talk.create_record("/a")
      link:send(1, CREATE, talk.create_record("/a", ("x"):rep(2000 - overhead)))
      assert.equal(0, (select(2, link:reply())))
      link:send(2, CREATE, talk.create_record("/b", ("x"):rep(2001 - overhead)))
      assert.is_nil(link:frame())
      goes_on(server)
    end)

    it("requests larger than any that the log would take", function()
      local server = serve_config("jute.maxbuffer=2147483647\n")
      assert.truthy(server.process.stderr:find("jute.maxbuffer is 33554432 here", 1, true))
      local link = open(server.port)
      link:handshake()
      link:write(frames.i32(33554433))
      assert.is_nil(link:frame())
      goes_on(server)
    end)

    it("more requests in work than globalOutstandingLimit, and answers all in the end", function()
      local server = serve_config("globalOutstandingLimit=3\n")
      local many = {}
      for i = 1, 4 do
        many[i] = open(server.port)
        many[i]:handshake()
        for j = 1, 300 do
          many[i]:send(j, CREATE, talk.create_record(("/n%d-%d"):format(i, j)))
        end
      end
      for i = 1, 4 do
        for j = 1, 300 do
          local xid, code = many[i]:reply()
          assert.same({ j, 0 }, { xid, code })
        end
      end
    end)

    it("a client that does not read", function()
      local server = serve_config("minSessionTimeout=500\ntickTime=250\n")
      create(server, "/large", ("x"):rep(1000000)):close()
      local before_kib = rss_kib(server)
      local deaf = open(server.port, { reads = false })
      deaf:write(frames.frame(frames.i32(0) .. frames.i64(0) .. frames.i32(500) .. frames.i64(0)
        .. frames.string(("\0"):rep(16)) .. "\0"))
      for i = 1, 200 do
        deaf:send(i, GET, frames.string("/large") .. "\0")
      end
      goes_on(server)
      server:logs("session 0x%x+ expired")
      goes_on(server)
      -- What may wait for it, and the 200 MB that it asked for.
      local grown_kib = rss_kib(server) - before_kib
      assert.is_true(grown_kib < 32 * 1024, grown_kib .. " KiB more")
      deaf:read()
      deaf:drain()
      stop(server)
    end)

    it("a client that reads slowly: it gets all, in order", function()
      local server = serve({ "--memory", "--listen", ANYWHERE })
      create(server, "/large", ("x"):rep(500000)):close()
      local slow = open(server.port)
      slow:handshake()
      for i = 1, 40 do
        slow:send(i, GET, frames.string("/large") .. "\0")
        slow:send(-2, PING)
      end
      slow.socket:read_stop()
      goes_on(server)
      slow:read()
      for i = 1, 40 do
        local xid, code, body = slow:reply()
        assert.same({ i, 0, 500072 }, { xid, code, #body })
        assert.equal(-2, (slow:reply()))
      end
    end)

    for _, case in ipairs({
      { name = "a frame that is too large", bytes = frames.i32(1048576) },
      { name = "a negative length", bytes = frames.i32(-1) },
      { name = "another protocol", bytes = "GET / HTTP/1.0\r\n\r\n" },
      { name = "a request before the handshake",
        bytes = frames.frame(frames.i32(1) .. frames.i32(PING)) },
    }) do
      it(case.name, function()
        local server = serve({ "--memory", "--listen", ANYWHERE })
        local link = open(server.port)
        link:write(case.bytes)
        local input = link:drain()
        assert.equal("", input)
        goes_on(server)
      end)
    end

    it("a log that nobody reads", function()
      local process = program.start({ "sh", "-c", [[
        mkfifo "$1/pipe" && exec 2<>"$1/pipe" && exec "$2" server --memory --listen "unix:$1/s"
      ]], "sh", dir, ZKLUA })
      assert.is_true(zkserver.wait_for(20, function() return exists(dir .. "/s") end))
      for round = 1, 15 do
        -- Each session is two lines; a pipe takes 64 KiB, and chatter has its rate.
        for _ = 1, 60 do
          local link = talk.open(dir .. "/s")
          link:handshake()
          link:send(1, CLOSE)
          assert.equal(1, (link:reply()), "round " .. round)
          link:close()
        end
      end
      process:kill("sigterm")
      assert.equal(0, process:finish().code)
    end)
  end)

  describe("answers a four-letter word", function()
    for _, case in ipairs({
      { name = "and hangs up", send = function(link) link:write("ruok") end },
      { name = "with a line end", send = function(link) link:write("ruok\n") end },
      { name = "of who has said all", send = function(link)
        link:write("ruok")
        link:shutdown()
      end },
      { name = "in pieces", send = function(link)
        link:write("ru")
        link:write("ok")
      end },
    }) do
      it(case.name, function()
        local server = serve({ "--memory", "--listen", ANYWHERE })
        local link = open(server.port)
        case.send(link)
        local input, how = link:drain()
        assert.same({ "imok", "EOF" }, { input, how })
      end)
    end

    it("only when it may", function()
      local server = serve_config("4lw.commands.whitelist=ruok\n")
      local link = open(server.port)
      link:write("mntr")
      assert.equal("mntr is not executed because it is not in the whitelist.\n", (link:drain()))
    end)
  end)
end)
