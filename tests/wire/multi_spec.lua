local codec = require("wire.codec")
local wire = require("zklua_testing").wire

local int, str = codec.int, codec.str
local MULTI, MULTI_READ = 14, 22
local STAT = ("\0"):rep(68)

local function header(op, done, code)
  return int(op) .. (done and "\1" or "\0") .. int(code or -1)
end

local END = header(-1, true)
local CHECK = header(13) .. str("/a") .. int(0)
local GET = header(4) .. str("/a") .. "\0"
local OK = 0

local OPEN = { { permissions = 31, scheme = "world", id = "anyone" } }

describe("a multi's operations", function()
  it("are read as they were written, of every kind", function()
    local record = { op = MULTI, operations = {
      { op = 1, path = "/a", data = "", acl = OPEN, flags = 3 },
      { op = 15, path = "/b", acl = {} },
      { op = 19, path = "/c", acl = OPEN, flags = 4 },
      { op = 21, path = "/t", acl = false, flags = 5, ttl_ms = "0x1" },
      { op = 2, path = "/d", version = -1 },
      { op = 5, path = "/e", data = "x", version = 3 },
      { op = 13, path = "/f", version = 9 },
    } }
    local bytes = wire.encode({ { "request", record } })
    assert.same(record, (wire.decode(bytes, "request", MULTI)))
    for cut = 0, #bytes - 1 do
      assert.is_nil(wire.decode(bytes:sub(1, cut), "request", MULTI))
    end
    assert.is_nil(wire.decode(bytes, "request", MULTI_READ))
  end)

  it("of a multiRead are its two reads", function()
    local record = { op = MULTI_READ, operations = {
      { op = 4, path = "/a" }, { op = 8, path = "/b", watch = true },
    } }
    local bytes = wire.encode({ { "request", record } })
    assert.same(record, (wire.decode(bytes, "request", MULTI_READ)))
    for cut = 0, #bytes - 1 do
      assert.is_nil(wire.decode(bytes:sub(1, cut), "request", MULTI_READ))
    end
    assert.is_nil(wire.decode(bytes, "request", MULTI))
  end)

  it("may be none", function()
    for _, op in ipairs({ MULTI, MULTI_READ }) do
      assert.equal(END, (wire.encode({ { "request", { op = op } } })))
      assert.same({ op = op, operations = {} }, (wire.decode(END, "request", op)))
    end
  end)

  it("end at `done`, whatever else that header says", function()
    for _, last in ipairs({ header(13, true, 0), header(99, true, 7),
      int(-1) .. "\255" .. int(0) }) do
      local read, left = wire.decode(CHECK .. last .. "tail", "request", MULTI)
      assert.equal(1, #read.operations)
      assert.equal(4, left)
    end
  end)

  it("may be ten thousand", function()
    local read = wire.decode(CHECK:rep(10000) .. END, "request", MULTI)
    assert.equal(10000, #read.operations)
  end)

  for _, case in ipairs({
    { "without an end", MULTI, CHECK },
    { "of no bytes", MULTI, "" },
    { "with half an end", MULTI, CHECK .. END:sub(1, 8) },
    { "with an end that is not done", MULTI, CHECK .. header(-1) },
    { "with a multi inside", MULTI, header(14) .. END .. END },
    { "with a multiRead inside", MULTI, header(22) .. END .. END },
    { "with a read in a multi", MULTI, CHECK .. GET .. END },
    { "with a write in a multiRead", MULTI_READ, GET .. CHECK .. END },
    { "with a multi in a multiRead", MULTI_READ, header(14) .. END .. END },
    { "of an unknown kind", MULTI, header(99) .. END },
    { "of kind 0", MULTI, header(0) .. END },
    { "of an exists", MULTI, header(3) .. str("/a") .. "\0" .. END },
    { "of a ping", MULTI, header(11) .. END },
    { "of a closeSession", MULTI, header(-11) .. END },
    { "of a deleteContainer", MULTI, header(20) .. str("/a") .. END },
    { "with a record that is cut", MULTI, header(13) .. str("/a") .. END:sub(1, 3) },
    { "with a record of a negative length", MULTI, header(13) .. int(-5) .. int(0) .. END },
    { "with a path that swallows the end", MULTI, header(13) .. int(15) .. "/a" .. int(0) .. END },
    { "with an ACL of too many entries", MULTI,
      header(1) .. str("/a") .. int(-1) .. int(2) .. int(0) .. END },
  }) do
    it(case[1] .. " are refused", function()
      assert.is_nil(wire.decode(case[3], "request", case[2]))
    end)
  end
end)

describe("a multi's results", function()
  it("are read as they were written, of every kind", function()
    local record = { op = MULTI, items = {
      { op = 1, path = "/a" },
      { op = 15, path = "/b", stat = { czxid = "0x1" } },
      { op = 2 },
      { op = 5, stat = { version = 2 } },
      { op = 13 },
      { op = -1, number = -110 },
    } }
    local bytes = wire.encode({ { "result", record } })
    assert.same(record, (wire.decode(bytes, "result", MULTI)))
    for cut = 0, #bytes - 1 do
      assert.is_nil(wire.decode(bytes:sub(1, cut), "result", MULTI))
    end
    assert.is_nil(wire.decode(bytes, "result", MULTI_READ))
  end)

  it("of a multiRead are data, names and errors", function()
    local record = { op = MULTI_READ, items = {
      { op = 4, data = "x", stat = { version = 1 } },
      { op = -1, number = -101 },
      { op = 8, items = { "a", "b" } },
      { op = 4 },
    } }
    local bytes = wire.encode({ { "result", record } })
    assert.same(record, (wire.decode(bytes, "result", MULTI_READ)))
    assert.is_nil(wire.decode(bytes, "result", MULTI))
  end)

  it("of containers and of nodes with a ttl are those of create2", function()
    local bytes = wire.encode({ { "result", { op = MULTI, items = {
      { op = 19, path = "/c" }, { op = 21, path = "/t" },
    } } } })
    assert.equal(header(15, false, 0) .. str("/c") .. STAT .. header(15, false, 0) .. str("/t")
      .. STAT .. END, bytes)
  end)

  it("that failed say their code twice", function()
    local failure = { op = MULTI, items = { { op = -1, number = -2 } } }
    local bytes = wire.encode({ { "result", failure } })
    assert.equal(header(-1, false, -2) .. int(-2) .. END, bytes)
  end)

  it("may be none", function()
    assert.same({ op = MULTI, items = {} }, (wire.decode(END, "result", MULTI)))
  end)

  for _, case in ipairs({
    { "without an end", MULTI, header(2, false, OK) },
    { "of no bytes", MULTI, "" },
    { "with an error without its record", MULTI, header(-1, false, -101) },
    { "of a container's type", MULTI, header(19, false, OK) .. str("/a") .. STAT .. END },
    { "of a ttl's type", MULTI, header(21, false, OK) .. str("/a") .. STAT .. END },
    { "with a multi inside", MULTI, header(14, false, OK) .. END .. END },
    { "with a read's in a multi's", MULTI, header(4, false, OK) .. int(-1) .. STAT .. END },
    { "with a write's in a multiRead's", MULTI_READ, header(2, false, OK) .. END },
    { "of an unknown type", MULTI, header(77, false, OK) .. END },
    { "with half a stat", MULTI, header(5, false, OK) .. STAT:sub(1, 34) .. END },
    { "with names that are too many", MULTI_READ, header(8, false, OK) .. int(9) .. END },
    { "with data of a negative length", MULTI_READ,
      header(4, false, OK) .. int(-9) .. STAT .. END },
  }) do
    it(case[1] .. " are refused", function()
      assert.is_nil(wire.decode(case[3], "result", case[2]))
    end)
  end
end)
