local world = require("client.world")

local op = world.op
local ACL = world.OPEN_ACL

--- Creates with fields changed.
local function create(fields)
  local request = { op = op.create, path = "/a", data = "d", acl = ACL }
  for name, value in pairs(fields) do
    request[name] = value
  end
  return request
end

describe("a request", function()
  local w
  before_each(function()
    w = world.new()
  end)
  after_each(function()
    w:free()
  end)

  local wrong = {
    { "no path", { op = op.get } },
    { "an empty path", { op = op.get, path = "" } },
    { "a relative path", { op = op.exists, path = "a" } },
    { "a path that ends with a slash", { op = op.delete, path = "/a/" } },
    { "a path with NUL", { op = op.set, path = "/a\0b" } },
    { "a path with dots", { op = op.children, path = "/a/../b" } },
    { "no ACL", create({ acl = {} }) },
    { "a null ACL", create({ acl = false }) },
    { "an ACL of none for setACL", { op = op.set_acl, path = "/a", acl = {} } },
    { "create with the flags of a container", create({ flags = 4 }) },
    { "create with the flags of a TTL", create({ flags = 5 }) },
    { "create with unknown flags", create({ flags = 7 }) },
    { "create with negative flags", create({ flags = -1 }) },
    { "create2 with the flags of a container", create({ op = op.create2, flags = 4 }) },
    { "a container with other flags", create({ op = op.container, flags = 0 }) },
    { "a TTL node with other flags", create({ op = op.ttl, flags = 0, ttl_ms = 5 }) },
    { "a TTL node with other flags and a negative TTL",
      create({ op = op.ttl, flags = 0, ttl_ms = "0xffffffffffffffff" }) },
    { "a TTL of nothing", create({ op = op.ttl, flags = 5, ttl_ms = 0 }) },
    { "a TTL below nothing", create({ op = op.ttl, flags = 5, ttl_ms = -1 }) },
    { "a TTL too long", create({ op = op.ttl, flags = 6, ttl_ms = "0x10000000000" }) },
    { "a trailing slash that nobody completes", create({ path = "/a/", flags = 0 }) },
    { "a lone check", { op = op.check, path = "/a", version = 1 } },
    { "removeWatches", { op = op.remove_watches, path = "/a", kind = 3 } },
    { "a ping", { op = op.ping } },
    { "setWatches", { op = op.set_watches } },
    { "setWatches2", { op = op.set_watches2 } },
    { "closeSession", { op = op.close } },
    { "sasl", { op = op.sasl, data = "x" } },
    { "an unknown operation", { op = 77, path = "/a" } },
    { "a notification", { op = 0 } },
    { "deleteContainer", { op = 20, path = "/a" } },
    { "a watch of an unknown mode", { op = op.add_watch, path = "/a", kind = 2 } },
    { "checkWatches of an unknown type", { op = op.check_watches, path = "/a", kind = 6 } },
    { "a credential without a scheme", { op = op.auth, data = "x" } },
    { "a multi with a read inside", { op = op.multi, operations = { { op = 4, path = "/a" } } } },
    { "a multiRead with a write inside",
      { op = op.multi_read, operations = { { op = 2, path = "/a" } } } },
    { "a multi with a bad path", { op = op.multi, operations = { { op = 2, path = "a" } } } },
    { "a multi with bad flags", { op = op.multi, operations = { create({ flags = 4 }) } } },
    { "a multi with a null list", { op = op.multi, operations = false } },
  }
  for _, case in ipairs(wrong) do
    it("with " .. case[1] .. " is refused", function()
      assert.are.same({ nil, "ARGUMENT" }, { w:submit(case[2]) })
      assert.are.equal(0, w.client:info().pending)
    end)
  end

  it("is fine with a trailing slash that the server completes", function()
    assert(w:submit(create({ path = "/a/", flags = 2 })))
    assert(w:submit(create({ op = op.ttl, path = "/a/", flags = 6, ttl_ms = 1 })))
    assert(w:submit(create({ op = op.ttl, flags = 5, ttl_ms = "0xffffffffff" })))
  end)

  it("waits for a connection, or says that there is none", function()
    assert.are.same({ nil, "OFFLINE" }, { w:get("/a", false, { fail_fast = true }) })
    assert(w:get("/a"))
    w:attach()
    assert.are.equal(1, #w:take())
    assert(w:get("/a", false, { fail_fast = true }))
  end)

  it("carries the chroot to the server", function()
    w:free()
    w = world.new({ chroot = "/app" })
    w:attach()
    local cases = {
      { { op = op.get, path = "/a" }, "/app/a" },
      { { op = op.get, path = "/" }, "/app" },
      { { op = op.get, path = "/zookeeper/config" }, "/zookeeper/config" },
      { { op = op.exists, path = "/zookeeper/config" }, "/app/zookeeper/config" },
      { { op = op.delete, path = "/", version = -1 }, "/" },
      { { op = op.delete, path = "/a", version = -1 }, "/app/a" },
      { { op = op.ephemerals, path = "/" }, "/app" },
      { create({ path = "/", flags = 2 }), "/app/" },
      { create({ path = "/x" }), "/app/x" },
    }
    for _, case in ipairs(cases) do
      assert(w:submit(case[1]))
      assert.are.equal(case[2], w:take()[1].request.path)
    end
  end)

  it("is limited in size", function()
    w:free()
    w = world.new({ request_size_max = 1000 })
    -- header 8, path 2 + 4, data 4, acl 4 + 23, flags 4: the rest is data
    local most = 1000 - 8 - 6 - 4 - 27 - 4
    assert(w:submit(create({ data = ("d"):rep(most) })))
    assert.are.same({ nil, "LIMIT" }, { w:submit(create({ data = ("d"):rep(most + 1) })) })
    assert.are.same({ nil, "LIMIT" },
      { w:submit({ op = op.auth, scheme = "digest", data = ("d"):rep(1000) }) })
  end)

  it("is limited in number", function()
    w:free()
    w = world.new({ pending_max = 3 })
    for i = 1, 3 do
      assert.are.equal(i, w:get("/a"))
    end
    assert.are.same({ nil, "LIMIT" }, { w:get("/a") })
    w:attach()
    w:answer_all()
    w:drain()
    assert.are.equal(4, w:get("/a"))
  end)

  it("is limited in the bytes that wait", function()
    w:free()
    w = world.new({ output_size_max = 1000 })
    local count = 0
    while w:get("/a") do
      count = count + 1
    end
    assert.are.equal(math.floor(1000 / 19), count)
    assert.are.same({ nil, "LIMIT" }, { w:get("/a") })
    w:attach()
    w:take()
    assert(w:get("/a"))
  end)

  it("waits within its limits also when others around it give up", function()
    w:free()
    w = world.new({ output_size_max = 20000 })
    w:attach()
    -- The driver is in the middle of writing this one: it has to stay where it is.
    assert(w:submit(create({ data = "shown" })))
    local shown, address = w.client:output(w.link)
    local kept = {}
    for i = 1, 12000 do
      local deadline = i % 300 ~= 0 and w.now + 1 or nil
      local xid = assert(w:submit(create({ data = ("d"):rep(50) }), { deadline = deadline }))
      kept[#kept + 1] = not deadline and xid or nil
      if i % 100 == 0 then
        w:after(2)
        w:drain()
        w:feed(world.watch_frame(3, "/alive"))
        w:drain()
      end
    end
    assert.are.equal(41, w.client:info().pending)
    assert.is_true(w.client:memory().bytes < 500000)
    local same, still = w.client:output(w.link)
    assert.are.equal(address, still)
    assert.are.equal(shown, same:sub(1, #shown))
    local taken = w:take()
    for i, xid in ipairs(kept) do
      assert.are.equal(xid, taken[i + 1].xid)
      assert.are.equal(("d"):rep(50), taken[i + 1].request.data)
    end
  end)
end)

describe("the xid", function()
  it("goes from 2147483647 to 1", function()
    local w = world.new()
    w:attach()
    w.client:set_next_xid(2147483645)
    local expected = { 2147483645, 2147483646, 2147483647, 1, 2 }
    for _, xid in ipairs(expected) do
      assert.are.equal(xid, w:get("/a"))
    end
    for i, taken in ipairs(w:take()) do
      assert.are.equal(expected[i], taken.xid)
      w:answer(taken)
    end
    for i, event in ipairs(w:drain()) do
      assert.are.equal(expected[i], event.xid)
      assert.are.equal("OK", event.code)
    end
    w:free()
  end)
end)
