local host = require("server.host")

describe("order", function()
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

  describe("of answers", function()
    local c
    before_each(function()
      new()
      c = h:attach()
    end)

    it("is that of the requests, whatever they are", function()
      c:create("/a")                                     -- 1
      c:get("/a")                                        -- 2
      c:set("/a", "2")                                   -- 3
      c:set("/a", "3")                                   -- 4
      c:get("/a")                                        -- 5
      c:send("ping")
      c:send("get_children", { path = "/" })             -- 6
      c:create("/a")                                     -- 7: exists
      c:send("exists", { path = "/a" })                  -- 8
      assert.are.equal(4, h:log())
      h:drain()
      assert.are.same({}, c:brief())
      h:commit(1)
      assert.are.same({ "1 OK", "2 OK" }, c:brief())
      h:commit(1)
      assert.are.same({ "3 OK" }, c:brief())
      h:commit(1)
      assert.are.same({ "4 OK", "5 OK", "-2 OK", "6 OK" }, c:brief())
      h:commit(1)
      assert.are.same({ "7 NODEEXISTS", "8 OK" }, c:brief())
      assert.are.equal(0, h.server:count().outstanding)
    end)

    it("shows each read what was written before it, and no more", function()
      for i = 1, 9 do
        if i == 1 then
          c:create("/n", { data = "1" })
        else
          c:set("/n", tostring(i))
        end
        c:get("/n")
      end
      h:log()
      for i = 1, 9 do
        h:commit(1)
        local answers = c:receive()
        assert.are.equal(2, #answers)
        assert.are.equal(tostring(i), answers[2].result.data)
        assert.are.equal(answers[1].zxid, answers[2].zxid)
      end
    end)

    it("makes nobody wait for others' writes, except a sync", function()
      local d = h:attach()
      c:create("/a")
      h:log()
      d:send("exists", { path = "/a" })
      assert.are.same({ "1 NONODE" }, d:brief())
      d:send("sync", { path = "/a" })
      d:send("exists", { path = "/a" })
      assert.are.same({}, d:brief())
      h:commit()
      assert.are.same({ "2 OK", "3 OK" }, d:brief())
      assert.are.same({ "1 OK" }, c:brief())
      d:send("sync", { path = "/a" })
      local answer = d:receive()[1]
      assert.are.equal("/a", answer.result.path)
    end)

    it("lets a sync wait for what was prepared before it, no longer", function()
      local d = h:attach()
      c:create("/a")
      d:send("sync", { path = "/" })
      c:create("/b")
      h:log()
      h:commit(1)
      assert.are.same({ "1 OK" }, d:brief())
      h:commit()
    end)

    it("holds for pings, which are answered with their own xid", function()
      c:create("/a")
      c:expect(-2, host.op.ping)
      c:feed(host.request_frame(0, host.op.ping))
      assert.are.same({}, c:brief())
      h:settle()
      assert.are.same({ "1 OK", "-2 OK" }, c:brief())
    end)

    it("lets auth overtake", function()
      c:create("/a")
      c:send("auth", { scheme = "digest", data = "u:p" })
      local answers = c:receive()
      assert.are.equal(1, #answers)
      assert.are.equal(-4, answers[1].xid)
      assert.are.equal("0x0", answers[1].zxid)
      h:settle()
      assert.are.same({ "1 OK" }, c:brief())
    end)

    it("holds for refusals that need no transaction", function()
      c:create("/a")                                           -- 1
      c:send("check", { path = "/a", version = -1 })           -- 2
      c:get("/a")                                              -- 3: behind the end
      c:create("/never")                                       -- 4
      assert.are.equal(1, h:log())
      assert.is_nil(c.gone)
      h:commit()
      assert.are.same({ "1 OK", "2 UNIMPLEMENTED" }, c:brief())
      assert.are.equal("after output", c.gone)
    end)

    it("ends with closeSession", function()
      c:create("/e", { flags = 1 })
      c:send("close")
      c:get("/e")
      c:create("/never")
      assert.are.equal(2, h:log())
      h:commit()
      assert.are.same({ "1 OK", "2 OK" }, c:brief())
      assert.are.equal("after output", c.gone)
      assert.are.equal(0, h.server:count().ephemerals)
      assert.are.equal(0, h.server:count().sessions)
    end)
  end)

  describe("nothing leaves", function()
    it("before it is durable: answers, events, zxids, sessions", function()
      new({ commands = "*" })
      local c, d = h:attach(), h:attach()
      d:send("add_watch", { path = "/", kind = 1 })
      d:receive()
      local zxid, count = h.server:zxid(), h.server:count().nodes
      c:create("/a")
      c:send("multi", { operations = {
        { op = host.op.create, path = "/b", data = "", acl = host.OPEN_ACL } } })
      c:send("close")
      local e = h:connect()
      e:handshake()
      assert.are.equal(4, h:log())
      d:send("ping")
      d:send("auth", { scheme = "ip", data = "" })
      d:send("exists", { path = "/a" })
      local answers = d:receive()
      assert.are.equal(3, #answers)
      assert.are.equal(zxid, answers[1].zxid)
      assert.are.equal("0x0", answers[2].zxid)
      assert.are.equal(-101, answers[3].code)
      assert.are.equal(zxid, answers[3].zxid)
      local f = h:connect()
      f:feed("srvr")
      assert.is_truthy(f.bytes:find("Zxid: " .. zxid .. "\n", 1, true))
      assert.are.same({}, c:brief())
      assert.are.same({}, e:brief())
      assert.is_nil(c.gone)
      assert.are.equal(count, h.server:count().nodes)
      h:commit()
      assert.are.same({ "event created /a", "event created /b" }, d:brief())
      assert.are.same({ "1 OK", "2 OK", "3 OK" }, c:brief())
      assert.are.same({ "session" }, e:brief())
    end)

    it("once the log has failed", function()
      new()
      local c, d = h:attach(), h:attach()
      c:create("/a")
      h:log()
      h.server:log_failed()
      h:drain()
      assert.are.same({}, c:brief())
      assert.are.equal("at once", c.gone)
      assert.are.equal("at once", d.gone)
      assert.is_nil(h.server:next_txn())
      assert.is_nil(h.server:deadline())
      assert.is_nil((h:connect()))
    end)
  end)

  describe("what waits", function()
    it("is limited: the connections that wait are not read, the others are", function()
      new({ outstanding_max = 10 })
      local c, d = h:attach(), h:attach()
      local frames = {}
      for i = 1, 50 do
        frames[i] = host.request_frame(i, host.op.create,
          { path = "/n" .. i, data = "", acl = host.OPEN_ACL })
        c:expect(i, host.op.create)
      end
      c:feed(table.concat(frames))
      assert.is_false(h.server:reads(c.number))
      assert.are.equal(11, h:log())
      d:send("exists", { path = "/" })
      assert.are.same({ "1 OK" }, d:brief())
      d:create("/d")
      assert.is_false(h.server:reads(d.number))
      h:settle()
      local answers = c:receive()
      assert.are.equal(50, #answers)
      for i = 1, 50 do
        assert.are.equal(i, answers[i].xid)
      end
      assert.are.same({ "2 OK" }, d:brief())
      assert.is_true(h.server:reads(c.number))
      assert.is_true(h.server:reads(d.number))
    end)

    it("goes on when what was held up is sent, without another commit", function()
      new({ outstanding_max = 2 })
      local writer, list = h:attach(), {}
      local path = "/" .. ("p"):rep(100000)
      for i = 1, 4 do
        list[i] = h:attach()
        list[i]:send("add_watch", { path = path, kind = 0 })
        list[i]:receive()
        list[i].stuck = true
      end
      writer:create(path)
      h:settle()
      for _ = 1, 40 do
        writer:set(path, "")
        h:settle()
      end
      writer:set(path, "") -- its event is one too many to go on
      for i, c in ipairs(list) do
        c:send("sync", { path = "/" })
        assert.are.equal(i == 1, h.server:reads(c.number))
      end
      h:log()
      h:commit()
      assert.are.equal(4, h.server:count().outstanding)
      for _, c in ipairs(list) do
        c.stuck = false
        c:take_output()
      end
      for _, c in ipairs(list) do
        assert.are.equal(43, #c:receive())
        assert.is_true(h.server:reads(c.number))
      end
      assert.are.equal(0, h.server:count().outstanding)
    end)

    it("counts reads that are deferred, with any xid", function()
      new({ outstanding_max = 10 })
      local c = h:attach()
      c:create("/a")
      for _ = 1, 30 do
        c:send("exists", { path = "/a" }, 0)
      end
      assert.is_false(h.server:reads(c.number))
      assert.are.equal(11, h.server:count().outstanding)
      h:settle()
      assert.are.equal(31, #c:receive())
      assert.are.equal(0, h.server:count().outstanding)
    end)

    it("is limited in bytes too", function()
      new({ outstanding_max = 100000 })
      local c = h:attach()
      c:create("/a")
      local data = ("x"):rep(1000000)
      for _ = 1, 70 do
        c:set("/a", data)
      end
      assert.is_false(h.server:reads(c.number))
      h:settle()
      assert.are.equal(71, #c:receive())
    end)
  end)
end)
