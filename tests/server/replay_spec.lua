local unpack = table.unpack or unpack
local codec = require("wire.codec")
local files = require("store.files")
local history = require("server.history")
local prep = require("zklua_testing").prep
local prepared = require("server.prepared")
local txn = require("zklua_testing").txn

local function fresh()
  return prep.new({ seed = 3, ttl_nodes = true, now = 1, wall = 1 })
end

local function assert_same_state(step, core, note)
  assert.are.same(step.tree, core:tree(), note)
  assert.are.equal(step.digest, core:state().digest, note)
  assert.are.same(step.sessions, core:sessions(), note)
end

--- Ids for access lists: the table as it is when there are only those of the first tree, and
--- the id of each list of all trees.
local function acl_ids(trees)
  local ids, count, known = {}, 0, nil
  local function key_of(list)
    local parts = {}
    for i, entry in ipairs(list) do
      parts[i] = ("%s:%s:%d"):format(entry.scheme, entry.id, entry.permissions)
    end
    return table.concat(parts, ",")
  end
  local table_of = {}
  for _, tree in ipairs(trees) do
    for _, node in pairs(tree) do
      local key = key_of(node.items)
      if not ids[key] then
        count = count + 1
        ids[key] = count
        table_of[count] = { acl = node.items }
      end
    end
    known = known or { unpack(table_of) }
  end
  return known, function(list)
    return ids[key_of(list)]
  end
end

--- A snapshot as Apache takes one while it serves: node by node, parents first, each as it is
--- when its turn comes; the children of a node as they were when the node was written. Goes on
--- from steps[first] to, at most, steps[last]; gives what restore wants.
local function fuzzy_snapshot(random, steps, first, last)
  local now, nodes = first, {}
  local trees = {}
  for i = first, last do
    trees[#trees + 1] = steps[i].tree
  end
  local acls, id_of = acl_ids(trees)
  local function visit(path)
    local node = steps[now].tree[path]
    if not node then
      return
    end
    nodes[#nodes + 1] = { path = path == "/" and "" or path, data = node.data,
      stat = node.stat, acl = id_of(node.items) }
    local children = {}
    for child in pairs(steps[now].tree) do
      local parent = child:match("^(.*)/[^/]+$")
      if parent and child ~= "/" and (parent == "" and "/" or parent) == path then
        children[#children + 1] = child
      end
    end
    table.sort(children)
    for _, child in ipairs(children) do
      now = math.min(last, now + random.below(13))
      visit(child)
    end
  end
  visit("/")
  return { zxid = first, sessions = steps[first].sessions, acls = acls, nodes = nodes,
    digest_zxid = last, digest = steps[last].digest }
end

describe("a log", function()
  it("replayed gives the tree, the digest and the sessions that were there", function()
    for seed = 1, 12 do
      local world, steps = history.run(seed, 150, seed % 4 * 3)
      local core = fresh()
      for i, step in ipairs(steps) do
        local note = ("seed %d, zxid %d"):format(seed, i)
        assert.are.same({ "OK", false }, { core:replay(step.payload) }, note)
        if i % 10 == 0 or i == #steps then
          assert_same_state(step, core, note)
        end
      end
      assert.are.equal(0, core:free().bytes)
      assert.are.equal(0, world:free().bytes)
    end
  end)

  it("replayed onto a fuzzy snapshot mends it", function()
    for seed = 1, 40 do
      local random = codec.random(seed)
      local world, steps = history.run(seed, 150, 4)
      local first = random.below(#steps - 100) + 1
      local last = first + random.below(99) + 1
      local snapshot = fuzzy_snapshot(random, steps, first, last)
      local core = fresh()
      assert.are.equal("OK", core:restore(snapshot))
      for i = 1, #steps do
        local note = ("seed %d, snapshot %d to %d, zxid %d"):format(seed, first, last, i)
        local status, skipped, why = core:replay(steps[i].payload)
        assert.are.equal("OK", status, note .. ": " .. (why or ""))
        assert.are.equal(i <= first, skipped, note)
        if i >= last then
          assert_same_state(steps[i], core, note)
        end
      end
      core:free()
      world:free()
    end
  end)

  -- Apache reads the digest last, but a transaction that is half applied by then is in the nodes
  -- and not in the digest.
  it("replayed onto a snapshot that is ahead of its own digest mends that, too", function()
    for seed = 1, 20 do
      local random = codec.random(seed)
      local world, steps = history.run(seed, 150, 4)
      local first = random.below(#steps - 100) + 1
      local last = first + random.below(30) + 1
      local snapshot = fuzzy_snapshot(random, steps, first, last)
      snapshot.digest_zxid, snapshot.digest = first, steps[first].digest
      local core = fresh()
      assert.are.equal("OK", core:restore(snapshot))
      for i = 1, #steps do
        local note = ("seed %d, snapshot %d to %d, zxid %d"):format(seed, first, last, i)
        local status, _, why = core:replay(steps[i].payload)
        assert.are.equal("OK", status, note .. ": " .. (why or ""))
        if i >= last then
          assert_same_state(steps[i], core, note)
        end
      end
      core:free()
      world:free()
    end
  end)

  for _, path in ipairs({ "", "/", "a", "//a", "/a/", "/a//b" }) do
    it("that creates a node with the path '" .. path .. "' is refused", function()
      local core = fresh()
      local status, _, why = core:replay(files.create(1, path, ""))
      assert.are.equal("CORRUPT", status)
      assert.are.equal("the log creates a node with the path '" .. path .. "'", why)
      core:free()
    end)
  end

  it("with damage that its checksums do not see is found out by the digest", function()
    local world = prepared.new()
    world:made(prepared.create("/a"), prepared.set("/a", "x"))
    local entries = world:log()
    world.core:commit()
    local entry = txn.decode(entries[2].payload)
    entry.data = "y"
    local core = fresh()
    core:replay(world.first_entry)
    core:replay(entries[1].payload)
    local status, _, why = core:replay((txn.encode(entry)))
    assert.are.equal("CORRUPT", status)
    assert.is_truthy(why:find("digest", 1, true))
    assert.is_truthy(why:find("0x3", 1, true))
    core:free()
    world:free()
  end)
end)

describe("an entry of a log", function()
  local function entry(fields)
    fields.zxid = fields.zxid or "0x1"
    fields.session_id = fields.session_id or "0x100000000000001"
    return (txn.encode(fields))
  end
  local function create_entry(path, zxid, more)
    local fields = { type = 1, path = path, data = "", acl = prepared.open_acl,
      parent_cversion = -1, zxid = zxid, time_ms = 5 }
    for name, value in pairs(more or {}) do
      fields[name] = value
    end
    return entry(fields)
  end

  --- A core with these entries replayed.
  local function with(entries)
    local core = fresh()
    for _, payload in ipairs(entries) do
      assert.are.equal("OK", (core:replay(payload)))
    end
    return core
  end

  for _, case in ipairs({
    { "a gap", { "0x1" }, create_entry("/b", "0x3"), "CORRUPT", "missing" },
    { "a gap at the front", {}, create_entry("/b", "0x2"), "CORRUPT", "missing" },
    { "a gap behind a new epoch", { "0x1", "0x100000001" }, create_entry("/b", "0x100000003"),
      "CORRUPT", "missing" },
    { "too short for its header", {}, ("\0"):rep(31), "CORRUPT", "short" },
    { "nothing", {}, "", "CORRUPT", "short" },
    { "an unknown type", {}, ("\0"):rep(19) .. "\1" .. ("\0"):rep(8) .. "\0\0\0\77",
      "CORRUPT", "no known transaction" },
    { "a check alone", {}, ("\0"):rep(19) .. "\1" .. ("\0"):rep(8) .. "\0\0\0\13"
      .. "\0\0\0\1/\0\0\0\1", "CORRUPT", "no known transaction" },
    { "half a record", {}, create_entry("/b", "0x1"):sub(1, 50), "CORRUPT", "known" },
    { "bytes behind it", {}, create_entry("/b", "0x1") .. "x", "CORRUPT", "known" },
    { "the end of the root", {}, entry({ type = 2, path = "/" }), "CORRUPT", "root" },
    { "a node without a name", {}, create_entry("/a/", "0x1"), "CORRUPT", "path" },
    { "a node without a slash", {}, create_entry("a", "0x1"), "CORRUPT", "path" },
  }) do
    it("is refused: " .. case[1], function()
      local core = fresh()
      for i, zxid in ipairs(case[2]) do
        assert.are.equal("OK", (core:replay(create_entry("/n" .. i, zxid))))
      end
      local status, skipped, why = core:replay(case[3])
      assert.are.same({ case[4], false }, { status, skipped })
      assert.is_truthy(why:find(case[5], 1, true), why)
      assert.are.equal(0, core:free().bytes)
    end)
  end

  for _, case in ipairs({
    { "of a new epoch", create_entry("/b", "0x100000001") },
    { "of a later epoch that does not begin with 1", create_entry("/b", "0x300000007") },
    { "right behind the carry", create_entry("/b", "0x2") },
  }) do
    it("is taken: " .. case[1], function()
      local core = with({ create_entry("/a", "0x1") })
      assert.are.same({ "OK", false }, { core:replay(case[2]) })
      assert.is_truthy(core:node("/b"))
      core:free()
    end)
  end

  it("that was there already is skipped, whatever is in it", function()
    local core = with({ create_entry("/a", "0x1"), create_entry("/b", "0x2") })
    assert.are.same({ "OK", true }, { core:replay(create_entry("/c", "0x1")) })
    assert.are.same({ "OK", true }, { core:replay(("\0"):rep(32)) })
    assert.is_nil(core:node("/c"))
    core:free()
  end)

  --- What an entry does where its effect, or something later, is there already: { name, entries,
  --- path, the fields of its stat that count }.
  for _, case in ipairs({
    { "create of a node that is there raises the parent's counters",
      { create_entry("/p", "0x1"), create_entry("/p/c", "0x2"),
        create_entry("/p/c", "0x3", { parent_cversion = 9 }) },
      "/p", { czxid = "0x1", mzxid = "0x1", pzxid = "0x3", cversion = 9, children_count = 1,
        ctime_ms = "0x5", mtime_ms = "0x5" } },
    { "create2 of a node that is there does not",
      { create_entry("/p", "0x1"), create_entry("/p/c", "0x2"),
        create_entry("/p/c", "0x3", { type = 15, parent_cversion = 9 }) },
      "/p", { czxid = "0x1", mzxid = "0x1", pzxid = "0x2", cversion = 1, children_count = 1,
        ctime_ms = "0x5", mtime_ms = "0x5" } },
    { "create never lowers them",
      { create_entry("/p", "0x1"), create_entry("/p/c", "0x2", { parent_cversion = 7 }),
        create_entry("/p/c", "0x3", { parent_cversion = 3 }),
        create_entry("/p/d", "0x4", { parent_cversion = 4 }) },
      "/p", { czxid = "0x1", mzxid = "0x1", pzxid = "0x2", cversion = 7, children_count = 2,
        ctime_ms = "0x5", mtime_ms = "0x5" } },
    { "delete of a node that is gone raises pzxid alone",
      { create_entry("/p", "0x1"), create_entry("/q", "0x2"),
        entry({ type = 2, path = "/p/c", zxid = "0x3" }) },
      "/p", { czxid = "0x1", mzxid = "0x1", pzxid = "0x3", ctime_ms = "0x5", mtime_ms = "0x5" } },
    { "delete of a node that has children of later entries takes them along",
      { create_entry("/p", "0x1"), create_entry("/p/c", "0x2"), create_entry("/p/c/d", "0x3"),
        entry({ type = 2, path = "/p", zxid = "0x4" }), create_entry("/p", "0x5") },
      "/p", { czxid = "0x5", mzxid = "0x5", pzxid = "0x5", ctime_ms = "0x5", mtime_ms = "0x5" } },
    { "setData and setACL of nodes that are gone are passed over",
      { create_entry("/p", "0x1"), entry({ type = 5, path = "/x", data = "", zxid = "0x2" }),
        entry({ type = 7, path = "/x", acl = prepared.open_acl, zxid = "0x3" }),
        entry({ type = 2, path = "/x/y", zxid = "0x4" }), create_entry("/x/y", "0x5") },
      "/p", { czxid = "0x1", mzxid = "0x1", pzxid = "0x1", ctime_ms = "0x5", mtime_ms = "0x5" } },
    { "setData overwrites, with the version that was logged",
      { create_entry("/p", "0x1"),
        entry({ type = 5, path = "/p", data = "new", version = 7, zxid = "0x2", time_ms = 9 }) },
      "/p", { czxid = "0x1", mzxid = "0x2", pzxid = "0x1", version = 7, data_length = 3,
        ctime_ms = "0x5", mtime_ms = "0x9" } },
  }) do
    it(case[1], function()
      local core = with(case[2])
      assert.are.same(case[4], core:node(case[3]).stat)
      assert.are.equal(0, core:free().bytes)
    end)
  end

  it("that creates a node which is there gives it its list", function()
    local core = with({ create_entry("/p", "0x1"),
      create_entry("/p", "0x2", { acl = prepared.read_acl }) })
    assert.are.same(prepared.read_acl, core:node("/p").items)
    assert.are.equal(0, core:free().bytes)
  end)

  it("closeSession: without a list, all that the session owns goes", function()
    local core = with({ entry({ type = -10, timeout_ms = 4000 }),
      create_entry("/e", "0x2", { ephemeral = true }),
      create_entry("/f", "0x3", { ephemeral = true }),
      create_entry("/other", "0x4", { ephemeral = true, session_id = "0x7" }) })
    assert.are.same({ ["0x100000000000001"] = 4000 }, core:sessions())
    assert.are.equal("OK", (core:replay(entry({ type = -11, zxid = "0x5", paths = false }))))
    assert.are.same({}, core:sessions())
    assert.is_nil(core:node("/e"))
    assert.is_nil(core:node("/f"))
    assert.is_truthy(core:node("/other"))
    core:start() -- whose session is not known: it goes, in a transaction
    assert.is_truthy(core:next())
    core:commit()
    assert.is_nil(core:node("/other"))
    core:free()
  end)

  it("a multi with a failure does nothing", function()
    local parts = {
      { type = 1, path = "/m", data = "", acl = prepared.open_acl, parent_cversion = 1 },
      { type = -1, code = -101 },
    }
    local core = with({ entry({ type = 14, parts = parts }) })
    assert.is_nil(core:node("/m"))
    assert.are.equal("0x1", core:state().zxid)
    core:free()
  end)

  it("without memory is no entry: each allocation in turn", function()
    local failures = 0
    for _, fields in ipairs({
      { type = 1, path = "/p/new", data = "data", acl = prepared.read_acl, parent_cversion = 1,
        ephemeral = true },
      { type = 5, path = "/p", data = ("x"):rep(2000), version = 1 },
      { type = 7, path = "/p", acl = prepared.read_acl, version = 1 },
      { type = -10, timeout_ms = 5000, session_id = "0x77" },
      { type = 14, parts = { { type = 1, path = "/p/a", data = "d", acl = prepared.read_acl,
        parent_cversion = 1 }, { type = 5, path = "/p/a", data = ("y"):rep(900), version = 1 } } },
    }) do
      fields.zxid = "0x2"
      local payload, request, status = entry(fields), 0, nil
      repeat
        request = request + 1
        local core = with({ create_entry("/p", "0x1") })
        local before = core:state()
        core:fail(request)
        status = core:replay(payload)
        core:fail(0)
        if status ~= "OK" then
          failures = failures + 1
          assert.are.equal("NOMEM", status)
          assert.are.same(before, core:state())
          assert.are.equal("OK", (core:replay(payload)))
        end
        assert.are.equal("0x2", core:state().zxid)
        assert.are.equal(0, core:free().bytes)
      until status == "OK"
    end
    assert.is_true(failures >= 5)
  end)
end)
