-- sim.run, as users call it.
local sim = require("zklua.sim")

describe("sim.run", function()
  it("runs a file as many processes", function()
    local ok, message, run = sim.run({ file = "scripts/lock.lua", arguments = { "0.1", "1" },
      processes = 4, faults = false })
    assert.is_true(ok, message)
    for i = 1, 4 do
      assert.matches("inside, turn 1 of 1", run:text("process-" .. i), 1, true)
    end
    assert.error_matches(function() run:text("nobody") end, "no process")
    assert.equal("", run:story())
  end)

  it("stops at the first seed that fails, names it and tells its story", function()
    local runs = 0
    local ok, message, run = sim.run({ seeds = 5, seed = 3, processes = { "ann" }, faults = false,
      main = function(zk)
        local c = assert(zk.connect())
        assert(c:create("/n", ""))
        runs = runs + 1
        assert(runs < 3, "the third of them") -- the same seed once more, with its story
      end })
    assert.is_nil(ok)
    assert.matches("^seed 5: ann: .*the third of them", message)
    assert.equal(5, run.seed)
    assert.equal(4, runs)
    assert.matches("ann +> create /n\n", run:story())
  end)

  it("fails by what the check finds", function()
    local ok, message = sim.run({ processes = 1, faults = { "cut" }, seconds = 1,
      main = function(zk)
        assert(zk.connect({ timeout = 60 }))
      end,
      check = function(c)
        return nil, tostring(#c:children("/")) .. " nodes"
      end })
    assert.is_nil(ok)
    assert.equal("seed 1: 1 nodes", message)
  end)

  for _, case in ipairs({
    { nil, "options must be a table" },
    { {}, "either file or main" },
    { { file = "a", main = print }, "either file or main" },
    { { file = 1 }, "file must be a string, not a number" },
    { { main = print, sedd = 1 }, 'unknown option "sedd"' },
  }) do
    it("refuses wrong use: " .. case[2], function()
      assert.error_matches(function() sim.run(case[1]) end, case[2])
    end)
  end

  it("says that the file is not there", function()
    assert.error_matches(function() sim.run({ file = "/none.lua" }) end, "/none.lua: No such file")
  end)
end)
