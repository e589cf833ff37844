-- Queues against a real server: order, what workers leave behind, and lost replies.
local company = require("support.company")

describe("a queue", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
  end)

  after_each(function()
    us:finish()
  end)

  -- Takes until nothing is left; the data, in order.
  local function drain(queue)
    local seen = {}
    while #us:children("/q") > 0 do
      local item = assert(queue:take({ wait = 10 }))
      seen[#seen + 1] = item.data
      assert(item:done())
    end
    return seen
  end

  for _, lease in ipairs({ true, false }) do
    local mode = lease and "leases" or "no leases"

    it("is first in, first out, in ZooKeeper's own shape, with " .. mode, function()
      local queue = us:client():queue("/q", { lease = lease })
      assert.equal("/q/qn-0000000000", assert(queue:put("a")))
      assert.same({ "/q/qn-0000000001", "/q/qn-0000000002" }, assert(queue:put_all({ "b", "c" })))
      assert.same({ "qn-0000000000", "qn-0000000001", "qn-0000000002" }, us:children("/q"))
      assert.same({ "a", "b", "c" }, drain(queue))
      assert.same({}, us:children("/q"))
    end)

    it("shares items out, each to one of many, with " .. mode, function()
      local count, seen, taken, queues = 60, {}, 0, {}
      for w = 1, 5 do
        queues[w] = us:client():queue("/q", { lease = lease })
      end
      zk.group(function(group)
        for w, queue in ipairs(queues) do
          group:spawn(function()
            for item in queue:items() do
              assert.is_nil(seen[item.data])
              seen[item.data], taken = w, taken + 1
              assert(item:done())
              for _, other in ipairs(taken == count and queues or {}) do
                other:close()
              end
            end
          end)
        end
        local producer = us:client():queue("/q")
        for i = 1, count do
          assert(producer:put("item " .. i))
        end
      end)
      assert.equal(count, taken)
      assert.same({}, us:children("/q"))
      us:eventually(function() -- nothing but the workers themselves is left among the claims
        return not table.concat(us:children("/q-claims"), " "):find("qn-", 1, true)
      end)
    end)

    it("waits without asking while it is empty, with " .. mode, function()
      local c, proxy = us:proxied({ session_timeout = 20 })
      local task = zk.spawn(function()
        return c:queue("/q", { lease = lease }):take()
      end)
      us:eventually(function() return (proxy.counts.children or 0) >= 2 end)
      assert(zk.sleep(0.1))
      proxy:take_counts()
      assert(zk.sleep(0.5))
      assert.equal(0, (proxy:take_counts()))
      local begun = zk.now()
      assert(us:client():queue("/q"):put("late"))
      assert.equal("late", assert(task:wait(10)).data)
      assert.is_true(zk.now() - begun < 2)
    end)

    it("leaves no watches behind, with " .. mode, function()
      local c = us:client()
      local queue = c:queue("/q", { lease = lease })
      for _ = 1, 3 do
        assert.equal("EMPTY", select(3, queue:take({ wait = 0.02 })))
      end
      assert.equal(0, c:lifetime().core:info().watches)
    end)

    it("has taken nothing when cancelled while it waits, with " .. mode, function()
      local c = us:client()
      local queue = c:queue("/q", { lease = lease })
      local task = zk.spawn(function() return queue:take() end)
      assert(zk.sleep(0.1))
      task:cancel()
      assert.equal("CANCELLED", select(3, task:wait(5)))
      assert(queue:put("a"))
      assert.same({ "a" }, drain(queue))
    end)

    -- The transaction that takes an item, cut off before or after it was applied.
    for _, what in ipairs({ "lose_reply", "lose_request" }) do
      it(("takes each item once when that meets %s, with %s"):format(what, mode), function()
        local c, proxy = us:proxied()
        local queue = c:queue("/q", { lease = lease })
        assert(queue:put_all({ "a", "b", "c" }))
        proxy[what](proxy, "multi")
        assert.same({ "a", "b", "c" }, drain(queue))
        assert.equal(1, proxy.hits)
        assert.same({}, us:children("/q"))
      end)
    end

    it("does not take another's claim for its own after a lost request, with " .. mode, function()
      local c, proxy = us:proxied()
      local queue, other = c:queue("/q", { lease = lease }), us:client():queue("/q")
      assert(queue:put("a"))
      proxy:lose_request("multi")
      local task = zk.spawn(function() return queue:take() end)
      us:eventually(function() return proxy.hits == 1 end)
      proxy:refuse()
      proxy:cut()
      local item = assert(other:take({ wait = 10 }))
      proxy:refuse(false)
      us:eventually(function() return c:state() == "connected" end)
      assert(zk.sleep(0.3))
      assert.is_false(task:done())
      assert(item:retry())
      assert.equal("a", assert(task:wait(10)).data)
    end)

    for _, point in ipairs({ "request", "reply" }) do
      it(("loses nothing when the task is cancelled at the %s of a claim, with %s"):format(
        point, mode), function()
        local c, proxy = us:proxied()
        local queue = c:queue("/q", { lease = lease })
        assert(queue:put("a"))
        proxy["hold_" .. point](proxy, "multi")
        local task = zk.spawn(function() return queue:take() end)
        us:eventually(function() return proxy.hits == 1 end)
        task:cancel()
        if lease then
          assert.equal("CANCELLED", select(3, task:wait(5)))
          proxy:resume()
          assert.equal("a", assert(us:client():queue("/q"):take({ wait = 10 })).data)
        else -- on its way: waited for, because it cannot be undone
          assert(zk.sleep(0.05))
          assert.is_false(task:done())
          proxy:resume()
          assert.equal("a", assert(task:wait(5)).data)
        end
      end)
    end

    it("goes on over an expiry while it waits, with " .. mode, function()
      local c, proxy = us:proxied()
      local task = zk.spawn(function()
        return c:queue("/q", { lease = lease }):take()
      end)
      us:eventually(function() return (proxy.counts.children or 0) >= 2 end)
      us:expire(c)
      assert(us:client():queue("/q"):put("a"))
      assert.equal("a", assert(task:wait(15)).data)
    end)
  end

  it("gives a dead worker's item to another", function()
    local doomed = us:client()
    local queue = us:client():queue("/q")
    assert(queue:put_all({ "a", "b" }))
    local item = assert(doomed:queue("/q"):take())
    assert.equal("a", item.data)
    local other = assert(queue:take())
    assert.equal("b", other.data)
    assert(other:done())
    local heir = zk.spawn(function() return queue:take() end)
    assert(zk.sleep(0.1))
    us:expire(doomed)
    local inherited = assert(heir:wait(10))
    assert.equal("a", inherited.data)
    assert.is_true(inherited.token > item.token)

    assert.is_true(item.lost:wait(10))
    local done, message, code = item:done()
    assert.is_nil(done)
    assert.equal("LOST", code)
    assert.matches("item /q/qn-0000000000", message, 1, true)
    assert.equal("LOST", select(3, item:set("/q", "x")))
    assert.equal("LOST", select(3, item:retry()))
    assert(inherited:set("/q", "written by the heir"))
    assert(inherited:done())
  end)

  it("does not let a worker that lost its claim finish the heir's item", function()
    local c = us:client()
    local queue, heir = c:queue("/q"), us:client():queue("/q")
    assert(queue:put("a"))
    local item = assert(queue:take())
    assert(us.observer:delete("/q-claims/qn-0000000000")) -- somebody's hand
    local inherited = assert(heir:take({ wait = 5 }))
    assert.is_true(item:retry()) -- of a claim that is another's now: looked at before it goes
    assert.same({ "qn-0000000000" }, us:children("/q"))
    assert.is_true(inherited:valid())
    assert(inherited:done())
  end)

  it("refuses what a worker does when its node is gone", function()
    local queue = us:client():queue("/q")
    assert(queue:put("a"))
    local item = assert(queue:take())
    for _, name in ipairs(us:children("/q-claims")) do
      if name:find("worker", 1, true) then assert(us.observer:delete("/q-claims/" .. name)) end
    end
    assert.equal("LOST", select(3, item:set("/q", "x")))
    assert.equal("LOST", select(3, item:done()))
    assert.same({ "qn-0000000000" }, us:children("/q"))
  end)

  it("brings an item back to its place when it is retried", function()
    local queue = us:client():queue("/q")
    assert(queue:put_all({ "a", "b" }))
    assert.is_true(assert(queue:take()):retry())
    local again = us:client():queue("/q")
    assert.same({ "a", "b" }, drain(again))
  end)

  it("moves an item that failed aside, with the reason", function()
    for _, lease in ipairs({ true, false }) do
      local queue = us:client():queue("/q", { lease = lease })
      local path = assert(queue:put("a"))
      assert.is_true(assert(queue:take()):fail("no such address"))
      local aside = "/q-failed/" .. path:match("[^/]+$")
      assert.equal("a", (assert(us.observer:get(aside))))
      assert.equal("no such address", (assert(us.observer:get(aside .. "/reason"))))
      assert.same({}, us:children("/q"))
    end
  end)

  for _, what in ipairs({ "lose_reply", "lose_request" }) do
    it("knows that an item is done when that meets " .. what, function()
      local c, proxy = us:proxied()
      local queue = c:queue("/q")
      assert(queue:put("a"))
      local item = assert(queue:take())
      proxy[what](proxy, "multi")
      assert.is_true(item:done())
      assert.equal(1, proxy.hits)
      assert.same({}, us:children("/q"))
      us:has_children("/q-claims", 1)
    end)

    it("gives an item back when that meets " .. what, function()
      local c, proxy = us:proxied()
      local queue = c:queue("/q")
      assert(queue:put("a"))
      local item = assert(queue:take())
      proxy[what](proxy, "delete")
      assert.is_true(item:retry())
      assert.equal("a", assert(us:client():queue("/q"):take({ wait = 10 })).data)
      assert.equal(1, proxy.hits)
    end)
  end

  it("keeps a leased item from a consumer without leases", function()
    local leasing, other = us:client():queue("/q"), us:client():queue("/q", { lease = false })
    assert(leasing:put("a"))
    local item = assert(leasing:take())
    assert.equal("EMPTY", select(3, other:take({ wait = 0.1 })))
    assert(item:retry())
    assert.equal("a", assert(other:take({ wait = 5 })).data)
  end)

  it("is FULL at its limit", function()
    local queue = us:client():queue("/q", { limit = 2 })
    assert(queue:put_all({ "a", "b" }))
    local path, message, code = queue:put("c")
    assert.is_nil(path)
    assert.equal("FULL", code)
    assert.matches("limit of 2", message, 1, true)
    assert(assert(queue:take()):done())
    assert.equal("FULL", select(3, queue:put_all({ "c", "d" })))
    assert(queue:put("c"))
  end)

  for _, lease in ipairs({ true, false }) do
    it("finds without waiting what there is, though the server is slow; lease = "
      .. tostring(lease), function()
      local zk = us.zk
      zk.test(function()
        local server = zk.server()
        local c = assert(server:client())
        local queue = c:queue("/q", { lease = lease })
        assert(queue:put("a"))
        server:delay(c, 0.005)
        assert.equal("a", assert(queue:take({ wait = 0 })).data)
        assert.equal("EMPTY", select(3, queue:take({ wait = 0 })))
      end)()
    end)
  end

  it("ignores children that are no items", function()
    local queue = us:client():queue("/q")
    assert(us.observer:ensure("/q/readme"))
    assert(us.observer:create("/q/entry-100-", "x", { sequential = true }))
    assert(queue:put("a"))
    assert.equal("a", assert(queue:take({ wait = 10 })).data)
    assert.equal("EMPTY", select(3, queue:take({ wait = 0.5 })))
  end)

  it("wakes all who take from a handle that is closed, and them alone", function()
    local c = us:client()
    local queue, other = c:queue("/q"), c:queue("/q")
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = zk.spawn(function() return queue:take() end)
    end
    local items = zk.spawn(function()
      for _ in queue:items() do end
      return "ended"
    end)
    local staying = zk.spawn(function() return other:take() end)
    assert(zk.sleep(0.1))
    assert.is_true(queue:close())
    for _, task in ipairs(tasks) do
      assert.equal("CLOSED", select(3, task:wait(5)))
    end
    assert.equal("ended", items:wait(5))
    assert.is_false(staying:done())
    assert(other:put("a"))
    assert.equal("a", assert(staying:wait(5)).data)
  end)

  it("loses and doubles nothing when workers die and connections break", function()
    local count, done = 40, {}
    assert(us:client():queue("/q"):put_all({ "0" }))
    for i = 1, count - 1 do
      assert(us.observer:create("/q/qn-", tostring(i), { sequential = true }))
    end
    local left = count
    zk.group(function(group)
      for w = 1, 3 do
        group:spawn(function()
          local c, proxy = us:proxied()
          local queue, steps = c:queue("/q"), 0
          while left > 0 do
            steps = steps + 1
            if steps % 4 == w then
              proxy[steps % 8 < 4 and "lose_reply" or "lose_request"](proxy, "multi")
            end
            local item = queue:take({ wait = 0.5 })
            if item and steps % 9 == w then
              c:close() -- with the item in hand
              c = us:client()
              queue = c:queue("/q")
            elseif item and item:done() then
              assert.is_nil(done[item.data])
              done[item.data] = true
              left = left - 1
            end
          end
        end)
      end
    end)
    for i = 0, count - 1 do
      assert.is_true(done[tostring(i)])
    end
    assert.same({}, us:children("/q"))
  end)

  for name, case in pairs({
    ["data that is no string"] = { "data must be a string", function(c) c:queue("/q"):put(7) end },
    ["one of many that is no string"] =
      { "list[2] must be a string", function(c) c:queue("/q"):put_all({ "a", {} }) end },
    ["an unknown option"] = { "unknown option", function(c) c:queue("/q", { priority = 1 }) end },
    ["the root as a path"] = { "path", function(c) c:queue("/") end },
    ["an option of take"] = { "unknown option", function(c) c:queue("/q"):take({ whait = 1 }) end },
    ["an option of put"] =
      { "unknown option", function(c) c:queue("/q"):put("a", { whait = 1 }) end },
  }) do
    it("blames the caller's line for " .. name, function()
      local c = us:client()
      local ok, message = pcall(case[2], c)
      assert.is_false(ok)
      assert.matches("queue_spec.lua:%d+: ", message)
      assert.matches(case[1], message, 1, true)
    end)
  end
end)
