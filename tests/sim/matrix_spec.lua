-- The matrix of waits: every point where a pattern waits, with every fault that can come there. One
-- cell with its story: tools/sim matrix SCENARIO POINT FAULT.
local matrix = require "sim.matrix"

-- Points and cells of each scenario, so that a matrix that has lost some of them is noticed. A
-- change of a recipe changes its numbers: `tools/sim matrix` says them.
local SIZES = {
  lock = { 13, 139 },
  lock_first = { 14, 150 },
  election_dynamic_campaign = { 13, 133 },
  election_dynamic_changes = { 5, 55 },
  election_dynamic_latch = { 13, 136 },
  election_static_campaign = { 18, 183 },
  election_static_changes = { 6, 66 },
  election_static_latch = { 18, 191 },
  queue_put = { 2, 22 },
  queue = { 18, 196 },
  queue_ready = { 8, 86 },
  queue_retry = { 9, 96 },
  queue_fail = { 10, 106 },
  queue_once = { 19, 206 },
  queue_once_ready = { 9, 96 },
  barrier = { 13, 142 },
  member = { 11, 111 },
  live = { 13, 142 },
  live_each = { 10, 103 },
  live_held = { 8, 80 },
  stream = { 10, 105 },
  stream_recursive = { 10, 105 },
  stream_each = { 9, 95 },
}

local CHAINS = 100 -- cells at least

local function told(failures)
  local lines = {}
  for _, failure in ipairs(failures) do
    lines[#lines + 1] = matrix.told(failure)
  end
  return table.concat(lines, "\n")
end

describe("the matrix of waits #slow", function()
  for _, pattern in ipairs(matrix.PATTERNS) do
    for _, name in ipairs(matrix.scenarios(pattern)) do
      it("finds nothing wrong with " .. name, function()
        local cells, failures, points = matrix.run(name)
        assert.equal("", told(failures))
        assert.same(SIZES[name], { points, cells })
      end)
    end
  end

  -- With these seeds there is a new session before what waited asks again.
  for _, name in ipairs({ "lock_first", "election_static_latch" }) do
    it("finds nothing done on a later session by " .. name, function()
      local cells, failures = matrix.run_chains(name, 10, 11)
      assert.equal("", told(failures))
      assert.is_true(cells >= CHAINS)
    end)
  end

  it("knows all of its scenarios", function()
    local count = 0
    for _ in pairs(SIZES) do
      count = count + 1
    end
    assert.equal(#matrix.scenarios(), count)
  end)
end)
