local wire = require("zklua_testing").wire

describe("a sequence number", function()
  for _, case in ipairs({
    { "lock-0000000007", "lock-", 7 },
    { "0000000000", "", 0 },
    { "n2147483647", "n", 2147483647 },
    { "lock-1999999999", "lock-", 1999999999 },
    { "lock-10000000007", "lock-1", 7 },
    { "_c_4e2-lock-0000000012", "_c_4e2-lock-", 12 },
    { "a__lock__0000000012", "a__lock__", 12 },
    { "a\0\2550000000012", "a\0\255", 12 },
    -- Past the largest: -2147483648 and what follows it.
    { "lock--2147483648", "lock-", -2147483648 },
    { "lock-2147483648", "lock", -2147483648 },
    { "-2147483648", "", -2147483648 },
    { "lock--2147483647", "lock-", -2147483647 },
    { "lock--1000000000", "lock-", -1000000000 },
    { "-1999999999", "", -1999999999 },
    -- Ten digits with leading zeros were never written for a negative number.
    { "lock--0000000007", "lock--", 7 },
    { "-0000000007", "-", 7 },
    -- No sequence numbers.
    { "" },
    { "lock" },
    { "lock-7" },
    { "000000007" },
    { "lock-000000007" },
    { "lock-00000000x7" },
    { "lock-0000000007x" },
    { "lock-x000000007" },
    { "lock- 000000007" },
    { "lock-+000000007" },
    { "n2147483648" },
    { "n9999999999" },
    { "n-2147483649" },
    { "n--9999999999" },
    { "n\217\160\217\160\217\160\217\160\217\160" }, -- Arabic digits
  }) do
    it("of " .. ("%q"):format(case[1]) .. " is " .. tostring(case[3]), function()
      local prefix, sequence = wire.split_sequence(case[1])
      assert.equal(case[2], prefix)
      assert.equal(case[3], sequence)
    end)
  end
end)

describe("a hexadecimal number", function()
  for _, case in ipairs({
    { "0", "0x0" },
    { "0x0", "0x0" },
    { "0x1f", "0x1f" },
    { "0X1F", "0x1f" },
    { "1F", "0x1f" },
    { "00000000000000ff", "0xff" },
    { "0x1000123456789ab", "0x1000123456789ab" },
    { "ffffffffffffffff", "0xffffffffffffffff" },
    { "0xffffffffffffffff", "0xffffffffffffffff" },
    { "0x8000000000000000", "0x8000000000000000" },
    { "" },
    { "0x" },
    { "x" },
    { "0xg" },
    { "-1" },
    { "+1" },
    { " 1" },
    { "1 " },
    { "0x0x1" },
    { "1\0" },
    { "10000000000000000" },
    { "0x00000000000000001" },
  }) do
    it(("%q"):format(case[1]) .. (case[2] and " is " .. case[2] or " is refused"), function()
      assert.equal(case[2], wire.hex(case[1]))
    end)
  end
end)
