local codec = require("wire.codec")
local golden = require("wire.golden")
local wire = require("zklua_testing").wire

local function parts_of(frame)
  local parts = {}
  for i, part in ipairs(frame) do
    parts[i] = part
  end
  return parts
end

--- A server of before 3.4 leaves the last byte of these records out.
local MAY_LACK_ITS_LAST_BYTE = { connect_request = true, connect_response = true }

describe("golden frame", function()
  it("count is 26", function()
    assert.equal(26, #golden)
  end)

  for _, frame in ipairs(golden) do
    describe(frame.name, function()
      local bytes = codec.unhex(frame.hex)
      local body = bytes:sub(5)
      local parts = parts_of(frame)

      it("is written from its fields", function()
        assert.equal(codec.hex(bytes), codec.hex((wire.encode(parts, true))))
      end)

      it("is read into its fields, to the last byte", function()
        local state, size = wire.frame_peek(bytes)
        assert.equal("whole", state)
        assert.equal(#body, size)
        local records, left = codec.read(body, parts)
        assert.same(parts, records)
        assert.equal(0, left)
      end)

      it("is the same when read and written again", function()
        local records = codec.read(body, parts)
        assert.equal(codec.hex(bytes), codec.hex((wire.encode(records, true))))
      end)

      it("is refused when cut anywhere", function()
        for size = 0, #body - 1 do
          local records = codec.read(body:sub(1, size), parts)
          if size == #body - 1 and MAY_LACK_ITS_LAST_BYTE[parts[1][1]] then
            assert.is_nil(records[1][2].has_readonly)
          else
            assert.is_nil(records, ("accepted %d of %d bytes"):format(size, #body))
          end
        end
      end)

      it("measures alike in buffers that are too small", function()
        for capacity = 0, #bytes do
          local written, size = wire.encode(parts, true, capacity)
          assert.equal(#bytes, size)
          assert.equal(capacity, #written)
          -- The length comes last, and only into a frame that is whole.
          if capacity < #bytes then
            assert.equal(("\238"):rep(math.min(4, capacity)), written:sub(1, 4))
          else
            assert.equal(bytes, written)
          end
          local stored = written:sub(5)
          local same = 0
          while same < #stored and stored:byte(same + 1) == body:byte(same + 1) do
            same = same + 1
          end
          assert.equal(("\238"):rep(#stored - same), stored:sub(same + 1))
        end
      end)
    end)
  end
end)
