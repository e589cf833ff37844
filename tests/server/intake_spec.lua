local codec = require("wire.codec")
local host = require("server.host")

local op = host.op
local request_frame = host.request_frame

describe("intake", function()
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

  describe("requests that are none", function()
    local c
    before_each(function()
      new()
      c = h:attach()
    end)

    for _, number in ipairs({ 0, 10, 20000, -1, -10, 99, 108 }) do
      it("unknown operation " .. number, function()
        c:expect(5, number)
        c:feed(codec.int(8) .. codec.int(5) .. codec.int(number))
        assert.are.same({ "5 UNIMPLEMENTED" }, c:brief())
        assert.are.equal("after output", c.gone)
        assert.are.equal(0, h:log())
      end)
    end

    it("deleteContainer is not a client's", function()
      assert.are.equal("BADARGUMENTS", c:code("delete_container", { path = "/a" }))
      assert.is_nil(c.gone)
    end)

    it("reconfig is disabled, or not to be had", function()
      assert.are.equal("RECONFIGDISABLED", c:code("reconfig", { members = "x" }))
      h:free()
      new({ reconfig_enabled = true })
      c = h:attach()
      assert.are.equal("UNIMPLEMENTED", c:code("reconfig", { members = "x" }))
    end)

    it("sasl gets a null token", function()
      local answer = c:ask("sasl", { data = "token" })
      assert.are.equal(0, answer.code)
      assert.are.equal("0x0", answer.zxid)
      assert.is_nil(answer.result.data)
      assert.is_nil(c.gone)
    end)

    for _, case in ipairs({
      { "an unknown scheme", { scheme = "nope", data = "x" } },
      { "sasl", { scheme = "sasl", data = "x" } },
      { "world", { scheme = "world", data = "anyone" } },
    }) do
      it("auth with " .. case[1] .. " is refused, and it ends", function()
        c:send("auth", case[2])
        assert.are.same({ "-4 AUTHFAILED" }, c:brief())
        assert.are.equal("after output", c.gone)
      end)
    end

    it("auth that is no auth packet ends it", function()
      c:feed(codec.int(12) .. codec.int(-4) .. codec.int(100) .. codec.int(0))
      assert.are.equal("after output", c.gone)
      assert.are.equal("", c.bytes)
    end)

    it("a write cut short is an error, logged, and nothing worse", function()
      local frame = request_frame(1, op.create, { path = "/a", data = "d", acl = host.OPEN_ACL })
      for cut = 1, #frame - 12 do
        c:expect(cut, op.create)
        c:feed(codec.int(#frame - 4 - cut) .. codec.int(cut) .. frame:sub(9, -1 - cut))
        assert.are.equal(1, h:log())
        h:commit()
        assert.are.same({ cut .. " MARSHALLINGERROR" }, c:brief())
      end
      assert.is_nil(c.gone)
      assert.are.equal("OK", c:code("create", { path = "/a", data = "d", acl = host.OPEN_ACL }))
    end)
  end)

  describe("frames that are none", function()
    local SESSION = host.frame({ "connect_request",
      { timeout_ms = 10000, password = ("\0"):rep(16), has_readonly = true } })
    local cases = {
      { "a web browser", first = "GET / HTTP/1.1\r\n\r\n" },
      { "a negative length", first = codec.int(-1) },
      { "a length over 1 KiB before the session", first = codec.int(1025) },
      { "no ConnectRequest", first = codec.int(4) .. "xxxx" },
      { "an empty frame", first = codec.int(0) },
      { "a ConnectRequest with a password that is longer than it",
        first = SESSION:sub(1, 28) .. codec.int(4000) .. SESSION:sub(33) },
      { "TLS", first = "\22\3\1\2\0\1\0\1\252\3\3" },
      { "a negative length later", later = codec.int(-2147483648) },
      { "a length over jute.maxbuffer", later = codec.int(1048576) },
      { "a header cut short", later = codec.int(7) .. ("\0"):rep(7) },
      { "an empty frame later", later = codec.int(0) },
    }
    for _, split in ipairs({ false, true }) do
      for _, case in ipairs(cases) do
        it(case[1] .. (split and ", byte by byte" or ""), function()
          new({ split = split })
          local c
          if case.first then
            c = h:connect()
            c:feed(case.first)
          else
            c = h:attach()
            h:news()
            c:feed(case.later)
          end
          assert.are.equal("after output", c.gone)
          assert.are.equal("", c.bytes)
          assert.are.same({ "protocol" }, h:news())
        end)
      end
    end

    it("of exactly jute.maxbuffer are taken, one more is not", function()
      new()
      local c = h:attach()
      local head = codec.int(1) .. codec.int(op.create) .. codec.str("/a")
      local tail = codec.int(1) .. codec.int(31) .. codec.str("world") .. codec.str("anyone") ..
        codec.int(0)
      local function frame(size)
        local data = ("x"):rep(size - #head - 4 - #tail)
        return codec.int(size) .. head .. codec.str(data) .. tail
      end
      c:expect(1, op.create)
      c:feed(frame(1048575))
      h:settle()
      assert.are.same({ "1 OK" }, c:brief())
      c:feed(frame(1048576))
      assert.are.equal("after output", c.gone)
    end)

    it("answers what came before them", function()
      new()
      local c = h:attach()
      c:expect(1, op.exists)
      c:feed(request_frame(1, op.exists, { path = "/" }) .. codec.int(-5))
      assert.are.same({ "1 OK" }, c:brief())
      assert.are.equal("after output", c.gone)
    end)
  end)

  --- A long conversation as bytes of one connection, from its handshake to its end.
  local function conversation()
    local list = { host.frame({ "connect_request",
      { timeout_ms = 10000, password = ("\0"):rep(16), has_readonly = true } }) }
    local xid = 0
    local function add(name, fields, fixed)
      xid = xid + 1
      list[#list + 1] = request_frame(fixed or xid, op[name], fields)
    end
    local acl = host.OPEN_ACL
    add("auth", { scheme = "digest", data = "u:p" }, -4)
    add("create", { path = "/a", data = "1", acl = acl })
    add("exists", { path = "/b", watch = true })
    add("create2", { path = "/b", data = ("x"):rep(5000), acl = acl, flags = 1 })
    add("get", { path = "/b", watch = true })
    add("ping", nil, -2)
    add("multi", { operations = {
      { op = op.set, path = "/b", data = "2", version = -1 },
      { op = op.check, path = "/b", version = 1 },
      { op = op.create, path = "/b/c", data = "", acl = acl } } })
    add("multi", { operations = {
      { op = op.set, path = "/a", data = "2", version = -1 },
      { op = op.delete, path = "/b", version = 0 } } })
    add("get_children", { path = "/" })
    add("set_acl", { path = "/a", acl = { { permissions = 31, scheme = "auth", id = "" } },
      version = -1 })
    add("get_acl", { path = "/a" })
    add("sync", { path = "/a" })
    add("whoami")
    add("ephemerals", { path = "/" })
    add("set_watches", { zxid = 0, data_watches = { "/a" }, exist_watches = {},
      child_watches = { "/none" } }, -8)
    add("delete", { path = "/none", version = -1 })
    add("multi_read", { operations = { { op = op.get, path = "/a" } } })
    add("close")
    return table.concat(list)
  end

  --- What comes back when the bytes arrive in pieces of `size()`; the disk works at once.
  local function talk(bytes, size)
    local own = host.new()
    local c = own:connect()
    local at = 1
    while at <= #bytes and not c.gone do
      local piece = size()
      own.server:feed(c.number, bytes:sub(at, at + piece - 1))
      at = at + piece
      own:settle()
    end
    local answer, gone, digest = c.bytes, c.gone, own.server:digest()
    own:free()
    return answer, gone, digest
  end

  it("gives the same bytes however they were split", function()
    local bytes = conversation()
    local whole, gone, digest = talk(bytes, function() return #bytes end)
    assert.are.equal("after output", gone)
    assert.is_true(#whole > 1000)
    local single, gone_single, digest_single = talk(bytes, function() return 1 end)
    assert.are.equal(gone, gone_single)
    assert.are.equal(digest, digest_single)
    assert.is_true(whole == single)
    for seed = 1, 20 do
      local random = codec.random(seed)
      local some, _, digest_some = talk(bytes, function() return random.below(200) + 1 end)
      assert.is_true(whole == some)
      assert.are.equal(digest, digest_some)
    end
  end)

  it("survives bytes changed at random, and frees everything", function()
    local bytes = conversation()
    for seed = 1, 300 do
      local random = codec.random(seed)
      local changed = bytes
      for _ = 1, random.below(4) + 1 do
        local at = random.below(#bytes) + 1
        changed = changed:sub(1, at - 1) .. string.char(random.below(256)) .. changed:sub(at + 1)
      end
      talk(changed, function() return random.below(3000) + 1 end) -- free() finds what is left
    end
  end)

  it("costs one connection where an allocation fails, wherever it is", function()
    local bytes = conversation()
    local survived = 0
    for fail = 1, 200 do
      local own = host.new()
      local other = own:attach()
      local c = own:connect()
      own.server:fail(fail)
      own.server:feed(c.number, bytes)
      own:settle()
      own.server:fail(0)
      if not c.gone then
        c:close()
      end
      own:settle()
      other:create("/other")
      own:settle()
      assert.are.same({ "1 OK" }, other:brief())
      if #c.bytes > 1000 and c.gone == "after output" then
        survived = survived + 1
      end
      own:free()
    end
    assert.is_true(survived > 0 and survived < 200, survived .. " of 200")
  end)
end)
