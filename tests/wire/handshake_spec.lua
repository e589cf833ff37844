local codec = require("wire.codec")
local wire = require("zklua_testing").wire

local int, str = codec.int, codec.str
local LONG = int(0) .. int(7)

local function response(password, tail)
  return int(0) .. int(4000) .. LONG .. password .. (tail or "")
end

local PASSWORD = str(("p"):rep(16))

describe("a connect response", function()
  for _, case in ipairs({
    { "of 36 bytes", response(PASSWORD), { readonly = nil, has_readonly = nil } },
    { "of 37 bytes", response(PASSWORD, "\0"), { readonly = nil, has_readonly = true } },
    { "of a read-only server", response(PASSWORD, "\1"), { readonly = true, has_readonly = true } },
    { "with an odd bool", response(PASSWORD, "\7"), { readonly = true, has_readonly = true } },
  }) do
    it(case[1] .. " is accepted", function()
      local record, left = wire.decode(case[2], "connect_response")
      assert.equal(0, left)
      assert.equal("0x7", record.session_id)
      assert.equal(4000, record.timeout_ms)
      assert.equal(case[3].readonly, record.readonly)
      assert.equal(case[3].has_readonly, record.has_readonly)
    end)
  end

  for _, case in ipairs({
    { "of 38 bytes", response(PASSWORD, "\0\0") },
    { "with a null password", response(int(-1)) },
    { "with a null password filled to 36 bytes", response(int(-1), ("\0"):rep(16)) },
    { "with an empty password", response(str("")) },
    { "with a password of 15 bytes", response(str(("p"):rep(15))) },
    { "with a password of 15 bytes, 37 in all", response(str(("p"):rep(15)), "\0\0") },
    { "with a password of 17 bytes, 37 in all", response(str(("p"):rep(17))) },
    { "with a password that ends behind the frame", response(int(17) .. ("p"):rep(16)) },
    { "with a password of negative length", response(int(-2) .. ("p"):rep(16)) },
    { "that is a reply header", int(0) .. LONG .. int(-119) },
    { "that is empty", "" },
  }) do
    it(case[1] .. " is refused", function()
      assert.is_nil(wire.decode(case[2], "connect_response"))
    end)
  end

  it("says a negative timeout as it is", function()
    local record = wire.decode(int(0) .. int(-1) .. LONG .. PASSWORD, "connect_response")
    assert.equal(-1, record.timeout_ms)
  end)
end)

describe("a connect request", function()
  local function request(password, tail)
    return int(0) .. LONG .. int(4000) .. LONG .. password .. (tail or "")
  end

  it("of an old client has no last byte", function()
    local record = wire.decode(request(PASSWORD), "connect_request")
    assert.is_nil(record.has_readonly)
    assert.equal(request(PASSWORD), (wire.encode({ { "connect_request", record } })))
  end)

  for _, case in ipairs({
    { "null", int(-1), nil }, { "empty", str(""), "" }, { "short", str("abc"), "abc" },
  }) do
    it("may have a password that is " .. case[1], function()
      local record = wire.decode(request(case[2], "\1"), "connect_request")
      assert.equal(case[3], record.password)
      assert.is_true(record.readonly)
    end)
  end

  it("is read whatever its version says", function()
    assert.truthy(wire.decode(int(99) .. request(PASSWORD):sub(5), "connect_request"))
  end)

  it("leaves what follows unread", function()
    local _, left = wire.decode(request(PASSWORD, "\0tail"), "connect_request")
    assert.equal(4, left)
  end)
end)
