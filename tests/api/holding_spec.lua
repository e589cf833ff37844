-- Programs that hold something: locks and elections.
local program, later = require("api.program")(it, pending)

describe("a program", function()
  program("works through a list under a lock, each write guarded", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:ensure("/done"))
    local lock = c:lock("/nightly")

    local ok, count = assert(lock:with({ wait = 10 }, function(held)
      for _, item in ipairs({ "ann", "bob" }) do
        assert(held:create("/done/" .. item, "billed")) -- refused once we no longer hold it
      end
      return 2
    end))
    assert.is_true(ok)
    assert.equal(2, count)
    assert.same({ "ann", "bob" }, assert(c:children("/done")))
    assert.same({}, assert(lock:contenders()))
    assert(c:close())
  end)

  program("gives way when somebody else is at it", function(servers, zk)
    local first = assert(zk.connect(servers, { id = "alice" }))
    local second = assert(zk.connect(servers, { id = "bob" }))
    local held = assert(first:lock("/nightly"):acquire())

    local ran = false
    local ok, message, code = second:lock("/nightly"):with({ wait = 0.1 }, function()
      ran = true
    end)
    assert.is_nil(ok)
    assert.equal("BUSY", code)
    assert.matches("alice", message, 1, true)
    assert.is_false(ran)

    assert(held:release())
    assert(second:lock("/nightly"):with(function() ran = true end))
    assert.is_true(ran)
    assert(first:close())
    assert(second:close())
  end)

  program("takes a lock only if it is free", function(servers, zk)
    local first, second = assert(zk.connect(servers)), assert(zk.connect(servers))
    local held = assert(first:lock("/printer"):try())
    local other, message, code = second:lock("/printer"):try()
    assert.is_false(other)
    assert.equal("BUSY", code)
    assert.is_string(message)
    assert(held:release())
    assert(second:close())
    assert(first:close())
  end)

  program("hands a growing token to what the lock protects", function(servers, zk)
    local c = assert(zk.connect(servers))
    local accepted = 0
    local function storage(token, write)
      if token < accepted then return nil, "a newer holder has written" end
      accepted = token
      return write
    end

    local tokens = {}
    for i = 1, 3 do
      assert(c:lock("/disk"):with(function(held)
        tokens[i] = held.token
        assert(storage(held.token, "block " .. i))
        assert.equal(zk.format_zxid(held.token), held.token_text)
      end))
    end
    assert.is_true(tokens[1] < tokens[2] and tokens[2] < tokens[3])
    assert.is_nil((storage(tokens[1], "late")))
    assert(c:close())
  end)

  program("releases when its work fails, and fails", function(servers, zk)
    local c = assert(zk.connect(servers))
    local lock = c:lock("/nightly")
    local ok, message = pcall(lock.with, lock, function()
      error("out of paper")
    end)
    assert.is_false(ok)
    assert.matches("out of paper", message, 1, true)
    assert.same({}, assert(lock:contenders()))
    assert(c:close())
  end)

  program("lets others in one after the other, in order", function(servers, zk)
    local c = assert(zk.connect(servers))
    local inside, order = 0, {}
    zk.group(function(g)
      for i = 1, 5 do
        g:spawn(function()
          assert(c:lock("/bath", { id = "guest-" .. i }):with(function()
            inside = inside + 1
            assert.equal(1, inside)
            order[#order + 1] = i
            assert(zk.sleep(0.01))
            inside = inside - 1
          end))
        end)
      end
    end)
    table.sort(order)
    assert.same({ 1, 2, 3, 4, 5 }, order)
    assert(c:close())
  end)

  program("stops working when its session is gone", function(servers, zk)
    local c = assert(zk.connect(servers))
    local session = c:session()
    local ok, _, code = c:lock("/nightly"):with(function(held)
      local other = assert(zk.connect(servers, {
        session = { id = session.id, password = session.password }, on_expire = "stop",
      }))
      zk.spawn(function() other:close() end)
      while held:sleep(5) do end -- false as soon as it is lost
      assert.is_false(held:valid())
      return "never seen"
    end)
    assert.is_nil(ok)
    assert.equal("LOST", code)
    assert(c:close())
  end)

  program("runs a report each minute of its term", function(servers, zk)
    local c = assert(zk.connect(servers))
    local minute = 0.05 -- for this spec
    local election = c:election("/reporter", { id = "host-1" })

    local reports = 0
    local result = assert(election:campaign(function(term)
      repeat
        assert.equal(0, assert(zk.run({ "true" })).code) -- { "./report.sh" }
        reports = reports + 1
      until reports == 3 or not term:sleep(minute)
      return "steps down"
    end))
    assert.equal("steps down", result)
    assert.equal(3, reports)
    assert.is_false((election:leader()))
    assert(c:close())
  end)

  program("stands by until the leader goes", function(servers, zk)
    local a = assert(zk.connect(servers))
    local b = assert(zk.connect(servers))
    local term = assert(a:election("/boss", { id = "a" }):latch())
    local standby = b:election("/boss", { id = "b" })
    assert.equal("a", assert(standby:leader()).id)

    local reign = zk.spawn(function()
      return standby:campaign(function() return "b reigned" end)
    end)
    assert.is_false(reign:done())
    assert(term:release())
    assert.equal("b reigned", reign:wait(10))
    assert(a:close())
    assert(b:close())
  end)

  program("shows who leads", function(servers, zk)
    local c = assert(zk.connect(servers))
    local seen = zk.event()
    local names = {}
    local follower = zk.spawn(function()
      for leader in assert(c:election("/boss"):changes()) do
        names[#names + 1] = leader and leader.id or "nobody"
        seen:set()
        if #names == 3 then break end
      end
    end)

    assert.is_true(seen:wait(10))
    local term = assert(c:election("/boss", { id = "ann" }):latch())
    assert.is_true(seen:wait(10))
    assert(term:release())
    follower:wait(10)
    assert.same({ "nobody", "ann", "nobody" }, names)
    assert(c:close())
  end)

  program("elects whoever comes first to one node", function(servers, zk)
    local a, b = assert(zk.connect(servers)), assert(zk.connect(servers))
    local term = assert(a:election("/master", { id = "a", mode = "static" }):latch())
    local other = b:election("/master", { id = "b", mode = "static" })
    local none, message, code = other:latch({ wait = 0.1 })
    assert.is_nil(none)
    assert.equal("BUSY", code)
    assert.matches("a", message, 1, true)

    assert(term:release())
    local next_term = assert(other:latch({ wait = 10 }))
    assert.is_true(next_term.token > term.token)
    assert(a:close())
    assert(b:close())
  end)

  later("lets many read and one write", "rwlock", function(servers, zk)
    local c = assert(zk.connect(servers))
    local library = c:rwlock("/library")
    assert(library:read():with(function() end))
    assert(library:write():with(function(held) assert(held:set("/catalogue", "2")) end))
  end)
end)
