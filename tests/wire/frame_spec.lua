local codec = require("wire.codec")
local golden = require("wire.golden")
local wire = require("zklua_testing").wire

describe("a frame", function()
  for _, case in ipairs({
    { "nothing", "", 100, "partial" },
    { "three bytes of a length", "\0\0\0", 100, "partial" },
    { "a length alone", "\0\0\0\1", 100, "partial" },
    { "an empty body", "\0\0\0\0", 100, "whole", 0 },
    { "an empty body under a limit of nothing", "\0\0\0\0", 0, "whole", 0 },
    { "a body and more", "\0\0\0\1xyz", 100, "whole", 1 },
    { "a body at the limit", "\0\0\0\3abc", 3, "whole", 3 },
    { "one byte less than its body", "\0\0\0\3ab", 3, "partial" },
    { "a length past the limit", "\0\0\0\4", 3, "limit", 4 },
    { "a length past the limit with its body", "\0\0\0\4abcd", 3, "limit", 4 },
    { "the largest length", "\127\255\255\255", 67108864, "limit", 2147483647 },
    { "the largest length where it is allowed", "\127\255\255\255", 2147483647, "partial" },
    { "a length of -1", "\255\255\255\255", 100, "corrupt", -1 },
    { "the smallest length", "\128\0\0\0", 4294967295, "corrupt", -2147483648 },
    { "a four-letter word's answer", "imok", 67108864, "limit", 0x696d6f6b },
    { "a web server's answer", "HTTP/1.1 400", 67108864, "limit", 0x48545450 },
  }) do
    it("of " .. case[1] .. " is " .. case[4], function()
      local state, size = wire.frame_peek(case[2], case[3])
      assert.equal(case[4], state)
      assert.equal(case[5], size)
    end)
  end

  it("is found in a stream that comes one byte at a time", function()
    local stream, expected = {}, {}
    for i, frame in ipairs(golden) do
      stream[i] = codec.unhex(frame.hex)
      expected[i] = stream[i]
    end
    stream = table.concat(stream)
    local buffer, found = "", {}
    for i = 1, #stream do
      buffer = buffer .. stream:sub(i, i)
      local state, size = wire.frame_peek(buffer)
      if state == "whole" then
        -- Whole at its last byte: not before, and with nothing left over.
        assert.equal(4 + size, #buffer)
        found[#found + 1] = buffer
        buffer = ""
      else
        assert.equal("partial", state)
      end
    end
    assert.equal("", buffer)
    assert.same(expected, found)
  end)
end)
