-- What a worker is told of an item when it cannot be known whose doing it was.
local zk = require "zklua"

describe("an item that was to be done", function()
  local server

  before_each(function()
    server = zk.server()
  end)

  after_each(function()
    server:stop()
  end)

  -- Takes the one item, and asks for its end over a connection that breaks in place of the
  -- `mishap`ed message; `meanwhile` runs before the next one.
  local function done_through(mishap, meanwhile)
    local c = assert(server:client())
    assert(c:queue("/q"):put("a"))
    local item = assert(c:queue("/q"):take())
    local first = true
    c:on("state", function(state)
      if first and state == "disconnected" then
        first = false
        meanwhile(c)
      end
    end)
    server[mishap](server, c, 1)
    return item:done()
  end

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("is, while the session lives: " .. mishap, zk.test(function()
      assert.is_true(done_through(mishap, function() end))
    end))

    it("is not known to be, when another could have taken it: " .. mishap, zk.test(function()
      local ok, message, code = done_through(mishap, function(c)
        server:expire(c)
        local other = assert(server:client()):queue("/q")
        local item = other:take({ wait = 0 })
        if item then
          assert(item:done())
        end
      end)
      assert.same({ nil, "LOST" }, { ok, code })
      assert.truthy(message:find("item /q/qn-0000000000", 1, true), message)
    end))
  end
end)
