-- Programs that stand still, by seeds: see the trial.
local trial = require("sim.standstill_trial")

local SEEDS = tonumber(os.getenv("ZKLUA_SEEDS")) or 40

describe("a program that stands still", function()
  it(("loses nothing before its time, through %d seeds"):format(SEEDS), function()
    for seed = 1, SEEDS do
      local ok, message = trial(seed)
      assert.is_true(ok, ("%s: tools/sim standstill %d"):format(tostring(message), seed))
    end
  end)
end)
