--- Apache ZooKeeper logs a digest that is not the tree's after some writes, and only warns of it
--- when it loads them. A directory that ends in one is sound, and starts here, too; any other
--- digest that disagrees is damage.
local apache = require("support.apache")
local codec = require("wire.codec")
local files = require("store.files")
local frames = require("support.frames")
local talk = require("support.talk")
local testing = require("zklua_testing")
local uv = require("luv")

local store = testing.store
local CREATE, DELETE, SET, CREATE2, CREATE_CONTAINER = 1, 2, 5, 15, 19
local PLAIN, EPHEMERAL, SEQUENTIAL, CONTAINER = 0, 1, 2, 4
local DIGEST_SIZE = 12

-- A parent whose counter of children is about to run over.
local SNAPSHOT = files.snapshot({
  acls = { { 1, { { 31, "world", "anyone" } } } },
  nodes = {
    { "/zookeeper", data = "" },
    { "/zookeeper/config", data = "", acl = 1, stat = { aversion = -1 } },
    { "/zookeeper/quota", data = "" },
    { "/full", data = "", acl = 1, stat = { cversion = 2147483646 } },
  },
  zxid = 0,
  digest = 0,
})

local function create(path, flags, op)
  return { op or CREATE, talk.create_record(path, "", flags) }
end

local function set(path, data)
  return { SET, frames.string(path) .. frames.string(data) .. frames.i32(-1) }
end

local function delete(path)
  return { DELETE, frames.string(path) .. frames.i32(-1) }
end

local function multi(...)
  local parts = {}
  for i, request in ipairs({ ... }) do
    parts[i] = frames.i32(request[1]) .. "\0" .. frames.i32(-1) .. request[2]
  end
  return { 14, table.concat(parts) .. frames.i32(-1) .. "\1" .. frames.i32(-1) }
end

-- Each list goes out at once, the next when all of it was answered: a digest that is wrong is
-- handed on to what is prepared before it is applied.
local CONVERSATION = {
  { create("/plain", PLAIN) },
  { create("/odd", CONTAINER) },
  { set("/odd", "x") },
  { create("/odd2", CONTAINER, CREATE2) },
  { create("/contained", PLAIN, CREATE_CONTAINER) },
  { create("/contained2", EPHEMERAL, CREATE_CONTAINER) },
  { create("/plain2", PLAIN) },
  { create("/odd3", CONTAINER), set("/plain", "1"), set("/plain", "2"), delete("/plain2") },
  { set("/plain", "3") },
  { create("/full/a", PLAIN) },
  { create("/full/b", PLAIN) },
  { create("/full/c-", SEQUENTIAL) },
  { create("/full/d", PLAIN), create("/full/e", PLAIN), set("/plain", "4") },
  { set("/plain", "5") },
  { multi(create("/full/f", PLAIN), create("/full/g", PLAIN), set("/plain", "6")) },
  { create("/full/h", CONTAINER) },
  { create("/odd4", CONTAINER) },
}

-- The payloads that Apache has logged of it.
local function converse(server)
  local connection, xid = talk.open(server.port), 0
  connection:handshake()
  for _, requests in ipairs(CONVERSATION) do
    for i, request in ipairs(requests) do
      connection:send(xid + i, request[1], request[2])
    end
    for _ = 1, #requests do
      xid = xid + 1
      local answered, err = connection:reply()
      assert.are.same({ xid, 0 }, { answered, err })
    end
  end
  connection:close()
  uv.run("nowait") -- closes it: what is left to the end of the process crashes there, in luv
end

local function read_payloads(name)
  local file = assert(io.open(name, "rb"))
  local bytes, at, payloads = file:read("*a"), 16, {}
  file:close()
  while at + 12 < #bytes do
    local size = frames.read_i32(bytes, at + 9)
    if size == 0 then
      break
    end
    payloads[#payloads + 1] = bytes:sub(at + 13, at + 12 + size)
    at = at + 13 + size
  end
  return payloads
end

local function check(payloads)
  local disk = testing.disk.new(1)
  disk:write("d/version-2", "snapshot.0", SNAPSHOT)
  disk:write("d/version-2", "log.1", files.log(payloads))
  return store.check_server({ disk = disk, directory = "d" })
end

local function with_other_digest(payload, digest)
  return payload:sub(1, -DIGEST_SIZE - 1) .. codec.int(2) .. files.i64(digest)
end

local logged -- by one server, for all specs

local function apache_logs()
  if logged then
    return logged
  end
  local server = apache.start()
  finally(function()
    server:stop()
  end)
  server:kill()
  local directory = server.dir .. "/data/version-2"
  assert(os.execute(("rm -f '%s'/*"):format(directory)))
  local file = assert(io.open(directory .. "/snapshot.0", "wb"))
  file:write(SNAPSHOT)
  file:close()
  server:restart()
  converse(server)
  -- Or nothing here is about anything.
  assert.is_true(tonumber(server:metrics().digest_mismatches_count) >= 10)
  server:kill()
  logged = read_payloads(directory .. "/log.1")
  return logged
end

describe("what Apache logs", function()
  it("is sound, wherever it ends #slow #once", function()
    local payloads = apache_logs()
    for count = 1, #payloads do
      local list = {}
      for i = 1, count do
        list[i] = payloads[i]
      end
      local status, report, found = check(list)
      assert.are.equal(0, status, ("%d: %s"):format(count, report.text))
      assert.are.equal(count, tonumber(found.zxid))
      -- A digest that nobody can explain is found out at any place where a start would end.
      list[count] = with_other_digest(list[count], "0x123456789")
      status, report = check(list)
      assert.are_not.equal(0, status, count)
      assert.is_true(report.damaged)
      assert.is_truthy(report.text:find("instead of 0x123456789", 1, true), report.text)
    end
  end)

  it("does not hide damage behind it #slow #once", function()
    local payloads = apache_logs()
    -- A write that is gone, as by a hand that closes the gap: zxids behind it are one less.
    for _, gone in ipairs({ 2, 4, 5, 9, 15 }) do
      local list = {}
      for i, payload in ipairs(payloads) do
        if i < gone then
          list[i] = payload
        elseif i > gone then
          list[i - 1] = payload:sub(1, 12) .. files.i64(i - 1) .. payload:sub(21)
        end
      end
      local status, report = check(list)
      assert.are_not.equal(0, status, gone)
      assert.is_true(report.damaged)
    end
  end)
end)
