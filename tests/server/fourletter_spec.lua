local codec = require("wire.codec")
local host = require("server.host")

describe("four-letter words", function()
  local h
  local function new(options)
    h = host.new(options)
    return h
  end
  after_each(function()
    if h then
      h:free()
      h = nil
    end
  end)

  --- The answer to one word; the connection has to be closed behind it.
  local function ask(word, split)
    local c = assert(h:connect())
    h.split = split
    c:feed(word)
    h.split = nil
    assert.are.equal("after output", c.gone)
    return c.bytes
  end

  local function lines(text)
    local list = {}
    for line in text:gmatch("([^\n]*)\n") do
      list[#list + 1] = line
    end
    return list
  end

  it("srvr is always answered, whole or byte by byte, with or without what follows", function()
    new()
    for _, word in ipairs({ "srvr", "srvr\n", "srvrxxxxxxxxxxxxxxxxxxxxx" }) do
      for _, split in ipairs({ false, true }) do
        local list = lines(ask(word, split))
        assert.are.equal("Zookeeper version: 3.9.5", list[1])
        assert.are.equal("Latency min/avg/max: 0/0.0/0", list[2])
        assert.is_truthy(list[3]:match("^Received: %d+$"))
        assert.is_truthy(list[4]:match("^Sent: %d$"))
        assert.are.same({ "Connections: 1", "Outstanding: 0", "Zxid: 0x0",
          "Mode: standalone", "Node count: 5" }, { (table.unpack or unpack)(list, 5) })
      end
    end
  end)

  it("srvr counts", function()
    new()
    local c = h:attach()
    c:create("/a")
    h:settle()
    c:create("/b")
    local list = lines(ask("srvr"))
    assert.are.equal("Received: 4", list[3])
    assert.are.equal("Sent: 2", list[4])
    assert.are.equal("Connections: 2", list[5])
    assert.are.equal("Outstanding: 1", list[6])
    assert.are.equal("Zxid: 0x2", list[7])
    assert.are.equal("Node count: 6", list[9])
  end)

  it("tell how long answers took", function()
    new()
    local c = h:attach()
    for _, ms in ipairs({ 10, 5, 1 }) do
      c:set("/", "x")
      h:log()
      h:set_time(h.now + ms)
      h:commit()
    end
    -- the session itself took no time: (0 + 10 + 5 + 1) / 4
    assert.are.equal("Latency min/avg/max: 0/4.0/10", lines(ask("srvr"))[2])
    c:send("exists", { path = "/" })
    c:send("exists", { path = "/" })
    assert.are.equal("Latency min/avg/max: 0/2.6667/10", lines(ask("srvr"))[2])
  end)

  local ALL = { "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr",
    "ruok", "srst", "stat", "wchc", "wchp", "wchs" }
  for _, word in ipairs(ALL) do
    it(word .. " has to be on the list", function()
      new({ commands = "srvr" })
      assert.are.equal(word .. " is not executed because it is not in the whitelist.\n", ask(word))
      h:free()
      for _, list in ipairs({ "*", word, "xxxx, " .. word .. " ,yyyy" }) do
        new({ commands = list })
        assert.is_nil(ask(word):find("whitelist", 1, true))
        h:free()
      end
      h = nil
    end)
  end

  it("ruok, isro and gtmk end without a newline", function()
    new({ commands = "*" })
    assert.are.equal("imok", ask("ruok"))
    assert.are.equal("rw", ask("isro"))
    assert.are.equal("306", ask("gtmk"))
  end)

  it("are none once there is a session", function()
    new({ commands = "*" })
    local c = h:attach()
    c:feed("ruok")
    assert.are.equal("after output", c.gone)
    assert.are.equal("", c.bytes)
  end)

  it("stat and cons show connections", function()
    new({ commands = "*" })
    local c = h:attach(nil, { address = "\10\1\2\3", port = 5000 })
    c:ask("create", { path = "/a", data = "", acl = host.OPEN_ACL })
    c:get("/a")
    local stat = lines(ask("stat"))
    assert.are.equal("Clients:", stat[2])
    assert.are.equal(" /10.1.2.3:5000[1](queued=0,recved=3,sent=3)", stat[3])
    assert.are.equal(" /127.0.0.1:40000[1](queued=0,recved=1,sent=0)", stat[4])
    assert.are.equal("", stat[5])
    assert.are.equal("Latency min/avg/max: 0/0.0/0", stat[6])
    local cons = lines(ask("cons"))
    assert.are.equal(" /10.1.2.3:5000[1](queued=0,recved=3,sent=3,sid=" .. c.session ..
      ",lop=GETD,est=1700000000000,to=10000,lcxid=0x2,lzxid=0x2,lresp=1000000,llat=0,minlat=0," ..
      "avglat=0,maxlat=0)", cons[1])
  end)

  it("show IPv6 addresses as Java does, Unix sockets as the loopback", function()
    new({ commands = "*" })
    h:connect({ address = ("\0"):rep(15) .. "\1", port = 7 })
    h:connect({ address = "", port = 0 })
    local text = ask("cons")
    assert.is_truthy(text:find(" /0:0:0:0:0:0:0:1:7[1](", 1, true))
    assert.is_truthy(text:find(" /127.0.0.1:0[1](", 1, true))
  end)

  it("srst and crst begin to count anew", function()
    new({ commands = "*" })
    local c = h:attach()
    c:get("/")
    assert.are.equal("Server stats reset.\n", ask("srst"))
    assert.are.equal("Connection stats reset.\n", ask("crst"))
    local stat = ask("stat")
    assert.is_truthy(stat:find("recved=0,sent=0", 1, true))
    assert.is_truthy(stat:find("\nReceived: 2\n", 1, true))
    assert.is_true(h.server:count().frames_in > 4) -- the owner's counts go on
  end)

  it("conf, dirs and envi say what the options say", function()
    new({ commands = "*", config_text = "clientPort=2181\ndataDirSize=67108880\ndataLogSize=458" })
    assert.are.equal("clientPort=2181\ndataDirSize=67108880\ndataLogSize=458\n", ask("conf"))
    assert.are.equal("datadir_size: 67108880\nlogdir_size: 458\n", ask("dirs"))
    assert.are.equal("Environment:\nzookeeper.version=3.9.5\n", ask("envi"))
  end)

  it("mntr gives keys and values", function()
    new({ commands = "*" })
    local c = h:attach()
    c:create("/e", { flags = 1 })
    h:settle()
    c:get("/e", true)
    local values = {}
    for _, line in ipairs(lines(ask("mntr"))) do
      local key, value = assert(line:match("^(zk_[%w_]+)\t(.*)$"))
      values[key] = value
    end
    for key, value in pairs({ zk_version = "3.9.5", zk_server_state = "standalone",
      zk_avg_latency = "0.0", zk_znode_count = "6", zk_watch_count = "1",
      zk_ephemerals_count = "1", zk_num_alive_connections = "2", zk_global_sessions = "1",
      zk_packets_received = "4", zk_packets_sent = "3", zk_outstanding_requests = "0" }) do
      assert.are.equal(value, values[key], key)
    end
  end)

  it("wchs, wchc and wchp tell who watches what, each path once", function()
    new({ commands = "*" })
    local c, d = h:attach(), h:attach()
    c:get("/", true)
    c:send("add_watch", { path = "/", kind = 0 })
    c:send("exists", { path = "/b", watch = true })
    d:send("get_children", { path = "/", watch = true }) -- of children only: not here
    d:send("add_watch", { path = "/b", kind = 1 })
    assert.are.equal("2 connections watching 2 paths\nTotal watches:5\n", ask("wchs"))
    local wchc = ask("wchc")
    assert.is_truthy(wchc == c.session .. "\n\t/\n\t/b\n" .. d.session .. "\n\t/b\n\n", wchc)
    local paths = lines(ask("wchp"))
    assert.are.equal(6, #paths)
    table.sort(paths)
    assert.are.same({ "", "\t" .. c.session, "\t" .. c.session, "\t" .. d.session, "/", "/b" },
      paths)
  end)

  it("dump names sessions, their ephemerals and connections", function()
    new({ commands = "*" })
    local c = h:attach({ timeout_ms = 10000 })
    c:create("/e1", { flags = 1 })
    c:create("/e2", { flags = 1 })
    h:settle()
    local list = lines(ask("dump"))
    assert.are.same({
      "SessionTracker dump:", "Session Sets (1)/(1):",
      -- bucket(1000000 + 10000) at ticks of 2 s: 12 s after 2023-11-14 22:13:20
      "1 expire at Tue Nov 14 22:13:32 UTC 2023:", "\t" .. c.session,
      "ephemeral nodes dump:", "Sessions with Ephemerals (1):", c.session .. ":",
    }, { (table.unpack or unpack)(list, 1, 7) })
    local paths = { list[8], list[9] }
    table.sort(paths)
    assert.are.same({ "\t/e1", "\t/e2" }, paths)
    assert.are.equal("Connections dump:", list[10])
    assert.are.equal("Connections Sets (1)/(2):", list[11])
    assert.are.equal("\tip: /127.0.0.1:40000 sessionId: " .. c.session, list[13])
  end)

  for _, case in ipairs({
    { 0, "Thu Jan 01 00:00:00 UTC 1970" }, { 951782399, "Mon Feb 28 23:59:59 UTC 2000" },
    { 951782400, "Tue Feb 29 00:00:00 UTC 2000" }, { 951868800, "Wed Mar 01 00:00:00 UTC 2000" },
    { 1735689599, "Tue Dec 31 23:59:59 UTC 2024" }, { 4107542400, "Mon Mar 01 00:00:00 UTC 2100" },
  }) do
    it("print dates: " .. case[2], function()
      new({ commands = "*" })
      h.server:set_time(h.now, case[1] * 1000 - 60000) -- connections: one longest timeout from now
      h.server:set_time(h.now, case[1] * 1000 - 40000)
      assert.is_truthy(ask("dump"):find(" expire at " .. case[2] .. ":\n", 1, true))
    end)
  end

  it("hash gives digests of every 128th zxid, the last 1024 of them", function()
    new({ commands = "*" })
    local c = h:attach()
    local function write(count)
      for _ = 1, count do
        c:set("/", "x")
        if c.xid % 500 == 0 then
          h:settle()
        end
      end
      h:settle()
      c:receive()
    end
    write(126)
    assert.are.equal("", ask("hash"))
    write(1)
    assert.is_truthy(ask("hash"):match("^80: %d+\n$"))
    write(128)
    local list = lines(ask("hash"))
    assert.are.equal(2, #list)
    assert.is_truthy(list[2]:match("^100: %d+$"))
  end)

  it("are bounded, however much there is to tell", function()
    new({ commands = "*" })
    local c = h:attach()
    local name = ("n"):rep(10000)
    for i = 1, 600 do
      c:send("add_watch", { path = "/" .. name .. i, kind = 0 })
    end
    local text = ask("wchc")
    assert.is_true(#text <= 4 * 1024 * 1024 and #text > 4 * 1024 * 1024 - 20000)
    assert.is_true(#ask("wchp") <= 4 * 1024 * 1024)
  end)

  it("that do not exist are lengths of frames that are too long", function()
    new({ commands = "*" })
    for _, word in ipairs({ "help", "RUOK", "ruo\n", "quit" }) do
      local c = h:connect()
      c:feed(word)
      assert.are.equal("after output", c.gone)
      assert.are.equal("", c.bytes)
    end
    local c = h:connect()
    c:feed("ruo")
    assert.is_nil(c.gone)
    c:feed(codec.int(0):sub(1, 1))
    assert.are.equal("after output", c.gone)
  end)
end)
