--- Crash images: a program that writes through the store, the power that goes off behind each
--- of its calls, what the disk may hold then, and what the next start makes of it.
---
--- Each image must start (a crash is no damage), bring back every acknowledged write, and
--- nothing that was not written, whatever was lost of the rest. Then the program goes on from
--- there, and the power goes off again.
local codec = require("wire.codec")
local files = require("store.files")
local testing = require("zklua_testing")

local disk_new, store = testing.disk.new, testing.store

local crash = {}

local DIRECTORY = "data"

-- Contents that make it hard: zeros look like sectors that were never written.
local function content(random)
  local size = random.pick({ 0, 1, 20, 100, 500, 512, 1100, 3000 }) + random.below(30)
  local kind = random.below(4)
  if kind == 0 then
    return ("\0"):rep(size)
  elseif kind == 1 then
    return ("x"):rep(size)
  elseif kind == 2 then
    return ("\0"):rep(math.floor(size / 2)) .. ("y"):rep(math.ceil(size / 2))
  end
  return ("z"):rep(math.floor(size / 2)) .. ("\0"):rep(math.ceil(size / 2))
end

---@class tests.History
---@field chains table<number, string>  what the sink says once it has come so far
---@field acknowledged number           the highest zxid that anybody was told of
---@field written number                the highest that was handed over
local function new_history()
  return { chains = { [0] = "0x0" }, acknowledged = 0, written = 0, now = 0 }
end

--- A copy to go on with: one image must not see what another did.
local function copy_history(history)
  local chains = {}
  for zxid, chain in pairs(history.chains) do
    chains[zxid] = chain
  end
  return {
    chains = chains,
    acknowledged = history.acknowledged,
    written = history.written,
    now = history.now,
  }
end

local function options(disk, random)
  return {
    disk = disk,
    directory = DIRECTORY,
    seed = random.below(1000),
    snapshot_count = random.pick({ 6, 14, 1000 }),
    log_bytes_max = random.pick({ -1, -1, 3000 }),
    preallocate_bytes = random.pick({ -1, 700, 4096, 16384 }),
  }
end

--- What is wrong with a start, or nil.
local function judge(history, opened, report, recovered)
  if not opened then
    return "refused: " .. report.text
  elseif recovered.zxid < history.acknowledged then
    return ("lost: acknowledged to %d, recovered to %d"):format(history.acknowledged,
      recovered.zxid)
  elseif recovered.zxid > history.written then
    return ("a phantom: written to %d, recovered to %d"):format(history.written, recovered.zxid)
  elseif recovered.chain ~= history.chains[recovered.zxid] then
    return ("other content at zxid %d"):format(recovered.zxid)
  end
  return nil
end

local function write_batch(opened, history, random)
  for _ = 1, 1 + random.below(5) do
    local zxid = history.written + 1
    local payload = files.payload({ zxid = zxid, body = content(random), type = 5 })
    history.chains[zxid] = store.chain(history.chains[zxid - 1], payload)
    history.written = zxid
    assert(opened:append(zxid, payload))
  end
  opened:seal()
  local zxid = opened:flush()
  if zxid then
    history.acknowledged = zxid
  end
  return zxid ~= nil
end

local function write_snapshot(opened, history, random)
  local zxid = history.acknowledged
  local nodes = {}
  for i = 1, random.below(4) do
    nodes[i] = { "/node-" .. i, data = content(random) }
  end
  opened:snapshot(zxid, files.snapshot({
    nodes = nodes, zxid = zxid, digest = history.chains[zxid],
  }), 1 + random.below(4000))
end

--- Opens, writes for a while, closes. Gives what was wrong with the start, if anything was.
--- `calm`: nothing fails on this disk, so it must start.
local function program(disk, history, random, steps, calm)
  local opened, report, recovered = store.open(options(disk, random))
  if not opened and not calm and not report.damaged then
    return nil
  end
  local wrong = judge(history, opened, report, recovered)
  if wrong then
    return wrong
  end
  -- Readers see it from now on.
  history.acknowledged, history.written = recovered.zxid, recovered.zxid
  for _ = 1, steps do
    if not write_batch(opened, history, random) then
      break
    end
    if random.below(3) == 0 then
      history.now = history.now + random.below(1500)
      opened:mark(history.now)
    end
    if opened:wants_snapshot() or random.below(6) == 0 then
      write_snapshot(opened, history, random)
    end
  end
  assert(opened:close() == 0, "blocks are left")
  return nil
end

-- One fault, so that each run has its own: a sync or a write that fails, a full disk.
local function misfortune(disk, random)
  disk:set({ short = random.pick({ 0, 0, 30 }), write_back = random.pick({ 0, 10, 40 }) })
  local kind = random.below(8)
  if kind == 0 then
    disk:fail("sync", "EIO", 1 + random.below(12))
  elseif kind == 1 then
    local first = 1 + random.below(12)
    disk:fail("sync", "EIO", first, first) -- the next one says that all is well
  elseif kind == 2 then
    disk:fail("write", random.pick({ "EIO", "ENOSPC" }), 1 + random.below(25))
  elseif kind == 3 then
    disk:fail("allocate", "ENOSPC", 1)
  elseif kind == 4 then
    disk:set({ space = 12000 + random.below(20000) })
  end
end

-- The next start, with the power going off in the middle of it now and then, or behind it
-- before anything is written.
local function start_again(image, history, random)
  for depth = 1, random.below(4) do
    local steps = random.pick({ 0, 2 })
    if steps == 2 or random.below(2) == 0 then
      image:set({ power_off = 1 + random.below(14) })
    end
    local wrong = program(image, history, random, steps, false)
    if wrong then
      return ("at depth %d, %s"):format(depth, wrong)
    end
    image:crash(random.below(1000000))
  end
  image:set({ short = 0, write_back = 0, power_off = 0 })
  local wrong = program(image, history, random, 2, true)
  if wrong then
    return wrong
  end
  image:restart()
  wrong = program(image, history, random, 0, true)
  return wrong and "after going on, " .. wrong
end

--- One program with one seed, the power going off behind its call number `power_off` (nil:
--- never), on its own disk.
local function run(seed, power_off)
  local random = codec.random(seed)
  local disk, history = disk_new(seed), new_history()
  misfortune(disk, random)
  if power_off then
    disk:set({ power_off = power_off })
  end
  local wrong = program(disk, history, random, 4 + random.below(8), false)
  return disk, history, wrong
end

---@class tests.CrashPlan
---@field first number      seed
---@field images number     how many to make, at least
---@field per_call number   images of one crash; one more is of a program that was killed

--- Makes the images and starts on each of them.
---@param plan tests.CrashPlan
---@return number images
---@return string[] wrong  with what it takes to see it again
function crash.run(plan)
  local images, wrong = 0, {}
  local function note(text, ...)
    wrong[#wrong + 1] = text:format(...)
  end
  -- Image 0 is of a program that was killed: nothing is lost, yet.
  local function look(seed, call, k, disk, history)
    local image = disk:clone()
    if k > 0 then
      image:crash(seed * 100000 + call * 100 + k)
    end
    local random = codec.random(seed * 1000 + call * 10 + k)
    local found = start_again(image, copy_history(history), random)
    if found then
      note("seed %d, call %d, image %d: %s", seed, call, k, found)
    end
    images = images + 1
  end
  local seed = plan.first
  while images < plan.images do
    local ended, history, at_once = run(seed)
    if at_once then
      note("seed %d: %s", seed, at_once)
    end
    local calls = ended:calls()
    for call = 1, calls do
      local disk, so_far = run(seed, call)
      for k = 0, plan.per_call do
        look(seed, call, k, disk, so_far)
      end
    end
    -- How it ended by itself, often by a failure that a disk forgets: several ways on.
    for i = 1, 10 do
      look(seed, calls + i, 0, ended, history)
    end
    seed = seed + 1
  end
  return images, wrong
end

return crash
