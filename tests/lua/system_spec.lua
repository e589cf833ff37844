-- Simulated systems: a clock that stands still, random numbers from a seed, servers with a log.
local core = require("zklua.core")
local frames = require("support.frames")

local function simulate(seed)
  return core.simulate({ seed = seed or 1, hostname = "sim1", pid = 7 })
end

local HANDSHAKE = "\0\0\0\0" .. ("\0"):rep(8) .. "\0\0\x75\x30" .. ("\0"):rep(8)
  .. "\0\0\0\16" .. ("\0"):rep(16)
local function frame(body)
  return frames.i32(#body) .. body
end
local function create(xid, path)
  return frame(frames.i32(xid) .. frames.i32(1) .. frames.i32(#path) .. path .. frames.i32(1)
    .. "x" .. frames.i32(1) .. frames.i32(31) .. frames.i32(5) .. "world" .. frames.i32(6)
    .. "anyone" .. frames.i32(0))
end

describe("core.simulate", function()
  it("has its own identity", function()
    local system = simulate()
    assert.equal("sim1", system.hostname())
    assert.equal(7, system.pid())
    assert.is_nil(system.drain)
    assert.is_false(system.forked())
    assert.equal(core.codes.NONODE, system.codes.NONODE)
  end)

  it("keeps the time it was told", function()
    local system = simulate()
    assert.equal(0, system.now())
    system.set_time(1.25, 1e9)
    assert.equal(1.25, system.now())
    assert.error_matches(function() system.set_time(1, 1e9) end, "does not go back")
    assert.equal(1.25, system.now())
    system.set_time(1.25, 5) -- a wall clock may
  end)

  it("gives the same random numbers for the same seed", function()
    assert.equal(simulate(3).random_hex(16), simulate(3).random_hex(16))
    assert.are_not.equal(simulate(3).random_hex(16), simulate(4).random_hex(16))
  end)

  it("makes clients and servers that know its clock only, and outlive it", function()
    local system = simulate()
    system.set_time(100, 1e9)
    local client = system.client({ endpoints = { "a:1" }, session_timeout = 9 })
    local server = system.server({})
    server:accept()
    assert.equal(110, server:deadline())
    local kind, link, _, not_before = client:event()
    assert.equal("connect", kind)
    assert.equal(100, not_before)
    client:connected(link)
    assert.is_true(client:deadline() > 100 and client:deadline() < 200)
    local set_time = system.set_time
    system = nil -- luacheck: ignore
    collectgarbage()
    collectgarbage()
    set_time(111, 1e9)
    server:tick()
    assert.equal("at once", select(3, server:changed()))
  end)

  for _, case in ipairs({
    { "no table", 1, "table expected" },
    { "no seed", { hostname = "x" }, "seed" },
    { "no hostname", { seed = 1 }, "hostname" },
    { "a long hostname", { seed = 1, hostname = ("x"):rep(256) }, "too long" },
    { "a pid that is none", { seed = 1, hostname = "x", pid = 0 }, "pid" },
  }) do
    it("refuses " .. case[1], function()
      assert.error_matches(function() core.simulate(case[2]) end, case[3])
    end)
  end
end)

describe("core.mix", function()
  it("gives whole numbers that follow from all three", function()
    local first = core.mix(1, "a", 1)
    assert.equal(first, core.mix(1, "a", 1))
    for _, other in ipairs({ core.mix(2, "a", 1), core.mix(1, "b", 1), core.mix(1, "a", 2) }) do
      assert.are_not.equal(first, other)
      assert.is_true(other >= 0 and other < 2 ^ 53 and other % 1 == 0)
    end
  end)
end)

describe("a server with a log", function()
  local function serving(log)
    local server = simulate().server({ log = true })
    for _, payload in ipairs(log) do
      server:replay(payload)
    end
    server:start()
    return server
  end
  -- What it would write, and the last zxid.
  local function take(server, log)
    local last
    while true do
      local zxid, payload = server:next_txn()
      if not zxid then
        return last
      end
      log[#log + 1] = payload
      last = zxid
    end
  end

  it("says nothing before its transactions are durable", function()
    local log, server = {}, serving({})
    local number = server:accept()
    server:feed(number, frame(HANDSHAKE))
    assert.is_nil(server:output(number))
    local zxid = take(server, log)
    assert.equal(1, zxid)
    assert.is_nil((server:next_txn()))
    assert.is_nil(server:output(number))
    while server:changed() do
      assert.is_nil(server:output(number))
    end
    server:committed(zxid)
    assert.equal(number, (server:changed()))
    assert.is_string(server:output(number))
  end)

  it("is after a crash what its log says", function()
    local log, server = {}, serving({})
    local number = server:accept()
    server:feed(number, frame(HANDSHAKE))
    server:committed(take(server, log))
    server:feed(number, create(1, "/a"))
    server:committed(take(server, log))
    server:feed(number, create(2, "/b"))
    take(server, {}) -- and the power goes
    local again = serving(log)
    assert.equal(5, again:info().nodes) -- the four of every tree, and /a
    assert.equal(1, again:info().sessions)
  end)

  for _, case in ipairs({
    { "a transaction that nobody has seen", function() serving({}):committed(1) end, "zxid" },
    { "a log that makes no sense", function() serving({ "nonsense" }) end, "%w" },
    { "serving before it is started", function()
      simulate().server({ log = true }):next_txn()
    end, "not been started" },
    { "a replay while it serves", function() serving({}):replay("") end, "serves already" },
    { "a log where there is none", function() simulate().server({}):next_txn() end, "no log" },
  }) do
    it("refuses " .. case[1], function()
      assert.error_matches(case[2], case[3])
    end)
  end
end)
