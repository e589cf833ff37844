local world = require("client.world")

local brief, op = world.brief, world.op

--- Events of one kind.
local function only(events, kind)
  local list = {}
  for _, event in ipairs(events) do
    if event.kind == kind then
      list[#list + 1] = event
    end
  end
  return list
end

describe("the session", function()
  local w
  local function new(options)
    w = world.new(options)
    return w
  end
  after_each(function()
    if w then
      w:free()
      w = nil
    end
  end)

  describe("beginning", function()
    it("asks for a link at once", function()
      new({ now = 5000 })
      local events = w:drain()
      assert.are.equal("connect", events[1].kind)
      assert.are.equal(5000, events[1].not_before)
      assert.are.equal(1, #events)
      assert.are.equal("connecting", w.client:info().state)
    end)

    it("asks for a new session", function()
      new({ timeout = 30000 })
      local request = w:open()
      assert.are.same({ timeout_ms = 30000, password = ("\0"):rep(16), has_readonly = true },
        request)
    end)

    it("asks for the session it is given", function()
      new({ session_id = "0x77", password = world.PASSWORD })
      local request = w:open()
      assert.are.equal("0x77", request.session_id)
      assert.are.equal(world.PASSWORD, request.password)
    end)

    it("writes nothing before the answer", function()
      new()
      assert(w:get("/a"))
      assert(w:auth("u:p"))
      w:open()
      assert.are.same({}, w:take())
      w:feed(world.session_frame())
      w:drain()
      assert.are.equal(world.op.auth, w:take()[1].op)
    end)

    it("takes a response without the readOnly byte", function()
      new()
      assert.are.same({ "state connected" }, brief((w:attach({ has_readonly = false }))))
    end)

    it("knows what was granted", function()
      new({ timeout = 30000 })
      w:attach({ timeout_ms = 6000 })
      local info = w.client:info()
      assert.are.equal("connected", info.state)
      assert.are.equal(6000, info.timeout)
      assert.are.equal(world.SESSION, info.session_id)
      assert.are.equal(world.PASSWORD, info.password)
      assert.are.equal(1, info.attaches)
    end)

    it("asks for its own timeout again, not for the negotiated one", function()
      new({ timeout = 30000 })
      w:attach({ timeout_ms = 6000 })
      w:lose()
      assert.are.equal(30000, w:open().timeout_ms)
    end)
  end)

  describe("refused", function()
    local cases = {
      { "closed before an answer", function() w.client:disconnected(w.link) end, "refused" },
      { "a header instead of an answer", function()
        w:feed(world.reply_frame(0, 0, nil, -119))
      end, "refused" },
      { "no session for a new client", function()
        w:feed(world.session_frame({ timeout_ms = 0, session_id = 0, password = ("\0"):rep(16) }))
      end, "refused" },
      { "a session without a number", function()
        w:feed(world.session_frame({ session_id = 0 }))
      end, "refused" },
      { "read-only, unasked", function()
        w:feed(world.session_frame({ readonly = true }))
      end, "refused" },
      { "a web server", function() w:feed("HTTP/1.1 400 Bad Request\r\n") end, "protocol" },
      { "35 bytes", function() w:feed(world.codec.int(35) .. ("\0"):rep(35)) end, "protocol" },
      { "38 bytes", function() w:feed(world.codec.int(38) .. ("\0"):rep(38)) end, "protocol" },
    }
    for _, case in ipairs(cases) do
      it("goes to the next server: " .. case[1], function()
        new({ endpoints = { "a:1", "b:1" } })
        w:open()
        local first = w.endpoint
        case[2]()
        local events = w:drain()
        assert.are.same({ "disconnect " .. case[3], "connect" }, brief(events))
        assert.are_not.equal(first, events[2].endpoint)
        assert.are.equal("connecting", w.client:info().state)
      end)
    end
  end)

  describe("losing the link", function()
    it("says so once and asks for another", function()
      new({ endpoints = { "a:1", "b:1", "c:1" } })
      w:attach()
      assert.are.same({ "disconnect driver", "state disconnected", "connect" }, brief(w:lose()))
      w:open()
      w.client:disconnected(w.link)
      assert.are.same({ "disconnect refused", "connect" }, w:events())
    end)

    it("re-attaches with its id, its password and what it has seen", function()
      new()
      w:attach()
      assert(w:get("/a"))
      w:take()
      w:feed(world.reply_frame(1, world.op.get, { data = "", stat = {} }, 0, "0x100000009"))
      assert.are.same({ "reply 1 OK" }, w:events())
      w:lose()
      local request = w:open()
      assert.are.equal(world.SESSION, request.session_id)
      assert.are.equal(world.PASSWORD, request.password)
      assert.are.equal("0x100000009", request.last_zxid_seen)
      w:feed(world.session_frame())
      assert.are.same({ "state connected" }, w:events())
    end)

    it("ignores calls that name an old link", function()
      new()
      w:attach()
      local old = w.link
      w:lose()
      w:open()
      w.client:connected(old)
      w.client:disconnected(old)
      w:feed(world.session_frame(), old)
      assert.is_nil(w.client:output(old))
      w.client:sent(old, 0)
      assert.are.same({}, w:events())
    end)

    it("delivers whole frames that came before the end", function()
      new()
      w:attach()
      local xid = assert(w:get("/a"))
      assert(w:get("/b"))
      w:take()
      w:feed(world.reply_frame(xid, world.op.get, { data = "hi", stat = {} }, 0, 5) .. "\0\0")
      w.client:disconnected(w.link)
      assert.are.same({ "reply 1 OK", "disconnect driver", "state disconnected", "connect",
        "reply 2 CONNECTIONLOSS" }, w:events())
    end)
  end)

  describe("expiry", function()
    it("is what a server says of the session", function()
      new()
      w:attach()
      assert(w:get("/a"))
      w:take()
      assert(w:get("/b"))
      w:lose()
      w:open()
      w:feed(world.session_frame({ timeout_ms = 0, session_id = 0, password = ("\0"):rep(16) }))
      assert.are.same({ "disconnect expired", "state expired", "reply 2 SESSIONEXPIRED", "end" },
        w:events())
      assert.are.equal(0, w.client:info().valid_until)
      assert.are.same({ nil, "ENDED" }, { w:get("/a") })
    end)

    it("is another session than the one asked for", function()
      new()
      w:attach()
      w:lose()
      w:open()
      w:feed(world.session_frame({ session_id = "0x5" }))
      assert.are.same({ "disconnect expired", "state expired", "end" }, w:events())
    end)

    it("is not what a read-only server says", function()
      new({ readonly = true })
      w:attach()
      w:lose()
      w:open()
      w:feed(world.session_frame({ session_id = "0x5", readonly = true }))
      assert.are.same({ "disconnect refused", "connect" }, w:events())
    end)

    it("comes by our own clock after 4/3 of the timeout", function()
      new()
      w:attach({ timeout_ms = 9000 })
      w:after(1000)
      w:feed(world.watch_frame(3, "/a")) -- the last that is heard
      w:drain()
      local heard = w.now
      w:after(10)
      w:lose()
      w:run_until(function() return w.ended end)
      assert.are.equal("expired", w.client:info().state)
      assert.are.equal(heard + 12000, w.now)
    end)

    it("does not come by our own clock before any server had the session", function()
      new({ session_id = "0x77", timeout = 3000 })
      w:run_until(function() return w.now > 60000 end)
      assert.are.equal("connecting", w.client:info().state)
    end)

    it("does not come while a link works", function()
      new({ timeout = 9000 })
      w:attach()
      for _ = 1, 20 do
        w:at(w.client:deadline())
        w:drain()
        w:answer_all()
        assert.are.same({}, w:events())
      end
      assert.is_true(w.now > 50000)
    end)

    it("said by a reply does not hide why the link went", function()
      new()
      w:attach()
      assert(w:get("/a"))
      w:answer(w:take()[1], -112)
      assert.are.same({ "reply 1 SESSIONEXPIRED", "disconnect driver", "state disconnected",
        "connect" }, brief(w:lose()))
    end)

    it("is asked for when a reply says so, never believed", function()
      for _, code in ipairs({ -112, -12, -118 }) do
        new()
        w:attach()
        assert(w:get("/a"))
        assert(w:get("/b"))
        local taken = w:take()
        w:answer(taken[1], code)
        local name = code == -118 and "SESSIONMOVED" or "SESSIONEXPIRED"
        assert.are.same({ "reply 1 " .. name, "disconnect refused", "state disconnected",
          "connect", "reply 2 CONNECTIONLOSS" }, w:events())
        w:attach()
        assert.are.equal("connected", w.client:info().state)
        w:free()
        w = nil
      end
    end)
  end)

  describe("keep-alive", function()
    it("pings when nothing was sent for a third", function()
      new()
      w:attach({ timeout_ms = 9000 })
      assert.are.equal(w.now + 3000, w.client:deadline())
      w:after(2999)
      w:drain()
      assert.are.same({}, w:take())
      w:after(1)
      w:drain()
      local taken = w:take()
      assert.are.equal(1, #taken)
      assert.are.equal(world.xid.ping, taken[1].xid)
      assert.are.equal(world.op.ping, taken[1].op)
    end)

    it("counts what was sent, not what was heard", function()
      new()
      w:attach({ timeout_ms = 9000 })
      w:after(2000)
      assert(w:get("/a"))
      w:answer_all()
      w:drain()
      assert.are.equal(w.now + 3000, w.client:deadline())
      w:after(1000)
      w:feed(world.watch_frame(3, "/a"))
      w:drain()
      assert.are.equal(w.now + 2000, w.client:deadline())
    end)

    it("pings at latest every ten seconds", function()
      new({ timeout = 120000 })
      w:attach({ timeout_ms = 120000 })
      assert.are.equal(w.now + 10000, w.client:deadline())
    end)

    it("has one ping in flight", function()
      new()
      w:attach({ timeout_ms = 9000 })
      w:after(3000)
      w:drain()
      assert.are.equal(1, #w:take())
      w:after(2000)
      w:feed(world.watch_frame(3, "/a"))
      w:drain()
      w:after(2000)
      w:drain()
      assert.are.same({}, w:take())
    end)

    it("gives a silent link up at two thirds", function()
      new()
      w:attach({ timeout_ms = 9000 })
      local start = w.now
      local events = w:run_until(function(events)
        w:take()
        return #only(events, "disconnect") > 0
      end)
      assert.are.equal(start + 6000, w.now)
      assert.are.same({ "disconnect timeout", "state disconnected", "connect" }, brief(events))
    end)

    it("gives a link up that sends, but answers no ping", function()
      new()
      w:attach({ timeout_ms = 9000 })
      local start = w.now
      while #only(w:drain(), "disconnect") == 0 do
        w:after(500)
        w:take()
        w:feed(world.watch_frame(3, "/a"))
      end
      assert.is_true(w.now >= start + 3000 + 9000 and w.now <= start + 3000 + 10000)
    end)

    it("does not ping while something waits to be sent", function()
      new()
      w:attach({ timeout_ms = 9000 })
      assert(w:get("/a"))
      w:after(3000)
      w:drain()
      local taken = w:take()
      assert.are.equal(1, #taken)
      assert.are.equal(world.op.get, taken[1].op)
    end)

    it("knows until when the session cannot have expired", function()
      new()
      local start = w.now
      w:open()
      w:after(50)
      w:feed(world.session_frame())
      w:drain()
      assert.are.equal(start + 9000, w.client:info().valid_until)
      w:after(50)
      assert(w:get("/a"))
      local taken = w:take()
      w:after(500)
      w:answer(taken[1])
      w:drain()
      assert.are.equal(start + 100 + 9000, w.client:info().valid_until)
      w:after(2400)
      w:drain()
      local sent = w.now
      w:after(100)
      w:drain()
      taken = w:take()
      assert.are.equal(world.op.ping, taken[1].op)
      w:after(10)
      w:answer(taken[1])
      w:drain()
      assert.are.equal(sent + 100 + 9000, w.client:info().valid_until)
      w:lose()
      assert.are.equal(sent + 100 + 9000, w.client:info().valid_until)
    end)

    it("survives a server that grants a millisecond", function()
      new()
      w:attach({ timeout_ms = 1 })
      w:run_until(function() return w.ended end)
      assert.are.equal("expired", w.client:info().state)
    end)

    it("survives a server that grants for ever", function()
      new()
      w:attach({ timeout_ms = 2147483647 })
      assert.are.equal(w.now + 10000, w.client:deadline())
    end)
  end)

  describe("attempts", function()
    it("share the timeout before there is a session, at least a second each", function()
      for hosts, expected in pairs({ [1] = 9000, [3] = 3000, [100] = 1000 }) do
        local endpoints = {}
        for i = 1, hosts do
          endpoints[i] = "h" .. i
        end
        new({ endpoints = endpoints, timeout = 9000 })
        w:drain()
        assert.are.equal(w.now + expected, w.client:deadline())
        w:free()
        w = nil
      end
    end)

    it("take at most a third of a living session", function()
      new({ timeout = 9000 })
      w:attach({ timeout_ms = 2400 })
      w:lose()
      assert.are.equal(w.waiting_connect.not_before + 800, w.client:deadline())
    end)

    it("count opening and handshake together", function()
      new({ timeout = 9000 })
      local start = w.now
      w:drain()
      w:after(8000)
      w.client:connected(1)
      assert.are.equal(start + 9000, w.client:deadline())
    end)

    it("back off after whole failed cycles, with jitter, up to five seconds", function()
      new({ endpoints = { "a", "b" }, seed = 7 })
      local pauses = {}
      for i = 1, 60 do
        local connect = only(w:drain(), "connect")[1]
        pauses[i] = connect.not_before - w.now
        w:at(connect.not_before)
        w.client:disconnected(connect.link)
      end
      assert.are.equal(0, pauses[1])
      assert.is_true(pauses[2] < 100)
      local sum, most = 0, 0
      for i = 40, 60 do
        sum, most = sum + pauses[i], math.max(most, pauses[i])
      end
      assert.is_true(most < 5000 and most > 2500)
      assert.is_true(sum / 21 > 1000) -- less than one attempt a second
    end)

    it("keep well below the timeout while a session lives", function()
      new({ timeout = 4000 })
      w:attach({ timeout_ms = 4000 })
      w:lose()
      local count = 0
      w:run_until(function(events)
        for _, event in ipairs(only(events, "connect")) do
          assert.is_true(event.not_before - w.now < 500)
          w:at(event.not_before)
          w.client:disconnected(event.link)
          count = count + 1
        end
        return w.ended
      end)
      assert.is_true(count > 10)
    end)

    it("back off from a server that grants and closes", function()
      new()
      local start = w.now
      for _ = 1, 30 do
        w:attach({ timeout_ms = 120000 })
        w:lose()
      end
      assert.is_true(w.now - start > 15000)
    end)

    it("come soon after a link that had worked", function()
      new({ endpoints = { "a", "b" } })
      w:attach()
      w:after(2000)
      w:lose()
      assert.is_true(w.waiting_connect.not_before - w.now < 500)
    end)

    it("are told apart by the seed only", function()
      local function pauses(seed)
        local list = {}
        new({ endpoints = { "a", "b", "c" }, seed = seed })
        for i = 1, 10 do
          local connect = only(w:drain(), "connect")[1]
          list[i] = { connect.endpoint, connect.not_before }
          w.client:disconnected(connect.link)
        end
        w:free()
        w = nil
        return list
      end
      assert.are.same(pauses(5), pauses(5))
      assert.are_not.same(pauses(5), pauses(6))
    end)
  end)

  describe("read-only", function()
    local function readonly(options)
      options = options or {}
      options.readonly = true
      new(options)
      return w:attach({ session_id = "0x9", readonly = true })
    end

    it("is offered, taken and said", function()
      local events, request = readonly()
      assert.is_true(request.readonly)
      assert.are.same({ "state readonly" }, brief(events))
      assert.are.equal(0, w.client:info().valid_until)
    end)

    it("never re-uses the session of a read-only server", function()
      readonly()
      w:lose()
      local request = w:open()
      assert.is_nil(request.session_id)
      assert.are.equal(("\0"):rep(16), request.password)
    end)

    it("does not expire by our own clock", function()
      readonly()
      w:lose()
      local start = w.now
      w:run_until(function() return w.now > start + 100000 end)
      assert.are.equal("disconnected", w.client:info().state)
    end)

    it("looks for a writable server, from 100 ms doubling to a minute", function()
      readonly({ endpoints = { "a", "b", "c" } })
      local probes, start = {}, w.now
      while #probes < 14 do
        w:at(w.client:deadline())
        local events = w:drain()
        w:answer_all()
        assert.are.same({}, w:events())
        for _, event in ipairs(only(events, "connect")) do
          assert.are_not.equal(w.endpoint, event.endpoint)
          probes[#probes + 1] = w.now - start
          start = w.now
          w.client:disconnected(event.link)
          w:drain()
        end
      end
      assert.are.same({ 100, 200, 400, 800, 1600, 3200, 6400, 12800, 25600, 51200, 60000, 60000,
        60000, 60000 }, probes)
      assert.are.equal("readonly", w.client:info().state)
    end)

    it("moves to a writable one", function()
      readonly({ endpoints = { "a", "b" } })
      assert(w:get("/a"))
      w:take()
      w:after(100)
      local probe = only(w:drain(), "connect")[1]
      w.client:connected(probe.link)
      local request = w:take(probe.link)[1]
      assert.is_nil(request.readonly)
      assert.is_nil(request.session_id)
      w:feed(world.session_frame(), probe.link)
      assert.are.same({ "disconnect rebalance", "state disconnected", "state connected",
        "reply 1 CONNECTIONLOSS" }, w:events())
      w.link = probe.link
      assert.are.equal(world.SESSION, w.client:info().session_id)
      local xid = assert(w:get("/b"))
      w:answer_all()
      assert.are.same({ "reply " .. xid .. " OK" }, w:events())
      assert.are.equal(probe.endpoint, w.client:info().endpoint)
    end)

    it("stays when the probe finds another read-only server", function()
      readonly({ endpoints = { "a", "b" } })
      w:after(100)
      local probe = only(w:drain(), "connect")[1]
      w.client:connected(probe.link)
      w:take(probe.link)
      w:feed(world.session_frame({ readonly = true }), probe.link)
      assert.are.same({ "disconnect refused" }, w:events())
      assert.are.equal("readonly", w.client:info().state)
    end)

    it("drops the probe when its own link goes", function()
      readonly({ endpoints = { "a", "b" } })
      w:after(100)
      w:drain()
      local events = w:lose()
      assert.are.same({ "disconnect driver", "disconnect driver", "state disconnected",
        "connect" }, brief(events))
    end)

    it("asks again for a session that a quorum gave", function()
      new({ readonly = true })
      w:attach()
      w:lose()
      assert.are.equal(world.SESSION, w:open().session_id)
    end)
  end)

  describe("close", function()
    it("sends closeSession last and ends with its answer", function()
      new()
      w:attach()
      assert(w:get("/a"))
      w.client:close(w.now + 1000)
      assert.are.same({ nil, "ENDED" }, { w:get("/b") })
      local taken = w:take()
      assert.are.equal(world.op.close, taken[2].op)
      assert.are.equal(2, taken[2].xid)
      w:answer(taken[1])
      assert.are.same({ "reply 1 OK" }, w:events())
      w:answer(taken[2])
      assert.are.same({ "disconnect close", "state closed", "end" }, w:events())
    end)

    it("ends when the server closes instead of answering", function()
      new()
      w:attach()
      w.client:close(w.now + 1000)
      w:take()
      assert.are.same({ "disconnect driver", "state disconnected", "state closed", "end" },
        brief(w:lose()))
    end)

    it("drops the link at its deadline", function()
      new()
      w:attach()
      assert(w:get("/a"))
      w.client:close(w.now + 1000)
      w:take()
      assert.are.same({}, w:events())
      assert.are.equal(w.now + 1000, w.client:deadline())
      w:after(1000)
      assert.are.same({ "disconnect close", "state closed", "reply 1 CLOSED", "end" }, w:events())
    end)

    it("ends at once without a link", function()
      new()
      w:drain()
      w.client:close(w.now + 1000)
      assert.are.same({ "disconnect close", "state closed", "end" }, w:events())
    end)

    it("ends at once without a link, requests waiting, but no session", function()
      new()
      assert(w:get("/a"))
      w:drain()
      w.client:close(w.now + 1000)
      assert.are.same({ "disconnect close", "state closed", "reply 1 CLOSED", "end" }, w:events())
    end)

    it("waits for a link when requests wait and the session lives", function()
      new()
      w:attach()
      w:lose()
      assert(w:get("/a"))
      w.client:close(w.now + 2000)
      assert.are.same({}, w:events())
      w:attach()
      local taken = w:take()
      assert.are.equal(world.op.get, taken[1].op)
      assert.are.equal(world.op.close, taken[2].op)
      w:answer(taken[1])
      w:answer(taken[2])
      assert.are.same({ "reply 1 OK", "disconnect close", "state closed", "end" }, w:events())
    end)

    it("waits no longer than for those requests", function()
      new()
      w:attach()
      w:lose()
      assert(w:get("/a", false, { deadline = w.now + 500 }))
      w.client:close(w.now + 2000)
      local start = w.now
      w:run_until(function() return w.ended end)
      assert.are.equal(start + 500, w.now)
    end)

    it("goes on through the handshake's end", function()
      new()
      assert(w:auth("u:p"))
      w:open()
      w:feed(world.session_frame())
      w:drain()
      w.client:close(w.now + 1000)
      local taken = w:take()
      assert.are.equal(world.op.auth, taken[1].op)
      assert.are.equal(1, #taken)
      w:answer(taken[1])
      w:drain()
      assert.are.equal(world.op.close, w:take()[1].op)
    end)

    it("sends closeSession again on a new link when a credential still waits", function()
      new()
      w:attach()
      assert(w:auth("u:p"))
      w.client:close(w.now + 9000)
      local taken = w:take()
      assert.are.same({ op.auth, op.close }, { taken[1].op, taken[2].op })
      w:lose()
      w:open()
      w:feed(world.session_frame())
      w:drain()
      w:answer_all() -- the credential
      assert.are.same({ "reply 1 OK", "state connected" }, w:events())
      taken = w:take()
      assert.are.equal(op.close, taken[1].op)
      w:answer(taken[1])
      assert.are.same({ "disconnect close", "state closed", "end" }, w:events())
    end)

    it("may be called twice, and after the end", function()
      new()
      w.client:close(w.now)
      w.client:close(w.now)
      w:drain()
      w.client:close(w.now)
      assert.are.same({}, w:events())
    end)
  end)
end)
