-- The line of contenders: lost replies, lost places, cancellation at every wait.
local company = require("support.company")
local dialect = require("zklua.recipes.dialect")
local Line = require("zklua.recipes.line")

describe("order in a line", function()
  for _, case in ipairs({
    { 7, 8, "before" },
    { 8, 7, "after" },
    { 2147483646, 2147483647, "before" },
    { 2147483647, -2147483648, "before" }, -- the counter of the server is 32 bits with a sign
    { -2147483648, 2147483647, "after" },
    { -1, 0, "before" },
  }) do
    it(("puts %d %s %d"):format(case[1], case[3], case[2]), function()
      assert.equal(case[3], Line.distance(case[1], case[2]) < 0 and "before" or "after")
    end)
  end
end)

describe("the shape of a name", function()
  for _, case in ipairs({
    { "_c_0a1b2c3d-0000-1111-2222-333344445555-lock-0000000007", "curator/lock", 7 },
    { "_c_00112233445566778899aabbccddeeff-lock-0000000007", "curator/lock", 7 }, -- Go
    { "lock-0000000003", "curator/lock", 3 },
    { "_c_x-__WRIT__0000000001", "curator/write", 1 },
    { "_c_x-__READ__0000000001", "curator/read", 1 },
    { "_c_x-latch-0000000001", "curator/latch", 1 },
    { "00112233445566778899aabbccddeeff__lock__0000000002", "kazoo/lock", 2 },
    { "00112233445566778899aabbccddeeff__rlock__0000000002", "kazoo/read", 2 },
    { "x-72057594037927936-0000000004", "apache/lock", 4 },
    { "n_0000000004", "apache/election", 4 },
    { "lock--2147483648", "curator/lock", -2147483648 },
    { "leases" },
    { "qn-0000000001" },
    { "lock-7" }, -- no number of the server's
    { "block0000000001" },
  }) do
    it(("of %s is %s"):format(case[1], case[2] or "none"), function()
      assert.same({ case[2], case[3] }, { dialect.shape(case[1]) })
    end)
  end

  it("is recognised in what each dialect makes itself", function()
    for _, name in ipairs({ "curator", "kazoo", "apache" }) do
      local id, suffix = dialect.new_name(dialect.words(name, "lock"), "lock")
      assert.equal(name .. "/lock", (dialect.shape(id .. suffix .. "0000000001")))
    end
  end)
end)

describe("a place in line", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
    assert(us.observer:ensure("/line"))
  end)

  after_each(function()
    us:finish()
  end)

  local function line_of(c)
    return Line.new(c, "/line", {})
  end

  local function soon()
    return zk.now() + 10
  end

  -- create: the reply that is lost is to a write that happened, or the request never arrives.
  for _, what in ipairs({ "lose_reply", "lose_request" }) do
    it("is one node when the create meets " .. what, function()
      local c, proxy = us:proxied()
      proxy[what](proxy, "create")
      local place = assert(line_of(c):join(soon()))
      assert.equal(1, proxy.hits)
      assert.same({ place.node.name }, us:children("/line"))
      assert.is_true(place:wait(soon(), true))
      assert(place:leave())
      us:has_children("/line", 0)
    end)

    it("is given up for good when the delete meets " .. what, function()
      local c, proxy = us:proxied()
      local place = assert(line_of(c):join(soon()))
      proxy[what](proxy, "delete")
      assert.is_true(place:leave())
      us:has_children("/line", 0)
      assert.equal(1, proxy.hits)
      assert.equal(place.node.life, c:lifetime())
    end)
  end

  it("is found again when replies are lost one after the other", function()
    local c, proxy = us:proxied()
    proxy:lose_reply("create")
    proxy:lose_reply("sync")
    proxy:lose_reply("children")
    proxy:lose_reply("exists")
    local place = assert(line_of(c):join(soon()))
    assert.equal(4, proxy.hits)
    assert.same({ place.node.name }, us:children("/line"))
  end)

  it("is not the node that an older session has left", function()
    local c, proxy = us:proxied({ session_timeout = 2 })
    local old = c:session().id
    proxy:lose_reply("create")
    proxy:refuse() -- applied, and no way back within the session's time
    local task = zk.spawn(function()
      return line_of(c):join(soon())
    end)
    us:eventually(function() return c:session().id ~= old end, "expiry by our own clock")
    local place, _, code = task:wait(10)
    assert.is_nil(place)
    assert.equal("SESSIONEXPIRED", code)
    proxy:refuse(false)
    us:has_children("/line", 0) -- the server expires it
  end)

  it("is kept over a broken connection", function()
    local ahead = assert(line_of(us:client()):join(soon()))
    local c, proxy = us:proxied()
    local place = assert(line_of(c):join(soon()))
    local task = zk.spawn(function()
      return place:wait(soon(), true)
    end)
    us:eventually(function() return (proxy.counts.get or 0) > 0 end)
    proxy:cut()
    us:eventually(function() return proxy.accepted == 2 end)
    assert.equal(2, #us:children("/line"))
    assert(ahead:leave())
    assert.is_true(task:wait(10))
    assert.same({ place.node.name }, us:children("/line"))
  end)

  it("comes to the front while the connection is away", function()
    local ahead = assert(line_of(us:client()):join(soon()))
    local c, proxy = us:proxied()
    local place = assert(line_of(c):join(soon()))
    local task = zk.spawn(function()
      return place:wait(soon(), true)
    end)
    us:eventually(function() return (proxy.counts.get or 0) > 0 end)
    proxy:refuse()
    proxy:cut()
    assert(ahead:leave())
    us:has_children("/line", 1)
    proxy:refuse(false)
    assert.is_true(task:wait(10))
  end)

  it("ends with the session", function()
    assert(line_of(us:client()):join(soon()))
    local c = us:client()
    local place = assert(line_of(c):join(soon()))
    local task = zk.spawn(function()
      return place:wait(soon(), true)
    end)
    assert(zk.sleep(0.05))
    us:expire(c)
    local front, _, code = task:wait(10)
    assert.is_nil(front)
    assert.equal("SESSIONEXPIRED", code)
    us:has_children("/line", 1)
  end)

  it("is lost when somebody deletes it", function()
    local ahead = assert(line_of(us:client()):join(soon()))
    local place = assert(line_of(us:client()):join(soon()))
    local task = zk.spawn(function()
      return place:wait(soon(), true)
    end)
    assert(zk.sleep(0.1))
    assert(us.observer:delete("/line/" .. place.node.name))
    assert(ahead:leave())
    local front, message, code = task:wait(10)
    assert.is_nil(front)
    assert.equal("LOST", code)
    assert.matches(place.node.name, message, 1, true)
  end)

  it("gets rid of a second node of ours that arrives late", function()
    local c = us:client()
    local ahead = assert(line_of(us:client()):join(soon()))
    local place = assert(line_of(c):join(soon()))
    assert(c:create("/line/" .. place.node.id .. "lock-", "",
      { ephemeral = true, sequential = true }))
    place.node.unsure = true -- as after a create whose reply was lost
    local task = zk.spawn(function()
      return place:wait(soon(), true)
    end)
    us:has_children("/line", 2)
    assert(ahead:leave())
    assert.is_true(task:wait(10))
    assert.same({ place.node.name }, us:children("/line"))
  end)

  it("takes a late second node with it when it leaves from the front", function()
    local c = us:client()
    local place = assert(line_of(c):join(soon()))
    assert(c:create("/line/" .. place.node.id .. "lock-", "",
      { ephemeral = true, sequential = true }))
    place.node.unsure = true -- as after a create whose reply was lost
    assert.is_true(place:wait(soon(), true))
    assert(place:leave())
    us:has_children("/line", 0)
  end)

  it("does not wait behind somebody who leaves in the middle", function()
    local first = assert(line_of(us:client()):join(soon()))
    local middle = assert(line_of(us:client()):join(soon()))
    local last = assert(line_of(us:client()):join(soon()))
    local task = zk.spawn(function()
      return last:wait(soon(), true)
    end)
    assert(middle:leave())
    assert(zk.sleep(0.05))
    assert.is_false(task:done())
    assert(first:leave())
    assert.is_true(task:wait(10))
  end)

  it("refuses a line in which another dialect stands", function()
    assert(us.observer:create("/line/0011__lock__", "", { sequential = true }))
    local place = assert(line_of(us:client()):join(soon()))
    local front, message, code = place:wait(soon(), true)
    assert.is_nil(front)
    assert.equal("FOREIGN", code)
    assert.matches("0011__lock__0000000000", message, 1, true)
    us:has_children("/line", 1)
  end)

  it("counts another dialect when it is told to", function()
    local foreign = assert(us.observer:create("/line/0011__lock__", "", { sequential = true }))
    local c = us:client()
    local line = Line.new(c, "/line", { sees = { "kazoo" } })
    local front, name = assert(line:join(soon())):wait(zk.now() + 0.1, true)
    assert.is_false(front)
    assert.equal("/line/" .. name, foreign)
  end)

  -- Each point at which a task that takes a place waits for the server.
  for _, point in ipairs({
    { "request", "create" }, { "reply", "create" }, { "request", "children" },
    { "reply", "children" }, { "request", "get" }, { "reply", "get" },
  }) do
    for _, ending in ipairs({ "CANCELLED", "TIMEOUT" }) do
      local name = ("leaves nothing when %s comes at the %s of %s"):format(ending, point[1],
        point[2])
      it(name, function()
        assert(line_of(us:client()):join(soon()))
        local c, proxy = us:proxied()
        proxy["hold_" .. point[1]](proxy, point[2])
        local deadline = ending == "TIMEOUT" and zk.now() + 0.2 or soon()
        local line = line_of(c)
        local task = zk.spawn(function()
          local place, message, code = line:join(deadline)
          if not place then
            return nil, message, code
          end
          return place:wait(deadline, true)
        end)
        us:eventually(function() return proxy.hits == 1 end, "the point")
        if ending == "CANCELLED" then
          task:cancel()
        end
        local result, _, code = task:wait(5)
        if ending == "TIMEOUT" and result == false then
          code = "TIMEOUT" -- we know already who is in front: BUSY to the user
        end
        assert.equal(ending, code)
        proxy:resume()
        us:eventually(function() return #assert(c:ephemerals()) == 0 end)
        us:has_children("/line", 1)
      end)
    end
  end
end)
