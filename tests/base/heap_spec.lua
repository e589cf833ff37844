local base = require("zklua_testing").base
local codec = require("wire.codec")

describe("a heap", function()
  it("gives the earliest first, whatever is put in and taken out between", function()
    for seed = 1, 20 do
      local random, heap = codec.random(seed), base.heap()
      local model = {}
      for _ = 1, 1500 do
        local place = random.below(200) + 1
        if model[place] then
          heap:remove(place)
          model[place] = nil
        else
          model[place] = random.below(1000)
          assert.is_true(heap:insert(place, model[place]))
        end
        local least
        for _, deadline in pairs(model) do
          least = math.min(least or deadline, deadline)
        end
        local first, deadline = heap:first()
        assert.are.equal(least, deadline)
        assert.are.equal(least, first and model[first])
      end
      assert.are.equal(0, heap:free().bytes)
    end
  end)

  it("ignores what is not in it", function()
    local heap = base.heap()
    heap:remove(1)
    assert.is_nil(heap:first())
    heap:insert(1, 5)
    heap:remove(1)
    heap:remove(1)
    assert.is_nil(heap:first())
    heap:free()
  end)

  it("stays as it was when there is no memory", function()
    local heap = base.heap()
    heap:fail(2, 1e9)
    local count = 0
    while heap:insert(count + 1, 1000 - count) do
      count = count + 1
    end
    assert.are.equal(64, count)
    assert.are.equal(64, (heap:first()))
    heap:free()
  end)
end)
