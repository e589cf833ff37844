local prepared = require("server.prepared")

local create, delete, multi = prepared.create, prepared.delete, prepared.multi

describe("closing a session", function()
  it("takes its ephemerals with it, those on their way too, and no others", function()
    local world = prepared.new()
    local other = world.core:open()
    local function ephemeral(path)
      return create(path, { flags = 1 })
    end
    world:made(create("/p"), ephemeral("/p/old"), ephemeral("/p/gone"), ephemeral("/p/taken"))
    world:ask(ephemeral("/p/other"), other)
    world.core:commit()
    world:made(ephemeral("/p/new"), delete("/p/gone"), delete("/p/taken"))
    world:ask(ephemeral("/p/taken"), other)
    world:made(ephemeral("/p/brief"), delete("/p/brief"))
    world:made(multi(ephemeral("/p/m1"), create("/p/stays"), ephemeral("/p/m2")))
    assert.are.equal(-111, (world:ask(delete("/p"))))
    assert.are.equal("OK", (world.core:close(1, 77)))
    local entry = prepared.decode(world.core:last().payload)
    table.sort(entry.paths)
    assert.are.same({ "/p/m1", "/p/m2", "/p/new", "/p/old" }, entry.paths)
    assert.are.same({ -11, 77 }, { entry.type, entry.cxid })
    -- judged behind the close, with its children gone
    assert.are.equal(0, (world:ask(delete("/p/other"), other)))
    assert.are.equal(0, (world:ask(delete("/p/taken"), other)))
    assert.are.equal(0, (world:ask(delete("/p/stays"), other)))
    assert.are.equal(0, (world:ask(delete("/p"), other)))
    world.core:commit()
    assert.is_nil(world.core:node("/p"))
    assert.are.equal(1, world.core:state().sessions)
    assert.are.equal(0, world:free().bytes)
  end)

  it("names as many as a log entry holds, and deletes all", function()
    local world = prepared.new({ frame_size_max = 2000 })
    local other = world.core:open()
    for i = 1, 30 do
      world:made(create(("/%03d"):format(i) .. ("x"):rep(200), { flags = 1 }))
    end
    world.core:commit(20)
    local last = "/030" .. ("x"):rep(200)
    world.core:watch(other, last, 4) -- persistent
    world.core:close(1)
    local payload = world.core:last().payload
    local entry = prepared.decode(payload)
    assert.is_true(#payload <= 4000 and #payload > 3700)
    assert.is_true(#entry.paths > 15 and #entry.paths < 20)
    world:heard(other)
    world.core:commit()
    assert.are.same({ "zookeeper" }, world:children("/"))
    assert.are.same({ { 1, last, zxid = "0x20" }, { 2, last, zxid = "0x21" } },
      world:heard(other))
    assert.are.equal(0, world:free().bytes)
  end)
end)
