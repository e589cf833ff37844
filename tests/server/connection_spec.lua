local host = require("server.host")

local MIB = 1024 * 1024

describe("a connection", function()
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

  describe("limits", function()
    it("counts connections in all", function()
      new({ connection_max = 2 })
      local a = h:connect()
      assert(h:connect())
      local none, status = h:connect()
      assert.is_nil(none)
      assert.are.equal("LIMIT", status)
      assert.are.same({ "limit" }, h:news())
      a:close()
      assert(h:connect())
    end)

    it("counts connections of one address", function()
      new({ connection_per_address_max = 2 })
      local one, two = { address = "\10\0\0\1" }, { address = "\10\0\0\2" }
      local a = h:connect(one)
      assert(h:connect(one))
      assert.is_nil((h:connect(one)))
      assert(h:connect(two))
      for _ = 1, 5 do
        assert(h:connect({ address = "" })) -- Unix sockets are not counted
      end
      a:close()
      assert(h:connect(one))
      assert.is_nil((h:connect(one)))
    end)

    it("gives ten seconds from accept to a session, in all", function()
      new()
      local c = h:connect()
      local d = h:connect()
      c:feed("\0")
      h:after(6000)
      c:feed("\0")
      d:handshake()
      h:log() -- never durable
      assert.is_nil(c.gone)
      h:after(3999)
      assert.is_nil(c.gone)
      h:after(1)
      assert.are.equal("at once", c.gone)
      assert.are.equal("at once", d.gone)
    end)

    it("is not closed for being idle once it has a session", function()
      new({ sessions_keep = true })
      local c = h:attach()
      h:after(100000000)
      assert.is_nil(c.gone)
      assert.are.same({ "1 OK" }, (function()
        c:send("exists", { path = "/" })
        return c:brief()
      end)())
    end)

    it("is to be closed as soon as the last output is sent", function()
      new()
      local c = h:attach()
      c.stuck = true
      c:send("close")
      h:settle()
      assert.is_nil(c.gone)
      h.server:sent(c.number, #h.server:output(c.number))
      assert.are.equal(c.number, h.server:next_connection())
      assert.are.equal("after output", h.server:ending(c.number))
    end)

    it("gives ten seconds to take the last output", function()
      new({ sessions_keep = true })
      local c = h:attach()
      c.stuck = true
      c:send("close")
      h:settle()
      assert.is_nil(c.gone)
      h:after(9999)
      assert.is_nil(c.gone)
      h:after(1)
      assert.are.equal("at once", c.gone)
    end)
  end)

  describe("output", function()
    --- Pipelined gets of a node of half a MiB.
    local function gets(c, count)
      local frames = {}
      for i = 1, count do
        c:expect(100 + i, host.op.get)
        frames[i] = host.request_frame(100 + i, host.op.get, { path = "/large" })
      end
      return table.concat(frames)
    end
    local function large(c)
      assert.are.equal("OK", c:code("create",
        { path = "/large", data = ("x"):rep(MIB / 2), acl = host.OPEN_ACL }))
    end

    it("keeps its address until it is sent", function()
      new()
      local c = h:attach()
      c.stuck = true
      c:get("/")
      h.server:next_connection()
      local bytes, address = h.server:output(c.number)
      for _ = 1, 1000 do
        c:get("/")
      end
      local again, same = h.server:output(c.number)
      assert.are.equal(bytes, again)
      assert.are.equal(address, same)
      h.server:sent(c.number, 10)
      local rest, later = h.server:output(c.number)
      assert.are.equal(bytes:sub(11), rest)
      assert.are_not.equal(address, later)
      h.server:sent(c.number, #rest)
      c.bytes = bytes
      c.stuck = false
      c:take_output()
      assert.are.equal(1001, #c:receive())
    end)

    it("over 4 MiB stops reading, and goes on when it was sent", function()
      new()
      local c = h:attach()
      large(c)
      c.stuck = true
      c:feed(gets(c, 100))
      assert.is_false(h.server:reads(c.number))
      local counts = h.server:count()
      assert.is_true(counts.memory_bytes < 24 * MIB)
      c.stuck = false
      c:take_output()
      assert.is_true(h.server:reads(c.number))
      h:drain()
      local answers = c:receive()
      assert.are.equal(100, #answers)
      for i, answer in ipairs(answers) do
        assert.are.equal(100 + i, answer.xid)
        assert.are.equal(MIB / 2, #answer.result.data)
      end
      assert.is_nil(c.gone)
    end)

    it("over 4 MiB holds back what was deferred, and keeps the order", function()
      new()
      local c = h:attach()
      large(c)
      c.stuck = true
      local first = c:set("/large", ("y"):rep(MIB / 2))
      c:feed(gets(c, 40))
      local second = c:create("/second")
      c:get("/second")
      c:send("close")
      h:log()
      h:commit()
      assert.is_nil(c.gone)
      assert.is_true(h.server:count().memory_bytes < 24 * MIB)
      c.stuck = false
      c:take_output()
      h:drain()
      local answers = c:receive()
      assert.are.equal(44, #answers)
      assert.are.equal(first, answers[1].xid)
      for i = 1, 40 do
        assert.are.equal(100 + i, answers[1 + i].xid)
      end
      assert.are.equal(second, answers[42].xid)
      assert.are.equal(second + 1, answers[43].xid)
      assert.are.equal("d", answers[43].result.data)
      assert.are.equal(host.op.close, answers[44].op)
      assert.are.equal("after output", c.gone)
    end)

    it("over 16 MiB closes who does not read, and nobody else notices", function()
      new()
      local c, d, writer = h:attach(), h:attach(), h:attach()
      for _, watcher in ipairs({ c, d }) do
        watcher:send("add_watch", { path = "/" .. ("p"):rep(100000), kind = 1 })
      end
      local path = "/" .. ("p"):rep(100000)
      c.stuck = true
      writer:create(path)
      for _ = 1, 180 do
        writer:set(path, "")
        h:settle()
      end
      assert.are.equal("at once", c.gone)
      assert.is_nil(d.gone)
      assert.are.equal(182, #d:receive())
      assert.are.equal(181, #writer:receive())
      local news = h:news()
      assert.are.equal("slow", news[#news])
      assert.are.equal(2, h.server:count().connections)
    end)
  end)

  describe("memory", function()
    it("is at most 1 KiB for one that is idle with its session", function()
      new()
      for _ = 1, 200 do
        h:attach()
      end
      local before = h.server:count()
      for i = 1, 1000 do
        local c = h:attach()
        c:get("/")
        c:feed(host.request_frame(77, host.op.ping):sub(1, i % 2 == 0 and 12 or 0))
      end
      local counts = h.server:count()
      assert.are.equal(1200, counts.connections)
      local each = (counts.memory_bytes - before.memory_bytes) / 1000
      assert.is_true(each <= 1024, each .. " bytes each")
    end)

    it("is all given back when they close", function()
      new()
      local list = {}
      for i = 1, 50 do
        list[i] = h:attach()
        list[i]:send("add_watch", { path = "/w" .. i, kind = 0 })
        list[i]:create("/n" .. i)
        list[i]:get("/n" .. i)
        list[i]:feed("\0\0\0")
      end
      for _, c in ipairs(list) do
        c:close()
      end
      h:settle()
      assert.are.equal(0, h.server:count().connections)
      assert.are.equal(0, h.server:count().watches)
      assert.are.equal(0, h.server:count().outstanding)
    end)

    it("asks the allocator for nothing while reads go on", function()
      local _, allocations = require("zklua_testing").server.bench(20)
      local _, again = require("zklua_testing").server.bench(60)
      assert.are.equal(allocations, again)
    end)
  end)
end)
