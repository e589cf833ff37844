local codec = require("wire.codec")
local sessions = require("zklua_testing").sessions

local TICK = 3000

local function new(options)
  options = options or {}
  return sessions.table({
    tick = options.tick or TICK, max = options.max or 60000, server_id = options.server_id or 1,
    keep = options.keep, fails = options.fails,
  })
end

local function id_of(number)
  return ("0x%x"):format(number)
end

--- All that have expired by now, as a set of ids.
local function expired(t, now)
  local set, count = {}, 0
  local id = t:next_expired(now)
  while id do
    assert.is_nil(set[id], "given out twice")
    set[id], count = true, count + 1
    id = t:next_expired(now)
  end
  return set, count
end

describe("the table of sessions", function()
  local t
  after_each(function()
    if t then
      local memory = t:free()
      assert.are.same({ 0, 0 }, { memory.bytes, memory.blocks })
      t = nil
    end
  end)

  it("finds what was put in and not taken out", function()
    t = new()
    local random, known = codec.random(8), {}
    for _ = 1, 3000 do
      local id = id_of(random.below(300) + 1)
      if known[id] then
        t:remove(id)
        known[id] = nil
      else
        local timeout = random.below(60000)
        assert.is_true(t:insert(id, timeout, 0))
        known[id] = timeout
      end
      local other = id_of(random.below(300) + 1)
      local timeout, logged = t:find(other)
      assert.are.equal(known[other], timeout)
      assert.are.equal(known[other], logged)
    end
  end)

  describe("gives ids", function()
    for _, case in ipairs({
      -- (wall clock << 24) >>> 8, with the server's number in front
      { server = 1, wall = 0x1a1ffb96947, first = "0x1a1ffb969470000" },
      { server = 254, wall = 0x1a1ffb96947, first = "0xfea1ffb969470000" },
      { server = 1, wall = 0, first = "0x100000000000000" },
      { server = 0, wall = 0, first = "0x1" }, -- 0 is nobody's
      { server = 128, wall = 0, first = "0x8000000000000001" }, -- and that a container's owner
    }) do
      it(("of server %d from %s on"):format(case.server, case.first), function()
        t = new({ server_id = case.server })
        t:begin(case.server, case.wall)
        assert.are.equal(case.first, t:take_id())
        local digit = tonumber(case.first:sub(-1), 16)
        assert.are.equal(case.first:sub(1, -2) .. ("%x"):format(digit + 1), t:take_id())
      end)
    end

    it("above all that were there, also of sessions that are closed", function()
      t = new()
      assert(t:insert("0x1a1ffb969470055", 1000, 0))
      assert(t:insert("0x1a1ffb969470077", 1000, 0))
      assert(t:insert("0x2ffffffffffffff", 1000, 0)) -- another server's
      t:remove("0x1a1ffb969470077")
      t:begin(1, 0x1a1ffb96947)
      assert.are.equal("0x1a1ffb969470078", t:take_id())
    end)

    it("above those from a time that is still to come", function()
      t = new()
      assert(t:insert("0x1f0000000000000", 1000, 0))
      t:begin(1, 0x1a1ffb96947)
      assert.are.equal("0x1f0000000000001", t:take_id())
    end)

    it("that stay the server's own after the last one", function()
      t = new()
      assert(t:insert("0x1fffffffffffffe", 1000, 0))
      assert(t:insert("0x100000000000000", 1000, 0))
      assert(t:insert("0x100000000000001", 1000, 0))
      t:begin(1, 0)
      assert.are.equal("0x1ffffffffffffff", t:take_id())
      assert.are.equal("0x100000000000002", t:take_id())
    end)
  end)

  describe("lets a session expire", function()
    it("at the end of the tick after its timeout", function()
      for _, case in ipairs({
        { now = 0, timeout = 6000, at = 9000 }, { now = 1, timeout = 6000, at = 9000 },
        { now = 2999, timeout = 6000, at = 9000 }, { now = 3000, timeout = 6000, at = 12000 },
        { now = 100, timeout = 0, at = 3000 }, { now = 100, timeout = -5, at = 3000 },
        { now = -100, timeout = 50, at = 0 }, { now = -9000, timeout = 6000, at = 0 },
      }) do
        t = new()
        assert(t:insert("0x1", case.timeout, case.now))
        local _, _, expires = t:find("0x1")
        assert.are.equal(case.at, expires)
        assert.is_nil(t:next_expired(case.at - 1))
        assert.are.equal("0x1", t:next_expired(case.at))
        assert.is_nil(t:next_expired(case.at + 100000))
        t:free()
      end
      t = nil
    end)

    it("later when it is touched, by its timeout of then", function()
      t = new()
      assert(t:insert("0x1", 6000, 0))
      t:touch("0x1", 5000)
      assert.is_nil(t:next_expired(11999))
      t:touch("0x1", 11999, 30000)
      assert.are.same({ 30000, 6000, 42000 }, { t:find("0x1") })
      assert.is_nil(t:next_expired(41999))
      t:touch("0x1", 41999, 1000) -- a shorter timeout counts at once
      assert.is_nil(t:next_expired(41999))
      assert.are.equal("0x1", t:next_expired(45000))
    end)

    it("no more when it is gone or closing", function()
      t = new()
      for id = 1, 3 do
        assert(t:insert(id_of(id), 6000, 0))
      end
      t:remove("0x1")
      t:set_closing("0x2")
      t:touch("0x2", 50000) -- does nothing
      assert.are.same({ ["0x3"] = true }, (expired(t, 100000)))
      assert.is_nil(t:deadline())
      assert.are.equal(2, t:count())
      t:remove("0x2")
    end)

    it("never, in a table that keeps its sessions", function()
      t = new({ keep = true })
      assert(t:insert("0x1", 1, 0))
      t:touch("0x1", 5)
      assert.is_nil(t:deadline())
      assert.is_nil(t:next_expired(1e15))
      t:restart(7)
      assert.is_nil(t:deadline())
      t:remove("0x1")
    end)

    it("after more time than the ring has ticks", function()
      t = new({ max = 6000 }) -- a ring of four
      assert(t:insert("0x1", 2147483647, 0))
      assert(t:insert("0x2", 40000, 0))
      assert(t:insert("0x3", 4000, 0))
      local found = {}
      local now = 0
      while t:deadline() and now < 60000 do
        now = t:deadline()
        for id in pairs((expired(t, now))) do
          found[id] = now
        end
      end
      assert.are.same({ ["0x3"] = 6000, ["0x2"] = 42000 }, found)
      assert.is_nil(t:next_expired(2147483647))
      assert.are.equal("0x1", t:next_expired(2147484000))
    end)

    it("at the next look after a leap of any length", function()
      for _, leap in ipairs({ 9000, 60000, 66000, 69000, 1e9, 1e15 }) do
        t = new()
        for id = 1, 20 do
          assert(t:insert(id_of(id), id * 3000, 0))
        end
        local _, count = expired(t, leap)
        assert.are.equal(leap == 9000 and 2 or leap == 60000 and 19 or 20, count)
        t:free()
      end
      t = nil
    end)
  end)

  it("wants to be looked at every tick, and only while somebody waits", function()
    t = new()
    assert.is_nil(t:deadline())
    assert(t:insert("0x1", 30000, 3500))
    assert.are.equal(6000, t:deadline())
    assert.is_nil(t:next_expired(5999))
    assert.are.equal(6000, t:deadline())
    for now = 6000, 33000, 3000 do
      assert.are.equal(now, t:deadline())
      assert.is_nil(t:next_expired(now))
    end
    assert.are.equal("0x1", t:next_expired(36000))
    assert.is_nil(t:deadline())
    t:remove("0x1")
    assert(t:insert("0x2", 30000, 1000000))
    assert.are.equal(1002000, t:deadline())
  end)

  it("loses nobody when it is not asked to the end", function()
    t = new()
    for id = 1, 100 do
      assert(t:insert(id_of(id), 6000, 0))
    end
    local seen = {}
    for _ = 1, 40 do
      seen[t:next_expired(9000)] = true
    end
    for id = 1, 100 do
      if not seen[id_of(id)] and id % 2 == 0 then
        t:touch(id_of(id), 9000) -- in the meantime
      end
    end
    local rest = expired(t, 9000)
    for id = 1, 100 do
      local alive = not seen[id_of(id)] and id % 2 == 0
      assert.are.equal(not alive and not seen[id_of(id)] or nil, rest[id_of(id)])
    end
    expired(t, 18000)
    assert.is_nil(t:deadline())
  end)

  it("gives back missed time to everybody, and to those who come later nothing", function()
    t = new()
    assert(t:insert("0x1", 6000, 0)) -- would expire at 9000
    assert(t:insert("0x2", 30000, 0)) -- at 33000
    t:grant(20000)
    assert.are.same({ 6000, 6000, 29000 }, { t:find("0x1") })
    assert.is_nil(t:next_expired(28999))
    assert(t:insert("0x3", 6000, 21500)) -- with its own time only
    assert.are.same({ 6000, 6000, 29000 }, { t:find("0x3") })
    assert.are.same({ ["0x1"] = true, ["0x3"] = true }, (expired(t, 29000)))
    assert.are.equal(32000, t:deadline())
    assert.is_nil(t:next_expired(52999))
    assert.are.equal("0x2", t:next_expired(53000))
  end)

  it("adds up what it gives back", function()
    t = new()
    assert(t:insert("0x1", 6000, 0)) -- would expire at 9000
    t:grant(4000)
    t:grant(0)
    t:grant(700)
    assert.are.same({ 6000, 6000, 13700 }, { t:find("0x1") })
    assert.is_nil(t:next_expired(13699))
    assert.are.equal("0x1", t:next_expired(13700))
  end)

  it("finds those whose time is up in a tick that it has looked at before it granted", function()
    t = new()
    assert(t:insert("0x1", 60000, 0))
    assert.is_nil(t:next_expired(21000))
    t:grant(20000)
    assert(t:insert("0x2", 0, 21500))
    assert.are.same({ 0, 0, 23000 }, { t:find("0x2") })
    assert.are.equal(23000, t:deadline())
    assert.is_nil(t:next_expired(22999))
    assert.are.equal("0x2", t:next_expired(23000))
  end)

  it("grants also those who were heard of before the tick that was late", function()
    t = new()
    assert(t:insert("0x1", 6000, 0))
    assert(t:insert("0x2", 6000, 0))
    assert.is_nil(t:next_expired(3000))
    t:touch("0x1", 50000) -- its ping waited in the socket: fed before the tick
    t:grant(47000)
    local _, count = expired(t, 50000)
    assert.are.equal(0, count)
    assert.are.equal("0x2", t:next_expired(9000 + 47000))
    -- Touched again, it has its timeout from then on, whatever was granted before.
    t:touch("0x1", 56000)
    local _, _, expires = t:find("0x1")
    assert.is_true(expires > 62000 and expires <= 65000)
    assert.is_nil(t:next_expired(62000))
    assert.are.equal("0x1", t:next_expired(65000))
  end)

  it("starts everybody's time anew", function()
    t = new()
    for id = 1, 50 do
      assert(t:insert(id_of(id), 3000 + id * 100, 0))
    end
    t:restart(1000000)
    assert.is_nil(t:next_expired(1003099))
    local seen = {}
    for now = 1003100, 1015000, 100 do
      for id in pairs((expired(t, now))) do
        seen[tonumber(id:sub(3), 16)] = now
      end
    end
    for id = 1, 50 do
      local due = 1000000 + 3000 + id * 100
      assert.is_true(seen[id] > due and seen[id] <= due + TICK)
    end
  end)

  it("expires nobody early and nobody later than two ticks, whatever happens", function()
    for seed = 1, 12 do
      local random = codec.random(seed)
      local tick = random.pick({ 1, 7, 100, 2000, 3000 })
      t = new({ tick = tick, max = tick * random.pick({ 1, 5, 20 }) })
      local now, alive, last_id = random.below(100000), {}, 0
      for _ = 1, 4000 do
        -- A driver that is late by up to half a tick.
        local step = random.below(tick)
        local deadline = t:deadline()
        if deadline and deadline <= now + step then
          now = math.max(now, deadline + random.below(math.floor(tick / 2) + 1))
        else
          now = now + step
        end
        for id in pairs((expired(t, now))) do
          local session = alive[id]
          assert.is_true(now > session.since + session.timeout, "too early")
          assert.is_true(now <= session.since + session.timeout + 2 * tick, "too late")
          alive[id] = nil
          t:remove(id)
        end
        local what = random.below(10)
        local id = id_of(random.below(last_id + 1) + 1)
        if what < 3 then
          last_id = last_id + 1
          id = id_of(last_id)
          local timeout = random.below(25 * tick)
          assert(t:insert(id, timeout, now))
          alive[id] = { since = now, timeout = timeout }
        elseif alive[id] and what < 9 then
          t:touch(id, now)
          alive[id].since = now
        elseif alive[id] then
          t:remove(id)
          alive[id] = nil
        end
      end
      local _, count = expired(t, now + 30 * tick)
      for _ in pairs(alive) do
        count = count - 1
      end
      assert.are.equal(0, count)
      t:free()
    end
    t = nil
  end)

  it("takes in what was reserved, however many, without any memory", function()
    t = new()
    t:begin(1, 5)
    assert.are.equal(1000, t:insert_many(1000, 6000, 0, true))
    assert.are.equal(1000, t:count())
  end)

  it("is as it was when there is no memory", function()
    assert.is_nil(new({ fails = true }))
    t = new()
    for fails = 1, 2 do
      t:fail(fails)
      assert.is_false(t:insert("0x1", 6000, 0))
      assert.is_nil(t:find("0x1"))
      assert.is_nil(t:deadline())
    end
    t:fail(0)
    assert.is_true(t:reserve())
    assert.are.equal(0, t:count())
    assert.is_true(t:insert("0x1", 6000, 0))
  end)
end)
