local unpack = table.unpack or unpack
local prepared = require("server.prepared")

local create, delete, set, multi = prepared.create, prepared.delete, prepared.set, prepared.multi

local LIMITS, STATS = "/zookeeper_limits", "/zookeeper_stats"

--- What makes a quota of `path`, as Apache's shell does it.
local function quota(path, limits)
  local requests, at = {}, "/zookeeper/quota"
  for name in path:gmatch("/[^/]+") do
    at = at .. name
    requests[#requests + 1] = create(at)
  end
  requests[#requests + 1] = create(at .. LIMITS, { data = limits })
  requests[#requests + 1] = create(at .. STATS, { data = "count=0,bytes=0" })
  return unpack(requests)
end

local function used(world, path)
  world.core:commit()
  return world.core:node("/zookeeper/quota" .. path .. STATS).data
end

describe("the use of a subtree", function()
  it("is counted when its quota is made, the top of it too", function()
    local world = prepared.new()
    world:made(create("/q", { data = "four" }), create("/q/a", { data = "x" }), create("/q/a/b"),
      create("/quite-another", { data = "x" }))
    world:made(quota("/q", "count=-1,bytes=-1"))
    assert.are.equal("count=3,bytes=5", used(world, "/q"))
    world:free()
  end)

  it("follows creates, deletes and setData, also those of a multi and of a session", function()
    local world = prepared.new()
    world:made(create("/q"))
    world:made(quota("/q", "count=-1,bytes=-1"))
    world:made(create("/q/a", { data = "12" }), create("/other", { data = "123" }))
    assert.are.equal("count=2,bytes=2", used(world, "/q"))
    world:made(set("/q/a", "12345"), set("/q", "1"), set("/other", ""))
    assert.are.equal("count=2,bytes=6", used(world, "/q"))
    world:made(multi(create("/q/b", { data = "bb" }), set("/q/b", ""), delete("/q/a")))
    assert.are.equal("count=2,bytes=1", used(world, "/q"))
    world:made(create("/q/e", { flags = 1, data = "eph" }))
    assert.are.equal("count=3,bytes=4", used(world, "/q"))
    world.core:close(1)
    assert.are.equal("count=2,bytes=1", used(world, "/q"))
    world:free()
  end)

  it("moves neither version nor zxid nor digest", function()
    local world = prepared.new()
    world:made(create("/q"))
    world:made(quota("/q", "count=-1,bytes=-1"))
    world.core:commit()
    local path = "/zookeeper/quota/q" .. STATS
    local before = world.core:node(path).stat
    world:made(create("/q/a"))
    world.core:commit() -- which compares the digests
    assert.are.same(before, world.core:node(path).stat)
    world:free()
  end)

  it("belongs to the deepest quota alone", function()
    local world = prepared.new()
    world:made(create("/q"), create("/q/in"))
    world:made(quota("/q", "count=-1,bytes=-1"))
    world:made(create("/zookeeper/quota/q/in"),
      create("/zookeeper/quota/q/in" .. LIMITS, { data = "count=-1,bytes=-1" }),
      create("/zookeeper/quota/q/in" .. STATS, { data = "" }))
    world:made(create("/q/in/a"), create("/q/x"))
    assert.are.equal("count=3,bytes=0", used(world, "/q"))
    assert.are.equal("count=2,bytes=0", used(world, "/q/in"))
    world:free()
  end)

  it("is as a client sets it, and goes on from there", function()
    local world = prepared.new()
    world:made(create("/q"))
    world:made(quota("/q", "count=-1,bytes=-1"))
    world:made(set("/zookeeper/quota/q" .. STATS, "count=70,bytes=7"), create("/q/a"))
    assert.are.equal("count=71,bytes=7", used(world, "/q"))
    world:free()
  end)

  for _, enforced in ipairs({ false, true }) do
    it("wraps as Java's numbers do" .. (enforced and ", where it is enforced" or ""), function()
      local world = prepared.new({ enforce_quota = enforced })
      world:made(create("/q"))
      world:made(quota("/q", "count=-1,bytes=-1=;byteHardLimit=9;countHardLimit=9"))
      world:made(set("/zookeeper/quota/q" .. STATS,
        "count=9223372036854775807,bytes=9223372036854775807"))
      world:made(create("/q/a", { data = "x" }))
      assert.are.equal("count=-9223372036854775808,bytes=-9223372036854775808", used(world, "/q"))
      world:made(delete("/q/a"))
      assert.are.equal("count=9223372036854775807,bytes=9223372036854775807", used(world, "/q"))
      world:free()
    end)
  end

  it("stays when the limits are gone", function()
    local world = prepared.new()
    world:made(create("/q"))
    world:made(quota("/q", "count=-1,bytes=-1"))
    world:made(delete("/zookeeper/quota/q" .. LIMITS), create("/q/a"))
    assert.are.equal("count=1,bytes=0", used(world, "/q"))
    world:free()
  end)

  it("is counted anew at a start", function()
    local core = require("zklua_testing").prep.new({ seed = 1, wall = 1, now = 1 })
    local function node(path, data)
      return { path = path, data = data or "", acl = -1 }
    end
    assert.are.equal("OK", core:restore({
      zxid = 5, digest_zxid = 4,
      nodes = {
        node(""), node("/a"), node("/a/q", "xx"), node("/a/q/r", "y"), node("/zookeeper"),
        node("/zookeeper/quota"), node("/zookeeper/quota/a"), node("/zookeeper/quota/a/q"),
        node("/zookeeper/quota/a/q" .. LIMITS, "count=5,bytes=5"),
        node("/zookeeper/quota/a/q" .. STATS, "no such text"),
      },
    }))
    core:start()
    assert.are.equal("count=2,bytes=3", core:node("/zookeeper/quota/a/q" .. STATS).data)
    core:free()
  end)

  it("is put right when a text found no memory", function()
    local world = prepared.new()
    world:made(create("/q"), create("/q/a"))
    world:made(quota("/q", "count=-1,bytes=-1"))
    world.core:commit()
    world:heard() -- from here on answers have the memory they need
    world:made(create("/q/b"), create("/q/c", { data = "four" }))
    world.core:exhaust()
    world.core:commit()
    world.core:relieve()
    assert.are.equal("count=2,bytes=0", used(world, "/q")) -- as it was
    world:made(set("/q/c", ""), set("/q", "12"))
    assert.are.equal("count=4,bytes=2", used(world, "/q"))
    assert.are.equal(0, world:free().bytes)
  end)
end)

describe("a text that Apache could not read back", function()
  for _, case in ipairs({
    { "limits", create("/zookeeper/quota/q" .. LIMITS, { data = "many" }) },
    { "usage", create("/zookeeper/quota/q" .. STATS, { data = "count=x" }) },
    { "null", create("/zookeeper/quota/q" .. LIMITS, { data = false }) },
    { "a quota of nothing", create("/zookeeper/quota" .. LIMITS, { data = "count=1,bytes=1" }) },
  }) do
    it("is refused: " .. case[1], function()
      local world = prepared.new()
      world:made(create("/zookeeper/quota/q"))
      if case[2].data == false then
        case[2].data = nil
      end
      assert.are.equal(-8, (world:ask(case[2])))
      assert.are.equal(-8, (world:ask(multi(case[2]))))
      world:free()
    end)
  end

  it("is refused in a setData, before the node is looked for", function()
    local world = prepared.new()
    assert.are.equal(-8, (world:ask(set("/zookeeper/quota/q" .. STATS, "?"))))
    assert.are.equal(-101, (world:ask(set("/zookeeper/quota/q" .. STATS, "count=1,bytes=1"))))
    world:free()
  end)

  it("may stand elsewhere", function()
    local world = prepared.new()
    world:made(create("/zookeeper_limits", { data = "many" }), create("/zookeeper/quotas"),
      create("/zookeeper/quotas/zookeeper_stats", { data = "many" }))
    world:free()
  end)
end)

describe("a quota that is enforced", function()
  local function with(limits)
    local world = prepared.new({ enforce_quota = true })
    world:made(create("/q", { data = "123" }))
    world:made(quota("/q", limits))
    world.core:commit()
    return world
  end

  it("is for hard limits only", function()
    local world = with("count=1,bytes=1")
    world:made(create("/q/a", { data = ("x"):rep(50) }))
    assert.are.equal("count=2,bytes=53", used(world, "/q"))
    world:free()
  end)

  for _, moment in ipairs({ "committed", "on their way" }) do
    it("counts nodes, those before " .. moment, function()
      local world = with("count=-1,bytes=-1=;countHardLimit=3")
      local function settle()
        if moment == "committed" then
          world.core:commit()
        end
      end
      world:made(create("/q/a"))
      settle()
      world:made(create("/q/b"))
      settle()
      assert.are.equal(-125, (world:ask(create("/q/c"))))
      assert.are.equal(-125, (world:ask(multi(delete("/q/a"), create("/q/c"), create("/q/d")))))
      settle()
      world:made(multi(delete("/q/a"), create("/q/c")))
      settle()
      assert.are.equal(-110, (world:ask(create("/q/c"))))
      assert.are.equal(-125, (world:ask(create("/q/d"))))
      world:made(create("/elsewhere"), set("/q/c", ("x"):rep(100)))
      assert.are.equal("count=3,bytes=103", used(world, "/q"))
      world:free()
    end)

    it("counts bytes, before the version, those before " .. moment, function()
      local world = with("count=-1,bytes=-1=;byteHardLimit=10")
      local function settle()
        if moment == "committed" then
          world.core:commit()
        end
      end
      world:made(create("/q/a", { data = "1234567" }))
      settle()
      assert.are.equal(-125, (world:ask(create("/q/b", { data = "x" }))))
      assert.are.equal(-125, (world:ask(set("/q/a", "12345678", 9))))
      assert.are.equal(-103, (world:ask(set("/q/a", "7654321", 9))))
      world:made(create("/q/empty"), set("/q/a", "1"))
      settle()
      world:made(set("/q", "123456789"))
      settle()
      assert.are.equal(-125, (world:ask(set("/q/a", "12"))))
      assert.are.equal("count=3,bytes=10", used(world, "/q"))
      world:free()
    end)
  end

  it("lets ephemeral parents come first", function()
    local world = with("count=-1,bytes=-1=;countHardLimit=2")
    world:made(create("/q/e", { flags = 1 }))
    assert.are.equal(-108, (world:ask(create("/q/e/x"))))
    assert.are.equal(-125, (world:ask(create("/q/x"))))
    world:free()
  end)

  it("takes what a client sets as used", function()
    local world = with("count=-1,bytes=-1=;countHardLimit=5")
    world:made(set("/zookeeper/quota/q" .. STATS, "count=5,bytes=0"))
    assert.are.equal(-125, (world:ask(create("/q/x"))))
    world.core:commit()
    assert.are.equal(-125, (world:ask(create("/q/x"))))
    world:free()
  end)

  it("counts for nothing without memory", function()
    local request, status = 0, nil
    repeat
      request = request + 1
      local world = with("count=-1,bytes=-1=;countHardLimit=5")
      local before = world.core:state()
      world.core:fail(request)
      status = world.core:ask(1, create("/q/a"))
      world.core:fail(0)
      if status ~= "OK" then
        assert.are.same(before, world.core:state())
      end
      assert.are.equal(0, world:free().bytes)
    until status == "OK"
    assert.is_true(request > 2)
  end)
end)
