local bank = require "users.bank"
local zk = require "zklua"

describe("the bank", function()
  local server, c

  before_each(function()
    server = zk.server()
    c = assert(server:client())
    assert(bank.open(c, "ann", 100))
    assert(bank.open(c, "bob", 0))
  end)

  after_each(function()
    server:close()
  end)

  local function balances(...)
    local list = {}
    for i, name in ipairs({ ... }) do
      list[i] = assert(bank.balance(c, name))
    end
    return list
  end

  it("opens accounts", zk.test(function()
    assert.same({ 100, 0 }, balances("ann", "bob"))
  end))

  it("opens an account once", zk.test(function()
    assert.equal("NODEEXISTS", select(3, bank.open(c, "ann", 7)))
    assert.same({ 100 }, balances("ann"))
  end))

  it("pays", zk.test(function()
    assert(bank.pay(c, "p1", "ann", "bob", 30))
    assert.same({ 70, 30 }, balances("ann", "bob"))
  end))

  it("pays once", zk.test(function()
    assert(bank.pay(c, "p1", "ann", "bob", 30))
    assert(bank.pay(c, "p1", "ann", "bob", 30))
    assert.same({ 70, 30 }, balances("ann", "bob"))
  end))

  it("does not pay what is not there", zk.test(function()
    local none, message, code = bank.pay(c, "p1", "ann", "bob", 101)
    assert.is_nil(none)
    assert.equal("SHORT", code)
    assert.matches("ann has only 100", message, 1, true)
    assert.same({ 100, 0 }, balances("ann", "bob"))
  end))

  it("pays to the last", zk.test(function()
    assert(bank.pay(c, "p1", "ann", "bob", 100))
    assert.same({ 0, 100 }, balances("ann", "bob"))
  end))

  it("does not pay from or to nobody", zk.test(function()
    assert.equal("NONODE", select(3, bank.pay(c, "p1", "eve", "bob", 1)))
    assert.equal("NONODE", select(3, bank.pay(c, "p1", "ann", "eve", 1)))
    assert.same({ 100, 0 }, balances("ann", "bob"))
    assert.is_false(c:exists("/bank/payments/p1"))
  end))

  it("pays nothing half when an account goes meanwhile", zk.test(function()
    local other = assert(server:client())
    server:delay(c, 0.002)
    local paying = zk.spawn(bank.pay, c, "p1", "ann", "bob", 10)
    zk.sleep(0.005) -- while it reads
    assert(other:delete("/bank/accounts/bob"))
    assert.equal("NONODE", select(3, paying:wait(5)))
    assert.equal(100, (bank.balance(other, "ann")))
    assert.is_false(other:exists("/bank/payments/p1"))
  end))

  it("keeps the sum over many payments at once", zk.test(function()
    assert(bank.open(c, "eve", 100))
    local names = { "ann", "bob", "eve" }
    zk.group(function(group)
      for payer = 1, 6 do
        group:spawn(function()
          local own = assert(server:client())
          for i = 1, 5 do
            bank.pay(own, ("p%d.%d"):format(payer, i), names[(payer + i) % 3 + 1],
              names[(payer + i + 1) % 3 + 1], payer * i)
          end
        end)
      end
    end)
    local list = balances("ann", "bob", "eve")
    assert.equal(200, list[1] + list[2] + list[3])
    assert.is_true(list[1] >= 0 and list[2] >= 0 and list[3] >= 0)
  end))

  it("spends nothing twice on many requests at once", zk.test(function()
    local paid, short = 0, 0
    zk.group(function(group)
      for i = 1, 10 do
        group:spawn(function()
          local ok, _, code = bank.pay(assert(server:client()), "p" .. i, "ann", "bob", 30)
          paid = paid + (ok and 1 or 0)
          short = short + (code == "SHORT" and 1 or 0)
        end)
      end
    end)
    assert.same({ 3, 7 }, { paid, short })
    assert.same({ 10, 90 }, balances("ann", "bob"))
  end))

  it("pays once though two programs are asked for one payment", zk.test(function()
    zk.group(function(group)
      for _ = 1, 5 do
        group:spawn(function()
          assert(bank.pay(assert(server:client()), "p1", "ann", "bob", 30))
        end)
      end
    end)
    assert.same({ 70, 30 }, balances("ann", "bob"))
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("pays once, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 5 do
        server[mishap](server, c, n)
        assert(bank.pay(c, "p" .. n, "ann", "bob", 10))
        assert(bank.pay(c, "q" .. n, "bob", "ann", 10))
        assert.same({ 100, 0 }, balances("ann", "bob"))
      end
    end))
  end

  it("pays over a broken connection", zk.test(function()
    server:delay(c, 0.001)
    local paying = zk.spawn(bank.pay, c, "p1", "ann", "bob", 10)
    for _ = 1, 4 do
      zk.sleep(0.0015)
      server:cut(c)
    end
    server:delay(c, 0)
    assert(paying:wait(5))
    assert.same({ 90, 10 }, balances("ann", "bob"))
  end))

  it("pays when the server is back, which has lost nothing", zk.test(function()
    assert(bank.pay(c, "p1", "ann", "bob", 10))
    server:stop()
    local paying = zk.spawn(bank.pay, c, "p2", "ann", "bob", 10)
    zk.sleep(0.001)
    server:start()
    assert(paying:wait(5))
    assert.same({ 80, 20 }, balances("ann", "bob"))
  end))

  for _, case in ipairs({
    { "half of something", { "p1", "ann", "bob", 1.5 }, "amount" },
    { "less than nothing", { "p1", "ann", "bob", -1 }, "amount" },
    { "from ann to ann", { "p1", "ann", "ann", 1 }, "same" },
    { "without a name", { "", "ann", "bob", 1 }, "path" },
  }) do
    it("does not pay " .. case[1], zk.test(function()
      assert.error_matches(function()
        bank.pay(c, case[2][1], case[2][2], case[2][3], case[2][4])
      end, case[3])
      assert.same({ 100, 0 }, balances("ann", "bob"))
    end))
  end
end)
