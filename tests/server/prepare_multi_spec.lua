local codec = require("wire.codec")
local prepared = require("server.prepared")

local hex, unhex = codec.hex, codec.unhex
local create, delete, set = prepared.create, prepared.delete, prepared.set
local check, multi = prepared.check, prepared.multi

describe("a multi", function()
  it("that fails is logged with what came before, the code, and -2", function()
    local world = prepared.new()
    world:made(create("/full"), create("/full/x"))
    local code, proposal, at = world:ask(multi(create("/a", { data = "d" }), set("/full", "x"),
      delete("/full"), create("/b"), delete("/a")))
    assert.are.same({ -111, 3 }, { code, at })
    assert.are.equal(14, proposal.type)
    local entry = prepared.decode(proposal.payload)
    local types, codes = {}, {}
    for i, part in ipairs(entry.parts) do
      types[i], codes[i] = part.type, part.code or 0
    end
    assert.are.same({ 1, 5, -1, -1, -1 }, types)
    assert.are.same({ 0, 0, -111, -2, -2 }, codes)
    assert.are.equal(world.core:waiting()[2].digest, proposal.digest) -- unchanged
    world.core:commit()
    assert.is_nil(world.core:node("/a"))
    assert.are.equal("", world.core:node("/full").data)
    world:free()
  end)

  it("has Apache's bytes when its middle fails", function()
    local world = prepared.new()
    world.core:ask(1, multi(check("/", -1), delete("/no"), delete("/x")), 9)
    world.core:commit()
    local heard = world:heard()
    local answer = heard[#heard]
    assert.are.same({ 9, 0 }, { answer.xid, answer.code })
    assert.are.equal(hex(unhex("ffffffff 00 00000000 00000000 ffffffff 00 ffffff9b ffffff9b"
      .. "ffffffff 00 fffffffe fffffffe ffffffff 01 ffffffff")), hex(answer.body))
    world:free()
  end)

  it("takes back what failed, also over what still waits", function()
    local world = prepared.new()
    world:made(create("/a"), set("/a", "1", 0))
    assert.are.equal(1, world.core:state().creates_ahead)
    assert.are.equal(-110, (world:ask(multi(set("/a", "2", 1), create("/a/b"),
      set("/a", "3", 2), create("/a")))))
    assert.are.equal(1, world.core:state().creates_ahead)
    world:made(set("/a", "3", 1)) -- still version 1
    assert.are.equal(-101, (world:ask(delete("/a/b"))))
    world:made(create("/a/s", { flags = 2 }))
    world.core:commit()
    assert.are.same({ "s0000000000" }, world:children("/a"))
    assert.are.equal("3", world.core:node("/a").data)
    world:free()
  end)

  it("judges each operation by those before it", function()
    local world = prepared.new()
    world:made(multi(create("/a"), create("/a/b", { flags = 2 }), create("/a/b", { flags = 2 }),
      check("/a", 0), set("/a", "x", 0), check("/a", 1), delete("/a/b0000000000", 0)))
    world.core:commit()
    assert.are.same({ "b0000000001" }, world:children("/a"))
    local stat = world.core:node("/a").stat
    assert.are.same({ "0x2", "0x2", "0x2" }, { stat.czxid, stat.mzxid, stat.pzxid })
    world:free()
  end)

  it("takes the kind of a create from its flags", function()
    local world = prepared.new({ ttl_nodes = true })
    world:made(multi(create("/two", { op = 15 }), create("/container", { flags = 4 }),
      create("/plain", { op = 19 }), create("/e", { op = 15, flags = 1 })))
    local entry = prepared.decode(world.core:waiting()[1].payload)
    local types = {}
    for i, part in ipairs(entry.parts) do
      types[i] = part.type
    end
    assert.are.same({ 1, 19, 1, 1 }, types)
    world.core:commit()
    assert.are.equal("0x8000000000000000", world.core:node("/container").stat.ephemeral_owner)
    assert.are.equal(world.session_id, world.core:node("/e").stat.ephemeral_owner)
    world:free()
  end)

  it("with a create without a path fails as a whole", function()
    local world = prepared.new()
    local code, proposal = world:ask(multi(create("/a"), create(false)))
    assert.are.same({ -5, -1 }, { code, proposal.type })
    world.core:commit()
    assert.is_nil(world.core:node("/a"))
    world:free()
  end)

  it("of a thousand operations", function()
    local world = prepared.new()
    local operations = { create("/many") }
    for i = 1, 999 do
      operations[i + 1] = create("/many/n", { flags = i % 2 * 2 + 1 - i % 2 })
      operations[i + 1].path = i % 2 == 1 and "/many/n" or "/many/e" .. i
    end
    world:made({ op = 14, operations = operations })
    world.core:commit()
    assert.are.equal(999, #world:children("/many"))
    world.core:close(1)
    world.core:commit()
    assert.are.equal(500, #world:children("/many"))
    assert.are.equal(0, world:free().bytes)
  end)
end)
