--- Every crash image starts and holds what was acknowledged.
---
--- ZKLUA_CRASH_IMAGES=200000 busted tests/store/crash_spec.lua makes that many,
--- a failure names its seed, and ZKLUA_CRASH_SEED begins there. A build with
--- -DZKLUA_BUG_EARLY_ACK=ON or -DZKLUA_BUG_NO_DIRECTORY_SYNC=ON must be found out.
local crash = require("store.crash")
local store = require("zklua_testing").store

local IMAGES = tonumber(os.getenv("ZKLUA_CRASH_IMAGES") or 6000)
local SEED = tonumber(os.getenv("ZKLUA_CRASH_SEED") or 1)

describe("a crash", function()
  it(store.bug and "finds the mistake that was built in" or "loses nothing and stops no start",
    function()
      local images, wrong = crash.run({ first = SEED, images = IMAGES, per_call = 3 })
      assert.is_true(images >= IMAGES)
      if store.bug then
        assert.is_true(#wrong > 0)
        return
      end
      assert.are.equal("", table.concat(wrong, "\n", 1, math.min(#wrong, 10)))
    end)
end)
