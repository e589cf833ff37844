local core = require("zklua.core")
local frames = require("support.frames")
local host = require("zklua_testing").host
local peer = require("support.peer")

local i32, str = frames.i32, frames.string
local exact_integers = math.type ~= nil -- Lua 5.4 holds 64 bits, LuaJIT 53
local unpack = table.unpack or unpack

local function attach(options)
  options = options or {}
  options.endpoints = { "one:2181" }
  options.session_timeout = 30
  local client = core.client(options)
  return client, peer.attach(client)
end

local stat = {
  czxid = 4294967298, mzxid = 4294967299, pzxid = 4294967300, ctime = 1700000000000,
  mtime = 1700000002000, version = 2, cversion = -3, aversion = 4, data_length = 5,
  children_count = 6,
}
local owned = {}
for key, value in pairs(stat) do
  owned[key] = value
end
owned.ephemeral_owner = "0x8000000000000001"
local null = {}
for key, value in pairs(stat) do
  null[key] = value
end
null.null = true
local S = frames.stat(stat)

local acl = { { perms = 31, scheme = "world", id = "anyone" },
  { perms = 1, scheme = "ip", id = "" } }

-- method, arguments, body of the reply, values after the code
local cases = {
  { "create", { "/a-", "", nil, 2 }, str("/a-0000000001") .. S, { "/a-0000000001", stat } },
  { "create", { "/a", "", nil, 4 }, str("/a") .. S, { "/a", stat } },
  { "create", { "/a", "", nil, 5, 9 }, str("/a") .. frames.stat(owned), { "/a", owned } },
  { "delete", { "/a" }, "", {} },
  { "set", { "/a", "x" }, S, { stat } },
  { "get", { "/a" }, str("x\0y") .. S, { "x\0y", stat } },
  { "get", { "/a" }, str("") .. S, { "", stat } },
  { "get", { "/a" }, str(nil) .. S, { "", null } },
  { "exists", { "/a" }, S, { stat } },
  { "children", { "/" }, frames.strings({ "b", "a" }) .. S, { { "b", "a" }, stat } },
  { "children", { "/" }, frames.strings({}) .. S, { {}, stat } },
  { "children", { "/" }, i32(-1) .. S, { {}, stat } },
  { "get_acl", { "/a" }, frames.acl(acl) .. S, { acl, stat } },
  { "set_acl", { "/a" }, S, { stat } },
  { "sync", { "/a" }, str("/a"), { "/a" } },
  { "count", { "/a" }, i32(7), { 7 } },
  { "ephemerals", { "/" }, frames.strings({ "/a", "/b/c" }), { { "/a", "/b/c" } } },
  { "whoami", {}, frames.vector({ { "ip", "127.0.0.1" }, { "digest", "u" } }, function(id)
    return str(id[1]) .. str(id[2])
  end), { { { scheme = "ip", user = "127.0.0.1" }, { scheme = "digest", user = "u" } } } },
  { "add_watch", { "/a" }, i32(0), {} },
  { "add_auth", { "digest", "u:p" }, "", {} },
  { "config", {}, str("version=1") .. S, { "version=1", stat } },
  { "reconfig", { "a" }, str("version=2") .. S, { "version=2", stat } },
}

local result, fail = frames.multi_result, frames.multi_error
for _, case in ipairs({
  { "multi", {}, "", {} },
  { "multi", { { "create", "/a" }, { "set", "/a" }, { "delete", "/a" }, { "check", "/a" } },
    result(15, str("/a") .. S) .. result(5, S) .. result(2) .. result(13),
    { { op = "create", path = "/a", stat = stat }, { op = "set", stat = stat }, { op = "delete" },
      { op = "check" } } },
  { "multi", { { "create", "/a" } }, result(1, str("/a")), { { op = "create", path = "/a" } } },
  { "multi", { { "check", "/a" }, { "check", "/b" }, { "check", "/c" } },
    fail(0) .. fail(-103) .. fail(-2), { { op = "error", code = "OK" },
      { op = "error", code = "BADVERSION" }, { op = "error", code = "RUNTIMEINCONSISTENCY" } }, 2 },
  { "multi", { { "check", "/a" }, { "check", "/b" } }, fail(-2) .. fail(-101),
    { { op = "error", code = "RUNTIMEINCONSISTENCY" }, { op = "error", code = "NONODE" } }, 2 },
  { "multi_read", { { "get", "/a" }, { "children", "/b" }, { "get", "/c" }, { "get", "/d" } },
    result(4, str(nil) .. S) .. result(8, frames.strings({ "x" })) .. fail(-101) .. fail(-102),
    { { op = "get", data = "", stat = null }, { op = "children", children = { "x" } },
      { op = "error", code = "NONODE" }, { op = "error", code = "NOAUTH" } }, 3 },
}) do
  cases[#cases + 1] = { case[1], { case[2] }, case[3] .. frames.multi_end, { case[4], case[5] } }
end

describe("a reply", function()
  for i, case in ipairs(cases) do
    it("becomes Lua values: " .. case[1] .. ", case " .. i, function()
      local client, attached = attach()
      local xid = assert(client[case[1]](client, unpack(case[2], 1, 5)))
      local _, _, event = attached:answer(0, case[3])
      assert.same({ "reply", xid, nil, unpack(case[4], 1, 2) }, event)
      assert.is_nil(client:event())
    end)

    it("survives each failing allocation of Lua: " .. case[1] .. ", case " .. i, function()
      local client, attached = attach()
      local xid = assert(client[case[1]](client, unpack(case[2], 1, 5)))
      local _, _, wire_xid = attached:request()
      attached:reply(wire_xid, 0, case[3])
      local failures = 0
      while true do
        collectgarbage()
        local event = { host.starve(failures, client.event, client) }
        if event[1] then
          assert.same({ true, "reply", xid, nil, unpack(case[4], 1, 2) }, event)
          break
        end
        assert.matches("not enough memory", event[2])
        failures = failures + 1
        assert.is_true(failures < 1000)
      end
      assert.is_nil(client:event())
    end)
  end

  for _, case in ipairs({
    { -101, "NONODE" }, { -110, "NODEEXISTS" }, { -127, "THROTTLEDOP" }, { -126, "ERROR(-126)" },
    { 5, "ERROR(5)" }, { -2147483648, "ERROR(-2147483648)" }, { -1, "SYSTEMERROR" },
  }) do
    it("with code " .. case[1] .. " is " .. case[2], function()
      local client, attached = attach()
      local xid = client:get("/a")
      local _, _, event = attached:answer(case[1])
      assert.same({ "reply", xid, case[2] }, event)
    end)
  end

  it("holds whole numbers", function()
    local client, attached = attach()
    client:exists("/a")
    local _, _, event = attached:answer(0, S)
    for key, value in pairs(event[4]) do
      assert.equal(tostring(value), ("%d"):format(value), key)
    end
  end)

  it("names the operations of a local end", function()
    local client = attach()
    local cancelled = client:get("/a")
    client:cancel(cancelled)
    assert.same({ "reply", cancelled, "NOTCONNECTED" }, peer.next_event(client, "reply"))
    local late = client:get("/a", false, core.now() - 1)
    client:tick()
    assert.same({ "reply", late, "NOTCONNECTED" }, peer.next_event(client, "reply"))
  end)

  it("takes the chroot off paths wherever they are", function()
    local client, attached = attach({ chroot = "/app" })
    client:create("/a")
    local _, _, event = attached:answer(0, str("/app/a") .. S)
    assert.equal("/a", event[4])
    client:sync("/")
    _, _, event = attached:answer(0, str("/app"))
    assert.equal("/", event[4])
    client:multi({ { "create", "/a" } })
    _, _, event = attached:answer(0, result(15, str("/app/a") .. S) .. frames.multi_end)
    assert.equal("/a", event[4][1].path)
    client:ephemerals("/")
    _, _, event = attached:answer(0, frames.strings({ "/app/a", "/apple/b", "/app" }))
    assert.same({ "/a", "/" }, event[4])
  end)
end)

describe("a number beyond 2^53", function()
  local huge = frames.stat({ mzxid = "0x20000000000001" })

  it("is exact on Lua 5.4", function()
    if not exact_integers then
      return
    end
    local client, attached = attach()
    client:exists("/a")
    local _, _, event = attached:answer(0, huge)
    assert.equal("0x20000000000001", ("0x%x"):format(event[4].mzxid))
  end)

  it("is refused on LuaJIT: one error, the session ends, every request is answered", function()
    if exact_integers then
      return
    end
    local client, attached = attach()
    local first, second, third = client:exists("/a"), client:get("/b"), client:exists("/c")
    attached:take()
    attached:reply(first, 0, huge)
    attached:reply(second, 0, str("fine") .. S)
    attached:reply(third, 0, huge)
    assert.error_matches(function()
      client:event()
    end, "above 2%^53")
    assert.same({ "reply", first, "LIMIT" }, peer.next_event(client, "reply"))
    assert.same({ "reply", second, nil, "fine", stat }, peer.next_event(client, "reply"))
    assert.same({ "reply", third, "LIMIT" }, peer.next_event(client, "reply"))
    assert.same({ n = 2, nil, "CLOSED" }, { n = 2, client:get("/d") })
  end)

  it("is taken at 2^53 itself", function()
    local client, attached = attach()
    client:exists("/a")
    local _, _, event = attached:answer(0, frames.stat({ mzxid = "0x20000000000000" }))
    assert.equal(2 ^ 53, event[4].mzxid)
  end)
end)

describe("a watch event", function()
  for _, case in ipairs({
    { 1, "created", "exists", 2 }, { 2, "deleted", "get", 1 }, { 3, "changed", "get", 1 },
    { 4, "children", "children", 4 },
  }) do
    it("says what happened: " .. case[2], function()
      local client, attached = attach()
      client[case[3]](client, "/a", true)
      if case[2] == "created" then
        attached:answer(-101)
      elseif case[3] == "children" then
        attached:answer(0, frames.strings({}) .. S)
      else
        attached:answer(0, str("") .. S)
      end
      assert(client:feed(attached.link, frames.watch_event(case[1], "/a", 77)))
      assert.same({ "watch", case[2], "/a", case[4], 77 }, { client:event() })
      assert.is_nil(client:event())
    end)
  end

  it("of an unknown type is a gap: something happened", function()
    local client, attached = attach()
    client:add_watch("/a")
    attached:answer(0, i32(0))
    assert(client:feed(attached.link, frames.watch_event(99, "/a")))
    local kind, what, path = client:event()
    -- The core may also refuse the peer for it.
    if kind == "watch" then
      assert.same({ "gap", "/a" }, { what, path })
    else
      assert.equal("disconnect", kind)
    end
  end)

  it("has no zxid where the server sent none", function()
    local client, attached = attach()
    client:get("/a", true)
    attached:answer(0, str("") .. S)
    assert(client:feed(attached.link, frames.watch_event(3, "/a")))
    assert.same({ "watch", "changed", "/a", 1 }, { client:event() })
  end)
end)
