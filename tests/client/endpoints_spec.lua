local world = require("client.world")

local function names(count, prefix)
  local list = {}
  for i = 1, count do
    list[i] = (prefix or "h") .. i .. ":1"
  end
  return list
end

--- The next `count` endpoints that a client asks for.
local function walk(w, count)
  local list = {}
  while #list < count do
    for _, event in ipairs(w:drain()) do
      if event.kind == "connect" then
        list[#list + 1] = event.endpoint
      end
    end
    local connect = assert(w.waiting_connect)
    w:at(math.max(w.now, connect.not_before))
    w.client:disconnected(connect.link)
  end
  return list
end

describe("the list of servers", function()
  it("is shuffled once and walked round and round", function()
    local firsts = {}
    for seed = 1, 40 do
      local w = world.new({ endpoints = names(5), seed = seed })
      local list = walk(w, 15)
      local seen = {}
      for i = 1, 5 do
        assert.is_nil(seen[list[i]])
        seen[list[i]] = true
        assert.are.equal(list[i], list[i + 5])
        assert.are.equal(list[i], list[i + 10])
      end
      firsts[list[1]] = true
      w:free()
    end
    for i = 0, 4 do
      assert.is_true(firsts[i])
    end
  end)

  it("goes on with the next one after a loss", function()
    local w = world.new({ endpoints = names(3) })
    w:attach()
    local first = w.endpoint
    w:lose()
    w:attach()
    assert.are_not.equal(first, w.endpoint)
    w:free()
  end)

  it("of none, or of too many, is refused", function()
    local testing = require("zklua_testing").client
    assert.is_nil((testing.new({ endpoints = {}, timeout = 1000 })))
    assert.is_nil((testing.new({ endpoints = names(1025), timeout = 1000 })))
    local w = world.new({ endpoints = names(1024) })
    assert.are.equal("ARGUMENT", w.client:set_endpoints({}))
    assert.are.equal("ARGUMENT", w.client:set_endpoints(names(1025)))
    assert.are.equal("OK", w.client:set_endpoints(names(1)))
    w:free()
  end)

  describe("changed", function()
    --- How many of `runs` clients on old[1..] move, and where to.
    local function rebalance(old, new, runs)
      local moved, where, by_old = 0, {}, {}
      for seed = 1, runs do
        local w = world.new({ endpoints = old, seed = seed })
        w:attach()
        w:after(2000)
        local before = old[w.endpoint + 1]
        assert.are.equal("OK", w.client:set_endpoints(new))
        local events = world.brief(w:drain())
        if events[1] then
          assert.are.same({ "disconnect rebalance", "state disconnected", "connect" }, events)
          moved = moved + 1
          by_old[before] = (by_old[before] or 0) + 1
          local _, request = w:attach()
          assert.are.equal(world.SESSION, request.session_id)
          local name = new[w.endpoint + 1]
          where[name] = (where[name] or 0) + 1
        else
          assert.are.equal(before, new[w.client:info().endpoint + 1])
        end
        w:free()
      end
      return moved, where, by_old
    end

    it("by nothing moves nobody", function()
      assert.are.equal(0, (rebalance(names(3), names(3), 50)))
    end)

    it("by growth moves just as many to the new ones as keeps the load even", function()
      local moved, where = rebalance(names(3), names(5), 400)
      assert.is_true(moved > 400 * 0.33 and moved < 400 * 0.47, moved) -- 1 - 3/5
      for i = 1, 3 do
        assert.is_nil(where["h" .. i .. ":1"])
      end
    end)

    it("by loss moves those whose server is gone, to the rest", function()
      local moved, where, by_old = rebalance(names(4), names(3), 200)
      assert.are.equal(moved, by_old["h4:1"])
      assert.are.same({ "h4:1" }, { next(by_old), nil })
      assert.is_nil(where["h4:1"])
      assert.is_true(moved > 25)
    end)

    it("by loss and gain sends most to the new ones", function()
      local moved, where, by_old = rebalance({ "a", "b", "c", "d" }, { "a", "b", "n" }, 400)
      assert.is_nil(by_old.a)
      assert.is_nil(by_old.b)
      -- pOld = old (cur - total) / (total (cur - old)) = 2 * 1 / (3 * 2) = 1/3
      local share = where.n / moved
      assert.is_true(share > 0.58 and share < 0.75, share)
    end)

    it("altogether moves everybody to the new ones", function()
      local moved, where = rebalance({ "a", "b" }, { "x", "y" }, 60)
      assert.are.equal(60, moved)
      assert.are.equal(60, (where.x or 0) + (where.y or 0))
    end)

    it("while an attempt is on its way to a server that is gone gives it up", function()
      local w = world.new({ endpoints = { "a" } })
      assert.are.equal("OK", w.client:set_endpoints({ "b", "c" }))
      local events = w:drain()
      assert.are.same({ "connect", "disconnect rebalance", "connect" }, world.brief(events))
      assert.is_true(events[1].endpoint < 2)
      w:attach()
      w:free()
    end)

    it("while an attempt is shown to a server that moved in the list", function()
      local w = world.new({ endpoints = { "a" } })
      assert.are.equal(0, w.client:peek().endpoint)
      w.client:set_endpoints({ "b", "a", "c" })
      local event = w.client:peek()
      if w:events()[2] == nil then
        assert.are.equal(1, event.endpoint)
      end
      w:free()
    end)

    it("in a final state says so", function()
      local w = world.new()
      w.client:close(w.now)
      w:drain()
      assert.are.equal("ENDED", w.client:set_endpoints({ "b" }))
      w:free()
    end)
  end)
end)
