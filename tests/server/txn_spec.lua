local codec = require("wire.codec")
local golden = require("server.txn_golden")
local txn = require("zklua_testing").txn

local hex, unhex, int, str = codec.hex, codec.unhex, codec.int, codec.str

local HEADER_SIZE, DIGEST_SIZE = 32, 12

--- An entry's bytes with this type and record.
local function entry_of(type, record)
  return unhex(golden.header_hex) .. int(type) .. record
end

local function copy(entry)
  local result = {}
  for name, value in pairs(entry) do
    result[name] = value
  end
  return result
end

describe("a log entry", function()
  for _, case in ipairs(golden.entries) do
    describe(case.name, function()
      local bytes, entry = unhex(case.hex), case.entry

      it("is written from its fields", function()
        local written, size = txn.encode(entry)
        assert.are.equal(hex(bytes), hex(written))
        assert.are.equal(#bytes, size)
      end)

      it("is read into its fields", function()
        assert.are.same(entry, (txn.decode(bytes)))
      end)

      it("measures alike in buffers that are too small", function()
        for capacity = 0, #bytes do
          local written, size = txn.encode(entry, capacity)
          assert.are.equal(#bytes, size)
          assert.are.equal(capacity, #written)
        end
      end)

      it("takes a digest behind it, of which no byte may be missing", function()
        local with = copy(entry)
        with.digest, with.digest_version = "0xfedcba9876543210", 2
        local whole = txn.encode(with)
        assert.are.same(with, (txn.decode(whole)))
        local without = entry.digest and #bytes - DIGEST_SIZE or #bytes
        for size = without + 1, #whole - 1 do
          assert.are.same({ nil, "digest" }, { txn.decode(whole:sub(1, size)) })
        end
        assert.is_nil(txn.decode(whole .. "\0"))
      end)

      it("is refused when cut anywhere", function()
        local size_max = (entry.digest and #bytes - DIGEST_SIZE or #bytes) - 1
        for size = 0, size_max do
          local read, refused = txn.decode(bytes:sub(1, size))
          if entry.type == 1 and size == size_max - 3 then
            -- A whole record of before there was a parent's cversion.
            assert.are.equal(-1, read.parent_cversion)
          elseif entry.type == -11 and (size == HEADER_SIZE
              or size == HEADER_SIZE + DIGEST_SIZE and #entry.paths == 2) then
            assert.is_false(read.paths) -- and of before there were paths; a count of 2 looks
            -- like the version of a digest then
          else
            assert.is_nil(read, ("accepted %d of %d bytes"):format(size, #bytes))
            assert.are.equal(size < HEADER_SIZE and "header" or "record", refused)
          end
        end
      end)
    end)
  end

  it("may be a create of long ago, which had no parent's cversion", function()
    local entry = copy(golden.header)
    entry.type, entry.path, entry.data, entry.ephemeral = 1, "/old", "hello", true
    entry.acl = { { permissions = 31, scheme = "world", id = "anyone" } }
    entry.parent_cversion = -1
    assert.are.same(entry, (txn.decode(entry_of(1, unhex("00000004 2f6f6c64 00000005 68656c6c6f"
      .. "00000001 0000001f 00000005 776f726c64 00000006 616e796f6e65 01")))))
  end)

  it("is no such create when it is another operation", function()
    for _, type in ipairs({ 15, 19, 21 }) do
      local flag = type == 15 and "\0" or ""
      assert.is_nil(txn.decode(entry_of(type, str("/a") .. str("") .. int(0) .. flag)))
    end
  end)

  it("may be a closeSession without paths, with and without a digest", function()
    local digest = int(2) .. int(0) .. int(7)
    assert.is_false(txn.decode(entry_of(-11, "")).paths)
    local entry = txn.decode(entry_of(-11, digest))
    assert.is_false(entry.paths)
    assert.are.equal("0x7", entry.digest)
    assert.are.equal(hex(entry_of(-11, digest)), hex((txn.encode(entry))))
    -- Two short paths take more bytes than a digest: they are not mistaken for one.
    local paths = int(2) .. str("/") .. str("/a")
    assert.are.same({ "/", "/a" }, txn.decode(entry_of(-11, paths)).paths)
  end)

  it("is refused for what no log may hold", function()
    local check = str("/a") .. int(1)
    local known = { [-11] = true, [-10] = true, [-1] = true, [1] = true, [2] = true, [5] = true,
      [7] = true, [14] = true, [15] = true, [16] = true, [19] = true, [20] = true, [21] = true }
    local long = int(0) .. ("\0"):rep(60)
    for type = -130, 130 do
      local _, refused = txn.decode(entry_of(type, long))
      if not known[type] then
        assert.are.equal("record", refused)
      end
    end
    assert.are.same({ nil, "record" }, { txn.decode(entry_of(13, check)) })
  end)

  it("is refused where a path is null", function()
    for type, rest in pairs({
      [1] = str("") .. int(0) .. "\0" .. int(0), [2] = "", [5] = str("") .. int(0),
      [7] = int(0) .. int(0), [20] = "",
    }) do
      assert.is_table(txn.decode(entry_of(type, str("/a") .. rest)))
      assert.is_nil(txn.decode(entry_of(type, int(-1) .. rest)))
    end
    assert.is_nil(txn.decode(entry_of(-11, int(1) .. int(-1))))
  end)

  it("is refused with a count that its bytes cannot hold", function()
    for _, count in ipairs({ -1, -2, 1, 2, 100, 2147483647, -2147483648 }) do
      local _, refused = txn.decode(entry_of(14, int(count)))
      assert.are.equal("record", refused)
      _, refused = txn.decode(entry_of(-11, int(count) .. "ab"))
      assert.is_truthy(refused)
      assert.is_nil(txn.decode(entry_of(2, int(count))))
    end
  end)

  it("may have a digest of another version, to be compared by nobody", function()
    local entry = txn.decode(entry_of(2, str("/a") .. int(1) .. int(0) .. int(9)))
    assert.are.equal(1, entry.digest_version)
    assert.are.equal("0x9", entry.digest)
  end)
end)

describe("a multi's part", function()
  local function multi_of(type, record)
    return entry_of(14, int(1) .. int(type) .. str(record))
  end

  local RECORDS = {
    [1] = str("/a") .. str("") .. int(0) .. "\0" .. int(1),
    [2] = str("/a"), [5] = str("/a") .. str("") .. int(1), [13] = str("/a") .. int(1),
    [19] = str("/a") .. str("") .. int(0) .. int(1), [20] = str("/a"),
    [21] = str("/a") .. str("") .. int(0) .. int(1) .. int(0) .. int(1), [-1] = int(-101),
  }

  it("is one of those that Apache reads back", function()
    for type, record in pairs(RECORDS) do
      local entry = txn.decode(multi_of(type, record))
      assert.are.equal(type, entry.parts[1].type)
      assert.are.equal(hex(multi_of(type, record)), hex((txn.encode(entry))))
    end
    for type = -20, 120 do
      if not RECORDS[type] then
        for _, record in pairs(RECORDS) do
          assert.is_nil(txn.decode(multi_of(type, record)))
        end
      end
    end
  end)

  it("is no multi", function()
    assert.is_nil(txn.decode(multi_of(14, int(0))))
  end)

  it("is whole, to the last byte", function()
    for type, record in pairs(RECORDS) do
      assert.is_nil(txn.decode(multi_of(type, record .. "\0")))
      for size = 0, #record - 1 do
        if not (type == 1 and size == #record - 4) then
          assert.is_nil(txn.decode(multi_of(type, record:sub(1, size))))
        end
      end
    end
    assert.is_nil(txn.decode(entry_of(14, int(1) .. int(2) .. int(-1))))
  end)
end)

describe("random entries", function()
  local function generator(random)
    local function path()
      return "/" .. random.bytes()
    end
    local function acl()
      return { permissions = random.below(31) + 1, scheme = random.string(), id = random.string() }
    end
    local function acls()
      return random.list(acl)
    end
    local function bool()
      return random.below(2) == 1 or nil
    end
    local create = { path = path, data = random.string, acl = acls, parent_cversion = random.i32 }
    local flagged = { ephemeral = bool }
    local ttl = { ttl_ms = random.i64 }
    for name, make in pairs(create) do
      flagged[name], ttl[name] = make, make
    end
    local set = { path = path, data = random.string, version = random.i32 }
    return {
      [1] = flagged, [15] = flagged, [19] = create, [21] = ttl, [2] = { path = path },
      [20] = { path = path }, [5] = set, [16] = set, [13] = { path = path, version = random.i32 },
      [7] = { path = path, acl = acls, version = random.i32 }, [-10] = { timeout_ms = random.i32 },
      [-11] = { paths = function()
        return random.list(path) or {}
      end }, [-1] = { code = random.i32 },
    }
  end
  local ALONE = { 1, 15, 19, 21, 2, 20, 5, 16, 7, -10, -11, -1 }
  local PARTS = { 1, 19, 21, 2, 20, 5, 13, -1 }

  local function generate(fields, random, type)
    local names, record = {}, { type = type }
    for name in pairs(fields[type]) do
      names[#names + 1] = name
    end
    table.sort(names)
    for _, name in ipairs(names) do
      record[name] = fields[type][name]()
    end
    for name, value in pairs(record) do
      if value == 0 then
        record[name] = nil
      end
    end
    return record
  end

  it("are read as they were written", function()
    local random = codec.random(2026)
    local fields = generator(random)
    for _ = 1, 2000 do
      local entry
      if random.below(5) == 0 then
        entry = { type = 14, parts = {} }
        for i = 1, random.below(6) do
          entry.parts[i] = generate(fields, random, random.pick(PARTS))
        end
      else
        entry = generate(fields, random, random.pick(ALONE))
      end
      entry.session_id, entry.zxid = random.i64(), random.i64()
      local bytes = txn.encode(entry)
      assert.are.same(entry, (txn.decode(bytes)))
    end
  end)

  it("with a changed byte are refused, or are what is read back from them", function()
    local random = codec.random(11)
    for _, case in ipairs(golden.entries) do
      local bytes = unhex(case.hex)
      for _ = 1, 300 do
        local at = random.below(#bytes) + 1
        local other = string.char(random.below(256))
        local entry = txn.decode(bytes:sub(1, at - 1) .. other .. bytes:sub(at + 1))
        if entry then
          local again = txn.decode((txn.encode(entry)))
          again.digest_version = entry.digest_version -- we write one version only
          assert.are.same(entry, again)
        end
      end
    end
  end)
end)

describe("a sequence number", function()
  for number, text in pairs({
    [0] = "0000000000", [7] = "0000000007", [1234567890] = "1234567890",
    [2147483647] = "2147483647", [-1] = "-000000001", [-999999999] = "-999999999",
    [-1000000000] = "-1000000000", [-2147483648] = "-2147483648",
  }) do
    it("is written as " .. text, function()
      assert.are.equal(text, txn.sequence(number))
    end)
  end
end)
