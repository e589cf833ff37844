local files = require("store.files")
local testing = require("zklua_testing")

local store = testing.store
local DIRECTORY = "d/version-2"

local function directory(names)
  local disk = testing.disk.new(1)
  for _, name in ipairs(names) do
    local bytes
    if name:find("^log") then
      local first = tonumber(name:match("%.(%x+)"), 16)
      bytes = files.log(files.payloads(first, name == "log.1d" and 30 or 10))
    elseif name:find("!$") then
      name, bytes = name:sub(1, -2), "damaged"
    else
      bytes = files.snapshot({})
      if name:find("gz$") then
        bytes = store.gzip(bytes)
      end
    end
    disk:write(DIRECTORY, name, bytes)
  end
  return disk
end

local function left(disk)
  local names = {}
  for _, name in ipairs(disk:names(DIRECTORY)) do
    if not name:find("zklua") then
      names[#names + 1] = name
    end
  end
  table.sort(names)
  return names
end

local function purge(disk, kept)
  local opened, report = store.open({ disk = disk, directory = "d", snapshots_kept = kept })
  assert(opened, report.text)
  local status = opened:purge()
  opened:close()
  return status
end

describe("purging", function()
  local cases = {
    { "keeps all while there are few",
      { "snapshot.0", "snapshot.5", "log.1" }, 3,
      { "log.1", "snapshot.0", "snapshot.5" } },
    { "keeps the newest three, and the log that begins before the oldest of them",
      { "snapshot.0", "snapshot.5", "snapshot.c", "snapshot.f", "snapshot.19", "log.1", "log.b",
        "log.15" }, 3,
      { "log.15", "log.b", "snapshot.19", "snapshot.c", "snapshot.f" } },
    { "keeps three at least",
      { "snapshot.0", "snapshot.5", "snapshot.c", "snapshot.f", "log.1", "log.b" }, 1,
      { "log.1", "log.b", "snapshot.5", "snapshot.c", "snapshot.f" } },
    { "keeps more when that is asked",
      { "snapshot.0", "snapshot.5", "snapshot.6", "snapshot.7", "snapshot.8", "log.1", "log.b" }, 4,
      { "log.1", "log.b", "snapshot.5", "snapshot.6", "snapshot.7", "snapshot.8" } },
    { "does not count what cannot be read",
      { "snapshot.0", "snapshot.5", "snapshot.8!", "snapshot.9!", "snapshot.a.gz", "log.1",
        "log.b" }, 3,
      { "log.1", "log.b", "snapshot.0", "snapshot.5", "snapshot.8", "snapshot.9",
        "snapshot.a.gz" } },
    { "takes damaged ones away with their age",
      { "snapshot.0!", "snapshot.5", "snapshot.6", "snapshot.8!", "snapshot.9", "log.1", "log.b" },
      3, { "log.1", "log.b", "snapshot.5", "snapshot.6", "snapshot.8", "snapshot.9" } },
    { "keeps the only log whatever its age",
      { "snapshot.64", "snapshot.65", "snapshot.66", "log.1" }, 3,
      { "log.1", "snapshot.64", "snapshot.65", "snapshot.66" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      local disk = directory(case[2])
      assert.are.equal(0, purge(disk, case[3]))
      assert.are.same(case[4], left(disk))
    end)
  end

  it("leaves a directory that starts from any of the kept ones, wherever it is cut short",
    function()
      local names = { "snapshot.0", "snapshot.5", "snapshot.c", "snapshot.f", "snapshot.19",
        "log.1", "log.b", "log.15" }
      for power_off = 1, 12 do
        for seed = 1, 6 do
          local disk = directory(names)
          local opened = assert(store.open({ disk = disk, directory = "d" }))
          disk:set({ power_off = disk:calls() + power_off })
          opened:purge()
          opened:close()
          disk:crash(seed)
          for _, damaged in ipairs({ "", "snapshot.19", "snapshot.f" }) do
            local image = disk:clone()
            if damaged ~= "" then
              image:write(DIRECTORY, damaged, "damaged")
            end
            local again, report, recovered = store.open({ disk = image, directory = "d" })
            assert.is_truthy(again, report.text)
            assert.are.equal(30, recovered.zxid)
            again:close()
          end
        end
      end
    end)

  it("follows each snapshot, and reads each old one once", function()
    local disk = testing.disk.new(1)
    local opened = assert(store.open({ disk = disk, directory = "d" }))
    for zxid = 1, 8 do
      opened:append(zxid, files.payloads(zxid, 1)[1])
      opened:seal()
      assert.are.equal(zxid, opened:flush())
      assert.are.equal(0, opened:snapshot(zxid, files.snapshot({ zxid = zxid, digest = 0 })))
    end
    assert.are.same({ "log.1", "snapshot.6", "snapshot.7", "snapshot.8" }, left(disk))
    local reads = disk:calls("read")
    assert.are.equal(0, opened:purge())
    assert.are.equal(reads, disk:calls("read"))
    opened:close()
  end)
end)
