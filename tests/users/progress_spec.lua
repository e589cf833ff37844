local progress = require "users.progress"
local zk = require "zklua"

describe("progress", function()
  local server, c, kept

  before_each(function()
    server, kept = zk.server(), {}
    c = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local function worker(name, total, own)
    local report = assert(progress.report(own or assert(server:client()), "copy", name, total))
    kept[#kept + 1] = report -- collected, it would close
    return report
  end

  local function sum()
    return { progress.sum(c, "copy") }
  end

  -- Follows in a task until so much is done; what was shown.
  local function follow(until_done, until_total)
    local shown = {}
    local task = zk.spawn(progress.follow, c, "copy", function(done, total)
      shown[#shown + 1] = done .. "/" .. total
      return done == until_done and total == (until_total or total)
    end)
    zk.sleep(0.001)
    return task, shown
  end

  it("is nothing of nothing without workers", zk.test(function()
    assert.same({ 0, 0 }, sum())
  end))

  it("begins with nothing done", zk.test(function()
    worker("a", 10)
    assert.same({ 0, 10 }, sum())
  end))

  it("adds up what workers report", zk.test(function()
    assert(worker("a", 10):set(3))
    assert(worker("b", 20):set(4))
    assert.same({ 7, 30 }, sum())
  end))

  it("is that of the last report", zk.test(function()
    local a = worker("a", 10)
    for done = 1, 10 do
      assert(a:set(done))
    end
    assert.same({ 10, 10 }, sum())
  end))

  it("forgets a worker that has ended", zk.test(function()
    local a = worker("a", 10)
    worker("b", 5)
    assert(a:close())
    assert.same({ 0, 5 }, sum())
  end))

  it("can be followed", zk.test(function()
    local a = worker("a", 2)
    local following, shown = follow(2)
    assert(a:set(1))
    assert(a:set(2))
    assert.is_true(following:wait(5))
    assert.equal("0/2", shown[1])
    assert.equal("2/2", shown[#shown])
  end))

  it("can be followed before anybody works", zk.test(function()
    local following, shown = follow(1)
    assert(worker("a", 1):set(1))
    assert.is_true(following:wait(5))
    assert.equal("0/0", shown[1])
  end))

  it("is followed no further than one likes", zk.test(function()
    assert(worker("a", 1):set(1))
    assert.is_true(follow(1):wait(5))
  end))

  it("is followed over a worker's expiry, which keeps its report", zk.test(function()
    local own = assert(server:client())
    local a = worker("a", 3, own)
    assert(a:set(2))
    local following, shown = follow(3)
    server:expire(own)
    repeat assert(zk.sleep(0.001)) until shown[#shown] == "2/3" and #shown > 1
    assert(a:set(3))
    assert.is_true(following:wait(5))
    assert.equal("2/3", shown[1])
  end))

  it("is followed over a broken connection", zk.test(function()
    local a = worker("a", 5)
    local following = follow(5)
    for done = 1, 5 do
      server:cut(c)
      assert(a:set(done))
    end
    assert.is_true(following:wait(5))
  end))

  it("is followed over an expiry of one's own", zk.test(function()
    local a = worker("a", 1)
    local following = follow(1)
    server:expire(c)
    assert(a:set(1))
    assert.is_true(following:wait(5))
  end))

  it("is followed over a restart", zk.test(function()
    local a = worker("a", 1)
    local following = follow(1)
    server:stop()
    zk.sleep(0.001)
    server:start()
    assert(a:set(1))
    assert.is_true(following:wait(5))
  end))

  it("is followed no longer than the client lives", zk.test(function()
    local following = follow(1)
    assert(c:close())
    assert.equal("CLOSED", select(3, following:wait(5)))
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("is reported, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 6 do
        local own = assert(server:client())
        server[mishap](server, own, n)
        assert(worker("a", 9, own):set(n))
        assert.same({ n, 9 }, sum())
        assert(own:close())
      end
    end))
  end

  it("refuses half a piece, and more than all", zk.test(function()
    assert.error_matches(function() worker("a", 1.5) end, "total must be whole")
    assert.error_matches(function() worker("a", 1):set(2) end, "more than there is")
  end))
end)
