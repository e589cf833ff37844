-- `zklua server --to-ensemble`: what one server of ours has kept goes on in three of Apache's.
local uv = require("luv")
local apache = require("support.apache")
local program = require("support.program")
local raw = require("support.raw")
local zkserver = require("support.zkserver")
local write = require("support.file").write

local ZKLUA = program.zklua()
local CLASS_PATH = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar"
local ODD = "\\n\195\164 = \240\159\154\128" -- a name that Java's properties need escapes for
local PATIENCE = 60 -- seconds; three servers, a machine of two cores

describe("zklua server --to-ensemble #once", function()
  local dir, running

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-export-XXXXXX"))
    running = {}
  end)

  after_each(function()
    for _, process in ipairs(running) do
      process:kill("sigkill")
      process:finish()
    end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function run(...)
    return program.run({ ZKLUA, "server", "--to-ensemble", ... })
  end

  -- A directory of ours with some of everything, whose session lives on.
  local function fill()
    local zk = require("zklua")
    local server = zkserver.serve({ ZKLUA, "server", "--data", dir .. "/data",
      "--listen", "127.0.0.1:0" })
    running[1] = server.process
    local c = assert(zk.connect(server.connect_string, { session_timeout = 60 }))
    for i = 1, 100 do
      assert(c:create("/plain/n" .. i, ("%d"):format(i):rep(i), { parents = true }))
    end
    assert(c:create("/seq-", "", { sequential = true }))
    assert(c:create("/mine", "secret", { acl = { zk.acl.digest("joe", "pw", "rwcda") } }))
    assert(c:create("/ttl", "", { ttl = 3600000 }))
    assert(c:create("/container", "", { container = true }))
    assert(c:create("/null", zk.null))
    assert(c:delete("/plain/n100"))
    assert(c:set("/plain/n1", "changed"))
    local stats = {}
    for _, path in ipairs({ "/plain", "/plain/n1", "/ttl", "/container", "/null", "/" }) do
      stats[path] = select(2, assert(c:children(path)))
    end
    c:close()
    local zxid = server:four_letter("srvr"):match("Zxid: 0x(%x+)")
    assert.equal(0, server:stop().code)
    running = {}
    return stats, zxid
  end

  local function start_apache(index, port)
    running[#running + 1] = program.start({ "env", "LC_ALL=C.UTF-8", "java",
      "-cp", CLASS_PATH, "-Xmx96m",
      "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1",
      "-Djava.net.preferIPv4Stack=true", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
      "-Dzookeeper.admin.enableServer=false", "-Dzookeeper.fastleader.maxNotificationInterval=1000",
      "org.apache.zookeeper.server.quorum.QuorumPeerMain",
      ("%s/%s/server.%d/zoo.cfg"):format(dir, ODD, index) })
    return { port = port, connect_string = "127.0.0.1:" .. port }
  end

  it("writes folders from which three of Apache's servers start with all data", function()
    local zk = require("zklua")
    local stats, zxid = fill()
    local hosts, ports = {}, {}
    for i = 1, 3 do
      ports[i] = apache.unused_port()
      hosts[i] = ("127.0.0.1:%d:%d:%d"):format(ports[i], apache.unused_port(),
        apache.unused_port())
    end
    local result = run(table.concat(hosts, ","), dir .. "/data", dir .. "/" .. ODD)
    assert.equal(0, result.code, result.stderr)
    assert.truthy(result.stdout:find("as of zxid 0x" .. zxid, 1, true), result.stdout)
    local members = {}
    for i = 1, 3 do
      members[i] = start_apache(i, ports[i])
    end
    for i = 1, 3 do
      assert.is_true(apache.wait_for(PATIENCE, function()
        local answer = apache.four_letter(members[i], "srvr")
        return answer and answer:find("Mode: ") ~= nil
      end), running[i].stderr)
    end
    for i = 1, 3 do
      local c = assert(zk.connect(members[i].connect_string))
      assert(c:sync("/"))
      assert.equal("changed", (assert(c:get("/plain/n1"))))
      assert.equal(("99"):rep(99), (assert(c:get("/plain/n99"))))
      assert.is_false(c:exists("/plain/n100"))
      assert.is_nil(assert(raw.read(members[i], "/null")).data)
      assert.equal("NOAUTH", select(3, c:get("/mine")))
      for path, stat in pairs(stats) do
        local now = select(2, assert(c:children(path)))
        for _, field in ipairs({ "czxid", "mzxid", "pzxid", "ctime", "mtime", "version",
          "aversion", "data_length" }) do
          assert.equal(stat[field], now[field], path .. " " .. field)
        end
      end
      c:close()
    end
    -- Six children were made below the root: names go on from there.
    assert.equal("/seq-0000000006", raw.create(members[1], "/seq-", "", 2))
    local _, mismatches = table.concat({ running[1].stderr, running[2].stderr,
      running[3].stderr }):gsub("[Dd]igest mismatch", "")
    assert.equal(0, mismatches)
  end)

  for _, case in ipairs({
    { hosts = "a", message = "an ensemble has several hosts" },
    { hosts = "", message = "a host has no name" },
    { hosts = "a,,b", message = "a host has no name" },
    { hosts = "a,b:0", message = "b: '0' is no port" },
    { hosts = "a,b:65536", message = "b: '65536' is no port" },
    { hosts = "a,b:x", message = "b: 'x' is no port" },
    { hosts = "a,b:1:2:3:4", message = "b: HOST:CLIENT:QUORUM:ELECTION is all" },
    { hosts = "a,[::1", message = "the bracket is not closed" },
    { hosts = "a,b\nserver.9=c", message = "is no host" },
    { hosts = "a,b;c", message = "is no host" },
    { hosts = "a,b\195\164", message = "is no host" },
    { hosts = "a,b,a", message = "a:2181 is there twice" },
    { hosts = "a,b:1:2:3,B:1:4:5", message = "B:1 is there twice" },
    { hosts = "a:1:2:3,a:4:5:2", message = "a:2 is there twice" },
    { hosts = "a:1:2:2,b", message = "a:2 is there twice" },
    { hosts = ("h,"):rep(31) .. "h", message = "at most 31 hosts" },
  }) do
    it("refuses the hosts " .. case.hosts:sub(1, 20), function()
      local result = run(case.hosts, dir, dir .. "/out")
      assert.equal(2, result.code, result.stderr)
      assert.truthy(result.stderr:find(case.message, 1, true), result.stderr)
      assert.is_nil(uv.fs_stat(dir .. "/out"))
    end)
  end

  it("refuses to write over what is there", function()
    fill()
    assert(uv.fs_mkdir(dir .. "/out", 448))
    local result = run("a,b,c", dir .. "/data", dir .. "/out")
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("/out: File exists", 1, true), result.stderr)
  end)

  -- What the file system says below dir, but for the directory itself, which was opened.
  local function content()
    local pipe = io.popen("cd '" .. dir .. "' && find . -path ./data -prune -o -print | sort")
    local text = pipe:read("*a")
    pipe:close()
    return text
  end

  it("leaves nothing behind when it fails on its way", function()
    fill()
    local before = content()
    for blocks = 0, 16 do -- of half a kilobyte: less than the data
      local result = program.run({ "sh", "-c", 'ulimit -f "$0"; exec "$@"', tostring(blocks),
        ZKLUA, "server", "--to-ensemble", "a,b,c", dir .. "/data", dir .. "/out" })
      assert.equal(1, result.code, result.stdout)
      assert.truthy(result.stderr:find("File too large", 1, true), result.stderr)
      assert.equal(before, content())
    end
    assert.equal(1, run("a,b,c", dir .. "/data", dir .. "/\255").code) -- no text
    assert.equal(before, content())
    assert.equal(0, run("a,b,c", dir .. "/data", dir .. "/out").code)
  end)

  it("writes a zoo.cfg that is read as it was meant", function()
    fill()
    local out = dir .. "/\\a\tb\195\164\240\159\154\128 #=:\n!"
    assert.equal(0, run("a,b,c", dir .. "/data", out).code)
    local result = program.run({ ZKLUA, "server", "--check", out .. "/server.3/zoo.cfg" })
    assert.equal(0, result.code, result.stderr)
  end)

  it("refuses a directory that a server holds, or that is none", function()
    local server = zkserver.serve({ ZKLUA, "server", "--data", dir .. "/data",
      "--listen", "127.0.0.1:0" })
    running[1] = server.process
    local result = run("a,b,c", dir .. "/data", dir .. "/out")
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find(tostring(server.process.pid), 1, true), result.stderr)
    assert.is_nil(uv.fs_stat(dir .. "/out"))
    assert.equal(1, run("a,b,c", dir .. "/none", dir .. "/out").code)
    assert.is_nil(uv.fs_stat(dir .. "/none"))
    write(dir .. "/file", "")
    assert.equal(2, run("a,b,c", dir .. "/file", dir .. "/out").code) -- a zoo.cfg without dataDir
    assert.is_nil(uv.fs_stat(dir .. "/out"))
  end)
end)
