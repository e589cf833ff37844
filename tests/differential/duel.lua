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
  return setmetatable({ players = { player.new(left), player.new(right) } }, Duel)
end

--- Runs `work(player)` for both in coroutines until both are done.
local function both(self, work)
  local results, running = {}, {}
  for i, each in ipairs(self.players) do
    running[i] = coroutine.create(function() results[i] = work(each) end)
    local ok, message = coroutine.resume(running[i])
    if not ok then
      error(debug.traceback(running[i], message), 0)
    end
  end
  local timer = uv.new_timer()
  timer:start(NUDGE_MS, NUDGE_MS, function()
    for i, each in ipairs(self.players) do
      if each.parked and coroutine.status(running[i]) ~= "dead" then
        each.parked:nudge()
      end
    end
  end)
  while coroutine.status(running[1]) ~= "dead" or coroutine.status(running[2]) ~= "dead" do
    uv.run("once")
    local failure = self.players[1].failure or self.players[2].failure
    if failure then
      timer:close()
      error(failure, 0)
    end
  end
  timer:close()
  return results[1], results[2]
end

---@return table verdict  { failures = frames, known = { name = count }, frames = all frames }
function Duel:play(sequence)
  local left, right = both(self, function(each) return each:play(sequence) end)
  local differing, frames, zxids = compare.transcripts(left, right)
  local verdict = { failures = {}, known = {}, frames = frames }
  local context = {
    known_zxid = function(zxid) return zxids.left_of[zxid] ~= nil end,
    connections = #left.streams,
  }
  for _, frame in ipairs(differing) do
    local name = known.explanation(frame, context)
    if name then
      verdict.known[name] = (verdict.known[name] or 0) + 1
    else
      verdict.failures[#verdict.failures + 1] = frame
    end
  end
  return verdict
end

function Duel:finish()
  both(self, function(each) return each:finish() end)
end

return duel
