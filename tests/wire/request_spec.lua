local codec = require("wire.codec")
local wire = require("zklua_testing").wire

local int, str = codec.int, codec.str

--- Generators of the fields that each operation uses, in the order of the protocol.
local function generators(random)
  local function acl()
    return {
      permissions = random.below(31) + 1, scheme = random.string(), id = random.string(),
    }
  end
  local function acls()
    return random.list(acl)
  end
  local function paths()
    return random.list(random.bytes)
  end
  local function watch()
    return random.below(2) == 1
  end
  local create = { path = random.string, data = random.string, acl = acls, flags = random.i32 }
  local create_ttl = { ttl_ms = random.i64 }
  for name, generator in pairs(create) do
    create_ttl[name] = generator
  end
  local versioned = { path = random.string, version = random.i32 }
  local watched = { path = random.string, watch = watch }
  local kind = { path = random.string, kind = random.i32 }
  local path = { path = random.string }
  local set_watches = {
    zxid = random.i64, data_watches = paths, exist_watches = paths, child_watches = paths,
  }
  local set_watches2 = { persistent_watches = paths, recursive_watches = paths }
  for name, generator in pairs(set_watches) do
    set_watches2[name] = generator
  end
  return {
    [1] = create, [15] = create, [19] = create, [21] = create_ttl,
    [2] = versioned, [13] = versioned,
    [3] = watched, [4] = watched, [8] = watched, [12] = watched,
    [5] = { path = random.string, data = random.string, version = random.i32 },
    [6] = path, [9] = path, [20] = path, [103] = path, [104] = path,
    [7] = { path = random.string, acl = acls, version = random.i32 },
    [106] = kind, [17] = kind, [18] = kind,
    [101] = set_watches, [105] = set_watches2,
    [16] = {
      joining = random.string, leaving = random.string, members = random.string,
      zxid = random.i64,
    },
    [100] = { scheme = random.string, data = random.string },
    [102] = { data = random.string },
    [11] = {}, [107] = {}, [-11] = {},
  }
end

local NAMES = {
  [1] = "create", [2] = "delete", [3] = "exists", [4] = "getData", [5] = "setData",
  [6] = "getACL", [7] = "setACL", [8] = "getChildren", [9] = "sync", [11] = "ping",
  [12] = "getChildren2", [13] = "check", [15] = "create2", [16] = "reconfig",
  [17] = "checkWatches", [18] = "removeWatches", [19] = "createContainer",
  [20] = "deleteContainer", [21] = "createTTL", [100] = "auth", [101] = "setWatches",
  [102] = "sasl", [103] = "getEphemerals", [104] = "getAllChildrenNumber",
  [105] = "setWatches2", [106] = "addWatch", [107] = "whoAmI", [-11] = "closeSession",
}

--- `sorted` so that the same seed gives the same values on every Lua.
local function generate(op, fields)
  local names, record = {}, { op = op }
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    record[name] = fields[name]()
  end
  return codec.without_zeros(record)
end

describe("a request", function()
  for op, name in pairs(NAMES) do
    it(name .. " is read as it was written, and refused when cut", function()
      local fields = generators(codec.random(op + 1000))[op]
      for round = 1, 60 do
        local record = generate(op, fields)
        local bytes, size = wire.encode({ { "request", record } })
        assert.equal(#bytes, size)
        local read, left = wire.decode(bytes .. "tail", "request", op)
        assert.same(record, read, "round " .. round)
        assert.equal(4, left)
        assert.equal(codec.hex(bytes), codec.hex((wire.encode({ { "request", read } }))))
        for cut = 0, #bytes - 1 do
          if wire.decode(bytes:sub(1, cut), "request", op) then
            error(("round %d: accepted %d of %d bytes"):format(round, cut, #bytes))
          end
        end
      end
    end)
  end

  -- Bytes put together by hand for what no golden frame shows.
  for _, case in ipairs({
    { "delete", { op = 2, path = "/c", version = 7 }, str("/c") .. int(7) },
    { "exists", { op = 3, path = "/c" }, str("/c") .. "\0" },
    { "getACL", { op = 6, path = "/c" }, str("/c") },
    { "setACL", { op = 7, path = "/c", acl = {}, version = -1 }, str("/c") .. int(0) .. int(-1) },
    { "getChildren", { op = 8, path = "/c", watch = true }, str("/c") .. "\1" },
    { "sync", { op = 9, path = "/" }, str("/") },
    { "getChildren2", { op = 12, path = "/c" }, str("/c") .. "\0" },
    { "create2", { op = 15, path = "/c", acl = {}, flags = 1 },
      str("/c") .. int(-1) .. int(0) .. int(1) },
    { "reconfig", { op = 16, joining = "server.5=h:1:2;3", zxid = "0xffffffffffffffff" },
      str("server.5=h:1:2;3") .. int(-1) .. int(-1) .. int(-1) .. int(-1) },
    { "checkWatches", { op = 17, path = "/c", kind = 3 }, str("/c") .. int(3) },
    { "removeWatches", { op = 18, path = "/c", kind = 2 }, str("/c") .. int(2) },
    { "createContainer", { op = 19, path = "/c", data = "", acl = {}, flags = 4 },
      str("/c") .. int(0) .. int(0) .. int(4) },
    { "getEphemerals of everything", { op = 103 }, int(-1) },
    { "getAllChildrenNumber", { op = 104, path = "/c" }, str("/c") },
    { "setWatches", { op = 101, zxid = "0x5", data_watches = { "/a", "/b" }, exist_watches = {},
      child_watches = { "/a" } },
      int(0) .. int(5) .. int(2) .. str("/a") .. str("/b") .. int(0) .. int(1) .. str("/a") },
    { "addWatch", { op = 106, path = "/r" }, str("/r") .. int(0) },
    { "whoAmI", { op = 107 }, "" },
  }) do
    it(case[1] .. " has these bytes", function()
      assert.equal(codec.hex(case[3]), codec.hex((wire.encode({ { "request", case[2] } }))))
      assert.same(case[2], (wire.decode(case[3], "request", case[2].op)))
    end)
  end

  for _, case in ipairs({
    { "of unknown operation 0", 0, "" },
    { "of unknown operation 10", 10, str("/a") },
    { "of unknown operation 23", 23, "" },
    { "of unknown operation 99", 99, "" },
    { "of unknown operation 108", 108, "" },
    { "of the largest operation", 2147483647, "" },
    { "of the most negative operation", -2147483648, "" },
    { "of the server's own createSession", -10, int(30000) },
    { "of the type that ends a multi", -1, int(0) },
    { "with a path of length -2", 4, int(-2) .. "\0" },
    { "with a path of the most negative length", 4, int(-2147483648) .. "\0" },
    { "with a path of the largest length", 4, int(2147483647) .. "/a\0" },
    { "with a path that swallows the watch flag", 4, int(3) .. "/a\0" },
    { "with data of length -2", 5, str("/a") .. int(-2) .. int(0) },
    { "with data that swallows the version", 5, str("/a") .. int(6) .. "ab" .. int(0) },
    { "with half a version", 2, str("/a") .. "\0\0" },
    { "createTTL without its ttl", 21, str("/a") .. int(-1) .. int(0) .. int(5) },
    { "setWatches2 with only three lists", 105, ("\0"):rep(8) .. int(0):rep(3) },
    { "auth without data", 100, int(0) .. str("digest") },
    { "sasl without a token", 102, "" },
    { "reconfig without its version", 16, int(-1):rep(3) },
  }) do
    it(case[1] .. " is refused", function()
      assert.is_nil(wire.decode(case[3], "request", case[2]))
    end)
  end

  it("may have a watch flag of any byte", function()
    assert.is_true(wire.decode(str("/a") .. "\128", "request", 4).watch)
  end)
end)

describe("a chroot", function()
  for _, case in ipairs({
    { "is put in front", "/app", "/a", 0, "/app/a" },
    { "is the client's root", "/app", "/", 0, "/app" },
    { "that is empty changes nothing", "", "/a", 0, "/a" },
    { "that is null changes nothing", nil, "/", 0, "/" },
    { "of two components is put in front", "/app/jobs", "/a/b", 0, "/app/jobs/a/b" },
    { "holds a sequential child of the client's root", "/app", "/", 2, "/app/" },
    { "holds a sequential ephemeral child of the root", "/app", "/", 3, "/app/" },
    { "holds a sequential child with a ttl of the root", "/app", "/", 6, "/app/" },
    { "is itself created by a create of the root", "/app", "/", 1, "/app" },
    { "is put in front of a sequential path", "/app", "/a/", 2, "/app/a/" },
  }) do
    it(case[1], function()
      local fields = { op = 15, chroot = case[2], path = case[3], acl = {}, flags = case[4] }
      local bytes = wire.encode({ { "request", fields } })
      assert.equal(case[5], wire.decode(bytes, "request", 15).path)
    end)
  end

  it("reaches every operation that has a path", function()
    for op in pairs(NAMES) do
      local record = { op = op, chroot = "/app", path = "/a" }
      local with = wire.encode({ { "request", record } })
      local read = wire.decode(with, "request", op)
      if generators(codec.random(1))[op].path then
        assert.equal("/app/a", read.path)
      else
        assert.is_nil(with:find("/a", 1, true))
      end
      assert.is_nil(read.chroot)
    end
  end)

  it("leaves a null path null", function()
    local bytes = wire.encode({ { "request", { op = 103, chroot = "/app" } } })
    assert.equal(int(-1), bytes)
  end)

  it("is put in front of each operation of a multi", function()
    local bytes = wire.encode({ { "request", { op = 14, operations = {
      { op = 13, chroot = "/app", path = "/", version = 1 },
      { op = 1, chroot = "/app", path = "/", flags = 2, acl = {} },
    } } } })
    local read = wire.decode(bytes, "request", 14)
    assert.equal("/app", read.operations[1].path)
    assert.equal("/app/", read.operations[2].path)
  end)
end)

describe("writing what no client sends", function()
  --- Runs `code` in a process of its own, for it does not survive.
  local function run(code)
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write("package.cpath = ", ("%q"):format(package.cpath), "\n",
      "local wire = require('zklua_testing').wire\n", code, "\nprint('survived')\n")
    file:close()
    local pipe = io.popen((jit and "luajit " or "lua5.4 ") .. name .. " 2>&1")
    local output = pipe:read("*a")
    pipe:close()
    os.remove(name)
    return output
  end

  for _, case in ipairs({
    { "an unknown operation", "wire.encode({ { 'request', { op = 99 } } })",
      "an operation that clients send" },
    { "a result of an unknown operation", "wire.encode({ { 'result', { op = 99 } } })",
      "an operation that servers answer" },
    { "a multi of an exists",
      "wire.encode({ { 'request', { op = 14, operations = { { op = 3, path = '/a' } } } } })",
      "is_operation" },
    { "a multi's result of a sync",
      "wire.encode({ { 'result', { op = 14, items = { { op = 9 } } } } })", "is_result" },
  }) do
    it("is asserted: " .. case[1], function()
      local output = run(case[2])
      assert.truthy(output:find("assertion failed: .*" .. case[3]), output)
      assert.is_nil(output:find("survived", 1, true))
    end)
  end

  it("is nothing else that ends the process", function()
    assert.equal("survived\n", run("wire.encode({ { 'request', { op = 11 } } })"))
  end)
end)
