-- A client that is closed ends whatever waits on it, and nothing hangs.
local company = require("support.company")

describe("closing a client ends", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
  end)

  after_each(function()
    us:finish()
  end)

  for name, wait in pairs({
    ["a wait for a lock"] = function(c) return c:lock("/taken"):acquire() end,
    ["a wait for an office"] = function(c)
      return c:election("/office", { mode = "static" }):latch()
    end,
    ["a campaign"] = function(c) return c:election("/taken"):campaign(error) end,
    ["a wait for an item"] = function(c) return c:queue("/q"):take() end,
    ["a wait at a barrier"] = function(c) return c:barrier("/b", { parties = 2 }):enter() end,
    ["a wait for news of an election"] = function(c)
      local stream = assert(c:election("/quiet"):changes())
      assert(stream:next() == false)
      return stream:next()
    end,
  }) do
    it(name .. " with CLOSED", function()
      local other = us:client()
      assert(other:lock("/taken"):acquire())
      assert(other:election("/office", { mode = "static" }):latch())
      local c = us:client()
      local task = zk.spawn(wait, c)
      assert(zk.sleep(0.3))
      assert.is_false(task:done())
      assert(c:close())
      local result, _, code = task:wait(10)
      assert.is_nil(result)
      assert.equal("CLOSED", code)
    end)
  end

  it("what is held, as a loss", function()
    local c = us:client()
    local held = assert(c:lock("/l"):acquire())
    local member = assert(c:member("/m", "1"))
    assert(c:close())
    assert.is_true(held.lost:wait(10))
    assert.is_false(held:valid())
    assert.is_true(held:release())
    assert.is_true(member:close())
    assert.same({}, us:children("/l"))
  end)
end)
