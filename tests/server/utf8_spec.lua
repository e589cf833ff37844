local codec = require("wire.codec")
local acls = require("zklua_testing").acls

local hex, unhex = codec.hex, codec.unhex

-- Each row is what Java's String makes of the bytes.
describe("text", function()
  for _, bytes in ipairs({
    "", "41", "4142", "c280", "dfbf", "e0a080", "ed9fbf", "ee8080", "efbfbf", "f0908080",
    "f48fbfbf", "75c3bc3a70",
  }) do
    it("is left as it is: " .. bytes, function()
      local text, valid = acls.repair(unhex(bytes))
      assert.are.equal(bytes, hex(text))
      assert.is_true(valid)
    end)
  end

  for _, case in ipairs({
    { "80", "efbfbd" }, { "bf", "efbfbd" }, { "c0", "efbfbd" }, { "c1bf", "efbfbdefbfbd" },
    { "c2", "efbfbd" }, { "c241", "efbfbd41" }, { "c2c3bc", "efbfbdc3bc" }, { "e0", "efbfbd" },
    { "e080", "efbfbdefbfbd" }, { "e08080", "efbfbdefbfbdefbfbd" }, { "e0a0", "efbfbd" },
    { "e0a041", "efbfbd41" }, { "eda080", "efbfbd" }, { "edbfbf", "efbfbd" },
    { "eda0", "efbfbd" }, { "eda041", "efbfbd41" }, { "f0", "efbfbd" }, { "f090", "efbfbd" },
    { "f09080", "efbfbd" }, { "f0904180", "efbfbd41efbfbd" },
    { "f08f8080", "efbfbdefbfbdefbfbdefbfbd" }, { "f4908080", "efbfbdefbfbdefbfbdefbfbd" },
    { "f5808080", "efbfbdefbfbdefbfbdefbfbd" }, { "f8", "efbfbd" }, { "ff", "efbfbd" },
    { "fe41", "efbfbd41" }, { "4180c24190", "41efbfbdefbfbd41efbfbd" },
    { "41ff42", "41efbfbd42" },
  }) do
    it("has replacements for what is not UTF-8: " .. case[1], function()
      local text, valid = acls.repair(unhex(case[1]))
      assert.are.equal(case[2], hex(text))
      assert.is_false(valid)
    end)
  end

  it("is text afterwards, at most three times as long, and then stays as it is", function()
    local random = codec.random(3)
    for _ = 1, 3000 do
      local bytes = random.bytes()
      local text, valid = acls.repair(bytes)
      assert.is_true(#text <= 3 * #bytes)
      assert.are.equal(valid, text == bytes)
      local again, valid_now = acls.repair(text)
      assert.is_true(valid_now)
      assert.are.equal(text, again)
    end
  end)
end)
