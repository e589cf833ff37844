-- Programs that share work: queues, barriers, members.
local program, later = require("api.program")(it, pending)

describe("a program", function()
  program("works through a queue, each item until it is done", function(servers, zk)
    local c = assert(zk.connect(servers))
    local outbox = c:queue("/outbox")
    assert(outbox:put_all({ "to ann", "to bob", "to cid" }))

    local sent = {}
    for item in outbox:items() do
      sent[#sent + 1] = item.data
      assert(item:done())
      if #sent == 3 then outbox:close() end
    end
    assert.same({ "to ann", "to bob", "to cid" }, sent)
    assert(c:close())
  end)

  program("waits for work that comes later", function(servers, zk)
    local producer, consumer = assert(zk.connect(servers)), assert(zk.connect(servers))
    local worker = zk.spawn(function()
      local item = assert(consumer:queue("/mail"):take())
      assert(item:done())
      return item.data
    end)
    assert(zk.sleep(0.05))
    assert(producer:queue("/mail"):put("late letter"))
    assert.equal("late letter", worker:wait(10))
    assert(producer:close())
    assert(consumer:close())
  end)

  program("finds nothing to do and goes home", function(servers, zk)
    local c = assert(zk.connect(servers))
    local item, message, code = c:queue("/mail"):take({ wait = 0.1 })
    assert.is_nil(item)
    assert.equal("EMPTY", code)
    assert.is_string(message)
    assert(c:close())
  end)

  program("gives an item back that it could not do", function(servers, zk)
    local c = assert(zk.connect(servers))
    local queue = c:queue("/mail")
    assert(queue:put("letter"))
    assert(assert(queue:take({ wait = 10 })):retry())

    local item = assert(queue:take({ wait = 10 }))
    assert.equal("letter", item.data)
    assert(item:fail("no such address"))
    assert.is_nil((queue:take({ wait = 0.1 })))
    assert(c:close())
  end)

  program("inherits the item of a worker that died", function(servers, zk)
    local doomed, heir = assert(zk.connect(servers)), assert(zk.connect(servers))
    assert(heir:queue("/mail"):put("letter"))
    assert(doomed:queue("/mail"):take({ wait = 10 }))
    assert.is_nil((heir:queue("/mail"):take({ wait = 0.1 })))

    assert(doomed:close())
    local item = assert(heir:queue("/mail"):take({ wait = 10 }))
    assert.equal("letter", item.data)
    assert(item:done())
    assert(heir:close())
  end)

  program("takes each item at most once", function(servers, zk)
    local c = assert(zk.connect(servers))
    local queue = c:queue("/tickets", { lease = false })
    for i = 1, 10 do
      assert(queue:put("ticket " .. i))
    end

    local seen, count = {}, 0
    zk.group(function(g)
      for _ = 1, 3 do
        g:spawn(function()
          while true do
            local item, _, code = queue:take({ wait = 0.2 })
            if code == "EMPTY" then return end
            assert.is_nil(seen[assert(item).data])
            seen[item.data] = true
            count = count + 1
          end
        end)
      end
    end)
    assert.equal(10, count)
    assert(c:close())
  end)

  program("starts when all three are there", function(servers, zk)
    local waiting, passed = 0, 0
    zk.group(function(g)
      for i = 1, 3 do
        g:spawn(function()
          local c = assert(zk.connect(servers))
          local barrier = c:barrier("/step-1", { parties = 3, id = "node-" .. i })
          waiting = waiting + 1
          assert(barrier:enter({ wait = 20 }))
          assert.equal(3, waiting)
          passed = passed + 1
          assert(barrier:leave({ wait = 20 }))
          assert.equal(3, passed)
          assert(c:close())
        end)
      end
    end)
    assert.equal(3, passed)
  end)

  program("does not start alone", function(servers, zk)
    local c = assert(zk.connect(servers))
    local ok, message, code = c:barrier("/step-1", { parties = 2 }):enter({ wait = 0.1 })
    assert.is_nil(ok)
    assert.equal("TIMEOUT", code)
    assert.matches("1 of 2", message, 1, true)
    assert(c:close())
  end)

  program("registers itself, and a client sees the live list", function(servers, zk)
    local server = assert(zk.connect(servers))
    local me = assert(server:member("/servers/web-1", "10.0.0.1:80"))
    local client = assert(zk.connect(servers))
    assert.same({ "web-1" }, assert(client:children("/servers")))

    assert(me:set("10.0.0.1:8080"))
    assert.equal("10.0.0.1:8080", (assert(client:get("/servers/web-1", { fresh = true }))))
    assert(me:close())
    assert(client:sync("/servers"))
    assert.same({}, assert(client:children("/servers")))
    assert(server:close())
    assert(client:close())
  end)

  program("comes back to the list after an expiry", function(servers, zk)
    local server, client = assert(zk.connect(servers)), assert(zk.connect(servers))
    assert(server:member("/servers/web-1", "10.0.0.1:80"))
    local old = server:session()
    local entry = assert(client:live("/servers/web-1"))
    assert.equal(old.id, entry.stat.ephemeral_owner)

    -- Whoever closes a session that is not its own races with the owner, who takes it back.
    local other, _, code
    repeat
      other, _, code = zk.connect(servers, {
        session = { id = old.id, password = old.password }, on_expire = "stop",
      })
      if other then assert(other:close()) end
    until not other
    assert.equal("SESSIONEXPIRED", code)
    local data, stat = assert(entry:wait(function(_, now)
      return now ~= nil and now.ephemeral_owner ~= old.id
    end, 20))
    assert.equal("10.0.0.1:80", data)
    assert.not_equal(old.id, stat.ephemeral_owner)
    assert(server:close())
    assert(client:close())
  end)

  later("counts without losing one", "counter", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert.equal(1, assert(c:counter("/visits"):add(1)))
  end)

  later("finds a service", "discovery", function(servers, zk)
    local c = assert(zk.connect(servers))
    local payments = assert(c:discovery("/services", { service = "payments" }))
    assert(payments:instances())
  end)
end)
