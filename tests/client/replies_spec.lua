--- What is made of the stream of frames: in order, whatever the pieces it comes in, up to any
--- byte at which it ends.
local world = require("client.world")

local op = world.op
local MULTI = {
  { op = 2, path = "/app/a", version = -1 },
  { op = 1, path = "/app/b", data = "x", acl = world.OPEN_ACL },
}

--- Every operation once, with what the server answers.
local function every_request()
  local acl = world.OPEN_ACL
  return {
    { { op = op.create, path = "/a", data = "d", acl = acl }, { path = "/app/a" } },
    { { op = op.create2, path = "/s-", acl = acl, flags = 3 },
      { path = "/app/s-0000000001", stat = world.STAT } },
    { { op = op.container, path = "/c", acl = acl, flags = 4 },
      { path = "/app/c", stat = world.STAT } },
    { { op = op.ttl, path = "/t", acl = acl, flags = 5, ttl_ms = 1 },
      { path = "/app/t", stat = world.STAT } },
    { { op = op.delete, path = "/a", version = -1 } },
    { { op = op.exists, path = "/a", watch = true }, nil, -101 },
    { { op = op.get, path = "/b", watch = true }, { data = "hi", stat = world.STAT } },
    { { op = op.set, path = "/b", data = "x", version = 3 }, { stat = world.STAT } },
    { { op = op.set, path = "/b", data = "x", version = 3 }, nil, -103 },
    { { op = op.get_acl, path = "/b" }, { items = acl, stat = world.STAT } },
    { { op = op.set_acl, path = "/b", acl = acl, version = -1 }, { stat = world.STAT } },
    { { op = op.get_children, path = "/b", watch = true }, { items = { "x", "yy" } } },
    { { op = op.children, path = "/", watch = true }, { items = {}, stat = world.STAT } },
    { { op = op.sync, path = "/" }, { path = "/app" } },
    { { op = op.multi, operations = MULTI },
      { items = { { op = 2 }, { op = 1, path = "/app/b" } } } },
    { { op = op.multi_read, operations = { { op = 4, path = "/app/b" } } },
      { items = { { op = -1, number = -101 } } } },
    { { op = op.add_watch, path = "/p", kind = 1 }, { number = 0 } },
    { { op = op.check_watches, path = "/p", kind = 3 } },
    { { op = op.ephemerals, path = "/" }, { items = { "/app/e", "/apple" } } },
    { { op = op.count, path = "/" }, { number = 7 } },
    { { op = op.whoami }, { items = { { scheme = "ip", user = "::1" } } } },
    { { op = op.reconfig, joining = "server.1=a", zxid = -1 }, { data = "v", stat = world.STAT } },
    { { op = op.get, path = "/zookeeper/config", watch = true }, { data = "", stat = world.STAT } },
  }
end

--- A client with all of them on their way, and the server's whole stream of answers with
--- events, a pong and the answer to a credential among them.
local function prepare()
  local w = world.new({ chroot = "/app" })
  w:attach()
  w:after(3000)
  w:drain() -- a ping is due
  local frames = {}
  for i, case in ipairs(every_request()) do
    local xid = assert(w:submit(case[1], { user = 100 + i }))
    frames[#frames + 1] = world.reply_frame(xid, case[1].op, case[2], case[3], 500 + i)
  end
  assert(w:auth("u:p"))
  local written = w:take()
  assert.are.equal(#frames + 2, #written)
  table.insert(frames, 8, world.watch_frame(3, "/app/b"))
  table.insert(frames, 10, world.reply_frame(-4, op.auth))
  table.insert(frames, 15, world.reply_frame(-2, op.ping))
  table.insert(frames, world.watch_frame(1, "/app/p/deep/down", 77))
  table.insert(frames, world.watch_frame(3, "/zookeeper/config"))
  table.insert(frames, world.watch_frame(4, "/app"))
  return w, frames
end

describe("replies", function()
  it("come in order, with paths inside the chroot", function()
    local w, frames = prepare()
    w:feed(table.concat(frames))
    local events = w:drain()
    local paths, brief = {}, world.brief(events)
    for i, event in ipairs(events) do
      paths[i] = event.path or event.result and event.result.path
    end
    assert.are.same({ "reply 1 OK", "reply 2 OK", "reply 3 OK", "reply 4 OK", "reply 5 OK",
      "reply 6 NONODE", "reply 7 OK", "watch 3 /b", "reply 8 OK", "reply 24 OK",
      "reply 9 BADVERSION", "reply 10 OK", "reply 11 OK", "reply 12 OK", "reply 13 OK",
      "reply 14 OK", "reply 15 OK", "reply 16 OK", "reply 17 OK", "reply 18 OK", "reply 19 OK",
      "reply 20 OK", "reply 21 OK", "reply 22 OK", "reply 23 OK", "watch 1 /p/deep/down",
      "watch 3 /zookeeper/config", "watch 4 /" }, brief)
    assert.are.equal("/a", paths[1])
    assert.are.equal("/s-0000000001", paths[2])
    assert.are.equal("/", events[16].result.path) -- sync
    assert.are.equal("0x1f5", events[1].zxid)
    assert.are.equal(101, events[1].user)
    assert.are.equal("0x4d", events[26].zxid)
    w:free()
  end)

  it("do not depend on the pieces that they come in", function()
    local w, frames = prepare()
    local bytes = table.concat(frames)
    w:feed(bytes)
    local expected = w:drain()
    w:free()
    local random = world.codec.random(11)
    local function piece_of(size)
      return function() return size end
    end
    local sizes = { piece_of(1), piece_of(2), piece_of(3), piece_of(7), piece_of(64),
      function() return random.below(200) + 1 end }
    for _, size in ipairs(sizes) do
      w = prepare()
      local events, at = {}, 1
      while at <= #bytes do
        local piece = bytes:sub(at, at + size() - 1)
        at = at + #piece
        w:feed(piece)
        for _, event in ipairs(w:drain()) do
          events[#events + 1] = event
        end
      end
      assert.are.same(expected, events)
      w:free()
    end
  end)

  it("stay as they are while more bytes come", function()
    local w, frames = prepare()
    local bytes = table.concat(frames)
    w:feed(bytes)
    local expected = w:drain()
    w:free()
    w = prepare()
    w:feed(frames[1])
    local events = {}
    local at = #frames[1] + 1
    while at <= #bytes or w.client:peek() do
      local shown = w.client:peek()
      w:feed(bytes:sub(at, at + 4999) .. "")
      at = at + 5000
      assert.are.same(shown, w.client:peek())
      if shown then
        events[#events + 1] = w:check(shown)
      end
      w.client:pop()
    end
    assert.are.same(expected, events)
    w:free()
  end)

  it("end at any byte: what was whole is answered, the rest is lost", function()
    local _, frames = prepare()
    local bytes = table.concat(frames)
    local ends, sum = {}, 0
    for _, frame in ipairs(frames) do
      sum = sum + #frame
      ends[#ends + 1] = sum
    end
    for size = 0, #bytes do
      local w = prepare()
      w:feed(bytes:sub(1, size))
      w.client:disconnected(w.link)
      local whole = 0
      while ends[whole + 1] and ends[whole + 1] <= size do
        whole = whole + 1
      end
      local answered, lost = 0, 0
      for _, event in ipairs(w:drain()) do
        if event.kind == "reply" then
          if event.code == "CONNECTIONLOSS" then
            lost = lost + 1
          else
            answered = answered + 1
            assert.are.equal(0, lost)
          end
        end
      end
      -- The watch event (8th frame) and the pong (15th) answer nothing; the credential stays
      -- open over the loss.
      local expected = whole - (whole >= 8 and 1 or 0) - (whole >= 15 and 1 or 0)
      expected = math.min(expected, 24)
      assert.are.equal(expected, answered)
      assert.are.equal(24 - expected - (whole < 10 and 1 or 0), lost)
      w:free()
    end
  end)

  it("to a handshake end at any byte: the next server is asked", function()
    local frame = world.session_frame()
    for size = 0, #frame - 1 do
      local w = world.new()
      w:open()
      w:feed(frame:sub(1, size))
      w.client:disconnected(w.link)
      assert.are.same({ "disconnect refused", "connect" }, w:events())
      w:attach()
      w:free()
    end
  end)

  it("outside the chroot are refused", function()
    for _, path in ipairs({ "/apple", "/", "/other", "/ap" }) do
      local w = world.new({ chroot = "/app" })
      w:attach()
      assert(w:create("/a"))
      w:take()
      w:feed(world.reply_frame(1, op.create, { path = path }, 0, 5))
      assert.are.same({ "reply 1 MARSHALLINGERROR", "disconnect protocol", "state disconnected",
        "connect" }, w:events())
      w:free()
    end
  end)

  it("tell of a pause in the order of the stream, not of the calls", function()
    local w = world.new()
    w:attach()
    assert(w:get("/a", false, { deadline = w.now + 100 }))
    assert(w:get("/b", false, { deadline = w.now + 100 }))
    local taken = w:take()
    w:answer(taken[1]) -- the reply waits while its deadline passes: it counts first
    w:after(200)
    assert.are.same({ "reply 1 OK", "reply 2 TIMEOUT" }, w:events())
    w:free()
  end)
end)

describe("the chroot", function()
  local cases = {
    { "/app", "/app", "/" }, { "/app", "/app/a", "/a" }, { "/app", "/apple" },
    { "/app", "/ap" }, { "/app", "/" }, { "/app", "/zookeeper/config" },
    { "/a/b", "/a/b/c/d", "/c/d" }, { "/a/b", "/a" }, { "", "/x", "/x" },
  }
  for _, case in ipairs(cases) do
    it(("%q makes %s of %s"):format(case[1], case[3] or "nothing", case[2]), function()
      local w = world.new({ chroot = case[1] })
      assert.are.equal(case[3], (w.client:strip(case[2])))
      w:free()
    end)
  end

  it("must be a path", function()
    local testing = require("zklua_testing").client
    for _, chroot in ipairs({ "/", "app", "/app/", "//", "/a/../b" }) do
      local client, memory = testing.new({ chroot = chroot, endpoints = { "a" }, timeout = 1 })
      assert.is_nil(client)
      assert.are.equal(0, memory.bytes)
    end
  end)
end)
