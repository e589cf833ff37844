-- Locks against a real server: what is promised, and each way to lose it.
local company = require("support.company")

describe("a lock", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
  end)

  after_each(function()
    us:finish()
  end)

  it("is Curator's node, with who holds it as its data", function()
    local held = assert(us:client({ id = "ann" }):lock("/l"):acquire())
    local names = us:children("/l")
    assert.equal(1, #names)
    assert.matches("^_c_%x+%-%x+%-%x+%-%x+%-%x+%-lock%-%d+$", names[1])
    assert.equal(3 + 36, (names[1]:find("-lock-", 1, true)) - 1)
    local data, stat = assert(us.observer:get("/l/" .. names[1]))
    assert.equal("ann", data)
    assert.equal(stat.czxid, held.token)
    assert.equal(zk.format_zxid(stat.czxid), held.token_text)
  end)

  it("makes its parents as containers, the chroot included", function()
    assert(us.observer:delete("/", { recursive = true }))
    local c = us:client()
    assert(assert(c:lock("/deep/er/lock"):acquire()):release())
    local lock = assert(us.observer:exists("/deep/er/lock"))
    assert.equal(0, lock.children_count)
    assert.is_nil(lock.ephemeral_owner)
  end)

  it("says who holds it and since when", function()
    local held = assert(us:client({ id = "ann" }):lock("/l"):acquire())
    local bob = us:client({ id = "bob" }):lock("/l")
    for _, wait in ipairs({ 0, 0.0001 }) do -- less than the questions take
      local nothing, why, what = bob:acquire({ wait = wait })
      assert.same({ n = 2, nil, "BUSY" }, { n = 2, nothing, what })
      assert.matches("BUSY: lock /l is ", why, 1, true)
      local free = assert(us:client():lock("/free"):acquire({ wait = wait }))
      assert(free:release())
    end
    local none, message, code = bob:acquire({ wait = 0.05 })
    assert.is_nil(none)
    assert.equal("BUSY", code)
    assert.matches("lock /l is held by ann since %d+%-%d+%-%d+T%d+:%d+:%d+Z", message)
    local busy, why, what = bob:try()
    assert.is_false(busy)
    assert.equal("BUSY", what)
    assert.matches("ann", why, 1, true)
    us:has_children("/l", 1)

    local contenders = assert(bob:contenders())
    assert.equal(1, #contenders)
    assert.equal("ann", contenders[1].id)
    assert.equal(held.token, contenders[1].token)
    assert(held:release())
    assert.same({}, assert(bob:contenders()))
    assert.same({}, assert(us:client():lock("/never"):contenders()))
  end)

  it("keeps its place when it waits without a limit over a lost connection", function()
    local held = assert(us:client():lock("/l"):acquire())
    local c, proxy = us:proxied()
    local waiter = zk.spawn(function() return c:lock("/l"):acquire() end)
    us:has_children("/l", 2)
    proxy:cut()
    us:eventually(function() return proxy.accepted == 2 end)
    assert(held:release())
    assert.is_true(assert(waiter:wait(10)):valid())
  end)

  it("comes to the next when a holder's session ends", function()
    local a, b = us:client(), us:client()
    local held = assert(a:lock("/l"):acquire())
    local waiter = zk.spawn(function() return b:lock("/l"):acquire() end)
    us:has_children("/l", 2)
    us:expire(a)
    local next_held = assert(waiter:wait(10))
    assert.is_true(next_held.token > held.token)
    assert.is_true(held.lost:wait(10))
    assert.is_false(held:valid())
    assert.is_false(held:sleep(10))
  end)

  it("is released in the end when the connection breaks at that moment", function()
    for _, what in ipairs({ "lose_reply", "lose_request" }) do
      local c, proxy = us:proxied()
      local held = assert(c:lock("/l"):acquire())
      proxy[what](proxy, "delete")
      assert.is_true(held:release())
      assert.is_true(held:release()) -- once more is no mistake
      us:has_children("/l", 0)
    end
  end)

  it("is released in the end when there is no connection", function()
    local c, proxy = us:proxied()
    local held = assert(c:lock("/l"):acquire())
    proxy:refuse()
    proxy:cut()
    us:eventually(function() return held.doubt end)
    local begun = zk.now()
    assert.is_true(held:release())
    assert.is_true(zk.now() - begun < 0.5)
    proxy:refuse(false)
    us:has_children("/l", 0)
    assert.not_equal("expired", c:state())
  end)

  it("is released by a task that was cancelled", function()
    local c = us:client()
    local inside = zk.event()
    local task = zk.spawn(function()
      return c:lock("/l"):with(function()
        inside:set()
        return select(2, zk.sleep(60))
      end)
    end)
    assert(inside:wait(10))
    task:cancel()
    local ok, message = task:wait(10)
    assert.is_true(ok) -- it was ours to the end
    assert.matches("CANCELLED", message, 1, true)
    us:has_children("/l", 0)
  end)

  it("passes on a failure of the function after the release", function()
    local c = us:client()
    local failure = { "any value" }
    local ok, raised = pcall(function()
      c:lock("/l"):with(function() error(failure) end)
    end)
    assert.is_false(ok)
    assert.equal(failure, raised)
    assert.same({}, us:children("/l"))
  end)

  it("is LOST whatever the function returns when the session goes", function()
    local c = us:client()
    local inside
    zk.spawn(function()
      us:eventually(function() return #us:children("/l") == 1 end)
      us:expire(c)
    end)
    local ok, message, code = c:lock("/l"):with(function()
      inside = { zk.sleep(20) }
      return "all is well"
    end)
    assert.is_nil(ok)
    assert.equal("LOST", code)
    assert.matches("lock /l", message, 1, true)
    assert.equal("LOST", inside[3])
    assert(c:sync()) -- waits reach outside again, on a new session
  end)

  it("is lost when somebody deletes its node", function()
    local held = assert(us:client():lock("/l"):acquire())
    assert(us.observer:delete("/l/" .. us:children("/l")[1]))
    assert.is_true(held.lost:wait(10))
    assert.is_false(held:valid())
    assert.is_true(held:release())
  end)

  it("is lost by our own clock when nobody answers", function()
    local c, proxy = us:proxied({ session_timeout = 1 })
    local held = assert(c:lock("/l"):acquire())
    assert.is_true(held:valid({ strict = true }))
    local begun = zk.now()
    proxy:refuse()
    proxy:pause() -- open, but silent
    us:eventually(function() return not held:valid() end)
    assert.is_true(zk.now() - begun <= 1.3)
    assert.is_true(held.lost:wait(10))
    local stat, _, code = held:set("/", "never")
    assert.is_nil(stat)
    assert.equal("LOST", code)
  end)

  it("is in doubt, and ours again, over a short disconnection", function()
    local c, proxy = us:proxied()
    local held = assert(c:lock("/l"):acquire())
    assert.is_false(held.doubt)
    proxy:refuse()
    proxy:cut()
    us:eventually(function() return held.doubt end)
    assert.is_true(held:valid())
    assert.is_false(held:valid({ strict = true }))
    proxy:refuse(false)
    us:eventually(function() return not held.doubt end)
    assert.is_true(held:valid({ strict = true }))
    assert.is_false(held.lost:wait(0))
  end)

  it("raises when a task takes what it holds, unless it may", function()
    local c = us:client()
    local held = assert(c:lock("/l"):acquire())
    for _, again in ipairs({
      function() c:lock("/l"):acquire() end,
      function() c:lock("/l"):try() end,
      function() c:at("/"):lock("/l"):with(function() end) end,
    }) do
      local ok, message = pcall(again)
      assert.is_false(ok)
      assert.matches("lock_spec.lua:%d+: this task holds lock /l already", message)
    end
    -- Another task waits like anybody else.
    assert.equal("BUSY", select(3, zk.spawn(function()
      return c:lock("/l"):acquire({ wait = 0.05 })
    end):wait()))
    assert(held:release())

    local lock = c:lock("/l", { reentrant = true })
    assert(lock:with(function(outer)
      assert(lock:with(function(inner) assert.equal(outer, inner) end))
      assert.is_true(outer:valid())
      assert.equal(1, #us:children("/l"))
    end))
    assert.same({}, us:children("/l"))
  end)

  for name, case in pairs({
    ["the path"] = { "path", function(c) c:lock("l") end },
    ["the kind of path"] = { "path", function(c) c:lock(7) end },
    ["an unknown option"] =
      { "unknown option \"idd\"", function(c) c:lock("/l", { idd = "x" }) end },
    ["an option's type"] = { "id must be a string", function(c) c:lock("/l", { id = 7 }) end },
    ["an unknown dialect"] = { "dialect", function(c) c:lock("/l", { dialect = "perl" }) end },
    ["an unknown option of acquire"] =
      { "unknown option", function(c) c:lock("/l"):acquire({ whait = 1 }) end },
    ["the time to wait"] =
      { "wait must be a number", function(c) c:lock("/l"):acquire({ wait = "1" }) end },
    ["the time to wait of with"] =
      { "wait must be a number", function(c) c:lock("/l"):with({ wait = "1" }, print) end },
    ["a missing function"] =
      { "fn must be a function", function(c) c:lock("/l"):with({ wait = 1 }) end },
  }) do
    it("blames the caller's line for " .. name, function()
      local c = us:client()
      local ok, message = pcall(case[2], c)
      assert.is_false(ok)
      assert.matches("lock_spec.lua:%d+: ", message)
      assert.matches(case[1], message, 1, true)
    end)
  end

  for _, waiters in ipairs({ 2, 20 }) do
    it(("costs at most four requests for each hand-off among %d"):format(waiters), function()
      local c, proxy = us:proxied({ session_timeout = 10 })
      local held, order = assert(c:lock("/l"):acquire()), {}
      local tasks = {}
      for i = 1, waiters do
        tasks[i] = zk.spawn(function()
          local mine = assert(c:lock("/l"):acquire())
          order[#order + 1] = mine.token
          assert(zk.sleep(0.03)) -- long enough for the watch on our node to be set, and counted
          return mine:release()
        end)
      end
      us:has_children("/l", waiters + 1)
      us:eventually(function() return proxy.counts.get == waiters + 1 end, "all waiting")
      proxy:take_counts()
      assert(held:release())
      for _, task in ipairs(tasks) do
        assert.is_true(task:wait(20))
      end
      local total = proxy:take_counts()
      assert.is_true(total <= 4 * waiters, total .. " requests")
      assert.equal(waiters, #order)
      for i = 2, #order do
        assert.is_true(order[i - 1] < order[i]) -- first come first served
      end
    end)
  end

  it("never lets two in, whatever breaks", function()
    assert(us.observer:create("/inside", "0"))
    local inside, turns, most = 0, 0, 0
    local clients, proxies = {}, {}
    for i = 1, 4 do
      clients[i], proxies[i] = us:proxied()
    end
    local breaker = zk.spawn(function()
      for i = 1, 60 do
        assert(zk.sleep(0.05))
        local proxy = proxies[i % 4 + 1]
        local how = ({ "cut", "lose_reply", "lose_request" })[i % 3 + 1]
        proxy[how](proxy, ({ "create", "delete", "children" })[i % 7 % 3 + 1])
      end
    end)
    zk.group(function(group)
      for i = 1, 4 do
        group:spawn(function()
          for _ = 1, 8 do
            assert(clients[i]:lock("/l"):with({ wait = 60 }, function(held)
              inside, turns = inside + 1, turns + 1
              most = math.max(most, inside)
              held:sleep(0.005)
              inside = inside - 1
            end))
          end
        end)
      end
    end)
    breaker:wait()
    assert.equal(1, most)
    assert.equal(32, turns)
    for _, proxy in ipairs(proxies) do
      proxy._rules = {}
    end
    us:has_children("/l", 0)
  end)
end)

describe("a write guarded by a lock", function()
  local us, c, held

  before_each(function()
    us = company.new()
    c = us:client()
    assert(c:create("/a", "1"))
    held = assert(c:lock("/l"):acquire())
  end)

  after_each(function()
    us:finish()
  end)

  it("happens while it is held", function()
    assert.equal(1, assert(held:set("/a", "2")).version)
    assert.equal("/b", assert(held:create("/b", "x")))
    assert.matches("^/n%d+$", assert(held:create("/n", "", { sequential = true })))
    assert.is_true(held:delete("/b"))
    assert.is_true(held:delete("/b", { missing_ok = true }))
    local results = assert(held:transaction():create("/t", "1"):set("/a", "3"):commit())
    assert.equal(2, #results)
    assert.equal("/t", results[1].path)
    assert.equal(2, results[2].stat.version)
  end)

  it("fails as the write fails, counted without the guard", function()
    local _, message, code = held:set("/none", "x")
    assert.equal("NONODE", code)
    assert.equal("NONODE: /none does not exist (set)", message) -- no hint at what it does not have
    assert.equal("NONODE: parent /none of /none/a does not exist (create)",
      (select(2, held:create("/none/a", "x"))))
    _, _, code = held:create("/a", "x")
    assert.equal("NODEEXISTS", code)
    _, _, code = held:set("/a", "x", { version = 7 })
    assert.equal("BADVERSION", code)
    local results, why, what, index = held:transaction():set("/a", "x"):delete("/none"):commit()
    assert.is_nil(results)
    assert.equal("NONODE", what)
    assert.equal("NONODE: /none does not exist (delete); nothing was done (operation 2 of 2)", why)
    assert.equal(2, index)
    assert.is_true(held:valid())
  end)

  it("is LOST, and nothing is written, when our node is gone", function()
    held.lost.wait = nil -- the guard finds out by itself
    assert(us.observer:delete("/l/" .. us:children("/l")[1]))
    for _, write in ipairs({
      function() return held:set("/a", "9") end,
      function() return held:create("/z", "9") end,
      function() return held:delete("/a") end,
      function() return held:delete("/a", { missing_ok = true }) end,
      function() return held:transaction():set("/a", "9"):commit() end,
    }) do
      local result, message, code = write()
      assert.is_nil(result)
      assert.equal("LOST", code)
      assert.matches("LOST: lock /l", message, 1, true)
    end
    assert.equal("1", (assert(us.observer:get("/a"))))
  end)

  it("is LOST after the release, and when another holds it", function()
    assert(held:release())
    local other = assert(us:client():lock("/l"):acquire())
    local _, message, code = held:set("/a", "9")
    assert.equal("LOST", code)
    assert.matches("was released", message, 1, true)
    assert(other:set("/a", "2"))
  end)
end)
