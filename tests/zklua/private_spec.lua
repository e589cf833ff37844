-- zk.server and zk.test, as somebody uses them who tests a script.
local facades = require("zklua.facade")
local runtimes = require("zklua.runtime")

local zk = facades.new(runtimes.new({ log = function() end }))

describe("zk.server", function()
  it("is a server of its own", zk.test(function()
    local one, two = zk.server(), zk.server()
    assert.are_not.equal(one.connect_string, two.connect_string)
    local c = assert(one:client())
    assert(c:create("/a", "x"))
    assert.is_false(assert(two:client()):exists("/a"))
    assert.equal("x", (assert(assert(zk.connect(one.connect_string)):get("/a"))))
    assert(c:create("/app"))
    assert(assert(zk.connect(one.connect_string .. "/app")):create("/inside"))
    assert.is_table(c:exists("/app/inside"))
  end))

  it("expires a session, and the next one is told", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/e", "", { ephemeral = true }))
    local expired = zk.event()
    c:on("expired", function()
      expired:set()
    end)
    assert.is_true(server:expire(c))
    assert.is_true(expired:wait(5))
    assert.is_false(c:exists("/e"))
  end))

  it("hands a lock on when its holder's session expires", zk.test(function()
    local server = zk.server()
    local first, second = assert(server:client()), assert(server:client())
    local held = assert(first:lock("/l"):acquire())
    local waiting = zk.spawn(function()
      return assert(second:lock("/l"):acquire())
    end)
    server:expire(first)
    local next_held = assert(waiting:wait(5))
    assert.is_true(held.lost:wait(5))
    assert.is_false(held:valid())
    assert.is_true(next_held.token > held.token)
  end))

  it("cuts a connection, and the session goes on", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/e", "", { ephemeral = true }))
    local id = c:session().id
    server:cut(c)
    assert.is_table(c:exists("/e"))
    assert.equal(id, c:session().id)
  end))

  it("loses the reply to what it has done", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:drop_reply(c)
    assert.equal("CONNECTIONLOSS", select(3, c:create("/a", "x")))
    assert.equal("x", (assert(c:get("/a"))))
    server:drop_reply(c, 3)
    assert(c:set("/a", "1"))
    assert(c:set("/a", "2"))
    assert.equal("CONNECTIONLOSS", select(3, c:set("/a", "3")))
    assert.equal("3", (assert(c:get("/a"))))
  end))

  it("lets a lock find its own node after a lost reply", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:ensure("/l"))
    for lost = 1, 4 do
      server:drop_reply(c, lost)
      local held = assert(c:lock("/l"):acquire({ wait = 5 }))
      assert.equal(1, #assert(c:children("/l")))
      assert(held:release())
      server:cut(c)
      assert.equal(0, #assert(c:children("/l")))
    end
  end, { timeout = 60 })) -- each loss costs a pause before the next connection

  it("answers late", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:delay(c, 0.3)
    local began = zk.now()
    assert(c:get("/"))
    assert.is_true(zk.now() - began >= 0.3)
    assert.equal("TIMEOUT", select(3, c:get("/", { timeout = 0.01 })))
    server:delay(c, 0)
    assert(c:get("/"))
  end))

  it("is stopped and started, and has lost nothing", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    assert(c:create("/a", "x"))
    assert(c:create("/e", "", { ephemeral = true }))
    local id = c:session().id
    server:stop()
    assert.equal("NOTCONNECTED", select(3, c:get("/a", { timeout = 0.05 })))
    server:start()
    assert.equal("x", (assert(c:get("/a"))))
    assert.is_table(c:exists("/e"))
    assert.equal(id, c:session().id)
  end))

  it("is closed for good", zk.test(function()
    local server = zk.server()
    local c = assert(server:client())
    server:close()
    assert.is_nil((c:get("/", { timeout = 0.05 })))
    local none, message = zk.connect(server.connect_string, { timeout = 0.05 })
    assert.is_nil(none)
    assert.matches("is no server of this program", message, 1, true)
  end))

  for _, case in ipairs({
    { "an option that is none", function() zk.server({ port = 1 }) end, "port" },
    { "a directory", function() zk.server({ dir = "/tmp" }) end, "not in this version" },
    { "no client", function(server) server:cut(7) end, "client must be a client" },
    { "a client of another server", function(server)
      server:drop_reply((assert(zk.server():client())))
    end, "not connected to this server" },
    { "a strange count", function(server) server:drop_reply(assert(server:client()), 0) end, "count" },
    { "strange seconds", function(server) server:delay(assert(server:client()), -1) end, "seconds" },
    { "a second start", function(server) server:start() end, "is running" },
    { "a second stop", function(server) server:stop() server:stop() end, "is stopped" },
    { "anything once it is closed", function(server) server:close() server:stop() end, "is closed" },
  }) do
    it("refuses " .. case[1] .. " where the mistake is", zk.test(function()
      local ok, message = pcall(case[2], zk.server())
      assert.is_false(ok)
      assert.matches("private_spec%.lua:%d+: .*" .. case[3], message)
    end))
  end
end)

describe("zk.test", function()
  it("raises again what the test raises", function()
    local failure = { "any value" }
    local ok, raised = pcall(zk.test(function()
      zk.sleep(0.001)
      error(failure)
    end))
    assert.is_false(ok)
    assert.equal(failure, raised)
  end)

  it("gives its arguments on", function()
    local seen
    zk.test(function(...)
      seen = { ... }
    end)(1, "b")
    assert.same({ 1, "b" }, seen)
  end)

  it("fails when the test takes too long", function()
    assert.error_matches(zk.test(function()
      zk.sleep(60)
    end, { timeout = 0.02 }), "not ended after 0.02 s")
  end)

  it("ends what the test has left", function()
    local server, ended = zk.server(), false
    zk.test(function()
      assert(server:client())
      zk.spawn(function()
        zk.sleep(60)
        ended = true
      end)
      zk.sleep(0)
    end)()
    assert.is_true(ended)
    assert.equal(0, server._memory.core:info().sessions)
  end)

  it("refuses what is no function", function()
    assert.error_matches(function() zk.test(1) end, "fn must be a function")
  end)
end)
