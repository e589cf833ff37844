local codec = require("wire.codec")
local files = require("store.files")
local store = require("zklua_testing").store

local DIRECTORY, open = files.DIRECTORY, files.open

-- snapshot.0 of Apache ZooKeeper 3.8.0: what it wrote into a new directory, as sealed by it.
local GOLDEN_FIRST_SEAL, GOLDEN_SECOND_SEAL = "00000000b8a23b49", "0000000095b93d59"
local GENESIS = {
  acls = { { 1, { { 1, "world", "anyone" } } } },
  nodes = {
    { "/zookeeper", data = "" },
    { "/zookeeper/config", data = "", acl = 1, stat = { aversion = -1 } },
    { "/zookeeper/quota", data = "" },
  },
  zxid = 0,
  digest = 0,
}

-- What a start takes from a snapshot with zxid 5 and this content.
local function load(bytes, name)
  local disk = files.disk()
  disk:write(DIRECTORY, name or "snapshot.5", bytes)
  local opened, report, recovered = open(disk, { parts = 1 })
  if opened then
    opened:close()
  end
  return opened and recovered, report
end

local function long_text(size)
  local random, parts = codec.random(size), {}
  for i = 1, math.ceil(size / 8) do
    parts[i] = ("%08x"):format(random.below(2147483647))
  end
  return table.concat(parts):sub(1, size)
end

local RICH = {
  sessions = { { "0x0100000000000001", 10000 }, { "0xff00000000000002", 4000 } },
  acls = {
    { 1, { { 31, "world", "anyone" } } },
    { 2, { { 1, "world", "anyone" }, { 31, "digest", "a:b" } } },
    { 7, {} },
  },
  nodes = {
    { "/a", data = "hello", acl = 1, stat = { czxid = 1, mzxid = 2, pzxid = 3, cversion = 4 } },
    { "/a/b", acl = 2, stat = { owner = "0x0100000000000001" } },
    { "/a/b/" .. long_text(3000), data = long_text(200000) },
    { "/c", data = "" },
  },
  zxid = 5,
  digest = "0x123456789abcdef0",
}

describe("a snapshot", function()
  it("of a new directory is Apache's, byte for byte", function()
    local disk = files.disk()
    assert(open(disk)):close()
    local bytes = disk:read(DIRECTORY, "snapshot.0")
    assert.are.equal(457, #bytes)
    assert.are.equal(codec.hex(files.snapshot(GENESIS)), codec.hex(bytes))
    -- Apache lists /zookeeper/config before /zookeeper/quota, as we do: the seals are its own.
    assert.is_truthy(codec.hex(bytes):find(GOLDEN_FIRST_SEAL .. "000000012f", 1, true))
    assert.are.equal(GOLDEN_SECOND_SEAL .. "000000012f", codec.hex(bytes):sub(-26))
  end)

  it("is read part by part, plain and compressed", function()
    local bytes = files.snapshot(RICH)
    for name, content in pairs({ ["snapshot.5"] = bytes, ["snapshot.5.gz"] = store.gzip(bytes) }) do
      local recovered, report = load(content, name)
      assert.is_truthy(recovered, report.text)
      local parts = recovered.parts
      assert.are.same({ kind = "session", id = "0x100000000000001", timeout_ms = 10000 }, parts[1])
      assert.are.same({ kind = "session", id = "0xff00000000000002", timeout_ms = 4000 }, parts[2])
      assert.are.equal("anyone", parts[3].acl[1].id)
      assert.are.equal("digest", parts[4].acl[2].scheme)
      assert.are.same({}, parts[5].acl)
      assert.are.equal("", parts[6].path)
      assert.are.same({
        kind = "node", path = "/a", data = "hello", acl = "0x1", czxid = "0x1", mzxid = "0x2",
        pzxid = "0x3", cversion = 4,
      }, parts[7])
      assert.is_nil(parts[8].data)
      assert.are.equal("0x100000000000001", parts[8].owner)
      assert.are.equal(RICH.nodes[3][1], parts[9].path)
      assert.are.equal(RICH.nodes[3].data, parts[9].data)
      assert.are.equal("", parts[10].data)
      assert.are.same({ kind = "end", zxid = 5 }, parts[11])
      assert.are.same({ kind = "digest", zxid = 5, digest = "0x123456789abcdef0" }, parts[12])
      assert.are.equal(12, #parts)
      assert.are.equal(5, recovered.zxid)
    end
  end)

  it("is read without the digest section, and with the third one of Apache 3.9", function()
    assert.are.equal(0, load(files.snapshot({})).sessions)
    local recovered, report = load(files.snapshot({ zxid = 6, digest = 9, last_zxid = 7 }))
    assert.is_truthy(recovered, report.text)
    assert.are.equal(5, recovered.zxid)
    assert.are.equal("0x9", recovered.chain)
  end)

  it("of an older digest is read, and the digest is not", function()
    local bytes = files.snapshot({})
    bytes = bytes .. files.i64(5) .. codec.int(1) .. codec.str("0123abcd")
    bytes = bytes .. files.i64(store.adler(bytes)) .. codec.str("/")
    local recovered, report = load(bytes)
    assert.is_truthy(recovered, report.text)
    assert.are.equal("0x0", recovered.chain)
  end)

  it("is refused with any bit flipped, plain and compressed, cut anywhere, or longer", function()
    RICH.nodes[3] = { "/a/c", data = "short" }
    local bytes = files.snapshot(RICH)
    local packed = store.gzip(bytes)
    local function refused(content, name, where)
      local recovered, report = load(content, name)
      assert.is_falsy(recovered, where)
      assert.is_true(report.damaged)
      assert.is_truthy(report.text:find(name, 1, true))
    end
    for at = 1, #bytes do
      local byte = bytes:byte(at)
      local other = string.char(byte % 2 == 0 and byte + 1 or byte - 1)
      refused(bytes:sub(1, at - 1) .. other .. bytes:sub(at + 1), "snapshot.5", at)
    end
    local first_section = #files.snapshot({
      sessions = RICH.sessions, acls = RICH.acls, nodes = RICH.nodes })
    for size = 0, #bytes - 1 do
      if size ~= first_section then
        refused(bytes:sub(1, size), "snapshot.5", size)
      end
    end
    for size = 0, #packed - 1 do
      refused(packed:sub(1, size), "snapshot.5.gz", size)
    end
    refused(bytes .. "x", "snapshot.5", "longer")
    refused(packed .. "x", "snapshot.5.gz", "longer")
    refused(packed .. packed, "snapshot.5.gz", "twice")
    refused(bytes, "snapshot.5.gz", "not compressed")
    refused(bytes, "snapshot.5.snappy", "of another kind")
  end)

  it("takes no memory for a length that is only said", function()
    local header = "ZKSN" .. codec.int(2) .. files.i64("0xffffffffffffffff")
    local cases = {
      header .. codec.int(2147483647),
      header .. codec.int(-1),
      header .. codec.int(0) .. codec.int(2147483647),
      header .. codec.int(0) .. codec.int(1) .. files.i64(1) .. codec.int(2147483647),
      header .. codec.int(0) .. codec.int(1) .. files.i64(1) .. codec.int(-1),
      header .. codec.int(0) .. codec.int(0) .. codec.int(2147483647),
      header .. codec.int(0) .. codec.int(0) .. codec.int(67108864) .. "x",
      header .. codec.int(0) .. codec.int(0) .. codec.int(-1),
      header .. codec.int(0) .. codec.int(0) .. codec.int(0) .. codec.int(-2),
    }
    for _, bytes in ipairs(cases) do
      assert.is_falsy((load(bytes)))
    end
  end)

  it("that swells without end is refused in bounded memory", function()
    local bomb = store.gzip("ZKSN" .. codec.int(2) .. files.i64("0xffffffffffffffff")
      .. codec.int(0) .. codec.int(0) .. codec.int(0) .. codec.int(67108865)
      .. ("\0"):rep(30000000))
    assert.is_true(#bomb < 100000)
    local disk = files.disk()
    disk:write(DIRECTORY, "snapshot.5.gz", bomb)
    local good = files.snapshot({ zxid = 4, digest = 0 })
    disk:write(DIRECTORY, "snapshot.4", good)
    disk:write(DIRECTORY, "log.5", files.log(files.payloads(5, 1)))
    local opened, report = open(disk)
    assert.is_truthy(opened, report.text)
    assert.is_true(opened:memory().peak < 3000000)
    opened:close()
  end)
end)

describe("the choice among snapshots", function()
  local good = files.snapshot({ zxid = 3, digest = 33 })
  local bad = good:sub(1, -2) .. "x"

  it("is the newest", function()
    local opened, report, recovered = open(files.disk({
      ["snapshot.0"] = good, ["snapshot.3"] = good, ["snapshot.a.gz"] = store.gzip(good) }))
    assert.is_truthy(opened, report.text)
    assert.are.equal(10, recovered.zxid)
    opened:close()
  end)

  it("is an older one when the logs reach as far as the damaged one", function()
    local entries = {
      ["snapshot.3"] = good, ["snapshot.6"] = bad, ["log.4"] = files.log(files.payloads(4, 3)),
    }
    local opened, report, recovered = open(files.disk(entries))
    assert.is_truthy(opened, report.text)
    assert.are.equal(6, recovered.zxid)
    assert.are.equal(files.chain(files.payloads(4, 3), "0x21"), recovered.chain)
    assert.are.equal("d/version-2/snapshot.6 is not sealed; it is not used", report.text)
    opened:close()

    entries["log.4"] = files.log(files.payloads(4, 2))
    opened, report = open(files.disk(entries))
    assert.is_nil(opened)
    assert.are.equal(6, report.first)
    assert.are.equal(6, report.last)
    assert.is_truthy(report.text:find("^d/version%-2/snapshot.6 is damaged, and without it "
      .. "zxids 0x6 to 0x6 are lost"), report.text)
  end)

  it("is none when the logs go back to the beginning", function()
    local opened, report, recovered = open(files.disk({
      ["snapshot.2"] = bad, ["log.1"] = files.log(files.payloads(1, 5)) }))
    assert.is_truthy(opened, report.text)
    assert.are.equal(5, recovered.zxid)
    assert.is_true(opened:wants_snapshot())
    opened:close()
  end)
end)

describe("writing a snapshot", function()
  local function served()
    local disk = files.disk()
    local opened = assert(open(disk))
    for zxid = 1, 9 do
      opened:append(zxid, files.payloads(zxid, 1)[1])
    end
    opened:seal()
    assert.are.equal(9, opened:flush())
    return disk, opened
  end
  local bytes = files.snapshot({ zxid = 9, digest = 99, nodes = { { "/a", data = "x" } } })

  it("ends in a file that the next start begins with", function()
    local disk, opened = served()
    assert.are.equal(0, opened:snapshot(9, bytes, 7))
    assert.are.equal(bytes, disk:read(DIRECTORY, "snapshot.9"))
    opened:close()
    disk:crash(1)
    local again, _, recovered = open(disk)
    assert.are.equal(9, recovered.zxid)
    assert.are.equal("0x63", recovered.chain)
    assert.are.equal(0, recovered.replayed)
    again:close()
  end)

  it("is given up at any failure, and the log goes on", function()
    for _, call in ipairs({ "open", "write", "sync", "read", "rename", "sync_directory" }) do
      local disk, opened = served()
      disk:fail(call, "ENOSPC", 1, 1)
      assert.are.equal(-28, opened:snapshot(9, bytes), call)
      if call ~= "sync_directory" then
        assert.is_nil(disk:read(DIRECTORY, "snapshot.9"))
      end
      opened:append(10, files.payloads(10, 1)[1])
      opened:seal()
      assert.are.equal(10, opened:flush())
      assert.are.equal(0, opened:snapshot(10, bytes))
      for _, name in ipairs(disk:names(DIRECTORY)) do
        assert.is_nil(name:find("tmp"))
      end
      opened:close()
    end
  end)

  it("is synced in pieces, and given up when one fails", function()
    local large = files.snapshot({ zxid = 9, digest = 99,
      nodes = { { "/a", data = ("x"):rep(2500 * 1024) } } })
    local disk, opened = served()
    local syncs = disk:calls("sync")
    assert.are.equal(0, opened:snapshot(9, large, 65536))
    assert.are.equal(syncs + 3, disk:calls("sync"))
    assert.are.equal(large, disk:read(DIRECTORY, "snapshot.9"))
    disk:fail("sync", "EIO", 2, 2) -- the one behind it says that all is well
    assert.are.equal(-5, opened:snapshot(9, large, 65536))
    assert.are.equal(0, opened:snapshot(9, large, 65536))
    opened:close()
    disk:crash(1)
    assert.are.equal(large, disk:read(DIRECTORY, "snapshot.9"))
  end)

  it("keeps what does not read back from its name", function()
    local disk, opened = served()
    assert.are.equal(-74, opened:snapshot(9, bytes:sub(1, -2)))
    assert.is_nil(disk:read(DIRECTORY, "snapshot.9"))
    opened:close()
  end)

  it("can be given up, also by closing", function()
    for _, how in ipairs({ "snapshot_abort", "close" }) do
      local disk, opened = served()
      assert.are.equal(0, opened:snapshot_begin(9))
      opened[how](opened)
      for _, name in ipairs(disk:names(DIRECTORY)) do
        assert.is_nil(name:find("tmp"))
      end
      if how == "snapshot_abort" then
        assert.are.equal(0, opened:snapshot(9, bytes))
        opened:close()
      end
    end
  end)
end)
