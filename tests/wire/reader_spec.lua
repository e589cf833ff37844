local codec = require("wire.codec")
local golden = require("wire.golden")
local wire = require("zklua_testing").wire

describe("bytes at random", function()
  -- Whatever a peer sends is read or refused; what is read can be written, and is then
  -- read as the same.
  it("in place of some of a frame's are read or refused", function()
    local random = codec.random(77)
    local accepted, refused = 0, 0
    for _, frame in ipairs(golden) do
      local last = frame[#frame]
      local kind, op = last[1], last[2].op
      local bytes = wire.encode({ last })
      for round = 1, #bytes > 0 and 300 or 0 do
        local mutated = bytes
        for _ = 1, random.below(3) + 1 do
          local at = random.below(#bytes) + 1
          local byte = random.pick({ 0, 1, 4, 127, 128, 255, random.below(256) })
          mutated = mutated:sub(1, at - 1) .. string.char(byte) .. mutated:sub(at + 1)
        end
        local record = wire.decode(mutated, kind, op)
        if record then
          accepted = accepted + 1
          local again = wire.encode({ { kind, record } })
          assert.same(record, (wire.decode(again, kind, op)), frame.name .. " round " .. round)
        else
          refused = refused + 1
        end
      end
    end
    assert.is_true(accepted > 1000 and refused > 1000)
  end)
end)
