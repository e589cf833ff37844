local world = require("client.world")

local op, kind, type = world.op, world.kind, world.type

describe("a watch", function()
  local w
  local function new(options)
    w = world.new(options)
    w:attach()
  end
  before_each(function()
    new()
  end)
  after_each(function()
    w:free()
  end)

  --- Loses the link and attaches again; gives the setWatches requests.
  local function reattach()
    w:lose()
    w:attach()
    return w:take()
  end

  describe("is registered", function()
    local cases = {
      { "data by getData", "get", 0, "data_watches" },
      { "none by getData of nothing", "get", -101 },
      { "none without permission", "get", -102 },
      { "data by exists", "exists", 0, "data_watches" },
      { "exist by exists of nothing", "exists", -101, "exist_watches" },
      { "none by exists without permission", "exists", -102 },
      { "child by getChildren", "children", 0, "child_watches" },
      { "none by getChildren of nothing", "children", -101 },
    }
    for _, case in ipairs(cases) do
      it(case[1], function()
        assert(w[case[2]](w, "/a", true))
        assert.are.equal(0, w.client:info().watches)
        w:answer(w:take()[1], case[3])
        w:drain()
        local again = reattach()
        if not case[4] then
          assert.are.equal(0, w.client:info().watches)
          assert.are.same({}, again)
          return
        end
        assert.are.equal(1, w.client:info().watches)
        assert.are.equal(world.xid.set_watches, again[1].xid)
        assert.are.equal(op.set_watches, again[1].op)
        assert.are.same({ "/a" }, again[1].request[case[4]])
      end)
    end

    it("not when the link goes first", function()
      assert(w:get("/a", true))
      w:take()
      assert.are.same({}, reattach())
      assert.are.equal(0, w.client:info().watches)
    end)

    it("persistent and recursive by addWatch, and re-armed with the new opcode", function()
      w:ask(w.add_watch, "/p")
      w:ask(w.add_watch, "/r", true)
      w:ask(w.get, "/a", true)
      local again = reattach()
      assert.are.equal(op.set_watches2, again[1].op)
      assert.are.same({ "/p" }, again[1].request.persistent_watches)
      assert.are.same({ "/r" }, again[1].request.recursive_watches)
      assert.are.same({ "/a" }, again[1].request.data_watches)
    end)

    it("not by an addWatch whose record carries an error", function()
      assert(w:add_watch("/p"))
      w:answer(w:take()[1], 0, { number = -5 })
      assert.are.same({ "reply 1 MARSHALLINGERROR" }, w:events())
      assert.are.equal(0, w.client:info().watches)
    end)

    it("with the server's path under a chroot", function()
      w:free()
      new({ chroot = "/app" })
      w:ask(w.get, "/a", true)
      w:ask(w.children, "/", true)
      w:ask(w.get, "/zookeeper/config", true)
      local again = reattach()
      table.sort(again[1].request.data_watches)
      assert.are.same({ "/app/a", "/zookeeper/config" }, again[1].request.data_watches)
      assert.are.same({ "/app" }, again[1].request.child_watches)
      w:feed(world.watch_frame(type.children, "/app"))
      w:feed(world.watch_frame(type.changed, "/zookeeper/config"))
      w:feed(world.watch_frame(type.changed, "/app/a"))
      assert.are.same({ "watch 4 /", "watch 3 /zookeeper/config", "watch 3 /a" }, w:events())
    end)
  end)

  describe("matches", function()
    local all = 31
    local cases = {
      -- event, its path, kinds that it concerns; watched is /a/b with all five
      { type.created, "/a/b", all - kind.child },
      { type.changed, "/a/b", all - kind.child },
      { type.deleted, "/a/b", all },
      { type.children, "/a/b", kind.child + kind.persistent },
      { type.created, "/a/b/c", kind.recursive },
      { type.changed, "/a/b/c/d/e", kind.recursive },
      { type.deleted, "/a/b/c", kind.recursive },
      { type.children, "/a/b/c" },
      { type.created, "/a" },
      { type.created, "/a/bc" },
      { type.changed, "/" },
    }
    for _, case in ipairs(cases) do
      it(("event %d on %s"):format(case[1], case[2]), function()
        w:ask(w.get, "/a/b", true)
        assert(w:exists("/a/b", true))
        w:answer(w:take()[1], -101)
        w:drain()
        w:ask(w.children, "/a/b", true)
        w:ask(w.add_watch, "/a/b")
        w:ask(w.add_watch, "/a/b", true)
        assert.are.equal(5, w.client:info().watches)
        w:feed(world.watch_frame(case[1], case[2]))
        local events = w:drain()
        assert.are.equal(case[3], events[1] and events[1].kinds)
        assert.is_nil(events[2])
        -- One-shot kinds that it concerned are gone, the others stay.
        local gone = 0
        for _, bit in ipairs({ kind.data, kind.exist, kind.child }) do
          if (case[3] or 0) % (2 * bit) >= bit then
            gone = gone + 1
          end
        end
        assert.are.equal(5 - gone, w.client:info().watches)
      end)
    end

    it("everything for a recursive one at the root", function()
      w:ask(w.add_watch, "/", true)
      w:feed(world.watch_frame(type.created, "/a"))
      w:feed(world.watch_frame(type.deleted, "/a/b/c"))
      w:feed(world.watch_frame(type.changed, "/"))
      assert.are.same({ "watch 1 /a", "watch 2 /a/b/c", "watch 3 /" }, w:events())
    end)

    it("once, however many reads have set it", function()
      w:ask(w.get, "/a", true)
      w:ask(w.get, "/a", true)
      assert.are.equal(1, w.client:info().watches)
      w:feed(world.watch_frame(type.changed, "/a"))
      w:feed(world.watch_frame(type.changed, "/a"))
      assert.are.same({ "watch 3 /a" }, w:events())
      assert.are.same({}, reattach())
    end)

    it("for the event that comes before the reply that shows the change", function()
      w:ask(w.get, "/a", true)
      assert(w:get("/a", true))
      local taken = w:take()
      w:feed(world.watch_frame(type.changed, "/a"))
      w:answer(taken[1])
      assert.are.same({ "watch 3 /a", "reply 2 OK" }, w:events())
      assert.are.equal(1, w.client:info().watches) -- the new one
    end)
  end)

  describe("beside a lasting one on its path", function()
    -- what exists, what is asked, whether the flag is sent
    local cases = {
      { false, "get", false }, { false, "exists", false }, { false, "children", false },
      { true, "get", false }, { true, "exists", false }, { true, "children", true },
    }
    for _, case in ipairs(cases) do
      it(("%s under %s"):format(case[2], case[1] and "recursive" or "persistent"), function()
        w:ask(w.add_watch, "/a", case[1])
        assert(w[case[2]](w, "/a", true))
        local taken = w:take()[1]
        assert.are.equal(case[3], taken.request.watch or false)
        w:answer(taken)
        w:drain()
        assert.are.equal(2, w.client:info().watches)
        local event = case[2] == "children" and type.children or type.changed
        w:feed(world.watch_frame(event, "/a"))
        assert.are.same({ ("watch %d /a"):format(event) }, w:events())
        assert.are.equal(1, w.client:info().watches)
      end)
    end

    it("counts one that is still on its way", function()
      assert(w:add_watch("/a"))
      assert(w:get("/a", true))
      assert.is_nil(w:take()[2].request.watch)
    end)

    it("that is refused after all is told as a gap, for it would never fire", function()
      assert(w:add_watch("/a"))
      assert(w:get("/a", true))
      local taken = w:take()
      w:answer(taken[1], -5)
      w:answer(taken[2])
      local events = w:drain()
      assert.are.same({ "reply 1 MARSHALLINGERROR", "reply 2 OK", "watch 100 /a" },
        world.brief(events))
      assert.are.equal(kind.data, events[3].kinds)
      assert.are.equal(0, w.client:info().watches)
    end)

    it("on another path is asked for as ever", function()
      w:ask(w.add_watch, "/a", true)
      assert(w:get("/a/b", true))
      assert.is_true(w:take()[1].request.watch)
    end)
  end)

  describe("is taken off", function()
    it("at the server when nothing else is on the path", function()
      w:ask(w.add_watch, "/a", true)
      w.client:unwatch("/a", kind.recursive)
      assert.are.equal(0, w.client:info().watches)
      local taken = w:take()
      assert.are.equal(op.remove_watches, taken[1].op)
      assert.are.same({ op = op.remove_watches, path = "/a", kind = 3 }, taken[1].request)
      assert.are.equal(0, w.client:info().pending)
      w:answer(taken[1], -121) -- NOWATCHER is nobody's business
      assert.are.same({}, w:events())
      assert.are.same({}, reattach())
    end)

    for what, ask in pairs({
      ["a lasting one"] = function() return w:add_watch("/a", true) end,
      ["that of a read"] = function() return w:get("/a", true) end,
    }) do
      it("at the server when its answer comes and nobody wants it any more: " .. what, function()
        local xid = assert(ask())
        local taken = w:take()
        w.client:cancel(xid)
        w:answer(taken[1])
        w:drain()
        assert.are.equal(0, w.client:info().watches)
        taken = w:take()
        assert.are.equal(1, #taken)
        assert.are.same({ op = op.remove_watches, path = "/a", kind = 3 }, taken[1].request)
      end)
    end

    it("by nobody who gave up, while another one has or awaits it", function()
      w:ask(w.add_watch, "/a")
      local first = assert(w:add_watch("/a"))
      local taken = w:take()
      w.client:cancel(first)
      w:answer(taken[1])
      w:drain()
      assert.are.same({}, w:take())

      first = assert(w:get("/b", true))
      assert(w:get("/b", true))
      taken = w:take()
      w.client:cancel(first)
      w:answer(taken[1])
      w:drain()
      assert.are.same({}, w:take())
      w:answer(taken[2])
      w:drain()
      w:feed(world.watch_frame(type.changed, "/b"))
      assert.are.same({ "watch 3 /b" }, w:events())
    end)

    it("only when the last reference goes", function()
      for _ = 1, 3 do
        w:ask(w.add_watch, "/a")
      end
      w.client:unwatch("/a", kind.persistent)
      w.client:unwatch("/a", kind.persistent)
      assert.are.same({}, w:take())
      w.client:unwatch("/a", kind.persistent)
      assert.are.equal(1, #w:take())
      w.client:unwatch("/a", kind.persistent)
      assert.are.same({}, w:take())
    end)

    it("here only while another kind is on the path", function()
      w:ask(w.add_watch, "/a")
      w:ask(w.get, "/a", true)
      w.client:unwatch("/a", kind.persistent)
      assert.are.same({}, w:take())
      w:feed(world.watch_frame(type.children, "/a"))
      assert.are.same({}, w:events())
      w:feed(world.watch_frame(type.changed, "/a"))
      assert.are.same({ "watch 3 /a" }, w:events())
    end)

    it("here only while a request for another one is on its way", function()
      w:ask(w.add_watch, "/a")
      assert(w:get("/a", true))
      w.client:unwatch("/a", kind.persistent)
      local taken = w:take()
      assert.are.equal(1, #taken)
      w:answer(taken[1])
      w:drain()
      -- The server's persistent watch still serves it.
      w:feed(world.watch_frame(type.changed, "/a"))
      assert.are.same({ "watch 3 /a" }, w:events())
    end)

    it("while disconnected without a word", function()
      w:ask(w.add_watch, "/a")
      w:lose()
      w.client:unwatch("/a", kind.persistent)
      w:attach()
      assert.are.same({}, w:take())
    end)

    it("with its path under a chroot", function()
      w:free()
      new({ chroot = "/app" })
      w:ask(w.add_watch, "/")
      w:ask(w.get, "/zookeeper/config", true)
      w.client:unwatch("/", kind.persistent)
      w.client:unwatch("/zookeeper/config", kind.data)
      local taken = w:take()
      assert.are.equal("/app", taken[1].request.path)
      assert.are.equal("/zookeeper/config", taken[2].request.path)
    end)

    it("not at all when it is unknown, or its kind is none", function()
      w:ask(w.add_watch, "/a")
      for _, unknown in ipairs({ { "/b", 8 }, { "/a", 16 }, { "/a", 0 }, { "/a", 3 },
        { "/a", 32 }, { "a", 8 }, { "", 8 } }) do
        w.client:unwatch(unknown[1], unknown[2])
      end
      assert.are.same({}, w:take())
      assert.are.equal(1, w.client:info().watches)
    end)

    it("while its gap is being shown", function()
      w:ask(w.add_watch, "/a")
      local again = reattach()
      w:answer(again[1])
      local shown = w.client:peek()
      assert.are.equal(type.gap, shown.type)
      w.client:unwatch("/a", kind.persistent)
      assert.are.same(shown, w.client:peek())
      assert.are.same({ "watch 100 /a" }, w:events())
    end)
  end)

  describe("after a reconnection", function()
    it("is asked for with the zxid of the ConnectRequest, after credentials, before requests",
      function()
        w:ask(w.get, "/a", true)
        assert(w:auth("u:p"))
        w:answer_all()
        w:drain()
        local seen = w.client:info().last_zxid
        w:lose()
        assert(w:get("/b"))
        local request = w:open()
        assert.are.equal(seen, request.last_zxid_seen)
        w:feed(world.session_frame())
        assert.are.same({}, w:events())
        local taken = w:take()
        assert.are.equal(1, #taken)
        assert.are.equal(op.auth, taken[1].op)
        w:answer(taken[1])
        assert.are.same({ "state connected" }, w:events())
        taken = w:take()
        assert.are.equal(op.set_watches, taken[1].op)
        assert.are.equal(seen, taken[1].request.zxid)
        assert.are.equal("/b", taken[2].request.path)
      end)

    it("has a gap told for each lasting one, after the answer", function()
      w:ask(w.add_watch, "/p")
      w:ask(w.add_watch, "/r", true)
      w:ask(w.add_watch, "/p", true)
      w:ask(w.get, "/a", true)
      local again = reattach()
      assert.are.same({}, w:events())
      w:feed(world.watch_frame(type.changed, "/a"))
      w:answer(again[1])
      local events = w:drain()
      assert.are.same({ "watch 3 /a", "watch 100 /p", "watch 100 /r" }, world.brief(events))
      assert.are.equal(kind.persistent + kind.recursive, events[2].kinds)
      assert.are.equal(kind.recursive, events[3].kinds)
    end)

    it("has no gap on the first attach", function()
      w:free()
      w = world.new()
      assert(w:add_watch("/p"))
      w:attach()
      w:answer_all()
      assert.are.same({ "reply 1 OK" }, w:events())
    end)

    it("is asked for again when the link goes before the answer", function()
      w:ask(w.add_watch, "/p")
      reattach()
      local again = reattach()
      assert.are.same({ "/p" }, again[1].request.persistent_watches)
      w:answer(again[1])
      assert.are.same({ "watch 100 /p" }, w:events())
    end)

    it("costs the link when the server refuses", function()
      w:ask(w.get, "/a", true)
      local again = reattach()
      w:answer(again[1], -6)
      assert.are.same({ "disconnect protocol", "state disconnected", "connect" }, w:events())
    end)

    it("comes in pieces of at most 128 KiB of paths, all of them", function()
      local count = 10000
      local paths = {}
      for i = 1, count do
        paths[i] = ("/watched/somewhere/deep/node-%06d"):format(i)
        assert(w:get(paths[i], true))
        if i % 3 == 0 then
          assert(w:children(paths[i], true))
        end
      end
      w:answer_all()
      w:drain()
      assert.are.equal(count + math.floor(count / 3), w.client:info().watches)
      assert(w:auth("u:p"))
      w:answer_all()
      w:drain()
      local seen = w.client:info().last_zxid
      w:lose()
      w:open()
      w:feed(world.session_frame())
      w:drain()
      w:answer(w:take()[1])
      w:drain()
      assert(w:get("/behind"))
      local taken = w:take()
      local data, child, pieces = 0, 0, #taken - 1
      for i = 1, pieces do
        local bytes = 0
        assert.are.equal(op.set_watches, taken[i].op)
        assert.are.equal(seen, taken[i].request.zxid)
        for _, path in ipairs(taken[i].request.data_watches or {}) do
          data, bytes = data + 1, bytes + #path
        end
        for _, path in ipairs(taken[i].request.child_watches or {}) do
          child, bytes = child + 1, bytes + #path
        end
        assert.is_true(bytes <= 131072)
        assert.is_true(i == pieces or bytes > 131000)
      end
      assert.are.equal("/behind", taken[#taken].request.path)
      assert.are.equal(count, data)
      assert.are.equal(math.floor(count / 3), child)
      assert.are.equal(4, pieces)
      for _, piece in ipairs(taken) do
        w:answer(piece)
      end
      local events = w:events()
      assert.are.equal("OK", events[#events]:match("(%u+)$"))
    end)

    it("of one path longer than a piece goes alone", function()
      local long = "/" .. ("x"):rep(200000)
      w:ask(w.get, "/a", true)
      w:ask(w.get, long, true)
      w:ask(w.get, "/b", true)
      local again = reattach()
      assert.are.equal(3, #again)
      assert.are.same({ long }, again[2].request.data_watches)
    end)
  end)

  it("is limited in number, those on their way counted", function()
    w:free()
    new({ watch_max = 3 })
    assert(w:get("/a", true))
    assert(w:get("/b", true))
    assert(w:add_watch("/c"))
    assert.are.same({ nil, "LIMIT" }, { w:get("/d", true) })
    assert(w:get("/d"))
    local taken = w:take()
    w:answer(taken[1], -101)
    for i = 2, 4 do
      w:answer(taken[i])
    end
    w:drain()
    w:ask(w.get, "/d", true)
    assert.are.same({ nil, "LIMIT" }, { w:get("/e", true) })
    w.client:unwatch("/c", kind.persistent)
    assert(w:get("/e", true))
  end)

  it("that comes to nothing gives its place back, however it ends", function()
    local endings = {
      { "an error", function() w:answer(w:take()[1], -102) end },
      { "garbage", function()
        w:take()
        w:feed(world.codec.int(16) .. world.codec.int(1) .. ("\0"):rep(12))
      end },
      { "the link", function()
        w:take()
        w.client:disconnected(w.link)
      end },
      { "a cancel before it was sent", function() w.client:cancel(1) end },
      { "a cancel and the late reply", function()
        local taken = w:take()
        w.client:cancel(1)
        w:answer(taken[1])
      end },
      { "a cancel and the link", function()
        w:take()
        w.client:cancel(1)
        w.client:disconnected(w.link)
      end },
      { "a deadline before it was sent", function() w:after(100) end },
      { "a refused submit", function() end, refused = true },
    }
    for _, ending in ipairs(endings) do
      w:free()
      new({ watch_max = 1, request_size_max = 100 })
      if ending.refused then
        assert.are.same({ nil, "LIMIT" }, { w:get("/" .. ("x"):rep(200), true) })
      else
        assert.are.equal(1, w:get("/a", true, { deadline = w.now + 100 }))
        assert.are.same({ nil, "LIMIT" }, { w:get("/b", true) }, ending[1])
      end
      ending[2]()
      w:drain()
      assert.are.equal(0, w.client:info().watches)
      assert.is_truthy(w:get("/b", true), ending[1])
    end
  end)

  it("leaves nothing behind after thousands came and went", function()
    local before
    for turn = 1, 3 do
      for i = 1, 500 do
        assert(w:get("/n" .. i, true))
      end
      w:answer_all()
      w:drain()
      for i = 1, 500 do
        w:feed(world.watch_frame(type.deleted, "/n" .. i))
      end
      assert.are.equal(500, #w:drain())
      assert.are.equal(0, w.client:info().watches)
      before = turn == 1 and w.client:memory().blocks or before
    end
    assert.are.equal(before, w.client:memory().blocks)
  end)
end)
