local codec = require("wire.codec")
local files = require("store.files")
local store = require("zklua_testing").store

local DIRECTORY = files.DIRECTORY

local function open(disk, more)
  return store.open(files.options(disk, { preallocate_bytes = -1 }, more or {}))
end

local function write(opened, zxid)
  assert(opened:append(zxid, files.payloads(zxid, 1)[1]))
  opened:seal()
  return assert(opened:flush())
end

local function number(bytes, at)
  local value = 0
  for i = at + 1, at + 8 do
    value = value * 256 + bytes:byte(i)
  end
  return value
end

-- The two slots: sequence, zxid, log, offset.
local function slots(disk)
  local bytes = disk:read(DIRECTORY, "zklua.mark")
  local list = {}
  for slot = 0, 1 do
    local at = slot * 4096
    assert.are.equal("ZKLM" .. codec.int(1), bytes:sub(at + 1, at + 8))
    list[slot + 1] = {
      sequence = number(bytes, at + 8),
      zxid = number(bytes, at + 16),
      log = number(bytes, at + 24),
      offset = number(bytes, at + 32),
    }
  end
  return list
end

local function newest(disk)
  local list = slots(disk)
  return list[1].sequence > list[2].sequence and list[1] or list[2]
end

describe("the watermark", function()
  it("follows each batch, in turn in two sectors 4096 bytes apart", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    local last
    for zxid = 1, 6 do
      local before = slots(disk)
      write(opened, zxid)
      local after, changed = slots(disk), nil
      for i = 1, 2 do
        if after[i].sequence ~= before[i].sequence then
          assert.is_nil(changed)
          changed = i
        end
      end
      assert.is_truthy(changed)
      assert.are_not.equal(last, changed)
      last = changed
      local mark = newest(disk)
      assert.are.equal(zxid, mark.zxid)
      assert.are.equal(1, mark.log)
      assert.are.equal(#disk:read(DIRECTORY, "log.1"), mark.offset)
    end
    opened:close()
  end)

  it("is synced with the first batch of a log, then once a second, and at the end", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    local syncs = disk:calls("sync")
    write(opened, 1)
    assert.are.equal(syncs + 2, disk:calls("sync"))
    assert.are.equal(0, opened:mark(5000))
    assert.are.equal(syncs + 2, disk:calls("sync")) -- nothing new
    write(opened, 2)
    assert.are.equal(syncs + 3, disk:calls("sync"))
    assert.are.equal(0, opened:mark(5000))
    assert.are.equal(syncs + 4, disk:calls("sync"))
    write(opened, 3)
    assert.are.equal(0, opened:mark(5999))
    assert.are.equal(syncs + 5, disk:calls("sync"))
    assert.are.equal(0, opened:mark(6000))
    assert.are.equal(syncs + 6, disk:calls("sync"))
    write(opened, 4)
    opened:close()
    assert.are.equal(syncs + 8, disk:calls("sync"))
  end)

  it("is durable when a start returns", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    for zxid = 1, 5 do
      write(opened, zxid)
    end
    for seed = 1, 20 do
      local image = disk:clone()
      image:crash(seed) -- its mark may be of any of the five
      local again = assert(open(image))
      local later = image:clone()
      later:crash(seed + 100)
      assert.are.equal(5, newest(later).zxid)
      again:close()
    end
    opened:close()
  end)

  it("that is old after a power loss hides nothing that was acknowledged", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    for zxid = 1, 20 do
      write(opened, zxid)
    end
    for seed = 1, 50 do
      local image = disk:clone()
      image:crash(seed)
      local again, report, recovered = open(image)
      assert.is_truthy(again, report.text)
      assert.are.equal(20, recovered.zxid)
      again:close()
    end
    opened:close()
  end)

  it("survives damage to one sector, and stops a start with both", function()
    local disk = files.disk()
    local opened = assert(open(disk))
    for zxid = 1, 3 do
      write(opened, zxid)
    end
    opened:close()
    local bytes = disk:read(DIRECTORY, "zklua.mark")
    local function flip(text, at)
      return text:sub(1, at) .. string.char((text:byte(at + 1) + 1) % 256) .. text:sub(at + 2)
    end
    for _, slot in ipairs({ 0, 4096 }) do
      for at = slot, slot + 47 do
        disk:write(DIRECTORY, "zklua.mark", flip(bytes, at))
        local again, report = open(disk)
        assert.is_truthy(again, report.text)
        again:close()
        disk:write(DIRECTORY, "zklua.mark", bytes)
      end
    end
    for _, broken in ipairs({ flip(flip(bytes, 20), 4096 + 20), "", bytes:sub(1, 40) }) do
      disk:write(DIRECTORY, "zklua.mark", broken)
      local again, report = open(disk)
      assert.is_nil(again)
      assert.is_true(report.damaged)
      assert.is_truthy(report.text:find("d/version-2/zklua.mark is damaged", 1, true))
      assert.is_truthy(report.text:find("remove it", 1, true))
    end
    disk:write(DIRECTORY, "zklua.mark", nil)
    local again, report = open(disk)
    assert.is_truthy(again, report.text)
    again:close()
    assert.are.equal(3, newest(disk).zxid)
  end)

  it("is spent when a snapshot is at or beyond it: Apache has written since", function()
    for _, zxid in ipairs({ 3, 4, 50 }) do
      local disk = files.disk()
      local opened = assert(open(disk))
      for i = 1, 3 do
        write(opened, i)
      end
      opened:close()
      disk:write(DIRECTORY, "log.1", nil)
      disk:write(DIRECTORY, ("snapshot.%x"):format(zxid), files.snapshot({}))
      local next_log = ("log.%x"):format(zxid + 1)
      disk:write(DIRECTORY, next_log, files.log(files.payloads(zxid + 1, 2), 4096))
      local again, report, recovered = open(disk)
      assert.is_truthy(again, report.text)
      assert.are.equal(zxid + 2, recovered.zxid)
      again:close()
      local mark = newest(disk)
      assert.are.equal(zxid + 2, mark.zxid)
      assert.are.equal(zxid + 1, mark.log)
      assert.are.equal(#files.log(files.payloads(zxid + 1, 2)), mark.offset)
    end
  end)

  it("says what is missing when logs are", function()
    local disk = files.disk()
    local opened = assert(open(disk, { log_bytes_max = 300 }))
    for zxid = 1, 9 do
      write(opened, zxid)
    end
    opened:close()
    disk:write(DIRECTORY, "log.7", nil)
    local again, report = open(disk)
    assert.is_nil(again)
    assert.is_true(report.damaged)
    assert.are.equal(7, report.first)
    assert.are.equal(9, report.last)
    assert.is_truthy(report.text:find("zxids 0x7 to 0x9 were acknowledged (log.7 went to", 1,
      true), report.text)
  end)

  it("that finds no room is made later, and its failure stops the log", function()
    local disk = files.disk()
    disk:write(DIRECTORY, "snapshot.0", files.snapshot({}))
    disk:write(DIRECTORY, "log.1", files.log(files.payloads(1, 2)))
    disk:fail("write", "ENOSPC")
    local opened, report, recovered = open(disk)
    assert.is_truthy(opened, report.text)
    assert.is_truthy(report.text:find("zklua.mark cannot be made", 1, true))
    assert.are.equal(2, recovered.zxid)
    assert.are.equal(0, opened:mark(1e6))
    assert.are.equal(2, opened:flush())
    disk:fail("write", "ENOSPC", 1, 0)
    write(opened, 3)
    assert.are.equal(3, newest(disk).zxid)
    disk:fail("sync", "EIO", 2, 2)
    write(opened, 4)
    assert.are.equal(-5, opened:mark(1e7))
    opened:append(5, files.payloads(5, 1)[1])
    opened:seal()
    assert.is_nil((opened:flush()))
    opened:close()
  end)
end)
