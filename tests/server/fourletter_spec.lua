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

  local lines = host.lines
  local function ask(...)
    return h:ask(...)
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

  it("srvr says how long answers took, by the clock that is never set", function()
    new({ commands = "*" })
    local c = h:attach()
    c:create("/a")
    c:get("/a") -- waits behind it
    h:log()
    h.now = h.now + 30
    h.server:set_time(h.now, host.WALL + 3600000) -- meanwhile the wall clock leaps by an hour
    h:commit()
    assert.are.same({ "1 OK", "2 OK" }, c:brief())
    assert.are.equal("Latency min/avg/max: 0/20.0/30", lines(ask("srvr"))[2])
    assert.is_truthy(ask("cons"):find(",llat=30,minlat=0,avglat=20,maxlat=30)", 1, true))
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

  local ALL = { "conf", "cons", "crst", "dirs", "dump", "envi", "gtmk", "hash", "isro", "mntr",
    "ruok", "srst", "stat", "stmk\0\0\0\0\0\0\1\50", "wchc", "wchp", "wchs" }
  for _, all in ipairs(ALL) do
    local word = all:sub(1, 4)
    it(word .. " has to be on the list", function()
      new({ commands = "srvr" })
      assert.are.equal(word .. " is not executed because it is not in the whitelist.\n", ask(all))
      h:free()
      for _, list in ipairs({ "*", word, "xxxx, " .. word .. " ,yyyy" }) do
        new({ commands = list })
        assert.is_nil(ask(all):find("whitelist", 1, true))
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

  it("stmk takes eight bytes, which gtmk says from then on", function()
    new({ commands = "*" })
    for _, split in ipairs({ false, true }) do
      assert.are.equal("5", ask("stmk\0\0\0\0\0\0\0\5", split))
      assert.are.equal("5", ask("gtmk"))
      assert.are.equal("-2", ask("stmk" .. ("\255"):rep(7) .. "\254 and more", split))
      assert.are.equal("-2", ask("gtmk"))
    end
    local c = h:connect()
    c:feed("stmk1234567")
    assert.is_nil(c.gone) -- one is lacking
    assert.are.equal("-2", ask("gtmk"))
    h:after(10000)
    assert.are.equal("at once", c.gone)
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
    new({ commands = "*", config_text = "clientPort=2181\ndataDirSize=0\ndataLogSize=\nserverId=0",
      environment = "host.name=here\nos.name=Linux" })
    assert.are.equal("clientPort=2181\ndataDirSize=0\ndataLogSize=0\nserverId=0\n", ask("conf"))
    assert.are.equal("datadir_size: 0\nlogdir_size: 0\n", ask("dirs"))
    h.server:report({ data_bytes = 67108880, log_bytes = 458 })
    assert.are.equal("clientPort=2181\ndataDirSize=67108880\ndataLogSize=458\nserverId=0\n",
      ask("conf"))
    assert.are.equal("datadir_size: 67108880\nlogdir_size: 458\n", ask("dirs"))
    assert.are.equal("Environment:\nzookeeper.version=3.9.5\nhost.name=here\nos.name=Linux\n",
      ask("envi"))
  end)

  it("wchs counts the data table as Apache does, mntr both", function()
    new({ commands = "*" })
    local function counts()
      local watches = tonumber(ask("mntr"):match("zk_watch_count\t(%d+)"))
      local connections, paths, all =
        ask("wchs"):match("^(%d+) connections watching (%d+) paths\nTotal watches:(%d+)\n$")
      return { tonumber(connections), tonumber(paths), tonumber(all), watches }
    end
    local c, d = h:attach(), h:attach()
    assert.are.same({ 0, 0, 0, 0 }, counts())
    c:ask("get_children", { path = "/", watch = true }) -- the child table only
    assert.are.same({ 0, 0, 0, 1 }, counts())
    c:ask("get", { path = "/", watch = true })
    c:ask("exists", { path = "/", watch = true }) -- it has that one
    assert.are.same({ 1, 1, 1, 2 }, counts())
    d:ask("exists", { path = "/no", watch = true })
    assert.are.same({ 2, 2, 2, 3 }, counts())
    c:ask("add_watch", { path = "/", kind = 0 }) -- persistent: in both, where it is already
    assert.are.same({ 2, 2, 2, 3 }, counts())
    d:ask("add_watch", { path = "/", kind = 0 })
    assert.are.same({ 2, 2, 3, 5 }, counts())
    d:ask("add_watch", { path = "/", kind = 1 }) -- recursive: in the data table
    d:ask("add_watch", { path = "/deep", kind = 1 })
    assert.are.same({ 2, 3, 4, 6 }, counts())
    c:ask("set", { path = "/", data = "", version = -1 }) -- the one-shot one goes, as a mode
    assert.are.same({ 2, 3, 4, 6 }, counts())
    assert.are.equal("OK", c:code("remove_watches", { path = "/", kind = 4 }))
    assert.are.same({ 1, 3, 3, 5 }, counts()) -- the child watch is still there
    d:close()
    assert.are.same({ 0, 0, 0, 1 }, counts())
    c:ask("create", { path = "/a", data = "", acl = host.OPEN_ACL })
    assert.are.same({ 0, 0, 0, 0 }, counts())
  end)

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
