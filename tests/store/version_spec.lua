-- A directory that another version has written is refused as it is, and so named.
local files = require("store.files")

local DIRECTORY, open, put = files.DIRECTORY, files.open, files.put

local PAYLOADS = files.payloads(1, 20)

describe("a log of another version", function()
  for _, case in ipairs({
    { "that is ours but for the header", put(files.log(PAYLOADS), 4, "\0\0\0\3") },
    { "that holds nothing", put(files.log({}, 4096), 4, "\0\0\0\1") },
    { "of another layout", "ZKLG\0\0\1\0" .. ("\1\2\3\4"):rep(500) },
  }) do
    it(case[1] .. " is refused, and stays as it is", function()
      local disk = files.disk()
      disk:write(DIRECTORY, "snapshot.0", files.snapshot({ zxid = 0, digest = 0 }))
      disk:write(DIRECTORY, "log.1", case[2])
      local opened, report = open(disk)
      assert.is_nil(opened)
      assert.is_truthy(report.text:find("log.1", 1, true), report.text)
      assert.is_truthy(report.text:find("is of another version, and this server reads and writes "
        .. "version 2 (start the server that wrote it)", 1, true), report.text)
      assert.equal(case[2], disk:read(DIRECTORY, "log.1"))
    end)
  end

  it("is not one whose header was never written", function()
    local disk = files.disk()
    disk:write(DIRECTORY, "snapshot.0", files.snapshot({ zxid = 0, digest = 0 }))
    disk:write(DIRECTORY, "log.1", ("\0"):rep(4096))
    local opened, report = open(disk)
    assert.is_truthy(opened, report.text)
    opened:close()
  end)
end)
