local prepared = require("server.prepared")

local create, delete = prepared.create, prepared.delete
local set, set_acl = prepared.set, prepared.set_acl

describe("numbers", function()
  it("count all creates below a parent, and no deletes", function()
    local world = prepared.new()
    world:made(create("/p"), create("/p/x"), create("/p/s", { flags = 2 }), delete("/p/x"),
      create("/p/", { flags = 3 }))
    world.core:commit()
    assert.are.same({ "0000000002", "s0000000001" }, world:children("/p"))
    local stat = world.core:node("/p").stat
    assert.are.same({ 3, 2 }, { stat.cversion, stat.children_count })
    assert.are.equal("0x6", stat.pzxid)
    world:free()
  end)

  it("stop at the last: it is given again and again, and the parent's counters stay", function()
    local core = require("zklua_testing").prep.new({ seed = 1, wall = 1, now = 1 })
    assert.are.equal("OK", core:restore({
      zxid = 5, digest_zxid = 4,
      nodes = {
        { path = "", data = "", acl = -1 },
        { path = "/p", data = "", acl = -1,
          stat = { czxid = 1, mzxid = 1, cversion = 2147483646, pzxid = 5 } },
      },
    }))
    local world = prepared.around(core)
    world:made(create("/p/a", { flags = 2 }))
    world:made(create("/p/a", { flags = 2 }))
    assert.are.equal(-110, (world:ask(create("/p/a", { flags = 2 }))))
    world:made(create("/p/b", { flags = 2 }))
    core:commit()
    assert.are.same({ "a2147483646", "a2147483647", "b2147483647" }, world:children("/p"))
    local stat = core:node("/p").stat
    assert.are.same({ 2147483647, "0x7" }, { stat.cversion, stat.pzxid })
    core:free()
  end)

  it("are negative where a counter from disk is", function()
    local core = require("zklua_testing").prep.new({ seed = 1, wall = 1, now = 1 })
    assert.are.equal("OK", core:restore({
      zxid = 5, digest_zxid = 4,
      nodes = {
        { path = "", data = "", acl = -1 },
        { path = "/p", data = "", acl = -1, stat = { cversion = -2 } },
      },
    }))
    core:start()
    local connection = core:open()
    for _ = 1, 3 do -- a counter of -1 in the record means one more than there is: the same
      core:ask(connection, create("/p/a", { flags = 2 }))
    end
    core:commit()
    assert.is_truthy(core:node("/p/a-000000002"))
    assert.is_truthy(core:node("/p/a-000000001"))
    assert.is_truthy(core:node("/p/a0000000000"))
    assert.are.equal(1, core:node("/p").stat.cversion)
    core:free()
  end)

  for _, case in ipairs({ { 2147483647, -2147483648 }, { -2, -1 }, { -1, 0 } }) do
    it("of versions wrap: after " .. case[1], function()
      local core = require("zklua_testing").prep.new({ seed = 1, wall = 1, now = 1 })
      assert.are.equal("OK", core:restore({
        zxid = 5, digest_zxid = 4,
        nodes = {
          { path = "", data = "", acl = -1 },
          { path = "/v", data = "", acl = -1,
            stat = { version = case[1], aversion = case[1] } },
        },
      }))
      core:start()
      local connection = core:open()
      core:ask(connection, set("/v", "x", case[1]))
      core:ask(connection, set_acl("/v", prepared.open_acl, case[1]))
      core:commit()
      local stat = core:node("/v").stat
      assert.are.equal(case[2], stat.version or 0)
      assert.are.equal(case[2], stat.aversion or 0)
      core:free()
    end)
  end
end)
