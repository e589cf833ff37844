local rollout = require "users.rollout"
local zk = require "zklua"

describe("a rollout", function()
  local server, log

  before_each(function()
    server, log = zk.server(), {}
  end)

  after_each(function()
    server:close()
  end)

  local function host()
    return assert(server:client())
  end

  local function say(what)
    return function()
      log[#log + 1] = what
      zk.pause()
    end
  end

  local STEPS = { prepare = say("prepare"), switch = say("switch") }

  local function start(hosts, c, steps, wait)
    return zk.spawn(rollout.run, c or host(), "v2", hosts, steps or STEPS, { wait = wait or 5 })
  end

  local function all(tasks)
    for _, task in ipairs(tasks) do
      assert(task:wait(5))
    end
  end

  it("switches one host", zk.test(function()
    all({ start(1) })
    assert.same({ "prepare", "switch" }, log)
  end))

  it("switches nobody before all are prepared", zk.test(function()
    all({ start(3), start(3), start(3) })
    assert.same({ "prepare", "prepare", "prepare", "switch", "switch", "switch" }, log)
  end))

  it("waits for the last", zk.test(function()
    local tasks = { start(3), start(3) }
    zk.sleep(0.005)
    assert.same({ "prepare", "prepare" }, log)
    tasks[3] = start(3)
    all(tasks)
    assert.equal(6, #log)
  end))

  it("lets nobody back to work before all have switched", zk.test(function()
    local slow = { prepare = STEPS.prepare, switch = function()
      zk.sleep(0.005)
      log[#log + 1] = "slow switch"
    end }
    local quick = start(2)
    local tasks = { start(2, nil, slow) }
    assert(quick:wait(5))
    assert.equal("slow switch", log[#log])
    all(tasks)
  end))

  it("gives up when somebody does not come", zk.test(function()
    local ok, message, code = start(2, nil, nil, 0.005):wait(5)
    assert.is_nil(ok)
    assert.equal("TIMEOUT", code)
    assert.matches("1 of 2", message, 1, true)
    assert.same({ "prepare" }, log)
  end))

  it("does not count who has given up", zk.test(function()
    start(2, nil, nil, 0.005):wait(5)
    local ok = start(2, nil, nil, 0.005):wait(5)
    assert.is_nil(ok)
    all({ start(2), start(2) })
  end))

  it("does not count who was stopped", zk.test(function()
    local stopped = start(2)
    zk.sleep(0.005)
    stopped:cancel()
    assert.equal("CANCELLED", select(3, stopped:wait(5)))
    assert.is_nil((start(2, nil, nil, 0.005):wait(5)))
    all({ start(2), start(2) })
  end))

  it("does not count who has died", zk.test(function()
    local c = host()
    local dead = start(2, c)
    zk.sleep(0.005)
    server:expire(c)
    assert.equal("SESSIONEXPIRED", select(3, dead:wait(5)))
    assert.is_nil((start(2, nil, nil, 0.005):wait(5)))
  end))

  it("does not wait for who has died while switching", zk.test(function()
    local c = host()
    local dead = start(2, c, { prepare = STEPS.prepare, switch = function()
      server:expire(c)
      zk.sleep(0.005)
    end })
    assert(start(2):wait(5))
    dead:wait(5)
  end))

  it("does not begin on a host that cannot prepare", zk.test(function()
    local ok, message = pcall(rollout.run, host(), "v2", 2, {
      prepare = function() error("disk full") end,
    })
    assert.is_false(ok)
    assert.matches("disk full", message, 1, true)
    assert.same({}, assert(host():ephemerals()))
    assert.is_nil((start(2, nil, nil, 0.005):wait(5)))
  end))

  it("ends on all hosts though one cannot switch", zk.test(function()
    local bad = start(2, nil, { prepare = STEPS.prepare, switch = function()
      error("no such file")
    end })
    assert(start(2):wait(5))
    local ok, message = pcall(bad.wait, bad, 5)
    assert.is_false(ok)
    assert.matches("no such file", message, 1, true)
  end))

  it("keeps releases apart", zk.test(function()
    local other = zk.spawn(rollout.run, host(), "v3", 2, STEPS, { wait = 0.005 })
    assert.is_nil((start(2, nil, nil, 0.005):wait(5)))
    assert.is_nil((other:wait(5)))
  end))

  it("can be done again", zk.test(function()
    for _ = 1, 3 do
      all({ start(2), start(2) })
    end
    assert.equal(12, #log)
  end))

  it("goes on over broken connections", zk.test(function()
    local a, b = host(), host()
    local cutting = { prepare = say("prepare"), switch = function()
      server:cut(a)
      server:cut(b)
      log[#log + 1] = "switch"
    end }
    local first = start(2, a, cutting)
    zk.sleep(0.002)
    server:cut(a)
    all({ first, start(2, b, cutting) })
    assert.same({ "prepare", "prepare", "switch", "switch" }, log)
  end))

  it("goes on when the server is back", zk.test(function()
    local tasks = { start(2) }
    zk.sleep(0.002)
    server:stop()
    tasks[2] = zk.spawn(function()
      server:start()
      return start(2):wait()
    end)
    all(tasks)
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("comes to its end, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 8 do
        log = {}
        local c = host()
        server[mishap](server, c, n)
        all({ start(2, c), start(2) })
        assert.same({ "prepare", "prepare", "switch", "switch" }, log)
      end
    end))
  end

  it("leaves nothing behind", zk.test(function()
    all({ start(3), start(3), start(3) })
    local left = host():children("/rollout/v2") or {}
    assert.same({}, left)
  end))

  for _, parties in ipairs({ 0, 1.5, "two" }) do
    it(("refuses %s hosts"):format(parties), zk.test(function()
      assert.error_matches(function()
        rollout.run(host(), "v2", parties, STEPS)
      end, "parties")
    end))
  end
end)
