local codec = require("wire.codec")
local files = require("store.files")

local DIRECTORY, open, put = files.DIRECTORY, files.open, files.put

local function edit(disk, name, change)
  disk:write(DIRECTORY, name, change(disk:read(DIRECTORY, name)))
end

local function flip(bytes, at, bit)
  local byte = bytes:byte(at + 1)
  local mask = 2 ^ bit
  local set = math.floor(byte / mask) % 2 == 1
  return put(bytes, at, string.char(set and byte - mask or byte + mask))
end

local PAYLOADS = files.payloads(1, 103)
local LOG_SIZE = 16384

local function write(opened, payloads, first)
  for i, payload in ipairs(payloads) do
    assert(opened:append(first + i - 1, payload))
  end
  opened:seal()
  return assert(opened:flush())
end

-- A server of ours has acknowledged 100, written 3 more, and was killed.
local function ours()
  local disk = files.disk()
  local opened = assert(open(disk, { preallocate_bytes = LOG_SIZE }))
  for i = 1, 100 do
    write(opened, { PAYLOADS[i] }, i)
  end
  local killed = disk:clone()
  opened:close()
  edit(killed, "log.1", function()
    return files.log(PAYLOADS, LOG_SIZE)
  end)
  return killed
end

-- The same by Apache: no watermark.
local function apaches()
  local disk = files.disk()
  disk:write(DIRECTORY, "snapshot.0", files.snapshot({ zxid = 0, digest = 0 }))
  disk:write(DIRECTORY, "log.1", files.log(PAYLOADS, LOG_SIZE))
  return disk
end

-- What a spec does to the record with number n.
local function in_record(n, change)
  return function(disk)
    local at, size = files.entry_at(PAYLOADS, n)
    edit(disk, "log.1", function(bytes)
      return change(bytes, at, size)
    end)
  end
end

local REFUSED, WHOLE, CUT = "refused", 103, 102
-- name, what is done, what a start does: with our watermark, without one
local DAMAGES = {
  { "end byte of record 51 is 0", in_record(51, function(bytes, at, size)
    return put(bytes, at + size - 1, "\0")
  end), REFUSED, REFUSED },
  { "length of record 51 is 0", in_record(51, function(bytes, at)
    return put(bytes, at + 8, codec.int(0))
  end), REFUSED, REFUSED },
  { "length of record 51 is too big", in_record(51, function(bytes, at, size)
    return put(bytes, at + 8, codec.int(size + 7))
  end), REFUSED, REFUSED },
  { "record 51 is zero", in_record(51, function(bytes, at, size)
    return put(bytes, at, ("\0"):rep(size))
  end), REFUSED, REFUSED },
  { "a sector in the middle is zero", in_record(51, function(bytes, at)
    return put(bytes, at - at % 512, ("\0"):rep(512))
  end), REFUSED, REFUSED },
  { "the log is gone", function(disk)
    disk:write(DIRECTORY, "log.1", nil)
  end, REFUSED, 0 },
  { "a bit of record 51's data", in_record(51, function(bytes, at)
    return flip(bytes, at + 60, 3)
  end), REFUSED, REFUSED },
  { "a bit of record 51's checksum", in_record(51, function(bytes, at)
    return flip(bytes, at + 6, 0)
  end), REFUSED, REFUSED },
  { "length of record 51 is -1", in_record(51, function(bytes, at)
    return put(bytes, at + 8, codec.int(-1))
  end), REFUSED, REFUSED },
  { "a bit of the log's magic", in_record(1, function(bytes)
    return flip(bytes, 2, 5)
  end), REFUSED, REFUSED },
  { "the only snapshot is damaged, logs go back to 1", function(disk)
    edit(disk, "snapshot.0", function(bytes)
      return flip(bytes, 40, 1)
    end)
  end, WHOLE, WHOLE },
  { "the only snapshot is gone, logs go back to 1", function(disk)
    disk:write(DIRECTORY, "snapshot.0", nil)
  end, WHOLE, WHOLE },
  { "the second half of the last record is zero", in_record(103, function(bytes, at, size)
    return put(bytes, at + math.floor(size / 2), ("\0"):rep(math.ceil(size / 2)))
  end), CUT, CUT },
  { "the file is cut inside the last record", in_record(103, function(bytes, at, size)
    return bytes:sub(1, at + size - 20)
  end), CUT, CUT },
  { "an empty log follows", function(disk)
    disk:write(DIRECTORY, "log.68", "")
  end, WHOLE, WHOLE },
  { "a log of 4 bytes follows", function(disk)
    disk:write(DIRECTORY, "log.68", "ZKLG")
  end, WHOLE, WHOLE },
  { "the last record is torn, its last sector is there", function(disk)
    local long = files.create(104, "/long", ("l"):rep(2000))
    edit(disk, "log.1", function()
      local whole = files.log(PAYLOADS)
      local size = #whole
      local bytes = whole .. files.entry(long)
      bytes = bytes .. ("\0"):rep(LOG_SIZE - #bytes)
      local sector = math.floor(size / 512) * 512 + 1024
      return put(bytes, sector, ("\0"):rep(512))
    end)
  end, WHOLE, WHOLE },
}

describe("a start after damage", function()
  for _, case in ipairs(DAMAGES) do
    for variant, make in ipairs({ ours, apaches }) do
      local expected = case[2 + variant]
      it(("%s, %s: %s"):format(case[1], variant == 1 and "ours" or "Apache's", expected),
        function()
          local disk = make()
          case[2](disk)
          local before = disk:clone()
          local opened, report, recovered = open(disk, { parts = 1 })
          if expected == REFUSED then
            assert.is_nil(opened)
            assert.is_true(report.damaged)
            assert.is_truthy(report.text:find("zxids 0x", 1, true), report.text)
            assert.is_truthy(report.text:find("salvage", 1, true))
            assert.is_true(report.first >= 1 and report.last >= report.first)
            for _, name in ipairs({ "log.1", "snapshot.0", "zklua.mark" }) do
              assert.are.equal(before:read(DIRECTORY, name), disk:read(DIRECTORY, name))
            end
            return
          end
          assert.is_truthy(opened, report.text)
          assert.are.equal(expected, recovered.zxid)
          -- Two of the chains begin behind a snapshot with a digest of 0: the same chain.
          local kept = {}
          for i = 1, expected do
            kept[i] = PAYLOADS[i]
          end
          assert.are.equal(files.chain(kept), recovered.chain)
          write(opened, files.payloads(expected + 1, 1), expected + 1)
          opened:close()
          local again, second, after = open(disk)
          assert.is_truthy(again, second.text)
          assert.are.equal(expected + 1, after.zxid)
          again:close()
        end)
    end
  end

  it("never takes a flipped bit for the end, wherever it is, when all was acknowledged", function()
    local payloads = files.payloads(1, 200, 0)
    local bytes = files.log(payloads)
    local disk = files.disk()
    local opened = assert(open(disk, { preallocate_bytes = -1 }))
    for i = 1, 200 do
      write(opened, { payloads[i] }, i)
    end
    opened:close()
    assert.are.equal(bytes, disk:read(DIRECTORY, "log.1"))
    local random = codec.random(1)
    for at = 0, #bytes - 1 do
      disk:write(DIRECTORY, "log.1", flip(bytes, at, random.below(8)))
      local wrong, report = open(disk)
      assert.is_nil(wrong, at)
      assert.is_true(report.damaged)
    end
  end)

  it("never takes a flipped bit in Apache's log for the end, not even in the last record",
    function()
      local payloads = files.payloads(1, 30, 0)
      local bytes = files.log(payloads, 4096)
      local last_at, last_size = files.entry_at(payloads, 30)
      local disk = files.disk()
      disk:write(DIRECTORY, "snapshot.0", files.snapshot({}))
      -- All bits of the last two; one bit of each byte before.
      for at = 0, last_at + last_size - 1 do
        local first = at > last_at - last_size and 0 or at % 8
        for bit = first, first == 0 and 7 or first do
          disk:write(DIRECTORY, "log.1", flip(bytes, at, bit))
          local wrong, report, recovered = open(disk)
          assert.is_nil(wrong, ("byte %d, bit %d: %d"):format(at, bit, recovered.zxid))
          assert.is_true(report.damaged)
        end
      end
    end)

  it("says where", function()
    local disk = ours()
    DAMAGES[7][2](disk)
    local _, report = open(disk)
    local at = files.entry_at(PAYLOADS, 51)
    assert.are.equal(("d/version-2/log.1 is damaged: the entry at offset %d does not match its "
      .. "checksum, and no crash explains that (it was durable); zxids 0x33 to 0x64 at least are "
      .. "in it or behind it; keep a copy; zklua server --salvage DIR OUT writes what is left "
      .. "into another directory"):format(at), report.text)
    assert.are.equal(51, report.first)
    assert.are.equal(100, report.last)
  end)
end)

describe("a torn tail", function()
  it("is cut at any length that a write may have had, ours and Apache's", function()
    local payloads = files.payloads(1, 5, 300)
    local whole = files.log(payloads)
    local at = files.entry_at(payloads, 5)
    for length = at, #whole - 1 do
      for _, size in ipairs({ length, 4096 }) do
        local disk = files.disk()
        disk:write(DIRECTORY, "snapshot.0", files.snapshot({}))
        disk:write(DIRECTORY, "log.1",
          whole:sub(1, length) .. ("\0"):rep(size - length))
        local opened, report, recovered = open(disk)
        assert.is_truthy(opened, report.text)
        assert.are.equal(4, recovered.zxid)
        opened:close()
        -- What Apache would load next: whole entries, then nothing or zeros.
        local left = disk:read(DIRECTORY, "log.1")
        assert.are.equal(whole:sub(1, at), left:sub(1, at))
        assert.is_nil(left:sub(at + 1):find("[^%z]"))
      end
    end
  end)

  it("may hold entries that are whole, if they were never acknowledged", function()
    local disk = ours()
    local payloads = {}
    for i = 1, 104 do
      payloads[i] = i <= 100 and PAYLOADS[i] or files.create(i, "/long", ("l"):rep(600))
    end
    local at = files.entry_at(payloads, 102)
    local sector = math.floor(at / 512) * 512 + 512
    edit(disk, "log.1", function()
      return put(files.log(payloads, LOG_SIZE), sector, ("\0"):rep(512))
    end)
    local before = disk:clone()
    local opened, report, recovered = open(disk)
    assert.is_truthy(opened, report.text)
    assert.is_truthy(report.text:find("an interrupted write", 1, true), report.text)
    assert.are.equal(101, recovered.zxid)
    opened:close()
    -- Where the watermark does not reach, the same is damage.
    before:write(DIRECTORY, "zklua.mark", nil)
    assert.is_nil((open(before)))
  end)

  it("in Apache's log is damage if entries follow it", function()
    local disk = apaches()
    local at, size = files.entry_at(PAYLOADS, 100)
    edit(disk, "log.1", function(bytes)
      return put(bytes, at, ("\0"):rep(size))
    end)
    local opened, report = open(disk)
    assert.is_nil(opened)
    assert.are.equal(100, report.first)
    assert.is_true(report.last >= 101)
  end)

  it("that Apache left behind when it went on is passed over", function()
    local disk = apaches()
    edit(disk, "log.1", function()
      return files.log(PAYLOADS):sub(1, -10)
    end)
    disk:write(DIRECTORY, "snapshot.66", files.snapshot({ zxid = 102, digest = 7 }))
    disk:write(DIRECTORY, "log.67", files.log(files.payloads(103, 4)))
    local opened, report, recovered = open(disk)
    assert.is_truthy(opened, report.text)
    assert.are.equal(106, recovered.zxid)
    assert.are.equal(4, recovered.replayed)
    opened:close()
    disk:write(DIRECTORY, "snapshot.66", nil)
    disk:write(DIRECTORY, "zklua.mark", nil)
    opened, report, recovered = open(disk)
    assert.is_truthy(opened, report.text)
    assert.are.equal(106, recovered.zxid)
    opened:close()
  end)
end)

describe("a chain of logs", function()
  local function log(first, count)
    return files.log(files.payloads(first, count))
  end

  local EPOCH = 4294967296
  local cases = {
    { "is read from the one that the snapshot needs", {
      ["snapshot.6"] = files.snapshot({}), ["log.1"] = "nobody looks", ["log.4"] = log(4, 5),
      ["log.9"] = log(9, 2),
    }, 10, 4 },
    { "may begin right behind the snapshot", {
      ["snapshot.6"] = files.snapshot({}), ["log.7"] = log(7, 5) }, 11, 5 },
    { "may end before the snapshot", {
      ["snapshot.6"] = files.snapshot({}), ["log.1"] = log(1, 4) }, 6, 0 },
    { "may be missing what the snapshot has", {
      ["snapshot.6"] = files.snapshot({}), ["log.1"] = log(1, 4), ["log.7"] = log(7, 1) }, 7, 1 },
    { "goes on in the next epoch", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 3),
      ["log.100000001"] = log(EPOCH + 1, 2) }, EPOCH + 2, 5 },
    { "goes on where a counter ran over", {
      ["snapshot.fffffffe"] = files.snapshot({}),
      ["log.ffffffff"] = log(EPOCH - 1, 3) }, EPOCH + 1, 3 },
    { "does not care for names of others", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 3), ["log.04"] = "x",
      ["log.4.bak"] = "x", ["log."] = "x", ["LOG.4"] = "x", ["snapshot.x"] = "x",
      ["log.A"] = "x", ["currentEpoch"] = "1", ["snapshot.9.tmp"] = "x",
      ["log.fffffffffffffffff"] = "x", ["log.7fffffffffffffff"] = "x",
      ["snapshot.7fffffffffffffff"] = "x",
    }, 3, 3 },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local opened, report, recovered = open(files.disk(case[2]))
      assert.is_truthy(opened, report.text)
      assert.are.equal(case[3], recovered.zxid)
      assert.are.equal(case[4], recovered.replayed)
      opened:close()
    end)
  end

  local refused = {
    { "with a gap behind the snapshot", {
      ["snapshot.6"] = files.snapshot({}), ["log.8"] = log(8, 1) }, 7, 7 },
    { "with a gap between two logs", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4), ["log.9"] = log(9, 2) }, 5, 8 },
    { "with a gap in a log", {
      ["snapshot.0"] = files.snapshot({}),
      ["log.1"] = files.log({ files.create(1, "/a", ""), files.create(3, "/b", "") }) }, 2, 2 },
    { "with an epoch that does not begin at its beginning", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4),
      ["log.100000002"] = log(EPOCH + 2, 2) }, 5, EPOCH + 1 },
    { "with zxids that go back", {
      ["snapshot.0"] = files.snapshot({}),
      ["log.1"] = files.log({ files.create(1, "/a", ""), files.create(1, "/b", "") }) } },
    { "with a log that was renamed", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4), ["log.5"] = log(9, 2) } },
    { "with a first log that was renamed", {
      ["snapshot.0"] = files.snapshot({}), ["log.2"] = log(1, 4) } },
    { "with a log that was copied", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4), ["log.5"] = log(1, 4) } },
    { "with an empty log where more must have been", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4), ["log.9"] = "" }, 5, 8 },
    { "with a header and no entry where more must have been", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4),
      ["log.9"] = files.log_header }, 5, 8 },
    { "with another database's header", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = put(log(1, 4), 15, "\1") } },
    { "with a later version's header", {
      ["snapshot.0"] = files.snapshot({}), ["log.1"] = put(log(1, 4), 7, "\3") } },
    { "without the snapshot that it stands on", { ["log.9"] = log(9, 4) }, 1, 8 },
  }
  for _, case in ipairs(refused) do
    it("is refused " .. case[1], function()
      local opened, report = open(files.disk(case[2]))
      assert.is_nil(opened)
      assert.is_true(report.damaged)
      if case[3] then
        assert.are.equal(case[3], report.first)
        assert.are.equal(case[4], report.last)
      end
    end)
  end

  it("without a snapshot is trusted when that is asked, from an epoch's beginning", function()
    local entries = { ["log.100000001"] = log(EPOCH + 1, 2) }
    assert.is_nil((open(files.disk(entries))))
    local opened, report, recovered = open(files.disk(entries), { trust_empty_snapshot = 1 })
    assert.is_truthy(opened, report.text)
    assert.are.equal(EPOCH + 2, recovered.zxid)
    assert.is_true(opened:wants_snapshot()) -- Apache needs one
    opened:close()
  end)

  it("is refused with what the server says of an entry", function()
    local disk = files.disk({ ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4) })
    local opened, report = open(disk, { refuse = 3 })
    assert.is_nil(opened)
    assert.is_truthy(report.text:find("(zxid 0x3) is whole but cannot be true: the spec refuses",
      1, true), report.text)
    opened = assert(open(disk))
    opened:close()
  end)

  it("with a header and no entry at its end loses that file", function()
    local disk = files.disk({ ["snapshot.0"] = files.snapshot({}), ["log.1"] = log(1, 4),
      ["log.5"] = files.log_header .. ("\0"):rep(1000) })
    local opened = assert(open(disk))
    opened:close()
    assert.is_nil(disk:read(DIRECTORY, "log.5"))
  end)
end)

describe("recovery", function()
  it("takes away what was being written when the last server ended", function()
    local disk = ours()
    disk:write(DIRECTORY, ".zklua-tmp-snapshot.9", "half")
    disk:write(DIRECTORY, ".zklua-tmp-log.9", "")
    assert(open(disk)):close()
    for _, name in ipairs(disk:names(DIRECTORY)) do
      assert.is_nil(name:find("tmp"))
    end
  end)

  it("fails with the file's name when a file cannot be read", function()
    for k = 1, 30 do
      local disk = ours()
      disk:fail("read", "EIO", k)
      local opened, report = open(disk)
      if opened then
        opened:close()
        assert.is_true(k > 5)
        break
      end
      assert.is_false(report.damaged)
      assert.is_truthy(report.text:find("Input/output error", 1, true))
      assert.is_truthy(report.text:find("d/version-2", 1, true))
    end
  end)

  it("fails without a trace at each allocation that is refused", function()
    local disk = ours()
    for k = 1, 200 do
      local opened, report = open(disk, { fail_from = k, fail_to = k })
      if opened then
        opened:close()
        assert.is_true(k > 5)
        return
      end
      assert.is_false(report.damaged, report.text)
    end
    error("it never had enough")
  end)

  it("writes again what only looks as if it were on the disk", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    write(opened, files.payloads(1, 3), 1)
    disk:fail("sync", "EIO", 1, 1)
    for zxid = 4, 6 do
      assert(opened:append(zxid, files.payloads(zxid, 1)[1]))
    end
    opened:seal()
    assert.is_nil((opened:flush()))
    local next_process = disk:clone()
    opened:close()
    local again, _, recovered = open(next_process)
    write(again, files.payloads(recovered.zxid + 1, 1), recovered.zxid + 1)
    local crashed = next_process:clone()
    again:close()
    crashed:crash(3)
    local last, report, after = open(crashed)
    assert.is_truthy(last, report.text)
    assert.are.equal(recovered.zxid + 1, after.zxid)
    last:close()
  end)

  -- As cp leaves a directory, and Apache its snapshots.
  it("makes durable what it begins with", function()
    local disk = files.disk({ ["zklua.lock"] = "" })
    local payloads = files.payloads(7, 6)
    disk:write(DIRECTORY, "snapshot.6", files.snapshot({ zxid = 6, digest = 66 }), true)
    disk:write(DIRECTORY, "log.7", files.log({ payloads[1], payloads[2], payloads[3] }), true)
    disk:write(DIRECTORY, "log.a", files.log({ payloads[4], payloads[5] }), true)
    local opened = assert(open(disk))
    write(opened, { payloads[6] }, 12)
    for seed = 1, 20 do
      local crashed = disk:clone()
      crashed:crash(seed)
      local again, report, recovered = open(crashed)
      assert.is_truthy(again, report.text)
      assert.are.equal(files.chain(payloads, "0x42"), recovered.chain)
      again:close()
    end
    opened:close()
  end)

  it("takes snapshots and logs from two directories, and refuses them mixed up", function()
    local disk = files.disk()
    local apart = { log_directory = "l" }
    local opened = assert(open(disk, apart))
    write(opened, files.payloads(1, 3), 1)
    opened:close()
    assert.is_truthy(disk:read("l/version-2", "log.1"))
    assert.is_truthy(disk:read("l/version-2", "zklua.mark"))
    assert.is_truthy(disk:read("d/version-2", "snapshot.0"))
    local again, _, recovered = open(disk, apart)
    assert.are.equal(3, recovered.zxid)
    again:close()
    disk:write("l/version-2", "snapshot.2", files.snapshot({}))
    local wrong, report = open(disk, apart)
    assert.is_nil(wrong)
    assert.is_truthy(report.text:find("l/version-2/snapshot.2 does not belong there", 1, true))
  end)

  it("makes no directories unless it may", function()
    local opened, report = open(files.disk(), { autocreate = 0 })
    assert.is_nil(opened)
    assert.is_truthy(report.text:find("No such file", 1, true))
  end)
end)
