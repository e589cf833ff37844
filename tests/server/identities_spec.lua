local acls = require("zklua_testing").acls

local AUTHFAILED, SYSTEMERROR = -115, -1
local LOOPBACK = "ip:127.0.0.1"

--- A connection from there; what was opened is freed, and nothing may be left of it.
local open

describe("a connection's identities", function()
  local opened
  before_each(function()
    opened = {}
    open = function(address)
      local identities = acls.identities(address)
      opened[#opened + 1] = identities
      return identities
    end
  end)
  after_each(function()
    for _, identities in ipairs(opened) do
      local memory = identities:free()
      assert.are.same({ 0, 0 }, { memory.bytes, memory.blocks })
    end
  end)

  for name, case in pairs({
    ["a Unix socket's is the loopback"] = { "", LOOPBACK },
    ["an IPv4 address"] = { "\10\1\2\3", "ip:10.1.2.3" },
    ["an IPv6 address"] = { ("\0"):rep(15) .. "\1", "ip:0:0:0:0:0:0:0:1" },
    ["an IPv4 address in an IPv6 socket"] = { ("\0"):rep(10) .. "\255\255\10\1\2\3",
      "ip:10.1.2.3" },
    ["no such address, though nearly"] = { ("\0"):rep(10) .. "\255\254\10\1\2\3",
      "ip:0:0:0:0:0:fffe:a01:203" },
  }) do
    it("begin with its address: " .. name, function()
      local list, super = open(case[1]):list()
      assert.are.same({ case[2] }, list)
      assert.is_false(super)
    end)
  end

  -- What Apache's provider makes of the same texts.
  for data, id in pairs({
    ["u:p"] = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=",
    ["bob:pw"] = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=",
    ["super:admin"] = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=",
    ["super:secret"] = "super:lK75jTNcA+U9vtVEw5vB51mj/w4=",
    ["nocolon"] = "nocolon:Ra+cHr2ZoHvBjtNArFGNGlVie4g=",
    [""] = ":2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
    [":pw"] = ":krPDEYdCl854cFNT6IXnoMv+VVA=",
    ["a:b:c"] = "a:cLzgnoJ6mP5qz3w+mwvPE2vDgu0=",
    ["u:"] = "u:IX23jg4I7W2/R//KoV8VL1UfuBM=",
    ["ü:p"] = "ü:RLmXr+Ch3+721+A6LjU1Ythk2bc=",
  }) do
    it(("take %q as digest"):format(data), function()
      local identities = open()
      assert.are.equal(0, identities:add("digest", data))
      assert.are.same({ LOOPBACK, "digest:" .. id }, (identities:list()))
    end)
  end

  it("take bytes that are no text as the text that Apache takes them for", function()
    local identities = open()
    assert.are.equal(0, identities:add("digest", "u\252:p\228ss")) -- Latin-1
    assert.are.same({ LOOPBACK, "digest:u\239\191\189:FsG7wVXlr0ClM6j6kboUzb0Im6k=" },
      (identities:list()))
  end)

  it("add up, each once, in order", function()
    local identities = open()
    for _, data in ipairs({ "u:p", "bob:pw", "u:p", "u:other" }) do
      assert.are.equal(0, identities:add("digest", data))
    end
    local list = identities:list()
    assert.are.equal(4, #list)
    assert.are.equal("digest:bob:ikIaKsbtGweaHnb/jKn7OHqbunM=", list[3])
  end)

  it("stay what they are when an address is claimed", function()
    local identities = open("\10\1\2\3")
    assert.are.equal(0, identities:add("ip", "1.1.1.1"))
    assert.are.equal(0, identities:add("ip", nil))
    assert.are.same({ "ip:10.1.2.3" }, (identities:list()))
  end)

  for name, scheme in pairs({
    world = "world", auth = "auth", super = "super", sasl = "sasl", x509 = "x509", [""] = "",
    ["what nobody knows"] = "Digest", ["with a zero byte"] = "digest\0", null = false,
  }) do
    it("are refused by the scheme " .. name, function()
      local identities = open()
      assert.are.equal(AUTHFAILED, identities:add(scheme or nil, "u:p"))
      assert.are.same({ LOOPBACK }, (identities:list()))
    end)
  end

  it("are refused without data", function()
    assert.are.equal(AUTHFAILED, open():add("digest", nil))
  end)

  it("take a user of so many bytes and not one more", function()
    local longest = 512 - #"digest" - #":" - 28
    local identities = open()
    assert.are.equal(0, identities:add("digest", ("u"):rep(longest) .. ":p"))
    assert.are.equal(AUTHFAILED, identities:add("digest", ("u"):rep(longest + 1) .. ":p"))
    assert.are.equal(2, #identities:list())
    -- A password may be longer: only its hash stays.
    assert.are.equal(0, identities:add("digest", "u:" .. ("p"):rep(100000)))
  end)

  it("are at most 64", function()
    local identities = open()
    for i = 2, 64 do
      assert.are.equal(0, identities:add("digest", i .. ":p"))
    end
    assert.are.equal(AUTHFAILED, identities:add("digest", "65:p"))
    assert.are.equal(0, identities:add("digest", "64:p")) -- it is there
    assert.are.equal(64, #identities:list())
  end)

  describe("of the superuser", function()
    local SUPER = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="

    it("have a scheme of their own beside the digest", function()
      local identities = open()
      for _ = 1, 2 do
        assert.are.equal(0, identities:add("digest", "super:admin", SUPER))
        local list, super = identities:list()
        assert.is_true(super)
        assert.are.same({ LOOPBACK, "super:", "digest:" .. SUPER }, list)
      end
    end)

    for name, case in pairs({
      ["of another password"] = { "super:secret", SUPER },
      ["of another user"] = { "bob:admin", SUPER },
      ["where there is no superuser"] = { "super:admin", nil },
      ["where the superuser's digest is empty"] = { "super:admin", "" },
      ["with only a part of it"] = { "super:admin", "super:xQJm" },
    }) do
      it("are not those " .. name, function()
        local identities = open()
        assert.are.equal(0, identities:add("digest", case[1], case[2]))
        local list, super = identities:list()
        assert.is_false(super)
        assert.are.equal(2, #list)
      end)
    end

    it("need two places", function()
      local identities = open()
      for i = 2, 63 do
        assert.are.equal(0, identities:add("digest", i .. ":p"))
      end
      assert.are.equal(AUTHFAILED, identities:add("digest", "super:admin", SUPER))
      local list, super = identities:list()
      assert.is_false(super)
      assert.are.equal(63, #list)
    end)
  end)

  it("are as they were when there is no memory", function()
    assert.is_nil(acls.identities("", true))
    for fails = 1, 2 do
      local identities = open()
      identities:fail(fails)
      assert.are.equal(SYSTEMERROR,
        identities:add("digest", "super:admin", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs="))
      local list, super = identities:list()
      assert.are.same({ LOOPBACK }, list)
      assert.is_false(super)
      identities:fail(fails)
      assert.are.equal(SYSTEMERROR, identities:add("digest", "u\252:p"))
      identities:fail(0)
    end
  end)
end)
