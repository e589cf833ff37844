local prepared = require("server.prepared")

local create, delete, set = prepared.create, prepared.delete, prepared.set
local set_acl, multi = prepared.set_acl, prepared.multi

describe("a request is judged by all that was prepared before it", function()
  it("create, change, delete, create", function()
    local world = prepared.new()
    world:made(create("/a"), set("/a", "1", 0), set("/a", "2", 1))
    assert.are.equal(-103, (world:ask(set("/a", "x", 1))))
    world:made(create("/a/b"))
    assert.are.equal(-111, (world:ask(delete("/a", 2))))
    world:made(delete("/a/b", 0), delete("/a", 2))
    assert.are.equal(-101, (world:ask(set("/a", "x"))))
    assert.are.equal(-101, (world:ask(create("/a/c"))))
    world:made(create("/a"), set("/a", "new", 0))
    assert.is_nil(world.core:node("/a"))
    world.core:commit()
    local node = world.core:node("/a")
    assert.are.equal("new", node.data)
    assert.are.same({ 1, "0xc", "0xd" }, { node.stat.version, node.stat.czxid, node.stat.mzxid })
    world:free()
  end)

  it("access lists", function()
    local world = prepared.new()
    world:made(create("/a"), set_acl("/a", prepared.read_acl, 0))
    assert.are.equal(-102, (world:ask(set("/a", "x"))))
    assert.are.equal(-102, (world:ask(create("/a/b"))))
    assert.are.equal(-102, (world:ask(set_acl("/a", prepared.open_acl))))
    world.core:commit()
    assert.are.same(prepared.read_acl, world.core:node("/a").items)
    world:free()
  end)

  it("ephemeral parents", function()
    local world = prepared.new()
    world:made(create("/e", { flags = 1 }))
    assert.are.equal(-108, (world:ask(create("/e/child"))))
    world:free()
  end)

  it("whatever is committed in between", function()
    for ahead = 0, 8 do
      local world = prepared.new()
      local requests = {
        create("/a"), create("/a/s-", { flags = 2 }), set("/a", "x", 0),
        create("/a/s-", { flags = 2 }), delete("/a/s-0000000000"),
        set_acl("/a", prepared.open_acl, 0), create("/a/s-", { flags = 2 }),
        multi(set("/a", "y", 1), create("/b"), delete("/b", 0)),
        multi(set("/a", "z", 2), create("/b"), delete("/b", 5)),
        set("/a", "z", 2),
      }
      local codes = {}
      for i, fields in ipairs(requests) do
        codes[i] = world:ask(fields)
        if #world.core:waiting() > ahead then
          world.core:commit(1)
        end
      end
      assert.are.same({ 0, 0, 0, 0, 0, 0, 0, 0, -103, 0 }, codes)
      world.core:commit()
      assert.are.same({ "s-0000000001", "s-0000000002" }, world:children("/a"))
      assert.are.equal("z", world.core:node("/a").data)
      assert.are.equal(0, world.core:state().believed)
      world:free()
    end
  end)
end)

describe("what is believed", function()
  it("leaves no memory behind after a huge multi", function()
    local world = prepared.new()
    local operations = {}
    for i = 1, 10000 do
      operations[i], operations[10000 + i] = create("/n" .. i), delete("/n" .. i)
    end
    world:made({ op = 14, operations = operations })
    assert.is_true(world.core:overlay_bytes() > 2 * 1024 * 1024)
    world.core:commit()
    assert.is_true(world.core:overlay_bytes() <= 1024 * 1024)
    world:free()
  end)
end)
