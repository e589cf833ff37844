--- Every allocation of a whole life failing in its turn: alone, and with all that follow. What
--- was accepted is answered exactly once, nothing leaks, and where memory came back the session
--- goes on.
local ensemble = require("client.ensemble")
local testing = require("zklua_testing").client
local world = require("client.world")

local op, kind = world.op, world.kind

local OPTIONS = { endpoints = { "a", "b", "c" }, chroot = "/app", timeout = 9000, now = 1000,
  seed = 3 }

local function submit_some(w, turn)
  local data = ("d"):rep(turn * 9000)
  w:auth("user" .. turn .. ":password")
  for i = 1, 5 do
    w:get("/g" .. i, true, { deadline = w.now + 3000 })
    w:children("/c" .. i .. turn, true)
    w:submit({ op = op.set, path = "/s" .. i, data = data, version = -1 })
  end
  w:add_watch("/p" .. turn, turn % 2 == 0)
  local xid = w:get("/cancelled", true)
  if xid then
    w.client:cancel(xid)
  end
end

--- Connects, works, loses its link twice, is closed. Every step stands a refusal.
local function live(w)
  local e = ensemble.new(w)
  local function calm()
    return w.client:info().pending == 0
  end
  local function quiet()
    -- Without memory there may never be an answer: a while will do.
    local until_ms = w.now + 4000
    e:run_until(function()
      return calm() or w.now >= until_ms or w.ended
    end)
  end
  submit_some(w, 1)
  quiet()
  submit_some(w, 2)
  e:step()
  for _, link in ipairs(e.links) do
    if link.open then
      -- A long reply in pieces, of which the last never comes.
      w.client:feed(link.number, world.codec.int(90000) .. ("\0"):rep(70000))
      e:drain()
      e:close(link)
    end
  end
  quiet()
  w.client:unwatch("/p1", kind.persistent)
  w.client:set_endpoints({ "a", "b", "c", "d", "e" })
  submit_some(w, 3)
  quiet()
  w.client:close(w.now + 2000)
  e:run_until(function() return w.ended end)
  assert.are.equal(0, w.outstanding_count)
  return e
end

--- A life in which allocations from..to fail; gives how many it asked for.
local function starve(from, to)
  local w = world.new(OPTIONS)
  w.client:fail(from, to)
  local e = live(w)
  local requests = w.client:memory().requests
  w:free()
  return requests, e
end

describe("memory", function()
  it("is all given back after a life in which it lasts", function()
    local _, e = starve(0, 0)
    assert.is_nil(e.codes.CONNECTIONLOSS and e.codes.CONNECTIONLOSS > 40 or nil)
    assert.is_true(e.codes.OK > 30)
  end)

  it("refused once, anywhere, costs no answer and nothing leaks", function()
    local total = starve(0, 0)
    assert.is_true(total > 40)
    for n = 1, total + 5 do
      local _, e = starve(n, n)
      assert.are.equal("closed", e.state)
      assert.is_true(e.codes.OK > 20)
    end
  end)

  it("refused from anywhere on costs no answer and nothing leaks", function()
    local total = starve(0, 0)
    for n = 1, total + 5 do
      starve(n, 1e15)
    end
  end)

  it("refused while a client is made makes none", function()
    for n = 1, 20 do
      local client, memory = testing.new({ endpoints = { "a", "b" }, chroot = "/app",
        timeout = 9000, fail = n })
      if client then
        assert.is_true(n > 3)
        client:free()
        return
      end
      assert.are.equal(0, memory.bytes)
      assert.are.equal(0, memory.blocks)
    end
    error("no client came of it")
  end)

  it("refused for a submit leaves the client as it was", function()
    local w = world.new()
    w:attach()
    for n = 1, 50 do
      w.client:fail(n, n)
      local before = w.client:info()
      local xid, status = w:get("/watched/" .. n, true)
      local after = w.client:info()
      if not xid then
        assert.are.equal("NOMEM", status)
        assert.are.same(before, after)
      end
    end
    w.client:fail(0)
    w:answer_all()
    w:drain()
    w:free()
  end)
end)
