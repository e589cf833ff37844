local files = require("store.files")
local store = require("zklua_testing").store

local DIRECTORY, logs, put = files.DIRECTORY, files.logs, files.put

local function options(disk, more)
  return files.options(disk, { preallocate_bytes = -1 }, more or {})
end

local PAYLOADS = files.payloads(1, 30)

-- Three logs of ten, snapshots at 0 and 12, and our watermark.
local function directory()
  local disk = files.disk()
  local opened = assert(store.open(options(disk, { log_bytes_max = 1100 })))
  for zxid = 1, 30 do
    opened:append(zxid, PAYLOADS[zxid])
    opened:seal()
    assert.are.equal(zxid, opened:flush())
  end
  opened:close()
  local before = {}
  for i = 1, 12 do
    before[i] = PAYLOADS[i]
  end
  disk:write(DIRECTORY, "snapshot.c", files.snapshot({ zxid = 12, digest = files.chain(before) }))
  return disk
end

-- Everything in a directory, as one value.
local function content(disk)
  local all = {}
  for _, name in ipairs(disk:names(DIRECTORY)) do
    all[name] = disk:read(DIRECTORY, name)
  end
  return all
end

describe("check", function()
  it("reads everything and changes nothing", function()
    local disk = directory()
    disk:write(DIRECTORY, ".zklua-tmp-log.9", "half")
    local before, calls = content(disk), disk:calls("write")
    local status, report, recovered = store.check(options(disk))
    assert.are.equal(0, status, report.text)
    assert.are.equal(30, recovered.zxid)
    assert.are.equal(files.chain(PAYLOADS), recovered.chain)
    assert.is_truthy(report.text:find("starts at zxid 0x1e: snapshots 2 good, 0 damaged; logs "
      .. #logs(disk) .. " with 30 entries; all that was acknowledged is there", 1, true),
      report.text)
    assert.are.same(before, content(disk))
    assert.are.equal(calls, disk:calls("write"))
  end)

  it("says the result first, however much there is to say", function()
    local disk = directory()
    for i = 1, 60 do
      disk:write(DIRECTORY, ("snapshot.%x"):format(i % 11 + 1) .. (i > 30 and ".gz" or ""), "x")
    end
    local status, report = store.check(options(disk))
    assert.are.equal(0, status)
    assert.is_truthy(report.text:find("^d/version%-2 starts at zxid 0x1e: snapshots 2 good, "
      .. "22 damaged"), report.text)
  end)

  it("leaves no lock behind in a directory of Apache's", function()
    local disk = files.disk()
    disk:write(DIRECTORY, "snapshot.0", files.snapshot({}))
    disk:write(DIRECTORY, "log.1", files.log(PAYLOADS, 5000))
    local status, report = store.check(options(disk))
    assert.are.equal(0, status)
    assert.is_truthy(report.text:find("there is no zklua.mark", 1, true))
    assert.are.equal(2, #disk:names(DIRECTORY))
  end)

  it("does not look while a server is at work", function()
    local disk = directory()
    local opened = assert(store.open(options(disk)))
    local status, report = store.check(options(disk))
    assert.are.equal(-11, status)
    assert.is_truthy(report.text:find("in use", 1, true))
    opened:close()
  end)

  it("tells of a torn tail, of damage that no start meets, and of damage that one does", function()
    local disk = directory()
    local names = logs(disk)
    local last = names[#names]
    disk:write(DIRECTORY, last, disk:read(DIRECTORY, last) .. ("\1"):rep(30))
    local before = content(disk)
    local status, report = store.check(options(disk))
    assert.are.equal(0, status, report.text)
    assert.is_truthy(report.text:find("ends at offset %d+ in an interrupted write"), report.text)
    assert.are.same(before, content(disk))

    disk = directory()
    disk:write(DIRECTORY, "snapshot.0", "damaged")
    disk:write(DIRECTORY, names[1], put(disk:read(DIRECTORY, names[1]), 60, "!!"))
    status, report = store.check(options(disk))
    assert.are.equal(0, status, report.text)
    assert.is_truthy(report.text:find("snapshots 1 good, 1 damaged", 1, true), report.text)
    assert.is_truthy(report.text:find("log.1: the entry at offset 16 does not match its checksum; "
      .. "no start needs it", 1, true), report.text)

    disk:write(DIRECTORY, last, put(disk:read(DIRECTORY, last), 60, "!!"))
    status, report = store.check(options(disk))
    assert.are.equal(-74, status)
    assert.is_true(report.damaged)
  end)
end)

describe("salvage", function()
  -- What is left in `out` starts and holds all up to `zxid`.
  local function starts(disk, zxid)
    local opened, report, recovered = store.open({ disk = disk, directory = "out" })
    assert.is_truthy(opened, report.text)
    assert.are.equal(zxid, recovered.zxid)
    local kept = {}
    for i = 1, zxid do
      kept[i] = PAYLOADS[i]
    end
    assert.are.equal(files.chain(kept), recovered.chain)
    opened:close()
  end

  it("keeps what follows without a gap, and says what is lost", function()
    local disk = directory()
    local names = logs(disk)
    local last = names[#names]
    local first = tonumber(last:sub(5), 16)
    local payloads = {}
    for i = first, 30 do
      payloads[#payloads + 1] = PAYLOADS[i]
    end
    local at = files.entry_at(payloads, 3)
    disk:write(DIRECTORY, last, put(disk:read(DIRECTORY, last), at + 30, "!!"))
    local before = content(disk)
    local status, report = store.salvage(options(disk), "out")
    assert.are.equal(0, status, report.text)
    assert.are.equal(first + 2, report.first)
    assert.are.equal(30, report.last)
    assert.is_truthy(report.text:find(("lost: zxids 0x%x to 0x1e"):format(first + 2), 1, true))
    assert.is_truthy(report.text:find("kept snapshot.c", 1, true), report.text)
    assert.are.same(before, content(disk))
    starts(disk, first + 1)
  end)

  it("passes over damage that the snapshot makes up for", function()
    local disk = directory()
    disk:write(DIRECTORY, "log.1", put(disk:read(DIRECTORY, "log.1"), 60, "!!"))
    local status, report = store.salvage(options(disk), "out")
    assert.are.equal(0, status, report.text)
    assert.are.equal(0, report.first)
    starts(disk, 30)
  end)

  it("begins from nothing when it must, and loses what a missing log held", function()
    local disk = directory()
    local names = logs(disk)
    disk:write(DIRECTORY, "snapshot.0", "damaged")
    disk:write(DIRECTORY, "snapshot.c", "damaged")
    disk:write(DIRECTORY, names[2], nil)
    local kept = tonumber(names[2]:sub(5), 16) - 1
    local status, report = store.salvage(options(disk), "out")
    assert.are.equal(0, status, report.text)
    assert.are.equal(kept + 1, report.first)
    assert.are.equal(30, report.last)
    starts(disk, kept)
    assert.are.equal(457, #disk:read("out/version-2", "snapshot.0"))
  end)

  it("ends where the server refuses an entry", function()
    local disk = directory()
    local status, report = store.salvage(options(disk, { refuse = 20 }), "out")
    assert.are.equal(0, status, report.text)
    assert.are.equal(20, report.first)
    assert.are.equal(30, report.last)
    starts(disk, 19)
  end)

  it("writes into an empty directory only", function()
    local disk = directory()
    disk:write("out/version-2", "log.1", "")
    local status, report = store.salvage(options(disk), "out")
    assert.are.equal(-17, status)
    assert.is_truthy(report.text:find("out/version-2 must be empty", 1, true))
  end)

  it("is heard of when the disk fails it", function()
    local disk = directory()
    disk:fail("write", "ENOSPC", 1)
    local status, report = store.salvage(options(disk), "out")
    assert.are.equal(-28, status)
    assert.is_truthy(report.text:find("No space left", 1, true))
  end)

  for _, call in ipairs({ "write", "open", "sync", "rename", "sync_directory", "read" }) do
    it("leaves no file when it has failed: " .. call, function()
      local failures = 0
      for number = 1, 40 do
        local disk = directory()
        local before = content(disk)
        disk:fail(call, "EIO", number, number)
        local status, report = store.salvage(options(disk), "out")
        if status ~= 0 then
          failures = failures + 1
          assert.are.equal(-5, status, report.text)
          assert.are.same({}, disk:names("out/version-2"))
          assert.are.same(before, content(disk))
        end
      end
      assert.is_true(failures > 0)
    end)
  end

  it("leaves what was there when it writes over nothing", function()
    local disk = directory()
    disk:write("out/version-2", "log.1", "precious")
    store.salvage(options(disk), "out")
    assert.are.same({ "log.1" }, disk:names("out/version-2"))
    assert.are.equal("precious", disk:read("out/version-2", "log.1"))
  end)
end)
