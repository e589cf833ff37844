local stock = require "users.stock"
local zk = require "zklua"

describe("the stock", function()
  local server, c

  before_each(function()
    server = zk.server()
    c = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local function count()
    return assert(stock.count(c, "tea"))
  end

  it("begins empty", zk.test(function()
    assert.equal(0, count())
  end))

  it("grows and shrinks", zk.test(function()
    assert.equal(10, stock.put(c, "tea", 10, "p1"))
    assert.equal(7, stock.take(c, "tea", 3, "o1"))
    assert.equal(7, count())
  end))

  it("can be taken to the last", zk.test(function()
    assert(stock.put(c, "tea", 3, "p1"))
    assert.equal(0, stock.take(c, "tea", 3, "o1"))
  end))

  it("never goes below nothing", zk.test(function()
    assert(stock.put(c, "tea", 2, "p1"))
    local none, message, code = stock.take(c, "tea", 3, "o1")
    assert.is_nil(none)
    assert.equal("SHORT", code)
    assert.equal("only 2 of tea", message)
    assert.equal(2, count())
  end))

  it("counts an order once", zk.test(function()
    assert(stock.put(c, "tea", 10, "p1"))
    assert.equal(7, stock.take(c, "tea", 3, "o1"))
    assert.equal(7, stock.take(c, "tea", 3, "o1"))
  end))

  it("counts an order once, though there is too little for two", zk.test(function()
    assert(stock.put(c, "tea", 3, "p1"))
    assert.equal(0, stock.take(c, "tea", 3, "o1"))
    assert.equal(0, stock.take(c, "tea", 3, "o1"))
  end))

  it("keeps articles apart", zk.test(function()
    assert(stock.put(c, "tea", 1, "p1"))
    assert(stock.put(c, "salt", 5, "p1"))
    assert.equal(1, count())
  end))

  it("loses no order of many at once", zk.test(function()
    assert(stock.put(c, "tea", 100, "p1"))
    zk.group(function(group)
      for buyer = 1, 10 do
        group:spawn(function()
          local own = assert(server:client())
          for i = 1, 5 do
            assert(stock.take(own, "tea", 1, ("o%d.%d"):format(buyer, i)))
          end
        end)
      end
    end)
    assert.equal(50, count())
  end))

  it("sells no more than there is to many at once", zk.test(function()
    assert(stock.put(c, "tea", 7, "p1"))
    local sold, short = 0, 0
    zk.group(function(group)
      for buyer = 1, 20 do
        group:spawn(function()
          local left, _, code = stock.take(assert(server:client()), "tea", 1, "o" .. buyer)
          sold = sold + (left and 1 or 0)
          short = short + (code == "SHORT" and 1 or 0)
        end)
      end
    end)
    assert.same({ 7, 13, 0 }, { sold, short, count() })
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("takes an order once, whatever is lost: " .. mishap, zk.test(function()
      assert(stock.put(c, "tea", 100, "p1"))
      for n = 1, 5 do
        server[mishap](server, c, n)
        assert.equal(100 - 2 * n + 1, stock.take(c, "tea", 1, "a" .. n))
        assert.equal(100 - 2 * n, stock.take(c, "tea", 1, "b" .. n))
      end
    end))

    it("makes an article once, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 6 do
        server[mishap](server, c, n)
        assert.equal(3, stock.put(c, "article " .. n, 3, "p1"))
      end
    end))
  end

  it("is the same over an expired session", zk.test(function()
    assert(stock.put(c, "tea", 3, "p1"))
    server:expire(c)
    local left, _, code = stock.take(c, "tea", 1, "o1")
    if code == "SESSIONEXPIRED" then -- it was asked of the old session, and not done
      left = stock.take(c, "tea", 1, "o1")
    end
    assert.equal(2, left)
  end))

  it("is the same when the server is back", zk.test(function()
    assert(stock.put(c, "tea", 3, "p1"))
    server:stop()
    local taking = zk.spawn(stock.take, c, "tea", 1, "o1")
    zk.sleep(0.002)
    server:start()
    assert.equal(2, taking:wait(5))
  end))

  it("is not known while the server is away", zk.test(function()
    server:stop()
    local none, _, code = stock.count(c, "tea", { timeout = 0.002 })
    assert.is_nil(none)
    assert.equal("NOTCONNECTED", code)
  end))

  it("forgets orders of long ago, and keeps the count", zk.test(function()
    assert(stock.put(c, "tea", 1000, "p1"))
    for i = 1, 100 do
      assert(stock.take(c, "tea", 1, "o" .. i))
    end
    assert.equal(900, count())
    assert.is_true(#assert(c:get("/stock/tea")) < 300)
  end))

  it("refuses an order without a name", zk.test(function()
    assert.error_matches(function() stock.take(c, "tea", 1) end, "order must be")
  end))

  it("refuses an article that is a path", zk.test(function()
    assert.error_matches(function() stock.take(c, "tea/", 1, "o1") end, "path")
  end))
end)
