-- What the disk's threads do beside the log, as a process shows it: which files stay, and what the
-- loop does while they work.
local uv = require("luv")
local program = require("support.program")
local slow_disk = require("support.slow_disk")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local ZKLUA = program.zklua()
local CREATE = 1
local SNAPSHOTS = 6

describe("a server's old files", function()
  local dir, server

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-durable-XXXXXX"))
  end)

  after_each(function()
    if server then
      server:stop("sigkill")
      server = nil
    end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function serve_config(text)
    local file = assert(io.open(dir .. "/zoo.cfg", "w"))
    assert(file:write("dataDir=", dir, "/data\nclientPort=0\nclientPortAddress=127.0.0.1\n", text))
    file:close()
    server = zkserver.serve({ ZKLUA, "server", dir .. "/zoo.cfg" })
  end

  -- Creates nodes, one after the other, until the log tells of so many snapshots.
  local function write_until(snapshots)
    local link = talk.open(server.port)
    link:handshake()
    local xid, count = 0, 0
    while count < snapshots do
      xid = xid + 1
      link:send(xid, CREATE, talk.create_record("/n" .. xid, "data"))
      assert.equal(0, (select(2, link:reply())))
      count = select(2, server.process.stderr:gsub("snapshot of zxid 0x%x+: ", ""))
    end
    link:close()
  end

  -- How many of each kind there are, and whether the first log is.
  local function files()
    local count = { log = 0, snapshot = 0, first = false }
    for name in uv.fs_scandir_next, uv.fs_scandir(dir .. "/data/version-2") do
      local kind = name:match("^(%a+)%.%x+$")
      if count[kind] then
        count[kind] = count[kind] + 1
      end
      count.first = count.first or name == "log.1"
    end
    return count
  end

  for _, case in ipairs({
    { config = "autopurge.purgeInterval=0\n", stay = true },
    { config = "", stay = true }, -- as Apache's default
    { config = "autopurge.snapRetainCount=5\n", stay = true },
    { config = "autopurge.purgeInterval=1\n", snapshots = 3 },
    { config = "autopurge.purgeInterval=1\nautopurge.snapRetainCount=5\n", snapshots = 5 },
  }) do
    local what = case.config:gsub("\n", " ")
    it((case.stay and "stay" or "go") .. " with a zoo.cfg that says '" .. what .. "'", function()
      serve_config("snapCount=10\n" .. case.config)
      write_until(SNAPSHOTS)
      assert.equal(0, server:stop().code)
      local count = files()
      if case.stay then
        assert.is_true(count.snapshot > SNAPSHOTS, count.snapshot) -- and the first of all
        assert.is_true(count.log >= SNAPSHOTS, count.log)
      else
        -- One more may have been finished by the stop, and purged not any more.
        assert.is_true(count.snapshot >= case.snapshots and count.snapshot <= case.snapshots + 1)
      end
      assert.equal(case.stay or false, count.first)
    end)
  end
end)

describe("a server whose disk hangs", function()
  local dir, server

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-durable-XXXXXX"))
  end)

  after_each(function()
    server:stop("sigkill")
    os.execute("rm -rf '" .. dir .. "'")
  end)

  -- How often the thread of the loop has waited for something.
  local function waits(pid)
    local file = assert(io.open(("/proc/%d/task/%d/status"):format(pid, pid)))
    local text = file:read("*a")
    file:close()
    return tonumber(text:match("\nvoluntary_ctxt_switches:%s*(%d+)"))
  end

  it("waits for it once, also when the watermark is due meanwhile", function()
    local disk = slow_disk(dir)
    server = zkserver.serve({ ZKLUA, "server", "--data", dir .. "/data", "--listen",
      "127.0.0.1:0" }, { env = disk.env })
    local link = talk.open(server.port)
    link:handshake()
    link:send(1, CREATE, talk.create_record("/a", "")) -- the watermark is due in a second
    assert.equal(0, (select(2, link:reply())))
    disk:hold()
    link:send(2, CREATE, talk.create_record("/b", ""))
    assert(zkserver.wait_for(20, function() return disk:reached() end))
    uv.sleep(1100)
    local before = waits(server.process.pid)
    uv.sleep(500)
    assert.is_true(waits(server.process.pid) - before < 10)
    disk:release()
    assert.equal(0, (select(2, link:reply())))
    link:close()
  end)
end)
