local codec = require("wire.codec")
local wire = require("zklua_testing").wire

local int, str = codec.int, codec.str
local GET_CHILDREN, GET_ACL, WHO_AM_I, SET_ACL = 8, 6, 107, 7
local STAT = ("\0"):rep(68)

--- kind, op, bytes before the vector, bytes behind it
local STRINGS = { "result", GET_CHILDREN, "", "" }
local CLIENT_IDS = { "result", WHO_AM_I, "", "" }
local ACLS = { "result", GET_ACL, "", STAT }
local REQUEST_ACLS = { "request", SET_ACL, str("/a"), int(0) }
local WATCHES = { "request", 101, ("\0"):rep(8), int(0) .. int(0) }

local function read(place, bytes)
  return wire.decode(place[3] .. bytes .. place[4], place[1], place[2])
end

local ANYONE = int(31) .. str("world") .. str("anyone")

local function nulls(count)
  local list = {}
  for i = 1, count do
    list[i] = {}
  end
  return list
end

describe("a vector", function()
  for _, case in ipairs({
    { "of no strings", STRINGS, int(0), {} },
    { "that is null", STRINGS, int(-1), false },
    { "of one string", STRINGS, int(1) .. str("a"), { "a" } },
    { "of empty strings", STRINGS, int(3) .. str("") .. str("") .. str(""), { "", "", "" } },
    { "of null strings", STRINGS, int(2) .. int(-1) .. int(-1), { false, false } },
    { "of strings of any bytes", STRINGS, int(1) .. str("\0\255/"), { "\0\255/" } },
    { "of no ACL entries", ACLS, int(0), {} },
    { "of ACL entries that is null", ACLS, int(-1), false },
    { "of ACL entries", ACLS, int(2) .. ANYONE .. int(-1) .. int(-1) .. str(""),
      { { permissions = 31, scheme = "world", id = "anyone" }, { permissions = -1, id = "" } } },
    { "of client ids", CLIENT_IDS, int(2) .. str("ip") .. str("::1") .. int(-1) .. int(-1),
      { { scheme = "ip", user = "::1" }, {} } },
    -- The least an element can take, up to the last byte of the frame.
    { "of null client ids", CLIENT_IDS, int(20) .. int(-1):rep(40), nulls(20) },
  }) do
    it(case[1] .. " is read", function()
      local record, left = read(case[2], case[3])
      assert.same(case[4], record.items)
      assert.equal(0, left)
    end)
  end

  local HUGE = 2147483647
  for _, case in ipairs({
    { "without a count", STRINGS, "" },
    { "with half a count", STRINGS, "\0\0" },
    { "of -2 strings", STRINGS, int(-2) },
    { "of the most negative count", STRINGS, int(-2147483648) },
    { "of -2 ACL entries", ACLS, int(-2) },
    { "of -3 client ids", CLIENT_IDS, int(-3) },
    { "of one string that is not there", STRINGS, int(1) },
    { "of one string more than there are", STRINGS, int(3) .. str("a") .. str("b") },
    { "of one null string more than there are", STRINGS, int(3) .. int(-1) .. int(-1) },
    { "of the largest count", STRINGS, int(HUGE) },
    { "of the largest count and some strings", STRINGS, int(HUGE) .. str("a"):rep(100) },
    { "of as many strings as would wrap 32 bits", STRINGS, int(0x40000000) .. str("a") },
    { "of the largest count of ACL entries", ACLS, int(HUGE) .. ANYONE },
    { "of as many ACL entries as would wrap 32 bits", ACLS, int(0x15555556) .. ANYONE },
    { "of the largest count of client ids", CLIENT_IDS, int(HUGE) .. str("ip") .. str("::1") },
    { "of as many client ids as would wrap 32 bits", CLIENT_IDS, int(0x20000000) },
    { "with a string of length -2", STRINGS, int(1) .. int(-2) },
    { "with a string of the most negative length", STRINGS, int(1) .. int(-2147483648) },
    { "with a string one byte longer than the frame", STRINGS, int(1) .. int(4) .. "abc" },
    { "with a string of the largest length", STRINGS, int(1) .. int(HUGE) .. "abc" },
    { "with a string that swallows the next", STRINGS, int(2) .. int(9) .. "a" .. str("b") },
    { "with a last string that is cut", STRINGS, int(2) .. str("a") .. int(2) .. "b" },
    { "with an ACL entry that is all permissions", REQUEST_ACLS, int(1) .. int(31) },
    { "with an ACL entry without an id", REQUEST_ACLS, int(1) .. int(31) .. str("world") },
    { "with an ACL scheme of length -2", ACLS, int(1) .. int(31) .. int(-2) .. str("anyone") },
    { "with an ACL id of length -2", ACLS, int(1) .. int(31) .. str("world") .. int(-2) },
    { "with an ACL id that ends behind the frame", ACLS,
      int(1) .. int(31) .. str("world") .. int(200) },
    { "with a client id without a user", CLIENT_IDS, int(1) .. str("world!!!") },
    { "with a user of the largest length", CLIENT_IDS, int(1) .. str("ip") .. int(HUGE) },
    { "of watches of which there are not so many", WATCHES, int(4) .. str("/a") },
    { "of watches with a path of length -2", WATCHES, int(1) .. int(-2) },
  }) do
    it(case[1] .. " is refused", function()
      assert.is_nil(read(case[2], case[3]))
    end)
  end

  it("of ACL entries may be of the smallest", function()
    local entry = int(0) .. int(-1) .. int(-1)
    assert.same(nulls(20), read(REQUEST_ACLS, int(20) .. entry:rep(20)).acl)
    assert.is_nil(read(REQUEST_ACLS, int(21) .. entry:rep(20)))
  end)

  it("is refused for a count of one too many, at every size", function()
    for count = 0, 40 do
      local bytes = int(-1):rep(count)
      assert.equal(count, #read(STRINGS, int(count) .. bytes).items)
      assert.is_nil(read(STRINGS, int(count + 1) .. bytes))
    end
  end)

  it("of a hundred thousand strings is read", function()
    local record = read(STRINGS, int(100000) .. str("child"):rep(100000))
    assert.equal(100000, #record.items)
    assert.equal("child", record.items[100000])
  end)
end)
