-- What is common to all that is held; how it is lost is in the specs of the recipes.
local company = require("support.company")

describe("a holder", function()
  local us, zk, c, held

  before_each(function()
    us = company.new()
    zk = us.zk
    c = us:client()
    held = assert(c:lock("/l"):acquire())
  end)

  after_each(function()
    us:finish()
  end)

  local function lose()
    assert(us.observer:delete("/l/" .. us:children("/l")[1]))
  end

  it("tells everybody who waits for its loss, and who asks later", function()
    local tasks = {}
    for i = 1, 3 do
      tasks[i] = zk.spawn(function() return held.lost:wait(10) end)
    end
    local cancelled = zk.spawn(function() return select(3, held.lost:wait(10)) end)
    assert.is_false(held.lost:wait(0.05))
    cancelled:cancel()
    assert.equal("CANCELLED", cancelled:wait(5))
    lose()
    for _, task in ipairs(tasks) do
      assert.is_true(task:wait(10))
    end
    assert.is_true(held.lost:wait(0))
    assert.is_true(held.lost:wait(0)) -- it stays set
  end)

  it("sleeps until the time is over or it is lost", function()
    local begun = zk.now()
    assert.is_true(held:sleep(0.05))
    assert.is_true(zk.now() - begun >= 0.05)
    zk.spawn(lose)
    assert.is_false(held:sleep(20))
    assert.is_false(held:sleep(20))
    assert.is_true(zk.now() - begun < 15)
  end)

  it("sleeps no longer than its task lives", function()
    local task = zk.spawn(function() return select(3, held:sleep(20)) end)
    assert(zk.sleep(0.02))
    task:cancel()
    assert.equal("CANCELLED", task:wait(5))
    assert.is_true(held:valid())
  end)

  it("is not valid once released, and not lost either", function()
    assert(held:release())
    assert.is_false(held:valid())
    assert.is_false(held:sleep(20))
    us:expire(c)
    us:eventually(function() return c:state() == "connected" end)
    assert.is_false(held.lost:wait(0))
  end)

  it("can be released by another task than took it, and then taken again", function()
    zk.spawn(function() held:release() end):wait()
    assert(assert(c:lock("/l"):acquire({ wait = 10 })):release())
  end)

  it("ends waits inside `with` alone: those before, after and beside it go on", function()
    assert(held:release())
    local beside = zk.spawn(function() return zk.sleep(0.5) end)
    local codes = {}
    local _, _, code = c:lock("/l"):with(function()
      zk.spawn(lose)
      codes[1] = select(3, zk.sleep(20))
      codes[2] = select(3, c:get("/l"))
    end)
    assert.equal("LOST", code)
    assert.same({ "LOST", "LOST" }, codes)
    assert.is_true(zk.sleep(0.01))
    assert(c:get("/l"))
    assert.is_true(beside:wait(5))
  end)

  it("returns every result of the function, nils too", function()
    assert(held:release())
    local results = { n = select("#", c:lock("/l"):with(function() return nil, 2, nil end)) }
    assert.equal(4, results.n)
    assert.same({ true, nil, 2 }, { c:lock("/l"):with(function() return nil, 2 end) })
  end)

  it("is collected when nobody has it any more", function()
    assert(held:release())
    local weak = setmetatable({ held }, { __mode = "v" })
    held = nil
    us:eventually(function()
      collectgarbage()
      return weak[1] == nil
    end)
  end)
end)

describe("a holder that nobody has any more", function()
  local zk = require("zklua")
  local server, observer

  before_each(function()
    server = zk.server()
    observer = assert(server:client())
  end)

  after_each(function()
    server:close()
  end)

  -- Runs take(c) in a task, which drops all that it has; whether the lock is still held then.
  local function is_held_after(take)
    zk.spawn(function()
      -- server:client() would be kept by the server.
      take(assert(zk.connect(server.connect_string, { log = function() end })))
    end):wait()
    for _ = 1, 5 do
      collectgarbage()
      collectgarbage()
      assert(zk.sleep(0.01))
    end
    return #assert(observer:children("/l")) == 1
  end

  it("ends with the session of the client that was dropped with it", function()
    assert.is_false(is_held_after(function(c)
      assert(c:lock("/l"):acquire())
    end))
  end)

  it("lives on with a client that somebody has", function()
    local kept
    assert.is_true(is_held_after(function(c)
      kept = c
      assert(c:lock("/l"):acquire())
    end))
    assert.equal("connected", kept:state())
  end)

  it("lives on with a flag that somebody has, or waits for", function()
    local lost
    assert.is_true(is_held_after(function(c)
      lost = assert(c:lock("/l"):acquire()).lost
    end))
    assert(observer:delete("/l/" .. observer:children("/l")[1]))
    assert.is_true(lost:wait(5))

    local heard
    assert.is_true(is_held_after(function(c)
      local held = assert(c:lock("/l"):acquire())
      zk.spawn(function()
        heard = held.lost:wait()
      end)
      assert(zk.sleep(0.02))
    end))
    assert(observer:delete("/l/" .. observer:children("/l")[1]))
    assert(zk.sleep(0.1))
    assert.is_true(heard)
  end)

  it("lives on with a function that runs under it and waits for ever", function()
    assert.is_true(is_held_after(function(c)
      zk.spawn(function()
        c:lock("/l"):with(function()
          zk.event():wait()
        end)
      end)
      assert(zk.sleep(0.05))
    end))
  end)
end)
