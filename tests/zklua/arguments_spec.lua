-- What recipes accept, and the line that is blamed for what they do not.
local arguments = require("zklua.arguments")

local CLIENT = { runtime = { now = function() return 100 end }, _session = { timeout = 7 },
  id = "host/1" }

local function a_call(options)
  return (arguments.deadline(CLIENT, options))
end

describe("a deadline", function()
  for _, case in ipairs({
    { options = { wait = 2 }, is = 102 },
    { options = { timeout = 2 }, is = 102 },
    { options = { wait = 5, timeout = 2 }, is = 102 },
    { options = { deadline = 101 }, is = 101 },
    { options = { wait = 5, deadline = 101 }, is = 101 },
    { options = { wait = -1 }, is = 100 },
    { options = { wait = 0 }, is = 100 },
    { options = { wait = math.huge }, is = 100 + arguments.FOREVER },
    { options = {}, is = 100 + arguments.FOREVER },
    { options = nil, is = 100 + arguments.FOREVER },
  }) do
    it("is " .. case.is, function()
      assert.equal(case.is, a_call(case.options))
    end)
  end

  it("is the client's timeout for a call that is not told", function()
    assert.equal(107, (arguments.call_deadline(CLIENT)))
    assert.equal(101, (arguments.call_deadline(CLIENT, { timeout = 1 })))
  end)

  for _, case in ipairs({
    { "soon", "options must be a table, not a string" },
    { { soon = 1 }, "unknown option \"soon\"" },
    { { 1 }, "unknown option \"1\"" },
    { { wait = "1" }, "wait must be a number of seconds" },
    { { timeout = 0 / 0 }, "timeout must be a number of seconds" },
  }) do
    it("is not made: " .. case[2], function()
      local ok, message = pcall(function()
        a_call(case[1])
      end)
      assert.is_false(ok)
      assert.matches("arguments_spec.lua:%d+: ", message)
      assert.matches(case[2], message, 1, true)
    end)
  end
end)

describe("an identity", function()
  it("is what was given, else the client's", function()
    assert.equal("me", arguments.identity(CLIENT, "me"))
    assert.equal("host/1", arguments.identity(CLIENT))
  end)
end)
