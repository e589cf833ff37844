local codec = require("wire.codec")
local acls = require("zklua_testing").acls

local concat, unpack = table.concat, table.unpack or unpack
local READ, WRITE, CREATE, DELETE, ADMIN = 1, 2, 4, 8, 16
local OPEN = { { permissions = 31, scheme = "world", id = "anyone" } }

local function list_of(...)
  local list = {}
  for i, text in ipairs({ ... }) do
    local permissions, scheme, id = text:match("^(%-?%d+) ([^:]*):(.*)$")
    list[i] = { permissions = tonumber(permissions), scheme = scheme, id = id }
  end
  return list
end

--- Frees the table and says what is left of it.
local function leftovers(object)
  local memory = object:free()
  return { memory.bytes, memory.blocks }
end

describe("the table of access lists", function()
  local held
  before_each(function()
    held = acls.table()
  end)
  after_each(function()
    assert.are.same({ 0, 0 }, leftovers(held))
  end)

  it("knows the open list from the start, and counts nothing for it", function()
    assert.are.same(OPEN, held:list(0))
    held:hold(0)
    held:release(0)
    held:release(0)
    assert.are.same({ {}, 0 }, { held:numbers() })
    assert.is_false(held:known(0))
  end)

  it("gives a list that a client has sent a number of its own, also the open one", function()
    assert.are.equal(1, held:take(OPEN))
    assert.are.same(OPEN, held:list(1))
  end)

  it("has equal lists once, as long as somebody needs them", function()
    local a, b = list_of("1 world:anyone", "2 ip:10.0.0.1"), list_of("2 ip:10.0.0.1",
      "1 world:anyone")
    local first, second = held:take(a), held:take(b) -- order counts
    assert.are_not.equal(first, second)
    assert.are.equal(first, held:take(a))
    held:hold(first)
    for _ = 1, 2 do
      held:release(first)
      assert.are.same(a, held:list(first))
    end
    held:release(first)
    assert.is_false(held:known(first))
    assert.are.same({ { second }, 1 }, { held:numbers() })
    assert.are.same(b, held:list(second))
    held:release(second)
    assert.are.same({ {}, 0 }, { held:numbers() })
  end)

  it("does not give a number again soon", function()
    local last = 0
    for _ = 1, 100 do
      local number = held:take(OPEN)
      assert.are.equal(last + 1, number)
      held:release(number)
      last = number
    end
  end)

  it("goes round after the last number, past those in use", function()
    assert.is_true(held:restore(4294967294, list_of("1 world:anyone")))
    assert.is_true(held:restore(1, list_of("2 world:anyone")))
    assert.is_true(held:restore(2, list_of("3 world:anyone")))
    assert.are.equal(4294967295, held:take(list_of("4 world:anyone")))
    assert.are.equal(3, held:take(list_of("5 world:anyone")))
    assert.are.equal(4, held:take(list_of("6 world:anyone")))
  end)

  it("counts from what a snapshot had", function()
    assert.is_true(held:restore(7, OPEN))
    assert.is_true(held:restore(3, list_of("1 world:anyone")))
    assert.are.equal(8, held:take(list_of("2 world:anyone")))
    assert.are.equal(7, held:take(OPEN))
  end)

  it("takes from a snapshot only ids that can be kept, each once", function()
    for _, id in ipairs({ 0, -1, 4294967296, -9223372036854775808, 9007199254740992 }) do
      assert.is_false(held:restore(id, OPEN))
      assert.is_false(held:known(id))
    end
    assert.is_true(held:restore(4294967295, OPEN))
    assert.is_false(held:restore(4294967295, list_of("1 world:anyone")))
    assert.is_true(held:restore(5, OPEN)) -- the same list under two numbers
    assert.is_true(held:known(5))
    assert.are.same(OPEN, held:list(5))
  end)

  it("sweeps away what a snapshot had and no node took", function()
    for id = 1, 9 do
      assert.is_true(held:restore(id, list_of(id .. " world:anyone")))
    end
    for _, id in ipairs({ 2, 5, 9 }) do
      held:hold(id)
    end
    held:sweep()
    assert.are.same({ { 2, 5, 9 }, 3 }, { held:numbers() })
    held:release(5)
    assert.are.same({ { 2, 9 }, 2 }, { held:numbers() })
  end)

  it("is as new after it was cleared", function()
    held:take(OPEN)
    held:take(list_of("1 world:anyone"))
    held:clear()
    assert.are.same({ {}, 0 }, { held:numbers() })
    assert.are.equal(1, held:take(list_of("2 world:anyone")))
  end)

  it("agrees with a plain table, whatever comes and goes", function()
    local random = codec.random(99)
    local lists, numbers, counts = {}, {}, {}
    for i = 1, 60 do
      lists[i] = list_of(("%d ip:10.0.0.%d"):format(i, i % 7), "1 world:anyone")
    end
    for _ = 1, 5000 do
      local i = random.below(#lists) + 1
      if numbers[i] and random.below(2) == 0 then
        held:release(numbers[i])
        counts[i] = counts[i] - 1
        if counts[i] == 0 then
          numbers[i] = nil
        end
      else
        local number = held:take(lists[i])
        if numbers[i] then
          assert.are.equal(numbers[i], number)
        end
        numbers[i], counts[i] = number, (counts[i] or 0) + 1
      end
    end
    local count = 0
    for i, number in pairs(numbers) do
      assert.are.same(lists[i], held:list(number))
      count = count + 1
    end
    assert.are.equal(count, select(2, held:numbers()))
  end)

  it("is as it was when there is no memory", function()
    assert.is_nil(acls.table(true))
    local list, other = list_of("1 ip:10.0.0.1"), list_of("2 digest:a:b")
    assert.are.equal(1, held:take(list))
    local fails = 0
    repeat
      fails = fails + 1
      held:fail(fails)
      local number = held:take(other)
      if number == 0 then
        assert.are.same({ { 1 }, 1 }, { held:numbers() })
        held:fail(fails)
        assert.is_false(held:restore(9, other))
        assert.is_false(held:known(9))
        held:fail(1)
        assert.are.equal(1, held:take(list)) -- what is there needs none
      end
    until number ~= 0
    assert.is_true(fails > 2)
    held:fail(0)
    assert.are.same(other, held:list(2))
  end)
end)

describe("a check", function()
  local held, anybody, bob, admin

  setup(function()
    held, anybody = acls.table(), acls.identities("\10\1\2\3")
    bob, admin = acls.identities("\192\168\1\5"), acls.identities()
    bob:add("digest", "bob:pw")
    admin:add("digest", "super:admin", "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=")
  end)
  teardown(function()
    for _, object in ipairs({ anybody, bob, admin, held }) do
      assert.are.same({ 0, 0 }, leftovers(object))
    end
  end)

  local BOB = "digest:bob:ikIaKsbtGweaHnb/jKn7OHqbunM="
  for _, case in ipairs({
    { { "31 world:anyone" }, READ, true, true },
    { { "31 world:anyone" }, ADMIN, true, true },
    { { "1 world:anyone" }, READ, true, true },
    { { "1 world:anyone" }, WRITE, false, false },
    { { "1 world:anyone" }, READ + ADMIN, true, true }, -- one of them is enough
    { { "14 world:anyone" }, READ + ADMIN, false, false },
    { { "0 world:anyone" }, 31, false, false },
    { { "-1 world:anyone" }, DELETE, true, true },
    { { "65504 world:anyone" }, 31, false, false },
    { { "1 world:anyone", "4 world:anyone" }, CREATE, true, true },
    { { "1 world:anyone", "4 world:anyone" }, DELETE, false, false },
    { { "31 world:nobody" }, READ, false, false }, -- only from a strange snapshot
    { { "31 " .. BOB }, READ, false, true },
    { { "2 " .. BOB }, READ, false, false },
    { { "2 " .. BOB, "1 " .. BOB }, READ, false, true },
    { { "1 world:anyone", "30 " .. BOB }, READ, true, true },
    { { "1 world:anyone", "30 " .. BOB }, ADMIN, false, true },
    { { "31 digest:bob:other" }, READ, false, false },
    { { "31 digest:bob" }, READ, false, false },
    { { "31 sasl:bob:ikIaKsbtGweaHnb/jKn7OHqbunM=" }, READ, false, false },
    { { "31 ip:10.1.2.3" }, READ, true, false },
    { { "31 ip:10.0.0.0/8" }, WRITE, true, false },
    { { "31 ip:192.168.1.4/30" }, WRITE, false, true },
    { { "31 ip:192.168.1.0/30" }, WRITE, false, false },
    { { "31 ip:0.0.0.0/0" }, READ, true, true },
    { { "31 ip:::/0" }, READ, false, false },
    { { "4 ip:10.0.0.0/8", "8 ip:10.1.0.0/16" }, DELETE, true, false },
    { { "31 ip:nonsense" }, READ, false, false },
    { { "31 super:" }, READ, false, false },
    { { "31 auth:" }, READ, false, false },
    { {}, ADMIN, true, true }, -- an empty list is open
  }) do
    it(("of %d by %s"):format(case[2], concat(case[1], ", ")), function()
      local number = held:take(list_of(unpack(case[1])))
      assert.are.equal(case[3], held:allow(number, case[2], anybody))
      assert.are.equal(case[4], held:allow(number, case[2], bob))
      assert.is_true(held:allow(number, case[2], admin))
      held:release(number)
    end)
  end

  it("lets everybody do everything with the open list", function()
    for _, permission in ipairs({ READ, WRITE, CREATE, DELETE, ADMIN }) do
      assert.is_true(held:allow(0, permission, anybody))
    end
  end)

  it("says the same as a plain reference, whatever the list", function()
    local random = codec.random(17)
    local ids = { "world:anyone", BOB, "digest:u:p", "ip:10.0.0.0/8", "ip:10.1.2.3",
      "ip:192.168.0.0/16", "ip:1.1.1.1", "sasl:bob" }
    local matches = {
      [anybody] = { ["world:anyone"] = true, ["ip:10.0.0.0/8"] = true, ["ip:10.1.2.3"] = true },
      [bob] = { ["world:anyone"] = true, [BOB] = true, ["ip:192.168.0.0/16"] = true },
    }
    local function bits(value)
      local set = {}
      for bit = 0, 4 do
        set[bit] = math.floor(value / 2 ^ bit) % 2 == 1
      end
      return set
    end
    for _ = 1, 2000 do
      local texts, asked = {}, random.below(31) + 1
      local expected = { [anybody] = false, [bob] = false }
      for i = 1, random.below(5) + 1 do
        local permissions, id = random.below(32), random.pick(ids)
        texts[i] = permissions .. " " .. id
        for who, mine in pairs(matches) do
          for bit, set in pairs(bits(permissions)) do
            if mine[id] and set and bits(asked)[bit] then
              expected[who] = true
            end
          end
        end
      end
      local number = held:take(list_of(unpack(texts)))
      for who, allowed in pairs(expected) do
        assert.are.equal(allowed, held:allow(number, asked, who))
      end
      held:release(number)
    end
  end)
end)
