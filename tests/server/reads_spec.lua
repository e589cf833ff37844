local host = require("server.host")

local ADMIN_ONLY = { { permissions = 16, scheme = "world", id = "anyone" } }
local NOBODY = { { permissions = 31, scheme = "digest", id = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=" } }
local MISSING_PATH_OPS = { "exists", "get", "get_children", "children", "get_acl", "count" }

describe("reads", function()
  local h, c
  before_each(function()
    h = host.new({ ttl_nodes = true })
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

  describe("of nodes", function()
    it("give data and stat", function()
      create("/a", { data = "hello" })
      create("/a/b")
      local answer = c:ask("get", { path = "/a" })
      assert.are.same({
        op = host.op.get, data = "hello",
        stat = { czxid = "0x2", mzxid = "0x2", ctime_ms = ("0x%x"):format(host.WALL),
          mtime_ms = ("0x%x"):format(host.WALL), cversion = 1, data_length = 5,
          children_count = 1, pzxid = "0x3" },
      }, answer.result)
      assert.are.equal("0x3", answer.zxid)
    end)

    it("tell no data from empty data", function()
      c:ask("create", { path = "/none", acl = host.OPEN_ACL })
      create("/empty", { data = "" })
      assert.is_nil(c:ask("get", { path = "/none" }).result.data)
      assert.are.equal("", c:ask("get", { path = "/empty" }).result.data)
    end)

    it("name children, with a stat for who wants one", function()
      create("/a")
      for _, name in ipairs({ "x", "yy", "zzz" }) do
        create("/a/" .. name)
      end
      local names = c:ask("get_children", { path = "/a" }).result.items
      table.sort(names)
      assert.are.same({ "x", "yy", "zzz" }, names)
      local second = c:ask("children", { path = "/a" }).result
      assert.are.equal(3, #second.items)
      assert.are.equal(3, second.stat.children_count)
      assert.are.same({}, c:ask("get_children", { path = "/a/x" }).result.items)
      assert.are.same({ "zookeeper", "a" }, (function()
        local root = c:ask("get_children", { path = "/" }).result.items
        table.sort(root, function(a, b) return a > b end)
        return root
      end)())
    end)

    it("count what is below", function()
      for _, path in ipairs({ "/a", "/a/b", "/a/b/c", "/a/b/d", "/a/e", "/ab", "/ab/c" }) do
        create(path)
      end
      local function count(path)
        return c:ask("count", { path = path }).result.number
      end
      assert.are.equal(4, count("/a"))
      assert.are.equal(2, count("/a/b"))
      assert.is_nil(count("/a/e")) -- 0
      assert.are.equal(1, count("/ab"))
      assert.are.equal(10, count("/")) -- the three of /zookeeper too
      assert.are.equal(2, count("/zookeeper"))
      assert.are.equal(11, count("")) -- below which Apache finds "/"
      local d = h:attach()
      assert.are.equal("OK", d:code("create",
        { path = "/a/b/d/e", flags = 1, acl = host.OPEN_ACL }))
      assert.are.equal("OK", c:code("delete", { path = "/a/b/c", version = -1 }))
      c:ask("multi", { operations = { -- which fails as a whole
        { op = host.op.create, path = "/ab/d", acl = host.OPEN_ACL },
        { op = host.op.delete, path = "/no", version = -1 },
      } })
      assert.are.equal(4, count("/a"))
      assert.are.equal(2, count("/a/b"))
      assert.are.equal(1, count("/ab"))
      d:send("close")
      h:settle()
      assert.are.equal(3, count("/a"))
      assert.are.equal(1, count("/a/b"))
      assert.are.equal(9, count("/"))
    end)

    for _, name in ipairs(MISSING_PATH_OPS) do
      it(name .. " misses what is not there", function()
        for _, path in ipairs({ "/no", "/no/", "no", "/a//b", "//", "/\0" }) do
          local expected = name == "exists" and path == "/\0" and "BADARGUMENTS" or "NONODE"
          assert.are.equal(expected, c:code(name, { path = path }))
        end
      end)

      it(name .. " knows the root by both names", function()
        for _, path in ipairs({ "/", "" }) do
          assert.are.equal("OK", c:code(name, { path = path }))
        end
      end)

      it(name .. " refuses a null path and a record cut short", function()
        assert.are.equal("MARSHALLINGERROR", c:code(name))
        local frame = host.request_frame(70, host.op[name], { path = "/" })
        c:expect(70, host.op[name])
        c:feed(host.codec.int(#frame - 5) .. frame:sub(5, -2))
        assert.are.same({ "70 MARSHALLINGERROR" }, c:brief())
        assert.is_nil(c.gone)
      end)
    end
  end)

  describe("need", function()
    for _, case in ipairs({
      { "exists", hidden = "NOAUTH", admin = "NOAUTH" },
      { "get", hidden = "NOAUTH", admin = "NOAUTH" },
      { "get_children", hidden = "NOAUTH", admin = "NOAUTH" },
      { "children", hidden = "NOAUTH", admin = "NOAUTH" },
      { "count", hidden = "NOAUTH", admin = "NOAUTH" },
      { "get_acl", hidden = "NOAUTH", admin = "OK" },
      { "sync", hidden = "OK", admin = "OK" },
      { "add_watch", hidden = "OK", admin = "OK" },
    }) do
      it("permission: " .. case[1], function()
        create("/hidden", { acl = NOBODY })
        create("/admin", { acl = ADMIN_ONLY })
        assert.are.equal(case.hidden, c:code(case[1], { path = "/hidden", kind = 0 }))
        assert.are.equal(case.admin, c:code(case[1], { path = "/admin", kind = 0 }))
      end)
    end

    it("no permission where access lists are skipped", function()
      h:free()
      h = host.new({ skip_acl = true })
      c = h:attach()
      create("/hidden", { acl = NOBODY })
      assert.are.equal("OK", c:code("get", { path = "/hidden" }))
    end)
  end)

  describe("of access lists", function()
    local both = {
      { permissions = 1, scheme = "world", id = "anyone" },
      { permissions = 31, scheme = "digest", id = "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ=" },
      { permissions = 3, scheme = "ip", id = "10.0.0.0/8" },
    }

    it("hide digests from who may not change them", function()
      create("/a", { acl = both })
      local answer = c:ask("get_acl", { path = "/a" })
      assert.are.same({ both[1], { permissions = 31, scheme = "digest", id = "u:x" }, both[3] },
        answer.result.items)
      assert.are.equal("0x2", answer.result.stat.czxid)
      assert.are.equal("OK", c:code("auth", { scheme = "digest", data = "u:p" }))
      assert.are.same(both, c:ask("get_acl", { path = "/a" }).result.items)
    end)

    it("show the open list of the first nodes", function()
      assert.are.same(host.OPEN_ACL, c:ask("get_acl", { path = "/" }).result.items)
    end)
  end)

  describe("several in one", function()
    local function multi(operations)
      return c:ask("multi_read", { operations = operations })
    end

    it("answer each for itself", function()
      create("/a", { data = "1" })
      create("/a/x")
      create("/hidden", { acl = NOBODY })
      local results = multi({
        { op = host.op.get, path = "/a" }, { op = host.op.get, path = "/no" },
        { op = host.op.get_children, path = "/a" }, { op = host.op.get, path = "/hidden" },
      }).result.items
      assert.are.equal("1", results[1].data)
      assert.are.equal(1, results[1].stat.children_count)
      assert.are.same({ op = -1, number = -101 }, results[2])
      assert.are.same({ "x" }, results[3].items)
      assert.are.same({ op = -1, number = -102 }, results[4])
    end)

    it("set no watch", function()
      create("/a")
      multi({ { op = host.op.get, path = "/a", watch = true } })
      c:set("/a", "2")
      h:settle()
      assert.are.same({ "3 OK" }, c:brief())
      assert.are.equal(0, h.server:count().watches)
    end)

    it("may be none", function()
      assert.are.equal("OK", c:code("multi_read", { operations = {} }))
    end)

    it("refuse what is no read, and a null path", function()
      assert.are.equal("MARSHALLINGERROR", c:code("multi_read",
        { operations = { { op = host.op.delete, path = "/a" } } }))
      assert.are.equal("MARSHALLINGERROR", c:code("multi_read",
        { operations = { { op = host.op.get } } }))
    end)

    it("refuse to put together more than a client takes", function()
      create("/large", { data = ("x"):rep(1000000) })
      local operations = {}
      for i = 1, 70 do
        operations[i] = { op = host.op.get, path = "/large" }
      end
      assert.are.equal("MARSHALLINGERROR", c:code("multi_read", { operations = operations }))
      assert.is_nil(c.gone)
    end)

    it("are given up as soon as they are too long, not when all was measured", function()
      create("/w")
      for i = 1, 5000 do
        c:create(("/w/%08d"):format(i))
      end
      h:settle()
      c:receive()
      local operations = {}
      for i = 1, 60000 do
        operations[i] = { op = host.op.get_children, path = "/w" }
      end
      -- 300 million names, of which the first 5.6 million fill 64 MiB.
      local frame = host.request_frame(100000, host.op.multi_read, { operations = operations })
      c:expect(100000, host.op.multi_read)
      c:feed(frame)
      assert.are.same({ "100000 MARSHALLINGERROR" }, c:brief())
    end)
  end)
end)
