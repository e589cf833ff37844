-- `zklua server --check` and `--salvage`: the words for what the store finds (tests/store has it).
local uv = require("luv")
local files = require("store.files")
local program = require("support.program")
local zkserver = require("support.zkserver")
local read = require("support.file").read
local write = require("support.file").write

local unpack = table.unpack or unpack
local ZKLUA = program.zklua()

describe("zklua server", function()
  local dir

  local function run(...)
    return program.run({ ZKLUA, "server", ... })
  end

  local function serve(name)
    return zkserver.serve({ ZKLUA, "server", "--data", dir .. name, "--listen", "127.0.0.1:0" })
  end

  -- Nodes /n1 to /n200, on a server that is then stopped.
  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-directory-XXXXXX"))
    local zk = require("zklua")
    local server = serve("/data")
    local c = assert(zk.connect(server.connect_string))
    for i = 1, 200 do
      assert(c:create("/n" .. i, ("x"):rep(100)))
    end
    c:close()
    assert.equal(0, server:stop().code)
  end)

  after_each(function()
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function damage()
    local name = dir .. "/data/version-2/log.1"
    local log = read(name)
    local at = math.floor(#log / 2)
    write(name, log:sub(1, at) .. string.char((log:byte(at + 1) + 1) % 256) .. log:sub(at + 2))
  end

  it("begins with nothing beside the data of no other version", function()
    assert(uv.fs_mkdir(dir .. "/other", 448))
    assert(uv.fs_mkdir(dir .. "/other/version-3", 448))
    local result = run("--data", dir .. "/other", "--listen", "127.0.0.1:0")
    assert.equal(1, result.code)
    assert.matches("/other/version-3 is data of another version, and this server reads and writes "
      .. "version-2: start the server that wrote it, or name an empty directory", result.stderr, 1,
      true)
    assert(uv.fs_mkdir(dir .. "/data/version-3", 448)) -- where ours are, too, they are taken
    assert.equal(0, serve("/data"):stop().code)
  end)

  describe("--check", function()
    it("says that a directory is sound, and what is in it", function()
      local before = read(dir .. "/data/version-2/log.1")
      local result = run("--check", dir .. "/data")
      assert.equal(0, result.code, result.stderr)
      -- A session that is opened and closed, and 200 nodes beside the four that always are.
      assert.truthy(result.stdout:find("zxid 0xca, 204 nodes, 0 sessions, digest 0x", 1, true),
        result.stdout)
      assert.equal(before, read(dir .. "/data/version-2/log.1"))
    end)

    it("says what is damaged, and what is lost by it", function()
      damage()
      local result = run("--check", dir .. "/data")
      assert.equal(1, result.code)
      assert.equal("", result.stdout)
      assert.truthy(result.stderr:find("log.1 is damaged: the entry at offset %d+ "), result.stderr)
      assert.truthy(result.stderr:find("zxids 0x%x+ to 0xca"), result.stderr)
      -- As does a server that is to serve it.
      result = run("--data", dir .. "/data", "--listen", "127.0.0.1:0")
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find("cannot serve this directory: .*log.1 is damaged"),
        result.stderr)
    end)

    it("needs a directory that is there and that no server holds", function()
      local result = run("--check", dir .. "/none")
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find(dir .. "/none", 1, true), result.stderr)
      assert.is_nil(uv.fs_stat(dir .. "/none"))
      local server = serve("/data")
      result = run("--check", dir .. "/data")
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find(tostring(server.process.pid), 1, true), result.stderr)
      server:stop()
    end)
  end)

  describe("--salvage", function()
    it("writes what is left, which a server then serves", function()
      damage()
      local result = run("--salvage", dir .. "/data", dir .. "/out")
      assert.equal(0, result.code, result.stderr)
      local last = result.stdout:match("lost: zxids 0x(%x+) to 0xca")
      assert.truthy(last, result.stdout)
      local kept = tonumber(last, 16) - 2 -- the first zxid opened the session
      assert.truthy(result.stdout:find((" %d nodes, "):format(kept + 4), 1, true), result.stdout)
      local zk = require("zklua")
      local server = serve("/out")
      local c = assert(zk.connect(server.connect_string))
      assert.equal(("x"):rep(100), (assert(c:get("/n" .. kept))))
      assert.is_false(c:exists("/n" .. kept + 1))
      c:close()
      assert.equal(0, server:stop().code)
    end)

    it("writes over nothing", function()
      damage()
      assert.equal(0, run("--salvage", dir .. "/data", dir .. "/out").code)
      local result = run("--salvage", dir .. "/data", dir .. "/out")
      assert.equal(1, result.code)
      assert.truthy(result.stderr:find("must be empty", 1, true), result.stderr)
      assert.equal(1, run("--salvage", dir .. "/data", dir .. "/data").code)
      assert.equal(0, run("--check", dir .. "/out").code)
    end)

    -- What the file system says below dir: names and sizes.
    local function content()
      local pipe = io.popen("cd '" .. dir
        .. "' && find . -type f -printf '%p %s\\n' -o -print | sort")
      local text = pipe:read("*a")
      pipe:close()
      return text
    end

    for _, case in ipairs({
      { name = "there is nothing to read", from = "/none", message = "/none" },
      { name = "what there is holds no data", from = "", message = "version%-2" },
      { name = "it fails on its way", before = "mkdir $0/data/version-2/log.ffff",
        message = "log.ffff" },
      { name = "there is no room", limit = 1, message = "File too large" },
    }) do
      for _, out in ipairs({ "/out", "/out/", "/a/b/c", "/there" }) do
        it("leaves nothing behind when " .. case.name .. ": " .. out, function()
          assert(uv.fs_mkdir(dir .. "/there", 448))
          if case.before then
            assert(os.execute((case.before:gsub("%$0", dir))))
          end
          local before = content()
          local result = program.run({ "sh", "-c", ('%s exec "$@"'):format(
            case.limit and "ulimit -f " .. case.limit .. ";" or ""), "sh", ZKLUA, "server",
            "--salvage", dir .. (case.from or "/data"), dir .. out })
          assert.equal(1, result.code, result.stderr)
          assert.truthy(result.stderr:find(case.message), result.stderr)
          assert.equal(before, content())
        end)
      end
    end

    it("leaves a copy that is known to be all there is", function()
      os.execute("rm " .. dir .. "/data/version-2/log.*")
      assert.equal(0, run("--salvage", dir .. "/data", dir .. "/out").code)
      local result = run("--check", dir .. "/out")
      assert.equal(0, result.code, result.stderr)
      assert.truthy(result.stdout:find("zxid 0x0, 4 nodes", 1, true), result.stdout)
    end)

    describe("of what is whole and cannot be true", function()
      -- All of it read by a client of a server on the copy.
      local function content_of_copy()
        local zk = require("zklua")
        local result = run("--check", dir .. "/data")
        assert.equal(1, result.code, result.stdout)
        assert.truthy(result.stderr:find("cannot be true", 1, true), result.stderr)
        result = run("--salvage", dir .. "/data", dir .. "/out")
        assert.equal(0, result.code, result.stderr)
        assert.truthy(result.stdout:find("could not be true", 1, true), result.stdout)
        assert.is_nil(result.stdout:find("lost", 1, true), result.stdout)
        assert.equal(0, run("--check", dir .. "/out").code)
        local server = serve("/out")
        local c = assert(zk.connect(server.connect_string))
        local found = {}
        local function visit(path)
          for _, name in ipairs(assert(c:children(path))) do
            local child = (path == "/" and "" or path) .. "/" .. name
            if child ~= "/zookeeper" then
              found[child] = (assert(c:get(child)))
              visit(child)
            end
          end
        end
        visit("/")
        c:close()
        assert.equal(0, server:stop().code)
        return found
      end

      -- In place of what the server has written.
      local function keep_snapshot(zxid, more)
        local nodes = { { "/zookeeper" }, { "/zookeeper/config" }, { "/zookeeper/quota" } }
        os.execute("rm " .. dir .. "/data/version-2/[ls]*")
        for _, node in ipairs(more.nodes) do
          nodes[#nodes + 1] = node
        end
        more.nodes = nodes
        write(("%s/data/version-2/snapshot.%x"):format(dir, zxid), files.snapshot(more))
      end

      it("keeps each node when the log's digests are wrong", function()
        local name = dir .. "/data/version-2/log.1"
        local log, payloads, at = read(name), {}, 17
        while #log >= at + 12 and log:byte(at + 11) + log:byte(at + 10) > 0 do
          local size = log:byte(at + 10) * 256 + log:byte(at + 11)
          payloads[#payloads + 1] = log:sub(at + 12, at + 3 + size) .. ("!"):rep(8)
          at = at + 13 + size
        end
        assert.equal(202, #payloads)
        write(name, files.log(payloads))
        local found = content_of_copy()
        for i = 1, 200 do
          assert.equal(("x"):rep(100), found["/n" .. i])
        end
      end)

      for _, zxid in ipairs({ 202, 204 }) do -- all there is, or with a log behind it
        it("keeps each node when a snapshot's digest is wrong, at " .. zxid, function()
          keep_snapshot(zxid, { nodes = { { "/a", data = "1" }, { "/a/b", data = "2" } },
            zxid = zxid, digest = "0xbad" })
          if zxid > 202 then
            write(("%s/data/version-2/log.%x"):format(dir, zxid + 1),
              files.log({ files.create(zxid + 1, "/c", "3") }))
          end
          local found = content_of_copy()
          assert.same({ ["/a"] = "1", ["/a/b"] = "2", ["/c"] = zxid > 202 and "3" or nil }, found)
        end)
      end

      it("keeps what lies below an ephemeral node, and that too", function()
        keep_snapshot(202, {
          sessions = { { "0x77", 30000 } },
          nodes = {
            { "/e", data = "1", stat = { owner = "0x77" } },
            { "/e/c", data = "2" },
            { "/f", data = "3", stat = { owner = "0x77" } },
          },
        })
        assert.same({ ["/e"] = "1", ["/e/c"] = "2", ["/f"] = "3" }, content_of_copy())
      end)
    end)

    it("leaves what others have put there", function()
      assert(uv.fs_mkdir(dir .. "/out", 448))
      write(dir .. "/out/notes", "mine")
      assert(uv.fs_mkdir(dir .. "/data/version-2/log.ffff", 448))
      assert.equal(1, run("--salvage", dir .. "/data", dir .. "/out").code)
      assert.equal("mine", read(dir .. "/out/notes"))
      assert.is_nil(uv.fs_stat(dir .. "/out/version-2"))
    end)
  end)

  describe("whose logs are kept apart", function()
    local commands = {
      { "--check" }, { "--salvage", nil, "/out" }, { "--to-ensemble", "zk1,zk2,zk3", "/out" },
    }

    -- One of the commands about what `name` names.
    local function about(command, name)
      local words = { command[1] }
      words[#words + 1] = command[2]
      words[#words + 1] = dir .. name
      words[#words + 1] = command[3] and dir .. command[3]
      return run(unpack(words))
    end

    -- The node /last is in a log only; the newest snapshot is older, or that of a new server.
    before_each(function()
      local zk = require("zklua")
      write(dir .. "/zoo.cfg", ("dataDir=%s/apart\ndataLogDir=%s/logs\nclientPort=0\n"
        .. "clientPortAddress=127.0.0.1\n"):format(dir, dir))
      local server = zkserver.serve({ ZKLUA, "server", dir .. "/zoo.cfg" })
      local c = assert(zk.connect(server.connect_string))
      assert(c:create("/last", "word"))
      c:close()
      assert.equal(0, server:stop().code)
    end)

    for _, command in ipairs(commands) do
      it("is not all there is to " .. command[1], function()
        for round = 1, 2 do
          local result = about(command, "/apart")
          assert.equal(1, result.code, result.stdout)
          assert.truthy(result.stderr:find("name the zoo.cfg", 1, true), result.stderr)
          assert.is_nil(uv.fs_stat(dir .. "/out"))
          if round == 1 then -- A mark from before the logs were moved out.
            local at = dir .. "/apart/version-2/"
            assert(os.rename(at .. "snapshot.0", at .. "snapshot.cb"))
            assert(os.execute(("cp %s/data/version-2/zklua.mark %s"):format(dir, at)))
          end
        end
      end)

      it("is found by its zoo.cfg, for " .. command[1], function()
        local result = about(command, "/zoo.cfg")
        assert.equal(0, result.code, result.stderr)
        assert.truthy(result.stdout:find("zxid 0x3", 1, true), result.stdout)
      end)

      it("may have lost them, as its zoo.cfg says, for " .. command[1], function()
        write(dir .. "/alone.cfg", "dataDir=" .. dir .. "/apart\n")
        local result = about(command, "/alone.cfg")
        assert.equal(0, result.code, result.stderr)
        assert.truthy(result.stdout:find("zxid 0x0", 1, true), result.stdout)
      end)

      it("needs a file that is a configuration, for " .. command[1], function()
        for text, message in pairs({
          ["tickTime=2000\n"] = "dataDir is not set",
          ["dataDir=\\u12"] = "hexadecimal",
          ["dataDir=" .. ("x"):rep(5000)] = "too long",
        }) do
          write(dir .. "/odd.cfg", text)
          local result = about(command, "/odd.cfg")
          assert.equal(2, result.code, result.stderr)
          assert.truthy(result.stderr:find(message, 1, true), result.stderr)
          assert.is_nil(uv.fs_stat(dir .. "/out"))
        end
      end)
    end

    it("is salvaged with what its logs hold", function()
      local zk = require("zklua")
      assert.equal(0, run("--salvage", dir .. "/zoo.cfg", dir .. "/out").code)
      local server = serve("/out")
      local c = assert(zk.connect(server.connect_string))
      assert.equal("word", (assert(c:get("/last"))))
      c:close()
      assert.equal(0, server:stop().code)
    end)

    it("may be one of an ensemble", function()
      assert.equal(0, run("--to-ensemble", "zk1,zk2,zk3", dir .. "/zoo.cfg", dir .. "/out").code)
      local result = run("--check", dir .. "/out/server.2/zoo.cfg")
      assert.equal(0, result.code, result.stderr)
      assert.truthy(result.stdout:find("zxid 0x3, 5 nodes", 1, true), result.stdout)
    end)
  end)
end)
