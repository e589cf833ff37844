local run = require("differential.run")

-- All that was printed, for a failure's message.
local function play(seed, count, servers)
  local printed = {}
  local result = run.run(seed, count, {
    servers = servers, write = function(text) printed[#printed + 1] = text end,
  })
  return result, table.concat(printed)
end

describe("zklua server", function()
  it("answers as Apache does in 500 sequences of 50 requests #slow", function()
    local result, printed = play(1, 500, { "apache", "zklua" })
    assert.are.equal(0, result.failures, printed)
    assert.are.equal(500, result.sequences)
    assert.is_true(result.requests >= 25000)
    assert.is_true(result.events > 1000)
  end)
end)

describe("the comparison", function()
  it("finds nothing between a server and its like", function()
    local result, printed = play(1, 16, { "zklua", "zklua" })
    assert.are.equal(0, result.failures, printed)
    assert.are.same({}, result.known)
  end)

  for _, altered in ipairs({
    { "nodes with a ttl are refused", "extendedTypesEnabled=false", "createTTL" },
    { "quotas are not enforced", "enforceQuota=false", "%-125" },
    { "ACLs are not minded", "skipACL=yes", "%-102" },
    { "requests are limited", "jute.maxbuffer=2000", "silence" },
    { "sessions are granted less time", "maxSessionTimeout=20000", "timeout_ms" },
  }) do
    it("finds that " .. altered[1], function()
      local result, printed = play(1, 60, { "zklua", "zklua+" .. altered[2] })
      assert.is_true(result.failures > 0)
      assert.is_truthy(printed:find(altered[3]), printed)
    end)
  end
end)
