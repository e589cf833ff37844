local codec = require("wire.codec")
local host = require("server.host")

local op = host.op

describe("answers to writes", function()
  local h, c
  before_each(function()
    h = host.new({ ttl_nodes = true })
    c = h:attach()
  end)
  after_each(function()
    h:free()
  end)

  local function create(name, path, flags, ttl_ms)
    return c:ask(name, { path = path, data = "abc", acl = host.OPEN_ACL, flags = flags,
      ttl_ms = ttl_ms })
  end

  for _, case in ipairs({
    { "create", flags = 0 }, { "create", flags = 1 }, { "create", flags = 2, suffix = true },
    { "create2", flags = 0, stat = true }, { "create2", flags = 3, suffix = true, stat = true },
    { "container", flags = 4, stat = true }, { "ttl", flags = 5, ttl = 1000, stat = true },
    { "ttl", flags = 6, ttl = 1000, suffix = true, stat = true },
  }) do
    it(("%s with flags %d: %s"):format(case[1], case.flags,
      case.stat and "path and stat" or "path"), function()
      local answer = create(case[1], "/n", case.flags, case.ttl)
      assert.are.equal("0x2", answer.zxid)
      assert.are.equal(case.suffix and "/n0000000000" or "/n", answer.result.path)
      if not case.stat then
        assert.is_nil(answer.result.stat)
      else
        assert.are.equal("0x2", answer.result.stat.czxid)
        assert.are.equal(3, answer.result.stat.data_length)
        local owner = case.flags == 3 and c.session or nil -- containers and TTL nodes show none
        assert.are.equal(owner, answer.result.stat.ephemeral_owner)
      end
    end)
  end

  it("setData and setACL show the node as it was then, not as it is now", function()
    create("create", "/n")
    c:set("/n", "1")
    c:set("/n", "22")
    c:send("set_acl", { path = "/n", acl = host.OPEN_ACL, version = -1 })
    c:set("/n", "333")
    h:settle()
    local answers = c:receive()
    assert.are.same({ 1, 2, 2, 3 }, { answers[1].result.stat.version,
      answers[2].result.stat.version, answers[3].result.stat.version,
      answers[4].result.stat.version })
    assert.are.equal(2, answers[2].result.stat.data_length)
    assert.are.equal(1, answers[3].result.stat.aversion)
    assert.are.equal("0x6", answers[4].result.stat.mzxid)
  end)

  it("delete and closeSession are a header", function()
    create("create", "/n")
    assert.is_nil(c:ask("delete", { path = "/n", version = -1 }).result)
    assert.is_nil(c:ask("close").result)
  end)

  it("errors are a header with the zxid that they took", function()
    local answer = c:ask("delete", { path = "/n", version = -1 })
    assert.are.equal(-101, answer.code)
    assert.are.equal("0x2", answer.zxid)
  end)

  describe("multi", function()
    local function multi(operations)
      local answer = c:ask("multi", { operations = operations })
      assert.are.equal(0, answer.code)
      return answer.result.items
    end
    local function part(number, path, more)
      local operation = { op = number, path = path, data = "", acl = host.OPEN_ACL, version = -1 }
      for name, value in pairs(more or {}) do
        operation[name] = value
      end
      return operation
    end

    it("has a result for each operation, a create2 answered as a create", function()
      create("create", "/n")
      local results = multi({
        part(op.check, "/n"), part(op.create, "/a"), part(op.create2, "/b"),
        part(op.container, "/c", { flags = 4 }), part(op.set, "/n", { data = "new" }),
        part(op.delete, "/a"),
      })
      assert.are.same({ op = op.check }, results[1])
      assert.are.same({ op = op.create, path = "/a" }, results[2])
      assert.are.same({ op = op.create, path = "/b" }, results[3])
      assert.are.equal(op.create2, results[4].op)
      assert.are.equal("0x3", results[4].stat.czxid)
      assert.are.equal(1, results[5].stat.version)
      assert.are.same({ op = op.delete }, results[6])
    end)

    it("may be empty", function()
      assert.are.same({}, multi({}))
    end)

    it("that fails says where: 0 before, the code, -2 behind, byte for byte", function()
      create("create", "/n")
      c:expect(90, op.multi)
      c:feed(host.request_frame(90, op.multi, { operations = {
        part(op.create, "/a"), part(op.check, "/n", { version = 7 }), part(op.delete, "/n") } }))
      h:settle()
      local body = codec.hex(c.bytes:sub(21))
      assert.are.equal("ffffffff" .. "00" .. "00000000" .. "00000000" ..
        "ffffffff" .. "00" .. "ffffff99" .. "ffffff99" ..
        "ffffffff" .. "00" .. "fffffffe" .. "fffffffe" ..
        "ffffffff" .. "01" .. "ffffffff", body)
      c:receive()
      assert.are.equal("NONODE", c:code("exists", { path = "/a" }))
      assert.are.equal("OK", c:code("exists", { path = "/n" }))
    end)

    it("that is no multi is an error as a whole", function()
      c:expect(5, op.multi)
      c:feed(host.request_frame(5, op.multi, { operations = { part(op.create, "/a") } }):gsub(
        "^....", codec.int(30)):sub(1, 34))
      h:settle()
      assert.are.same({ "5 MARSHALLINGERROR" }, c:brief())
    end)
  end)
end)

describe("what each connection hears of a change", function()
  it("goes to ten thousand of them", function()
    local h = host.new()
    local writer, watchers = h:attach(), {}
    for i = 1, 10000 do
      watchers[i] = h:attach()
      watchers[i]:send("exists", { path = "/go", watch = true })
      watchers[i]:receive()
    end
    local before = h.server:count().memory_bytes
    writer:create("/go")
    h:settle()
    for i = 1, 10000 do
      assert.are.same({ "event created /go" }, watchers[i]:brief())
    end
    assert.are.same({ "1 OK" }, writer:brief())
    assert.are.equal(0, h.server:count().watches)
    assert.is_true(h.server:count().memory_bytes <= before + 4 * 1024 * 1024)
    h:free()
  end)
end)
