-- The scripts, run as a user runs them: each alone, and together in several programs.
local chroot = require("support.chroot")
local program = require("support.program")

local LINES_MAX = 59

local function lines_of(name)
  local lines = {}
  for line in assert(io.open("scripts/" .. name .. ".lua")):lines() do
    lines[#lines + 1] = line
  end
  return lines
end

local NAMES = { "basics", "lock", "queue", "barrier", "election", "app_server", "app_client",
  "tour" }

for _, name in ipairs(NAMES) do
  describe("scripts/" .. name .. ".lua", function()
    it("is short, and says first what it shows", function()
      local lines = lines_of(name)
      assert.is_true(#lines <= LINES_MAX, #lines .. " lines")
      for i = 1, 3 do
        assert.matches("^%-%-", lines[i])
      end
      assert.matches("^%-%- %u.*%.?$", lines[1])
    end)
  end)
end

describe("a script", function()
  local servers, running

  before_each(function()
    servers, running = chroot("script"), {}
  end)

  after_each(function()
    for _, one in ipairs(running) do
      one:kill("sigkill")
      one:finish()
    end
  end)

  local function start(name, ...)
    local one = program.start({ program.zklua(), "scripts/" .. name .. ".lua", ... },
      { env = { ZKLUA_SERVER = servers } })
    running[#running + 1] = one
    return one
  end

  local function finish(one)
    for i, other in ipairs(running) do
      if other == one then
        table.remove(running, i)
        break
      end
    end
    return one:finish()
  end

  -- What each prints when it is alone, in this order.
  for _, case in ipairs({
    { "basics", "0.1", says = { "created\t/demo/basics/visitor%-0000000000", "read.*version 0",
      "set\tversion 1", "watch: created  /demo/basics/a\n",
      "watch: deleted  /demo/basics/visitor" } },
    { "lock", "0.01", "2", says = { "inside, turn 1 of 2, token 0x%x+", "outside",
      "inside, turn 2 of 2", "outside" } },
    { "queue", "both", "2",
      says = { "took.*letter 1", "done", "took.*letter 2", "done", "EMPTY" } },
    { "barrier", "1", "5", says = { "waiting until 1", "all here", "done", "all done" } },
    { "barrier", "2", "0.2", says = { "waiting until 2", "TIMEOUT: 1 of 2 parties" } },
    { "election", "ann", "dynamic", "0.2", says = { "ann leads, token", "ann: term over" } },
    { "election", "ann", "static", "0.2", says = { "ann leads, token", "ann: term over" } },
    { "app_server", "10.0.0.1:80", "0.2",
      says = { "registered 10.0.0.1:80", "gone from the list" } },
    { "app_client", "0.2", says = { "no servers" } },
    { "tour", says = { "1%. Lock", "is inside", "2%. Queue", "dan  goes home with letter (%u)",
      "eve  delivers letter %1", "3%. Barrier", "hal  has come", "goes on", "4%. Election", "leads",
      "steps down", "leads", "steps down" } },
  }) do
    it(("runs alone: %s"):format(table.concat(case, " ")), function()
      local result = finish(start((table.unpack or unpack)(case)))
      assert.equal(0, result.code, result.stderr)
      assert.equal("", result.stderr)
      local at = 1
      local letter = ""
      for _, pattern in ipairs(case.says) do
        local _, last, captured = result.stdout:find((pattern:gsub("%%1", letter)), at)
        assert(last, ("not said after %d: %s\n%s"):format(at, pattern, result.stdout))
        at, letter = last + 1, captured or letter
      end
    end)
  end

  it("lock.lua lets one in at a time, and the next when one is stopped", function()
    local first = start("lock", "60", "1")
    first:says("inside")
    local second = start("lock", "60", "1")
    second:says("inside now:\t.-/%d+")
    local third = start("lock", "0.01", "1")
    third:says("waiting:\t.-/%d+")
    first:kill("sigint")
    second:says("inside, turn 1 of 1")
    finish(first)
    second:kill("sigkill") -- its session ends by expiry
    assert.equal(0, finish(third).code)
  end)

  for place, turns in pairs({ inside = "inside", ["between turns"] = "inside.-outside" }) do
    it("lock.lua ends by the signal that stops it " .. place, function()
      local one = start("lock", place == "inside" and "60" or "0", "1000")
      one:says(turns)
      one:kill("sigint")
      local result = finish(one)
      assert.equal(2, result.signal)
      assert.equal("", result.stderr)
      assert.is_nil(result.stdout:find("LOST", 1, true))
    end)
  end

  it("queue.lua gives the item of a worker that was stopped to another", function()
    local worker = start("queue", "take")
    local producer = start("queue", "put", "1")
    worker:says("took")
    worker:kill("sigint")
    assert.equal(0, finish(producer).code)
    finish(worker)
    local heir = start("queue", "take")
    heir:says("took.-done")
  end)

  it("barrier.lua waits for all its parties", function()
    local first = start("barrier", "2")
    first:says("waiting until 2 are here")
    local second = start("barrier", "2")
    for _, one in ipairs({ first, second }) do
      local result = finish(one)
      assert.equal(0, result.code)
      assert.matches("all here.*all done", result.stdout)
    end
  end)

  it("election.lua has another leader when one is stopped", function()
    local ann = start("election", "ann")
    ann:says("ann leads")
    local bob = start("election", "bob")
    bob:says("leader: ann")
    ann:kill("sigint")
    bob:says("bob leads")
    bob:says("leader: bob")
  end)

  it("app_client.lua shows who comes and goes", function()
    local client = start("app_client")
    client:says("no servers")
    local server = start("app_server", "10.0.0.1:80")
    client:says("1 servers:\n  10.0.0.1:80\t")
    server:kill("sigint")
    client:says("1 servers:.*no servers")
  end)
end)
