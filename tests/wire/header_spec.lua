local codec = require("wire.codec")
local wire = require("zklua_testing").wire

describe("headers", function()
  local random = codec.random(20260101)

  for _, case in ipairs({
    { "request_header", 8, function() return { xid = random.i32(), op = random.i32() } end },
    { "reply_header", 16, function()
      return { xid = random.i32(), zxid = random.i64(), code = random.i32() }
    end },
    { "watch_event", nil, function()
      return { type = random.i32(), state = random.i32(), path = random.string() }
    end },
  }) do
    it("of kind " .. case[1] .. " are read as they were written", function()
      for _ = 1, 200 do
        local record = codec.without_zeros(case[3]())
        local bytes = wire.encode({ { case[1], record } })
        assert.equal(case[2] or #bytes, #bytes)
        local read, left = wire.decode(bytes .. "tail", case[1])
        assert.same(record, read)
        assert.equal(4, left)
        for size = 0, #bytes - 1 do
          assert.is_nil(wire.decode(bytes:sub(1, size), case[1]))
        end
      end
    end)
  end

  it("of a notification may have any type and a null path", function()
    local event = wire.decode(codec.int(99) .. codec.int(3) .. codec.int(-1), "watch_event")
    assert.same({ type = 99, state = 3 }, event)
  end)
end)
