local base = require("zklua_testing").base
local codec = require("wire.codec")

local function text(n)
  return (("%07d"):format(n)):rep(3)
end

describe("a buffer", function()
  it("gives back what was put in, in pieces of any size", function()
    for seed = 1, 20 do
      local random, buffer = codec.random(seed), base.buffer()
      local put, got, size = {}, {}, 0
      for i = 1, 500 do
        local bytes = text(i):rep(random.below(40))
        assert.is_true(buffer:append(bytes))
        put[#put + 1] = bytes
        size = size + #bytes
        local take = random.below(size + 1)
        got[#got + 1] = buffer:consume(take)
        size = size - take
        assert.are.equal(size, buffer:size())
      end
      got[#got + 1] = buffer:consume(size)
      assert.are.equal(table.concat(put), table.concat(got))
      assert.are.equal(0, buffer:free().bytes)
    end
  end)

  it("keeps held bytes in place while it grows, and lets them go", function()
    local buffer = base.buffer()
    assert(buffer:append(text(1) .. text(2)))
    local at = buffer:consume_held(21)
    for i = 3, 3000 do
      assert(buffer:append(text(i)))
    end
    assert.are.equal(text(1), buffer:peek(at, 21))
    assert.are.equal(2, buffer:memory().blocks)
    buffer:let_go()
    assert.are.equal(1, buffer:memory().blocks)
    for i = 2, 3000 do
      assert.are.equal(text(i), buffer:consume(21))
    end
    buffer:free()
  end)

  it("keeps held bytes in place when it runs empty", function()
    local buffer = base.buffer()
    assert(buffer:append(("x"):rep(100000)))
    local at = buffer:consume_held(100000)
    buffer:clear()
    assert(buffer:append("yyyy"))
    assert.are.equal(("x"):rep(100000), buffer:peek(at, 100000))
    buffer:let_go()
    assert.are.equal("yyyy", buffer:consume(4))
    buffer:free()
  end)

  it("gives a large block back when it runs empty", function()
    local buffer = base.buffer()
    assert(buffer:append(("x"):rep(1000000)))
    buffer:consume(1000000)
    assert.are.equal(0, buffer:memory().bytes)
    assert(buffer:append("x"))
    buffer:consume(1)
    assert.are.equal(4096, buffer:memory().bytes)
    buffer:free()
  end)

  it("stores nothing when there is no memory", function()
    local buffer = base.buffer()
    assert(buffer:append("abc"))
    buffer:fail(1, 1e9)
    assert.is_false(buffer:append(("x"):rep(10000)))
    assert.are.equal("abc", buffer:consume(3))
    buffer:free()
  end)

  it("moves each byte a few times at most when a long frame comes in small pieces", function()
    local buffer = base.buffer()
    for _ = 1, 20000 do
      assert(buffer:append(("x"):rep(50)))
    end
    assert.is_true(buffer:memory().requests < 20)
    assert.is_true(buffer:memory().bytes < 3000000)
    buffer:free()
  end)
end)
