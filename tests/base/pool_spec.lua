local base = require("zklua_testing").base
local codec = require("wire.codec")

local PAGE = 65536
local BLOCK_MAX = 512

describe("a pool", function()
  it("gives blocks that nobody else has", function()
    for seed = 1, 5 do
      local random, pool = codec.random(seed), base.pool()
      local taken = {}
      for _ = 1, 20000 do
        local number = random.below(2000) + 1
        if taken[number] then
          assert.is_true(pool:give_back(number))
          taken[number] = nil
        else
          local size = random.pick({ 1, 8, 9, 64, random.below(700) + 1, BLOCK_MAX, BLOCK_MAX + 1 })
          assert.is_true(pool:take(number, size)) -- aligned
          taken[number] = true
        end
      end
      for number in pairs(taken) do
        assert.is_true(pool:give_back(number))
      end
      assert.are.equal(pool:total(), pool:memory().bytes)
      assert.are.equal(0, pool:free().bytes)
    end
  end)

  it("takes a page for many blocks and has no header per block", function()
    local pool = base.pool()
    local count = PAGE / 64 - 1 -- the page's link takes the room of one
    for number = 1, count do
      pool:take(number, 64)
    end
    assert.are.equal(PAGE, pool:total())
    pool:take(count + 1, 64)
    assert.are.equal(2 * PAGE, pool:total())
    assert.are.equal(2, pool:memory().blocks)
    pool:free()
  end)

  for _, case in ipairs({
    { size = 1, other = 8 },
    { size = 8, other = 3 },
    { size = 57, other = 64 },
    { size = BLOCK_MAX - 7, other = BLOCK_MAX },
  }) do
    it(("uses a block of %d again for one of %d"):format(case.size, case.other), function()
      local pool = base.pool()
      for number = 1, 1000 do
        pool:take(number, case.size)
      end
      local total = pool:total()
      for number = 1, 1000 do
        pool:give_back(number)
      end
      for number = 1, 1000 do
        pool:take(number, case.other)
      end
      assert.are.equal(total, pool:total())
      pool:free()
    end)
  end

  it("uses the rest of a page for smaller blocks", function()
    local pool = base.pool()
    for number = 1, 2 * 127 do -- 65520 = 127 * 512 + 496: two pages with a rest
      pool:take(number, BLOCK_MAX)
    end
    pool:take(300, 496)
    pool:take(301, 496)
    assert.are.equal(2 * PAGE, pool:total())
    pool:take(302, 496)
    assert.are.equal(3 * PAGE, pool:total())
    for _, number in ipairs({ 300, 301, 302, 1, 254 }) do
      assert.is_true(pool:give_back(number))
    end
    pool:free()
  end)

  it("sends larger blocks to the hook, and back at once", function()
    local pool = base.pool()
    pool:take(1, BLOCK_MAX + 1)
    assert.are.equal(BLOCK_MAX + 1, pool:total())
    assert.are.equal(1, pool:memory().blocks)
    pool:give_back(1)
    assert.are.equal(0, pool:memory().bytes)
    assert.are.equal(0, pool:total())
    pool:free()
  end)

  it("stays as it was when there is no memory", function()
    local pool = base.pool()
    pool:fail(1)
    assert.is_nil(pool:take(1, 8))
    assert.are.equal(0, pool:total())
    assert.is_true(pool:take(1, 8))
    pool:fail(1, 1e9)
    assert.is_nil(pool:take(2, BLOCK_MAX + 1))
    local number = 2
    while pool:take(number, 90) do -- what is left of the page
      number = number + 1
    end
    assert.are.equal(2 + 682, number) -- (65536 - 8 - 8) / 96
    assert.are.equal(PAGE, pool:total())
    assert.is_true(pool:take(number, 8)) -- still some left for a small one
    pool:fail(0)
    assert.is_true(pool:take(number + 1, 90))
    for i = 1, number + 1 do
      assert.is_true(pool:give_back(i))
    end
    pool:free()
  end)
end)
