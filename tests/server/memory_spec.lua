--- The limit of memory: each kind of thing has its share, and a flood of one kind leaves the
--- others alone.
local host = require("server.host")

local MIB = 1024 * 1024

describe("a limit of memory", function()
  local h, other
  before_each(function()
    h = host.new({ memory_max = 32 * MIB, timeout_max = 600000, commands = "ruok" })
    other = h:attach()
    assert.are.equal("OK", other:code("create", { path = "/a", data = "1", acl = host.OPEN_ACL }))
  end)
  after_each(function()
    h:free()
  end)

  local function count()
    return h.server:count()
  end

  --- Whoever was there before the flood goes on with all that he may do.
  local function others_do_not_notice()
    assert.are.equal("OK", other:code("create", { path = "/b", data = ("x"):rep(100000),
      acl = host.OPEN_ACL }))
    assert.are.equal("1", other:ask("get", { path = "/a" }).result.data)
    assert.are.equal("OK", other:code("set", { path = "/a", data = "2", version = -1 }))
    assert.are.equal("OK", other:code("delete", { path = "/b", version = -1 }))
    assert.is_true(count().memory_bytes < 32 * MIB)
  end

  local function is_last_news(kind)
    local news = h:news()
    assert.are.equal(kind, news[#news])
  end

  it("refuses nodes by an error, and lets everything else be", function()
    local code, number = "OK", 0
    while code == "OK" do
      number = number + 1
      assert.is_true(number < 400)
      code = other:code("create", { path = "/n" .. number, data = ("x"):rep(100000),
        acl = host.OPEN_ACL })
    end
    assert.are.equal("QUOTAEXCEEDED", code)
    assert.is_true(count().memory_bytes > 20 * MIB)
    local late = h:attach()
    assert.are.equal("OK", late:code("exists", { path = "/a", watch = true }))
    assert.are.equal("OK", late:code("delete", { path = "/n1", version = -1 }))
    assert.are.equal("OK", late:code("delete", { path = "/n2", version = -1 }))
    others_do_not_notice()
  end)

  it("takes as many small nodes again as were deleted", function()
    h:free()
    h = host.new({ memory_max = MIB })
    other = h:attach()
    local answer, number = "OK", 0
    local function create(path, data)
      other:create(path, { data = data })
      h:settle()
      return other:brief()[1]:match(" (.*)$")
    end
    while answer == "OK" do
      number = number + 1
      assert.is_true(number < 10000)
      answer = create(("/n%06d"):format(number), ("x"):rep(100))
    end
    assert.are.equal("QUOTAEXCEEDED", answer)
    local full = count().memory_bytes
    for i = 1, 100 do
      assert.are.equal("OK", other:code("delete", { path = ("/n%06d"):format(i), version = -1 }))
    end
    for i = 1, 100 do
      assert.are.equal("OK", create(("/m%06d"):format(i), ("y"):rep(100)))
    end
    assert.are.equal("QUOTAEXCEEDED", create("/m000101", ("y"):rep(100)))
    assert.are.equal("QUOTAEXCEEDED", other:code("set", { path = "/m000001", version = -1,
      data = ("z"):rep(300) }))
    assert.are.equal("OK", other:code("delete", { path = "/m000002", version = -1 }))
    assert.are.equal("OK", other:code("set", { path = "/m000001", version = -1,
      data = ("z"):rep(104) })) -- the block that has just become free
    assert.is_true(count().memory_bytes <= full + 10000)
  end)

  it("cuts off who floods it with sessions", function()
    local c
    for _ = 1, 40000 do
      c = assert(h:connect())
      c:handshake({ timeout_ms = 600000 })
      h:settle()
      if c.gone then
        break
      end
      c:close()
    end
    assert.are.equal("at once", c.gone)
    is_last_news("nomem")
    assert.is_true(count().sessions > 5000)
    assert.are.equal("OK", other:code("get", { path = "/a", watch = true }))
    others_do_not_notice()
    h:after(700000)
    assert.are.equal(0, count().sessions)
    assert.is_truthy(h:attach())
  end)

  it("lets go on who has a session, although no other may be opened", function()
    local c = h:attach()
    while not c.gone do
      c:close()
      c = assert(h:connect())
      c:handshake()
      h:settle()
    end
    local again = assert(h:connect())
    again:handshake({ session_id = other.session, password = other.password })
    h:settle()
    assert.are.equal(other.session, again:receive()[1].session)
    other = again
    others_do_not_notice()
  end)

  it("refuses watches by an error, and keeps those that there are", function()
    local c, number = h:attach(), 0
    local answer = "OK"
    while answer == "OK" or answer == "NONODE" do
      number = number + 1
      assert.is_true(number < 40000)
      c:send("exists", { path = "/w" .. number, watch = true }, 1)
      answer = c:brief()[1]:match("^1 (.*)$")
    end
    assert.are.equal("QUOTAEXCEEDED", answer)
    assert.are.equal(number - 1, count().watches)
    assert.is_true(number > 5000)
    assert.are.equal("QUOTAEXCEEDED", c:code("add_watch", { path = "/x", kind = 1 }))
    assert.are.equal("QUOTAEXCEEDED", c:code("get", { path = "/a", watch = true }))
    assert.are.equal("1", c:ask("get", { path = "/a" }).result.data)
    assert.are.equal("NONODE", c:code("exists", { path = "/w1", watch = true })) -- it has that one
    others_do_not_notice()
    assert.is_truthy(h:attach())
    assert.are.equal("OK", other:code("create", { path = "/w1", data = "", acl = host.OPEN_ACL }))
    assert.are.same({ "event created /w1" }, c:brief())
    assert.are.equal("OK", c:code("get", { path = "/a", watch = true }))
  end)

  it("turns connections away when there are too many of them", function()
    local list, number, status = {}, nil, nil
    repeat
      number, status = h:connect()
      list[#list + 1] = number
      assert.is_true(#list < 40000)
    until not number
    assert.are.equal("NOMEM", status)
    assert.is_true(#list > 4000)
    is_last_news("nomem")
    for i = 1, 100 do -- all at once, so that each needs a buffer of its own
      list[i].stuck = true
      list[i]:feed("ruok")
    end
    for i = 1, 100 do
      list[i]:take_output()
      assert.are.equal("imok", list[i].bytes)
    end
    others_do_not_notice()
    for i = 101, 2100 do
      list[i]:close()
    end
    assert.is_truthy(h:connect())
  end)

  it("cuts off who sends the beginnings of requests on many connections", function()
    local beginning = host.request_frame(1, host.op.create, { path = "/x", acl = host.OPEN_ACL,
      data = ("x"):rep(1000000) }):sub(1, 900000)
    local list, cut = {}, 0
    for i = 1, 40 do
      list[i] = h:attach()
      list[i]:feed(beginning)
      cut = cut + (list[i].gone and 1 or 0)
    end
    assert.is_true(cut > 20 and cut < 40)
    is_last_news("nomem")
    others_do_not_notice()
    for i = 1, 40 do
      if not list[i].gone then
        list[i]:close()
      end
    end
    local c = h:attach()
    c:expect(1, host.op.create)
    c:feed(host.request_frame(1, host.op.create, { path = "/x", acl = host.OPEN_ACL,
      data = ("x"):rep(1000000) }))
    h:settle()
    assert.are.same({ "1 OK" }, c:brief())
  end)

  it("cuts off who does not read what they asked for, on many connections", function()
    assert.are.equal("OK", other:code("create", { path = "/large", data = ("x"):rep(500000),
      acl = host.OPEN_ACL }))
    local cut = 0
    for _ = 1, 40 do
      local c = h:attach()
      c.stuck = true
      for _ = 1, 4 do
        c:get("/large")
      end
      h:drain()
      cut = cut + (c.gone and 1 or 0)
    end
    assert.is_true(cut > 20, tostring(cut))
    others_do_not_notice()
    assert.are.equal(500000, #other:ask("get", { path = "/large" }).result.data)
  end)

  it("holds requests back that wait for the disk, and answers all of them", function()
    local list = {}
    for i = 1, 20 do
      list[i] = h:attach()
    end
    for i, c in ipairs(list) do
      for j = 1, 4 do -- more than 2 MiB of them in all
        c:create(("/s%d-%d"):format(i, j), { data = ("x"):rep(50000) })
      end
    end
    assert.is_true(h:log() < 60)
    assert.is_true(count().memory_bytes < 32 * MIB)
    h:settle()
    for _, c in ipairs(list) do
      assert.are.equal(4, #c:receive())
    end
  end)

  it("lets in whole what comes from disk", function()
    h:free()
    h = host.new({ memory_max = 32 * MIB })
    other = h:attach()
    other:code("create", { path = "/a", data = "1", acl = host.OPEN_ACL })
    local small = require("zklua_testing").server.new({ now = host.NOW, wall = host.WALL,
      tick = 2000, seed = 8, memory_max = 64 * 1024, secret = ("s"):rep(20) })
    small:set_time(host.NOW, host.WALL)
    for _, payload in ipairs(h.payloads) do
      assert(small:replay(payload))
    end
    small:start()
    assert.are.equal(h.server:count().nodes, small:count().nodes)
    assert.are.equal(1, small:count().sessions)
    assert.are.equal(0, small:free().bytes)
  end)
end)
