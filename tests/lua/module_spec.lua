local uv = require("luv")
local core = require("zklua.core")
local host = require("zklua_testing").host

local exact_integers = math.type ~= nil -- Lua 5.4 holds 64 bits, LuaJIT 53

describe("zklua.core", function()
  it("says its version", function()
    assert.matches("^%d+%.%d+%.%d+$", core._VERSION)
  end)

  it("reads a clock that only goes forward, with fractions", function()
    local first = core.now()
    local later
    repeat
      later = core.now()
      assert.is_true(later >= first)
    until later > first
    assert.is_true(later - first < 5)
  end)

  it("agrees with the system about boot", function()
    local file = assert(io.open("/proc/uptime"))
    local uptime = file:read("*n")
    file:close()
    assert.is_true(math.abs(core.now() - uptime) < 5)
  end)

  it("names process and host", function()
    local file = assert(io.open("/proc/self/stat"))
    local pid = file:read("*n")
    file:close()
    assert.equal(pid, core.pid())
    file = assert(io.open("/proc/sys/kernel/hostname"))
    assert.equal(file:read("*l"), core.hostname())
    file:close()
  end)

  describe("random_hex", function()
    it("gives two digits for each byte, and others each time", function()
      assert.equal("", core.random_hex(0))
      assert.matches("^%x+$", core.random_hex(16))
      assert.equal(32, #core.random_hex(16))
      assert.equal(2048, #core.random_hex(1024))
      assert.not_equal(core.random_hex(16), core.random_hex(16))
    end)

    for _, count in ipairs({ -1, 1025, 1.5, "16" }) do
      it("refuses " .. type(count) .. " " .. count, function()
        assert.error_matches(function()
          core.random_hex(count)
        end, "#1 .*count: ")
      end)
    end
  end)

  describe("check_path", function()
    it("is the codec's rule", function()
      assert.is_nil(core.check_path("/a/b"))
      assert.is_nil(core.check_path("/"))
      assert.matches("must start with '/'", core.check_path("a"))
      assert.is_string(core.check_path("/a/"))
      assert.is_nil(core.check_path("/a/", true))
      assert.is_string(core.check_path("/a\0b"))
    end)

    it("refuses what is not a string", function()
      assert.error_matches(function()
        core.check_path(7)
      end, "path: string expected, got number")
    end)
  end)

  for _, case in ipairs({
    { name = "lock-0000000007", prefix = "lock-", sequence = 7 },
    { name = "0000000000", prefix = "", sequence = 0 },
    { name = "a-2147483647", prefix = "a-", sequence = 2147483647 },
    { name = "lock-7" },
    { name = "" },
  }) do
    it("splits the name " .. case.name, function()
      local prefix, sequence = core.split_sequence(case.name)
      assert.equal(case.prefix, prefix)
      assert.equal(case.sequence, sequence)
    end)
  end

  describe("format_zxid", function()
    it("writes hexadecimal as Apache's tools do", function()
      assert.equal("0x0", core.format_zxid(0))
      assert.equal("0x100000002", core.format_zxid(4294967298))
      assert.equal("0x20000000000000", core.format_zxid(2 ^ 53))
    end)

    for name, zxid in pairs({ negative = -1, fraction = 0.5, ["beyond 2^53"] = 2 ^ 54,
                              infinite = math.huge, nan = 0 / 0, text = "1" }) do
      it("refuses one that is " .. name, function()
        assert.error_matches(function()
          core.format_zxid(zxid)
        end, "zxid: ")
      end)
    end

    it("is exact for integers of Lua 5.4", function()
      if exact_integers then
        assert.equal("0x7fffffffffffffff", core.format_zxid(math.maxinteger))
        assert.equal("0x20000000000001", core.format_zxid(math.tointeger(2 ^ 53) + 1))
      end
    end)
  end)

  describe("digest_id", function()
    it("is what a server computes", function()
      -- DigestAuthenticationProvider's published example.
      assert.equal("super:D/InIHSb7yEEbrWz8b9l71RjZJU=", core.digest_id("super", "test"))
    end)

    it("takes any password", function()
      assert.equal("u:" .. ("."):rep(27), (core.digest_id("u", ""):gsub(":.*", function(s)
        return ":" .. ("."):rep(#s - 2)
      end)))
      assert.not_equal(core.digest_id("u", "a:b"), core.digest_id("u", "a:c"))
      assert.not_equal(core.digest_id("u", "a\0b"), core.digest_id("u", "a\0c"))
    end)

    it("refuses a user with a colon, which would be another user", function()
      assert.error_matches(function()
        core.digest_id("a:b", "c")
      end, "user: must not contain ':'")
    end)
  end)

  it("lists the codes of servers and its own", function()
    assert.equal(0, core.codes.OK)
    assert.equal(-101, core.codes.NONODE)
    assert.equal(-127, core.codes.THROTTLEDOP)
    assert.equal(-1001, core.codes.TIMEOUT)
    assert.equal(-1002, core.codes.CANCELLED)
    assert.equal(-1003, core.codes.NOTCONNECTED)
    assert.equal(-1004, core.codes.CLOSED)
  end)

  it("knows whether it runs in a forked child", function()
    assert.is_false(core.forked())
    assert.equal("true", host.fork(function()
      return tostring(core.forked())
    end))
    assert.is_false(core.forked())
  end)

  it("drains a socket to its end, and for so long only", function()
    local server, client, peer = uv.new_tcp(), uv.new_tcp(), uv.new_tcp()
    server:bind("127.0.0.1", 0)
    server:listen(1, function() server:accept(peer) end)
    client:connect("127.0.0.1", server:getsockname().port, function() end)
    while not (peer:is_writable() and client:is_writable()) do
      uv.run("once")
    end
    assert.equal(5, peer:try_write("words"))
    local before = core.now()
    assert.is_false(core.drain(client:fileno(), 0.02))
    assert.is_true(core.now() - before > 0.018) -- it counts in milliseconds
    peer:close()
    uv.run("nowait")
    assert.is_true(core.drain(client:fileno(), 20))
    server:close()
    client:close()
    uv.run("nowait") -- luv crashes when Lua ends between a handle's close and its last turn
  end)

  it("has nothing that the contract does not name", function()
    local names = {}
    for name in pairs(core) do
      names[#names + 1] = name
    end
    table.sort(names)
    assert.equal("_VERSION acl check_path client codes digest_id drain forked format_zxid "
      .. "hostname mix now pid random_hex server simulate split_sequence survive_broken_pipes",
      table.concat(names, " "))
  end)
end)
