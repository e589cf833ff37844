-- Elections against a real server, in both modes.
local company = require("support.company")

for _, mode in ipairs({ "dynamic", "static" }) do
  describe(("an election (%s)"):format(mode), function()
    local us, zk

    before_each(function()
      us = company.new()
      zk = us.zk
    end)

    after_each(function()
      us:finish()
    end)

    local function election(c, id)
      return c:election("/top/e", { id = id, mode = mode })
    end

    -- The election's nodes: a line has its own parent, an office and its proof share theirs.
    local function nodes()
      return us:children(mode == "dynamic" and "/top/e" or "/top")
    end

    it("has one leader, and another when it steps down", function()
      local a, b = election(us:client(), "a"), election(us:client(), "b")
      assert.is_false((a:leader()))
      local term = assert(a:latch())
      assert.equal("a", assert(b:leader()).id)
      assert.equal(term.token, assert(b:leader()).token)
      local none, message, code = b:latch({ wait = 0.1 })
      assert.is_nil(none)
      assert.equal("BUSY", code)
      assert.matches("election /top/e is held by a since", message, 1, true)

      local next_term = zk.spawn(function() return b:latch() end)
      assert(zk.sleep(0.1))
      assert.is_false(next_term:done())
      assert(term:release())
      local second = assert(next_term:wait(10))
      assert.is_true(second.token > term.token)
      assert(second:release())
      us:eventually(function() return #nodes() == 0 end)
    end)

    it("passes to another when the leader's session ends, and the old term is lost", function()
      local first, second = us:client(), us:client()
      local old = assert(election(first, "a"):latch())
      local heir = zk.spawn(function() return election(second, "b"):latch() end)
      assert(zk.sleep(0.1))
      us:expire(first)
      local new = assert(heir:wait(10))
      assert.is_true(old.lost:wait(10))
      -- A late write of the old leader is refused, though the name of the office is taken again.
      assert(us.observer:create("/data", "1"))
      assert.equal("LOST", select(3, old:set("/data", "old")))
      assert(new:set("/data", "new"))
      assert.equal("new", (assert(us.observer:get("/data"))))
    end)

    it("runs a campaign's function for each term, over the loss of the session", function()
      local c = us:client()
      local terms, endings = {}, {}
      local result = election(c, "a"):campaign(function(term)
        terms[#terms + 1] = term.token
        if #terms == 3 then
          return "enough"
        end
        us:expire(c)
        endings[#endings + 1] = select(3, zk.sleep(20))
        return "not seen"
      end)
      assert.equal("enough", result)
      assert.same({ "LOST", "LOST" }, endings)
      assert.is_true(terms[1] < terms[2] and terms[2] < terms[3])
      us:eventually(function() return #nodes() == 0 end)
    end)

    it("steps down when the function raises", function()
      local c = us:client()
      local ok, message = pcall(function()
        election(c, "a"):campaign(function() error("no idea", 0) end)
      end)
      assert.is_false(ok)
      assert.equal("no idea", message)
      us:eventually(function() return #nodes() == 0 end)
    end)

    it("can be left while waiting and while leading", function()
      local a, b = election(us:client(), "a"), election(us:client(), "b")
      local leading = zk.spawn(function()
        return a:campaign(function() return select(3, zk.sleep(60)) end)
      end)
      us:eventually(function() return a:leader() end)
      local waiting = zk.spawn(function() return b:campaign(error) end)
      assert(zk.sleep(0.1))
      assert.is_true(b:resign())
      assert.equal("CANCELLED", select(3, waiting:wait(5)))
      assert.is_true(a:resign())
      assert.equal("CANCELLED", (leading:wait(5)))
      us:eventually(function() return #nodes() == 0 end)

      assert(a:latch())
      assert(a:resign())
      us:eventually(function() return #nodes() == 0 end)
    end)

    it("tells who leads as it changes", function()
      local seen, news = {}, zk.event()
      local follower = zk.spawn(function()
        for leader in assert(election(us:client(), "f"):changes()) do
          seen[#seen + 1] = leader and leader.id or "nobody"
          news:set()
          if #seen == 5 then break end
        end
      end)
      assert.is_true(news:wait(10))
      local first = us:client()
      assert(election(first, "a"):latch())
      assert.is_true(news:wait(10))
      us:expire(first)
      assert.is_true(news:wait(10))
      local term = assert(election(us:client(), "b"):latch())
      assert.is_true(news:wait(10))
      assert(term:release())
      follower:wait(10)
      assert.same({ "nobody", "a", "nobody", "b", "nobody" }, seen)
    end)

    it("goes on telling after the follower's own session was lost", function()
      local c = us:client()
      local stream = assert(election(c, "f"):changes())
      assert.is_false((stream:next(10)))
      us:expire(c)
      assert(election(us:client(), "a"):latch())
      assert.equal("a", assert(stream:next(15)).id)
      assert.equal("TIMEOUT", select(3, stream:next(0.05)))
      stream:close()
      assert.equal("CLOSED", select(3, stream:next(1)))
    end)

    local write = mode == "dynamic" and "create" or "multi"
    for _, what in ipairs({ "lose_reply", "lose_request" }) do
      it(("is won once when the %s meets %s"):format(write, what), function()
        assert(us.observer:ensure("/top/e/x"))
        assert(us.observer:delete("/top/e/x"))
        if mode == "static" then assert(us.observer:delete("/top/e")) end
        local c, proxy = us:proxied()
        proxy[what](proxy, write)
        local term = assert(election(c, "a"):latch({ wait = 20 }))
        assert.equal(1, proxy.hits)
        assert.equal(mode == "dynamic" and 1 or 2, #nodes())
        proxy[what](proxy, mode == "dynamic" and "delete" or "multi")
        assert.is_true(term:release())
        us:eventually(function() return #nodes() == 0 end)
        assert.equal(2, proxy.hits)
      end)
    end

    for _, point in ipairs({ "request", "reply" }) do
      for _, ending in ipairs({ "CANCELLED", "TIMEOUT" }) do
        local name = ("leaves nothing when %s comes at the %s of its %s"):format(
          ending, point, write)
        it(name, function()
          assert(us.observer:ensure("/top/e"))
          if mode == "static" then assert(us.observer:delete("/top/e")) end
          local c, proxy = us:proxied()
          proxy["hold_" .. point](proxy, write)
          local task = zk.spawn(function()
            local latch = election(c, "a")
            return zk.timeout(ending == "TIMEOUT" and 0.3 or 20, latch.latch, latch)
          end)
          us:eventually(function() return proxy.hits == 1 end)
          if ending == "CANCELLED" then task:cancel() end
          assert.equal(ending, select(3, task:wait(5)))
          proxy:resume()
          us:eventually(function() return #assert(c:ephemerals()) == 0 end)
          us:eventually(function() return #nodes() == 0 end)
        end)
      end
    end

    it("leaves no watch when it was not elected in time", function()
      assert(election(us:client(), "a"):latch())
      local c = us:client()
      for _ = 1, 3 do
        assert.equal("BUSY", select(3, election(c, "b"):latch({ wait = 0.1 })))
      end
      assert.equal(0, c:lifetime().core:info().watches)
    end)
  end)
end

describe("an election", function()
  it("blames the caller's line for an unknown mode and a missing function", function()
    local us = company.new()
    local c = us:client()
    for _, wrong in ipairs({
      function() c:election("/e", { mode = "royal" }) end,
      function() c:election("/e"):campaign() end,
      function() c:election("/e"):latch({ whait = 1 }) end,
    }) do
      local ok, message = pcall(wrong)
      assert.is_false(ok)
      assert.matches("election_spec.lua:%d+: ", message)
    end
    us:finish()
  end)

  it("lists its candidates in order", function()
    local us = company.new()
    local tasks = {}
    for i = 1, 3 do
      local e = us:client():election("/e", { id = "c" .. i })
      tasks[i] = us.zk.spawn(function() return e:latch() end)
      us:has_children("/e", i)
    end
    local ids = {}
    for i, candidate in ipairs(assert(us:client():election("/e"):candidates())) do
      ids[i] = candidate.id
    end
    assert.same({ "c1", "c2", "c3" }, ids)
    us:finish()
  end)
end)
