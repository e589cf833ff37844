local core = require("zklua.core")
local frames = require("support.frames")
local peer = require("support.peer")

local function new_client(options)
  options = options or {}
  options.endpoints = options.endpoints or { "one:2181" }
  options.session_timeout = options.session_timeout or 30
  return core.client(options)
end

describe("core.acl", function()
  for _, case in ipairs({
    { "bits", { { perms = 31, scheme = "world", id = "anyone" } } },
    { "letters", { { perms = "rw", scheme = "digest", id = "a:b" } }, bits = { 3 } },
    { "all letters in any order", { { perms = "adcwr", scheme = "auth", id = "" } },
      bits = { 31 } },
    { "two entries", { { perms = 1, scheme = "world", id = "anyone" },
                       { perms = "a", scheme = "ip", id = "10.0.0.0/8" } }, bits = { 1, 16 } },
  }) do
    it("encodes " .. case[1] .. " as they travel", function()
      local encoded = assert(core.acl(case[2]))
      local expected = {}
      for i, entry in ipairs(case[2]) do
        expected[i] = { perms = case.bits and case.bits[i] or entry.perms, scheme = entry.scheme,
                        id = entry.id }
      end
      assert.equal(frames.acl(expected), encoded)
    end)
  end

  local fine = { perms = 1, scheme = "world", id = "anyone" }
  for _, case in ipairs({
    { "an empty list", {}, "at least one" },
    { "an entry that is no table", { fine, 7 }, "entry 2: must be a table" },
    { "no permission", { { perms = 0, scheme = "world", id = "anyone" } }, "entry 1: perms" },
    { "unknown bits", { { perms = 32, scheme = "world", id = "anyone" } }, "entry 1: perms" },
    { "a fraction", { { perms = 1.5, scheme = "world", id = "anyone" } }, "entry 1: perms" },
    { "an unknown letter", { { perms = "rx", scheme = "world", id = "anyone" } }, "perms" },
    { "a zero byte among letters", { { perms = "r\0", scheme = "world", id = "x" } }, "perms" },
    { "no letters", { { perms = "", scheme = "world", id = "anyone" } }, "perms" },
    { "missing permissions", { { scheme = "world", id = "anyone" } }, "perms" },
    { "a missing scheme", { { perms = 1, id = "anyone" } }, "scheme must be a string" },
    { "an empty scheme", { { perms = 1, scheme = "", id = "anyone" } }, "scheme is empty" },
    { "a number for an id", { { perms = 1, scheme = "ip", id = 7 } }, "id must be a string" },
  }) do
    it("refuses " .. case[1], function()
      local encoded, message = core.acl(case[2])
      assert.is_nil(encoded)
      assert.matches(case[3], message)
    end)
  end

  it("raises for what is no list", function()
    assert.has_error(function()
      core.acl("rw")
    end)
  end)
end)

describe("what is no encoded ACL", function()
  local client, attached
  before_each(function()
    client = new_client()
    attached = peer.attach(client)
  end)

  local one = assert(core.acl({ { perms = 1, scheme = "world", id = "anyone" } }))
  local cases = {
    { "nothing", "" },
    { "plain text", "world:anyone:r" },
    { "a count of none", frames.i32(0) },
    { "the null list", frames.i32(-1) },
    { "a byte too many", one .. "x" },
    { "a count too large", frames.i32(2) .. one:sub(5) },
    { "a huge count", "\127\255\255\255" .. one:sub(5) },
    { "a negative string", frames.i32(1) .. frames.i32(1) .. frames.i32(-1) .. frames.string("") },
    { "a string that is longer than the rest", frames.i32(1) .. frames.i32(1)
      .. frames.i32(100) .. "world" },
  }
  for size = 0, #one - 1 do
    cases[#cases + 1] = { "a prefix of " .. size .. " bytes", one:sub(1, size) }
  end
  for _, case in ipairs(cases) do
    it("is refused: " .. case[1], function()
      assert.error_matches(function()
        client:set_acl("/a", case[2])
      end, "acl: not a list made by core.acl")
      assert.is_nil((attached:request()))
    end)
  end
end)

describe("core.client", function()
  local function refused(options, pattern)
    assert.error_matches(function()
      core.client(options)
    end, pattern)
  end

  it("takes every option", function()
    local client = core.client({
      endpoints = { "one:2181", "two:2181" }, chroot = "/app", session_timeout = 12.5,
      readonly = true, session = { id = "0xff", password = ("0f"):rep(16) }, seed = 7,
      reply_max = 1000, request_max = 1000, pending_max = 10,
    })
    assert.equal(12.5, client:info().timeout)
    assert.equal("0xff", client:info().session)
    assert.equal(("0f"):rep(16), client:info().password)
  end)

  local fine = { "one:2181" }
  local long = {}
  for i = 1, 1025 do
    long[i] = "host:" .. i
  end
  for _, case in ipairs({
    { "no endpoints", {}, "#1 .*endpoints: table expected" },
    { "an empty list", { endpoints = {} }, "endpoints: at least one" },
    { "too long a list", { endpoints = long }, "endpoints: too many" },
    { "an endpoint that is no string", { endpoints = { 2181 } }, "endpoints: every entry" },
    { "an empty endpoint", { endpoints = { "" } }, "endpoints: every entry" },
    { "a relative chroot", { endpoints = fine, chroot = "app" }, "#1 .*chroot: must start" },
    { "a chroot that is a number", { endpoints = fine, chroot = 1 }, "chroot: string expected" },
    { "no time at all", { endpoints = fine, session_timeout = 0 }, "session_timeout: out of" },
    { "an endless session", { endpoints = fine, session_timeout = math.huge }, "session_timeout" },
    { "a session time that is no number", { endpoints = fine, session_timeout = 0 / 0 },
      "session_timeout" },
    { "a session that is no table", { endpoints = fine, session = "0x1" }, "session: table" },
    { "a session without id", { endpoints = fine, session = {} }, "session.id: string expected" },
    { "session 0", { endpoints = fine, session = { id = "0x0", password = ("0"):rep(32) } },
      "session.id" },
    { "a decimal session", { endpoints = fine, session = { id = "zz", password = "" } },
      "session.id" },
    { "a short password", { endpoints = fine, session = { id = "0x1", password = "00" } },
      "session.password: 32 hexadecimal digits" },
    { "a password of other letters",
      { endpoints = fine, session = { id = "0x1", password = ("g"):rep(32) } },
      "session.password" },
    { "a negative seed", { endpoints = fine, seed = -1 }, "seed: out of range" },
    { "a reply limit of 0", { endpoints = fine, reply_max = 0 }, "reply_max: out of range" },
    { "a request limit that is text", { endpoints = fine, request_max = "1" }, "request_max" },
    { "a fractional pending limit", { endpoints = fine, pending_max = 1.5 }, "pending_max: whole" },
  }) do
    it("refuses " .. case[1], function()
      refused(case[2], case[3])
    end)
  end

  it("refuses options that are no table", function()
    assert.has_error(function()
      core.client("one:2181")
    end)
  end)

  it("runs no metamethod of the options", function()
    refused(setmetatable({}, { __index = function()
      error("called")
    end }), "endpoints: table expected")
  end)
end)

describe("an argument of the wrong kind", function()
  local client = new_client()
  local cases = {
    { "get", { 7 }, "path: string expected, got number" },
    { "get", {}, "path: string expected, got nil" },
    { "get", { "/a", false, "soon" }, "deadline: number expected, got string" },
    { "get", { "/a", false, 0 / 0 }, "deadline: is not a number" },
    { "exists", { {} }, "path: string" },
    { "children", { true }, "path: string" },
    { "create", { "/a", 1 }, "data: string expected, got number" },
    { "create", { "/a", "", 1 }, "acl: string" },
    { "create", { "/a", "", "open" }, "acl: not a list made by core.acl" },
    { "create", { "/a", "", nil, 7 }, "mode: out of range" },
    { "create", { "/a", "", nil, -1 }, "mode: out of range" },
    { "create", { "/a", "", nil, "1" }, "mode: number expected" },
    { "create", { "/a", "", nil, 5 }, "ttl: number expected, got n" },
    { "create", { "/a", "", nil, 5, 0 }, "ttl: out of range" },
    { "create", { "/a", "", nil, 6, 2 ^ 40 }, "ttl: out of range" },
    { "set", { "/a", "", 2 ^ 31 }, "version: out of range" },
    { "set", { "/a", "", 0.5 }, "version: whole number expected" },
    { "delete", { "/a", "1" }, "version: number expected" },
    { "set_acl", { "/a", nil, {} }, "version: number expected" },
    { "add_auth", { "digest" }, "credential: string expected" },
    { "add_auth", { nil, "a:b" }, "scheme: string expected, got nil" },
    { "reconfig", { 1 }, "joining: string" },
    { "reconfig", { "", "", "", -2 }, "config_id: out of range" },
    { "cancel", {}, "xid: number expected" },
    { "unwatch", { "/a" }, "kind: number expected" },
    { "unwatch", { "/a", 3 }, "kind: one bit" },
    { "unwatch", { "/a", 32 }, "kind: out of range" },
    { "feed", { "one", "" }, "link: number expected" },
    { "feed", { 1 }, "bytes: string expected" },
    { "connected", { -1 }, "link: out of range" },
    { "set_endpoints", {}, "endpoints: table expected" },
    { "multi", { "create" }, "table expected" },
  }
  for _, case in ipairs(cases) do
    it("raises and is named: " .. case[1] .. ": " .. case[3], function()
      local unpack = table.unpack or unpack
      assert.error_matches(function()
        client[case[1]](client, unpack(case[2], 1, 7))
      end, case[3])
    end)
  end

  it("raises for another self", function()
    for _, self in ipairs({ {}, "client", 7, io.stdout }) do
      assert.error_matches(function()
        client.get(self, "/a")
      end, "zklua client expected")
    end
    assert.error_matches(function()
      client.info()
    end, "zklua client expected")
  end)
end)
