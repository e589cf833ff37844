local timers = require("zklua.scheduler.timers")

describe("the heap of deadlines", function()
  local function drain(heap)
    local out = {}
    while timers.first(heap) do
      local first = timers.first(heap)
      out[#out + 1] = first.name
      timers.remove(heap, first)
    end
    return out
  end

  it("gives the earliest first, equal ones in the order they came", function()
    local heap = timers.new()
    for name, deadline in ipairs({ 5, 1, 3, 1, 4, 1 }) do
      timers.insert(heap, { name = name }, deadline)
    end
    assert.same({ 2, 4, 6, 3, 5, 1 }, drain(heap))
    assert.equal(0, heap.size)
  end)

  it("lets any object go, and holds what is left in order", function()
    for victim = 1, 40 do
      local heap, objects = timers.new(), {}
      for i = 1, 40 do
        objects[i] = { name = i, due = (i * 17) % 41 }
        timers.insert(heap, objects[i], objects[i].due)
      end
      timers.remove(heap, objects[victim])
      assert.is_nil(objects[victim].index)
      local out, last = drain(heap), -1
      assert.equal(39, #out)
      for _, name in ipairs(out) do
        assert.is_true(objects[name].due > last)
        assert.not_equal(victim, name)
        last = objects[name].due
      end
    end
  end)
end)
