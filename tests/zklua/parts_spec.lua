-- The small parts: connect strings, paths, acls, sentences, deadlines.
local acl = require("zklua.acl")
local connection = require("zklua.connection")
local core = require("zklua.core")
local deadline = require("zklua.deadline")
local errors = require("zklua.error")
local path = require("zklua.path")

describe("a connect string", function()
  for _, case in ipairs({
    { "a", { "a:2181" } },
    { "a:1,b , c:3", { "a:1", "b:2181", "c:3" } },
    { "a,,b,", { "a:2181", "b:2181" } },
    { "127.0.0.1:99/app", { "127.0.0.1:99" }, "/app" },
    { "a/x/y/", { "a:2181" }, "/x/y" },
    { "a/", { "a:2181" } },
    { "[::1]", { "[::1]:2181" } },
    { "[fe80::1%eth0]:7,a/z", { "[fe80::1%eth0]:7", "a:2181" }, "/z" },
    { { "a", "b:2" }, { "a:2181", "b:2" } },
    { "memory:", { "memory:" } },
    { "memory:/", { "memory:" } },
    { " memory:/app/x", { "memory:" }, "/app/x" },
    { { "memory:/app" }, { "memory:" }, "/app" },
    { "memory:80", { "memory:80" } }, -- a host of that name
  }) do
    it("is read: " .. tostring(case[1]), function()
      assert.same({ endpoints = case[2], chroot = case[3] }, connection.parse(case[1]))
    end)
  end

  for _, text in ipairs({
    "", ",", "/", "/app", "a:", "a:0", "a:65536", "a:b", "a:1:2", "::1", "[::1", "[::1]x", "a b",
    "a//x", "a/./x", "a/x//", "a:1,local:", "memory:,a:1", "memory:a", "memory:/a//b",
  }) do
    it("is refused, with a reason: " .. text, function()
      local place, problem = connection.parse(text)
      assert.is_nil(place)
      assert.is_true(#problem > 10)
    end)
  end

  describe("of local:", function()
    local machine = {
      absolute = function(name) return name:sub(1, 1) == "/" and name or "/here/" .. name end,
      state_directory = function() return "/home/me/state" end,
    }

    for _, case in ipairs({
      { "local:", "local:/home/me/state" },
      { " local:", "local:/home/me/state" },
      { { "local:" }, "local:/home/me/state" },
      { "local:/", "local:/" },
      { "local:/a/", "local:/a" },
      { "local:/a//b/./c/.", "local:/a/b/c" },
      { "local:/a/../b", "local:/a/../b" }, -- the directory above a link is not what it looks like
      { "local:a b", "local:/here/a b" },
      { "local:./a", "local:/here/a" },
      { "local:/a,b:1/c%", "local:/a,b:1/c%" },
    }) do
      it("has a directory: " .. tostring(case[1]), function()
        local place = assert(connection.parse(case[1], machine))
        assert.same({ endpoints = { case[2] } }, place)
        assert.is_true(connection.is_local(place.endpoints[1]))
        assert.equal(case[2], "local:" .. connection.directory(place.endpoints[1]))
      end)
    end

    for _, case in ipairs({
      { "local:", nil, "cannot start processes" },
      { "local:/a", nil, "cannot start processes" },
      { "local:,a:1", machine, "stands alone" },
      { { "local:", "a:1" }, machine, "stands alone" },
      { { "a:1", "local:" }, machine, "is not host:port" },
      { "local:/a\0b", machine, "zero byte" },
      { "local:", { state_directory = function() return nil, "no home" end }, "local: no home" },
    }) do
      it("is refused: " .. case[3], function()
        local place, problem = connection.parse(case[1], case[2])
        assert.is_nil(place)
        assert.matches(case[3], problem, 1, true)
      end)
    end
  end)

  it("gives host and port of each endpoint", function()
    assert.same({ "a", 1 }, { connection.split("a:1") })
    assert.same({ "::1", 2181 }, { connection.split("[::1]:2181") })
  end)
end)

describe("a path", function()
  it("has parts", function()
    assert.equal("/a", path.parent("/a/b"))
    assert.equal("/", path.parent("/a"))
    assert.is_nil(path.parent("/"))
    assert.same({ "b", "" }, { path.name("/a/b"), path.name("/") })
    assert.same({ "a", "b" }, path.split("/a/b"))
    assert.same({}, path.split("/"))
    assert.equal("/a/b/c", path.join("/a", "b/c"))
    assert.equal("/a/b", path.join("/", "/a/", "/b/"))
    assert.equal("/", path.join("/"))
    assert.same({ "lock-", 7 }, { path.split_sequence("lock-0000000007") })
  end)
end)

describe("an acl", function()
  it("has names, entries and lists", function()
    for _, value in ipairs({
      "open", "creator", "read", acl.world("r"), acl.auth(),
      { acl.digest("u", "p"), acl.ip("10.0.0.0/8", 1) },
    }) do
      assert.is_string(acl.encode(value))
    end
  end)

  it("knows the digest that servers know", function()
    assert.equal("super:D/InIHSb7yEEbrWz8b9l71RjZJU=", core.digest_id("super", "test"))
    assert.equal(core.digest_id("ann", "secret"), acl.digest("ann", "secret").id)
  end)
end)

describe("a sentence", function()
  local codes = errors.codes()

  it("names code, operation and path, for every code there is", function()
    for code in pairs(codes) do
      for _, op in ipairs({ "get", "create" }) do
        local message = errors.message(code, op, "/a/b", 3)
        assert.equal(code .. ": ", message:match("^[%u_]+: "))
        assert.matches("/a/b", message, 1, true)
        assert.matches(op, message, 1, true)
        assert.is_nil(message:find("[{}]"))
      end
    end
  end)

  it("says of writes that they may have happened, and of reads not", function()
    for _, code in ipairs({ "CONNECTIONLOSS", "TIMEOUT", "CANCELLED" }) do
      assert.matches("may have happened", errors.message(code, "set", "/a"), 1, true)
      assert.is_nil(errors.message(code, "get", "/a"):find("may have happened", 1, true))
    end
    assert.matches("not sent", errors.message("NOTCONNECTED", "set", "/a"), 1, true)
  end)

  it("takes paths with a percent sign as they are", function()
    assert.matches("/100%1", errors.message("NONODE", "get", "/100%1"), 1, true)
  end)

  it("has no codes but those there are", function()
    assert.equal("NONODE", codes.NONODE)
    assert.equal("LOST", codes.LOST)
    assert.is_false((pcall(function() return codes.NONDOE end)))
    assert.is_false((pcall(function() codes.NEW = 1 end)))
  end)
end)

describe("a deadline", function()
  it("is made of a timeout, once", function()
    assert.equal(12, deadline.after(10, 2))
    assert.equal(10, deadline.after(10, -5))
    assert.is_nil(deadline.after(10, nil))
    assert.is_nil(deadline.after(10, math.huge))
    for _, bad in ipairs({ "1", {}, 0 / 0 }) do
      assert.is_false((pcall(deadline.after, 10, bad)))
    end
  end)

  it("is the earlier of two", function()
    assert.equal(1, deadline.earlier(1, 2))
    assert.equal(1, deadline.earlier(nil, 1))
    assert.equal(1, deadline.earlier(1, nil))
    assert.is_nil(deadline.earlier(nil, nil))
  end)
end)
