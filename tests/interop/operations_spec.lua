-- Every operation of the client against both servers, its effect read by other eyes.
local raw = require("support.raw")

-- Field by field, since the server's own words differ: zklua's name = the second way's name.
local STAT_NAMES = {
  czxid = "czxid", mzxid = "mzxid", pzxid = "pzxid", ctime = "ctime", mtime = "mtime",
  version = "version", cversion = "cversion", aversion = "aversion",
  data_length = "data_length", children_count = "num_children",
}

local function check_stat(expected, stat)
  for ours, theirs in pairs(STAT_NAMES) do
    assert.equal(expected[theirs], stat[ours], ours)
  end
  local owner = expected.owner ~= "0x0" and expected.owner or nil
  assert.equal(owner, stat.ephemeral_owner)
end

local function suite(servers)
  local zk, server, c, root

  -- The node at `path` below this test's root, as the server shows it to others.
  local function see(path)
    return assert(raw.read(server, root .. path))
  end

  local function absent(path)
    local node, failure = raw.read(server, root .. path)
    return node == nil and failure == "-101"
  end

  setup(function()
    zk = require("zklua")
    server = servers.shared()
  end)

  before_each(function()
    root = servers.fresh_path("operations")
    assert(raw.create(server, root))
    c = assert(zk.connect(server.connect_string .. root, { session_timeout = 10 }))
  end)

  after_each(function()
    c:close()
  end)

  describe("create", function()
    it("writes bytes and gives the path and the stat", function()
      local data = "\0\1\255 \r\n'"
      local path, stat = assert(c:create("/a", data))
      assert.equal("/a", path)
      local node = see("/a")
      assert.equal(data, node.data)
      check_stat(node.stat, stat)
    end)

    it("writes null data, which is not empty data", function()
      assert(c:create("/null", zk.null))
      assert(c:create("/empty"))
      assert.is_nil(see("/null").data)
      assert.equal("", see("/empty").data)
    end)

    it("makes ephemerals that belong to the session", function()
      local _, stat = assert(c:create("/e", "", { ephemeral = true }))
      assert.equal(c:session().id, see("/e").stat.owner)
      assert.equal(c:session().id, stat.ephemeral_owner)
      assert(c:close())
      assert.is_true(absent("/e"))
    end)

    it("gives the name that the server completed", function()
      assert.equal("/s0000000000", (assert(c:create("/s", "", { sequential = true }))))
      assert.equal("/s0000000001",
        (assert(c:create("/s", "", { sequential = true, ephemeral = true }))))
      assert(c:create("/d"))
      assert.equal("/d/0000000000", (assert(c:create("/d/", "", { sequential = true }))))
      assert.same({ "d", "s0000000000", "s0000000001" }, see("").children)
    end)

    it("makes containers and nodes with a time to live, which the server removes", function()
      local own = servers.start({
        tick_time = 200, properties = { ["znode.container.checkIntervalMs"] = 100 },
      })
      finally(function()
        own:stop()
      end)
      local other = assert(zk.connect(own.connect_string))
      assert(other:create("/container", "", { container = true }))
      assert(other:create("/container/child"))
      assert(other:create("/plain"))
      assert(other:create("/ttl", "", { ttl = 100 }))
      assert(other:delete("/container/child"))
      assert.is_true(servers.wait_for(10, function()
        return raw.read(own, "/container") == nil and raw.read(own, "/ttl") == nil
      end))
      assert.is_true(raw.read(own, "/plain") ~= nil)
      other:close()
    end)

    it("makes missing parents when told so", function()
      local _, message, code = c:create("/x/y/z", "data")
      assert.equal("NONODE", code)
      assert.matches("/x/y", message, 1, true)
      assert.equal("/x/y/z", (assert(c:create("/x/y/z", "data", { parents = true }))))
      assert.equal("data", see("/x/y/z").data)
      assert.equal("", see("/x/y").data)
    end)

    it("takes an ACL by name and as a list", function()
      assert(c:create("/read", "", { acl = "read" }))
      assert(c:create("/list", "", { acl = {
        { perms = "rw", scheme = "ip", id = "127.0.0.1" },
        zk.acl.digest("joe", "secret", "a"),
      } }))
      assert.same({ { perms = 1, scheme = "world", id = "anyone" } }, see("/read").acl)
      local acl = see("/list").acl
      assert.same({ perms = 3, scheme = "ip", id = "127.0.0.1" }, acl[1])
      -- A server shows the name and hides the hash from who is not joe.
      assert.same({ perms = 16, scheme = "digest", id = "joe:x" }, acl[2])
    end)

    for _, case in ipairs({
      { code = "NODEEXISTS", path = "/here" },
      { code = "NONODE", path = "/nowhere/a" },
      { code = "NOCHILDRENFOREPHEMERALS", path = "/passing/a" },
      { code = "INVALIDACL", path = "/bad-acl",
        acl = { { perms = "r", scheme = "digest", id = "x" } } },
    }) do
      it("fails with " .. case.code, function()
        assert(c:create("/here"))
        assert(c:create("/passing", "", { ephemeral = true }))
        local path, message, code = c:create(case.path, "", { acl = case.acl })
        assert.is_nil(path)
        assert.equal(case.code, code)
        assert.matches(case.path, message, 1, true)
      end)
    end
  end)

  describe("get, set and exists", function()
    it("read what others have written", function()
      assert(raw.create(server, root .. "/a", "one"))
      local data, stat = assert(c:get("/a"))
      assert.equal("one", data)
      check_stat(see("/a").stat, stat)
      check_stat(see("/a").stat, assert(c:exists("/a")))
      assert.equal(3, stat.data_length)
    end)

    it("reads fresh", function()
      assert(raw.create(server, root .. "/a", "one"))
      assert(raw.set(server, root .. "/a", "two"))
      assert.equal("two", (assert(c:get("/a", { fresh = true }))))
    end)

    it("carries a megabyte less the frame, and refuses more before sending it", function()
      local large = ("x"):rep(1000000)
      assert(c:create("/large", large))
      assert.equal(large, (assert(c:get("/large"))))
      local stat, _, code = c:set("/large", ("x"):rep(1048576))
      assert.is_nil(stat)
      assert.equal("LIMIT", code)
      assert.equal(large, (assert(c:get("/large"))))
    end)

    it("writes with a version, or whatever the version", function()
      assert(c:create("/a", "one"))
      local stat = assert(c:set("/a", "two", { version = 0 }))
      assert.equal(1, stat.version)
      local _, _, code = c:set("/a", "three", { version = 0 })
      assert.equal("BADVERSION", code)
      stat = assert(c:set("/a", "four"))
      check_stat(see("/a").stat, stat)
      assert.equal("four", see("/a").data)
    end)

    it("creates an absent node when told so", function()
      local _, _, code = c:set("/p/a", "one")
      assert.equal("NONODE", code)
      assert(c:set("/p/a", "one", { create = true }))
      assert(c:set("/p/a", "two", { create = true }))
      assert.equal("two", see("/p/a").data)
    end)
  end)

  describe("delete", function()
    it("takes one node, of the right version", function()
      assert(c:create("/a"))
      local _, _, code = c:delete("/a", { version = 7 })
      assert.equal("BADVERSION", code)
      assert.is_true(c:delete("/a", { version = 0 }))
      assert.is_true(absent("/a"))
      local gone
      gone, _, code = c:delete("/a")
      assert.is_nil(gone)
      assert.equal("NONODE", code)
      assert.is_true(c:delete("/a", { missing_ok = true }))
    end)

    it("takes a whole subtree only when told so", function()
      for _, path in ipairs({ "/t/a/b/c", "/t/a/d", "/t/e" }) do
        assert(c:create(path, "", { parents = true }))
      end
      local _, _, code = c:delete("/t")
      assert.equal("NOTEMPTY", code)
      assert.is_true(c:delete("/t", { recursive = true }))
      assert.is_true(absent("/t"))
    end)
  end)

  it("children are sorted", function()
    for _, name in ipairs({ "b", "a", "ä", "B" }) do
      assert(raw.create(server, root .. "/" .. name))
    end
    local names, stat = assert(c:children("/"))
    assert.same({ "B", "a", "b", "ä" }, names)
    check_stat(see("").stat, stat)
  end)

  it("update repeats until nobody else has written in between", function()
    assert(c:create("/n", "1"))
    local calls = 0
    local data, stat = assert(c:update("/n", function(before)
      calls = calls + 1
      if calls == 1 then
        assert(raw.set(server, root .. "/n", "10"))
      end
      return tostring(tonumber(before) + 1)
    end))
    assert.equal("11", data)
    assert.equal(2, calls)
    assert.equal("11", see("/n").data)
    assert.equal(2, stat.version)
  end)

  it("ensure makes what is missing, and may be repeated", function()
    assert.is_true(c:ensure("/x/y/z"))
    assert.is_true(c:ensure("/x/y/z"))
    assert.same({ "z" }, see("/x/y").children)
  end)

  it("ACLs are read and replaced, and hold", function()
    assert(c:create("/a", "secret"))
    assert(c:add_auth("digest", "joe:secret"))
    local stat = assert(c:set_acl("/a", "creator"))
    assert.equal(1, stat.aversion)
    assert.equal("digest", assert(raw.read(server, root) and c:get_acl("/a"))[1].scheme)
    assert.same({ nil, "-102" }, { raw.read(server, root .. "/a") })
    local stranger = assert(zk.connect(server.connect_string .. root))
    local _, _, code = stranger:get("/a")
    assert.equal("NOAUTH", code)
    assert(stranger:add_auth("digest", "joe:secret"))
    assert.equal("secret", (assert(stranger:get("/a"))))
    stranger:close()
  end)

  it("whoami names the identities", function()
    assert(c:add_auth("digest", "joe:secret"))
    local schemes = {}
    for _, identity in ipairs(assert(c:whoami())) do
      schemes[identity.scheme] = identity.user
    end
    assert.equal("joe", schemes.digest)
    assert.equal("127.0.0.1", schemes.ip)
  end)

  it("ephemerals and count answer below a path, without the chroot", function()
    assert(c:create("/x/b", "", { parents = true, ephemeral = true }))
    assert(c:create("/x/a", "", { ephemeral = true }))
    assert(c:create("/y"))
    assert.same({ "/x/a", "/x/b" }, assert(c:ephemerals()))
    assert.same({ "/x/a", "/x/b" }, assert(c:ephemerals("/x")))
    assert.same({}, assert(c:ephemerals("/y")))
    assert.equal(2, (assert(c:count("/x"))))
    assert.equal(4, (assert(c:count("/"))))
  end)

  it("sync and config answer", function()
    assert.is_true(c:sync())
    assert.is_true(c:sync("/"))
    local top = assert(zk.connect(server.connect_string))
    assert.is_string((assert(top:config())))
    top:close()
  end)

  it("reconfig of a lone server fails with the server's code", function()
    local text, _, code = c:reconfig({ leaving = "2" })
    assert.is_nil(text)
    assert.equal("RECONFIGDISABLED", code)
  end)

  describe("a transaction", function()
    it("happens as a whole", function()
      assert(c:create("/old", "x"))
      local results = assert(c:transaction()
        :check("/old", { version = 0 })
        :create("/new", "data")
        :create("/new/n-", "", { sequential = true, ephemeral = true })
        :set("/old", "y")
        :delete("/old")
        :commit())
      assert.equal(5, #results)
      assert.equal("/new", results[2].path)
      assert.equal("/new/n-0000000000", results[3].path)
      assert.equal(1, results[4].stat.version)
      assert.equal("data", see("/new").data)
      assert.same({ "n-0000000000" }, see("/new").children)
      assert.is_true(absent("/old"))
    end)

    it("or not at all, and says which one failed", function()
      assert(c:create("/old", "x"))
      local results, message, code, index = c:transaction()
        :create("/new")
        :set("/old", "y", { version = 3 })
        :delete("/nowhere")
        :commit()
      assert.is_nil(results)
      assert.equal("BADVERSION", code)
      assert.equal(2, index)
      assert.matches("/old", message, 1, true)
      assert.is_true(absent("/new"))
      assert.equal("x", see("/old").data)
    end)
  end)

  it("many reads travel in one request, each with its own outcome", function()
    assert(c:create("/a", "data"))
    assert(c:create("/a/z"))
    assert(c:create("/a/y"))
    local results = assert(c:read_many({
      { "get", "/a" }, { "get", "/nowhere" }, { "children", "/a" },
    }))
    assert.equal("data", results[1].data)
    check_stat(see("/a").stat, results[1].stat)
    assert.equal("NONODE", results[2].code)
    assert.same({ "y", "z" }, results[3].children)
  end)

  it("a view has its own root", function()
    assert(c:ensure("/app/x"))
    local app = c:at("/app")
    assert(app:create("/y", "data"))
    assert.same({ "x", "y" }, (assert(app:children("/"))))
    assert.equal("data", see("/app/y").data)
  end)

  it("state, session and metrics tell about the client", function()
    assert.equal("connected", c:state())
    local session = c:session()
    assert.matches("^0x%x+$", session.id)
    assert.matches("^" .. ("%x"):rep(32) .. "$", session.password)
    assert.equal(10, session.timeout)
    for _ = 1, 5 do
      c:get("/")
    end
    assert.equal(5, c:metrics().operations.get.count)
    c:close()
    assert.equal("closed", c:state())
  end)

  describe("watches", function()
    -- Runs `fn` as a task with this second, in which a watch must report.
    local function within(fn)
      return zk.timeout(10, fn)
    end

    it("of one shot report the next change by others", function()
      assert(c:create("/a"))
      local event, seen = zk.event(), {}
      assert(c:get("/a", { watch = event }))
      assert(c:children("/", { watch = function(ev) seen[#seen + 1] = ev.type end }))
      assert.is_false(c:exists("/b", { watch = function(ev) seen[#seen + 1] = ev.type end }))
      assert.is_false(event:wait(0))
      assert(raw.set(server, root .. "/a", "new"))
      assert.is_true(event:wait(10))
      assert(raw.create(server, root .. "/b"))
      within(function()
        while #seen < 2 do
          assert(zk.sleep(0.01))
        end
      end)
      table.sort(seen)
      assert.same({ "children", "created" }, seen)
    end)

    it("stream what happens to a node, in order", function()
      local stream = assert(c:watch("/a"))
      assert(raw.create(server, root .. "/a"))
      assert(raw.set(server, root .. "/a", "new"))
      assert(raw.create(server, root .. "/a/b"))
      assert(raw.delete(server, root .. "/a/b"))
      assert(raw.delete(server, root .. "/a"))
      local seen = {}
      while seen[#seen] ~= "deleted" do
        local ev = assert(stream:next(10))
        assert.equal("/a", ev.path)
        seen[#seen + 1] = ev.type
      end
      assert.same({ "created", "changed", "children", "children", "deleted" }, seen)
      stream:close()
    end)

    it("stream a whole subtree", function()
      assert(c:create("/a"))
      local stream = assert(c:watch("/a", { recursive = true }))
      assert(raw.create(server, root .. "/a/b"))
      assert(raw.create(server, root .. "/a/b/c"))
      assert(raw.set(server, root .. "/a/b", "new"))
      assert(raw.delete(server, root .. "/a/b/c"))
      local seen = {}
      for _ = 1, 4 do
        local ev = assert(stream:next(10))
        seen[#seen + 1] = ev.type .. " " .. ev.path
      end
      assert.same({ "created /a/b", "created /a/b/c", "changed /a/b", "deleted /a/b/c" }, seen)
      stream:close()
      assert(c:get("/")) -- answered after the watch was taken off
      assert.equal("0", server:metrics().watch_count)
    end)

    it("keep a live value the newest", function()
      local live = assert(c:live("/a", { default = "none" }))
      assert.is_false(live.exists)
      assert.equal("none", live.data)
      assert(raw.create(server, root .. "/a", "one"))
      assert.equal("one", (assert(live:wait(function(data) return data == "one" end, 10))))
      assert(raw.set(server, root .. "/a", "two"))
      assert.equal("two", (assert(live:wait(function(data) return data == "two" end, 10))))
      assert(raw.delete(server, root .. "/a"))
      assert(live:wait(function(_, stat) return stat == nil end, 10))
      live:close()
    end)
  end)
end

for _, servers in ipairs({ require("support.apache"), (require("support.zkserver")) }) do
  describe("on " .. servers.NAME, function()
    suite(servers)
  end)
end
