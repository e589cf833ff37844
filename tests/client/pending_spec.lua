local world = require("client.world")

local op = world.op

describe("a waiting request", function()
  local w
  before_each(function()
    w = world.new({ timeout = 60000 })
  end)
  after_each(function()
    w:free()
  end)

  it("that was never sent waits through disconnections", function()
    assert(w:get("/a"))
    w:open()
    w:lose()
    w:open()
    w:lose()
    w:attach()
    w:answer_all()
    assert.are.same({ "reply 1 OK" }, w:events())
  end)

  it("that was sent is lost with its link, and never sent again", function()
    w:attach()
    assert(w:get("/a"))
    w:take()
    assert(w:get("/b"))
    assert.are.same({ "disconnect driver", "state disconnected", "connect",
      "reply 1 CONNECTIONLOSS" }, world.brief(w:lose()))
    w:attach()
    local taken = w:take()
    assert.are.equal(1, #taken)
    assert.are.equal("/b", taken[1].request.path)
  end)

  it("of which only a part was sent was not sent", function()
    w:attach()
    assert(w:get("/a"))
    assert(w:get("/b"))
    local bytes = w.client:output(w.link)
    assert.are.equal(38, #bytes)
    w.client:sent(w.link, 19)
    w.client:sent(w.link, 18)
    assert.are.same({ "disconnect driver", "state disconnected", "connect",
      "reply 1 CONNECTIONLOSS" }, world.brief(w:lose()))
    w:attach()
    assert.are.equal("/b", w:take()[1].request.path)
  end)

  it("keeps the address of its bytes until they are sent", function()
    w:attach()
    assert(w:get("/a"))
    local bytes, address = w.client:output(w.link)
    for _ = 1, 5000 do
      assert(w:get("/a"))
    end
    local more, same = w.client:output(w.link)
    assert.are.equal(address, same)
    assert.are.equal(bytes, more:sub(1, #bytes))
    w.client:sent(w.link, 5)
    assert.are.equal(more:sub(6), (w.client:output(w.link)):sub(1, #more - 5))
    local count = 0
    w.client:sent(w.link, #more - 5)
    for _ in ipairs(w:take()) do
      count = count + 1
    end
    assert.are.equal(5001 - #more / 19, count)
  end)

  it("goes out whatever the pieces that the driver can write", function()
    w:attach()
    local random = world.codec.random(3)
    local sent, submitted = {}, 0
    for _ = 1, 400 do
      if random.below(2) == 0 then
        assert(w:submit({ op = op.create, path = "/x", acl = world.OPEN_ACL,
          data = ("d"):rep(random.below(3000)) }))
        submitted = submitted + 1
      end
      local bytes = w.client:output(w.link)
      if bytes then
        local size = random.below(#bytes) + 1
        sent[#sent + 1] = bytes:sub(1, size)
        w.client:sent(w.link, size)
      end
    end
    local bytes = w.client:output(w.link)
    while bytes do
      sent[#sent + 1] = bytes
      w.client:sent(w.link, #bytes)
      bytes = w.client:output(w.link)
    end
    local all, count = table.concat(sent), 0
    while #all > 0 do
      local what, size = require("zklua_testing").wire.frame_peek(all, 5000)
      assert.are.equal("whole", what)
      all = all:sub(5 + size)
      count = count + 1
    end
    assert.are.equal(submitted, count)
  end)

  describe("with a deadline", function()
    it("that was not sent ends as NOTCONNECTED and is never sent", function()
      assert(w:get("/a", false, { deadline = w.now + 100 }))
      assert(w:get("/b"))
      w:drain()
      assert.are.equal(w.now + 100, w.client:deadline())
      w:after(99)
      assert.are.same({}, w:events())
      w:after(1)
      assert.are.same({ "reply 1 NOTCONNECTED" }, w:events())
      w:attach()
      local taken = w:take()
      assert.are.equal(1, #taken)
      assert.are.equal("/b", taken[1].request.path)
    end)

    it("that was sent ends as TIMEOUT; its late reply is dropped", function()
      w:attach()
      assert(w:get("/a", true, { deadline = w.now + 100 }))
      assert(w:get("/b"))
      local taken = w:take()
      w:after(100)
      assert.are.same({ "reply 1 TIMEOUT" }, w:events())
      assert.are.equal(1, w.client:info().pending)
      w:answer(taken[1])
      w:answer(taken[2])
      assert.are.same({ "reply 2 OK" }, w:events())
      assert.are.equal(0, w.client:info().watches)
    end)

    it("that the driver was shown may be on its way", function()
      w:attach()
      assert(w:get("/a", false, { deadline = w.now + 100 }))
      local bytes = w.client:output(w.link)
      w:after(100)
      assert.are.same({ "reply 1 TIMEOUT" }, w:events())
      assert.are.equal(bytes, (w.client:output(w.link)))
      w:answer_all()
      assert.are.same({}, w:events())
    end)

    it("that was shown, timed out and lost its link is not sent again", function()
      w:attach()
      assert(w:get("/a", true, { deadline = w.now + 100 }))
      w.client:output(w.link)
      w:after(100)
      w:drain()
      w:lose()
      w:attach()
      assert.are.same({}, w:take())
    end)

    it("ends in the order of deadlines", function()
      w:drain()
      local order = { 50, 10, 90, 30, 70, 20, 80, 40, 60 }
      for i, ms in ipairs(order) do
        assert.are.equal(i, w:get("/a", false, { deadline = w.now + ms }))
      end
      w:after(100)
      local ended = {}
      for _, event in ipairs(w:drain()) do
        ended[#ended + 1] = order[event.xid]
      end
      assert.are.same({ 10, 20, 30, 40, 50, 60, 70, 80, 90 }, ended)
    end)

    it("in the past ends at the next chance", function()
      w:attach()
      assert(w:get("/a", false, { deadline = w.now - 100 }))
      assert.are.same({ "reply 1 NOTCONNECTED" }, w:events())
      assert.are.same({}, w:take())
    end)
  end)

  describe("cancelled", function()
    it("before it was sent is never sent", function()
      local xid = assert(w:get("/a"))
      w.client:cancel(xid)
      assert.are.same({ "connect", "reply 1 NOTCONNECTED" }, w:events())
      w:attach()
      assert.are.same({}, w:take())
    end)

    it("after it was sent may have happened", function()
      w:attach()
      local xid = assert(w:get("/a"))
      local taken = w:take()
      w.client:cancel(xid)
      w.client:cancel(xid)
      assert.are.same({ "reply 1 CANCELLED" }, w:events())
      w:answer(taken[1])
      assert.are.same({}, w:events())
    end)

    it("when its reply was taken in already stays answered", function()
      w:attach()
      local xid = assert(w:get("/a"))
      w:answer_all()
      assert.are.equal("reply", w.client:peek().kind)
      w.client:cancel(xid)
      assert.are.same({ "reply 1 OK" }, w:events())
    end)

    it("between two losses is answered once", function()
      w:attach()
      local first, second = w:get("/a"), w:get("/b")
      w:take()
      w.client:disconnected(w.link)
      w:check(w.client:event())
      w.client:cancel(second)
      local got = w:events()
      table.sort(got)
      assert.are.same({ "connect", "reply 1 CONNECTIONLOSS", "reply 2 CANCELLED",
        "state disconnected" }, got)
      assert.are.equal(1, first)
    end)

    it("with an unknown xid is ignored", function()
      for _, xid in ipairs({ 0, -1, -4, 5, 2147483647 }) do
        w.client:cancel(xid)
      end
      assert.are.same({ "connect" }, w:events())
    end)

    it("in any order leaves the others alone", function()
      local random = world.codec.random(9)
      w:drain()
      local live = {}
      for i = 1, 300 do
        live[i] = assert(w:get("/n" .. i))
      end
      local kept = {}
      while #live > 100 do
        local xid = table.remove(live, random.below(#live) + 1)
        w.client:cancel(xid)
      end
      assert.are.equal(200, #w:drain())
      w:attach()
      for _, taken in ipairs(w:take()) do
        kept[#kept + 1] = taken.xid
      end
      assert.are.same(live, kept)
    end)
  end)

  it("costs nothing while others come and go", function()
    w:attach()
    for turn = 1, 10 do
      if turn == 3 then
        w.client:fail(1, 1000000) -- from here on there is no memory
      end
      for _ = 1, 200 do
        assert(w:get("/a", false, { deadline = w.now + 1000 }))
      end
      w:answer_all()
      w:drain()
    end
    assert.are.equal(0, w.client:memory().requests)
  end)

  it("of many thousands is lost in one step, and answered one by one", function()
    w:attach()
    local many = 10000
    for _ = 1, many do
      assert(w:get("/a"))
    end
    local link = w.link
    while true do
      local bytes = w.client:output(link)
      if not bytes then
        break
      end
      w.client:sent(link, #bytes)
    end
    w.client:disconnected(link)
    for i, event in ipairs(w:drain()) do
      assert.are.equal(i <= 3 and event.kind or "CONNECTIONLOSS", event.code or event.kind)
    end
    assert.are.equal(0, w.client:info().pending)
  end)
end)
