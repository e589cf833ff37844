-- Other people's clients on both servers: kazoo, Apache's C client, its shell, and Curator. Each
-- takes a tour (tests/interop/tours) that checks what it is told; that it passes on Apache's own
-- server shows that it asks for no more than is right.
local uv = require("luv")
local program = require("support.program")

local TOURS = (debug.getinfo(1, "S").source:match("^@(.*)/[^/]*$") or "tests/interop") .. "/tours"
local JARS = {}
for i, name in ipairs({ "zookeeper", "zookeeper-jute", "slf4j-simple", "slf4j-api", "guava",
  "netty-all", "commons-cli", "snappy-java", "metrics-core", "curator-client", "curator-framework",
  "curator-recipes" }) do
  JARS[i] = "/usr/share/java/" .. name .. ".jar"
end
local JAVA = { "java", "-Xmx96m", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", table.concat(JARS, ":") }
local unpack = table.unpack or unpack

local function java(...)
  local argv = { unpack(JAVA) }
  for i = 1, select("#", ...) do
    argv[#argv + 1] = (select(i, ...))
  end
  return argv
end

local function passes(argv, options)
  local result = program.run(argv, options)
  local text = result.stdout .. result.stderr
  assert.equal(0, result.code, text)
  assert.truthy(result.stdout:find("done\n", 1, true), text)
end

local function suite(servers)
  local server, root

  before_each(function()
    server = servers.shared()
    root = servers.fresh_path("clients")
  end)

  it("kazoo", function()
    passes({ "/usr/bin/python3", TOURS .. "/kazoo_tour.py", server.connect_string, root })
  end)

  it("Apache's C client", function()
    local dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-tour-XXXXXX"))
    finally(function()
      os.execute("rm -rf '" .. dir .. "'")
    end)
    local result = program.run({ "cc", "-DTHREADED", "-o", dir .. "/c_tour", TOURS .. "/c_tour.c",
      "-lzookeeper_mt" })
    assert.equal(0, result.code, result.stderr)
    passes({ dir .. "/c_tour", server.connect_string, root })
  end)

  it("Apache's shell", function()
    local result = program.run(java("org.apache.zookeeper.ZooKeeperMain", "-server",
      server.connect_string), { stdin = table.concat({
        "create " .. root .. " data",
        "get -s " .. root,
        "create -s -e " .. root .. "/e- x",
        "create -c " .. root .. "/container",
        "create -t 60000 " .. root .. "/ttl",
        "ls " .. root,
        "stat " .. root,
        "set -v 7 " .. root .. " no",
        "set -s " .. root .. " new",
        "addauth digest joe:secret",
        "setAcl " .. root .. " auth::cdrwa",
        "getAcl " .. root,
        "whoami",
        "getEphemerals " .. root,
        "getAllChildrenNumber " .. root,
        "addWatch -m PERSISTENT " .. root,
        "removewatches " .. root,
        "sync " .. root,
        "deleteall " .. root,
        "get " .. root,
        "quit",
      }, "\n") .. "\n" })
    local text = result.stdout .. result.stderr
    for _, wanted in ipairs({
      "Created " .. root .. "\n", "data\n", "dataLength = 4\n",
      "Created " .. root .. "/e-0000000000", "[container, e-0000000000, ttl]",
      "numChildren = 3", "version No is not valid",
      "dataVersion = 1", "'digest,'joe:", ": cdrwa", "digest: joe", "[" .. root .. "/e-0000000000]",
      "\n3\n", "Sync is OK", "Node does not exist: " .. root,
    }) do
      assert.truthy(text:find(wanted, 1, true), wanted .. " is missing in:\n" .. text)
    end
  end)

  it("Curator", function()
    passes(java(TOURS .. "/CuratorTour.java", server.connect_string, root))
  end)
end

for _, servers in ipairs({ require("support.apache"), (require("support.zkserver")) }) do
  describe("on " .. servers.NAME .. " works #once", function()
    suite(servers)
  end)
end
