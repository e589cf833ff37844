local base = require("zklua_testing").base

describe("the generator", function()
  it("is splitmix64", function()
    -- The published first outputs for seed 1234567.
    assert.are.same({ "599ed017fb08fc85", "2c73f08458540fa5", "883ebce5a3f27c77" },
      base.random(1234567, 0, 3))
  end)

  it("stays below its limit and reaches all of it", function()
    local seen = {}
    for _, number in ipairs(base.random(5, 10, 1000)) do
      assert.is_true(number >= 0 and number < 10)
      seen[number] = (seen[number] or 0) + 1
    end
    for number = 0, 9 do
      assert.is_true(seen[number] > 60)
    end
  end)

  it("gives 0 below nothing", function()
    assert.are.same({ 0, 0 }, base.random(5, -3, 2))
  end)
end)
