local host = require("server.host")

describe("the first frame", function()
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

  describe("for a new session", function()
    it("answers when the session is durable, not before", function()
      new()
      local c = h:connect()
      c:handshake({ timeout_ms = 10000 })
      assert.are.same({}, c:brief())
      assert.are.equal(1, h:log())
      h:drain()
      assert.are.same({}, c:brief())
      h:commit()
      local answer = c:receive()[1]
      assert.are.equal(10000, answer.timeout)
      assert.are.equal(37, answer.size)
      assert.are.equal(16, #answer.password)
      assert.are.same({ "new" }, h:news())
    end)

    it("answers an old client without the readOnly byte", function()
      new()
      local c = h:connect()
      c:handshake({ has_readonly = false })
      h:settle()
      assert.are.equal(36, c:receive()[1].size)
    end)

    for _, case in ipairs({
      { asks = 10000, gets = 10000 }, { asks = 1, gets = 4000 }, { asks = -7, gets = 4000 },
      { asks = 2147483647, gets = 40000 }, { asks = 4000, gets = 4000 },
    }) do
      it(("grants %d ms to who asks for %d"):format(case.gets, case.asks), function()
        new()
        local c = h:connect()
        c:handshake({ timeout_ms = case.asks })
        h:settle()
        assert.are.equal(case.gets, c:receive()[1].timeout)
      end)
    end

    it("takes any password from who has no session", function()
      for _, password in ipairs({ "", "short", ("x"):rep(200) }) do
        new()
        local c = h:connect()
        c:handshake({ password = password })
        h:settle()
        assert.are.same({ "session" }, c:brief())
        h:free()
      end
      h = nil
    end)

    it("closes on who has seen what is not durable here", function()
      new()
      local writer = h:attach()
      writer:create("/a")
      h:log() -- the zxid exists, but only in the log
      local c = h:connect()
      c:handshake({ last_zxid_seen = "0x2" })
      assert.are.equal("at once", c.gone)
      assert.are.same({}, c:brief())
      assert.are.same({ "new", "ahead" }, h:news())
      h:commit()
      local d = h:connect()
      d:handshake({ last_zxid_seen = "0x2" })
      h:settle()
      assert.are.same({ "session" }, d:brief())
    end)
  end)

  describe("for a session that comes back", function()
    it("finds its session on another connection, at once", function()
      new()
      local a = h:attach()
      a:close()
      local b = h:connect()
      b:handshake({ session_id = a.session, password = a.password, timeout_ms = 6000 })
      local answer = b:receive()[1]
      assert.are.equal(a.session, answer.session)
      assert.are.equal(a.password, answer.password)
      assert.are.equal(6000, answer.timeout)
      assert.are.equal(0, h:log())
    end)

    it("closes the connection that had the session, and forgets what it had sent", function()
      new()
      local a = h:attach()
      a:create("/mine")
      a:feed(host.request_frame(9, host.op.set, { path = "/mine" }):sub(1, 10))
      local b = h:connect()
      b:handshake({ session_id = a.session, password = a.password })
      assert.are.equal("at once", a.gone)
      assert.are.same({ "session" }, b:brief())
      h:settle()
      assert.are.same({}, a:brief())
      assert.are.equal("OK", b:code("get", { path = "/mine" }))
      assert.are.same({ "new", "moved" }, h:news())
    end)

    it("waits with its reads for writes of the connection before", function()
      new()
      local a = h:attach()
      a:create("/mine")
      local b = h:connect()
      b:handshake({ session_id = a.session, password = a.password })
      b:get("/mine")
      h:drain()
      assert.are.same({ "session" }, b:brief())
      h:settle()
      assert.are.same({ "1 OK" }, b:brief())
    end)

    local wrong = {
      { "a wrong password", function(a) return a.session, ("x"):rep(16) end },
      { "an empty password", function(a) return a.session, "" end },
      { "no password", function(a) return a.session, nil end },
      { "a password too long", function(a) return a.session, a.password .. "x" end },
      { "the password of no session", function(a) return "0x77", a.password end },
    }
    for _, case in ipairs(wrong) do
      it("is refused with " .. case[1], function()
        new()
        local a = h:attach()
        local session, password = case[2](a)
        local b = h:connect()
        local request = { timeout_ms = 10000, session_id = session, password = password,
          has_readonly = true }
        b:feed(host.frame({ "connect_request", request }))
        local answer = b:receive()[1]
        assert.is_true(answer.refused)
        assert.are.equal(("\0"):rep(16), answer.password)
        assert.are.equal("after output", b.gone)
        assert.is_nil(a.gone)
        assert.are.same({ "new", "refused" }, h:news())
      end)
    end

    it("waits for a close that is under way, and is refused then", function()
      new()
      local a = h:attach()
      a:send("close")
      h:log()
      local b = h:connect()
      b:handshake({ session_id = a.session, password = a.password })
      assert.are.same({}, b:brief())
      assert.is_nil(b.gone)
      h:commit()
      assert.are.same({ "refused" }, b:brief())
      assert.are.equal("after output", b.gone)
      assert.are.same({ "1 OK" }, a:brief())
    end)

    it("may leave while it waits for that", function()
      new()
      local a = h:attach()
      a:send("close")
      h:log()
      local b = h:connect()
      b:handshake({ session_id = a.session, password = a.password })
      b:close()
      h:commit()
      assert.are.equal(0, h.server:count().sessions)
    end)
  end)
end)
