local cron = require "users.cron"
local zk = require "zklua"

describe("cron", function()
  local server, runs

  before_each(function()
    server, runs = zk.server(), {}
  end)

  after_each(function()
    server:close()
  end)

  local function machine(id)
    return assert(server:client({ id = id }))
  end

  local function until_round(last)
    return function(round)
      return round >= last
    end
  end

  -- A machine that runs the job and notes who ran which round.
  local function start(c, id, last, job)
    return zk.spawn(cron.run, c, "/report", 0.0005, function(round)
      runs[#runs + 1] = round .. " by " .. id
      return job and job(round)
    end, until_round(last))
  end

  it("runs round after round", zk.test(function()
    assert.equal(3, start(machine(), "a", 3):wait(5))
    assert.same({ "1 by a", "2 by a", "3 by a" }, runs)
  end))

  it("does nothing when all rounds have been", zk.test(function()
    assert.equal(2, start(machine(), "a", 2):wait(5))
    assert.equal(2, start(machine(), "b", 2):wait(5))
    assert.equal(2, #runs)
  end))

  it("goes on counting where another has stopped", zk.test(function()
    assert.equal(2, start(machine(), "a", 2):wait(5))
    assert.equal(4, start(machine(), "b", 4):wait(5))
    assert.same({ "1 by a", "2 by a", "3 by b", "4 by b" }, runs)
  end))

  it("runs each round on one machine", zk.test(function()
    local tasks = {}
    for i = 1, 5 do
      tasks[i] = start(machine("m" .. i), "m" .. i, 10)
    end
    for i = 1, 5 do
      assert.equal(10, tasks[i]:wait(5))
    end
    assert.equal(10, #runs)
    for i = 1, 10 do
      assert.equal(i, tonumber(runs[i]:match("^%d+")))
    end
  end))

  it("says who runs it", zk.test(function()
    local running = start(machine("east"), "east", 1000)
    repeat assert(zk.sleep(0.001)) until #runs > 2
    local leader, round = cron.status(machine(), "/report")
    assert.equal("east", leader)
    assert.is_true(round >= 2)
    running:cancel()
  end))

  it("says that nobody runs it", zk.test(function()
    local c = machine()
    assert(cron.run(c, "/report", 0, function() end, until_round(1)))
    local leader, round = cron.status(c, "/report")
    assert.is_nil(leader)
    assert.equal(1, round)
  end))

  it("moves to another machine when the leader's session expires", zk.test(function()
    local a, b = machine(), machine()
    local second
    local first = start(a, "a", 4, function(round)
      if round == 2 then
        second = start(b, "b", 4)
        server:expire(a)
        zk.sleep(0.05) -- until it hears of it
      end
    end)
    assert.equal(4, first:wait(5))
    assert.equal(4, second:wait(5))
    -- Round 2 was done, and could not be recorded: the next leader has to do it once more.
    assert.same({ "1 by a", "2 by a", "2 by b" }, { runs[1], runs[2], runs[3] })
    assert.equal("4", runs[#runs]:match("^%d+"))
  end))

  it("cannot be turned back by a former leader", zk.test(function()
    local a, b = machine(), machine()
    local first = start(a, "a", 1, function()
      server:expire(a)
      local second = zk.spawn(cron.run, b, "/report", 0, function() end, until_round(9))
      zk.shield(function()
        assert.equal(9, second:wait(5))
      end)
    end)
    assert.equal(9, first:wait(5))
    assert.equal(9, select(2, cron.status(b, "/report")))
  end))

  it("moves to another machine when the leader closes", zk.test(function()
    local a, b = machine(), machine()
    local first = start(a, "a", 1000)
    repeat assert(zk.sleep(0.001)) until #runs > 0
    local second = start(b, "b", 1)
    assert(a:close())
    assert.is_true(second:wait(5) >= 1)
    assert.equal("CLOSED", select(3, first:wait(5)))
  end))

  it("steps down for an error, and raises it", zk.test(function()
    local a, b = machine(), machine()
    local ok, message = pcall(cron.run, a, "/report", 0, function()
      error("no paper")
    end)
    assert.is_false(ok)
    assert.matches("no paper", message, 1, true)
    assert.equal(1, start(b, "b", 1):wait(5))
    assert.same({ "1 by b" }, runs)
  end))

  it("goes on leading over a broken connection", zk.test(function()
    local a = machine()
    local waiting
    local first = start(a, "a", 4, function(round)
      waiting = waiting or start(machine(), "b", 4)
      if round == 2 then
        server:cut(a)
      end
    end)
    assert.equal(4, first:wait(5))
    assert.equal(4, waiting:wait(5))
    assert.same({ "1 by a", "2 by a", "3 by a", "4 by a" }, runs)
  end))

  it("goes on leading when the server is back", zk.test(function()
    local first = start(machine(), "a", 4, function(round)
      if round == 2 then
        server:stop()
        zk.spawn(function()
          zk.sleep(0.002)
          server:start()
        end)
      end
    end)
    assert.equal(4, first:wait(5))
    assert.equal(4, #runs)
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("runs each round once, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 10 do
        local c, seen = machine(), {}
        local path = "/" .. mishap .. n
        assert(c:ensure(path .. "/rounds"))
        server[mishap](server, c, n)
        local count, message, code
        repeat
          count, message, code = cron.run(c, path, 0, function(round)
            seen[round] = (seen[round] or 0) + 1
          end, until_round(3))
        until code ~= "CONNECTIONLOSS"
        assert.equal(3, count, message)
        assert.same({ 1, 1, 1 }, seen)
        assert(c:close())
      end
    end))
  end

  it("bears a slow server", zk.test(function()
    local c = machine()
    server:delay(c, 0.0005)
    assert.equal(3, start(c, "a", 3):wait(5))
  end))

  it("waits in line, and leaves it when it is cancelled", zk.test(function()
    local a, b = machine("a"), machine("b")
    local first = start(a, "a", 1000)
    repeat assert(zk.sleep(0.001)) until #runs > 0
    local second = start(b, "b", 1000)
    zk.sleep(0.005)
    second:cancel()
    assert.equal("CANCELLED", select(3, second:wait(5)))
    assert.equal(1, #assert(a:election("/report/leader"):candidates()))
    first:cancel()
  end))

  it("refuses a job that is none", zk.test(function()
    assert.error_matches(function() cron.run(machine(), "/report", 1, "job") end, "job must be")
  end))

  it("refuses a path that is none", zk.test(function()
    assert.error_matches(function() cron.run(machine(), "report", 1, print) end, "path")
  end))
end)
