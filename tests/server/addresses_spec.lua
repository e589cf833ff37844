local codec = require("wire.codec")
local acls = require("zklua_testing").acls

local unhex, hex = codec.unhex, codec.hex

local function v4(a, b, c, d)
  return string.char(a, b, c, d)
end

describe("a network", function()
  -- The IPv4 rows were given to Apache's provider of the scheme, which says the same.
  for text, expected in pairs({
    ["1.2.3.4"] = { v4(1, 2, 3, 4), 32 },
    ["0.0.0.0"] = { v4(0, 0, 0, 0), 32 },
    ["255.255.255.255"] = { v4(255, 255, 255, 255), 32 },
    ["1.2.3.4/32"] = { v4(1, 2, 3, 4), 32 },
    ["1.2.3.4/0"] = { v4(1, 2, 3, 4), 0 },
    ["1.2.3.4/8"] = { v4(1, 2, 3, 4), 8 },
    ["1.2.3.4/08"] = { v4(1, 2, 3, 4), 8 },
    ["01.002.3.4"] = { v4(1, 2, 3, 4), 32 },
    ["+1.2.3.4"] = { v4(1, 2, 3, 4), 32 },
    ["-0.2.3.4"] = { v4(0, 2, 3, 4), 32 },
    ["1.2.3.4/+8"] = { v4(1, 2, 3, 4), 8 },
    ["::"] = { ("\0"):rep(16), 128 },
    ["::1"] = { ("\0"):rep(15) .. "\1", 128 },
    ["1::"] = { "\0\1" .. ("\0"):rep(14), 128 },
    ["::/0"] = { ("\0"):rep(16), 0 },
    ["2001:db8::/32"] = { unhex("20010db8") .. ("\0"):rep(12), 32 },
    ["2001:0DB8:85a3:0000:0000:8A2E:0370:7334"] = { unhex("20010db885a3000000008a2e03707334"),
      128 },
    ["2001:db8::8a2e:370:7334"] = { unhex("20010db80000000000008a2e03707334"), 128 },
    ["1:2:3:4:5:6:7::"] = { unhex("00010002000300040005000600070000"), 128 },
    ["::2:3:4:5:6:7:8"] = { unhex("00000002000300040005000600070008"), 128 },
    ["1:2:3::6:7:8"] = { unhex("00010002000300000000000600070008"), 128 },
    ["0:0:0:0:0:0:0:1/128"] = { ("\0"):rep(15) .. "\1", 128 },
  }) do
    it("is " .. text, function()
      local address, bits = acls.network(text)
      assert.are.same({ hex(expected[1]), expected[2] }, { hex(address), bits })
    end)
  end

  for _, text in ipairs({
    "", "/", "/8", "1", "localhost", "256.1.1.1", "1.2.3", "1.2.3.", ".1.2.3", "1.2.3.4.5",
    "1..3.4", "a.b.c.d", "1.2.3.4/33", "1.2.3.4/-1", "1.2.3.4/", "1.2.3.4/8/8", "1.2.3.4/x",
    " 1.2.3.4", "1.2.3.4 ", "1.2.3.-4", "99999999999.1.1.1", "18446744073709551617.1.1.1",
    "1.2.3.4\0", ":", ":::", "1:2", "1::2:", ":1::2", "1::2::", "1:2:3:4:5:6:7", "::/129", "::/",
    "1:2:3:4:5:6:7:8:", "1:2:3:4:5:6:7:8:9", "1:2::3:4:5:6:7:8", "1:abcdf::", "efgh::", "1:: ",
    " 1::", "::ffff:1.2.3.4", "::-1", "::1%eth0", "[::1]", "1:2:3:4:5:6:7:8:9:a:b:c:d:e:f:0",
  }) do
    it("is not " .. ("%q"):format(text), function()
      assert.is_nil(acls.network(text))
    end)
  end

  for _, case in ipairs({
    { "10.0.0.0/8", v4(10, 1, 2, 3), true },
    { "10.0.0.0/8", v4(11, 1, 2, 3), false },
    { "10.9.9.9/8", v4(10, 1, 2, 3), true },
    { "10.1.2.3", v4(10, 1, 2, 3), true },
    { "10.1.2.4", v4(10, 1, 2, 3), false },
    { "10.1.2.4/31", v4(10, 1, 2, 3), false },
    { "10.1.2.2/31", v4(10, 1, 2, 3), true },
    { "0.0.0.0/0", v4(10, 1, 2, 3), true },
    { "10.1.2.3/32", v4(10, 1, 2, 3), true },
    { "10.128.0.0/9", v4(10, 129, 0, 0), true },
    { "10.128.0.0/9", v4(10, 127, 0, 0), false },
    { "10.0.0.0/8", unhex("0a000000000000000000000000000001"), false },
    { "0.0.0.0/0", ("\0"):rep(16), false },
    { "::/0", v4(0, 0, 0, 0), false },
    { "::/0", ("\255"):rep(16), true },
    { "::1", ("\0"):rep(15) .. "\1", true },
    { "::1/127", ("\0"):rep(16), true },
    { "::1/128", ("\0"):rep(16), false },
    { "2001:db8::/33", unhex("20010db87fff") .. ("\1"):rep(10), true },
    { "2001:db8::/33", unhex("20010db88000") .. ("\1"):rep(10), false },
  }) do
    it(("%s %s %s"):format(case[1], case[3] and "has" or "has not", hex(case[2])), function()
      assert.are.equal(case[3], acls.network_has(case[1], case[2]))
    end)
  end

  it("compares as many bits as it says, and no others", function()
    for bits = 0, 128 do
      local network = ("5555:5555:5555:5555:5555:5555:5555:5555/%d"):format(bits)
      for bit = 0, 127 do
        local bytes = {}
        for i = 1, 16 do
          bytes[i] = 0x55
        end
        local byte, value = math.floor(bit / 8) + 1, 2 ^ (7 - bit % 8)
        local set = math.floor(0x55 / value) % 2 == 1
        bytes[byte] = math.floor(set and 0x55 - value or 0x55 + value)
        local address = string.char((table.unpack or unpack)(bytes))
        assert.are.equal(bit >= bits, acls.network_has(network, address))
      end
    end
  end)
end)

describe("an address", function()
  for text, bytes in pairs({
    ["0.0.0.0"] = v4(0, 0, 0, 0),
    ["127.0.0.1"] = v4(127, 0, 0, 1),
    ["255.100.9.10"] = v4(255, 100, 9, 10),
    ["255.255.255.255"] = v4(255, 255, 255, 255),
    ["0:0:0:0:0:0:0:0"] = ("\0"):rep(16),
    ["0:0:0:0:0:0:0:1"] = ("\0"):rep(15) .. "\1",
    ["2001:db8:0:0:0:8a2e:370:7334"] = unhex("20010db80000000000008a2e03707334"),
    ["ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"] = ("\255"):rep(16),
    ["f:10:100:1000:fff:ff:1:0"] = unhex("000f0010010010000fff00ff00010000"),
  }) do
    it("is written as " .. text .. ", and read again", function()
      assert.are.equal(text, acls.address(bytes))
      assert.are.equal(hex(bytes), hex((acls.network(text))))
    end)
  end
end)
