--- Random lives under a seed: requests, watches, credentials, deadlines and cancels over links
--- that are refused, reset, stalled, cut into pieces and fed garbage. world.lua checks every
--- event, ensemble.lua every frame. A failure names its seed:
---
---     ZKLUA_SEED=17 busted tests/client/random_spec.lua
local ensemble = require("client.ensemble")
local world = require("client.world")

local op, kind = world.op, world.kind

local STEPS = 300

local function submit(w, random)
  local path = "/" .. ("abc"):sub(random.below(3) + 1):gsub("(.)", "%1/") .. "n" .. random.below(5)
  local options = {}
  if random.below(2) == 0 then
    options.deadline = w.now + random.below(3000)
  end
  options.fail_fast = random.below(8) == 0
  local watch = random.below(2) == 0
  local which = random.below(10)
  if which < 4 then
    return w:get(path, watch, options)
  elseif which < 5 then
    return w:exists(path, watch, options)
  elseif which < 6 then
    return w:children(path, watch, options)
  elseif which < 7 then
    return w:add_watch(path, random.below(2) == 0, options)
  elseif which < 8 then
    return w:auth("u" .. random.below(3) .. ":p", options)
  end
  return w:submit({ op = op.set, path = path, data = ("x"):rep(random.below(20000)),
    version = -1 }, options)
end

local function live(seed)
  local random = world.codec.random(seed)
  local w = world.new({ endpoints = { "a", "b", "c" }, timeout = 6000, seed = seed,
    pending_max = 200 })
  local calm = random.below(3) == 0
  local e = ensemble.new(w, random, {
    refuse = calm and 0 or random.below(200), reset = calm and 0 or random.below(30),
    stall = random.below(200), cut = random.below(900), garbage = calm and 0 or random.below(10),
    swallow = calm and 0 or random.below(10), event = random.below(300),
    error = random.below(200),
  })
  local live_xids = {}
  for _ = 1, STEPS do
    for _ = 1, random.below(6) do
      local xid = submit(w, random)
      live_xids[#live_xids + 1] = xid
    end
    if random.below(5) == 0 and #live_xids > 0 then
      w.client:cancel(table.remove(live_xids, random.below(#live_xids) + 1))
    end
    if random.below(5) == 0 then
      local kinds = { kind.data, kind.exist, kind.child, kind.persistent, kind.recursive }
      w.client:unwatch("/a/b/c/n" .. random.below(5), kinds[random.below(5) + 1])
    end
    if random.below(100) == 0 then
      w.client:set_endpoints(random.pick({ { "a", "b" }, { "a", "b", "c", "d" }, { "x" } }))
    end
    e:step()
    if random.below(2) == 0 then
      w:after(random.below(400))
    end
    if w.ended then
      break
    end
  end
  -- Faults end: what still waits is answered, if the session lives.
  e.faults = {}
  if not w.ended then
    w.client:close(w.now + 60000)
  end
  e:run_until(function() return w.ended end)
  assert(w.outstanding_count == 0)
  local info = w.client:info()
  w:free()
  return e, info
end

describe("a random life", function()
  local only = tonumber(os.getenv("ZKLUA_SEED") or "")
  local first, last = only or 1, only or 150

  it(("keeps every promise, seeds %d to %d"):format(first, last), function()
    local codes, attaches = {}, 0
    for seed = first, last do
      local ok, e, info = xpcall(live, debug.traceback, seed)
      if not ok then
        error(("seed %d: %s"):format(seed, e), 0)
      end
      for code, count in pairs(e.codes) do
        codes[code] = (codes[code] or 0) + count
      end
      attaches = attaches + info.attaches
    end
    if not only then
      -- The lives were worth living: everything that can happen did.
      for _, code in ipairs({ "OK", "NONODE", "CONNECTIONLOSS", "TIMEOUT", "CANCELLED",
        "NOTCONNECTED" }) do
        assert.is_true((codes[code] or 0) > 50, code .. " is missing")
      end
      assert.is_true(attaches > 500)
    end
  end)

  it("is the same again under the same seed", function()
    local function trace(seed)
      local lines = {}
      for i, text in ipairs(world.brief((live(seed)).events)) do
        lines[i] = text
      end
      return lines
    end
    for seed = 1, 3 do
      assert.are.same(trace(seed), trace(seed))
    end
  end)
end)
