--- One sequence on two servers at the same time, and the verdict: what differs and is not known.
local compare = require("differential.compare")
local known = require("differential.known")
local player = require("differential.player")
local uv = require("luv")

local duel = {}

local NUDGE_MS = 1000

local Duel = {}
Duel.__index = Duel

---@param left table   { port = }
---@param right table
function duel.new(left, right)
  return setmetatable({ servers = { left, right }, players = {
    player.new(left), player.new(right),
  } }, Duel)
end

local function all_done(threads)
  for _, thread in ipairs(threads) do
    if coroutine.status(thread) ~= "dead" then
      return false
    end
  end
  return true
end

local function failure_of(players)
  for _, each in ipairs(players) do
    if each.failure then
      return each.failure
    end
  end
end

--- Runs `work(player, i)` for each player in a coroutine until all are done; their results.
local function together(players, work)
  local results, threads = {}, {}
  for i, each in ipairs(players) do
    threads[i] = coroutine.create(function() results[i] = work(each, i) end)
    local ok, message = coroutine.resume(threads[i])
    if not ok then
      error(debug.traceback(threads[i], message), 0)
    end
  end
  local timer = uv.new_timer()
  timer:start(NUDGE_MS, NUDGE_MS, function()
    for i, each in ipairs(players) do
      if each.parked and coroutine.status(threads[i]) ~= "dead" then
        each.parked:nudge()
      end
    end
  end)
  local failure
  while not failure and not all_done(threads) do
    uv.run("once")
    failure = failure_of(players)
  end
  timer:close()
  if failure then
    error(failure, 0)
  end
  return results
end

local function judge(left, right, shared)
  local differing, frames, zxids = compare.transcripts(left, right, shared)
  local verdict = { failures = {}, known = {}, frames = frames }
  local context = {
    known_zxid = function(zxid) return zxids.left_of[zxid] ~= nil end,
    connections = #left.streams,
  }
  for _, frame in ipairs(differing) do
    local names = known.explanations(frame, context)
    for _, name in ipairs(names or {}) do
      verdict.known[name] = (verdict.known[name] or 0) + 1
    end
    if not names then
      verdict.failures[#verdict.failures + 1] = frame
    end
  end
  return verdict
end

--- Plays a sequence that has the servers for itself.
---@return table verdict  { failures = frames, known = { name = count }, frames = all frames }
function Duel:play(sequence)
  local transcripts = together(self.players, function(each) return each:play(sequence) end)
  return judge(transcripts[1], transcripts[2], false)
end

--- Plays sequences that mostly wait, side by side.
---@param sequences table[]
---@return table[] verdicts
function Duel:play_all(sequences)
  local players = {}
  for i = 1, 2 * #sequences do
    players[i] = player.new(self.servers[(i - 1) % 2 + 1])
  end
  local transcripts = together(players, function(each, i)
    local transcript = each:play(sequences[math.floor((i + 1) / 2)])
    each:finish()
    return transcript
  end)
  local verdicts = {}
  for i = 1, #sequences do
    verdicts[i] = judge(transcripts[2 * i - 1], transcripts[2 * i], true)
  end
  return verdicts
end

function Duel:finish()
  together(self.players, function(each) return each:finish() end)
end

return duel
