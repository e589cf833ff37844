-- The judge must find what is wrong: logs that break a promise, and some that keep it.
local judge = require("interop.judge")

-- "name event a" per entry; each comes a second after the one before.
local function events(...)
  local list = {}
  for i, line in ipairs({ ... }) do
    local name, event, a = line:match("^(%S+) (%S+) ?(%S*)$")
    list[i] = { at = i, name = name, event = event, a = a, b = "" }
  end
  return list
end

describe("the judge of workers' logs", function()
  it("passes holders that follow each other", function()
    assert.equal(3, judge.holders(events("x begin 0x1", "x end 0x1", "y begin 0x2", "y killed",
      "x begin 0x3", "x end 0x3")))
  end)

  for name, log in pairs({
    ["two holders at once"] = events("x begin 0x1", "y begin 0x2"),
    ["a token that does not grow"] = events("x begin 0x2", "x end 0x2", "y begin 0x2"),
    ["an end of somebody else"] = events("x begin 0x1", "y end 0x1"),
    ["a holder beside a killed bystander"] = events("x begin 0x1", "y killed", "z begin 0x2"),
  }) do
    it("finds " .. name, function()
      assert.has_error(function() judge.holders(log) end)
    end)
  end

  it("wants each sure count in the counter, and each unsure one at most once", function()
    local log = events("x counted 1", "y unsure 2", "x counted 3")
    judge.counted(log, "2")
    judge.counted(log, "3")
    assert.has_error(function() judge.counted(log, "1") end)
    assert.has_error(function() judge.counted(log, "4") end)
  end)

  it("passes items that were taken, unsure ones or not", function()
    assert.equal(1, judge.items(events("p put a", "p unsure b", "c took a", "c done a"), true))
    judge.items(events("p put a", "c took a", "c took a", "c done a"), false)
  end)

  for name, case in pairs({
    ["a lost item"] = { log = events("p put a") },
    ["an item from nowhere"] = { log = events("c took a") },
    ["an item taken twice"] = { log = events("p put a", "c took a", "d took a"), once = true },
    ["an item done twice"] = { log = events("p put a", "c took a", "c done a", "d done a") },
  }) do
    it("finds " .. name, function()
      assert.has_error(function() judge.items(case.log, case.once) end)
    end)
  end

  it("passes a round that all arrive at before one is inside", function()
    assert.equal(1, judge.rounds(events("x arrive 1", "y arrive 1", "x inside 1", "y inside 1",
      "x outside 1", "y outside 1"), 2))
  end)

  for name, log in pairs({
    ["one who is inside too early"] = events("x arrive 1", "x inside 1", "y arrive 1",
      "y inside 1", "x outside 1", "y outside 1"),
    ["one who is outside too early"] = events("x arrive 1", "y arrive 1", "x inside 1",
      "x outside 1", "y inside 1", "y outside 1"),
    ["one who never came out"] = events("x arrive 1", "y arrive 1", "x inside 1", "y inside 1",
      "x outside 1"),
  }) do
    it("finds " .. name, function()
      assert.has_error(function() judge.rounds(log, 2) end)
    end)
  end
end)
