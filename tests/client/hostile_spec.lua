--- Frames that no server sends. Each costs the link it came on and nothing else: the session
--- goes on over the next one.
local world = require("client.world")

local codec, op, kind = world.codec, world.op, world.kind
local int, str = codec.int, codec.str

local ZERO8 = ("\0"):rep(8)
local MINUS8 = ("\255"):rep(8)
local STAT = ("\0"):rep(68)

--- A frame with its length, from a body.
local function framed(body)
  return int(#body) .. body
end

--- A reply header: xid, zxid 7, code.
local function header(xid, code)
  return int(xid) .. ("\0"):rep(7) .. "\7" .. int(code or 0)
end

--- A reply to the one request that waits (xid 1) with these bytes for a record.
local function reply(record)
  return framed(header(1) .. record)
end

local function notification(record)
  return framed(int(-1) .. MINUS8 .. int(0) .. record)
end

local function multi_header(type, done, code)
  return int(type) .. (done and "\1" or "\0") .. int(code)
end
local MULTI_END = multi_header(-1, true, -1)

-- --- the table: name, bytes, the operation that waits, what it ends with -------------------

local cases = {}

--- A frame that is wrong whatever waits: what waits ends with the link.
local function outright(name, bytes)
  cases[#cases + 1] = { name = name, bytes = bytes, op = op.get, code = "CONNECTIONLOSS" }
end

--- A reply to a request that is not its record.
local function record(name, operation, bytes)
  cases[#cases + 1] =
    { name = name, bytes = reply(bytes), op = operation, code = "MARSHALLINGERROR" }
end

-- Framing.
outright("length -1", int(-1))
outright("length -5", int(-5))
outright("length of INT_MIN", int(-2147483648))
outright("length of INT_MAX", int(2147483647))
outright("length one above the limit", int(100001))
outright("length far above the limit, with bytes", int(1000000) .. ("x"):rep(5000))
outright("text instead of a length", "HTTP/1.1 200 OK\r\n\r\n")
outright("a TLS alert", "\21\3\3\0\2\2\40")
outright("an SSH banner", "SSH-2.0-OpenSSH_9.2\r\n")
outright("four bytes of 0xff", "\255\255\255\255")
for size = 0, 15 do
  outright(("a frame of %d zero bytes"):format(size), framed(("\0"):rep(size)))
end
for _, size in ipairs({ 1, 4, 8, 12, 15 }) do
  outright(("a header cut after %d bytes"):format(size), framed(header(1):sub(1, size)))
end
outright("an empty frame before a good reply",
  framed("") .. world.reply_frame(1, op.get, { data = "x", stat = {} }))

-- xids.
for _, xid in ipairs({ 0, -3, -5, -6, -7, -9, -10, -100, -2147483648 }) do
  outright(("a reply with xid %d"):format(xid), framed(header(xid)))
end
for _, xid in ipairs({ 2, 3, 1000, 2147483647 }) do
  outright(("a reply with xid %d while 1 waits"):format(xid), framed(header(xid) .. STAT))
end
outright("an answer to no ping", framed(header(-2)))
outright("an answer to no ping, with an error", framed(header(-2, -112)))
outright("an answer to no credential", framed(header(-4)))
outright("a refusal of no credential", framed(header(-4, -115)))
outright("an answer to no setWatches", framed(header(-8)))
outright("a failure of no setWatches", framed(header(-8, -112)))
outright("a ConnectResponse again", world.session_frame())
outright("a ConnectResponse of an expired session again",
  world.session_frame({ timeout_ms = 0, session_id = 0 }))
outright("a request instead of a reply", world.frame({ "request_header", { xid = 1, op = 4 } },
  { "request", { op = 4, path = "/a" } }))
outright("a ping instead of a reply", world.frame({ "request_header", { xid = -2, op = 11 } }))
cases[#cases + 1] = { name = "the same reply twice", op = op.delete, code = "OK",
  bytes = framed(header(1)) .. framed(header(1)) }
cases[#cases + 1] = { name = "a reply and one that nobody asked for", op = op.delete, code = "OK",
  bytes = framed(header(1)) .. framed(header(2)) }

-- Codes that only we can vouch for.
for _, code in ipairs({ -1001, -1002, -1003, -1004 }) do
  cases[#cases + 1] = { name = ("the code %d of our own"):format(code), op = op.get,
    bytes = framed(header(1, code)), code = "MARSHALLINGERROR" }
end

-- Notifications.
local event = int(3) .. int(3) .. str("/a")
for size = 0, #event - 1 do
  outright(("a watch event cut after %d bytes"):format(size), notification(event:sub(1, size)))
end
outright("a watch event with a null path", notification(int(3) .. int(3) .. int(-1)))
outright("a watch event with an empty path", notification(int(3) .. int(3) .. int(0)))
outright("a watch event with a relative path", notification(int(3) .. int(3) .. str("a")))
outright("a watch event with a path of length -2", notification(int(3) .. int(3) .. int(-2)))
outright("a watch event with a path of length INT_MIN",
  notification(int(3) .. int(3) .. int(-2147483648)))
outright("a watch event with a path longer than the frame",
  notification(int(3) .. int(3) .. int(3) .. "/a"))
outright("a watch event with a path of INT_MAX bytes",
  notification(int(3) .. int(3) .. int(2147483647) .. "/a"))
outright("a watch event with a byte behind it", notification(event .. "\0"))
outright("two watch events in one frame", notification(event .. event))

-- Records: each operation, cut at every field and stretched by a byte.
local acl = int(31) .. str("world") .. str("anyone")
local records = {
  { "create", op.create, { str("/a") } },
  { "create2", op.create2, { str("/a"), STAT } },
  { "createContainer", op.container, { str("/a"), STAT } },
  { "createTTL", op.ttl, { str("/a"), STAT } },
  { "exists", op.exists, { STAT } },
  { "getData", op.get, { str("hi"), STAT } },
  { "setData", op.set, { STAT } },
  { "getACL", op.get_acl, { int(1), int(31), str("world"), str("anyone"), STAT } },
  { "setACL", op.set_acl, { STAT } },
  { "getChildren", op.get_children, { int(2), str("x"), str("yy") } },
  { "getChildren2", op.children, { int(2), str("x"), str("yy"), STAT } },
  { "sync", op.sync, { str("/a") } },
  { "multi", op.multi, { multi_header(2, false, 0), MULTI_END } },
  { "multiRead", op.multi_read, { multi_header(4, false, 0), str("hi"), STAT, MULTI_END } },
  { "reconfig", op.reconfig, { str("server.1=a"), STAT } },
  { "getEphemerals", op.ephemerals, { int(1), str("/e") } },
  { "getAllChildrenNumber", op.count, { int(3) } },
  { "addWatch", op.add_watch, { int(0) } },
  { "whoAmI", op.whoami, { int(1), str("ip"), str("127.0.0.1") } },
}
for _, case in ipairs(records) do
  local name, operation, parts = case[1], case[2], case[3]
  local whole = table.concat(parts)
  local at = 0
  for i, part in ipairs(parts) do
    record(("%s without field %d and what follows"):format(name, i), operation, whole:sub(1, at))
    if #part > 1 then
      record(("%s cut inside field %d"):format(name, i), operation,
        whole:sub(1, at + math.floor(#part / 2)))
    end
    at = at + #part
  end
  record(name .. " without its last byte", operation, whole:sub(1, -2))
  record(name .. " with a byte behind it", operation, whole .. "\0")
  record(name .. " with a record behind it", operation, whole .. whole)
end
for _, case in ipairs({ { "delete", op.delete }, { "checkWatches", op.check_watches } }) do
  record(case[1] .. " with a byte where nothing belongs", case[2], "\0")
  record(case[1] .. " with a stat where nothing belongs", case[2], STAT)
end

-- Lengths and counts that lie.
local lies = { -2, -7, -9, -2147483648, 2147483647, 2147483632, 16777216, 1000 }
for _, lie in ipairs(lies) do
  record(("getData of length %d"):format(lie), op.get, int(lie) .. STAT)
  record(("create with a path of length %d"):format(lie), op.create, int(lie) .. "/a")
  record(("getChildren of count %d"):format(lie), op.get_children, int(lie) .. str("x"))
  record(("getChildren2 of count %d"):format(lie), op.children, int(lie) .. str("x") .. STAT)
  record(("getChildren with a name of length %d"):format(lie), op.get_children,
    int(1) .. int(lie) .. "x")
  record(("getACL of count %d"):format(lie), op.get_acl, int(lie) .. acl .. STAT)
  record(("getACL with a scheme of length %d"):format(lie), op.get_acl,
    int(1) .. int(31) .. int(lie) .. "world" .. str("anyone") .. STAT)
  record(("getEphemerals of count %d"):format(lie), op.ephemerals, int(lie) .. str("/e"))
  record(("whoAmI of count %d"):format(lie), op.whoami, int(lie) .. str("ip") .. str("x"))
end

-- Paths that the server was not asked about.
record("create with a null path", op.create, int(-1))
record("create with an empty path", op.create, int(0))
record("create with a relative path", op.create, str("a"))
record("create2 with a null path", op.create2, int(-1) .. STAT)
record("sync with a null path", op.sync, int(-1))
record("sync with an empty path", op.sync, str(""))

-- multi.
record("multi without an end", op.multi, multi_header(2, false, 0))
record("multi with nothing at all", op.multi, "")
record("multi of an unknown kind", op.multi, multi_header(77, false, 0) .. MULTI_END)
record("multi with a ping inside", op.multi, multi_header(11, false, 0) .. MULTI_END)
record("multi with a multi inside", op.multi, multi_header(14, false, 0) .. MULTI_END .. MULTI_END)
record("multi with half an error", op.multi, multi_header(-1, false, -110) .. "\0\0" .. MULTI_END)
record("multi with a create that lies", op.multi,
  multi_header(1, false, 0) .. int(2147483647) .. "/a" .. MULTI_END)
record("multi with a null path", op.multi, multi_header(1, false, 0) .. int(-3) .. MULTI_END)
record("multi with bytes behind its end", op.multi, MULTI_END .. "x")
record("multi with two ends", op.multi, MULTI_END .. MULTI_END)
record("multiRead with a lying count", op.multi_read,
  multi_header(8, false, 0) .. int(2147483647) .. MULTI_END)
record("multiRead with a lying length", op.multi_read,
  multi_header(4, false, 0) .. int(-5) .. STAT .. MULTI_END)

-- --- the requests that wait -------------------------------------------------------------------

local requests = {
  [op.create] = { data = "d", acl = world.OPEN_ACL },
  [op.create2] = { data = "d", acl = world.OPEN_ACL },
  [op.container] = { data = "d", acl = world.OPEN_ACL, flags = 4 },
  [op.ttl] = { data = "d", acl = world.OPEN_ACL, flags = 5, ttl_ms = 1000 },
  [op.set_acl] = { acl = world.OPEN_ACL },
  [op.check_watches] = { kind = 3 },
  [op.multi] = { operations = { { op = 2, path = "/a", version = -1 } } },
  [op.multi_read] = { operations = { { op = 4, path = "/a" } } },
}

local LIMIT = 100000

local function request_of(operation)
  local request = { op = operation, path = "/a", version = -1 }
  for name, value in pairs(requests[operation] or {}) do
    request[name] = value
  end
  return request
end

--- Lets one waiting request meet `bytes`; then everything must go on.
local function meet(case, piece)
  local w = world.new({ reply_size_max = LIMIT, endpoints = { "a", "b" } })
  w:attach()
  assert.are.equal("OK", w:ask(w.get, "/watched", true).code)
  w.client:set_next_xid(1)
  local xid = assert(w:submit(request_of(case.op)))
  assert.are.equal(1, xid)
  w:take()
  local before = w.client:memory()
  for at = 1, #case.bytes, piece or #case.bytes do
    w:feed(case.bytes:sub(at, at + (piece or #case.bytes) - 1))
  end
  local seen, detail = {}, nil
  for _, event in ipairs(w:drain()) do
    assert.are_not.equal("watch", event.kind)
    if event.kind == "reply" then
      seen.code = event.code
    elseif event.kind == "disconnect" then
      assert.are.equal("protocol", event.reason)
      detail = event.detail
    elseif event.kind == "state" then
      seen.state = event.state
      assert.are.equal("protocol", event.reason)
    end
  end
  assert.are.same({ code = case.code, state = "disconnected" }, seen)
  assert.is_truthy(detail and #detail > 10)
  assert.is_true(w.client:memory().peak - before.bytes <= 3 * LIMIT + 65536)

  -- The same session, the watch asked for again, and a request that is answered.
  local events, connect = w:attach()
  assert.are.same({ "state connected" }, world.brief(events))
  assert.are.equal(world.SESSION, connect.session_id)
  local again = w:take()
  assert.are.equal(op.set_watches, again[1].op)
  w:answer(again[1])
  assert.are.equal("OK", w:ask(w.exists, "/b").code)
  assert.are.equal(kind.data, w.client:info().watches)
  w:free()
end

describe("a peer that sends", function()
  it("has two hundred bad frames with names of their own", function()
    local names = {}
    for _, case in ipairs(cases) do
      assert.is_nil(names[case.name], case.name)
      names[case.name] = true
    end
    assert.is_true(#cases >= 200)
  end)

  for _, case in ipairs(cases) do
    it(case.name .. " loses the link", function()
      meet(case)
    end)
  end

  it("any of them byte by byte loses the link just so", function()
    for _, case in ipairs(cases) do
      meet(case, 1)
    end
  end)
end)

describe("a peer that sends what is odd but allowed", function()
  local w
  before_each(function()
    w = world.new()
    w:attach()
  end)
  after_each(function()
    w:free()
  end)

  it("an unknown error code: it is passed on as a number", function()
    local xid = assert(w:get("/a"))
    w:answer(w:take()[1], -126)
    local event = w:drain()[1]
    assert.are.equal(xid, event.xid)
    assert.are.equal(-126, event.number)
  end)

  it("bytes behind an error: they are not looked at", function()
    assert(w:get("/a"))
    w:take()
    w:feed(framed(header(1, -101) .. "whatever"))
    assert.are.same({ "reply 1 NONODE" }, w:events())
  end)

  it("null data, and data without bytes: they differ", function()
    assert(w:get("/a"))
    assert(w:get("/b"))
    w:take()
    w:feed(framed(header(1) .. int(-1) .. STAT) .. framed(header(2) .. int(0) .. STAT))
    local events = w:drain()
    assert.is_nil(events[1].result.data)
    assert.are.equal("", events[2].result.data)
  end)

  it("null lists: they are empty", function()
    assert(w:submit({ op = op.get_children, path = "/a" }))
    w:take()
    w:feed(framed(header(1) .. int(-1)))
    assert.are.same({ "reply 1 OK" }, w:events())
  end)

  it("an event nobody watches for: it is dropped", function()
    w:feed(world.watch_frame(3, "/a"))
    assert.are.same({}, w:events())
  end)

  it("an event of an unknown type: it is passed on and ends no watch", function()
    w:ask(w.add_watch, "/a")
    w:ask(w.get, "/a", true)
    w:feed(world.watch_frame(9, "/a"))
    assert.are.same({ "watch 9 /a" }, w:events())
    assert.are.equal(2, w.client:info().watches)
  end)

  it("another keeper state: it does not matter", function()
    w:ask(w.get, "/a", true)
    w:feed(notification(int(3) .. int(-112) .. str("/a")))
    assert.are.same({ "watch 3 /a" }, w:events())
  end)

  it("the longest reply that is allowed: it is taken", function()
    w:free()
    w = world.new({ reply_size_max = LIMIT })
    w:attach()
    assert(w:get("/a"))
    w:take()
    local data = ("d"):rep(LIMIT - 16 - 4 - 68)
    w:feed(framed(header(1) .. str(data) .. STAT))
    local events = w:drain()
    assert.are.equal(data, events[1].result.data)
  end)

  it("a whole reply of zxid 0 or -1: what we have seen stays", function()
    assert(w:get("/a"))
    w:take()
    w:feed(world.reply_frame(1, op.get, { data = "", stat = {} }, 0, "0x500"))
    w:drain()
    for i, zxid in ipairs({ 0, "0xffffffffffffffff", "0x400" }) do
      assert(w:get("/a"))
      w:take()
      w:feed(world.reply_frame(i + 1, op.get, { data = "", stat = {} }, 0, zxid))
      assert.are.equal("OK", w:drain()[1].code)
      assert.are.equal("0x500", w.client:info().last_zxid)
    end
    w:feed(world.watch_frame(3, "/a", "0x900"))
    w:drain()
    assert.are.equal("0x500", w.client:info().last_zxid)
  end)
end)
