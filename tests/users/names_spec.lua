local names = require "users.names"
local zk = require "zklua"

describe("names:", function()
  local server, c

  before_each(function()
    server = zk.server()
    c = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local function client()
    return assert(server:client())
  end

  it("tickets count up", zk.test(function()
    assert.same({ 0, 1, 2 }, {
      names.ticket(c, "desk"), names.ticket(c, "desk"), names.ticket(c, "desk"),
    })
  end))

  it("tickets of one series know nothing of another", zk.test(function()
    assert.equal(0, names.ticket(c, "desk"))
    assert.equal(0, names.ticket(c, "door"))
  end))

  it("tickets go on after those who had them have gone", zk.test(function()
    for i = 0, 4 do
      local own = client()
      assert.equal(i, names.ticket(own, "desk"))
      assert(own:close())
    end
  end))

  it("tickets are given once to many at once", zk.test(function()
    local seen = {}
    zk.group(function(group)
      for _ = 1, 20 do
        group:spawn(function()
          local number = assert(names.ticket(client(), "desk"))
          assert.is_nil(seen[number])
          seen[number] = true
        end)
      end
    end)
    assert.equal(20, #assert(c:children("/tickets/desk")))
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("tickets are given once, whatever is lost: " .. mishap, zk.test(function()
      local last = -1
      for n = 1, 5 do
        server[mishap](server, c, n)
        for _ = 1, 4 do
          local number = assert(names.ticket(c, "desk"))
          assert.is_true(number > last)
          last = number
        end
      end
    end))

    it("blocks do not touch, whatever is lost: " .. mishap, zk.test(function()
      local last = -1
      for n = 1, 5 do
        server[mishap](server, c, n)
        for _ = 1, 3 do
          local first, to = assert(names.block(c, "ids", 10))
          assert.is_true(first > last)
          assert.equal(9, to - first)
          last = to
        end
      end
    end))

    it("a machine has one number, whatever is lost: " .. mishap, zk.test(function()
      assert(c:ensure("/machines/racks"))
      for n = 1, 3 do
        local own = client()
        server[mishap](server, own, n)
        assert.equal(1, names.claim(own, "racks", 5))
        assert.same({ "/machines/racks/1" }, assert(own:ephemerals()))
        assert(own:close())
      end
    end))
  end

  it("blocks follow each other", zk.test(function()
    assert.same({ 0, 99 }, { names.block(c, "ids", 100) })
    assert.same({ 100, 100 }, { names.block(c, "ids", 1) })
    assert.same({ 101, 102 }, { names.block(client(), "ids", 2) })
  end))

  it("blocks of many at once do not touch", zk.test(function()
    local sum = 0
    zk.group(function(group)
      for size = 1, 20 do
        group:spawn(function()
          local first, last = assert(names.block(client(), "ids", size))
          for number = first, last do
            sum = sum + number
          end
        end)
      end
    end)
    assert.equal(209 * 210 / 2, sum) -- each from 0 to 209 once
  end))

  it("machines have the smallest number that is free", zk.test(function()
    local machines = { client(), client(), client() }
    for i, machine in ipairs(machines) do
      assert.equal(i, names.claim(machine, "racks", 5))
    end
    assert(machines[2]:close())
    assert.equal(2, names.claim(client(), "racks", 5))
  end))

  it("a number is free again when the session of its machine expires", zk.test(function()
    local machine = client()
    assert.equal(1, names.claim(machine, "racks", 1))
    assert.equal("FULL", select(3, names.claim(c, "racks", 1)))
    server:expire(machine)
    assert.equal(1, names.claim(c, "racks", 1))
  end))

  it("a number is kept over a broken connection and a restart", zk.test(function()
    local machine = client()
    assert.equal(1, names.claim(machine, "racks", 2))
    server:cut(machine)
    server:stop()
    server:start()
    assert.equal(2, names.claim(c, "racks", 2))
    assert.same({ "/machines/racks/1" }, assert(machine:ephemerals()))
  end))

  it("no size that is none", zk.test(function()
    for _, size in ipairs({ 0, 1.5, -1, "ten" }) do
      assert.error_matches(function() names.block(c, "ids", size) end, "size must be whole")
    end
  end))
end)
