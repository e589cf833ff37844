local codec = require("wire.codec")
local files = require("store.files")

local logs, open = files.logs, files.open

-- The first two entries of a fresh Apache ZooKeeper 3.8.0, as its disk held them.
local GOLDEN = codec.unhex([[
  5a4b4c47 00000002 0000000000000000
  00000000b5e80a2c 00000030 0100000d79200000 00000000 0000000000000001 000001a1ffb96947
  fffffff6  00002710  00000002 0000000051c6d660  42
  00000000 07e30ce5 0000005b 0100000d79200000 00000001 0000000000000002 000001a1ffb96953
  00000001 00000002 2f61 00000005 68656c6c6f 00000001 0000001f 00000005 776f726c64
  00000006 616e796f6e65 00 00000001  00000002 00000000c624208e 42
]])
local SESSION = files.payload({
  zxid = 1, session = "0x0100000d79200000", time = "0x1a1ffb96947", type = -10,
  body = codec.int(10000), digest = "0x51c6d660",
})
local CREATE = files.payload({
  zxid = 2, session = "0x0100000d79200000", cxid = 1, time = "0x1a1ffb96953", type = 1,
  body = codec.str("/a") .. codec.str("hello") .. codec.int(1) .. codec.int(31)
    .. codec.str("world") .. codec.str("anyone") .. "\0" .. codec.int(1),
  digest = "0xc624208e",
})

local function write(opened, payloads, first)
  for i, payload in ipairs(payloads) do
    assert.is_true(opened:append(first + i - 1, payload))
  end
  opened:seal()
  return opened:flush()
end

local function log_of(disk, zxid)
  return disk:read("d/version-2", ("log.%x"):format(zxid))
end

describe("a log", function()
  it("is written as Apache's, byte for byte", function()
    local disk = files.disk()
    local opened = assert(open(disk, { preallocate_bytes = -1 }))
    assert.are.equal(2, write(opened, { SESSION, CREATE }, 1))
    assert.are.equal(codec.hex(GOLDEN), codec.hex(log_of(disk, 1)))
    opened:close()
  end)

  it("is read as Apache's, with its zeros and without", function()
    for _, padding in ipairs({ 0, 1, 11, 12, 13, 511, 1000, 100000 }) do
      local disk = files.disk()
      disk:write("d/version-2", "snapshot.0", files.snapshot({}))
      disk:write("d/version-2", "log.1", GOLDEN .. ("\0"):rep(padding))
      local opened, report, recovered = open(disk, { parts = 1 })
      assert.is_truthy(opened, report.text)
      assert.are.equal("", report.text)
      assert.are.equal(2, recovered.zxid)
      local parts = recovered.parts
      assert.are.equal(codec.hex(SESSION), codec.hex(parts[#parts - 1].payload))
      assert.are.equal(codec.hex(CREATE), codec.hex(parts[#parts].payload))
      opened:close()
    end
  end)

  it("gives back entries of every size, whatever the reads and writes are cut into", function()
    local payloads, first = {}, 1
    for i, size in ipairs({ 0, 1, 479, 480, 4096, 65536, 262144, 262145, 1048576, 5000000, 7 }) do
      payloads[i] = files.create(i, "/n", ("x"):rep(size))
    end
    for _, short in ipairs({ 0, 90 }) do
      local disk = files.disk()
      disk:set({ short = short })
      local opened = assert(open(disk))
      assert.are.equal(#payloads, write(opened, payloads, first))
      opened:close()
      local again, report, recovered = open(disk)
      assert.is_truthy(again, report.text)
      assert.are.equal(files.chain(payloads), recovered.chain)
      again:close()
    end
  end)

  it("has no name before its first entries are durable", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    disk:fail("rename", "EIO")
    local zxid, status, report = write(opened, { SESSION }, 1)
    assert.is_nil(zxid)
    assert.are.equal(-5, status)
    assert.is_truthy(report.text:find("nothing from zxid 0x1 on was acknowledged", 1, true))
    assert.are.same({}, logs(disk))
    opened:close()
  end)

  it("is synced once for a batch, and never written after a failure", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    assert.are.equal(3, write(opened, files.payloads(1, 3), 1))
    local syncs = disk:calls("sync")
    assert.are.equal(53, write(opened, files.payloads(4, 50), 4))
    assert.are.equal(syncs + 1, disk:calls("sync"))
    disk:fail("sync", "EIO", 1, 1)
    assert.is_nil(write(opened, files.payloads(54, 2), 54))
    local writes = disk:calls("write")
    for _ = 1, 3 do
      local zxid, status = opened:flush()
      assert.is_nil(zxid)
      assert.are.equal(-5, status)
    end
    assert.are.equal(-5, opened:mark(1e6))
    assert.are.equal(writes, disk:calls("write"))
    opened:close()
  end)

  it("stops before an acknowledgement at each sync that fails, and keeps what was before",
    function()
      for k = 1, 40 do
        local disk = files.disk()
        local opened = assert(open(disk))
        disk:fail("sync", "EIO", k, k)
        local acknowledged = 0
        for zxid = 1, 60 do
          local durable = write(opened, files.payloads(zxid, 1), zxid)
          if not durable then
            break
          end
          acknowledged = durable
          opened:mark(zxid * 400)
        end
        assert.is_true(acknowledged < 60)
        opened:close()
        disk:crash(k)
        local again, report, recovered = open(disk)
        assert.is_truthy(again, report.text)
        assert.is_true(recovered.zxid >= acknowledged)
        again:close()
      end
    end)

  it("is made while the one before is written", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    assert.is_true(opened:batch_empty())
    assert.is_true(opened:append(1, files.payloads(1, 1)[1]))
    opened:seal()
    assert.is_true(opened:batch_empty())
    assert.is_true(opened:append(2, files.payloads(2, 1)[1]))
    assert.are.equal(1, opened:flush())
    assert.is_false(opened:batch_empty())
    assert.are.equal(1, opened:flush()) -- nothing is sealed
    opened:seal()
    assert.are.equal(2, opened:flush())
    opened:close()
  end)

  it("takes a new file after a restart, and when it is large", function()
    local disk = files.disk()
    local opened = assert(open(disk, { log_bytes_max = 1000 }))
    for zxid = 1, 12 do
      assert.are.equal(zxid, write(opened, files.payloads(zxid, 1, 300), zxid))
    end
    opened:close()
    assert.are.same({ "log.1", "log.4", "log.7", "log.a" }, logs(disk))
    opened = assert(open(disk))
    assert.are.equal(13, write(opened, files.payloads(13, 1), 13))
    opened:close()
    assert.are.same({ "log.1", "log.4", "log.7", "log.a", "log.d" }, logs(disk))
  end)

  it("sets space aside ahead, gives it back at the end, and does without", function()
    local disk = files.disk()
    local opened = assert(open(disk, { preallocate_bytes = 8192 }))
    local sizes = {}
    for zxid = 1, 8 do
      write(opened, files.payloads(zxid, 1, 1500), zxid)
      sizes[zxid] = #log_of(disk, 1)
      assert.is_true(sizes[zxid] % 8192 == 0)
    end
    assert.is_true(disk:calls("allocate") < 5)
    opened:close()
    assert.are.equal(#files.log(files.payloads(1, 8, 0)) + 8 * 1500, #log_of(disk, 1))
    opened = assert(open(disk, { preallocate_bytes = 8192 }))
    disk:fail("allocate", "ENOSPC")
    assert.are.equal(9, write(opened, files.payloads(9, 1), 9))
    assert.are.equal(10, write(opened, files.payloads(10, 1), 10))
    assert.are.equal(#files.log(files.payloads(9, 2)), #log_of(disk, 9))
    opened:close()
  end)

  it("gives back what a server that was killed had set aside", function()
    local disk = files.disk()
    local opened = assert(open(disk, { preallocate_bytes = 65536 }))
    write(opened, files.payloads(1, 8, 100), 1)
    assert.are.equal(65536, #log_of(disk, 1))
    local killed = disk:clone()
    opened:close()
    opened = assert(open(killed))
    assert.are.equal(log_of(disk, 1), log_of(killed, 1))
    opened:close()
  end)

  it("writes a long batch in pieces, each synced before the next", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    write(opened, files.payloads(1, 1), 1)
    local syncs = disk:calls("sync")
    local payloads = files.payloads(2, 10, 1000000)
    assert.are.equal(11, write(opened, payloads, 2))
    assert.are.equal(syncs + 3, disk:calls("sync"))
    opened:close()
    local again, _, recovered = open(disk)
    assert.are.equal(11, recovered.zxid)
    again:close()
  end)

  it("loses nothing to a full disk, and starts on it", function()
    local disk = files.disk()
    local opened = assert(open(disk, { preallocate_bytes = 4096 }))
    disk:set({ space = 40000 })
    local last
    for zxid = 1, 1000 do
      local durable, status = write(opened, files.payloads(zxid, 1, 300), zxid)
      if not durable then
        assert.are.equal(-28, status)
        break
      end
      last = durable
    end
    assert.is_true(last > 20 and last < 1000)
    opened:close()
    disk:set({ space = 1 })
    local again, report, recovered = open(disk)
    assert.is_truthy(again, report.text)
    assert.is_true(recovered.zxid >= last)
    assert.is_nil((write(again, files.payloads(recovered.zxid + 1, 1), recovered.zxid + 1)))
    again:close()
  end)

  it("changes nothing when there is no memory for an entry", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    assert.is_true(opened:append(1, files.payloads(1, 1)[1]))
    opened:fail(1, 1e9)
    assert.is_false(opened:append(2, files.payloads(2, 1, 100000)[1]))
    opened:fail(0)
    local payloads = files.payloads(1, 2)
    assert.is_true(opened:append(2, payloads[2]))
    opened:seal()
    assert.are.equal(2, opened:flush())
    assert.are.equal(0, opened:close())
    local again, _, recovered = open(disk)
    assert.are.equal(files.chain(payloads), recovered.chain)
    again:close()
  end)
end)

describe("the moment for a snapshot", function()
  it("comes after half to all of snapCount entries, once, and the log ends there", function()
    local moments = {}
    for seed = 1, 20 do
      local disk = files.disk()
      local opened = assert(open(disk, { snapshot_count = 100, seed = seed }))
      local zxid = 0
      repeat
        zxid = zxid + 1
        assert.are.equal(zxid, write(opened, files.payloads(zxid, 1), zxid))
        local due = opened:wants_snapshot()
        assert.is_false(opened:wants_snapshot())
      until due
      assert.is_true(zxid > 50 and zxid <= 101, zxid)
      write(opened, files.payloads(zxid + 1, 1), zxid + 1)
      assert.are.same({ "log.1", ("log.%x"):format(zxid + 1) }, logs(disk))
      moments[zxid] = true
      opened:close()
    end
    local different = 0
    for _ in pairs(moments) do
      different = different + 1
    end
    assert.is_true(different > 5)
  end)

  it("comes after enough entries of several runs, however few each of them wrote", function()
    local disk = files.disk()
    local runs, zxid = 0, 0
    local due
    repeat
      local opened = assert(open(disk, { snapshot_count = 100, seed = 1 }))
      assert.is_false(opened:wants_snapshot()) -- a start writes nothing that is not needed
      write(opened, files.payloads(zxid + 1, 10), zxid + 1)
      runs, zxid = runs + 1, zxid + 10
      due = opened:wants_snapshot()
      opened:close()
    until due or runs == 20
    assert.is_true(zxid > 50 and zxid <= 110, zxid)
  end)

  it("comes after enough bytes of several runs", function()
    local disk = files.disk()
    local zxid, due = 0, nil
    repeat
      zxid = zxid + 1
      local opened = assert(open(disk, { snapshot_bytes_max = 100000 }))
      write(opened, files.payloads(zxid, 1, 10000), zxid)
      due = opened:wants_snapshot()
      opened:close()
    until due or zxid == 20
    assert.is_true(zxid > 4 and zxid < 11, zxid)
  end)

  it("is not told by bytes where they have no limit", function()
    local opened = assert(open(files.disk(), { snapshot_bytes_max = -1 }))
    for zxid = 1, 20 do
      write(opened, files.payloads(zxid, 1, 10000), zxid)
      assert.is_false(opened:wants_snapshot(), zxid)
    end
    opened:close()
  end)

  it("comes when a start has read many logs", function()
    local disk = files.disk()
    for zxid = 1, 33 do
      local opened = assert(open(disk))
      assert.is_false(opened:wants_snapshot(), zxid)
      write(opened, files.payloads(zxid, 1), zxid)
      opened:close()
    end
    local opened = assert(open(disk))
    assert.is_true(opened:wants_snapshot())
    opened:close()
  end)

  it("comes after enough bytes", function()
    local opened = assert(open(files.disk(), { snapshot_bytes_max = 100000 }))
    local zxid = 0
    repeat
      zxid = zxid + 1
      write(opened, files.payloads(zxid, 1, 1000), zxid)
    until opened:wants_snapshot()
    assert.is_true(zxid > 45 and zxid < 100, zxid)
    opened:close()
  end)
end)
