-- Tasks: results, errors, cancellation, scopes, groups. No server is needed.
local runtimes = require("zklua.runtime")

local plain_assert = _G.assert -- busted's own raises what it is given in another way

-- The message of the error that fn raises, with its position.
local function raised(fn)
  local ok, message = pcall(fn)
  return not ok and message or "nothing was raised"
end

describe("a task", function()
  local runtime, reports

  before_each(function()
    reports = {}
    runtime = runtimes.new({
      on_error = function(message, trace, task)
        reports[#reports + 1] = { message = message, trace = trace, task = task }
      end,
    })
  end)

  -- Bodies run both on the main thread and as a task: the contract is the same.
  local function both(name, body)
    it(name .. " (main thread)", body)
    it(name .. " (task)", function()
      runtime:spawn(body):wait(10)
    end)
  end

  local function code_of(_, _, code)
    return code
  end

  describe("by itself", function()
    both("gives all its results, nils included", function()
      local task = runtime:spawn(function(a, b)
        return a, nil, b, nil
      end, 1, 2)
      assert.is_false(task:done())
      assert.same({ n = 4, 1, nil, 2, nil }, { n = select("#", task:wait()), task:wait() })
      assert.is_true(task:done())
    end)

    both("raises its error where it is waited for, and reports none", function()
      local failure = {}
      local task = runtime:spawn(function()
        error(failure)
      end)
      local ok, message = pcall(task.wait, task)
      assert.is_false(ok)
      assert.equal(failure, message)
      assert.equal(0, #reports)
    end)

    both("reports an error that nobody waits for, with its traceback and name", function()
      local task = runtime:spawn(function()
        local function deep()
          error("oops")
        end
        deep()
      end)
      task.name = "worker"
      runtime:sleep(0)
      runtime:sleep(0)
      assert.equal(1, #reports)
      assert.matches("task_spec.lua:%d+: oops", reports[1].message)
      assert.matches("'deep'", reports[1].trace, 1, true)
      assert.equal("worker", reports[1].task:label())
    end)

    both("is called after its function's place until it is named", function()
      local task = runtime:spawn(function() end)
      assert.matches("task_spec.lua:%d+$", task:label())
      task:wait()
    end)

    both("is waited for at most as long as asked", function()
      local task = runtime:spawn(runtime.sleep, runtime, 60)
      local ok, message, code = task:wait(0.01)
      assert.is_nil(ok)
      assert.equal("TIMEOUT", code)
      assert.matches("TIMEOUT", message, 1, true)
      task:cancel()
      task:wait()
    end)

    it("does not wait for itself", function()
      local task
      task = runtime:spawn(function()
        return pcall(task.wait, task)
      end)
      local ok, message = task:wait()
      assert.is_false(ok)
      assert.matches("itself", message, 1, true)
    end)

    both("has any number of waiters", function()
      local task = runtime:spawn(function()
        runtime:sleep(0.01)
        return "done"
      end)
      local others = {}
      for i = 1, 3 do
        others[i] = runtime:spawn(function()
          return task:wait()
        end)
      end
      assert.equal("done", task:wait())
      for _, other in ipairs(others) do
        assert.equal("done", other:wait())
      end
    end)

    it("raises at the caller's line for what is not a function", function()
      assert.matches("task_spec.lua:%d+: fn must be a function",
        raised(function() runtime:spawn(1) end))
    end)

    it("can wait neither in a generator nor in a callback", function()
      assert.matches("task_spec.lua:%d+: sleep cannot wait inside a coroutine.*zk.spawn",
        raised(function()
        coroutine.wrap(function() runtime:sleep(1) end)()
      end))
      local uv = require("luv")
      local timer, failure, event = uv.new_timer(), nil, runtime:event()
      timer:start(1, 0, function()
        timer:close()
        failure = select(2, pcall(runtime.sleep, runtime, 1))
        event:set()
      end)
      event:wait(5)
      assert.matches("inside a callback of the event loop", failure, 1, true)
    end)

    it("cannot be shielded where it cannot wait", function()
      local inside
      local message = raised(function()
        coroutine.wrap(function()
          runtime:shield(function() inside = true end)
        end)()
      end)
      assert.matches("task_spec.lua:%d+: shield cannot wait inside a coroutine.*zk.spawn", message)
      assert.is_nil(inside)
      assert.equal(runtime.main, runtime.main.scope)
    end)
  end)

  describe("when cancelled", function()
    -- Every call that waits, by name.
    local waits = {
      sleep = function() return runtime:sleep(60) end,
      pause = function()
        local ok, message, code
        repeat ok, message, code = runtime:pause() until not ok
        return ok, message, code
      end,
      ["event:wait"] = function() return runtime:event():wait() end,
      ["event:wait with a timeout"] = function() return runtime:event():wait(60) end,
      ["task:wait"] = function()
        local other = runtime:spawn(function() runtime:event():wait(0.05) end)
        return other:wait()
      end,
      group = function()
        return runtime:group(function(group)
          group:spawn(runtime.sleep, runtime, 60)
          return true
        end)
      end,
      ["zk.run"] = function()
        return require("zklua.process").run(runtime, { "sleep", "60" })
      end,
    }
    for name, wait in pairs(waits) do
      it("leaves " .. name .. ", and every later one", function()
        local began = runtime:now()
        local task = runtime:spawn(function()
          local first = code_of(wait())
          return first, code_of(wait()), code_of(runtime:sleep(1))
        end)
        runtime:sleep(0)
        runtime:sleep(0)
        task:cancel()
        assert.same({ "CANCELLED", "CANCELLED", "CANCELLED" }, { task:wait(10) })
        assert.is_true(runtime:now() - began < 5)
      end)
    end

    it("before it began, begins and is told at its first wait", function()
      local began = false
      local task = runtime:spawn(function()
        began = true
        return code_of(runtime:sleep(1))
      end)
      task:cancel()
      assert.equal("CANCELLED", task:wait())
      assert.is_true(began)
    end)

    it("and ending by assert has failed at nothing", function()
      local task = runtime:spawn(function()
        plain_assert(runtime:sleep(60))
      end)
      runtime:sleep(0)
      task:cancel()
      assert.equal("CANCELLED", code_of(task:wait()))
      assert.same({}, reports)
    end)

    it("and failing otherwise has failed", function()
      local task = runtime:spawn(function()
        runtime:sleep(60)
        error("clean-up went wrong")
      end)
      runtime:sleep(0)
      task:cancel()
      runtime:sleep(0.01)
      assert.equal(1, #reports)
    end)

    it("waits on in a shield, and is told after it", function()
      local task = runtime:spawn(function()
        local inside = runtime:shield(function()
          return runtime:sleep(0.02)
        end)
        return inside, code_of(runtime:sleep(0))
      end)
      runtime:sleep(0)
      task:cancel()
      assert.same({ true, "CANCELLED" }, { task:wait() })
    end)

    it("hears the first reason only", function()
      local task = runtime:spawn(function()
        return runtime:sleep(60)
      end)
      runtime:sleep(0)
      task:cancel("LOST: gone", "LOST")
      task:cancel()
      assert.same({ n = 3, nil, "LOST: gone", "LOST" }, { n = 3, task:wait() })
    end)
  end)

  describe("in a scope", function()
    both("is told by the scope until the scope ends", function()
      local codes = { runtime:scope(function(scope, extra)
        scope:cancel("LOST: it went", "LOST")
        return extra, code_of(runtime:sleep(60)), code_of(runtime:event():wait())
      end, "x") }
      assert.same({ "x", "LOST", "LOST" }, codes)
      assert.is_true(runtime:sleep(0.001))
    end)

    both("is woken by a cancellation from another task", function()
      local code = runtime:scope(function(scope)
        runtime:spawn(scope.cancel, scope, "LOST: it went", "LOST")
        return code_of(runtime:sleep(60))
      end)
      assert.equal("LOST", code)
    end)

    both("passes errors on as they are, and is out of the scope then", function()
      local failure = {}
      local ok, message = pcall(runtime.scope, runtime, function(scope)
        scope:cancel("LOST: it went", "LOST")
        error(failure)
      end)
      assert.is_false(ok)
      assert.equal(failure, message)
      assert.is_true(runtime:sleep(0))
    end)

    both("does not hear a scope that has ended", function()
      local kept
      runtime:scope(function(scope)
        kept = scope
      end)
      kept:cancel("LOST: late", "LOST")
      assert.is_true(runtime:sleep(0.001))
    end)

    both("hears the inner one first", function()
      local codes = {}
      runtime:scope(function(outer)
        runtime:scope(function(inner)
          outer:cancel("LOST: outer", "LOST")
          inner:cancel("BUSY: inner", "BUSY")
          codes[1] = code_of(runtime:sleep(1))
        end)
        codes[2] = code_of(runtime:sleep(1))
      end)
      assert.same({ "BUSY", "LOST" }, codes)
    end)
  end)

  describe("in a timeout", function()
    both("ends its waits at the deadline, all of them together", function()
      local began, count = runtime:now(), 0
      local ok, message, code = runtime:timeout(0.05, function()
        while true do
          local slept, why, what = runtime:sleep(0.02)
          if not slept then
            return nil, why, what
          end
          count = count + 1
        end
      end)
      assert.is_nil(ok)
      assert.equal("TIMEOUT", code)
      assert.matches("0.05 s", message, 1, true)
      assert.is_true(count <= 3 and runtime:now() - began >= 0.05)
      assert.is_true(runtime:sleep(0.001))
    end)

    both("returns what its function returns", function()
      assert.same({ 1, 2 }, { runtime:timeout(60, function(...) return ... end, 1, 2) })
    end)

    both("is not undone by a longer one inside", function()
      assert.equal("TIMEOUT", code_of(runtime:timeout(0.02, function()
        return runtime:timeout(60, runtime.sleep, runtime, 60)
      end)))
    end)

    both("does not reach into a shield", function()
      assert.is_true(runtime:timeout(0.01, runtime.shield, runtime, runtime.sleep, runtime, 0.03))
    end)
  end)

  describe("in a group", function()
    both("is waited for", function()
      local ended = 0
      local result = runtime:group(function(group)
        for i = 1, 3 do
          group:spawn(function()
            runtime:sleep(i / 1000)
            ended = ended + 1
          end)
        end
        return "fn's result"
      end)
      assert.equal("fn's result", result)
      assert.equal(3, ended)
    end)

    both("takes the others with it when it fails", function()
      local codes = {}
      local ok, message = pcall(runtime.group, runtime, function(group)
        group:spawn(function() codes[1] = code_of(runtime:sleep(60)) end)
        group:spawn(function() error("first", 0) end)
        group:spawn(function() error("second", 0) end)
        codes[2] = code_of(runtime:sleep(60))
      end)
      assert.same({ false, "first" }, { ok, message })
      assert.same({ "CANCELLED", "CANCELLED" }, codes)
      assert.same({}, reports)
    end)

    both("is told when the group's function fails", function()
      local code
      local ok, message = pcall(runtime.group, runtime, function(group)
        group:spawn(function() code = code_of(runtime:sleep(60)) end)
        error("body", 0)
      end)
      assert.same({ false, "body" }, { ok, message })
      assert.equal("CANCELLED", code)
    end)

    it("is told when the group's owner is cancelled, and never left behind", function()
      local child_code, child_ended
      local owner = runtime:spawn(function()
        return runtime:group(function(group)
          group:spawn(function()
            child_code = code_of(runtime:sleep(60))
            runtime:shield(runtime.sleep, runtime, 0.02)
            child_ended = true
          end)
        end)
      end)
      runtime:sleep(0.005)
      owner:cancel()
      assert.equal("CANCELLED", code_of(owner:wait()))
      assert.equal("CANCELLED", child_code)
      assert.is_true(child_ended)
    end)

    both("cannot be added when the group has ended", function()
      local kept
      runtime:group(function(group) kept = group end)
      assert.error_matches(function() kept:spawn(print) end, "the group has ended")
    end)
  end)

  it("leaves nothing behind when it ends", function()
    local function live_tasks()
      collectgarbage()
      collectgarbage()
      local count = 0
      for _ in pairs(runtime.tasks) do
        count = count + 1
      end
      return count
    end
    local before = live_tasks()
    for _ = 1, 100 do
      runtime:spawn(runtime.pause, runtime):wait()
    end
    assert.equal(before, live_tasks())
  end)
end)
