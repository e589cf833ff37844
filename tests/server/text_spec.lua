local host = require("server.host")

describe("text", function()
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

  it("prints averages as Java prints doubles", function()
    new()
    local c = h:attach()
    for _, ms in ipairs({ 10, 5, 1 }) do
      c:set("/", "x")
      h:log()
      h:set_time(h.now + ms)
      h:commit()
    end
    -- the session itself took no time: (0 + 10 + 5 + 1) / 4
    assert.are.equal("Latency min/avg/max: 0/4.0/10", lines(ask("srvr"))[2])
    c:send("exists", { path = "/" })
    c:send("exists", { path = "/" })
    assert.are.equal("Latency min/avg/max: 0/2.6667/10", lines(ask("srvr"))[2])
  end)

  for _, case in ipairs({
    { 0, "Thu Jan 01 00:00:00 UTC 1970" }, { 951782399, "Mon Feb 28 23:59:59 UTC 2000" },
    { 951782400, "Tue Feb 29 00:00:00 UTC 2000" }, { 951868800, "Wed Mar 01 00:00:00 UTC 2000" },
    { 1735689599, "Tue Dec 31 23:59:59 UTC 2024" }, { 4107542400, "Mon Mar 01 00:00:00 UTC 2100" },
  }) do
    it("prints dates: " .. case[2], function()
      new({ commands = "*" })
      h.server:set_time(h.now, case[1] * 1000 - 60000) -- connections: one longest timeout from now
      h.server:set_time(h.now, case[1] * 1000 - 40000)
      assert.is_truthy(ask("dump"):find(" expire at " .. case[2] .. ":\n", 1, true))
    end)
  end
end)
