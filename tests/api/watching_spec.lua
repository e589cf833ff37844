-- Programs that follow what others do.
local program = require("api.program")(it, pending)

describe("a program", function()
  program("is woken by the first change", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/door", "closed"))
    local changed = zk.event()
    assert(c:get("/door", { watch = changed }))

    zk.spawn(function()
      assert(c:set("/door", "open"))
    end)
    assert.is_true(changed:wait(10))
    assert.equal("open", (assert(c:get("/door"))))
    assert(c:close())
  end)

  program("is called when a node appears", function(servers, zk)
    local c = assert(zk.connect(servers))
    local arrived, seen = zk.event(), nil
    assert.is_false((c:exists("/guest", { watch = function(event)
      seen = event
      arrived:set()
    end })))

    assert(c:create("/guest", "hello"))
    assert.is_true(arrived:wait(10))
    assert.equal("created", seen.type)
    assert.equal("/guest", seen.path)
    assert(c:close())
  end)

  program("prints what happens below a path until it has seen enough", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/services"))
    local stream = assert(c:watch("/services", { recursive = true }))
    zk.spawn(function()
      assert(c:create("/services/a", "1"))
      assert(c:set("/services/a", "2"))
      assert(c:delete("/services/a"))
      assert(c:create("/services/stop"))
    end)

    local lines = {}
    for ev in stream do
      lines[#lines + 1] = ev.type .. " " .. ev.path
      if ev.path == "/services/stop" then break end
    end
    assert.same({
      "created /services/a", "changed /services/a", "deleted /services/a", "created /services/stop",
    }, lines)
    assert(c:close())
  end)

  program("opens and leaves a stream in the head of a loop", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/bell", "0"))
    zk.spawn(function()
      for i = 1, 100 do
        if not c:set("/bell", tostring(i)) or not zk.sleep(0.01) then return end
      end
    end)

    local first
    for ev in assert(c:watch("/bell")) do
      first = ev
      break
    end
    assert.equal("changed", first.type)
    assert.equal("/bell", first.path)
    assert(c:close())
  end)

  program("lets a stream close itself on every way out", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/jobs"))
    local stream = assert(c:watch("/jobs", { data = false }))
    zk.spawn(function()
      assert(c:create("/jobs/one"))
    end)

    assert.equal("children", stream:each(function(ev)
      return ev.type
    end))
    local again, _, code = stream:next(0)
    assert.is_nil(again)
    assert.equal("CLOSED", code)
    assert(c:close())
  end)

  program("hears the end of its stream when the client closes", function(servers, zk)
    local c = assert(zk.connect(servers))
    local stream = assert(c:watch("/", { recursive = true }))
    assert(c:close())
    local last
    for ev in stream do
      last = ev
    end
    assert.equal("closed", last.type)
    assert.equal("CLOSED", last.code)
  end)

  program("has a switch that is off while nobody has set it", function(servers, zk)
    local c = assert(zk.connect(servers))
    local dark = assert(c:live("/features/dark", { default = "off" }))
    assert.equal("off", dark.data)
    assert.is_false(dark.exists)

    assert(c:set("/features/dark", "on", { create = true }))
    assert.equal("on", (assert(dark:wait(function(data) return data == "on" end, 10))))
    assert.is_true(dark.exists)
    assert.is_false(dark.stale)

    assert(c:delete("/features/dark"))
    assert.equal("off", (assert(dark:wait(function(data) return data == "off" end, 10))))
    dark:close()
    assert(c:close())
  end)

  program("applies each configuration that it gets to see", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/limit", "10"))
    local limit = assert(c:live("/limit"))
    local operator = zk.spawn(function()
      for _, value in ipairs({ "20", "30" }) do
        assert(c:set("/limit", value))
      end
    end)

    local applied
    limit:each(function(data)
      applied = tonumber(data)
      return applied == 30 or nil
    end)
    operator:wait()
    assert.equal(30, applied)
    assert(c:close())
  end)

  program("has a subtree in memory", function(servers, zk)
    local c = assert(zk.connect(servers))
    for name, data in pairs({ a = "10.0.0.1", b = "10.0.0.2" }) do
      assert(c:create("/services/web/" .. name, data, { parents = true }))
    end
    local services = c:cache("/services")
    assert(services:ready(10))

    assert.same({ "a", "b" }, services:children("/web"))
    assert.equal("10.0.0.2", (services:get("/web/b")))
    local paths = {}
    for path, node in services:pairs() do
      paths[#paths + 1] = path .. " " .. node.data
    end
    assert.same({ "/ ", "/web ", "/web/a 10.0.0.1", "/web/b 10.0.0.2" }, paths)
    assert(c:close())
  end)

  program("is told each change of a subtree, beginning with what is there", function(servers, zk)
    local c = assert(zk.connect(servers))
    assert(c:create("/jobs/1", "new", { parents = true }))
    local jobs = c:cache("/jobs")
    assert(jobs:ready(10))
    zk.spawn(function()
      assert(c:set("/jobs/1", "done"))
      assert(c:create("/jobs/2", "new"))
      assert(c:delete("/jobs/2"))
      assert(c:create("/jobs/stop"))
    end)

    local lines = {}
    for change in jobs:changes() do
      if change.type == "snapshot" then
        lines[1] = "snapshot of " .. #change.nodes
      elseif change.path == "/stop" then
        break
      elseif change.path == "/1" then
        lines[#lines + 1] = change.type .. " " .. change.path .. " " .. change.data
      end
    end
    assert.same({ "snapshot of 2", "changed /1 done" }, lines)
    jobs:close()
    assert(c:close())
  end)
end)
