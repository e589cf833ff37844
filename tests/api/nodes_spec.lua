-- Programs that read and write nodes.
local program, _, apart = require("api.program")(it, pending)
local apache = require("support.apache")

describe("a program", function()
  program("publishes a release and lists the hosts", function(servers, zk)
    local c = assert(zk.connect(servers))
    for _, host in ipairs({ "web2", "web1" }) do
      assert(c:create("/app/hosts/" .. host, "up", { parents = true }))
    end

    assert(c:set("/app/release", "v42", { create = true }))
    local lines = {}
    for _, host in ipairs(assert(c:children("/app/hosts"))) do
      lines[#lines + 1] = host .. " " .. assert(c:get("/app/hosts/" .. host))
    end
    assert(c:close())

    assert.same({ "web1 up", "web2 up" }, lines)
  end)

  program("takes power only when the leader is known to be absent", function(servers, zk)
    local c = assert(zk.connect(servers))
    local function lead_if_alone()
      if c:exists("/leader") == false then -- surely absent; nil would be "I do not know"
        return c:create("/leader", "me", { ephemeral = true })
      end
    end

    assert(lead_if_alone())
    assert.is_nil(lead_if_alone())
    local stat = assert(c:exists("/leader"))
    assert.equal(c:session().id, stat.ephemeral_owner)

    assert(c:close())
    assert.error_matches(function() c:exists("/leader") end, "closed")
  end)

  apart("knows the three answers of exists by their codes", function(servers, zk)
    local c = assert(zk.connect(servers))
    local answer, message, code = c:exists("/nobody")
    assert.is_false(answer)
    assert.equal(zk.code.NONODE, code)
    assert.matches("/nobody", message, 1, true)

    apache.shared():pause() -- a server that stands still
    local unknown, _, reason = c:exists("/nobody", { timeout = 0.1 })
    apache.shared():resume()
    assert.is_nil(unknown)
    assert.equal(zk.code.TIMEOUT, reason)
    assert(c:close())
  end)

  program("reads a node without data as an empty string", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/marker", zk.null))
    local data, stat = assert(c:get("/marker"))
    assert.equal("", data)
    assert.is_true(stat.null)

    assert(c:set("/marker", ""))
    data, stat = assert(c:get("/marker"))
    assert.equal("", data)
    assert.is_falsy(stat.null)
    assert(c:close())
  end)

  program("counts with compare and set", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/visits", "0"))
    local function visit()
      return assert(c:update("/visits", function(data)
        return ("%d"):format(tonumber(data) + 1)
      end))
    end

    zk.group(function(g)
      for _ = 1, 8 do
        g:spawn(visit)
      end
    end)

    assert.equal("8", (assert(c:get("/visits"))))
    assert(c:close())
  end)

  program("does not overwrite what it has not read", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/config", "one"))
    local _, stat = assert(c:get("/config"))
    assert(c:set("/config", "two"))

    local ok, message, code = c:set("/config", "three", { version = stat.version })
    assert.is_nil(ok)
    assert.equal("BADVERSION", code)
    assert.matches("/config", message, 1, true)
    assert.equal("two", (assert(c:get("/config"))))
    assert(c:close())
  end)

  program("creates two nodes or none", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:transaction():create("/order", "42"):create("/order/line-1", "3 apples"):commit())

    local results, message, code, index = c:transaction()
      :create("/invoice", "42")
      :create("/order/line-1", "4 apples")
      :commit()
    assert.is_nil(results)
    assert.equal("NODEEXISTS", code)
    assert.equal(2, index)
    assert.matches("/order/line-1", message, 1, true)
    assert.is_false((c:exists("/invoice")))
    assert(c:close())
  end)

  program("moves a node if nobody has touched it", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/new", "work"))
    local data, stat = assert(c:get("/new"))
    local results = assert(c:transaction()
      :check("/new", { version = stat.version })
      :create("/taken", data)
      :delete("/new")
      :commit())

    assert.equal(3, #results)
    assert.equal("/taken", results[2].path)
    assert.same({ "taken" }, assert(c:children("/")))
    assert(c:close())
  end)

  program("writes a log that stays in order", function(servers, zk)
    local c = assert(zk.connect(servers))
    for _, line in ipairs({ "boot", "listen", "ready" }) do
      assert(c:create("/log/entry-", line, { sequential = true, parents = true }))
    end

    local lines = {}
    for _, name in ipairs(assert(c:children("/log"))) do
      lines[#lines + 1] = name .. " " .. assert(c:get("/log/" .. name))
    end
    assert.same({ "entry-0000000000 boot", "entry-0000000001 listen", "entry-0000000002 ready" },
      lines)
    assert(c:close())
  end)

  program("is seen while it runs, and no longer", function(servers, zk)
    local watcher = assert(zk.connect(servers))
    local c = assert(zk.connect(servers))
    assert(c:create("/here", zk.hostname(), { ephemeral = true }))
    assert.same({ "/here" }, assert(c:ephemerals()))
    assert(watcher:exists("/here"))

    assert(c:close())
    assert(watcher:sync("/here"))
    assert.is_false((watcher:exists("/here")))
    assert(watcher:close())
  end)

  program("clears up below a path", function(servers, zk)
    local c = assert(zk.connect(servers))
    for day = 1, 3 do
      assert(c:ensure(("/tmp/day-%d/cache"):format(day)))
    end
    assert.equal(6, assert(c:count("/tmp")))

    local ok, message, code = c:delete("/tmp")
    assert.is_nil(ok)
    assert.equal("NOTEMPTY", code)
    assert.matches("recursive", message, 1, true)
    assert.is_true(c:delete("/tmp", { recursive = true }))
    assert.is_true(c:delete("/tmp", { missing_ok = true }))
    assert(c:close())
  end)

  program("is told what to do about a missing parent", function(servers, zk)
    local c = assert(zk.connect(servers))
    local path, message, code = c:create("/a/b/c", "x")
    assert.is_nil(path)
    assert.equal("NONODE", code)
    assert.matches("/a/b/c", message, 1, true)
    assert.matches("parents", message, 1, true)

    assert.equal("/a/b/c", (assert(c:create("/a/b/c", "x", { parents = true }))))
    assert(c:close())
  end)

  program("reads a page of nodes in one request", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/user", "ann"))
    assert(c:create("/user/mail", "ann@example.org"))
    local results = assert(c:read_many({
      { "get", "/user/mail" },
      { "children", "/user" },
      { "get", "/user/phone" },
    }))

    assert.equal("ann@example.org", results[1].data)
    assert.same({ "mail" }, results[2].children)
    assert.equal("NONODE", results[3].code)
    assert(c:close())
  end)

  program("keeps to its own corner", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:ensure("/tenants/blue"))
    local blue = c:at("/tenants/blue")
    assert.equal("/settings", (assert(blue:create("/settings", "dark"))))

    assert.equal("dark", (assert(c:get("/tenants/blue/settings"))))
    assert.same({ "settings" }, assert(blue:children("/")))
    assert(c:close())
  end)

  program("keeps a secret", function(servers, zk)
    local owner = assert(zk.connect(servers, { auth = { { "digest", "ann:secret" } } }))
    assert(owner:create("/diary", "dear diary", { acl = "creator" }))
    assert(owner:create("/poem", "roses", { acl = {
      zk.acl.digest("ann", "secret"),
      { perms = "r", scheme = "world", id = "anyone" },
    } }))

    local stranger = assert(zk.connect(servers))
    local data, message, code = stranger:get("/diary")
    assert.is_nil(data)
    assert.equal("NOAUTH", code)
    assert.matches("/diary", message, 1, true)
    assert.equal("roses", (assert(stranger:get("/poem"))))

    assert(stranger:add_auth("digest", "ann:secret"))
    assert.equal("dear diary", (assert(stranger:get("/diary"))))
    assert(owner:close())
    assert(stranger:close())
  end)

  program("reads what another has just written", function(servers, zk)
    local writer, reader = assert(zk.connect(servers)), assert(zk.connect(servers))
    assert(writer:create("/balance", "100"))
    assert.equal("100", (assert(reader:get("/balance", { fresh = true }))))
    assert(writer:close())
    assert(reader:close())
  end)

  program("leaves something that goes by itself", function(servers, zk)
    local c = assert(zk.connect(servers))
    local path, stat = assert(c:create("/hint", "cached until it is stale", { ttl = 60000 }))
    assert.equal("/hint", path)
    assert.equal(0, stat.version)
    assert(c:create("/batch", "", { container = true }))
    assert(c:close())
  end)
end)
