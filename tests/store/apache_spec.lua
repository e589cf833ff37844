--- One data directory, served in turn by Apache ZooKeeper and by us, killed each time: what one
--- acknowledged the other has, by zxid, by the number of nodes and by the digest of the tree.
local apache = require("support.apache")
local codec = require("wire.codec")
local files = require("store.files")
local testing = require("zklua_testing")
local uv = require("luv")
local zkserver = require("support.zkserver")
local read_file = require("support.file").read

local store = testing.store

local function names(directory, pattern)
  local list = {}
  local scan = assert(uv.fs_scandir(directory))
  for name in uv.fs_scandir_next, scan do
    if name:find(pattern) then
      list[#list + 1] = name
    end
  end
  table.sort(list, function(a, b)
    return tonumber(a:match("%.(%x+)"), 16) < tonumber(b:match("%.(%x+)"), 16)
  end)
  return list
end

local function number(bytes, at, size)
  local value = 0
  for i = at + 1, at + size do
    value = value * 256 + bytes:byte(i)
  end
  return value
end

-- The entries of a log, held against Apache's format here, not by the code under test.
local function decode_log(name)
  local bytes, entries, at = read_file(name), {}, 16
  assert.are.equal("5a4b4c47000000020000000000000000", codec.hex(bytes:sub(1, 16)))
  while at + 12 <= #bytes and number(bytes, at + 8, 4) > 0 do
    local size = number(bytes, at + 8, 4)
    local payload = bytes:sub(at + 13, at + 12 + size)
    assert.are.equal(size, #payload)
    assert.are.equal(store.adler(payload), number(bytes, at, 8))
    assert.are.equal("B", bytes:sub(at + 13 + size, at + 13 + size))
    local entry = { zxid = number(payload, 12, 8), type = codec.hex(payload:sub(29, 32)) }
    if entry.type ~= "ffffffff" then -- a failed write has no digest
      assert.are.equal(2, number(payload, size - 12, 4))
      entry.digest = "0x" .. codec.hex(payload:sub(-8)):gsub("^0+", "")
    end
    entries[#entries + 1] = entry
    at = at + 13 + size
  end
  assert.is_nil(bytes:sub(at + 1):find("[^%z]"))
  return entries
end

-- All of the logs: no gap, and the digest of the last transaction that has one.
local function decode_logs(directory)
  local last, digest
  for _, name in ipairs(names(directory, "^log%.")) do
    local entries = decode_log(directory .. "/" .. name)
    assert.is_true(#entries > 0)
    assert.are.equal(tonumber(name:sub(5), 16), entries[1].zxid)
    for _, entry in ipairs(entries) do
      assert.is_true(last == nil or entry.zxid == last + 1)
      last, digest = entry.zxid, entry.digest or digest
    end
  end
  return last, digest
end

-- Writes of every kind, some of which fail.
local function work(server, round)
  local zk = require("zklua")
  local c = assert(zk.connect(server.connect_string, { session_timeout = 10 }))
  local root = "/round-" .. round
  assert(c:create(root))
  for i = 1, 40 do
    local path = root .. "/n" .. i
    assert(c:create(path, ("data %d "):format(i):rep(i)))
    if i % 3 == 0 then
      assert(c:set(path, ("x"):rep(i * 50)))
    elseif i % 7 == 0 then
      assert(c:delete(path))
    end
    assert.is_nil((c:create(root .. "/missing/" .. i)))
  end
  for _ = 1, 5 do
    assert(c:create(root .. "/s-", "", { sequential = true }))
  end
  assert(c:create(root .. "/null", zk.null))
  assert(c:create(root .. "/acl", "secret", { acl = "read" }))
  assert(c:create(root .. "/container", "", { container = true }))
  assert(c:transaction():create(root .. "/t", "1"):set(root .. "/n1", "2"):delete(root .. "/n2")
    :commit())
  assert.is_nil((c:transaction():create(root .. "/u", "1"):delete(root .. "/nothing"):commit()))
  assert(c:create(root .. "/e", "mine", { ephemeral = true }))
  return c
end

local function use(server, data)
  server:kill()
  assert(os.execute(("rm -rf '%s/data' && cp -r '%s' '%s/data'"):format(server.dir, data,
    server.dir)))
  server:restart()
end

-- What the server says, then nothing any more; and the same by us from its directory.
local function kill_and_compare(server, clients)
  local zxid = server:four_letter("srvr"):match("Zxid: (0x%x+)")
  local metrics = server:metrics()
  server:kill()
  for _, c in ipairs(clients) do
    c:close()
  end
  local data = server.dir .. "/data"
  local status, report, found = store.check_server({ directory = data })
  assert.are.equal(0, status, report.text)
  assert.is_false(report.damaged)
  local last, digest = decode_logs(data .. "/version-2")
  -- Only what nobody heard of may be behind what the server said: the end of a session.
  assert.is_true(tonumber(found.zxid) >= tonumber(zxid))
  assert.are.equal(tonumber(found.zxid), last)
  assert.are.equal(digest, found.digest)
  assert.are.equal(tonumber(metrics.znode_count), found.nodes + 1) -- Apache counts the root twice
  return data
end

-- Apache ends such nodes in memory only, and needs a snapshot to start again.
local WITHOUT_OWNER = {
  acls = { { 1, { { 31, "world", "anyone" } } } },
  nodes = {
    { "/zookeeper", data = "" },
    { "/zookeeper/config", data = "", acl = 1, stat = { aversion = -1 } },
    { "/zookeeper/quota", data = "" },
    { "/ttl", data = "", acl = 1, stat = { czxid = 1, mzxid = 1, pzxid = 1,
      owner = "0xff00000000001000" } },
    { "/ephemeral", data = "", acl = 1, stat = { czxid = 2, mzxid = 2, pzxid = 2,
      owner = "0x0100000000000007" } },
  },
}

-- With the digest of its nodes, as Apache writes it: what follows is held against it.
local function sealed(snapshot, zxid)
  local disk = testing.disk.new(1)
  disk:write("d/version-2", ("snapshot.%x"):format(zxid), files.snapshot(snapshot))
  local status, report, found = store.check_server({ disk = disk, directory = "d" })
  assert.are.equal(0, status, report.text)
  snapshot.zxid, snapshot.digest = zxid, found.digest
  return files.snapshot(snapshot)
end

describe("a data directory", function()
  it("whose ephemeral nodes belong to nobody starts, is written to, and starts again", function()
    local zk = require("zklua")
    local server = zkserver.start({ config = { extendedTypesEnabled = false } })
    finally(function()
      server:stop()
    end)
    local data = server.dir .. "/data/version-2"
    server:kill()
    assert(os.execute(("rm -f '%s'/*"):format(data)))
    local file = assert(io.open(data .. "/snapshot.5", "wb"))
    file:write(sealed(WITHOUT_OWNER, 5))
    file:close()
    server:restart()
    local c = assert(zk.connect(server.connect_string))
    for _ = 1, 3 do
      assert(c:create("/mine-", "", { sequential = true }))
    end
    assert.is_falsy((c:exists("/ttl")))
    assert.is_falsy((c:exists("/ephemeral")))
    c:close()
    server:restart()
    c = assert(zk.connect(server.connect_string))
    local names = assert(c:children("/"))
    table.sort(names)
    assert.are.same({ "mine-0000000000", "mine-0000000001", "mine-0000000002", "zookeeper" },
      names)
    c:close()
  end)

  it("goes back and forth between Apache and us, killed each time #slow #once", function()
    local config = { snapCount = 50, maxSessionTimeout = 60000 }
    local theirs = apache.start({ config = config })
    local ours = zkserver.start({ config = config })
    finally(function()
      theirs:stop()
      ours:stop()
    end)
    local data
    for round = 1, 3 do
      if data then
        use(theirs, data)
      end
      data = kill_and_compare(theirs, { work(theirs, 2 * round - 1) })
      use(ours, data)
      data = kill_and_compare(ours, { work(ours, 2 * round) })
      assert.is_true(#names(data .. "/version-2", "^snapshot%.") > 2)
    end
    use(theirs, data)
    assert.are.equal("0", theirs:metrics().digest_mismatches_count)
    local zk = require("zklua")
    local c = assert(zk.connect(theirs.connect_string, { session_timeout = 10 }))
    for round = 1, 6 do
      assert.are.equal("1", (assert(c:get(("/round-%d/t"):format(round)))))
      assert.are.equal(("data 40 "):rep(40), (assert(c:get(("/round-%d/n40"):format(round)))))
    end
    c:close()
    -- A four-letter word that comes before it is ready is an error to Apache, and none to us.
    local errors = theirs:log():gsub("ERROR [%w.]*ServerCnxn %- Error closing a command socket", "")
    assert.is_nil(errors:find("ERROR", 1, true), theirs:log())
  end)
end)
