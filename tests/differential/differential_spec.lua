local run = require("differential.run")
local servers = require("differential.servers")

-- All that was printed, for a failure's message.
local function play(seed, count, words, kinds_max)
  local printed = {}
  local result = run.run(seed, count, {
    servers = words, kinds_max = kinds_max,
    write = function(text) printed[#printed + 1] = text end,
  })
  return result, table.concat(printed)
end

describe("zklua server", function()
  it("answers as Apache does in 500 sequences of 50 requests #slow #once", function()
    local result, printed = play(1, 500, { "apache", "zklua" })
    assert.are.equal(0, result.failures, printed)
    assert.are.equal(500, result.sequences)
    assert.is_true(result.requests >= 25000)
    assert.is_true(result.events > 1000)
    assert.is_true(result.lapses > 20)
    assert.are.same({}, result.missing, "answers that never came")
  end)

  it("starts again after all that, as Apache does #slow #once", function()
    local pair, words = {}, {}
    for i, word in ipairs({ "apache", "zklua" }) do
      pair[i] = assert(servers.start(word, "full"))
      words[i] = "127.0.0.1:" .. pair[i].port
    end
    finally(function()
      pair[1].stop()
      pair[2].stop()
    end)
    local result, printed = play(501, 150, words)
    assert.are.equal(0, result.failures, printed)
    for _, each in ipairs(pair) do
      each.server:restart() -- raises when it does not serve again
    end
    result, printed = play(701, 10, words)
    assert.are.equal(0, result.failures, printed)
  end)
end)

describe("the comparison #once", function()
  it("finds nothing between a server and its like", function()
    local result, printed = play(1, 16, { "zklua", "zklua" })
    assert.are.equal(0, result.failures, printed)
    assert.are.same({}, result.known)
    assert.is_true(result.lapses > 0)
  end)

  it("finds that nodes which should go stay #slow", function()
    local result, printed = play(5, 1,
      { "zklua", "zklua+znode.container.checkIntervalMs=86400000" })
    assert.are.equal(1, result.failures)
    assert.is_truthy(printed:find("/reap%-1/"), printed)
  end)

  for _, altered in ipairs({
    { "nodes with a ttl are refused", "extendedTypesEnabled=false", "createTTL" },
    { "quotas are not enforced", "enforceQuota=false", "%-125" },
    { "ACLs are not minded", "skipACL=yes", "%-102" },
    { "requests are limited", "jute.maxbuffer=2000", "silence" },
    { "sessions are granted less time", "maxSessionTimeout=20000", "timeout_ms" },
    { "a word is not answered", "4lw.commands.whitelist=srvr", "values" },
  }) do
    it("finds that " .. altered[1], function()
      local result, printed = play(1, 100, { "zklua", "zklua+" .. altered[2] }, 5)
      assert.is_true(result.failures > 0)
      assert.is_truthy(printed:find(altered[3]), printed)
    end)
  end
end)
