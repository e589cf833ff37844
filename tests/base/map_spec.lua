local base = require("zklua_testing").base
local codec = require("wire.codec")

describe("a map", function()
  it("has what was put in and not taken out", function()
    for seed = 1, 10 do
      local random, map = codec.random(seed), base.map()
      local hash_range = ({ 5, 300, 1000000 })[seed % 3 + 1]
      local model, count = {}, 0
      local function hash(key)
        return key * 7919 % hash_range
      end
      for _ = 1, 3000 do
        local key = random.below(600)
        if random.below(3) > 0 and not model[key] then
          assert.is_true(map:insert(key, hash(key)))
          model[key], count = true, count + 1
        elseif random.below(2) == 0 then
          assert.are.equal(model[key] or false, map:remove(key, hash(key)))
          count = count - (model[key] and 1 or 0)
          model[key] = nil
        end
        assert.are.equal(model[key] or false, map:has(key, hash(key)))
      end
      for key = 0, 599 do
        assert.are.equal(model[key] or false, map:has(key, hash(key)))
      end
      assert.are.equal(count, (map:shape()))
      local memory = map:free()
      assert.are.equal(0, memory.bytes)
    end
  end)

  it("keeps its chains short while it grows", function()
    local map = base.map()
    for key = 1, 20000 do
      assert(map:insert(key, key))
      if key % 1000 == 0 then
        local count, buckets, longest = map:shape()
        assert.are.equal(key, count)
        assert.is_true(buckets >= key)
        assert.is_true(longest <= 2)
      end
    end
    map:free()
  end)

  it("finds nothing in nothing", function()
    local map = base.map()
    assert.is_false(map:has(1, 1))
    map:free()
  end)

  it("has room for what was reserved ahead, whatever goes in between", function()
    for _, count in ipairs({ 0, 1, 15, 16, 17, 1000 }) do
      local map = base.map()
      for key = 1, 10 do
        map:insert(key, key)
      end
      assert.is_true(map:reserve_ahead(count))
      local requests = map:memory().requests
      for key = 1, count do
        assert.is_true(map:insert(100 + key, key))
        map:remove(key, key) -- at most ten are there
      end
      assert.are.equal(requests + count, map:memory().requests) -- the elements' own
      for key = 1, count do
        assert.is_true(map:has(100 + key, key))
      end
      map:free()
    end
  end)

  it("refuses to reserve what no memory can hold, and stays as it was", function()
    local map = base.map()
    map:insert(1, 1)
    for _, count in ipairs({ 2 ^ 60, 2 ^ 62, 2 ^ 63 }) do
      assert.is_false(map:reserve_ahead(count))
    end
    map:fail(1)
    assert.is_false(map:reserve_ahead(1000))
    assert.is_true(map:has(1, 1))
    assert.is_true(map:reserve_ahead(1000))
    map:free()
  end)

  it("gives each of its elements once, also while they go", function()
    for _, count in ipairs({ 0, 1, 7, 500 }) do
      local map = base.map()
      for key = 1, count do
        map:insert(key, key * 7919 % 300) -- some hashes are shared
      end
      for _, remove in ipairs({ false, true }) do
        local keys = map:each(remove)
        table.sort(keys)
        assert.are.equal(count, #keys)
        for i = 1, count do
          assert.are.equal(i, keys[i])
        end
      end
      assert.are.equal(0, (map:shape()))
      assert.are.equal(0, map:free().bytes)
    end
  end)

  it("stays as it was when there is no memory", function()
    local map = base.map()
    local key = 0
    map:fail(30, 1e9)
    repeat
      key = key + 1
    until not map:insert(key, key)
    assert.are.equal(key - 1, (map:shape()))
    for known = 1, key - 1 do
      assert.is_true(map:has(known, known))
    end
    map:fail(0)
    for more = key, 100 do
      assert.is_true(map:insert(more, more))
    end
    assert.are.equal(100, (map:shape()))
    map:free()
  end)
end)
