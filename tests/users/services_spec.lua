local services = require "users.services"
local zk = require "zklua"

describe("a directory of services", function()
  local server, reader, kept

  before_each(function()
    server, kept = zk.server(), {}
    reader = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local function offer(instance, address, c)
    c = c or assert(server:client())
    local offered = assert(services.offer(c, "mail", instance, address or instance .. ":25"))
    kept[#kept + 1] = offered -- collected, it would close
    return offered, c
  end

  local function find()
    return assert(services.find(reader, "mail"))
  end

  local function count(n)
    return function(list)
      return #list == n
    end
  end

  local function names(list)
    local all = {}
    for i, instance in ipairs(list) do
      all[i] = instance.name
    end
    return table.concat(all, " ")
  end

  it("is empty where nobody offers", zk.test(function()
    local mail = find()
    assert.same({}, mail:list())
    assert.is_nil((mail:pick()))
  end))

  it("has who offers, and where", zk.test(function()
    offer("a", "10.0.0.1:25")
    assert.same({ { name = "a", address = "10.0.0.1:25" } }, find():list())
  end))

  it("has them in the order of their names", zk.test(function()
    for _, name in ipairs({ "c", "a", "b" }) do
      offer(name)
    end
    assert.equal("a b c", names(find():list()))
  end))

  it("learns of who comes", zk.test(function()
    local mail = find()
    offer("a")
    assert.equal("a", names(assert(mail:wait(count(1), 5))))
    offer("b")
    assert.equal("a b", names(assert(mail:wait(count(2), 5))))
  end))

  it("learns of who goes", zk.test(function()
    local a = offer("a")
    offer("b")
    local mail = find()
    assert(a:close())
    assert.equal("b", names(assert(mail:wait(count(1), 5))))
  end))

  it("learns of who ends without a word", zk.test(function()
    local _, c = offer("a")
    local mail = find()
    assert(c:close())
    assert(mail:wait(count(0), 5))
  end))

  it("learns of a new address", zk.test(function()
    local a = offer("a", "old:25")
    local mail = find()
    assert(a:set("new:25"))
    local list = assert(mail:wait(function(list)
      return list[1].address == "new:25"
    end, 5))
    assert.equal(1, #list)
  end))

  it("keeps services apart", zk.test(function()
    offer("a")
    kept[#kept + 1] = assert(services.offer(reader, "print", "p", "p:631"))
    assert.equal("a", names(find():list()))
    assert.equal("p", names(assert(services.find(reader, "print")):list()))
  end))

  it("gives each in turn", zk.test(function()
    offer("a")
    offer("b")
    local mail = find()
    assert.same({ "a:25", "b:25", "a:25" }, { mail:pick(), mail:pick(), mail:pick() })
  end))

  it("goes on in turn when one has gone", zk.test(function()
    local a = offer("a")
    offer("b")
    local mail = find()
    mail:pick()
    mail:pick()
    assert(a:close())
    assert(mail:wait(count(1), 5))
    assert.same({ "b:25", "b:25" }, { mail:pick(), mail:pick() })
  end))

  it("says when nothing changes in time", zk.test(function()
    local list, _, code = find():wait(count(1), 0.002)
    assert.is_nil(list)
    assert.equal("TIMEOUT", code)
  end))

  it("has an instance again whose session expired", zk.test(function()
    local _, c = offer("a")
    local mail = find()
    local seen = {}
    local watching = zk.spawn(function()
      for change in mail._cache:changes() do
        seen[#seen + 1] = change.type .. " " .. change.path
        if #seen == 3 then
          return
        end
      end
    end)
    zk.pause()
    server:expire(c)
    watching:wait(5)
    assert.same({ "snapshot /", "removed /a", "added /a" }, seen)
  end))

  it("keeps the last address over an expiry", zk.test(function()
    local a, c = offer("a", "old:25")
    assert(a:set("new:25"))
    server:expire(c)
    local mail = find()
    local list = assert(mail:wait(function(list)
      return list[1] and list[1].address == "new:25"
    end, 5))
    assert.equal(1, #list)
  end))

  it("does not let two have one name", zk.test(function()
    offer("a")
    local none, message, code = services.offer(assert(server:client()), "mail", "a", "b:25")
    assert.is_nil(none)
    assert.equal("NODEEXISTS", code)
    assert.matches("another", message)
    assert.equal("a:25", find():pick())
  end))

  it("is the same over a broken connection", zk.test(function()
    local _, c = offer("a")
    local mail = find()
    server:cut(c)
    server:cut(reader)
    offer("b")
    assert.equal("a b", names(assert(mail:wait(count(2), 5))))
  end))

  it("learns what happened while its own session expired", zk.test(function()
    local a = offer("a")
    local mail = find()
    server:expire(reader)
    assert(a:close())
    offer("b")
    assert.equal("b", names(assert(mail:wait(function(list)
      return names(list) == "b"
    end, 5))))
  end))

  it("still knows the last while the server is away", zk.test(function()
    offer("a")
    local mail = find()
    server:stop()
    zk.sleep(0.002)
    assert.is_true(mail:stale())
    assert.equal("a:25", mail:pick())
    server:start()
    offer("b")
    assert(mail:wait(count(2), 5))
    assert.is_false(mail:stale())
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("has one of each, whatever is lost: " .. mishap, zk.test(function()
      for n = 1, 4 do
        local c = assert(server:client())
        server[mishap](server, c, n)
        offer("a", "a:25", c)
        assert.equal(1, #find():list())
        assert(c:close())
        assert(find():wait(count(0), 5))
      end
    end))
  end

  it("fills from many programs at once", zk.test(function()
    zk.group(function(group)
      for i = 1, 50 do
        group:spawn(offer, ("i%02d"):format(i))
      end
    end)
    assert.equal(50, #find():list())
  end))

  it("stays as it was once it is closed", zk.test(function()
    offer("a")
    local mail = find()
    mail:close()
    offer("b")
    assert.equal("a", names(mail:list()))
  end))

  for _, case in ipairs({
    { "a service without a name", function() services.find(reader, "") end, "service" },
    { "an instance with a path", function() services.offer(reader, "mail", "a/b", "") end,
      "instance" },
    { "no address", function() services.offer(reader, "mail", "a") end, "data" },
  }) do
    it("refuses " .. case[1], zk.test(function()
      assert.error_matches(case[2], case[3])
    end))
  end
end)
