local codec = require("wire.codec")
local growth = require("server.growth")
local model = require("server.model")
local tree_of = require("zklua_testing").tree

local CONTAINER = "0x8000000000000000"
local SESSION = "0x100000d79200000"

local function new(options)
  return assert(tree_of.new(options or { seed = 7 }))
end

local function plain(path, fields)
  local change = {
    path = path, data = "", acl = model.open_acl, acl_count = 1, parent_cversion = -1, zxid = 1,
    time_ms = 1000,
  }
  for name, value in pairs(fields or {}) do
    change[name] = value or nil -- false: the protocol's null
  end
  return change
end

local function create(tree, path, fields)
  assert.is_true(tree:reserve("create", plain(path, fields)))
  tree:apply()
end

local function change(tree, kind, path, fields)
  assert.is_true(tree:reserve(kind, plain(path, fields)))
  tree:apply()
end

describe("a new tree", function()
  it("is that of a new server", function()
    local tree = new()
    assert.are.equal("0x51c6d660", tree:sums().digest) -- Apache's
    assert.are.equal(4, tree:sums().nodes)
    assert.are.equal(44, tree:sums().data_bytes) -- zk_approximate_data_size of a new Apache
    assert.are.same({}, growth.new(tree, model.new()):differences())
    assert.are.equal(0, tree:free().bytes)
  end)

  it("is not there when any of its allocations fails", function()
    local _, memory = tree_of.new({ seed = 7 })
    assert.is_true(memory.requests >= 5)
    for request = 1, memory.requests do
      local tree, after = tree_of.new({ seed = 7, fail_from = request })
      assert.is_nil(tree)
      assert.are.equal(0, after.bytes)
    end
  end)
end)

describe("the digest", function()
  it("is Apache's after its first create", function()
    local tree = new()
    create(tree, "/a", { data = "hello", zxid = 2, time_ms = "0x1a1ffb96953",
      parent_cversion = 1 })
    assert.are.equal("0xc624208e", tree:sums().digest)
    tree:free()
  end)

  it("comes back when a node goes, but for what its parent keeps", function()
    local tree = new()
    create(tree, "/a")
    create(tree, "/a/b", { zxid = 2 })
    local with_child = tree:sums().digest
    create(tree, "/a/c", { zxid = 3, parent_cversion = 0 }) -- moves nothing of /a
    change(tree, "delete", "/a/c", { zxid = 2 })
    assert.are.equal(with_child, tree:sums().digest)
    tree:free()
  end)

  it("has no part in what lies below /zookeeper", function()
    local tree = new()
    create(tree, "/zookeeper/quota/a", { data = "1" })
    create(tree, "/zookeeper/quota/a/zookeeper_stats", { data = "count=1,bytes=0" })
    assert.are.equal("0x51c6d660", tree:sums().digest)
    assert.is_true(tree:set_stats("/zookeeper/quota/a/zookeeper_stats", "count=2,bytes=100"))
    local stats = tree:get("/zookeeper/quota/a/zookeeper_stats")
    assert.are.equal("count=2,bytes=100", stats.data)
    assert.is_nil(stats.stat.version)
    assert.are.equal("0x1", stats.stat.mzxid)
    assert.are.equal("0x51c6d660", tree:sums().digest)
    create(tree, "/zookeeper2")
    assert.are_not.equal("0x51c6d660", tree:sums().digest)
    tree:free()
  end)
end)

describe("random changes", function()
  for seed = 1, 6 do
    it(("leave what they say they leave (seed %d)"):format(seed), function()
      local random = codec.random(seed)
      local ttl_nodes = seed % 2 == 0
      local tree, expected = new({ seed = seed, ttl_nodes = ttl_nodes }), model.new()
      expected.ttl_nodes = ttl_nodes
      local growing = growth.new(tree, expected, random)
      for _ = 1, 12 do
        growing:batch(random.pick({ 1, 3, 40 }))
        assert.are.same({}, growing:differences())
      end
      assert.are.equal(0, tree:free().bytes)
    end)
  end
end)

describe("a path", function()
  local tree
  before_each(function()
    tree = new()
    create(tree, "/a")
    create(tree, "/a/b")
    create(tree, "/a/b/c")
    create(tree, "/b")
  end)
  after_each(function()
    tree:free()
  end)

  for path, found in pairs({
    ["/a"] = "/a", ["/a/b"] = "/a/b", ["/a/b/c"] = "/a/b/c", ["/b"] = "/b", ["/"] = "/", [""] = "/",
    ["a"] = false, ["//"] = false, ["//a"] = false, ["/a/"] = false, ["/a//b"] = false,
    ["a/b"] = false, ["/b/c"] = false, ["/a/b/c/d"] = false, ["/a/."] = false, ["/x/a"] = false,
    ["/c"] = false, ["/a\0"] = false, ["xa/b"] = false, ["/zookeeper"] = "/zookeeper",
    ["b"] = false, ["/a/b/"] = false, ["/ab"] = false, ["/A"] = false,
  }) do
    it(("%q finds %s"):format(path, found or "nothing"), function()
      local node = tree:get(path)
      assert.are.equal(found, node and node.path or false)
    end)
  end

  it("may be as deep as it likes", function()
    local path = ""
    for _ = 1, 2000 do
      path = path .. "/d"
      create(tree, path)
    end
    assert.are.equal(path, tree:get(path).path)
    assert.is_nil(tree:get(path .. "/d"))
    assert.is_nil(tree:get(path:sub(1, -3) .. "/e"))
  end)

  it("may have a name of any length, and a child of that name", function()
    for _, size in ipairs({ 1, 255, 399, 400, 401, 5000, 1000000 }) do
      local path = "/" .. ("n"):rep(size)
      create(tree, path)
      create(tree, path .. path)
      assert.are.equal(path .. path, tree:get(path .. path).path)
      change(tree, "delete", path .. path)
      assert.is_nil(tree:get(path .. path))
    end
  end)

  it("has no name of 16 MiB", function()
    local memory = tree:memory()
    assert.is_false(tree:reserve("create", plain("/" .. ("n"):rep(2 ^ 24))))
    assert.are.equal(memory.blocks, tree:memory().blocks)
    assert.is_true(tree:reserve("create", plain("/" .. ("n"):rep(2 ^ 24 - 1))))
    tree:release()
  end)
end)

describe("a node", function()
  local tree
  before_each(function()
    tree = new({ seed = 7, ttl_nodes = true })
  end)
  after_each(function()
    assert.are.equal(0, tree:free().bytes)
  end)

  it("tells no data from empty data", function()
    create(tree, "/null", { data = false })
    create(tree, "/empty", { data = "" })
    assert.is_nil(tree:get("/null").data)
    assert.are.equal("", tree:get("/empty").data)
    change(tree, "set_data", "/null", { data = "" })
    change(tree, "set_data", "/empty", { data = false })
    assert.are.equal("", tree:get("/null").data)
    assert.is_nil(tree:get("/empty").data)
  end)

  it("raises its parent's counters and never lowers them", function()
    create(tree, "/p")
    for _, case in ipairs({
      -- given, zxid: then cversion on disk and pzxid
      { -1, 10, 1, "0xa" },
      { 5, 11, 5, "0xb" },
      { 5, 12, 5, "0xb" },
      { 3, 13, 5, "0xb" },
      { -1, 14, 6, "0xe" },
    }) do
      create(tree, "/p/" .. case[2], { parent_cversion = case[1], zxid = case[2] })
      local persisted = tree:get("/p").persisted
      assert.are.equal(case[3], persisted.cversion)
      assert.are.equal(case[4], persisted.pzxid)
    end
    -- Clients see creations and deletions together: 2 * 6 - 5.
    assert.are.equal(7, tree:get("/p").stat.cversion)
    change(tree, "delete", "/p/10", { zxid = 13 })
    assert.are.equal("0xe", tree:get("/p").stat.pzxid)
    change(tree, "delete", "/p/11", { zxid = 15 })
    assert.are.equal("0xf", tree:get("/p").stat.pzxid)
    assert.are.equal(6, tree:get("/p").persisted.cversion)
    assert.are.equal(9, tree:get("/p").stat.cversion)
  end)

  it("counts children past 2147483647 as a signed number does", function()
    create(tree, "/p")
    create(tree, "/p/a", { parent_cversion = 2147483647 })
    assert.are.equal(-3, tree:get("/p").stat.cversion)
    create(tree, "/p/b", { parent_cversion = -1 })
    assert.are.equal(2147483647, tree:get("/p").persisted.cversion)
  end)

  it("is raised by a replay that finds the effect there", function()
    create(tree, "/p", { zxid = 5 })
    assert.is_true(tree:raise("/p", nil, 4))
    assert.are.equal("0x5", tree:get("/p").stat.pzxid)
    assert.is_true(tree:raise("/p", nil, 9)) -- a delete of a child that is gone
    assert.are.equal("0x9", tree:get("/p").stat.pzxid)
    assert.is_true(tree:raise("/p", 3, 10))
    assert.are.equal("0xa", tree:get("/p").stat.pzxid)
    assert.are.equal(3, tree:get("/p").persisted.cversion)
    assert.is_true(tree:raise("/p", 2, 11))
    assert.are.equal("0xa", tree:get("/p").stat.pzxid)
    assert.is_true(tree:raise("/p", -1, 12))
    assert.are.equal(4, tree:get("/p").persisted.cversion)
  end)

  for _, case in ipairs({
    { owner = SESSION, list = SESSION, visible = SESSION },
    { owner = CONTAINER, list = "containers" },
    { owner = "0xff00000000000001", list = "ttls" },
    { owner = "0xff00ffffffffffff", list = "ttls" },
    { owner = "0xff", list = "0xff", visible = "0xff" },
    { owner = "0x8000000000000001", list = "0x8000000000000001", visible = "0x8000000000000001" },
  }) do
    it("of owner " .. case.owner .. " stands among its own", function()
      create(tree, "/x", { owner = case.owner })
      create(tree, "/y", { owner = case.owner })
      create(tree, "/other", { owner = "0x77" })
      assert.are.same({ "/x", "/y" }, tree:owned(case.list))
      assert.are.equal(case.visible, tree:get("/x").stat.ephemeral_owner)
      assert.are.equal(case.owner, tree:get("/x").persisted.ephemeral_owner)
      assert.are.equal(case.visible and 3 or 1, tree:sums().ephemerals)
      change(tree, "delete", "/x")
      change(tree, "delete", "/y")
      assert.are.same(case.visible and {} or { {} }, { tree:owned(case.list) })
      assert.are.equal(1, tree:sums().ephemerals)
    end)
  end

  it("of a TTL is an ephemeral where there are no TTL nodes", function()
    local old = new({ seed = 7 })
    create(old, "/x", { owner = "0xff00000000000001" })
    assert.are.same({ "/x" }, old:owned("0xff00000000000001"))
    assert.are.equal("0xff00000000000001", old:get("/x").stat.ephemeral_owner)
    old:free()
  end)

  it("takes part in a batch whose parents come and go in it", function()
    local function reserve(kind, path, fields)
      assert.is_true(tree:reserve(kind, plain(path, fields)))
    end
    create(tree, "/p")
    create(tree, "/p/c", { owner = SESSION })
    -- Each is prepared while /p has a child and the session has an ephemeral.
    reserve("delete", "/p/c")
    reserve("delete", "/p")
    reserve("create", "/p", { zxid = 9 })
    reserve("create", "/p/c", { owner = SESSION, zxid = 10 })
    reserve("create", "/p/c2", { owner = SESSION, zxid = 11 })
    tree:apply()
    assert.are.equal("0xb", tree:get("/p").stat.pzxid)
    assert.are.same({ "/p/c", "/p/c2" }, tree:owned(SESSION))
  end)

  it("that comes and goes leaves nothing behind, and neither does one that never came", function()
    local mine = { acl = codec.int(31) .. codec.str("digest") .. codec.str("u:h"), acl_count = 1 }
    local function round()
      for _, owner in ipairs({ false, SESSION, CONTAINER, "0xff00000000000001" }) do
        create(tree, "/p", { owner = owner, data = "some data" })
        create(tree, "/p/c", { owner = owner, data = "some data", acl = mine.acl })
        change(tree, "set_data", "/p/c", { data = "other data, and more of it" })
        change(tree, "set_acl", "/p/c")
        change(tree, "delete", "/p/c")
        change(tree, "delete", "/p")
        assert.is_true(tree:reserve("create", plain("/p", { owner = owner, data = "some data" })))
        assert.is_true(tree:reserve("set_data", plain("/zookeeper", { data = "some data" })))
        assert.is_true(tree:reserve("set_acl", plain("/zookeeper", mine)))
        tree:release()
      end
    end
    round()
    local memory = tree:memory()
    for _ = 1, 1000 do
      round()
    end
    assert.are.equal(memory.bytes, tree:memory().bytes)
    assert.are.equal(memory.blocks, tree:memory().blocks)
  end)

  it("lets go of its access list with its last user", function()
    local mine = { acl = codec.int(31) .. codec.str("digest") .. codec.str("u:h"), acl_count = 1 }
    local lists = tree:sums().lists
    create(tree, "/a", mine)
    create(tree, "/b", mine)
    assert.are.equal(lists + 1, tree:sums().lists)
    change(tree, "set_acl", "/a", { acl = model.read_acl, version = 1 }) -- /zookeeper/config's
    assert.are.equal(lists + 1, tree:sums().lists)
    change(tree, "delete", "/b")
    assert.are.equal(lists, tree:sums().lists)
  end)
end)

describe("without memory", function()
  local long = ("x"):rep(600) -- every block of its own goes to the hook
  local list = { acl = codec.int(31) .. codec.str("digest") .. codec.str(long), acl_count = 1 }
  for _, case in ipairs({
    { kind = "create", path = "/" .. long, data = long, owner = SESSION, least = 3 },
    { kind = "set_data", path = "/old", data = long, least = 1 },
    { kind = "set_acl", path = "/old", least = 1 },
  }) do
    it(("%s is refused as a whole, whichever block is missing"):format(case.kind), function()
      local tree = new()
      create(tree, "/old")
      local fields = { data = case.data, owner = case.owner, acl = list.acl,
        acl_count = list.acl_count }
      local before = tree:sums()
      local refused = 0
      while true do
        tree:fail(refused + 1)
        local blocks = tree:memory().blocks
        if tree:reserve(case.kind, plain(case.path, fields)) then
          break
        end
        refused = refused + 1
        assert.are.same(before, tree:sums())
        -- A table may have grown, or a page have been taken: nothing that is lost.
        assert.is_true(tree:memory().blocks <= blocks + 2)
      end
      tree:fail(0)
      assert.is_true(refused >= case.least)
      tree:apply()
      assert.are.equal(case.path, tree:get(case.path).path)
      assert.are.equal(0, tree:free().bytes)
    end)
  end

  it("what was reserved is given back by release", function()
    local tree = new()
    local before, memory = tree:sums(), tree:memory()
    for i = 1, 100 do
      assert.is_true(tree:reserve("create", plain("/n" .. i, { data = long, owner = SESSION,
        acl = list.acl, acl_count = 1 })))
    end
    assert.is_true(tree:memory().blocks > memory.blocks + 100)
    tree:release()
    assert.are.same(before, tree:sums())
    assert.is_true(tree:memory().blocks <= memory.blocks + 4) -- tables and a page
    assert.are.equal(0, tree:free().bytes)
  end)
end)
