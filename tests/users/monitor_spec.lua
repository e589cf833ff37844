local monitor = require "users.monitor"
local zk = require "zklua"

describe("the monitor", function()
  local server, watching, alarms, kept

  before_each(function()
    server, alarms, kept = zk.server(), {}, {}
    watching = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local function machine(name, load, c)
    c = c or assert(server:client())
    kept[name] = assert(c:member("/machines/" .. name, tostring(load))) -- collected, it would close
    return kept[name]
  end

  local function start(options)
    local task = zk.spawn(monitor.run, watching, function(text)
      alarms[#alarms + 1] = text
    end, options)
    zk.sleep(0.001)
    return task
  end

  -- Waits for so many alarms, and a moment for one more that should not come.
  local function heard(...)
    local expected = { ... }
    zk.timeout(2, function()
      while #alarms < #expected and zk.sleep(0.0005) do end
    end)
    zk.sleep(0.001)
    assert.same(expected, alarms)
  end

  it("is quiet while all is well", zk.test(function()
    machine("a", 10)
    start()
    machine("b", 20)
    heard()
  end))

  it("tells of a machine that has too much to do", zk.test(function()
    local a = machine("a", 10)
    start()
    assert(a:set("95"))
    heard("a is at 95")
  end))

  it("tells of one that had too much to do before", zk.test(function()
    machine("a", 99)
    start()
    heard("a is at 99")
  end))

  it("tells of it once", zk.test(function()
    local a = machine("a", 10)
    start()
    for _, load in ipairs({ "95", "96", "97" }) do
      assert(a:set(load))
    end
    zk.sleep(0.001)
    assert.equal(1, #alarms)
  end))

  it("tells when it is well again", zk.test(function()
    local a = machine("a", 95)
    start()
    assert(a:set("20"))
    heard("a is at 95", "a is well again")
  end))

  it("has the limit that one likes", zk.test(function()
    machine("a", 30)
    start({ limit = 20 })
    heard("a is at 30")
  end))

  it("tells of a machine that has gone", zk.test(function()
    local a = machine("a", 10)
    start()
    assert(a:close())
    heard("a has gone")
  end))

  it("tells of a machine whose session expired, and that is back", zk.test(function()
    local c = assert(server:client())
    local a = machine("a", 10, c)
    start()
    server:expire(c)
    heard("a has gone", "a is back")
    assert(a:set("20"))
    heard("a has gone", "a is back") -- and not once more
  end))

  it("tells of nonsense", zk.test(function()
    machine("a", "hello")
    start()
    heard("a says nonsense: hello")
  end))

  it("has nothing to tell of a broken connection", zk.test(function()
    machine("a", 10)
    start()
    for _ = 1, 5 do
      server:cut(watching)
      zk.sleep(0.0005)
    end
    heard()
  end))

  it("tells what happened while it had no connection", zk.test(function()
    local a, b = machine("a", 10), machine("b", 10)
    start()
    server:delay(watching, 60)
    server:cut(watching)
    assert(a:close())
    assert(b:set("99"))
    server:delay(watching, 0)
    zk.timeout(2, function()
      while #alarms < 2 and zk.sleep(0.0005) do end
    end)
    table.sort(alarms)
    heard("a has gone", "b is at 99")
  end))

  it("tells what happened while its own session expired", zk.test(function()
    local a = machine("a", 10)
    start()
    server:expire(watching)
    assert(a:set("99"))
    heard("a is at 99")
  end))

  it("says nothing of a server's restart", zk.test(function()
    machine("a", 10)
    start()
    server:stop()
    zk.sleep(0.001)
    server:start()
    heard()
  end))

  it("watches over many", zk.test(function()
    start()
    for i = 1, 50 do
      machine("m" .. i, i == 50 and 99 or 1, watching)
    end
    heard("m50 is at 99")
  end))

  it("ends with its client", zk.test(function()
    local task = start()
    assert(watching:close())
    assert.equal("CLOSED", task:wait(5))
  end))
end)
