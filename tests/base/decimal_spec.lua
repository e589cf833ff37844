local canonical = require("zklua_testing").decimal.canonical

describe("a decimal number", function()
  for _, text in ipairs({
    "0", "1", "9", "10", "-1", "-10", "2147483647", "-2147483648", "999999999999999999",
    "9223372036854775807", "-9223372036854775808",
  }) do
    it("is written as it was read: " .. text, function()
      assert.are.equal(text, canonical(text))
    end)
  end

  for text, plain in pairs({ ["+5"] = "5", ["-0"] = "0", ["007"] = "7", ["-0001"] = "-1" }) do
    it("may be written in other ways: " .. text, function()
      assert.are.equal(plain, canonical(text))
    end)
  end

  for _, text in ipairs({
    "", "-", "+", "--1", "+-1", " 1", "1 ", "1.0", "1e3", "0x10", "a", "12a", "1\0",
    "9223372036854775808", "-9223372036854775809", "99999999999999999999",
    "18446744073709551617",
  }) do
    it("is not " .. ("%q"):format(text), function()
      assert.is_nil(canonical(text))
    end)
  end
end)
