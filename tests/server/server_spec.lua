local host = require("server.host")
local testing = require("zklua_testing")

describe("the server core", function()
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

  it("is made completely or not at all", function()
    local made
    for fail = 1, 200 do
      local server, memory = testing.server.new({ fail = fail, commands = "*", version = "v",
        config_text = "a=b\n", environment = "c=d\n", super_digest = "super:x" })
      if server then
        made = fail
        assert.are.equal(0, server:free().bytes)
        break
      end
      assert.are.equal(0, memory.bytes)
      assert.are.equal(0, memory.blocks)
    end
    assert.is_true(made ~= nil and made > 8)
  end)

  it("begins with the tree of a new Apache server", function()
    new()
    assert.are.equal("0x51c6d660", h.server:digest())
    assert.are.equal("0x0", h.server:zxid())
    assert.are.equal(4, h.server:count().nodes)
  end)

  it("bears ticks that are longer than any session", function()
    new({ tick = 1500000000, timeout_min = 1000, timeout_max = 2000 })
    local c = h:connect()
    c:handshake({ timeout_ms = 5000 })
    h:settle()
    assert.are.equal(2000, c:receive()[1].timeout)
    h:free()
    new({ tick = 1500000000 })
    c = h:connect()
    c:handshake({ timeout_ms = 2147483647 })
    h:settle()
    assert.is_true(c:receive()[1].timeout > 2147483600)
  end)

  it("counts the memory it holds", function()
    new()
    local c = h:attach()
    local before = h.server:count().memory_bytes
    assert.are.equal(h.server:memory().bytes, before)
    for i = 1, 100 do
      c:create("/n" .. i, { data = ("x"):rep(1000) })
    end
    h:settle()
    local counts = h.server:count()
    assert.are.equal(h.server:memory().bytes, counts.memory_bytes)
    assert.is_true(counts.memory_bytes - before > 100000)
    assert.is_true(counts.data_bytes > 100000)
  end)

  describe("from disk", function()
    local function restored(sessions, nodes)
      local server = testing.server.new({ now = host.NOW, wall = host.WALL, seed = 3 })
      server:restore_begin()
      for _, id in ipairs(sessions) do
        assert.are.equal("OK", server:restore_session(id, 6000))
      end
      assert.are.equal("OK", server:restore_acl(1, host.OPEN_ACL))
      for _, node in ipairs(nodes) do
        node.op, node.data, node.acl_id = host.op.get, node.data or "", node.acl_id or 1
        node.stat = node.stat or {}
        assert.are.equal("OK", server:restore_node(node), server:why())
      end
      assert.are.equal("OK", server:restore_end("0x30"), server:why())
      return server
    end
    local FIRST = {
      { path = "" }, { path = "/zookeeper" }, { path = "/zookeeper/quota" },
      { path = "/zookeeper/config" },
    }
    local function with(...)
      local nodes = {}
      for i, node in ipairs(FIRST) do
        nodes[i] = { path = node.path }
      end
      for _, node in ipairs({ ... }) do
        nodes[#nodes + 1] = node
      end
      return nodes
    end

    it("serves its sessions, each for its own timeout from the start", function()
      local server = restored({ "0x100" }, with({ path = "/e", stat = { czxid = "0x20",
        mzxid = "0x20", pzxid = "0x20", ephemeral_owner = "0x100" } }))
      server:start()
      assert.are.equal(1, server:count().sessions)
      assert.are.equal(1, server:count().ephemerals)
      assert.are.equal("0x30", server:zxid())
      local now, zxid
      repeat
        now = server:deadline()
        server:set_time(now, host.WALL)
        server:tick()
        zxid = server:next_txn()
      until zxid
      assert.are.equal("0x31", zxid)
      assert.is_true(now >= host.NOW + 6000 and now <= host.NOW + 9000)
      server:committed("0x31")
      assert.are.equal(0, server:count().ephemerals)
      assert.are.equal(0, server:free().bytes)
    end)

    it("ends them below a parent that a fuzzy snapshot knows from later on", function()
      local server = restored({ "0x100" }, with(
        { path = "/p", stat = { czxid = "0x20", mzxid = "0x20", pzxid = "0x99", cversion = 2 } },
        { path = "/p/e", stat = { czxid = "0x20", mzxid = "0x20", pzxid = "0x20",
          ephemeral_owner = "0x200" } }))
      server:start()
      assert.are.equal("0x31", (server:next_txn()))
      server:committed("0x31") -- what was expected of the digest is what comes out
      assert.are.equal(0, server:count().ephemerals)
      assert.are.equal(0, server:free().bytes)
    end)

    it("leaves nodes of no session that have children: TTL nodes that are served no more", function()
      local server = restored({ "0x100" }, with(
        { path = "/ttl", stat = { czxid = "0x20", mzxid = "0x20", pzxid = "0x20",
          ephemeral_owner = "0xff00000000001000" } },
        { path = "/ttl/child" }))
      server:start()
      assert.is_nil((server:next_txn()))
      assert.are.equal(6, server:count().nodes)
      assert.are.equal(0, server:free().bytes)
    end)

    it("ends ephemeral nodes whose session is not there, in its first transactions", function()
      local server = restored({ "0x100" }, with(
        { path = "/mine", stat = { czxid = "0x20", mzxid = "0x20", pzxid = "0x20",
          ephemeral_owner = "0x100" } },
        { path = "/orphan", stat = { czxid = "0x21", mzxid = "0x21", pzxid = "0x21",
          ephemeral_owner = "0x200" } },
        { path = "/orphan2", stat = { czxid = "0x22", mzxid = "0x22", pzxid = "0x22",
          ephemeral_owner = "0x200" } },
        { path = "/other", stat = { czxid = "0x23", mzxid = "0x23", pzxid = "0x23",
          ephemeral_owner = "0x300" } }))
      assert.are.equal(4, server:count().ephemerals)
      server:start()
      assert.are.equal("0x31", (server:next_txn()))
      assert.are.equal("0x32", (server:next_txn()))
      assert.is_nil((server:next_txn()))
      server:committed("0x32")
      assert.are.equal(1, server:count().ephemerals)
      assert.are.equal(5, server:count().nodes)
      assert.are.equal(1, server:count().sessions)
      assert.are.equal(0, server:free().bytes)
    end)
  end)

  describe("and its log", function()
    it("gives each transaction once, zxids without a gap, payloads that stay", function()
      new()
      local c = h:connect()
      c:handshake()
      local zxid, payload, address = h.server:next_txn()
      assert.are.equal("0x1", zxid)
      assert.is_nil(h.server:next_txn())
      for i = 1, 100 do
        c:feed(host.request_frame(i, host.op.create,
          { path = "/n", data = "", acl = host.OPEN_ACL }))
      end
      assert.is_nil(h.server:next_txn()) -- requests wait for their session
      h.server:committed(zxid)
      for i = 2, 101 do
        assert.are.equal(("0x%x"):format(i), (h.server:next_txn()))
      end
      assert.is_nil(h.server:next_txn())
      assert.is_truthy(payload and address)
      h.server:committed("0x65")
      assert.are.equal("0x65", h.server:zxid())
    end)

    it("makes transactions happen in groups, or a group in pieces", function()
      new()
      local c = h:attach()
      for i = 1, 10 do
        c:create("/n" .. i)
      end
      h:log()
      h:commit(4)
      assert.are.equal(8, h.server:count().nodes)
      assert.are.equal(4, #c:receive())
      c:create("/later") -- prepared while the disk works on the others
      h:commit(6)
      assert.are.equal(6, #c:receive())
      assert.are.equal(1, h:log())
      h:commit()
      assert.are.equal(1, #c:receive())
    end)

    it("says the same that replaying it gives", function()
      new()
      local c, d = h:attach(), h:attach({ timeout_ms = 6000 })
      for i = 1, 40 do
        local parent = i > 5 and "/n" .. math.floor(i / 5) or ""
        c:create(parent .. "/" .. (i <= 5 and "n" .. i or "x" .. i), { data = tostring(i) })
        d:create("/e" .. i, { flags = i % 2 == 0 and 1 or 3 })
        c:set("/n" .. i, "again")
        if i % 7 == 0 then
          c:send("delete", { path = "/n" .. (i - 1), version = -1 })
          c:send("multi", { operations = {
            { op = host.op.create, path = "/m" .. i, data = "", acl = host.OPEN_ACL },
            { op = host.op.check, path = "/no", version = i % 2 == 0 and -1 or 0 },
          } })
        end
        h:settle()
      end
      d:send("close")
      h:settle()
      local again = testing.server.new({ seed = 99, now = 5, wall = 5 })
      for _, payload in ipairs(h.payloads) do
        local status, skipped = again:replay(payload)
        assert.are.equal("OK", status, again:why())
        assert.is_false(skipped)
      end
      assert.are.equal(h.server:digest(), again:digest())
      assert.are.equal(h.server:zxid(), again:zxid())
      assert.are.equal(h.server:count().nodes, again:count().nodes)
      again:start()
      assert.are.equal(1, again:count().sessions)
      assert.are.equal(0, again:free().bytes)
    end)
  end)

  describe("and time", function()
    it("ends sessions that are silent for their timeout, within a tick", function()
      new()
      local c = h:attach({ timeout_ms = 10000 })
      c:create("/e", { flags = 1 })
      h:settle()
      h:after(9000)
      assert.are.equal(1, h.server:count().sessions)
      h:after(3000)
      assert.are.equal(0, h.server:count().sessions)
      assert.are.equal(0, h.server:count().ephemerals)
      assert.are.same({ "1 OK" }, c:brief())
      assert.are.equal("after output", c.gone)
      assert.are.same({ "new", "expired" }, h:news())
    end)

    it("keeps sessions that say anything, pings too, but not auth", function()
      new()
      local c, d, e = h:attach(), h:attach(), h:attach()
      for _ = 1, 10 do
        h:after(5000)
        c:send("ping")
        if not e.gone then
          e:send("auth", { scheme = "ip", data = "" })
        end
      end
      assert.is_nil(c.gone)
      assert.are.equal(10, #c:receive())
      assert.are.equal("after output", d.gone)
      assert.are.equal("after output", e.gone)
    end)

    it("keeps a session whose connection is gone for its timeout", function()
      new()
      local c = h:attach()
      c:close()
      h:after(9000)
      local d = h:connect()
      d:handshake({ session_id = c.session, password = c.password })
      assert.are.same({ "session" }, d:brief())
      h:after(9000)
      assert.are.equal(1, h.server:count().sessions)
    end)

    it("answers nobody whose session is ending", function()
      new()
      local c = h:attach()
      h:set_time(h.now + 12000)
      assert.is_true(h.server:expire(c.session))
      assert.is_true(h.server:expire(c.session)) -- twice is once
      c:send("exists", { path = "/" })
      c:send("ping")
      c:create("/a")
      assert.are.equal(1, h:log())
      assert.are.same({}, c:brief())
      h:commit()
      assert.are.same({}, c:brief())
      assert.are.equal("after output", c.gone)
      assert.is_false(h.server:expire(c.session))
    end)

    it("tells which session a connection has, and whether there is one", function()
      new()
      local a, b = h:connect(), h:connect()
      assert.is_nil(h.server:session(a.number))
      a:handshake({ timeout_ms = 30000 })
      assert.is_nil(h.server:session(a.number)) -- not durable yet
      h:settle()
      local answer = a:receive()[1]
      local id = answer.session
      assert.are.equal(id, h.server:session(a.number))
      assert.is_true(h.server:has_session(id))

      b:handshake({ session_id = id, password = answer.password })
      assert.are.equal(id, h.server:session(b.number))
      h:settle()
      assert.are.equal("at once", a.gone) -- taken over
      b:close()
      assert.is_true(h.server:has_session(id))
      assert.is_true(h.server:expire(id))
      assert.is_true(h.server:has_session(id))
      h:settle()
      assert.is_false(h.server:has_session(id))
      assert.is_false(h.server:has_session("0x1"))
    end)

    it("gives back the time in which it was not asked", function()
      new()
      local c = h:attach()
      h:set_time(h.now + 60000)
      h.server:tick()
      h:settle()
      assert.is_nil(c.gone)
      assert.are.same({ "new", "stall" }, h:news())
      h:after(8000)
      assert.is_nil(c.gone)
      h:after(6000)
      assert.are.equal("after output", c.gone)
    end)

    it("counts bytes that waited in the socket before it expires anybody", function()
      new()
      local c, d = h:attach(), h:attach()
      h:after(11999)
      h:set_time(h.now + 1) -- both are due in this very turn
      c:send("ping")
      h.server:tick()
      h:settle()
      assert.is_nil(c.gone)
      assert.are.equal("after output", d.gone)
    end)

    it("ends no session by itself where they are kept", function()
      new({ sessions_keep = true })
      local c = h:attach()
      h:after(10000000)
      assert.is_nil(c.gone)
      assert.is_true(h.server:expire(c.session))
      h:settle()
      assert.are.equal("after output", c.gone)
    end)

    it("reaps empty containers", function()
      new({ reap_interval = 60000 })
      local c = h:attach({ timeout_ms = 40000 })
      c:ask("container", { path = "/c", data = "", acl = host.OPEN_ACL, flags = 4 })
      c:ask("create", { path = "/c/x", data = "", acl = host.OPEN_ACL })
      c:ask("exists", { path = "/c", watch = true })
      c:ask("delete", { path = "/c/x", version = -1 })
      for _ = 1, 6 do
        h:after(20000)
        c:send("ping")
      end
      local seen
      for _, answer in ipairs(c:receive()) do
        seen = seen or (answer.event == "deleted" and answer.path)
      end
      assert.are.equal("/c", seen)
    end)
  end)

  describe("and its news", function()
    it("are kept up to 1024, the newest", function()
      new({ connection_max = 1 })
      h:connect()
      for i = 1, 1030 do
        h:connect({ port = i })
      end
      local first = h.server:event()
      assert.are.equal("limit", first.kind)
      assert.are.equal(7, first.port)
      assert.are.equal(1023, #h:news())
    end)
  end)
end)
