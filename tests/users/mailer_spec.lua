local mailer = require "users.mailer"
local zk = require "zklua"

describe("the mailer", function()
  local server, sender, sent

  before_each(function()
    server, sent = zk.server(), {}
    sender = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  local function deliver(letter)
    sent[#sent + 1] = letter
    return true
  end

  local function work(fn, options)
    return mailer.work(assert(server:client()), fn or deliver, options or { idle = 0 })
  end

  local function send(...)
    for _, letter in ipairs({ ... }) do
      assert(mailer.send(sender, letter))
    end
  end

  it("delivers in the order of sending", zk.test(function()
    send("one", "two", "three")
    assert.equal(3, work())
    assert.same({ "one", "two", "three" }, sent)
  end))

  it("ends when there is nothing to deliver", zk.test(function()
    assert.equal(0, work())
  end))

  it("waits for letters to come", zk.test(function()
    local working = zk.spawn(work, deliver, { idle = 0.05 })
    zk.sleep(0.002)
    send("one")
    zk.sleep(0.002)
    send("two")
    assert.equal(2, working:wait(5))
  end))

  it("takes any bytes for a letter", zk.test(function()
    send("", "\0\255", ("x"):rep(100000))
    assert.equal(3, work())
    assert.same({ "", "\0\255", ("x"):rep(100000) }, sent)
  end))

  it("shares the letters out, each to one worker", zk.test(function()
    for i = 1, 30 do
      send("letter " .. i)
    end
    local counts, times = {}, {}
    zk.group(function(group)
      for worker = 1, 3 do
        group:spawn(function()
          counts[worker] = assert(work(function(letter)
            times[letter] = (times[letter] or 0) + 1
            zk.pause()
            return true
          end))
        end)
      end
    end)
    assert.equal(30, counts[1] + counts[2] + counts[3])
    for i = 1, 30 do
      assert.equal(1, times["letter " .. i])
    end
  end))

  it("tries again what could not be delivered", zk.test(function()
    send("one", "two")
    local tries = 0
    assert.equal(2, work(function(letter)
      tries = tries + 1
      return tries > 1 and deliver(letter)
    end))
    assert.equal(3, tries)
    table.sort(sent)
    assert.same({ "one", "two" }, sent)
  end))

  it("lays a letter aside after so many attempts", zk.test(function()
    send("bad", "good")
    local tries = 0
    assert.equal(1, work(function(letter)
      if letter == "bad" then
        tries = tries + 1
        return false, "no such street"
      end
      return deliver(letter)
    end, { idle = 0, attempts = 5 }))
    assert.equal(5, tries)
    assert.same({ "bad" }, mailer.laid_aside(sender))
  end))

  it("tells a person why", zk.test(function()
    send("bad")
    assert.equal(0, work(function()
      return false, "no such street"
    end, { idle = 0, attempts = 1 }))
    local found = assert(sender:cache("/mail/outbox-failed"))
    assert(found:ready())
    local reasons = {}
    for _, node in found:pairs() do
      reasons[node.data] = true
    end
    assert.is_true(reasons["no such street"])
  end))

  it("lays aside what makes the program fail, and goes on", zk.test(function()
    send("bad", "good")
    assert.equal(1, work(function(letter)
      assert(letter ~= "bad", "cannot read this")
      return deliver(letter)
    end))
    assert.same({ "bad" }, mailer.laid_aside(sender))
    assert.same({ "good" }, sent)
  end))

  it("has laid nothing aside when all went well", zk.test(function()
    send("one")
    assert.equal(1, work())
    assert.same({}, mailer.laid_aside(sender))
    assert.equal(0, work())
  end))

  it("gives a letter to another when its worker's session expires", zk.test(function()
    send("one")
    local c = assert(server:client())
    local first = zk.spawn(mailer.work, c, function(_, item)
      server:expire(c)
      assert.is_true(item.lost:wait(5))
      return true -- out of the door, and nobody knows
    end, { idle = 0 })
    assert.equal(1, work(deliver, { idle = 0.02 }))
    assert.equal(0, first:wait(5))
    assert.same({ "one" }, sent)
  end))

  it("gives a letter to another when its worker ends", zk.test(function()
    send("one")
    local c = assert(server:client())
    local begun = zk.event()
    local working = zk.spawn(mailer.work, c, function()
      begun:set()
      return zk.sleep(60)
    end, { idle = 0 })
    assert.is_true(begun:wait(5))
    assert(c:close())
    assert.equal(1, work(deliver, { idle = 0.02 }))
    working:cancel()
  end))

  it("delivers once over a broken connection", zk.test(function()
    send("one", "two")
    local c = assert(server:client())
    assert.equal(2, mailer.work(c, function(letter)
      server:cut(c)
      return deliver(letter)
    end, { idle = 0 }))
    assert.same({ "one", "two" }, sent)
  end))

  it("loses nothing while the server is away", zk.test(function()
    send("one", "two")
    assert.equal(2, work(function(letter)
      server:stop()
      zk.spawn(function()
        zk.sleep(0.002)
        server:start()
      end)
      return deliver(letter)
    end))
    assert.same({ "one", "two" }, sent)
  end))

  for _, mishap in ipairs({ "drop_reply", "drop_request" }) do
    it("delivers each letter once, whatever the worker loses: " .. mishap, zk.test(function()
      for n = 1, 12 do
        local c = assert(server:client())
        send("one", "two")
        sent = {}
        server[mishap](server, c, n)
        assert.equal(2, (assert(mailer.work(c, deliver, { idle = 0.02 }))))
        assert.same({ "one", "two" }, sent)
        assert(c:close())
      end
    end))

    it("delivers a letter at least once, whatever the sender loses: " .. mishap, zk.test(function()
      for n = 1, 6 do
        local c = assert(server:client())
        server[mishap](server, c, n)
        sent = {}
        assert(mailer.send(c, "one"))
        assert.is_true(work() >= 1)
        assert.equal("one", sent[1])
        assert(c:close())
      end
    end))
  end

  it("does not know who may not send", zk.test(function()
    assert(sender:create("/mail", "", { acl = "read" }))
    assert.equal("NOAUTH", select(3, mailer.send(sender, "one")))
  end))

  for _, case in ipairs({
    { "a letter that is none", function() mailer.send(sender, nil) end, "data" },
    { "a worker that cannot deliver", function() mailer.work(sender, "x", {}) end, "deliver" },
  }) do
    it("refuses " .. case[1], zk.test(function()
      assert.error_matches(case[2], case[3])
    end))
  end
end)
