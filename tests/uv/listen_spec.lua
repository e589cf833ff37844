-- Where clients connect, as a process shows it: places that cannot be had, and clients that
-- cannot be taken for now.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local slow_disk = require("support.slow_disk")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local ZKLUA = program.zklua()
local CREATE, PING = 1, 11
local unpack = table.unpack or unpack

describe("the server's listeners", function()
  local dir, servers, links

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-listen-XXXXXX"))
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

  local function serve(...)
    local server = zkserver.serve({ ZKLUA, "server", ... })
    servers[#servers + 1] = server
    return server
  end

  local function open(where, options)
    local link = talk.open(where, options)
    links[#links + 1] = link
    return link
  end

  local function ping(link)
    link:send(-2, PING)
    assert.equal(-2, (link:reply()))
  end

  describe("that cannot be had", function()
    local function refused(address, pattern)
      local result = program.run({ ZKLUA, "server", "--data", dir .. "/data", "--listen", address })
      assert.equal(1, result.code, result.stderr)
      assert.truthy(result.stderr:find(pattern), result.stderr)
      assert.equal(1, select(2, result.stderr:gsub("\n", "")), result.stderr)
      -- Nothing was touched for that.
      assert.is_nil(uv.fs_stat(dir .. "/data"))
    end

    for _, case in ipairs({
      { name = "of IPv4", listen = "127.0.0.1:0", again = "127.0.0.1:%d" },
      { name = "of IPv6", listen = "[::1]:0", again = "[::1]:%d", host = "::1" },
      { name = "of IPv6 that every address needs", listen = "[::1]:0", again = "*:%d",
        host = "::1" },
      { name = "of IPv4 that every address needs", listen = "127.0.0.1:0", again = ":%d" },
      { name = "of every address that IPv4 needs", listen = "*:0", again = "127.0.0.1:%d" },
      { name = "of every address that IPv6 needs", listen = "*:0", again = "[::1]:%d" },
    }) do
      it("refuse a port " .. case.name, function()
        local server = serve("--memory", "--listen", case.listen)
        local address = case.again:format(server.port)
        refused(address, "error cannot listen at: " .. address:gsub("%p", "%%%0")
          .. ": address already in use\n")
        -- The one that has it did not notice.
        open(server.port, { host = case.host }):handshake()
      end)
    end

    it("refuse one of several, and let go of the others", function()
      local server = serve("--memory", "--listen", "127.0.0.1:0")
      refused(("unix:%s/s,127.0.0.1:%d"):format(dir, server.port), "address already in use")
      assert.is_nil(uv.fs_stat(dir .. "/s"))
    end)

    for _, case in ipairs({
      { name = "a file", make = "echo precious >%s", message = "file already exists" },
      { name = "a directory", make = "mkdir %s", message = "file already exists" },
      { name = "a link to a file", make = "touch %s.to; ln -s %s.to %s",
        message = "file already exists" },
    }) do
      it("refuse a Unix socket where there is " .. case.name .. ", which stays", function()
        local path = dir .. "/s"
        assert(os.execute((case.make:gsub("%%s", path))))
        local before = uv.fs_lstat(path)
        refused("unix:" .. path, "error cannot listen at: unix:[^\n]*/s: " .. case.message)
        assert.equal(before.ino, uv.fs_lstat(path).ino)
        assert.equal(before.size, uv.fs_lstat(path).size)
      end)
    end

    it("refuse a Unix socket whose server does not accept, without waiting for it", function()
      local path = dir .. "/s"
      local other = uv.new_pipe(false)
      assert(other:bind(path))
      assert(other:listen(1, function() end))
      local waiting, full = {}, nil
      repeat -- libuv takes one from the kernel, and no more before that is accepted
        local link = uv.new_pipe(false)
        waiting[#waiting + 1] = link
        link:connect(path, function(failure) full = failure end)
        uv.run("nowait")
        uv.run("nowait")
      until full
      refused("unix:" .. path, "error cannot listen at: unix:[^\n]*/s: address already in use")
      for _, link in ipairs(waiting) do
        link:close()
      end
      other:close()
      uv.run("nowait")
    end)

    it("refuse a Unix socket whose server still reads its data", function()
      local path, disk = dir .. "/s", slow_disk(dir)
      disk:hold()
      local first = program.start({ ZKLUA, "server", "--data", dir .. "/first", "--listen",
        "unix:" .. path }, { env = disk.env })
      finally(function()
        first:kill("sigkill")
        first:finish()
      end)
      assert(zkserver.wait_for(20, function()
        return uv.fs_stat(path) and disk:reached()
      end))
      refused("unix:" .. path, "error cannot listen at: unix:[^\n]*/s: address already in use")
      disk:release()
      open(path):handshake()
    end)

    it("refuse a Unix socket in a directory that is not there", function()
      refused("unix:" .. dir .. "/none/s", "unix:[^\n]*/none/s: no such file or directory")
    end)
  end)

  -- The next accept() of `server` finds no descriptor until `restore`.
  local function exhaust(server)
    local pid = server.process.pid
    local function limit(number)
      local result = program.run({ "prlimit", "--pid", tostring(pid),
        "--nofile=" .. number .. ":" })
      assert.equal(0, result.code, result.stderr)
    end
    local file = assert(io.open("/proc/" .. pid .. "/limits"))
    local before = file:read("*a"):match("Max open files%s+(%d+)")
    file:close()
    -- Below any that is free, also those that were kept in reserve.
    limit(3)
    return function() limit(before) end
  end

  for _, address in ipairs({ "127.0.0.1:0", "unix:%s/s" }) do
    it("let clients wait while there are no descriptors, at " .. address:sub(1, 4), function()
      local server = serve("--data", dir .. "/data", "--listen", (address:format(dir)))
      local where = server.port or dir .. "/s"
      local served = open(where)
      served:handshake()
      served:send(1, CREATE, talk.create_record("/a", "data"))
      assert.equal(0, (select(2, served:reply())))
      local restore = exhaust(server)
      local waiting = {}
      for i = 1, 20 do
        waiting[i] = open(where)
        waiting[i]:write("ruok")
        ping(served)
      end
      server:logs("warn  new connections have to wait: too many open files\n")
      served:send(2, CREATE, talk.create_record("/b", "data"))
      assert.equal(0, (select(2, served:reply())))
      restore()
      for _, link in ipairs(waiting) do
        assert.equal("imok", (link:drain()))
      end
      server:logs("info  new connections are accepted again\n")
      open(where):handshake()
      ping(served)
      local result = server:stop()
      assert.equal(0, result.code, result.stderr)
      assert.equal(1, select(2, result.stderr:gsub("have to wait", "")), result.stderr)
      assert.equal(1, select(2, result.stderr:gsub("accepted again", "")), result.stderr)
    end)
  end

  it("can be closed while clients wait", function()
    -- Without a descriptor a sanitizer cannot look for leaks.
    local server = zkserver.serve({ ZKLUA, "server", "--memory", "--listen", "127.0.0.1:0" },
      { env = { ASAN_OPTIONS = "detect_leaks=0" } })
    servers[#servers + 1] = server
    exhaust(server)
    local link = open(server.port)
    server:logs("new connections have to wait")
    local result = server:stop()
    assert.equal(0, result.code, result.stderr)
    assert.truthy(link:drain() == "")
  end)
end)
