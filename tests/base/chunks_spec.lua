local base = require("zklua_testing").base
local codec = require("wire.codec")

describe("chunks", function()
  it("keep blocks where they are until they are given back, in any order", function()
    for seed = 1, 10 do
      local random, chunks = codec.random(seed), base.chunks()
      local live = {}
      for i = 1, 1500 do
        if #live > 0 and random.below(2) == 0 then
          local block = table.remove(live, random.below(#live) + 1)
          assert.are.equal(block.bytes, chunks:peek(block.at, #block.bytes))
          chunks:give_back(block.chunk)
        else
          local bytes = ("%05d"):format(i):rep(random.below(100) == 0 and 9000 or random.below(400))
          local chunk, at = chunks:add(bytes)
          live[#live + 1] = { bytes = bytes, chunk = chunk, at = at }
        end
      end
      for _, block in ipairs(live) do
        assert.are.equal(block.bytes, chunks:peek(block.at, #block.bytes))
        chunks:give_back(block.chunk)
      end
      assert.are.equal(0, chunks:total())
      assert.are.equal(0, chunks:free().bytes)
    end
  end)

  it("put neighbours in time next to each other", function()
    local chunks = base.chunks()
    local _, first = chunks:add("hello ")
    chunks:add("world")
    assert.are.equal("hello world", chunks:peek(first, 11))
    chunks:free()
  end)

  it("that run empty again and again cost nothing", function()
    local chunks = base.chunks()
    chunks:give_back((chunks:add("x")))
    chunks:fail(1, 1e9)
    for _ = 1, 100 do
      local chunk = assert(chunks:add(("x"):rep(1000)))
      chunks:give_back(chunk)
    end
    assert.are.equal(1, chunks:memory().blocks)
    chunks:free()
  end)

  it("have a chunk of its own for a block that is too large", function()
    local chunks = base.chunks()
    local chunk = chunks:add(("x"):rep(100000))
    assert.are.equal(100000, chunks:total())
    chunks:give_back(chunk)
    assert.are.equal(0, chunks:total())
    assert.are.equal(0, chunks:memory().blocks)
    chunks:free()
  end)

  it("stay as they were when there is no memory", function()
    local chunks = base.chunks()
    local _, at = chunks:add("kept")
    chunks:fail(1, 1e9)
    assert.is_nil((chunks:add(("x"):rep(40000))))
    assert.are.equal("kept", chunks:peek(at, 4))
    assert.is_truthy((chunks:add("more")))
    chunks:free()
  end)
end)
