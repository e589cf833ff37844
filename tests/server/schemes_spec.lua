local codec = require("wire.codec")
local acls = require("zklua_testing").acls

local INVALIDACL = -114
local U, BOB = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=", "bob:ikIaKsbtGweaHnb/jKn7OHqbunM="

local function entry(text)
  local permissions, scheme, id = text:match("^(%-?%d+) ([^:]*):(.*)$")
  return { permissions = tonumber(permissions), scheme = scheme, id = id }
end

--- "31 world:anyone" and so on.
local function list_of(texts)
  local list = {}
  for i, text in ipairs(texts) do
    list[i] = type(text) == "table" and text or entry(text)
  end
  return list
end

local function texts_of(list)
  local texts = {}
  for i, acl in ipairs(list) do
    texts[i] = ("%d %s:%s"):format(acl.permissions or 0, acl.scheme, acl.id)
  end
  return texts
end

describe("a list from a client", function()
  local nobody, somebody

  setup(function()
    nobody, somebody = acls.identities(), acls.identities()
    somebody:add("digest", "u:p")
    somebody:add("digest", "super:admin", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")
    somebody:add("digest", "bob:pw")
  end)
  teardown(function()
    nobody:free()
    somebody:free()
  end)

  -- Asked of Apache's own function, but for IPv6.
  for _, case in ipairs({
    { "31 world:anyone" },
    { "0 world:anyone", "-1 world:anyone", "65535 world:anyone" },
    { "1 ip:1.2.3.4", "2 ip:10.0.0.0/8", "4 ip:::1", "8 ip:2001:db8::/32" },
    { "1 digest:" .. U, "1 digest::b", "1 digest:a:b:", "1 digest:a:b::", "1 digest:a:b/c=" },
  }) do
    it("is stored as it is: " .. table.concat(case, ", "), function()
      assert.are.same(case, texts_of(acls.fix(list_of(case), nobody)))
    end)
  end

  for name, case in pairs({
    ["nothing"] = {},
    ["another world"] = { "31 world:x" },
    ["an empty world"] = { "31 world:" },
    ["a digest without hash"] = { "31 digest:u:" },
    ["a digest without colon"] = { "31 digest:u" },
    ["a digest of colons"] = { "31 digest:::" },
    ["a digest of three parts"] = { "31 digest:a:b:c" },
    ["a digest with an empty part"] = { "31 digest:a::b" },
    ["an empty digest"] = { "31 digest:" },
    ["no address"] = { "31 ip:localhost" },
    ["no network"] = { "31 ip:1.2.3.4/33" },
    ["the superuser"] = { "31 super:" },
    ["a scheme that nobody knows"] = { "31 foo:bar" },
    ["sasl"] = { "31 sasl:bob" },
    ["x509"] = { "31 x509:CN=bob" },
    ["a null scheme"] = { { permissions = 31, id = "anyone" } },
    ["a null id"] = { { permissions = 31, scheme = "world" } },
    ["a null id of a digest"] = { { permissions = 31, scheme = "digest" } },
    ["a null id of an address"] = { { permissions = 31, scheme = "ip" } },
    ["something wrong at its end"] = { "31 world:anyone", "31 foo:bar" },
  }) do
    it("is refused with " .. name, function()
      assert.are.same({ nil, INVALIDACL }, { acls.fix(list_of(case), somebody) })
    end)
  end

  it("is refused when it is null", function()
    assert.are.same({ nil, INVALIDACL }, { acls.fix(false, somebody) })
  end)

  it("loses what is in it twice, and keeps its order", function()
    assert.are.same({ "2 world:anyone", "1 world:anyone", "1 ip:1.2.3.4" },
      texts_of(acls.fix(list_of({ "2 world:anyone", "1 world:anyone", "2 world:anyone",
        "1 ip:1.2.3.4", "1 world:anyone", "1 ip:1.2.3.4" }), nobody)))
  end)

  describe("with auth", function()
    it("gets who has authenticated in its place", function()
      for _, id in ipairs({ "", "whatever", "u:x" }) do
        assert.are.same({ "3 digest:" .. U, "3 digest:super:xQJmxLMiHGwaqBvst5y6rkB6HQs=",
          "3 digest:" .. BOB }, texts_of(acls.fix(list_of({ "3 auth:" .. id }), somebody)))
      end
      assert.are.same({ "digest:" .. U }, { texts_of(
        acls.fix({ { permissions = 3, scheme = "auth" } }, somebody))[1]:sub(3) })
    end)

    it("may then say something twice", function()
      local list = texts_of(acls.fix(list_of({ "3 auth:", "3 auth:y", "3 digest:" .. BOB,
        "3 auth:" }), somebody))
      assert.are.equal(7, #list)
      assert.are.equal(list[1], list[4])
      assert.are.equal("3 digest:" .. BOB, list[7])
    end)

    it("is refused from a connection that is only an address", function()
      assert.are.same({ nil, INVALIDACL }, { acls.fix(list_of({ "31 auth:" }), nobody) })
      assert.are.same({ nil, INVALIDACL },
        { acls.fix(list_of({ "31 world:anyone", "31 auth:" }), nobody) })
    end)
  end)

  it("may have a thousand entries and not one more", function()
    local texts = {}
    for i = 1, 1000 do
      texts[i] = ("%d ip:10.0.%d.%d"):format(i % 31 + 1, math.floor(i / 256), i % 256)
    end
    assert.are.same(texts, texts_of(acls.fix(list_of(texts), nobody)))
    texts[1001] = texts[1]
    assert.are.same({ nil, INVALIDACL }, { acls.fix(list_of(texts), nobody) })
  end)

  it("may have a thousand entries after auth was spelled out", function()
    local texts = {}
    for i = 1, 333 do
      texts[i] = i .. " auth:"
    end
    assert.are.equal(999, #acls.fix(list_of(texts), somebody))
    texts[334] = "1 world:anyone"
    assert.are.equal(1000, #acls.fix(list_of(texts), somebody))
    texts[335] = "2 world:anyone"
    assert.are.same({ nil, INVALIDACL }, { acls.fix(list_of(texts), somebody) })
  end)

  it("is made the same of by a plain reference, whatever it is", function()
    local random = codec.random(5)
    local pool = {}
    for i = 1, 40 do
      pool[i] = ("%d ip:10.0.0.%d"):format(random.below(3), random.below(20))
    end
    for _ = 1, 300 do
      local texts, expected, seen = {}, {}, {}
      for i = 1, random.below(60) + 1 do
        texts[i] = random.pick(pool)
        if not seen[texts[i]] then
          expected[#expected + 1] = texts[i]
          seen[texts[i]] = true
        end
      end
      assert.are.same(expected, texts_of(acls.fix(list_of(texts), nobody)))
    end
  end)
end)

describe("a list for somebody without ADMIN", function()
  it("does not say the hashes of digests", function()
    assert.are.same({ "31 digest:u:x", "1 world:anyone", "2 digest::x", "4 ip:1.2.3.4",
      "8 digest:nocolon:x", "16 sasl:a:b" },
      texts_of(acls.mask(list_of({ "31 digest:" .. U, "1 world:anyone", "2 digest::b",
        "4 ip:1.2.3.4", "8 digest:nocolon", "16 sasl:a:b" }))))
  end)

  it("may be empty, or hold nulls", function()
    assert.are.same({}, acls.mask({}))
    local odd = { { permissions = 1, scheme = "digest" }, { permissions = 2 } }
    assert.are.same(odd, acls.mask(odd))
  end)
end)
