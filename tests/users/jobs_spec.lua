local jobs = require "users.jobs"
local zk = require "zklua"

describe("the nightly job", function()
  local server

  before_each(function()
    server = zk.server()
  end)

  after_each(function()
    server:close()
  end)

  local function machine(id)
    return assert(server:client({ id = id }))
  end

  local BILLS = { "ann", "bob", "eve" }

  local function bill(item)
    return "billed " .. item
  end

  it("works through its items", zk.test(function()
    local c = machine()
    assert.equal(3, jobs.run(c, "bills", BILLS, bill))
    for _, item in ipairs(BILLS) do
      assert.equal("billed " .. item, (assert(jobs.result(c, "bills", item))))
    end
  end))

  it("keeps to the order of its items", zk.test(function()
    local seen = {}
    assert(jobs.run(machine(), "bills", BILLS, function(item)
      seen[#seen + 1] = item
    end))
    assert.same(BILLS, seen)
  end))

  it("does nothing twice", zk.test(function()
    local c = machine()
    assert.equal(3, jobs.run(c, "bills", BILLS, bill))
    assert.equal(0, jobs.run(c, "bills", BILLS, function() error("again") end))
  end))

  it("does what is new", zk.test(function()
    local c = machine()
    assert.equal(2, jobs.run(c, "bills", { "ann", "bob" }, bill))
    assert.equal(1, jobs.run(c, "bills", BILLS, bill))
  end))

  it("is content with nothing to do", zk.test(function()
    assert.equal(0, jobs.run(machine(), "bills", {}, bill))
  end))

  it("has no results of other jobs", zk.test(function()
    local c = machine()
    assert.equal(1, jobs.run(c, "bills", { "ann" }, bill))
    assert.equal(1, jobs.run(c, "letters", { "ann" }, bill))
  end))

  it("says that a result is missing", zk.test(function()
    assert.equal("NONODE", select(3, jobs.result(machine(), "bills", "ann")))
  end))

  it("gives way to the machine that is at it, and names it", zk.test(function()
    local east, west = machine("east"), machine("west")
    assert(jobs.run(east, "bills", { "ann" }, function()
      local none, message, code = jobs.run(west, "bills", BILLS, bill, { wait = 0 })
      assert.is_nil(none)
      assert.equal("BUSY", code)
      assert.matches("east", message, 1, true)
    end))
  end))

  it("waits for the machine that is at it, and finds its results", zk.test(function()
    local east, west = machine(), machine()
    local second
    assert(jobs.run(east, "bills", BILLS, function(item)
      second = second or zk.spawn(jobs.run, west, "bills", BILLS, function() error("again") end)
      zk.pause()
      return item
    end))
    assert.equal(0, second:wait(5))
  end))

  it("does each item once, however many machines there are", zk.test(function()
    local times, sum = {}, 0
    zk.group(function(group)
      for i = 1, 8 do
        group:spawn(function()
          local c = machine("machine " .. i)
          local count = assert(jobs.run(c, "bills", BILLS, function(item)
            times[item] = (times[item] or 0) + 1
            zk.pause()
          end))
          sum = sum + count
        end)
      end
    end)
    assert.same({ ann = 1, bob = 1, eve = 1 }, times)
    assert.equal(3, sum)
  end))

  it("keeps what was done before an error, and lets another go on", zk.test(function()
    local ok, message = pcall(jobs.run, machine(), "bills", BILLS, function(item)
      if item == "bob" then
        error("bob has moved")
      end
    end)
    assert.is_false(ok)
    assert.matches("bob has moved", message, 1, true)
    assert.equal(2, jobs.run(machine(), "bills", BILLS, bill, { wait = 1 }))
  end))

  it("stops when its session expires, and another machine takes over", zk.test(function()
    local east, west = machine(), machine()
    local second
    local count, _, code = jobs.run(east, "bills", BILLS, function(item, held)
      if item == "bob" then
        second = zk.spawn(jobs.run, west, "bills", BILLS, function(late)
          return "by west: " .. late
        end)
        server:expire(east)
        held:sleep(60)
      end
      return "by east: " .. item
    end)
    assert.is_nil(count)
    assert.equal("LOST", code)
    assert.equal(2, second:wait(5))
    assert.equal("by east: ann", (jobs.result(west, "bills", "ann")))
    assert.equal("by west: bob", (jobs.result(west, "bills", "bob")))
    assert.equal("by west: eve", (jobs.result(west, "bills", "eve")))
  end))

  it("does not overwrite with a late hand what another has done", zk.test(function()
    local east, west = machine(), machine()
    local begun = zk.event()
    local late = zk.spawn(jobs.run, east, "bills", { "ann" }, function(_, held)
      begun:set()
      held:sleep(60)
      return "by east"
    end)
    assert.is_true(begun:wait(5))
    server:expire(east)
    assert.equal(1, jobs.run(west, "bills", { "ann" }, function()
      return "by west"
    end))
    assert.equal("LOST", select(3, late:wait(5)))
    assert.equal("by west", (jobs.result(west, "bills", "ann")))
  end))

  it("goes on over a broken connection", zk.test(function()
    local c = machine()
    assert.equal(3, jobs.run(c, "bills", BILLS, function(item)
      server:cut(c)
      return item
    end))
  end))

  it("goes on when the server is back", zk.test(function()
    local c = machine()
    assert.equal(3, jobs.run(c, "bills", BILLS, function(item)
      if item == "bob" then
        server:stop()
        zk.spawn(function()
          zk.sleep(0.002)
          server:start()
        end)
      end
      return item
    end))
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("does each item once, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 20 do
        local c, times = machine(), {}
        local name = mishap .. n
        server[mishap](server, c, n)
        local count, message, code
        repeat -- as cron starts it again
          count, message, code = jobs.run(c, name, BILLS, function(item)
            times[item] = (times[item] or 0) + 1
          end)
        until code ~= "CONNECTIONLOSS"
        assert(count, message)
        assert.same({ ann = 1, bob = 1, eve = 1 }, times)
        assert(c:close())
      end
    end))
  end

  it("bears a slow server", zk.test(function()
    local c = machine()
    server:delay(c, 0.0005)
    assert.equal(3, jobs.run(c, "bills", BILLS, bill))
  end))

  it("leaves nobody in line", zk.test(function()
    local c = machine()
    assert(jobs.run(c, "bills", BILLS, bill))
    assert.same({}, assert(c:lock("/jobs/bills/lock"):contenders()))
    assert.same({}, assert(c:ephemerals()))
  end))

  it("ends with its task, and lets another go on", zk.test(function()
    local c = machine()
    local running = zk.spawn(jobs.run, c, "bills", BILLS, function()
      return tostring(zk.sleep(60))
    end)
    zk.sleep(0.002)
    running:cancel()
    assert.equal("CANCELLED", select(3, running:wait(5)))
    assert.equal(3, jobs.run(machine(), "bills", BILLS, bill, { wait = 1 }))
  end))

  for _, case in ipairs({
    { "no list", function(c) jobs.run(c, "bills", "ann", bill) end, "items must be a list" },
    { "an item that is no name", function(c) jobs.run(c, "bills", { "a//b" }, bill) end, "path" },
    { "a job without a name", function(c) jobs.run(c, "", BILLS, bill) end, "path" },
    { "an option that is none", function(c) jobs.run(c, "b", BILLS, bill, { patience = 1 }) end,
      "patience" },
  }) do
    it("refuses " .. case[1], zk.test(function()
      local c = machine()
      assert.error_matches(function() case[2](c) end, case[3])
      assert.same({}, assert(c:ephemerals()))
    end))
  end
end)
