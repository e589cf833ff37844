local settings = require "users.settings"
local zk = require "zklua"

describe("settings", function()
  local server, c

  before_each(function()
    server = zk.server()
    c = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local DEFAULTS = { rate = 10, color = "blue" }

  local function open()
    return assert(settings.open(c, "/app/settings", DEFAULTS))
  end

  local function save(changes)
    assert(settings.save(c, "/app/settings", changes))
  end

  it("are the defaults where nothing was saved", zk.test(function()
    local now = open()
    assert.equal(10, now:get("rate"))
    assert.equal("blue", now:get("color"))
  end))

  it("are what was saved", zk.test(function()
    save({ rate = 20, color = "deep red" })
    local now = open()
    assert.equal(20, now:get("rate"))
    assert.equal("deep red", now:get("color"))
  end))

  it("are defaults in what was not saved", zk.test(function()
    save({ rate = 20 })
    assert.equal("blue", open():get("color"))
  end))

  it("follow a change", zk.test(function()
    local now = open()
    save({ rate = 30 })
    assert(now:wait("rate", 30, 5))
    assert.equal(30, now:get("rate"))
  end))

  it("follow what another program saves", zk.test(function()
    local now = open()
    assert(settings.save(assert(server:client()), "/app/settings", { color = "green" }))
    assert(now:wait("color", "green", 5))
  end))

  it("fall back when they are deleted", zk.test(function()
    save({ rate = 20 })
    local now = open()
    assert(c:delete("/app/settings"))
    assert(now:wait("rate", 10, 5))
  end))

  it("stay as they were when somebody writes nonsense", zk.test(function()
    save({ rate = 20 })
    local now = open()
    assert.equal(20, now:get("rate"))
    assert(c:set("/app/settings", "rate 30"))
    local seen = now:wait("rate", 30, 0.002)
    assert.is_nil(seen)
    assert.equal(20, now:get("rate"))
    assert.equal("rate 30", now.problem)
  end))

  it("recover from nonsense", zk.test(function()
    local now = open()
    assert(c:create("/app/settings", "nonsense", { parents = true }))
    assert(c:set("/app/settings", "rate = 5"))
    assert(now:wait("rate", 5, 5))
    assert.is_nil(now.problem)
  end))

  it("keep the others when one is saved", zk.test(function()
    save({ rate = 20 })
    save({ color = "red" })
    local now = open()
    assert.equal(20, now:get("rate"))
    assert.equal("red", now:get("color"))
  end))

  it("keep all that many programs save at once", zk.test(function()
    local names = {}
    zk.group(function(group)
      for i = 1, 20 do
        names["n" .. i] = 0
        group:spawn(function()
          assert(settings.save(assert(server:client()), "/many", { ["n" .. i] = i }))
        end)
      end
    end)
    local now = assert(settings.open(c, "/many", names))
    for i = 1, 20 do
      assert.equal(i, now:get("n" .. i))
    end
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("are saved, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 8 do
        server[mishap](server, c, n)
        assert(settings.save(c, "/s" .. n, { rate = n }))
        assert(settings.save(c, "/s" .. n, { color = "red" }))
        assert.equal("color = red\nrate = " .. n, (assert(c:get("/s" .. n))))
      end
    end))
  end

  it("are readable and known to be stale while the server is away", zk.test(function()
    save({ rate = 20 })
    local now = open()
    assert.is_false(now:stale())
    server:stop()
    zk.sleep(0.002)
    assert.is_true(now:stale())
    assert.equal(20, now:get("rate"))
  end))

  it("are fresh again when the server is back", zk.test(function()
    local now = open()
    server:stop()
    zk.sleep(0.001)
    server:start()
    save({ rate = 40 })
    assert(now:wait("rate", 40, 5))
    assert.is_false(now:stale())
  end))

  it("miss no change over a broken connection", zk.test(function()
    local now, other = open(), assert(server:client())
    for rate = 1, 5 do
      server:cut(c)
      assert(settings.save(other, "/app/settings", { rate = rate }))
      assert(now:wait("rate", rate, 5))
    end
  end))

  it("miss no change over an expired session", zk.test(function()
    local now, other = open(), assert(server:client())
    server:expire(c)
    assert(settings.save(other, "/app/settings", { rate = 7 }))
    assert(now:wait("rate", 7, 5))
  end))

  it("come late from a slow server, and come", zk.test(function()
    local now = open()
    server:delay(c, 0.001)
    save({ rate = 8 })
    assert(now:wait("rate", 8, 5))
  end))

  it("are waited for in vain", zk.test(function()
    local ok, _, code = open():wait("rate", 99, 0.002)
    assert.is_nil(ok)
    assert.equal("TIMEOUT", code)
  end))

  it("are waited for no longer than they are followed", zk.test(function()
    local now = open()
    local waiting = zk.spawn(now.wait, now, "rate", 99)
    zk.pause()
    now:close()
    assert.equal("CLOSED", select(3, waiting:wait(5)))
    assert.equal(10, now:get("rate"))
  end))

  it("cannot be saved by who may not", zk.test(function()
    assert(c:create("/read-only", "rate = 1", { acl = "read" }))
    assert.equal("NOAUTH", select(3, settings.save(c, "/read-only", { rate = 2 })))
    assert.equal(1, assert(settings.open(c, "/read-only", DEFAULTS)):get("rate"))
  end))

  for _, case in ipairs({
    { "a name that is none", function() open():get("speed") end, "no such setting" },
    { "no defaults", function() settings.open(c, "/s") end, "defaults" },
    { "a path that is none", function() settings.open(c, "s", {}) end, "path" },
  }) do
    it("refuse " .. case[1], zk.test(function()
      assert.error_matches(case[2], case[3])
    end))
  end
end)
