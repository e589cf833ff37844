local codec = require("wire.codec")
local prepared = require("server.prepared")

local hex, unhex = codec.hex, codec.unhex
local create, delete, set = prepared.create, prepared.delete, prepared.set
local set_acl, check, multi = prepared.set_acl, prepared.check, prepared.multi

local function numbers(zxids)
  local result = {}
  for i, entry in ipairs(zxids) do
    result[i] = tonumber((entry.zxid:gsub("0x", "")), 16)
  end
  return result
end

describe("a transaction", function()
  it("is what Apache logs", function()
    local world = prepared.new()
    world.core:set_time(1000, 1795291703635) -- 0x1a1ffb96953
    world:made(create("/a", { data = "hello" }))
    local entries = world:log()
    assert.are.equal("0x2", entries[1].zxid)
    assert.are.equal(hex(unhex(
      "0100000d79200000 00000001 0000000000000002 000001a1ffb96953 00000001"
        .. "00000002 2f61 00000005 68656c6c6f 00000001 0000001f 00000005 776f726c64"
        .. "00000006 616e796f6e65 00 00000001 00000002 00000000c624208e")), hex(entries[1].payload))
    world:free()
  end)

  it("that failed is an error without a digest, and has a zxid", function()
    local world = prepared.new()
    world:made(create("/a"))
    assert.are.equal(-110, (world:ask(create("/a"))))
    assert.are.equal("OK", (world.core:malformed(1, 1)))
    world:made(create("/b"))
    local entries = world:log()
    assert.are.same({ 2, 3, 4, 5 }, numbers(entries))
    assert.are.equal("ffffffff" .. "ffffff92", hex(entries[2].payload:sub(29)))
    assert.are.equal("ffffffff" .. "fffffffb", hex(entries[3].payload:sub(29)))
    world.core:commit()
    assert.are.equal("0x5", world.core:state().zxid)
    assert.are.same({ "a", "b", "zookeeper" }, world:children("/"))
    world:free()
  end)

  for _, case in ipairs({
    { "create2", create("/c", { op = 15 }), 15 },
    { "createContainer", create("/c", { op = 19, flags = 4 }), 19 },
    { "createTTL", create("/c", { op = 21, flags = 5, ttl_ms = 9 }), 21 },
    { "setACL", set_acl("/a", prepared.read_acl), 7 },
    { "delete", delete("/a"), 2 },
  }) do
    it("of the type " .. case[1], function()
      local world = prepared.new({ ttl_nodes = true })
      world:made(create("/a"), case[2])
      local entries = world:log()
      local entry = prepared.decode(entries[2].payload)
      assert.are.equal(case[3], entry.type)
      assert.are.equal(case[2].path, entry.path)
      assert.are.equal(2, entry.digest_version)
      world.core:commit()
      world:free()
    end)
  end

  it("carries the counter of zxids into the epoch", function()
    local core = require("zklua_testing").prep.new({ seed = 1, wall = 1, now = 1 })
    assert.are.equal("OK", core:restore({
      zxid = "0x1fffffffd", digest_zxid = "0x5", -- not the snapshot's own: never compared
      nodes = { { path = "", data = "", acl = -1 } },
    }))
    core:start()
    local connection = core:open()
    for _ = 1, 3 do
      core:ask(connection, create("/n", { flags = 2 }))
    end
    local zxids = {}
    for _, proposal in ipairs(core:waiting()) do
      zxids[#zxids + 1] = proposal.zxid
    end
    assert.are.same({ "0x1ffffffff", "0x200000000", "0x200000001" }, zxids)
    core:commit()
    assert.are.equal("0x200000001", core:state().zxid)
    core:free()
  end)

  it("is refused when Apache could not read it back", function()
    local world = prepared.new({ frame_size_max = 4000 })
    for i = 1, 8 do
      local user = ("u%d"):format(i):rep(60)
      assert.are.equal(0, world.core:auth(1, "digest", user .. ":p"))
    end
    local auth = { prepared.acl(1, "auth", "") }
    assert.are.equal(0, (world:ask(create("/one", { acl = auth }))))
    local many = {}
    for i = 1, 8 do
      many[i] = prepared.acl(i, "auth", "")
    end
    assert.are.equal(-8, (world:ask(create("/two", { acl = many }))))
    local code, _, at = world:ask(multi(create("/x"), create("/y", { acl = many })))
    assert.are.same({ -8, 2 }, { code, at })
    world.core:commit()
    assert.is_nil(world.core:node("/x"))
    world:free()
  end)
end)

describe("without memory a request leaves no trace", function()
  local requests = {
    { "create", create("/p/new", { data = "data" }) },
    { "createContainer", create("/p/new", { op = 19, flags = 4 }) },
    { "an ephemeral node", create("/p/new-", { flags = 3 }) },
    { "a new access list", create("/p/new", { acl = { prepared.acl(3, "world", "anyone") } }) },
    { "delete", delete("/p/child") },
    { "setData", set("/p", ("x"):rep(1000)) },
    { "setACL", set_acl("/p", { prepared.acl(3, "world", "anyone") }) },
    { "a failing create", create("/p/child") },
    { "multi", multi(create("/p/a"), create("/p/b", { flags = 1 }), set("/p", "x"),
      delete("/p/child"), check("/p", 1), create("/p/a/b")) },
    { "a failing multi", multi(create("/p/a"), set("/p", "x"), delete("/p"), set("/p", "y"),
      set("/p", ("y"):rep(500))) },
  }
  for _, case in ipairs(requests) do
    it(case[1], function()
      local request, failures, status = 0, 0, nil
      repeat
        request = request + 1
        local world = prepared.new({ ttl_nodes = true })
        world:made(create("/p"), create("/p/child"), create("/p/e", { flags = 1 }))
        local before, memory = world.core:state(), world.core:memory()
        world.core:fail(request)
        status = world.core:ask(1, case[2])
        world.core:fail(0)
        if status ~= "OK" then
          failures = failures + 1
          assert.are.equal("NOMEM", status)
          assert.are.same(before, world.core:state())
          assert.is_true(world.core:memory().blocks <= memory.blocks + 8) -- pages and tables stay
        end
        world.core:ask(1, case[2]) -- and then it works as ever
        world.core:commit()
        world.core:close(1)
        world.core:commit()
        assert.are.equal(0, world:free().bytes)
      until status == "OK"
      assert.is_true(failures >= 2)
    end)
  end

  it("the close of a session", function()
    local request, status = 0, nil
    repeat
      request = request + 1
      local world = prepared.new()
      world:made(create("/p"), create("/p/e", { flags = 1 }))
      world.core:commit(1)
      world:made(create("/p/f", { flags = 1 }))
      local before = world.core:state()
      world.core:fail(request)
      status = world.core:close(1)
      world.core:fail(0)
      if status ~= "OK" then
        assert.are.same(before, world.core:state())
        assert.are.equal("OK", (world.core:close(1)))
      end
      world.core:commit()
      assert.are.same({}, world:children("/p"))
      assert.are.equal(0, world:free().bytes)
    until status == "OK"
    assert.is_true(request > 2)
  end)
end)
