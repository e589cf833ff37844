local codec = require("wire.codec")
local growth = require("server.growth")
local model = require("server.model")
local snapshot_file = require("server.snapshot_file")
local tree_of = require("zklua_testing").tree

local LEAST = 4096 -- ZKL_SNAPSHOT_SLICE_MIN
local NO_MEMORY, LIMIT, CORRUPT = 1, 2, 6
local OPEN = "0xffffffffffffffff"

local function new(seed, ttl_nodes)
  return assert(tree_of.new({ seed = seed or 7, ttl_nodes = ttl_nodes }))
end

--- The whole file, in slices of `capacity`; `between` is called before each of them.
local function take(tree, capacity, between)
  local parts = {}
  repeat
    if between then
      between(#parts)
    end
    local part = assert(tree:snapshot_next(capacity))
    parts[#parts + 1] = part
  until part == ""
  tree:snapshot_end()
  return table.concat(parts), #parts - 1
end

local function whole(tree)
  tree:snapshot_begin()
  return (take(tree, 65536))
end

--- What a file of this model must say, in the form of `described`.
local function expected_of(of)
  local nodes = {}
  for path in pairs(of.nodes) do
    local node = of:expected(path)
    local stat = node.persisted
    stat.data_length, stat.children_count = nil, nil
    local reserved = path == "/" or path == "/zookeeper" or path == "/zookeeper/quota"
    nodes[path == "/" and "" or path] = {
      data = node.data, stat = stat, acl = reserved and "open" or node.acl,
    }
  end
  return nodes
end

--- The file's nodes by path; each after its parent, and each once.
local function described(file)
  local nodes = {}
  for _, node in ipairs(file.nodes) do
    assert(not nodes[node.path], node.path .. " is there twice")
    local parent = node.path:match("^(.*)/[^/]*$")
    assert(node.path == "" or nodes[parent], node.path .. " comes before its parent")
    local list = file.lists[node.acl_id]
    nodes[node.path] = {
      data = node.data, stat = node.stat,
      acl = node.acl_id == OPEN and "open" or list and list.acl,
    }
  end
  return nodes
end

--- Puts a decoded file into a tree; the first part that is refused ends it.
local function restore(tree, file, zxid)
  tree:restore_begin()
  for id, timeout_ms in pairs(file.sessions) do
    assert(tree:restore("session", { id = id, timeout_ms = timeout_ms }))
  end
  for id, list in pairs(file.lists) do
    local ok, code, why =
      tree:restore("acl", { id = id, acl = list.acl, acl_count = list.acl_count })
    if not ok then
      return nil, code, why
    end
  end
  for _, node in ipairs(file.nodes) do
    local fields = { path = node.path, data = node.data, acl_id = node.acl_id }
    for name, value in pairs(node.stat) do
      fields[name] = value
    end
    local ok, code, why = tree:restore("node", fields)
    if not ok then
      return nil, code, why
    end
  end
  assert(tree:restore("end", { zxid = zxid }))
  return tree:restore("digest", { zxid = file.zxid, digest = file.digest })
end

describe("a snapshot", function()
  it("of a new server is Apache's snapshot.0, byte for byte", function()
    local tree = new()
    assert.are.equal(0, tree:snapshot_begin())
    local bytes = take(tree, LEAST)
    assert.are.equal(457, #bytes)
    local zeros = ("0"):rep(120)
    local function node(path, acl, stat)
      return ("%08x"):format(#path) .. codec.hex(path) .. "00000000" .. acl .. (stat or zeros)
    end
    local open = ("f"):rep(16)
    assert.are.equal(table.concat({
      "5a4b534e", "00000002", ("f"):rep(16), -- header
      "00000000", -- no session
      "00000001", "0000000000000001", "00000001", "00000001", -- one list: READ
      "00000005", codec.hex("world"), "00000006", codec.hex("anyone"),
      node("", open), node("/zookeeper", open),
      node("/zookeeper/config", "0000000000000001",
        ("0"):rep(64 + 8 + 8) .. "ffffffff" .. ("0"):rep(32)),
      node("/zookeeper/quota", open), "000000012f",
      "00000000b8a23b49", "000000012f",
      ("0"):rep(16), "00000002", ("0"):rep(16),
      "0000000095b93d59", "000000012f",
    }), codec.hex(bytes))
    tree:free()
  end)

  it("has the sessions with the timeouts they were given", function()
    local tree = new()
    local sessions = {}
    for i = 1, 1000 do -- more than one slice of them
      local id = ("0x%x"):format(2 ^ 52 + i)
      tree:session(id, 1000 + i)
      sessions[id] = 1000 + i
    end
    tree:snapshot_begin()
    tree:session("0x99", 5000) -- later than the start
    local file = snapshot_file.decode((take(tree, LEAST)))
    assert.are.same(sessions, file.sessions)
    assert.are.equal(0, tree:free().bytes)
  end)

  it("is one at a time", function()
    local tree = new()
    tree:snapshot_begin()
    local _, code = tree:snapshot_begin()
    assert.are.equal(LIMIT, code)
    take(tree, LEAST)
    assert.are.equal(0, tree:snapshot_begin())
    tree:snapshot_end()
    tree:free()
  end)

  it("fills its slices, whatever the sizes of nodes", function()
    local tree, expected = new(), model.new()
    local growing = growth.new(tree, expected, codec.random(3))
    growing:batch(200)
    assert.is_true(tree:reserve("create", { path = "/large", data = ("d"):rep(300000),
      acl = model.open_acl, acl_count = 1, zxid = growing.zxid, parent_cversion = 0 }))
    tree:apply()
    local sizes = {}
    for _, capacity in ipairs({ LEAST, LEAST + 1, 5000, 65536, 1048576 }) do
      tree:snapshot_begin()
      local bytes, slices = take(tree, capacity)
      sizes[#sizes + 1] = #bytes
      -- The end of a slice, at most 2048 bytes, is shown with the next one.
      assert.is_true(slices <= math.ceil(#bytes / (capacity - 2048)))
    end
    for i = 2, #sizes do
      assert.are.equal(sizes[1], sizes[i])
    end
    assert.is_true(sizes[1] > 300000)
    tree:free()
  end)

  for seed = 1, 12 do
    it(("is the tree of its start, whatever changes meanwhile (seed %d)"):format(seed), function()
      local random = codec.random(seed)
      local tree, expected = new(seed), model.new()
      local growing = growth.new(tree, expected, random)
      growing:batch(60 + random.below(150))
      tree:session("0x123456789abcdef", 30000)
      for round = 1, 3 do
        local at_start, digest = expected_of(expected), tree:sums().digest
        local zxid = growing.zxid
        assert.are.equal(zxid, tree:snapshot_begin())
        local busy = random.pick({ 1, 3, 20, 100 })
        local bytes = take(tree, LEAST, function(slices)
          if slices < 30 and (slices > 0 or round > 1) then
            growing:batch(random.below(busy + 1))
          end
        end)
        local file = snapshot_file.decode(bytes)
        assert.are.same(at_start, described(file))
        assert.are.equal(digest, file.digest)
        assert.are.equal(("0x%x"):format(zxid), file.zxid)
        assert.are.same({ ["0x123456789abcdef"] = 30000 }, file.sessions)
      end
      assert.are.same({}, growing:differences())
      assert.are.equal(0, tree:free().bytes)
    end)
  end

  it("is exact when the whole tree goes and another comes in its first slices", function()
    local tree = new()
    local function batch(kind, from, to, fields)
      for i = from, to do
        local change = { path = ("/n%d"):format(i), data = "x", acl = model.open_acl,
          acl_count = 1, zxid = i, parent_cversion = -1 }
        for name, value in pairs(fields or {}) do
          change[name] = value
        end
        assert.is_true(tree:reserve(kind, change))
      end
      tree:apply()
    end
    batch("create", 1, 1000)
    local digest = tree:sums().digest
    tree:snapshot_begin()
    local bytes = take(tree, LEAST, function(slices)
      if slices == 1 then
        batch("delete", 1, 1000)
        batch("create", 1, 500, { data = "other" })
        batch("set_data", 1, 500, { data = "again", version = 1 })
      end
    end)
    local file = snapshot_file.decode(bytes)
    assert.are.equal(1004, #file.nodes)
    assert.are.equal(digest, file.digest)
    for _, node in ipairs(file.nodes) do
      if node.path:find("^/n") then
        assert.are.equal("x", node.data)
      end
    end
    tree:free()
  end)

  it("passes over new nodes a few thousand at a time, to reach the last old one", function()
    local tree = new()
    local function create(path)
      assert.is_true(tree:reserve("create", { path = path, acl = model.open_acl, acl_count = 1,
        zxid = 1, parent_cversion = -1 }))
    end
    create("/first")
    create("/last")
    tree:apply()
    local digest = tree:sums().digest
    tree:snapshot_begin()
    for i = 1, 12000 do
      create("/first/n" .. i)
      if i % 4000 == 0 then
        tree:apply()
      end
    end
    local bytes, slices = take(tree, 65536)
    local file = snapshot_file.decode(bytes)
    assert.are.equal(6, #file.nodes)
    assert.are.equal("/last", file.nodes[6].path)
    assert.are.equal(digest, file.digest)
    assert.is_true(slices > 12000 / 4096) -- all of it would fit into one
    tree:free()
  end)

  it("may be given up at any slice, any number of times", function()
    local random = codec.random(5)
    local tree, expected = new(), model.new()
    local growing = growth.new(tree, expected, random)
    growing:batch(100)
    for attempt = 1, 140 do -- more than twice the generations there are
      tree:snapshot_begin()
      for _ = 1, random.below(4) do
        tree:snapshot_next(LEAST)
        growing:batch(1)
      end
      tree:snapshot_end()
      if attempt == 63 or attempt == 140 then
        local at_start = expected_of(expected)
        assert.are.same(at_start, described(snapshot_file.decode(whole(tree))))
      end
    end
    assert.are.equal(0, tree:free().bytes)
  end)
end)

describe("a snapshot without memory", function()
  it("does not begin, and leaves nothing", function()
    local tree = new()
    growth.new(tree, model.new(), codec.random(2)):batch(50)
    local before = whole(tree)
    local bytes, refused = tree:memory().bytes, 0
    while true do
      tree:fail(refused + 1)
      local zxid, code = tree:snapshot_begin()
      if zxid then
        break
      end
      refused = refused + 1
      assert.are.equal(NO_MEMORY, code)
      assert.are.equal(bytes, tree:memory().bytes)
    end
    tree:fail(0)
    assert.is_true(refused >= 2)
    assert.are.equal(before, (take(tree, LEAST)))
    tree:free()
  end)

  it("is given up, and service goes on", function()
    local seen = {}
    for request = 1, 12 do
      local tree, expected = new(), model.new()
      local growing = growth.new(tree, expected, codec.random(9))
      growing:batch(150)
      tree:snapshot_begin()
      tree:snapshot_next(LEAST)
      -- Room for these is there before memory ends; the snapshot's copies of them are not.
      for _ = 1, 40 do
        growing:reserve()
      end
      tree:fail(request, 1e9)
      tree:apply()
      local part, code
      repeat
        part, code = tree:snapshot_next(LEAST)
      until not part or part == ""
      if part == nil then
        assert.are.equal(NO_MEMORY, code)
        assert.is_nil((tree:snapshot_next(LEAST))) -- and stays so
      end
      seen[part or "refused"] = true
      tree:fail(0, 0)
      growing:batch(5)
      tree:snapshot_end()
      assert.are.same({}, growing:differences())
      assert.are.same(expected_of(expected), described(snapshot_file.decode(whole(tree))))
      assert.are.equal(0, tree:free().bytes)
    end
    assert.is_true(seen["refused"])
    assert.is_true(seen[""]) -- later than anything it needed
  end)
end)

describe("restoring", function()
  for seed = 1, 4 do
    it(("gives the same tree and the same file (seed %d)"):format(seed), function()
      local random = codec.random(seed)
      local tree, expected = new(seed, seed % 2 == 0), model.new()
      expected.ttl_nodes = seed % 2 == 0
      local growing = growth.new(tree, expected, random)
      growing:batch(200)
      tree:session("0x123456789abcdef", 30000)
      local bytes = whole(tree)
      local file = snapshot_file.decode(bytes)
      local other = new(seed + 100, seed % 2 == 0)
      assert.is_true(restore(other, file, growing.zxid))
      local reached = growth.new(other, expected, random)
      assert.are.same({}, reached:differences())
      assert.are.equal(growing.zxid, other:sums().zxid)
      assert.are.equal(0, other:sums().fuzzy_zxid)
      assert.are.equal(#bytes, #whole(other))
      assert.are.same(described(file), described(snapshot_file.decode(whole(other))))
      -- And it goes on as any other.
      reached.zxid, reached.time_ms = growing.zxid, growing.time_ms
      reached:batch(100)
      assert.are.same({}, reached:differences())
      assert.are.equal(0, other:free().bytes)
      tree:free()
    end)
  end

  it("forgets what was restored before it began again", function()
    local tree = new()
    growth.new(tree, model.new(), codec.random(1)):batch(100)
    tree:session("0x1", 1000)
    local file = snapshot_file.decode(whole(tree))
    local genesis = new()
    local first = snapshot_file.decode(whole(genesis))
    genesis:free()
    tree:restore_begin() -- a file that ends in the middle
    tree:restore("session", { id = "0x2", timeout_ms = 7 })
    tree:restore("node", { path = "", acl_id = -1 })
    assert.is_true(restore(tree, file, "0x999"))
    assert.is_true(restore(tree, first, 0))
    assert.are.equal("0x51c6d660", tree:sums().digest)
    assert.are.same({}, growth.new(tree, model.new()):differences())
    assert.are.same({}, snapshot_file.decode(whole(tree)).sessions)
    assert.are.equal(0, tree:free().bytes)
  end)

  it("keeps a list that its table does not have closed until the log says what it is", function()
    local tree = new()
    tree:restore_begin()
    assert.is_true(tree:restore("node", { path = "", acl_id = -1 }))
    assert.is_true(tree:restore("node", { path = "/young", acl_id = 6 }))
    assert.is_true(tree:restore("end", { zxid = 1 }))
    assert.are.equal(codec.int(0) .. codec.str("world") .. codec.str("anyone"),
      tree:get("/young").acl)
    assert.is_true(tree:reserve("set_acl", { path = "/young", acl = model.open_acl,
      acl_count = 1 }))
    tree:apply()
    assert.are.equal(1, tree:sums().lists)
    tree:free()
  end)

  it("drops lists that no node has", function()
    local tree = new()
    tree:restore_begin()
    assert.is_true(tree:restore("acl", { id = 9, acl = model.read_acl, acl_count = 1 }))
    assert.is_true(tree:restore("node", { path = "", acl_id = -1 }))
    assert.is_true(tree:restore("end", { zxid = 1 }))
    assert.are.equal(0, tree:sums().lists)
    tree:free()
  end)

  describe("refuses", function()
    local root = { "node", { path = "", acl_id = -1 } }
    local a = { "node", { path = "/a", acl_id = -1 } }
    for _, case in ipairs({
      { "no node at all", {}, { "end", { zxid = 1 } }, "there is no root node" },
      { "a node without root", {}, a, "a node comes before its parent: '/a'" },
      { "a second root", { root }, root, "this is no path of a node: ''" },
      { "an owner of the root", {},
        { "node", { path = "", acl_id = -1, ephemeral_owner = "0xab" } },
        "the root has an owner" },
      { "a node twice", { root, a }, a, "a node is there twice: '/a'" },
      { "a missing parent", { root, a }, { "node", { path = "/b/c", acl_id = -1 } },
        "a node comes before its parent: '/b/c'" },
      { "a path that ends in /", { root, a }, { "node", { path = "/a/", acl_id = -1 } },
        "this is no path of a node: '/a/'" },
      { "the root's other name", { root }, { "node", { path = "/", acl_id = -1 } },
        "this is no path of a node: '/'" },
      { "a relative path", { root, a }, { "node", { path = "a", acl_id = -1 } },
        "this is no path of a node: 'a'" },
      { "a null path", { root }, { "node", { acl_id = -1 } }, "this is no path of a node: ''" },
      { "an empty name between", { root, a }, { "node", { path = "/a//b", acl_id = -1 } },
        "this is no path of a node: '/a//b'" },
      { "an empty name on top", { root }, { "node", { path = "//a", acl_id = -1 } },
        "this is no path of a node: '//a'" },
      { "control characters, and shows none", { root },
        { "node", { path = "/x\27[2J/\n", acl_id = -1 } },
        "a node comes before its parent: '/x?[2J/?'" },
      { "a TTL of an unknown kind", { root },
        { "node", { path = "/t", acl_id = -1, ephemeral_owner = "0xff01000000000001" } },
        "a node has a TTL of an unknown kind: '/t'" },
      { "a session twice", { { "session", { id = "0xab", timeout_ms = 1 } } },
        { "session", { id = "0xab", timeout_ms = 2 } }, "a session is there twice: 0xab" },
      { "list 0", {}, { "acl", { id = 0, acl = model.open_acl, acl_count = 1 } },
        "an access list has a strange id: 0x0" },
      { "list -1", {}, { "acl", { id = -1, acl = model.open_acl, acl_count = 1 } },
        "an access list has a strange id: 0xffffffffffffffff" },
      { "a list beyond all ids", {}, { "acl", { id = "0xffffffff", acl = "", acl_count = 0 } },
        "an access list has a strange id: 0xffffffff" },
      { "a list twice", { { "acl", { id = 3, acl = model.open_acl, acl_count = 1 } } },
        { "acl", { id = 3, acl = model.read_acl, acl_count = 1 } },
        "an access list is there twice: 0x3" },
      { "a node's list 0", { root }, { "node", { path = "/a", acl_id = 0 } },
        "a node names a strange access list: 0x0" },
    }) do
      local name, before, part, why = case[1], case[2], case[3], case[4]
      it(name, function()
        local tree = new(7, true)
        tree:restore_begin()
        for _, earlier in ipairs(before) do
          assert.is_true(tree:restore(earlier[1], earlier[2]))
        end
        local ok, code, said = tree:restore(part[1], part[2])
        assert.is_nil(ok)
        assert.are.equal(CORRUPT, code)
        assert.are.equal(why, said)
        tree:free()
      end)
    end

    -- Its session would take it away from above them. One that has ended already does not.
    it("children of an ephemeral, when all is there", function()
      for _, case in ipairs({ { "0xab", true }, { "0xac", false } }) do
        local tree = new(7, true)
        tree:restore_begin()
        assert.is_true(tree:restore("session", { id = "0xab", timeout_ms = 1 }))
        assert.is_true(tree:restore(root[1], root[2]))
        assert.is_true(tree:restore("node", { path = "/e", acl_id = -1,
          ephemeral_owner = case[1] }))
        assert.is_true(tree:restore("node", { path = "/e/c", acl_id = -1 }))
        assert.is_true(tree:restore("end", { zxid = 1 }))
        assert.are.equal(case[2], tree:sums().in_doubt)
        tree:free()
      end
    end)

    it("with a sentence that fits, however long the path", function()
      local tree = new()
      tree:restore_begin()
      local _, _, said = tree:restore("node", { path = "/" .. ("x"):rep(100000), acl_id = -1 })
      assert.are.equal(255, #said)
      assert.are.equal("a node comes before its parent: '/xxx", said:sub(1, 37))
      tree:free()
    end)
  end)

  it("knows from where on digests may be compared", function()
    for _, case in ipairs({
      { zxid = 0, fuzzy = 0 }, -- before any transaction: exact
      { zxid = 4, fuzzy = 2 ^ 63 }, -- older than the file: says nothing
      { zxid = 5, digest = "0x4128908", fuzzy = 0 },
      { zxid = 5, digest = "0x1", fuzzy = 0, in_doubt = true }, -- the log may still explain it
      { zxid = 9, digest = "0x77", fuzzy = 9 },
    }) do
      local tree = new()
      tree:restore_begin()
      assert.is_true(tree:restore("node", { path = "", acl_id = -1 }))
      assert.is_true(tree:restore("end", { zxid = 5 }))
      assert.are.equal(2 ^ 63, tree:sums().fuzzy_zxid) -- no digest section: never
      assert.is_true(tree:restore("digest", { zxid = case.zxid, digest = case.digest }))
      assert.are.equal(case.fuzzy, tree:sums().fuzzy_zxid)
      assert.are.equal(case.in_doubt or false, tree:sums().in_doubt)
      tree:free()
    end
  end)

  it("without memory says so, and may begin again", function()
    local tree = new()
    growth.new(tree, model.new(), codec.random(4)):batch(250)
    local file = snapshot_file.decode(whole(tree))
    local digest = tree:sums().digest
    local other, refused = new(), 0
    while true do
      other:fail(refused + 1)
      local ok, code, why = restore(other, file, "0xfff00000000")
      if ok then
        break
      end
      refused = refused + 1
      assert.are.equal(NO_MEMORY, code)
      assert.are.equal("out of memory", why)
    end
    assert.is_true(refused > 20)
    assert.are.equal(digest, other:sums().digest)
    assert.are.equal(0, other:free().bytes)
    tree:free()
  end)
end)
