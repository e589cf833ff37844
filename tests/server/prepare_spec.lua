local precedence = require("server.precedence")
local prepared = require("server.prepared")

local create, delete, set = prepared.create, prepared.delete, prepared.set
local set_acl, check, multi = prepared.set_acl, prepared.check, prepared.multi

describe("what is wrong with a request is judged", function()
  local function judge(title, rows, options)
    for _, moment in ipairs({ "committed", "still on its way" }) do
      describe(title .. ", what went before " .. moment, function()
        for _, row in ipairs(rows) do
          it(row[1], function()
            local world = prepared.new({ ttl_nodes = options.ttl_nodes })
            precedence.setup(world)
            if moment == "committed" then
              world.core:commit()
            end
            local before = world.core:state()
            assert.are.equal(row[3], (world:ask(row[2])))
            local after = world.core:state()
            assert.are.equal(before.waiting + 1, after.waiting)
            if row[3] ~= 0 then -- nothing of it stays
              assert.are.equal(before.prep_digest, after.prep_digest)
              assert.are.equal(before.believed, after.believed)
              assert.are.equal(before.creates_ahead, after.creates_ahead)
              assert.are.equal(before.access_lists, after.access_lists)
            end
            world.core:commit()
            local ended = world.core:state()
            assert.are.same({ 0, 0, 0 }, { ended.believed, ended.creates_ahead, ended.bytes })
            assert.are.equal(0, world:free().bytes)
          end)
        end
      end)
    end
  end
  judge("in Apache's order", precedence.rows, {})
  judge("with ttl nodes", precedence.ttl_rows, { ttl_nodes = true })

  it("reconfig where it is on", function()
    local world = prepared.new({ reconfig_enabled = true })
    assert.are.equal(-6, (world:ask({ op = 16 })))
    world:free()
  end)

  it("without access lists where they are not looked at", function()
    local world = prepared.new({ skip_acl = true })
    precedence.setup(world)
    assert.are.equal(0, (world:ask(create("/closed/new"))))
    assert.are.equal(-103, (world:ask(set("/closed", "x", 9))))
    world:free()
  end)

  it("a check alone: it may not get into a log", function()
    local world = prepared.new()
    local before = world.core:state()
    assert.are.same({ "ARGUMENT", -6 }, { world.core:ask(1, check("/", 0)) })
    assert.are.same(before, world.core:state())
    world:free()
  end)

  it("a session that is closing, behind the flags and before the path", function()
    local world = prepared.new()
    world.core:close(1)
    for _, row in ipairs({
      { create("new", { flags = 9 }), -8 }, { create("new"), -112 }, { delete("open"), -112 },
      { set("open", "x"), -112 }, { set_acl("open", {}), -112 }, { multi(check("open")), -112 },
      { { op = 16 }, -112 },
    }) do
      assert.are.equal(row[2], (world:ask(row[1])))
    end
    world:free()
  end)
end)

describe("a limit of memory", function()
  it("refuses what adds and lets the rest be", function()
    local world = prepared.new()
    world:made(create("/a", { data = ("x"):rep(100000) }))
    world.core:commit()
    local used = world.core:memory().bytes
    world:free()
    -- Nodes have 11 of 16 parts of it.
    world = prepared.new({ memory_max = math.floor((used + 50000) / 11 * 16) })
    world:made(create("/a", { data = ("x"):rep(100000) }))
    world.core:commit()
    world:made(create("/b"))
    world.core:commit()
    assert.are.equal(-125, (world:ask(create("/c", { data = ("x"):rep(60000) }))))
    assert.are.equal(-125, (world:ask(set("/a", ("x"):rep(160000)))))
    assert.are.equal(-110, (world:ask(create("/b", { data = ("x"):rep(60000) }))))
    assert.are.equal(0, (world:ask(set("/a", ("y"):rep(100000)))))
    world.core:commit()
    assert.are.equal(0, (world:ask(delete("/a"))))
    world:free()
  end)
end)
