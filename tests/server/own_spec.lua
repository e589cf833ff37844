local host = require("server.host")

describe("what is the connection's own", function()
  local h, c
  before_each(function()
    h = host.new()
    c = h:attach()
  end)
  after_each(function()
    h:free()
  end)

  local function create(path, fields)
    local request = { path = path, data = "d", acl = host.OPEN_ACL }
    for name, value in pairs(fields or {}) do
      request[name] = value
    end
    assert.are.equal("OK", c:code("create", request))
  end

  it("names its own ephemerals", function()
    local d = h:attach()
    for _, path in ipairs({ "/e1", "/e2", "/f" }) do
      create(path, { flags = 1 })
    end
    create("/plain")
    d:ask("create", { path = "/other", acl = host.OPEN_ACL, flags = 1 })
    local function ephemerals(prefix)
      local items = c:ask("ephemerals", { path = prefix }).result.items
      table.sort(items)
      return items
    end
    for _, all in ipairs({ "", "  ", "/", " / ", false }) do
      assert.are.same({ "/e1", "/e2", "/f" }, ephemerals(all or nil))
    end
    assert.are.same({ "/e1", "/e2" }, ephemerals("/e"))
    assert.are.same({}, ephemerals("/x"))
    assert.are.same({}, ephemerals("e"))
    assert.are.same({ "/other" }, d:ask("ephemerals", { path = "/" }).result.items)
  end)

  it("says who it is", function()
    assert.are.same({ { scheme = "ip", user = "127.0.0.1" } },
      c:ask("whoami").result.items)
    assert.are.equal("OK", c:code("auth", { scheme = "digest", data = "u:p" }))
    assert.are.same({ { scheme = "ip", user = "127.0.0.1" }, { scheme = "digest", user = "u" } },
      c:ask("whoami").result.items)
  end)

  it("says that it is super, without a name", function()
    h:free()
    h = host.new({ super_digest = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=" })
    c = h:attach()
    assert.are.equal("OK", c:code("auth", { scheme = "digest", data = "super:admin" }))
    local items = c:ask("whoami").result.items
    table.sort(items, function(a, b) return a.scheme < b.scheme end)
    assert.are.same({ { scheme = "digest", user = "super" },
      { scheme = "ip", user = "127.0.0.1" }, { scheme = "super", user = "" } }, items)
    create("/hidden", { acl = NOBODY })
    assert.are.equal("OK", c:code("get", { path = "/hidden" }))
  end)
end)

describe("watches", function()
  local h, c, writer
  before_each(function()
    h = host.new()
    c, writer = h:attach(), h:attach()
  end)
  after_each(function()
    h:free()
  end)

  local function write(name, fields)
    local all = { acl = host.OPEN_ACL, data = "d", version = -1 }
    for key, value in pairs(fields) do
      all[key] = value
    end
    return writer:ask(name, all)
  end

  local ONE_SHOT = {
    { "exists of a node to come", set = { "exists", "/a" }, answer = "NONODE",
      { "create", "/a", "event created /a" }, { "set", "/a" } },
    { "exists of a node", before = "/a", set = { "exists", "/a" },
      { "set", "/a", "event changed /a" }, { "delete", "/a" } },
    { "getData and its change", before = "/a", set = { "get", "/a" },
      { "set", "/a", "event changed /a" }, { "set", "/a" } },
    { "getData and its deletion", before = "/a", set = { "get", "/a" },
      { "create", "/a/x" }, { "delete", "/a/x" }, { "delete", "/a", "event deleted /a" } },
    { "getData that missed", set = { "get", "/a" }, answer = "NONODE", { "create", "/a" } },
    { "getChildren and a new one", before = "/a", set = { "get_children", "/a" },
      { "set", "/a" }, { "create", "/a/x", "event children /a" }, { "delete", "/a/x" } },
    { "getChildren2 and one gone", before = "/a", also = "/a/x", set = { "children", "/a" },
      { "set", "/a/x" }, { "delete", "/a/x", "event children /a" } },
    { "getChildren and the node's end", before = "/a", set = { "get_children", "/a" },
      { "delete", "/a", "event deleted /a" } },
    { "getChildren of the root", set = { "get_children", "/" },
      { "create", "/a", "event children /" }, { "create", "/b" } },
  }
  for _, case in ipairs(ONE_SHOT) do
    it("one-shot: " .. case[1], function()
      if case.before then
        write("create", { path = case.before })
      end
      if case.also then
        write("create", { path = case.also })
      end
      assert.are.equal(case.answer or "OK",
        c:code(case.set[1], { path = case.set[2], watch = true }))
      for _, step in ipairs(case) do
        if type(step) == "table" then
          local answer = write(step[1], { path = step[2] })
          assert.are.equal(0, answer.code)
          local events = c:receive()
          if step[3] then
            assert.are.equal(step[3], ("event %s %s"):format(events[1].event, events[1].path))
            assert.are.equal(answer.zxid, events[1].zxid) -- 3.9: that of the transaction
          end
          assert.are.equal(step[3] and 1 or 0, #events)
        end
      end
    end)
  end

  it("tell a deletion once where both data and children are watched", function()
    write("create", { path = "/a" })
    c:ask("get", { path = "/a", watch = true })
    c:ask("get_children", { path = "/a", watch = true })
    write("delete", { path = "/a" })
    assert.are.same({ "event deleted /a" }, c:brief())
    assert.are.equal(0, h.server:count().watches)
  end)

  it("leave before the answer to the write that fires them, in order of the parts", function()
    writer:ask("exists", { path = "/a", watch = true })
    writer:ask("get_children", { path = "/", watch = true })
    writer:create("/a")
    h:settle()
    assert.are.same({ "event created /a", "event children /", "3 OK" }, writer:brief())
  end)

  it("persistent stay, and hear of children", function()
    assert.are.equal("OK", c:code("add_watch", { path = "/a", kind = 0 }))
    for _, step in ipairs({ { "create", "/a" }, { "set", "/a" }, { "create", "/a/x" },
      { "create", "/a/x/y" }, { "set", "/a/x" }, { "delete", "/a/x/y" }, { "delete", "/a/x" },
      { "delete", "/a" } }) do
      write(step[1], { path = step[2] })
    end
    assert.are.same({ "event created /a", "event changed /a", "event children /a",
      "event children /a", "event deleted /a" }, c:brief())
  end)

  it("recursive hear of everything below, never of lists of children", function()
    assert.are.equal("OK", c:code("add_watch", { path = "/a", kind = 1 }))
    for _, step in ipairs({ { "create", "/a" }, { "create", "/ab" }, { "create", "/a/x" },
      { "create", "/a/x/y" }, { "set", "/a/x" }, { "delete", "/a/x/y" } }) do
      write(step[1], { path = step[2] })
    end
    assert.are.same({ "event created /a", "event created /a/x", "event created /a/x/y",
      "event changed /a/x", "event deleted /a/x/y" }, c:brief())
  end)

  it("of several kinds live side by side", function()
    c:ask("add_watch", { path = "/a", kind = 0 })
    c:ask("exists", { path = "/a", watch = true })
    write("create", { path = "/a" })
    write("set", { path = "/a" })
    assert.are.same({ "event created /a", "event changed /a" }, c:brief())
  end)

  it("in a multi fire part by part", function()
    c:ask("add_watch", { path = "/", kind = 1 })
    writer:ask("multi", { operations = {
      { op = host.op.create, path = "/m", data = "", acl = host.OPEN_ACL },
      { op = host.op.set, path = "/m", data = "2", version = -1 },
      { op = host.op.delete, path = "/m", version = -1 },
    } })
    assert.are.same({ "event created /m", "event changed /m", "event deleted /m" }, c:brief())
  end)

  it("fire for the ephemerals of a session that ends", function()
    write("create", { path = "/e", flags = 1 })
    c:ask("get", { path = "/e", watch = true })
    writer:send("close")
    h:settle()
    assert.are.same({ "event deleted /e" }, c:brief())
    assert.are.same({ "2 OK" }, writer:brief())
    assert.are.equal("after output", writer.gone)
  end)

  it("go in silence where the node may not be read", function()
    local mine = { { permissions = 31, scheme = "auth", id = "" } }
    assert.are.equal("OK", writer:code("auth", { scheme = "digest", data = "u:p" }))
    c:ask("exists", { path = "/secret", watch = true })
    c:ask("add_watch", { path = "/secret", kind = 1 })
    write("create", { path = "/secret", acl = mine })
    write("set", { path = "/secret" })
    write("create", { path = "/secret/open" })
    assert.are.same({ "event created /secret/open" }, c:brief())
    write("delete", { path = "/secret/open" })
    write("delete", { path = "/secret" })
    assert.are.same({ "event deleted /secret/open" }, c:brief())
    assert.are.equal(1, h.server:count().watches) -- the one-shot watch is gone all the same
  end)

  local KINDS = { children = 1, data = 2, any = 3, persistent = 4, recursive = 5 }
  for _, case in ipairs({
    { remove = "children", leaves = { "data", "persistent", "recursive" } },
    { remove = "data", leaves = { "children", "persistent", "recursive" } },
    { remove = "persistent", leaves = { "children", "data", "recursive" } },
    { remove = "recursive", leaves = { "children", "data", "persistent" } },
    { remove = "any", leaves = {} },
  }) do
    it("are checked and removed by kind: " .. case.remove, function()
      write("create", { path = "/a" })
      c:ask("get", { path = "/a", watch = true })
      c:ask("get_children", { path = "/a", watch = true })
      c:ask("add_watch", { path = "/a", kind = 0 })
      c:ask("add_watch", { path = "/a", kind = 1 })
      local kind = KINDS[case.remove]
      assert.are.equal("OK", c:code("check_watches", { path = "/a", kind = kind }))
      assert.are.equal("NOWATCHER", writer:code("check_watches", { path = "/a", kind = kind }))
      assert.are.equal("NOWATCHER", writer:code("remove_watches", { path = "/a", kind = kind }))
      assert.are.equal("OK", c:code("remove_watches", { path = "/a", kind = kind }))
      assert.are.equal("NOWATCHER", c:code("check_watches", { path = "/a", kind = kind }))
      assert.are.equal("NOWATCHER", c:code("remove_watches", { path = "/a", kind = kind }))
      for _, left in ipairs(case.leaves) do
        assert.are.equal("OK", c:code("check_watches", { path = "/a", kind = KINDS[left] }))
      end
      assert.are.equal(#case.leaves, h.server:count().watches)
    end)
  end

  it("of kinds and modes that do not exist are refused", function()
    for _, kind in ipairs({ 0, 6, -1 }) do
      assert.are.equal("MARSHALLINGERROR", c:code("remove_watches", { path = "/", kind = kind }))
      assert.are.equal("MARSHALLINGERROR", c:code("check_watches", { path = "/", kind = kind }))
    end
    for _, mode in ipairs({ -1, 2, 7 }) do
      assert.are.equal("MARSHALLINGERROR", c:code("add_watch", { path = "/", kind = mode }))
    end
    assert.are.equal("MARSHALLINGERROR", c:code("add_watch", { kind = 0 }))
  end)

  describe("set again after a reconnect", function()
    local SEEN = "0x4" -- what the client had seen: /old is older, /changed and /parent/x newer
    before_each(function()
      write("create", { path = "/old" })          -- 3
      write("create", { path = "/parent" })       -- 4
      write("create", { path = "/changed" })      -- 5
      write("create", { path = "/parent/x" })     -- 6
    end)

    local function set_again(name, lists)
      c:send(name, { zxid = SEEN, data_watches = lists[1], exist_watches = lists[2],
        child_watches = lists[3], persistent_watches = lists[4], recursive_watches = lists[5] })
      return c:receive()
    end
    local function brief(list)
      local result = {}
      for i, answer in ipairs(list) do
        result[i] = answer.event and answer.event .. " " .. answer.path or
          ("%d %d"):format(answer.xid, answer.code)
      end
      return result
    end

    it("tells what was missed first, with zxid -1", function()
      local answers = set_again("set_watches", {
        { "/old", "/changed", "/gone" }, { "/old", "/gone" }, { "/old", "/parent", "/gone" },
      })
      assert.are.same({ "changed /changed", "deleted /gone", "created /old",
        "children /parent", "deleted /gone", "-8 0" }, brief(answers))
      assert.are.equal("0xffffffffffffffff", answers[1].zxid)
      -- data /old, exist /gone, child /old are set
      assert.are.equal(3, h.server:count().watches)
      write("set", { path = "/old" })
      write("create", { path = "/gone" })
      write("create", { path = "/old/x" })
      assert.are.same({ "event changed /old", "event created /gone", "event children /old" },
        c:brief())
    end)

    it("sets persistent ones without looking", function()
      local answers = set_again("set_watches2", { {}, {}, {}, { "/changed" }, { "/none" } })
      assert.are.same({ "-8 0" }, brief(answers))
      write("set", { path = "/changed" })
      write("create", { path = "/none" })
      write("create", { path = "/none/x" })
      assert.are.same({ "event changed /changed", "event created /none",
        "event created /none/x" }, c:brief())
    end)

    it("refuses null lists and null paths", function()
      assert.are.same({ "-8 -5" }, brief(set_again("set_watches", { false, {}, {} })))
      assert.are.same({ "-8 -5" }, brief(set_again("set_watches", { {}, { false }, {} })))
    end)
  end)

  it("that find no memory are refused, and nothing else changes", function()
    local refused = 0
    for fail = 1, 4 do
      local d = h:attach()
      local before = h.server:count().watches
      h.server:fail(fail)
      d:send("add_watch", { path = "/n" .. fail, kind = 0 })
      h.server:fail(0)
      local answer = d:brief()[1]
      if d.gone then -- it was the answer that found none
        assert.are.equal("at once", d.gone)
        local news = h:news()
        assert.are.equal("nomem", news[#news])
      elseif answer == "1 QUOTAEXCEEDED" then
        refused = refused + 1
        assert.are.equal(before, h.server:count().watches)
        assert.are.equal("OK", d:code("add_watch", { path = "/n" .. fail, kind = 0 }))
      else
        assert.are.equal("1 OK", answer)
      end
      assert.are.equal("OK", c:code("exists", { path = "/" }))
    end
    assert.is_true(refused > 0)
  end)

  it("that are set again and find no memory cost their connection", function()
    local d = h:attach()
    h.server:fail(1)
    d:send("set_watches", { zxid = "0x0", data_watches = {}, exist_watches = { "/none" },
      child_watches = {} })
    h.server:fail(0)
    assert.are.equal("at once", d.gone)
    local news = h:news()
    assert.are.equal("nomem", news[#news])
  end)
end)
