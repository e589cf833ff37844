local words = require("differential.words")

local NAMES = { [4001] = "connection 1", [4002] = "asker", [4003] = "janitor" }
local SESSIONS = { ["0x10a"] = "session 1" }

local function read(word, text)
  return words.read({ word = word, text = text, names = NAMES, sessions = SESSIONS }).values
end

local FULL = " /127.0.0.1:4001[1](queued=0,recved=%d,sent=2,sid=0x10a,lop=GETD,est=17953221,"
  .. "to=40000,lcxid=0x3,lzxid=0x2c,lresp=%d,llat=2,minlat=0,avglat=1,maxlat=12)\n"
  .. " /127.0.0.1:4002[0](queued=0,recved=1,sent=0)\n\n"
local DUMP = "SessionTracker dump:\nSession Sets (%d)/(1):\n%s"
  .. "1 expire at Sun Nov 22 04:36:34 UTC 2026:\n\t0x10a\n"
  .. "ephemeral nodes dump:\nSessions with Ephemerals (1):\n0x10a:\n\t/b\n\t/a\n"
  .. "Connections dump:\nConnections Sets (1)/(2):\n1 expire at Sun Nov 22 04:36:34 UTC 2026:\n"
  .. "\tip: /127.0.0.1:4001 sessionId: 0x10a\n\tip: /127.0.0.1:9 sessionId: 0x0\n"
local SRVR = "Zookeeper version: %s\nLatency min/avg/max: %s\nReceived: %d\nNode count: %d\n"

describe("the answer to a four-letter word", function()
  for _, case in ipairs({
    { "times and counts of chance", "srvr", SRVR:format("3.8.0", "0/1.25/9", 4, 5),
      SRVR:format("3.9.5", "1/2.0/3", 77, 5) },
    { "times of a connection", "cons", FULL:format(3, 1000), FULL:format(3, 99) },
    { "empty buckets", "dump", DUMP:format(1, ""),
      DUMP:format(2, "0 expire at Sun Nov 22 04:35:52 UTC 2026:\n") },
    { "the order of paths and of sessions", "wchc", "0x10a\n\t/b\n\t/a\n0x10b\n\t/c\n\n",
      "0x10b\n\t/c\n0x10a\n\t/a\n\t/b\n\n" },
    { "sizes and places", "conf", "clientPort=1\ndataDir=/a/version-2\ndataDirSize=8\n",
      "clientPort=2\ndataDir=/b/c/version-2\ndataDirSize=99\n" },
    { "metrics of chance", "mntr", "zk_version\ta\nzk_avg_latency\t0.0\n",
      "zk_version\tb\nzk_avg_latency\t1.2E-4\n" },
    { "digests", "hash", "80: 12345\n", "80: -7\n100: 5\n" },
  }) do
    it("reads the same whatever " .. case[1] .. " are", function()
      assert.are.same(read(case[2], case[3]), read(case[2], case[4]))
    end)
  end

  for _, case in ipairs({
    { "a count", "srvr", SRVR:format("3.8.0", "0/1.0/9", 4, 5),
      SRVR:format("3.8.0", "0/1.0/9", 4, 6) },
    { "a latency that is none", "srvr", SRVR:format("3.8.0", "0/1.0/9", 4, 5),
      SRVR:format("3.8.0", "0/1/9", 4, 5) },
    { "the order of lines", "dirs", "datadir_size: 1\nlogdir_size: 1\n",
      "logdir_size: 1\ndatadir_size: 1\n" },
    { "what a connection received", "cons", FULL:format(3, 1000), FULL:format(4, 1000) },
    { "a line of no form", "mntr", "zk_version\ta\nzk_x\t1\n", "zk_version\ta\nzk_x 1\n" },
    { "a metric that is no number", "mntr", "zk_x\t1\n", "zk_x\tmany\n" },
    { "an ephemeral node", "dump", DUMP:format(1, ""), (DUMP:format(1, ""):gsub("/a", "/c")) },
    { "a path without a name", "wchp", "/a\n\t0x10a\n\n", "/a\n\t0x10a\n\n\t0x10a\n\n" },
    { "a word that is not answered", "ruok", "imok",
      "ruok is not executed because it is not in the whitelist.\n" },
    { "an answer without an end", "isro", "rw", "" },
  }) do
    it("shows " .. case[1], function()
      assert.are_not.same(read(case[2], case[3]), read(case[2], case[4]))
    end)
  end

  it("names sessions and connections as the sequence does", function()
    local values = read("dump", DUMP:format(1, ""))
    assert.are.equal("session 1", values.sessions)
    assert.are.equal("/a /b", values["ephemerals of session 1"])
    assert.are.equal("connection 1 of session 1", values.connections)
    assert.are.equal(1, values.strangers)
    assert.are.same({ zxid = "0x2c" }, read("cons", FULL:format(3, 1))["connection 1 lzxid"])
  end)
end)
