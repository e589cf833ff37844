local codec = require("wire.codec")
local precedence = require("server.precedence")
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

local function children_of(world, path)
  local names = {}
  for name in pairs(world.core:tree()) do
    local parent, child = name:match("^(.*)/([^/]+)$")
    if child and (parent == "" and "/" or parent) == path then
      names[#names + 1] = child
    end
  end
  table.sort(names)
  return names
end

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
    assert.are.same({ "a", "b", "zookeeper" }, children_of(world, "/"))
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
      assert.are.same({ "s-0000000001", "s-0000000002" }, children_of(world, "/a"))
      assert.are.equal("z", world.core:node("/a").data)
      assert.are.equal(0, world.core:state().believed)
      world:free()
    end
  end)
end)

describe("numbers", function()
  it("count all creates below a parent, and no deletes", function()
    local world = prepared.new()
    world:made(create("/p"), create("/p/x"), create("/p/s", { flags = 2 }), delete("/p/x"),
      create("/p/", { flags = 3 }))
    world.core:commit()
    assert.are.same({ "0000000002", "s0000000001" }, children_of(world, "/p"))
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
    core:start()
    local connection = core:open()
    local world = setmetatable({ core = core, connection = connection },
      getmetatable(prepared.new()))
    world:made(create("/p/a", { flags = 2 }))
    world:made(create("/p/a", { flags = 2 }))
    assert.are.equal(-110, (world:ask(create("/p/a", { flags = 2 }))))
    world:made(create("/p/b", { flags = 2 }))
    core:commit()
    assert.are.same({ "a2147483646", "a2147483647", "b2147483647" }, children_of(world, "/p"))
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
    assert.are.same({ "s0000000000" }, children_of(world, "/a"))
    assert.are.equal("3", world.core:node("/a").data)
    world:free()
  end)

  it("judges each operation by those before it", function()
    local world = prepared.new()
    world:made(multi(create("/a"), create("/a/b", { flags = 2 }), create("/a/b", { flags = 2 }),
      check("/a", 0), set("/a", "x", 0), check("/a", 1), delete("/a/b0000000000", 0)))
    world.core:commit()
    assert.are.same({ "b0000000001" }, children_of(world, "/a"))
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
    assert.are.equal(999, #children_of(world, "/many"))
    world.core:close(1)
    world.core:commit()
    assert.are.equal(500, #children_of(world, "/many"))
    assert.are.equal(0, world:free().bytes)
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
    assert.are.same({ "zookeeper" }, children_of(world, "/"))
    assert.are.same({ { 1, last, zxid = "0x20" }, { 2, last, zxid = "0x21" } },
      world:heard(other))
    assert.are.equal(0, world:free().bytes)
  end)
end)

describe("a limit of memory", function()
  it("refuses what adds and lets the rest be", function()
    local world = prepared.new()
    world:made(create("/a", { data = ("x"):rep(100000) }))
    world.core:commit()
    local used = world.core:memory().bytes
    world:free()
    world = prepared.new({ memory_max = used + 50000 })
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
      assert.are.same({}, children_of(world, "/p"))
      assert.are.equal(0, world:free().bytes)
    until status == "OK"
    assert.is_true(request > 2)
  end)
end)
