-- The start and the stop of a server where they are not free to go: a directory that is closed to
-- it, a disk that hangs.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local ZKLUA = program.zklua()
local ANYWHERE = "127.0.0.1:0"
local CREATE, GET = 1, 4
local SAME_SIGNAL_MS = 100 -- as in serve.c
local unpack = table.unpack or unpack

-- A disk whose syncs wait while a file is there.
local SLOW_DISK = [[
#include <stdlib.h>
#include <unistd.h>
int fdatasync(int file) {
    (void)file;
    while (access(getenv("SLOW_DISK"), F_OK) == 0) usleep(1000);
    return 0;
}
]]

describe("a server's", function()
  local dir, servers

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-serve-XXXXXX"))
    servers = {}
  end)

  after_each(function()
    for _, server in ipairs(servers) do
      server:stop("sigkill")
    end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function write(name, text)
    local file = assert(io.open(name, "wb"))
    assert(file:write(text))
    assert(file:close())
  end

  local function serve(env)
    local server = zkserver.serve({ ZKLUA, "server", "--data", dir .. "/data", "--listen",
      ANYWHERE }, { env = env })
    servers[#servers + 1] = server
    return server
  end

  local function holds(server, path)
    local link = talk.open(server.port)
    link:handshake()
    link:send(1, GET, frames.string(path) .. "\0")
    local _, code = link:reply()
    link:close()
    return code == 0
  end

  describe("stop while the disk hangs", function()
    local server, link

    -- One write that is answered, and one that is on its way to the disk.
    before_each(function()
      write(dir .. "/slow.c", SLOW_DISK)
      -- A sanitizer would judge the compiler.
      assert(os.execute(("unset LD_PRELOAD; cc -shared -fPIC -o '%s/slow.so' '%s/slow.c'"):format(
        dir, dir)))
      server = serve({
        LD_PRELOAD = dir .. "/slow.so " .. (os.getenv("LD_PRELOAD") or ""),
        SLOW_DISK = dir .. "/hold",
        ASAN_OPTIONS = "verify_asan_link_order=0",
      })
      link = talk.open(server.port)
      link:handshake()
      link:send(1, CREATE, talk.create_record("/answered", ""))
      assert.equal(0, (select(2, link:reply())))
      write(dir .. "/hold", "")
      link:send(2, CREATE, talk.create_record("/waits", ""))
      -- All who are served know of it by now.
      local other = talk.open(server.port)
      other:write("ruok")
      assert.equal("imok", (other:drain()))
    end)

    after_each(function()
      link:close()
    end)

    it("waits for it, and answers what it has taken", function()
      server.process:kill("sigterm")
      server:logs("stopping %(signal 15%)")
      assert.is_nil(server.process.code)
      os.remove(dir .. "/hold")
      assert.equal(0, (select(2, link:reply())))
      assert.equal("", (link:drain()))
      local result = server.process:finish()
      assert.equal(0, result.code, result.stderr)
      assert.truthy(result.stderr:find(" stopped\n", 1, true), result.stderr)
      assert.is_true(holds(serve(), "/waits"))
    end)

    it("is asked for once by signals that come together, as timeout(1) sends them", function()
      server.process:kill("sigstop")
      server.process:kill("sigterm")
      server.process:kill("sigint")
      server.process:kill("sigcont")
      server:logs("stopping %(signal %d+%)")
      os.remove(dir .. "/hold")
      assert.equal(0, (select(2, link:reply())))
      local result = server.process:finish()
      assert.same({ 0, 0 }, { result.code, result.signal }, result.stderr)
      assert.equal(1, select(2, result.stderr:gsub("stopping", "")), result.stderr)
    end)

    for name, number in pairs({ sigterm = 15, sigint = 2 }) do
      it("does not keep anybody who asks again, by " .. name, function()
        server.process:kill("sigterm")
        server:logs("stopping %(signal 15%)")
        uv.sleep(SAME_SIGNAL_MS + 50) -- that apart are two
        server.process:kill(name)
        local result = server.process:finish()
        assert.equal(number, result.signal, result.stderr)
        assert.truthy(result.stderr:find("a second signal: not waiting for the disk\n", 1, true),
          result.stderr)
        assert.is_true(result.seconds < 3)
        assert.equal("", (link:drain())) -- nothing that waits was answered
        assert.is_true(holds(serve(), "/answered"))
      end)
    end
  end)

  describe("start without permission", function()
    local as_nobody

    -- A directory of another user's, root's where specs run as root, or one that was closed.
    before_each(function()
      as_nobody = uv.getuid() == 0
        and { "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ZKLUA } or { ZKLUA }
      local server = serve()
      local link = talk.open(server.port)
      link:handshake()
      link:send(1, CREATE, talk.create_record("/a", ""))
      assert.equal(0, (select(2, link:reply())))
      link:close()
      assert.equal(0, server:stop().code)
      assert(os.execute("chmod 755 '" .. dir .. "'"))
    end)

    after_each(function()
      os.execute("chmod -R u+rwX '" .. dir .. "'")
    end)

    -- But for the lock, in which each one who tries writes who it is.
    local function state()
      local pipe = io.popen("cd '" .. dir .. "' && ls -lR --time-style=full-iso | grep -v zklua.lock")
      local text = pipe:read("*a")
      pipe:close()
      return text
    end

    for _, case in ipairs({
      { name = "to the directory", mode = "000 data", named = "/data" },
      { name = "to what is in it", mode = "000 data/version-2", named = "/data/version%-2" },
      { name = "to make files", mode = "555 data/version-2", named = "/data/version%-2" },
      { name = "to write the lock", mode = "444 data/version-2/zklua.lock",
        named = "version%-2/zklua.lock" },
      { name = "to read the secret", mode = "000 data/zklua.secret", named = "zklua.secret" },
      { name = "to read the log", mode = "000 data/version-2/log.1", named = "version%-2/log.1" },
      { name = "to read the snapshot", mode = "000 data/version-2/snapshot.0",
        named = "version%-2/snapshot.0" },
      { name = "to read the mark", mode = "000 data/version-2/zklua.mark",
        named = "version%-2/zklua.mark" },
    }) do
      it(case.name .. " is refused, and changes nothing", function()
        if uv.getuid() == 0 then
          assert(os.execute("chown -R 65534:65534 '" .. dir .. "/data'"))
        end
        assert(os.execute(("cd '%s' && chmod %s"):format(dir, case.mode)))
        local before = state()
        local argv = { unpack(as_nobody) }
        for _, word in ipairs({ "server", "--data", dir .. "/data", "--listen", ANYWHERE }) do
          argv[#argv + 1] = word
        end
        local result = program.run(argv)
        assert.equal(1, result.code, result.stderr)
        assert.truthy(result.stderr:find(case.named .. "[^\n]*: Permission denied\n"),
          result.stderr)
        assert.equal(1, select(2, result.stderr:gsub("\n", "")), result.stderr)
        assert.equal(before, state())
      end)
    end
  end)
end)
