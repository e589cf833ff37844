--- What a process of the trial does: anything, in any order, over one session after the other.
local lives = require("sim.core.life")
local wishes = require("sim.core.wishes")

local M = {}

local OUTSTANDING_MAX = 10 -- requests without an answer, before it waits

local ONE_SHOT = { 1, 2, 4 } -- kinds of watches: data, exist, child

-- Several things at once, and now and then something is taken back.
local function burst(life, wish, count)
  local now = life.process.scheduler.now()
  for _ = 1, count do
    local share, deadline = wish:random(), nil
    if share < 0.15 then
      deadline = now + wish:random() * 3
    end
    local xid = life:submit(wish:operation(), deadline, share > 0.97)
    if xid and wish:random() < 0.03 then
      life.core:cancel(xid)
      life.driver:poke()
    end
  end
  if wish:random() < 0.03 then
    local kind, path = ONE_SHOT[wish:pick(1, 3)], wish:path()
    life:note("unwatch", { path = path, watch = kind })
    life.core:unwatch(path, kind)
    life.driver:poke()
  end
end

-- So many operations over one session.
local function live(zk, life, wish, count)
  while count > 0 and not life.gone do
    local some = math.min(count, wish:pick(1, 5))
    burst(life, wish, some)
    count = count - some
    zk.sleep(wish:random() < 0.5 and 0.003 or wish:random())
    while life.count > OUTSTANDING_MAX and not life.gone do
      zk.sleep(0.1)
    end
  end
end

local function wait_for(zk, what)
  while not what() do
    zk.sleep(0.05)
  end
end

--- Looks at everything that was to be watched, and waits for everybody's writes first.
function M.look_again(life)
  life:submit({ kind = "sync", path = "/" })
  for _, path in ipairs(life.watched) do
    life:submit({ kind = "exists", path = path })
    life:submit({ kind = "children", path = path })
  end
end

--- The program of `process`, given when it has begun; `count` operations in all.
function M.run(trial, process, zk, count)
  local wish = wishes.new(trial, process.name)
  local life
  function process.sessions()
    return life and life.connected and { life.session } or {}
  end
  local number = 0
  while count > 0 do
    number = number + 1
    life = lives.new(trial, process, number)
    process.life, wish.life = life, life
    local some = math.min(count, wish:pick(10, 60))
    live(zk, life, wish, some)
    count = count - some
    if life.gone then
      wait_for(zk, function() return life.over end)
    elseif count > 0 then
      life:close(wish:random() * 3)
      wait_for(zk, function() return life.over end)
    end
  end
  wait_for(zk, function() return life.over or life.count == 0 end)
  return life
end

return M
