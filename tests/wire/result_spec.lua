local codec = require("wire.codec")
local wire = require("zklua_testing").wire

local int, str = codec.int, codec.str

local function generators(random)
  local function stat()
    -- One field that is not zero at least: a stat of zeros is shown as none.
    return codec.without_zeros({
      czxid = random.i64(), mzxid = random.i64(), ctime_ms = random.i64(),
      mtime_ms = random.i64(), version = random.i32(), cversion = random.i32(),
      aversion = random.i32(), ephemeral_owner = random.i64(), data_length = random.i32(),
      children_count = random.i32(), pzxid = random.i64(),
    })
  end
  local function strings()
    return random.list(function()
      return random.string() or false
    end)
  end
  local function acls()
    return random.list(function()
      return codec.without_zeros({
        permissions = random.i32(), scheme = random.string(), id = random.string(),
      })
    end)
  end
  local function client_ids()
    return random.list(function()
      return { scheme = random.string(), user = random.string() }
    end)
  end
  local with_stat = { stat = stat }
  local path = { path = random.string }
  local path_stat = { path = random.string, stat = stat }
  local data_stat = { data = random.string, stat = stat }
  local number = { number = random.i32 }
  local none = {}
  return {
    [1] = path, [9] = path, [15] = path_stat, [19] = path_stat, [21] = path_stat,
    [3] = with_stat, [5] = with_stat, [7] = with_stat, [4] = data_stat, [16] = data_stat,
    [6] = { items = acls, stat = stat }, [8] = { items = strings },
    [12] = { items = strings, stat = stat }, [103] = { items = strings },
    [107] = { items = client_ids }, [104] = number, [106] = number, [-1] = number,
    [102] = { data = random.string },
    [2] = none, [11] = none, [13] = none, [17] = none, [18] = none, [20] = none,
    [100] = none, [101] = none, [105] = none, [-11] = none,
  }
end

local OPERATIONS = {
  -11, -1, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 15, 16, 17, 18, 19, 20, 21, 100, 101, 102, 103,
  104, 105, 106, 107,
}

describe("a result", function()
  for _, op in ipairs(OPERATIONS) do
    it(("of operation %d is read as it was written, and refused when cut"):format(op), function()
      local fields = generators(codec.random(op + 2000))[op]
      for round = 1, 60 do
        local record = { op = op }
        for _, name in ipairs({ "path", "data", "items", "stat", "number" }) do
          if fields[name] then
            record[name] = fields[name]()
          end
        end
        record = codec.without_zeros(record)
        local bytes = wire.encode({ { "result", record } })
        local read, left = wire.decode(bytes .. "tail", "result", op)
        assert.same(record, read, "round " .. round)
        assert.equal(4, left)
        for cut = 0, #bytes - 1 do
          if wire.decode(bytes:sub(1, cut), "result", op) then
            error(("round %d: accepted %d of %d bytes"):format(round, cut, #bytes))
          end
        end
      end
    end)
  end

  it("has the fields of a stat in their order", function()
    local bytes = ""
    for i = 1, 4 do bytes = bytes .. int(0) .. int(i) end
    for i = 5, 7 do bytes = bytes .. int(i) end
    bytes = bytes .. int(0) .. int(8) .. int(9) .. int(10) .. int(0) .. int(11)
    assert.equal(68, #bytes)
    assert.same({
      czxid = "0x1", mzxid = "0x2", ctime_ms = "0x3", mtime_ms = "0x4", version = 5,
      cversion = 6, aversion = 7, ephemeral_owner = "0x8", data_length = 9,
      children_count = 10, pzxid = "0xb",
    }, wire.decode(bytes, "result", 3).stat)
  end)

  local STAT = ("\0"):rep(68)
  for _, case in ipairs({
    { "create", { op = 1, path = "/a" }, str("/a") },
    { "create2", { op = 15, path = "/a" }, str("/a") .. STAT },
    { "getData of null", { op = 4 }, int(-1) .. STAT },
    { "getData of nothing", { op = 4, data = "" }, int(0) .. STAT },
    { "getChildren", { op = 8, items = { "x", "" } }, int(2) .. str("x") .. str("") },
    { "getEphemerals", { op = 103, items = { "/x" } }, int(1) .. str("/x") },
    { "getAllChildrenNumber", { op = 104, number = 12 }, int(12) },
    { "whoAmI", { op = 107, items = { { scheme = "ip", user = "127.0.0.1" } } },
      int(1) .. str("ip") .. str("127.0.0.1") },
    { "sasl without a token", { op = 102 }, int(-1) },
    { "sync", { op = 9, path = "/s" }, str("/s") },
  }) do
    it("of " .. case[1] .. " has these bytes", function()
      assert.equal(codec.hex(case[3]), codec.hex((wire.encode({ { "result", case[2] } }))))
      assert.same(case[2], (wire.decode(case[3], "result", case[2].op)))
    end)
  end

  for _, case in ipairs({
    { "of unknown operation 0", 0, "" },
    { "of unknown operation 10", 10, "" },
    { "of unknown operation 108", 108, "" },
    { "of createSession", -10, "" },
    { "of the most negative operation", -2147483648, "" },
    { "with a path of length -2", 1, int(-2) },
    { "with a path that swallows the stat", 15, int(72) .. STAT },
    { "with data of length -2", 4, int(-2) .. STAT },
    { "with data of the largest length", 4, int(2147483647) .. STAT },
    { "with a stat of 67 bytes", 3, STAT:sub(2) },
    { "of half a number", 104, "\0\0\0" },
    { "with names that swallow the stat", 12, int(1) .. int(68) .. STAT },
  }) do
    it(case[1] .. " is refused", function()
      assert.is_nil(wire.decode(case[3], "result", case[2]))
    end)
  end
end)
