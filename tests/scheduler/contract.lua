--- The scheduler contract as a specification that every scheduler must meet.
---
--- `host` says how to make one and how to run a function in it:
---   make(options) -> scheduler
---   run(scheduler, fn) runs fn as a coroutine of the scheduler, to its end
---   listen(scheduler) -> port, close: something that accepts and echoes
local DEADLINE = 10

return function(describe, it, assert, host)
  describe("the scheduler " .. host.name, function()
    local function with(fn)
      return function()
        local scheduler = host.make({})
        host.run(scheduler, function()
          fn(scheduler)
        end)
      end
    end

    describe("event", function()
      it("remembers a set that nobody waits for, once", with(function(s)
        local event = s.event()
        event:set()
        event:set()
        assert.is_true(event:wait())
        assert.is_false(event:wait(s.now() + 0.01))
      end))

      it("wakes its waiter after the setter has gone on", with(function(s)
        local order, event, done = {}, s.event(), s.event()
        s.spawn(function()
          event:wait()
          order[#order + 1] = "waiter"
          done:set()
        end)
        s.sleep(0)
        event:set()
        order[#order + 1] = "setter"
        done:wait()
        assert.same({ "setter", "waiter" }, order)
      end))

      it("runs waiters in the order they were set", with(function(s)
        local order, events, done = {}, {}, s.event()
        for i = 1, 5 do
          events[i] = s.event()
          s.spawn(function()
            events[i]:wait()
            order[#order + 1] = i
            if #order == 5 then
              done:set()
            end
          end)
        end
        s.sleep(0)
        for _, i in ipairs({ 3, 1, 5, 2, 4 }) do
          events[i]:set()
        end
        assert.is_true(done:wait(s.now() + DEADLINE))
        assert.same({ 3, 1, 5, 2, 4 }, order)
      end))

      it("is remembered when it is set between waking and running", with(function(s)
        local event, done, count = s.event(), s.event(), 0
        s.spawn(function()
          while count < 2 do
            event:wait()
            count = count + 1
          end
          done:set()
        end)
        s.sleep(0)
        event:set()
        event:set()
        assert.is_true(done:wait(s.now() + DEADLINE))
      end))

      it("gives up at its deadline, and not before", with(function(s)
        local began = s.now()
        assert.is_false(s.event():wait(began + 0.03))
        assert.is_true(s.now() - began >= 0.03)
        assert.is_false(s.event():wait(began))
      end))

      it("takes a set before the deadline, and the deadline is forgotten", with(function(s)
        local event = s.event()
        s.spawn(function()
          event:set()
        end)
        assert.is_true(event:wait(s.now() + 0.02))
        assert.is_false(event:wait(s.now() + 0.05))
      end))

      it("refuses a second waiter", with(function(s)
        local event, failure = s.event(), nil
        s.spawn(function()
          event:wait()
        end)
        s.sleep(0)
        local ok
        ok, failure = pcall(event.wait, event)
        assert.is_false(ok)
        assert.matches("one waiter", failure, 1, true)
        event:set()
        s.sleep(0)
      end))
    end)

    describe("spawn", function()
      it("starts later, in order, with its arguments", with(function(s)
        local order, done = {}, s.event()
        for i = 1, 3 do
          s.spawn(function(a, b, c)
            order[#order + 1] = a .. tostring(b) .. c
            if i == 3 then
              done:set()
            end
          end, i, nil, "x")
        end
        assert.same({}, order)
        done:wait()
        assert.same({ "1nilx", "2nilx", "3nilx" }, order)
      end))

      it("gives an error to on_error, and the others go on", function()
        local heard
        local scheduler = host.make({
          on_error = function(message, trace)
            heard = { message, trace }
            error("on_error fails too")
          end,
        })
        local stderr = io.stderr
        io.stderr = { write = function() end } -- luacheck: ignore
        host.run(scheduler, function()
          scheduler.spawn(function()
            error("oops", 0)
          end)
          scheduler.sleep(0)
          scheduler.sleep(0)
        end)
        io.stderr = stderr -- luacheck: ignore
        assert.equal("oops", heard[1])
        assert.matches("traceback", heard[2], 1, true)
      end)

      it("can be had for work that nobody waits for", with(function(s)
        local done = s.event()
        s.daemon(function()
          s.sleep(0)
          done:set()
        end)
        assert.is_true(done:wait(s.now() + DEADLINE))
      end))
    end)

    describe("sleep", function()
      it("returns in the order of the deadlines", with(function(s)
        local order, done = {}, s.event()
        for _, ms in ipairs({ 30, 10, 20 }) do
          s.spawn(function()
            s.sleep(ms / 1000)
            order[#order + 1] = ms
            if #order == 3 then
              done:set()
            end
          end)
        end
        done:wait(s.now() + DEADLINE)
        assert.same({ 10, 20, 30 }, order)
      end))

      it("of zero lets others run", with(function(s)
        local ran = false
        s.spawn(function()
          ran = true
        end)
        s.sleep(0)
        s.sleep(0)
        assert.is_true(ran)
      end))

      it("does not starve behind coroutines that wake each other", with(function(s)
        local a, b, stop = s.event(), s.event(), false
        local function play(mine, other)
          while not stop do
            mine:wait()
            other:set()
          end
        end
        s.spawn(play, a, b)
        s.spawn(play, b, a)
        a:set()
        s.sleep(0.02)
        stop = true
        a:set()
        b:set()
      end))
    end)

    describe("waiting", function()
      it("parks inside a coroutine of its own", with(function(s)
        assert.equal("park", s.waiting())
      end))

      it("refuses a coroutine that is not its own", with(function(s)
        local mode, reason = coroutine.wrap(function()
          return s.waiting()
        end)()
        assert.is_nil(mode)
        assert.matches("not a task", reason, 1, true)
        assert.error_matches(function()
          coroutine.wrap(function()
            s.event():wait()
          end)()
        end, "cannot wait")
      end))
    end)

    describe("connect", function()
      it("reads and writes", with(function(s)
        local port, close = host.listen(s)
        local stream = assert(s.connect({ host = "127.0.0.1", port = port }, s.now() + DEADLINE))
        assert.is_true(stream:write("hello"))
        local got = ""
        while #got < 5 do
          got = got .. assert(stream:read(s.now() + DEADLINE))
        end
        assert.equal("hello", got)
        stream:close()
        close()
      end))

      it("carries more than the system buffers", with(function(s)
        local port, close = host.listen(s)
        local stream = assert(s.connect({ host = "127.0.0.1", port = port }, s.now() + DEADLINE))
        local size, got = 8 * 1024 * 1024, 0
        local block = ("x"):rep(size)
        s.spawn(function()
          stream:write(block)
        end)
        while got < size do
          got = got + #assert(stream:read(s.now() + DEADLINE))
        end
        assert.equal(size, got)
        stream:close()
        close()
      end))

      it("ends a parked read by close, and says so", with(function(s)
        local port, close = host.listen(s)
        local stream = assert(s.connect({ host = "127.0.0.1", port = port }, s.now() + DEADLINE))
        s.spawn(function()
          stream:close()
        end)
        local bytes, _, code = stream:read()
        assert.is_nil(bytes)
        assert.equal("CLOSED", code)
        assert.equal("CLOSED", (select(3, stream:write("x"))))
        close()
      end))

      it("says when the read takes too long", with(function(s)
        local port, close = host.listen(s)
        local stream = assert(s.connect({ host = "127.0.0.1", port = port }, s.now() + DEADLINE))
        assert.equal("TIMEOUT", (select(3, stream:read(s.now() + 0.02))))
        stream:close()
        close()
      end))

      it("says that nobody listens", with(function(s)
        local port, close = host.listen(s)
        close()
        s.sleep(0.01)
        local stream, message = s.connect({ host = "127.0.0.1", port = port }, s.now() + DEADLINE)
        assert.is_nil(stream)
        assert.equal("connection refused", message)
      end))
    end)

    describe("resolve", function()
      it("gives addresses", with(function(s)
        assert.same({ "127.0.0.1" }, s.resolve("127.0.0.1", s.now() + DEADLINE))
        assert.same({ "::1" }, s.resolve("::1", s.now() + DEADLINE))
        assert.is_string(assert(s.resolve("localhost", s.now() + DEADLINE))[1])
      end))

      it("says that a name is unknown", with(function(s)
        local list, message = s.resolve("no-such-host.invalid", s.now() + 1)
        assert.is_nil(list)
        assert.matches("does not resolve", message, 1, true)
      end))
    end)
  end)
end
