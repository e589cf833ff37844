local unpack = table.unpack or unpack
local prepared = require("server.prepared")
local wire = require("zklua_testing").wire

local create, delete, set = prepared.create, prepared.delete, prepared.set
local set_acl, check, multi = prepared.set_acl, prepared.check, prepared.multi

local DATA, CHILD, PERSISTENT, RECURSIVE = 1, 2, 4, 8
local CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4

describe("what watches hear, in Apache's order:", function()
  --- `made` is there before; then `watches` { path, kind } are set, and `asked` is done.
  local cases = {
    { "a create: the node, then its parent",
      watches = { { "/p/new", DATA }, { "/p", CHILD } },
      made = { create("/p") }, asked = { create("/p/new") },
      heard = { { CREATED, "/p/new" }, { CHILDREN, "/p" } } },
    { "a child of the root",
      watches = { { "/", CHILD } }, asked = { create("/a") }, heard = { { CHILDREN, "/" } } },
    { "a sequential create, by its whole name",
      watches = { { "/p/n0000000000", DATA } },
      made = { create("/p") }, asked = { create("/p/n", { flags = 2 }) },
      heard = { { CREATED, "/p/n0000000000" } } },
    { "a delete: the node once, then its parent",
      watches = { { "/p/c", DATA }, { "/p/c", CHILD }, { "/p", CHILD } },
      made = { create("/p"), create("/p/c") }, asked = { delete("/p/c") },
      heard = { { DELETED, "/p/c" }, { CHILDREN, "/p" } } },
    { "setData: data watches only",
      watches = { { "/p", DATA }, { "/p", CHILD }, { "/", CHILD } },
      made = { create("/p") }, asked = { set("/p", "x") }, heard = { { CHANGED, "/p" } } },
    { "setACL: nobody",
      watches = { { "/p", DATA }, { "/p", CHILD }, { "/p", PERSISTENT } },
      made = { create("/p") }, asked = { set_acl("/p", prepared.open_acl) }, heard = {} },
    { "a failed write: nobody",
      watches = { { "/p", PERSISTENT }, { "/", PERSISTENT } },
      made = { create("/p") }, asked = { create("/p"), set("/p", "x", 9) }, heard = {} },
    { "a one-shot watch hears once, a persistent one always",
      watches = { { "/p", DATA }, { "/q", PERSISTENT } },
      made = { create("/p"), create("/q") },
      asked = { set("/p", "1"), set("/p", "2"), set("/q", "1"), set("/q", "2") },
      heard = { { CHANGED, "/p" }, { CHANGED, "/q" }, { CHANGED, "/q" } } },
    { "a recursive watch: no news of children",
      watches = { { "/p", RECURSIVE } },
      made = { create("/p") }, asked = { create("/p/a"), create("/p/a/b"), delete("/p/a/b") },
      heard = { { CREATED, "/p/a" }, { CREATED, "/p/a/b" }, { DELETED, "/p/a/b" } } },
    { "a multi, operation by operation",
      watches = { { "/p", PERSISTENT }, { "/p/a", PERSISTENT } }, made = { create("/p") },
      asked = { multi(create("/p/a"), set("/p/a", "x"), check("/p", 0), set("/p", "x"),
        delete("/p/a")) },
      heard = { { CREATED, "/p/a" }, { CHILDREN, "/p" }, { CHANGED, "/p/a" }, { CHANGED, "/p" },
        { DELETED, "/p/a" }, { CHILDREN, "/p" } } },
    { "a failed multi: nobody",
      watches = { { "/p", PERSISTENT } }, made = { create("/p") },
      asked = { multi(set("/p", "x"), delete("/no")) }, heard = {} },
    { "not who may not READ the node",
      watches = { { "/p", PERSISTENT }, { "/p/c", PERSISTENT } }, made = { create("/p") },
      asked = { create("/p/c", { acl = { prepared.acl(30, "world", "anyone") } }),
        set("/p/c", "x"), delete("/p/c") },
      heard = { { CHILDREN, "/p" }, { CHILDREN, "/p" } } },
    { "who may not READ the parent hears of the child",
      watches = { { "/p", PERSISTENT }, { "/p/c", PERSISTENT } },
      made = { create("/p", { acl = { prepared.acl(30, "world", "anyone") } }) },
      asked = { create("/p/c") }, heard = { { CREATED, "/p/c" } } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local world = prepared.new()
      local watcher = world.core:open()
      world:made(unpack(case.made or {}))
      world.core:commit()
      for _, watch in ipairs(case.watches) do
        assert.is_true(world.core:watch(watcher, watch[1], watch[2]))
      end
      world:heard(watcher)
      for _, fields in ipairs(case.asked) do
        world:ask(fields)
      end
      assert.are.same({}, world:heard(watcher)) -- nothing that is not durable
      world.core:commit()
      local heard = world:heard(watcher)
      for _, event in ipairs(heard) do
        event.zxid = nil
      end
      assert.are.same(case.heard, heard)
      assert.are.equal(0, world:free().bytes)
    end)
  end

  it("the end of a session: as a delete for each of its nodes", function()
    local world = prepared.new()
    local watcher = world.core:open()
    world:made(create("/p"), create("/p/e", { flags = 1 }))
    world.core:commit()
    world.core:watch(watcher, "/p/e", DATA)
    world.core:watch(watcher, "/p", CHILD)
    world:heard(watcher)
    world.core:close(1)
    world.core:commit()
    assert.are.same({ { DELETED, "/p/e", zxid = "0x5" }, { CHILDREN, "/p", zxid = "0x5" } },
      world:heard(watcher))
    world:free()
  end)

  it("the own write's event before its answer, both with its zxid", function()
    local world = prepared.new()
    world.core:watch(1, "/a", DATA)
    world:heard()
    world.core:ask(1, create("/a"), 5)
    world.core:commit()
    local heard = world:heard()
    assert.are.same({ CREATED, "/a", zxid = "0x2" }, heard[1])
    assert.are.same({ 5, 0, "0x2" }, { heard[2].xid, heard[2].code, heard[2].zxid })
    world:free()
  end)
end)

describe("what is applied", function()
  local function stat_of(body, op)
    return assert(wire.decode(body, "result", op)).stat
  end

  it("is answered with the Stat right after it, not after what follows", function()
    local world = prepared.new()
    world:heard()
    world.core:ask(1, create("/a", { op = 15, data = "xy" }))
    world.core:ask(1, set("/a", "xyz"))
    world.core:ask(1, set_acl("/a", prepared.open_acl))
    world.core:ask(1, create("/a/b"))
    world.core:commit()
    local heard = world:heard()
    local time = "0xd7920"
    local stat = { czxid = "0x2", mzxid = "0x2", pzxid = "0x2", ctime_ms = time, mtime_ms = time,
      data_length = 2 }
    assert.are.same(stat, stat_of(heard[1].body, 15))
    stat.mzxid, stat.version, stat.data_length = "0x3", 1, 3
    assert.are.same(stat, stat_of(heard[2].body, 5))
    stat.aversion = 1
    assert.are.same(stat, stat_of(heard[3].body, 7))
    world:free()
  end)

  it("keeps wall time: ctime for good, mtime with the data", function()
    local world = prepared.new()
    world:made(create("/a"), create("/b"))
    world.core:set_time(5000, 999)
    world:made(set("/a", "x"), set_acl("/b", prepared.open_acl), create("/b/c"))
    world.core:set_time(6000, 7)
    world.core:commit()
    local a, b = world.core:node("/a").stat, world.core:node("/b").stat
    assert.are.same({ "0xd7920", "0x3e7" }, { a.ctime_ms, a.mtime_ms })
    assert.are.same({ "0xd7920", "0xd7920" }, { b.ctime_ms, b.mtime_ms })
    world:free()
  end)

  it("owners: session, container, ttl, nobody", function()
    local world = prepared.new({ ttl_nodes = true })
    world:made(create("/e", { flags = 1 }), create("/c", { op = 19, flags = 4 }),
      create("/t", { op = 21, flags = 5, ttl_ms = 258 }), create("/p"))
    world.core:commit()
    local function owner(path)
      return world.core:node(path).stat.ephemeral_owner
    end
    assert.are.same({ world.session_id, "0x8000000000000000", "0xff00000000000102" },
      { owner("/e"), owner("/c"), owner("/t") })
    assert.is_nil(owner("/p"))
    world:free()
  end)

  it("null data stay null", function()
    local world = prepared.new()
    local fields = create("/n")
    fields.data = nil
    world:made(fields, create("/e"), set("/e", nil), create("/z"))
    world.core:commit()
    assert.is_nil(world.core:node("/n").data)
    assert.is_nil(world.core:node("/e").data)
    assert.are.equal("", world.core:node("/z").data)
    world:free()
  end)

  it("the session table follows, and nothing is seen before", function()
    local world = prepared.new()
    local _, second = world.core:open()
    assert.are.same({ [world.session_id] = 10000, [second] = 10000 }, world.core:sessions())
    world.core:close(1)
    assert.are.equal(2, world.core:state().sessions)
    world.core:commit()
    assert.are.same({ [second] = 10000 }, world.core:sessions())
    world:free()
  end)

  it("needs no memory: all was reserved", function()
    local function run(committed)
      local world = prepared.new({ ttl_nodes = true })
      local other = world.core:open()
      local many = {}
      for i = 1, 500 do
        many[i] = create("/many" .. i, { flags = i % 2, data = ("d"):rep(i) })
      end
      world:made(create("/p"), create("/p/e-", { flags = 3 }), set("/p", ("x"):rep(3000)),
        create("/p/c", { op = 19, flags = 4 }), create("/p/t", { op = 21, flags = 5, ttl_ms = 9 }),
        set_acl("/p", { prepared.acl(31, "ip", "127.0.0.0/8") }), delete("/p/c"),
        create("/p/c"), create("/p/c/d"), multi(unpack(many)))
      world:ask(create("/theirs", { flags = 1 }), other)
      world.core:close(1)
      world:ask(delete("/many500"), other)
      world:ask(delete("/many2"), other)
      committed(world.core)
      local tree, state = world.core:tree(), world.core:state()
      assert.are.equal(0, world:free().bytes)
      return tree, state
    end
    local tree, state = run(function(core)
      core:commit()
    end)
    local tree_without, state_without = run(function(core)
      core:exhaust()
      core:commit() -- nobody can be answered, but it has happened
      core:relieve()
    end)
    assert.are.same(tree, tree_without)
    assert.are.same(state, state_without)
    assert.is_truthy(tree["/many4"])
    assert.is_nil(tree["/many3"])
  end)
end)
