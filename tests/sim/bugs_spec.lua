-- Seeded bugs in Lua are found: by a row of the matrix of waits, whose own spec shows that the
-- sources as they are pass it; or within some seeds of where a search begins, and the sources as
-- they are pass the seed that finds it. Those in C need a compiler: tools/bugs.
local apply = require("sim.bugs_apply")
local bugs = require("sim.bugs")

local SEEDS = 150 -- most need few; a change of any recipe moves them a little

-- The first seed that fails with the bug, and how; nil when none does.
local function search(bug)
  return apply.under(bug, function()
    local trial = require("sim." .. bug.trial .. "_trial")
    local from = bug.from or 1
    for seed = from, from + SEEDS - 1 do
      local ok, message = apply.try(trial, seed)
      if not ok then
        return seed, message
      end
    end
  end)
end

-- How many cells fail with the bug.
local function search_matrix(bug)
  return apply.under(bug, function()
    local _, failures = require("sim.matrix").run(bug.matrix, function(_, kind)
      return kind == bug.fault
    end)
    return #failures
  end)
end

describe("a seeded bug #once #slow", function()
  it("has an old text that occurs once", function()
    for _, bug in ipairs(bugs) do
      assert.has_no.errors(function()
        apply.patched(bug)
      end)
    end
  end)

  for _, bug in ipairs(bugs) do
    if bug.matrix then
      it("is found: " .. bug.what, function()
        assert.is_true(search_matrix(bug) > 0, bug.name)
      end)
    elseif bug.trial and not apply.is_c(bug) then
      it("is found: " .. bug.what, function()
        local seed = search(bug)
        assert.is_number(seed, ("%s: not by %d seeds of %s"):format(bug.name, SEEDS, bug.trial))
        local ok, message = apply.try(require("sim." .. bug.trial .. "_trial"), seed)
        assert.is_true(ok, message)
      end)
    end
  end

  it("is refused when its text is not there, or more than once", function()
    for from, problem in pairs({
      ["no such line"] = "does not occur", ["local"] = "occurs more than once",
    }) do
      assert.error_matches(function()
        apply.patched({ name = "x", { file = "lua/zklua/own.lua", from = from, to = "" } })
      end, problem)
    end
  end)

  it("is gone when the search for it is over", function()
    local path, module = package.path, require("zklua.sim.process")
    assert.error_matches(function()
      apply.under(bugs[1], error, "on purpose")
    end, "on purpose")
    assert.equal(path, package.path)
    assert.equal(module, require("zklua.sim.process"))
  end)
end)
