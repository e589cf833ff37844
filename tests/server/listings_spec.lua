local host = require("server.host")

describe("four-letter words that list", function()
  local h
  local function new(options)
    h = host.new(options)
    return h
  end
  after_each(function()
    if h then
      h:free()
      h = nil
    end
  end)

  local lines = host.lines
  local function ask(...)
    return h:ask(...)
  end

  it("wchs, wchc and wchp tell who watches what, each path once", function()
    new({ commands = "*" })
    local c, d = h:attach(), h:attach()
    c:get("/", true)
    c:send("add_watch", { path = "/", kind = 0 })
    c:send("exists", { path = "/b", watch = true })
    d:send("get_children", { path = "/", watch = true }) -- of children only: not here
    d:send("add_watch", { path = "/b", kind = 1 })
    assert.are.equal("2 connections watching 2 paths\nTotal watches:3\n", ask("wchs"))
    local wchc = ask("wchc")
    assert.is_truthy(wchc == c.session .. "\n\t/\n\t/b\n" .. d.session .. "\n\t/b\n\n", wchc)
    local paths = lines(ask("wchp"))
    assert.are.equal(6, #paths)
    table.sort(paths)
    assert.are.same({ "", "\t" .. c.session, "\t" .. c.session, "\t" .. d.session, "/", "/b" },
      paths)
  end)

  it("dump names sessions, their ephemerals and connections", function()
    new({ commands = "*" })
    local c = h:attach({ timeout_ms = 10000 })
    c:create("/e1", { flags = 1 })
    c:create("/e2", { flags = 1 })
    h:settle()
    local list = lines(ask("dump"))
    assert.are.same({
      "SessionTracker dump:", "Session Sets (1)/(1):",
      -- bucket(1000000 + 10000) at ticks of 2 s: 12 s after 2023-11-14 22:13:20
      "1 expire at Tue Nov 14 22:13:32 UTC 2023:", "\t" .. c.session,
      "ephemeral nodes dump:", "Sessions with Ephemerals (1):", c.session .. ":",
    }, { (table.unpack or unpack)(list, 1, 7) })
    local paths = { list[8], list[9] }
    table.sort(paths)
    assert.are.same({ "\t/e1", "\t/e2" }, paths)
    assert.are.equal("Connections dump:", list[10])
    assert.are.equal("Connections Sets (1)/(2):", list[11])
    assert.are.equal("\tip: /127.0.0.1:40000 sessionId: " .. c.session, list[13])
  end)

  it("are bounded, however much there is to tell", function()
    new({ commands = "*" })
    local c = h:attach()
    local name = ("n"):rep(10000)
    for i = 1, 600 do
      c:send("add_watch", { path = "/" .. name .. i, kind = 0 })
    end
    local text = ask("wchc")
    assert.is_true(#text <= 4 * 1024 * 1024 and #text > 4 * 1024 * 1024 - 20000)
    assert.is_true(#ask("wchp") <= 4 * 1024 * 1024)
  end)
end)
