-- The same seed goes the same way: twice in a process that is full of garbage, in other processes,
-- where tables lie elsewhere and strings hash otherwise, and on the other interpreter.
local SEED = 7

-- What a seed leaves of its trace, in a process of its own.
local function elsewhere(lua, folder, pattern)
  local command = ("LUA_PATH='./lua/?.lua;./lua/?/init.lua;./tests/?.lua;;' "
    .. "LUA_CPATH='./build/release/%s/?.so;;' %s tests/sim/main.lua %s %d"):format(folder, lua,
    pattern, SEED)
  local pipe = assert(io.popen(command))
  local text = pipe:read("*a")
  pipe:close()
  return assert(text:match("; trace (%d+)\n$"), text)
end

local function here(pattern)
  local _, _, trial = require("sim." .. pattern .. "_trial")(SEED)
  return ("%.0f"):format(trial.world.hash)
end

-- Moves what comes next to other addresses, and lets the collector come at other times.
local function noise()
  local kept = {}
  for i = 1, 20000 do
    kept[i % 997] = { ("x"):rep(i % 300), i }
  end
  return kept
end

for _, pattern in ipairs({ "lock", "queue", "election" }) do
  describe("a seed of the trial of " .. pattern .. " #once #slow", function()
    it("goes the same way here and elsewhere", function()
      local first = here(pattern)
      local kept = noise()
      assert.equal(first, here(pattern))
      assert.is_table(kept)
      assert.equal(first, elsewhere("lua5.4", "lua5.4", pattern))
      assert.equal(first, elsewhere("lua5.4", "lua5.4", pattern))
      assert.equal(first, elsewhere("luajit", "luajit", pattern))
    end)
  end)
end
