-- Programs that do several things at a time, and programs whose session has bad luck.
local program = require("api.program")(it, pending)
local apache = require("support.apache")

-- Ends a client's session as an expiry would: another connection to the same session closes it.
local function expire(zk, servers, c)
  local session = c:session()
  local other = assert(zk.connect(servers, {
    session = { id = session.id, password = session.password }, on_expire = "stop",
  }))
  assert(other:close())
end

describe("a program", function()
  program("reads a hundred nodes at once", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/n"))
    local sum = 0
    zk.group(function(g)
      for i = 1, 100 do
        g:spawn(function()
          assert(c:create("/n/" .. i, tostring(i)))
          local value = assert(c:get("/n/" .. i)) -- `sum + assert(...)` would read sum first
          sum = sum + value
        end)
      end
    end)
    assert.equal(5050, sum)
    assert(c:close())
  end)

  program("stops the others when one fails", function(servers, zk)
    local c = assert(zk.connect(servers))
    local ok, message = pcall(zk.group, function(g)
      g:spawn(function()
        local slept, _, code = zk.sleep(60)
        assert(not slept and code == "CANCELLED")
      end)
      g:spawn(function()
        assert(c:get("/missing"))
      end)
    end)
    assert.is_false(ok)
    assert.matches("NONODE", message, 1, true)
    assert(c:close())
  end)

  program("gives a piece of work one deadline", function(_, zk)
    local began = zk.now()
    local ok, message, code = zk.timeout(0.1, function()
      for _ = 1, 100 do
        local slept, why, reason = zk.sleep(0.03)
        if not slept then return nil, why, reason end
      end
      return true
    end)
    assert.is_nil(ok)
    assert.equal("TIMEOUT", code)
    assert.is_string(message)
    assert.is_true(zk.now() - began < 2)
  end)

  program("cleans up when it is cancelled", function(servers, zk)
    local c = assert(zk.connect(servers))
    local started = zk.event()
    local task = zk.spawn(function()
      assert(c:create("/busy", "", { ephemeral = true }))
      started:set()
      local slept, _, code = zk.sleep(60)
      zk.shield(function()
        assert(c:delete("/busy"))
      end)
      return slept, code
    end)

    assert.is_true(started:wait(10))
    task:cancel()
    local slept, code = task:wait(10)
    assert.is_nil(slept)
    assert.equal("CANCELLED", code)
    assert.is_true(task:done())
    assert.is_false((c:exists("/busy")))
    assert(c:close())
  end)

  program("runs a program without losing its session", function(servers, zk)
    local c = assert(zk.connect(servers, { session_timeout = 1 }))
    local result = assert(zk.run({ "sh", "-c", "sleep 1.5; echo done; exit 3" }))
    assert.equal("done\n", result.stdout)
    assert.equal(3, result.code)
    assert.equal("connected", c:state())
    assert(c:close())
  end)

  program("ends a child that takes too long", function(_, zk)
    local began = zk.now()
    local result, _, code = zk.timeout(0.2, zk.run, { "sleep", "60" })
    assert.is_nil(result)
    assert.equal("TIMEOUT", code)
    assert.is_true(zk.now() - began < 10)
  end)

  program("computes for long and keeps its session", function(servers, zk)
    local c = assert(zk.connect(servers, { session_timeout = 1 }))
    local id, stop_at, rounds = c:session().id, zk.now() + 1.5, 0
    while zk.now() < stop_at do
      for _ = 1, 10000 do rounds = rounds + 1 end
      assert(zk.pause())
    end
    assert(c:sync())
    assert.equal(id, c:session().id)
    assert(c:close())
  end)

  program("says which server is not there", function(_, zk)
    local nobody = "127.0.0.1:" .. apache.unused_port()
    local c, message, code = zk.connect(nobody, { timeout = 0.3 })
    assert.is_nil(c)
    assert.equal("TIMEOUT", code)
    assert.matches(nobody, message, 1, true)
    assert.matches("refused", message, 1, true)
  end)

  program("follows its connection", function(servers, zk)
    local c = assert(zk.connect(servers))
    local states, closed = {}, zk.event()
    c:on("state", function(state)
      states[#states + 1] = state
      if state == "closed" then closed:set() end
    end)
    assert.equal("connected", c:state())
    assert(c:close())
    assert.is_true(closed:wait(10))
    assert.equal("closed", states[#states])
    assert.equal("closed", c:state())
  end)

  program("hands its session to its successor", function(servers, zk)
    local old = assert(zk.connect(servers))
    assert(old:create("/lease", "kept", { ephemeral = true }))
    local session = old:session()
    local new = assert(zk.connect(servers, {
      session = { id = session.id, password = session.password },
    }))
    assert.equal(session.id, new:session().id)
    assert.equal(session.id, assert(new:exists("/lease")).ephemeral_owner)
    assert(new:close())
    old:close(0)
  end)

  program("is told what an expiry took, and goes on", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/mine", "", { ephemeral = true }))
    local expired, lost, before = zk.event(), nil, c:session().id
    c:on("expired", function(ephemerals)
      lost = ephemerals
      expired:set()
    end)

    expire(zk, servers, c)
    assert.is_true(expired:wait(20))
    assert.same({ "/mine" }, lost)
    assert.is_false((c:exists("/mine")))
    assert.not_equal(before, c:session().id)
    assert(c:close())
  end)

  program("would rather stop than go on with another session", function(servers, zk)
    local c = assert(zk.connect(servers, { on_expire = "stop" }))
    assert(c:create("/mine", "", { ephemeral = true }))
    local gone = zk.event()
    c:on("expired", function() gone:set() end)
    expire(zk, servers, c)
    assert.is_true(gone:wait(20))
    local data, _, code = c:get("/mine")
    assert.is_nil(data)
    assert.equal("SESSIONEXPIRED", code)
    assert.equal("expired", c:state())
    c:close()
  end)

  program("makes mistakes that are found at its own line", function(servers, zk)
    local c = assert(zk.connect(servers))
    local mistakes = {
      { "path", function() c:get(42) end },
      { "/", function() c:get("relative") end },
      { "data", function() c:set("/a", {}) end },
      { "tiemout", function() c:get("/a", { tiemout = 1 }) end },
      { "NONDOE", function() return zk.code.NONDOE end },
    }
    for _, mistake in ipairs(mistakes) do
      local ok, message = pcall(mistake[2])
      assert.is_false(ok)
      assert.matches("tasks_spec.lua:%d+: ", message)
      assert.matches(mistake[1], message, 1, true)
    end
    assert(c:close())
  end)

  program("is tested against a lost reply", function(_, zk)
    local server = zk.server()
    local c = assert(server:client())
    server:drop_reply(c, 1)
    local held = assert(c:lock("/l"):acquire()) -- found again, not taken twice
    assert.equal(1, #assert(c:children("/l")))
    assert(held:release())
    server:close()
  end)
end)

describe("a job lock", function()
  local zk = require("zklua")
  local server, a, b

  before_each(function()
    server = zk.server()
    a, b = assert(server:client()), assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  it("passes on when the holder's session dies", zk.test(function()
    local held = assert(a:lock("/l"):acquire())
    server:expire(a)
    assert.is_true(held.lost:wait(5))
    assert.is_false(held:valid())
    assert(b:lock("/l"):acquire({ wait = 1 }))
  end))
end)
