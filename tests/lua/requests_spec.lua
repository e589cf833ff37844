local core = require("zklua.core")
local frames = require("support.frames")
local peer = require("support.peer")

local i32, i64, str = frames.i32, frames.i64, frames.string
local open = frames.acl({ { perms = 31, scheme = "world", id = "anyone" } })
local creator = { { perms = 31, scheme = "auth", id = "" } }
local unpack = table.unpack or unpack

local function new_client(options)
  options = options or {}
  options.endpoints = { "one:2181" }
  options.session_timeout = 30
  return core.client(options)
end

local yes, no = "\1", "\0"

-- method, arguments, op, record
local cases = {
  { "create", { "/a", "x" }, 15, str("/a") .. str("x") .. open .. i32(0) },
  { "create", { "/a" }, 15, str("/a") .. str(nil) .. open .. i32(0) },
  { "create", { "/a", "", nil, 1 }, 15, str("/a") .. str("") .. open .. i32(1) },
  { "create", { "/a/", "", core.acl(creator), 3 }, 15,
    str("/a/") .. str("") .. frames.acl(creator) .. i32(3) },
  { "create", { "/a", "", nil, 4 }, 19, str("/a") .. str("") .. open .. i32(4) },
  { "create", { "/a", "", nil, 5, 1000 }, 21, str("/a") .. str("") .. open .. i32(5) .. i64(1000) },
  { "create", { "/a-", "", nil, 6, 2 ^ 40 - 1 }, 21,
    str("/a-") .. str("") .. open .. i32(6) .. i64("0xffffffffff") },
  { "delete", { "/a", 7 }, 2, str("/a") .. i32(7) },
  { "delete", { "/a" }, 2, str("/a") .. i32(-1) },
  { "set", { "/a", "x", 3 }, 5, str("/a") .. str("x") .. i32(3) },
  { "set", { "/a", nil, -1 }, 5, str("/a") .. str(nil) .. i32(-1) },
  { "get", { "/a" }, 4, str("/a") .. no },
  { "get", { "/a", true }, 4, str("/a") .. yes },
  { "exists", { "/a", true }, 3, str("/a") .. yes },
  { "children", { "/", true }, 12, str("/") .. yes },
  { "get_acl", { "/a" }, 6, str("/a") },
  { "set_acl", { "/a", core.acl(creator), 2 }, 7, str("/a") .. frames.acl(creator) .. i32(2) },
  { "sync", { "/a" }, 9, str("/a") },
  { "count", { "/a" }, 104, str("/a") },
  { "ephemerals", { "/a" }, 103, str("/a") },
  { "whoami", {}, 107, "" },
  { "add_watch", { "/a" }, 106, str("/a") .. i32(0) },
  { "add_watch", { "/a", true }, 106, str("/a") .. i32(1) },
  { "add_auth", { "digest", "u:p" }, 100, i32(0) .. str("digest") .. str("u:p") },
  { "config", {}, 4, str("/zookeeper/config") .. no },
  { "config", { true }, 4, str("/zookeeper/config") .. yes },
  { "reconfig", { "server.4=h:1:2", "3", nil, 9 }, 16,
    str("server.4=h:1:2") .. str("3") .. str(nil) .. i64(9) },
  { "reconfig", { nil, nil, "server.1=h:1:2" }, 16,
    str(nil) .. str(nil) .. str("server.1=h:1:2") .. i64(-1) },
}

local function operation(op, record)
  return i32(op) .. no .. i32(-1) .. record
end

for _, case in ipairs({
  { "multi", {}, 14, {} },
  { "multi", { { "create", "/a", "x" } }, 14, { 15, str("/a") .. str("x") .. open .. i32(0) } },
  { "multi", { { "create", "/a/", nil, core.acl(creator), 2 }, { "set", "/b", "y", 4 },
               { "delete", "/c", 5 }, { "delete", "/d" }, { "check", "/e", 6 } }, 14,
    { 15, str("/a/") .. str(nil) .. frames.acl(creator) .. i32(2),
      5, str("/b") .. str("y") .. i32(4), 2, str("/c") .. i32(5), 2, str("/d") .. i32(-1),
      13, str("/e") .. i32(6) } },
  { "multi", { { "create", "/a", "", nil, 4 }, { "create", "/b", "", nil, 5, 9 } }, 14,
    { 19, str("/a") .. str("") .. open .. i32(4), 21,
      str("/b") .. str("") .. open .. i32(5) .. i64(9) } },
  { "multi_read", { { "get", "/a" }, { "children", "/b" } }, 22,
    { 4, str("/a") .. no, 8, str("/b") .. no } },
}) do
  local record = {}
  for i = 1, #case[4], 2 do
    record[#record + 1] = operation(case[4][i], case[4][i + 1])
  end
  cases[#cases + 1] = { case[1], { case[2] }, case[3], table.concat(record) .. frames.multi_end }
end

describe("a request", function()
  for i, case in ipairs(cases) do
    it("travels as ZooKeeper lays it out: " .. case[1] .. ", case " .. i, function()
      local client = new_client()
      local attached = peer.attach(client)
      local xid = assert(client[case[1]](client, unpack(case[2], 1, 5)))
      local record, op, wire_xid = attached:request()
      assert.equal(case[3], op)
      assert.equal(case[4], record)
      assert.equal(op == 100 and -4 or xid, wire_xid)
      assert.is_nil((attached:request()))
    end)
  end

  it("is answered once, under the xid that submitting gave", function()
    local client = new_client()
    local attached = peer.attach(client)
    local first, second = client:get("/a"), client:get("/b")
    assert.not_equal(first, second)
    for _, xid in ipairs({ first, second }) do
      local _, _, event = attached:answer(-101)
      assert.same({ "reply", xid, "NONODE" }, event)
    end
    assert.is_nil(client:event())
    assert.equal(0, client:info().pending)
  end)

  it("is put below the chroot, and so is each operation of a multi", function()
    local client = new_client({ chroot = "/app" })
    local attached = peer.attach(client)
    client:get("/a")
    assert.equal(str("/app/a") .. no, (attached:request()))
    client:get("/")
    assert.equal(str("/app") .. no, (attached:request()))
    client:config()
    assert.equal(str("/zookeeper/config") .. no, (attached:request()))
    client:multi({ { "set", "/", "x" }, { "check", "/b", 1 } })
    assert.equal(operation(5, str("/app") .. str("x") .. i32(-1))
      .. operation(13, str("/app/b") .. i32(1)) .. frames.multi_end, (attached:request()))
    client:multi_read({ { "children", "/" } })
    assert.equal(operation(8, str("/app") .. no) .. frames.multi_end, (attached:request()))
  end)

  it("to delete the root never means the chroot", function()
    local client = new_client({ chroot = "/app" })
    local attached = peer.attach(client)
    client:multi({ { "delete", "/" } })
    assert.equal(operation(2, str("/") .. i32(-1)) .. frames.multi_end, (attached:request()))
  end)
end)

describe("a request that cannot be sent", function()
  it("is ARGUMENT for a malformed path", function()
    local client = new_client()
    for _, path in ipairs({ "", "a", "/a/", "/a//b", "/a/../b", "/\0" }) do
      for _, method in ipairs({ "get", "exists", "children", "delete", "set", "create", "sync" }) do
        assert.same({ n = 2, nil, "ARGUMENT" }, { n = 2, client[method](client, path) })
      end
    end
  end)

  it("is LIMIT past the size that servers take, and fits at the size", function()
    local client = new_client({ request_max = 1000 })
    local attached = peer.attach(client)
    local xid, code = client:set("/a", ("x"):rep(1001))
    assert.is_nil(xid)
    assert.equal("LIMIT", code)
    local size = 900
    while client:set("/a", ("x"):rep(size)) do
      size = size + 1
    end
    local longest = 0
    for record in function() return (attached:request()) end do
      longest = math.max(longest, #record)
    end
    assert.is_true(longest + 8 == 1000 or longest + 12 == 1000, "longest record " .. longest)
  end)

  it("is LIMIT for a long multi, which leaves the client as it was", function()
    local client = new_client({ request_max = 1000 })
    local attached = peer.attach(client)
    local memory = client:info().memory
    assert.same({ n = 2, nil, "LIMIT" },
      { n = 2, client:multi({ { "set", "/a", ("x"):rep(2000) } }) })
    local many = {}
    for i = 1, 1001 do
      many[i] = { "check", "/a" }
    end
    assert.same({ n = 2, nil, "LIMIT" }, { n = 2, client:multi(many) })
    assert.equal(memory, client:info().memory)
    assert.is_nil((attached:request()))
  end)

  it("is LIMIT when too many wait", function()
    local client = new_client({ pending_max = 2 })
    assert(client:get("/a"))
    assert(client:get("/a"))
    assert.same({ n = 2, nil, "LIMIT" }, { n = 2, client:get("/a") })
  end)

  it("is NOTCONNECTED at once where asked to fail fast", function()
    local client = new_client()
    assert.same({ n = 2, nil, "NOTCONNECTED" },
      { n = 2, client:get("/a", false, nil, true) })
    assert(client:get("/a", false, nil, false))
  end)

  it("is CLOSED after the end", function()
    local client = new_client()
    client:close(0)
    assert.same({ n = 2, nil, "CLOSED" }, { n = 2, client:get("/a") })
  end)

  it("is SESSIONEXPIRED or AUTHFAILED where that was the end", function()
    local client = new_client({ session = { id = "0x1", password = ("0"):rep(32) } })
    local opened = peer.open(client)
    client:feed(opened.link, frames.connect_response({ timeout = 0, id = 0 }))
    assert.equal("expired", peer.next_event(client, "state")[2])
    assert.same({ n = 2, nil, "SESSIONEXPIRED" }, { n = 2, client:get("/a") })

    client = new_client()
    local attached = peer.attach(client)
    client:add_auth("digest", "wrong")
    local _, _, xid = attached:request()
    attached:reply(xid, -115)
    assert.equal("authfailed", peer.next_event(client, "state")[2])
    assert.same({ n = 2, nil, "AUTHFAILED" }, { n = 2, client:get("/a") })
  end)
end)

describe("a malformed operation", function()
  local client = new_client()
  for _, case in ipairs({
    { "multi", { 7 }, "operation 1: it: is not a table" },
    { "multi", { {} }, "operation 1: its first field: names no operation" },
    { "multi", { { "get", "/a" } }, "operation 1: its first field" },
    { "multi", { { "check", "/a" }, { "drop", "/a" } }, "operation 2: its first field" },
    { "multi", { { "check", "/a" }, { "set", 7 } }, "operation 2: path: string expected" },
    { "multi", { { "set", "/a", "x", "1" } }, "operation 1: version: number expected" },
    { "multi", { { "delete", "/a/" } }, "operation 1: path: " },
    { "multi", { { "create", "/a", "", "open" } }, "operation 1: acl: not a list" },
    { "multi", { { "create", "/a", "", nil, 5 } }, "operation 1: ttl: number expected" },
    { "multi_read", { { "get", "/a" }, { "set", "/a" } }, "operation 2: its first field" },
    { "multi_read", { { "get" } }, "operation 1: path: string expected, got nil" },
  }) do
    it("raises with its index: " .. case[3], function()
      assert.error_matches(function()
        client[case[1]](client, case[2])
      end, case[3])
    end)
  end
end)
