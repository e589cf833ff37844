local host = require("server.host")

local MIB = 1024 * 1024

describe("blocks of buffers", function()
  local h
  before_each(function()
    h = host.new()
  end)
  after_each(function()
    h:free()
  end)

  it("are taken and given back without the allocator", function()
    local c = h:attach()
    c:create("/a", { data = ("x"):rep(20000) })
    h:settle()
    local function turn(count)
      c.stuck = true
      for _ = 1, count do
        c:get("/a")
      end
      c.stuck = false
      h.server:next_connection()
      c:take_output()
      h:drain()
      assert.is_true(#c:receive() >= count)
    end
    for _, count in ipairs({ 1, 9 }) do -- up to 256 KiB of output
      turn(count)
      local before = h.server:memory().requests
      for _ = 1, 50 do
        turn(count)
      end
      assert.are.equal(before, h.server:memory().requests)
    end
  end)

  it("are kept up to 2 MiB, whoever had them", function()
    local list = {}
    local first = h:attach()
    first:create("/a", { data = ("x"):rep(100000) })
    h:settle()
    for i = 1, 100 do
      list[i] = h:attach()
      list[i].stuck = true
    end
    local before = h.server:count().memory_bytes
    for _, c in ipairs(list) do
      c:get("/a")
    end
    assert.is_true(h.server:count().memory_bytes - before > 10 * MIB)
    for _, c in ipairs(list) do
      c.stuck = false
      c:take_output()
    end
    assert.is_true(h.server:count().memory_bytes - before <= 2 * MIB)
  end)
end)
