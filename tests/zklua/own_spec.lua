-- Nodes that go with one session: what is adopted, what is taken away, and by whom.
local company = require("support.company")
local own = require("zklua.own")

describe("a unique id", function()
  it("is 32 digits, or 36 characters with dashes", function()
    assert.matches("^" .. ("%x"):rep(32) .. "$", own.uuid(false))
    local groups = {}
    for _, size in ipairs({ 8, 4, 4, 4, 12 }) do
      groups[#groups + 1] = ("%x"):rep(size)
    end
    assert.matches("^" .. table.concat(groups, "%-") .. "$", own.uuid(true))
    assert.not_equal(own.uuid(true), own.uuid(true))
  end)
end)

describe("jitter", function()
  it("stays below its limit and differs", function()
    local seen, different = nil, false
    for _ = 1, 50 do
      local value = own.jitter(0.5)
      assert.is_true(value >= 0 and value < 0.5)
      different = different or seen ~= nil and seen ~= value
      seen = value
    end
    assert.is_true(different)
  end)
end)

describe("a node of ours", function()
  local us, zk

  before_each(function()
    us = company.new()
    zk = us.zk
    assert(us.observer:ensure("/p"))
  end)

  after_each(function()
    us:finish()
  end)

  local function soon()
    return zk.now() + 10
  end

  it("is found by its id, and only if our session owns it", function()
    local ours, theirs = us:client(), us:client()
    assert(ours:create("/p/id-1-a", "", { ephemeral = true }))
    assert(theirs:create("/p/id-1-b", "", { ephemeral = true }))
    assert(ours:create("/p/id-1-c", "")) -- nobody's
    assert(ours:create("/p/id-2", "", { ephemeral = true }))
    local found = assert(own.find(ours, ours:lifetime(), "/p", "id-1", soon()))
    assert.equal(1, #found)
    assert.equal("id-1-a", found[1].name)
    assert.same({}, assert(own.find(ours, ours:lifetime(), "/absent", "id-1", soon())))
  end)

  it("makes its parents as containers", function()
    local c = us:client()
    local node = assert(own.make(c, { parent = "/p/a/b", id = "id", suffix = "", data = "x" },
      soon()))
    assert.equal("/p/a/b/id", node.path)
    assert.is_false(node.unsure)
    assert.equal(assert(c:exists("/p/a/b/id")).czxid, node.czxid)
  end)

  it("is not made where that is not allowed", function()
    assert(us.observer:set_acl("/p", "read"))
    local node, message, code = own.make(us:client(), { parent = "/p", id = "id", suffix = "",
      data = "x" }, soon())
    assert.is_nil(node)
    assert.equal("NOAUTH", code)
    assert.matches("NOAUTH", message, 1, true)
  end)

  local function take_away(c, node, fields)
    node.parent, node.life, node.unsure = "/p", c:lifetime(), false
    for key, value in pairs(fields) do
      node[key] = value
    end
    return own.remove(c, node)
  end

  it("is taken away only while its proof says that it is ours", function()
    local ours, theirs = us:client(), us:client()
    assert(theirs:create("/p/name", "theirs", { ephemeral = true }))
    assert.is_true(take_away(ours, { id = "name", path = "/p/name" }, { proof = "ours" }))
    assert.is_true(take_away(ours, { id = "name", path = "/p/name" }, { proof = "theirs" }))
    assert.is_true(take_away(ours, { id = "name", path = "/p/name" }, { owned = true }))
    assert.same({ "name" }, us:children("/p"))
    assert.is_true(take_away(theirs, { id = "name", path = "/p/name" }, { proof = "theirs" }))
    assert.same({}, us:children("/p"))
    assert.is_true(take_away(ours, { id = "name", path = "/p/name" }, { proof = "ours" }))
  end)

  it("takes a second node with it, or neither goes", function()
    local c = us:client()
    assert(c:create("/p/office", "x"))
    assert.is_true(take_away(c, { id = "gone", path = "/p/gone" }, { also = "/p/office" }))
    assert.same({ "office" }, us:children("/p")) -- the proof was gone: not ours any more
    assert(c:create("/p/proof", "x"))
    assert.is_true(take_away(c, { id = "proof", path = "/p/proof" }, { also = "/p/office" }))
    assert.same({}, us:children("/p"))
  end)

  it("is told of when it cannot be taken away", function()
    local c = us:client()
    assert(c:create("/p/n", "x"))
    assert(us.observer:set_acl("/p", "read"))
    local ok, _, code = take_away(c, { id = "n", path = "/p/n" }, {})
    assert.is_nil(ok)
    assert.equal("NOAUTH", code)
  end)

  it("does not keep its owner when nobody answers, and goes later", function()
    local c, proxy = us:proxied()
    local node = assert(own.make(c, { parent = "/p", id = "id", suffix = "", data = "x" }, soon()))
    proxy:pause()
    local begun = zk.now()
    assert.is_true(own.remove(c, node))
    assert.is_true(zk.now() - begun < 1)
    proxy:resume()
    us:has_children("/p", 0)
  end)

  it("is left alone by a client that is closed", function()
    local c = us:client()
    local node = assert(own.make(c, { parent = "/p", id = "id", suffix = "", data = "x" }, soon()))
    assert(c:close())
    assert.is_true(own.remove(c, node))
    us:has_children("/p", 0) -- with the session
  end)
end)
