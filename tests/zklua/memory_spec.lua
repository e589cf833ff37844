-- "memory:", the server inside the process, as programs meet it.
local core = require("zklua.core")
local facades = require("zklua.facade")
local runtimes = require("zklua.runtime")
local uv = require("luv")

describe("memory:", function()
  local zk

  before_each(function()
    zk = facades.new(runtimes.new({ log = function() end }))
  end)

  after_each(function()
    zk.runtime:close(1)
  end)

  local function connect(options, chroot)
    return assert(zk.connect("memory:" .. (chroot or ""), options))
  end

  local function server()
    return zk.runtime:memory()
  end

  it("serves every operation", function()
    local c = connect()
    local path, stat = assert(c:create("/a", "x"))
    assert.equal("/a", path)
    assert.equal(0, stat.version)
    assert.same({ "x", stat }, { c:get("/a") })
    assert.equal(1, assert(c:set("/a", "y", { version = 0 })).version)
    assert.equal("BADVERSION", select(3, c:set("/a", "z", { version = 0 })))
    assert.equal("NODEEXISTS", select(3, c:create("/a")))
    assert.matches("%-0000000000$", assert(c:create("/a/b-", "", { sequential = true })))
    assert.equal("NOTEMPTY", select(3, c:delete("/a")))
    assert(c:create("/ttl", "", { ttl = 60 }))
    assert(c:create("/container", "", { container = true }))
    assert.same({ "a", "container", "ttl", "zookeeper" }, c:children("/"))
    assert(c:transaction():check("/a", { version = 1 }):delete("/ttl"):create("/t", "1"):commit())
    assert.is_false(c:exists("/ttl"))
    assert(c:delete("/a", { recursive = true }))
  end)

  it("is one server for all clients of a runtime, and of that runtime only", function()
    local a, b = connect(), connect()
    assert(a:create("/shared", "here"))
    assert.equal("here", (assert(b:get("/shared"))))

    local other = facades.new(runtimes.new())
    local c = assert(other.connect("memory:"))
    assert.is_false(c:exists("/shared"))
    assert(c:close())
  end)

  it("takes a chroot", function()
    assert(connect():create("/app"))
    assert(connect(nil, "/app"):create("/inside", "x"))
    assert.equal("x", (assert(connect():get("/app/inside"))))
  end)

  it("keeps identities and access lists", function()
    local c = connect({ auth = { { "digest", "ann:secret" } } })
    assert(c:create("/hers", "x", { acl = "creator" }))
    assert.equal("NOAUTH", select(3, connect():get("/hers")))
    assert.equal("x", (assert(c:get("/hers"))))
    assert.equal(core.digest_id("ann", "secret"), assert(c:get_acl("/hers"))[1].id)
  end)

  it("tells watchers, in the order of things", function()
    local a, b = connect(), connect()
    local watch = assert(a:watch("/w", { recursive = true }))
    assert(b:create("/w", "1"))
    assert(b:set("/w", "2"))
    assert(b:delete("/w"))
    local seen = {}
    for event in watch do
      seen[#seen + 1] = event.type .. " " .. event.path
      if #seen == 3 then
        break
      end
    end
    assert.same({ "created /w", "changed /w", "deleted /w" }, seen)
  end)

  it("lends a lock to one of two clients", function()
    local a, b = connect(), connect()
    local held = assert(a:lock("/l"):acquire())
    local message, code = select(2, b:lock("/l"):acquire({ wait = 0.02 }))
    assert.equal("BUSY", code, message)
    local waiting = zk.spawn(function()
      return assert(b:lock("/l"):acquire({ wait = 10 }))
    end)
    zk.sleep(0.01)
    assert.is_false(waiting:done())
    assert(held:release())
    local next_held = assert(waiting:wait(5))
    assert.is_true(next_held.token > held.token)
  end)

  it("goes on with a session after its connection was cut", function()
    local c = connect()
    local id = c:session().id
    assert(c:create("/mine", "", { ephemeral = true }))
    local watch = assert(c:watch("/mine"))
    local states = {}
    c:on("state", function(state)
      states[#states + 1] = state
    end)
    server():cut()
    assert.equal(id, assert(c:exists("/mine")).ephemeral_owner)
    assert.equal(id, c:session().id)
    assert(connect():set("/mine", "new"))
    local event
    repeat -- the gap that every reconnection is, then the change
      event = assert(watch:next(5))
    until event.type ~= "gap"
    assert.equal("changed", event.type)
    assert.same({ "disconnected", "connected" }, states)
  end)

  it("ends a session when it is asked to, and only then", function()
    local c = connect({ session_timeout = 0.05, on_expire = "stop" })
    local other = connect()
    assert(c:create("/mine", "", { ephemeral = true }))
    local id = c:session().id
    local began = core.now()
    while core.now() - began < 0.2 do -- the client is kept from everything, pings too
      uv.sleep(10)
    end
    assert.is_truthy(other:exists("/mine"))
    assert.is_true(server():expire(id))
    assert.is_false(server():expire(id))
    assert.is_false(other:exists("/mine"))
    assert.equal("SESSIONEXPIRED", select(3, c:get("/")))
  end)

  it("renews a client whose session was ended", function()
    local c = connect()
    local lost
    c:on("expired", function(paths)
      lost = paths
    end)
    assert(c:create("/mine", "", { ephemeral = true }))
    local old = c:session().id
    assert.is_true(server():expire(old))
    assert.equal("SESSIONEXPIRED", select(3, c:exists("/mine"))) -- it was asked in the old one
    assert.is_false(c:exists("/mine"))
    assert.are_not.equal(old, c:session().id)
    zk.sleep(0)
    assert.same({ "/mine" }, lost)
  end)

  it("ends sessions that are closed, and lets go of their connections", function()
    local keeper = connect()
    local before = server().core:info()
    local clients = {}
    for i = 1, 100 do
      clients[i] = connect()
      assert(clients[i]:create("/e" .. i, "", { ephemeral = true }))
    end
    for i = 1, 100 do
      assert(clients[i]:close())
    end
    assert.same({ "zookeeper" }, keeper:children("/"))
    local after = server().core:info()
    assert.same({ before.sessions, before.connections, 0 },
      { after.sessions, after.connections, after.ephemerals })
  end)

  it("serves many tasks at once", function()
    local c = connect()
    assert(c:create("/n", "0"))
    zk.group(function(group)
      for _ = 1, 2000 do
        group:spawn(function()
          assert(c:get("/n"))
          assert(c:set("/n", "1"))
        end)
      end
    end)
    assert.equal(2000, select(2, assert(c:get("/n"))).version)
  end)

  it("does not starve timers and sockets", function()
    local c = connect()
    local ticks = 0
    local timer = uv.new_timer()
    timer:start(1, 1, function()
      ticks = ticks + 1
    end)
    local began, gets = core.now(), 0
    while ticks < 5 and core.now() - began < 20 do
      assert(c:get("/"))
      gets = gets + 1
    end
    timer:close()
    zk.sleep(0) -- luv wants to be told of it before the state ends
    assert.is_true(ticks >= 5)
    assert.is_true(gets > 5)
  end)

  it("stops reading whom it has much to tell, and goes on", function()
    local c = connect()
    local large = ("0123456789abcdef"):rep(50000) -- 800,000 bytes
    assert(c:create("/large", large))
    zk.group(function(group)
      for _ = 1, 60 do -- 48 MB at once; the server keeps 4 MiB, and closes who makes it 16
        group:spawn(function()
          assert.is_true(large == assert(c:get("/large")))
        end)
      end
    end)
  end)
end)
