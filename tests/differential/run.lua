--- A run: sequences from consecutive seeds on two servers, and the report.
local compare = require("differential.compare")
local duel = require("differential.duel")
local generator = require("differential.generator")
local hits = require("differential.hits")
local servers = require("differential.servers")
local shrink = require("differential.shrink")
local uv = require("luv")

local run = {}

local LONG = 2000 -- sequences
local PROGRESS = 1000 -- of a long run
local TOGETHER = 50 -- sequences that wait, at most; more connections make the waits longer
local KINDS_MAX = 30 -- of differences; then a run gives up

-- Showing -----------------------------------------------------------------------------------------

local function describe_request(request)
  if not request then
    return "no request"
  end
  local what = request.record or { bytes = request.body or request.frame }
  return ("#%d %s %s"):format(request.xid, hits.NAMES[request.op] or request.op, compare.text(what))
end

local function describe_frame(words, frame)
  local lines = {
    ("  connection %s, item %d: %s, differing: %s"):format(frame.where.stream, frame.where.index,
      frame.kind, table.concat(frame.fields, " ")),
    "    request  " .. describe_request(frame.request),
  }
  for i, side in ipairs({ "left", "right" }) do
    local kind = frame[side .. "_kind"]
    lines[#lines + 1] = ("    %-8s %s%s"):format(words[i], kind and kind .. " " or "",
      compare.text(frame[side] or "nothing"))
  end
  return table.concat(lines, "\n")
end

local function describe_step(step)
  if step.kind == "send" then
    local parts = {}
    for i, request in ipairs(step.requests) do
      parts[i] = describe_request(request)
    end
    return ("    send on %d: %s"):format(step.connection, table.concat(parts, "\n      then "))
  end
  local parts, keys = {}, {}
  for key in pairs(step) do
    if key ~= "kind" then
      keys[#keys + 1] = key
    end
  end
  table.sort(keys)
  for i, key in ipairs(keys) do
    parts[i] = key .. "=" .. compare.text(step[key])
  end
  return ("    %s %s"):format(step.kind, table.concat(parts, " "))
end

local function report_failure(self, sequence, verdict)
  local write = self.write
  write(("sequence %d differs (%s servers); again: tools/differential %d 1 --servers %s\n"):format(
    sequence.seed, sequence.setup, sequence.seed, table.concat(self.words, ",")))
  for i, frame in ipairs(verdict.failures) do
    if i > 3 then
      write(("  and %d more\n"):format(#verdict.failures - 3))
      break
    end
    write(describe_frame(self.words, frame) .. "\n")
  end
end

local function report_shrunk(self, sequence, verdict)
  self.write("  the same in few steps:\n")
  for _, step in ipairs(sequence.steps) do
    self.write(describe_step(step) .. "\n")
  end
  self.write(describe_frame(self.words, verdict.failures[1]) .. "\n")
end

-- Running -----------------------------------------------------------------------------------------

local Run = {}
Run.__index = Run

-- Servers that are given are the same whatever the setup, and have one janitor, whom four-letter
-- words count.
local function arena(self, setup)
  setup = self.given and "full" or setup
  if not self.arenas[setup] then
    local pair = {}
    for i, word in ipairs(self.words) do
      pair[i] = assert(servers.start(word, setup, self.long))
    end
    self.arenas[setup] = { pair = pair, duel = duel.new(pair[1], pair[2]) }
  end
  return self.arenas[setup]
end

local function count_replies(self, verdict)
  for _, frame in ipairs(verdict.frames) do
    if frame.kind == "reply" and frame.right and frame.left and frame.where.stream ~= "tree" then
      self.left_hits:reply(frame.request, frame.left)
      self.right_hits:reply(frame.request, frame.right)
      self.requests = self.requests + (frame.request.xid > 0 and 1 or 0)
    elseif frame.kind == "late" and frame.left then
      self.late_hits:reply(frame.request, frame.left)
    elseif frame.kind == "late" then
      self.right_hits:reply(frame.request, frame.right)
    elseif frame.kind == "event" then
      self.events = self.events + 1
    elseif frame.kind == "word" and frame.left then
      self.words_asked[frame.left.word] = (self.words_asked[frame.left.word] or 0) + 1
    elseif frame.kind == "lapse" then
      self.lapses = self.lapses + 1
    end
  end
end

local function replay(self, sequence)
  local place = arena(self, sequence.setup).duel
  if sequence.setup == "brief" then
    return place:play_all({ sequence })[1]
  end
  return place:play(sequence)
end

local function judge(self, sequence, verdict)
  self.sequences = self.sequences + 1
  count_replies(self, verdict)
  for name, count in pairs(verdict.known) do
    self.known[name] = (self.known[name] or 0) + count
  end
  if #verdict.failures > 0 then
    self.failures = self.failures + 1
    local kind = shrink.essence(verdict)
    if self.kinds[kind] then
      self.write(("sequence %d differs in the same way as sequence %d\n"):format(
        sequence.seed, self.kinds[kind]))
      return
    end
    self.kinds[kind], self.kinds_count = sequence.seed, self.kinds_count + 1
    report_failure(self, sequence, verdict)
    if self.shrinks then
      report_shrunk(self, shrink.sequence(sequence, verdict, function(smaller)
        return replay(self, smaller)
      end))
    end
  end
  if self.long and self.sequences % PROGRESS == 0 then
    self.write(("%d sequences, %d differ\n"):format(self.sequences, self.failures))
  end
end

local function play_waiting(self)
  local list = self.waiting
  if #list > 0 then
    self.waiting = {}
    for i, verdict in ipairs(arena(self, "brief").duel:play_all(list)) do
      judge(self, list[i], verdict)
    end
  end
end

function Run:sequence(seed)
  local sequence = generator.sequence(seed)
  if sequence.setup ~= "brief" then
    judge(self, sequence, replay(self, sequence))
  elseif self.given then
    self.skipped = self.skipped + 1
  else
    self.waiting[#self.waiting + 1] = sequence
    if #self.waiting == TOGETHER then
      play_waiting(self)
    end
  end
end

local function close(self)
  for _, place in pairs(self.arenas) do
    pcall(place.duel.finish, place.duel)
    for _, server in ipairs(place.pair) do
      server.stop()
    end
  end
end

local function by_name(counts)
  local list = {}
  for name, count in pairs(counts) do
    list[#list + 1] = ("%s %d"):format(name, count)
  end
  table.sort(list)
  return table.concat(list, "  ")
end

local function summary(self, seconds)
  local write = self.write
  write(("\n%s by operation and code:\n%s\n"):format(self.words[2], self.right_hits:report()))
  local missing = self.right_hits:missing()
  write("never seen: " .. (#missing > 0 and table.concat(missing, ", ") or "none") .. "\n")
  write(("behind the end of a session %s answered:\n%s\n"):format(self.words[1],
    self.late_hits:report()))
  write("words: " .. by_name(self.words_asked) .. "\n")
  write(("waits for what ends by itself: %d\n"):format(self.lapses))
  local names = {}
  for name in pairs(self.known) do
    names[#names + 1] = name
  end
  table.sort(names)
  for _, name in ipairs(names) do
    write(("known: %s: %d\n"):format(name, self.known[name]))
  end
  if self.skipped > 0 then
    write(("%d sequences need servers with short times and were left out\n"):format(self.skipped))
  end
  write(("%d sequences, %d requests, %d events, %.0f s; %d sequences differ\n"):format(
    self.sequences, self.requests, self.events, seconds, self.failures))
end

--- Runs sequences seed .. seed + count - 1 and reports through options.write.
---@param seed integer
---@param count integer
---@param options { servers: string[], write: fun(text: string), shrink: boolean|nil,
---  kinds_max: integer|nil }
---@return table result  { failures, sequences, requests, events, known, missing }
function run.run(seed, count, options)
  local self = setmetatable({
    words = options.servers, write = options.write, shrinks = options.shrink,
    long = count >= LONG, arenas = {}, known = {}, kinds = {}, kinds_count = 0,
    sequences = 0, requests = 0, events = 0, failures = 0,
    left_hits = hits.new(), right_hits = hits.new(), late_hits = hits.new(),
    waiting = {}, skipped = 0, words_asked = {}, lapses = 0,
    given = servers.is_given(options.servers[1]) or servers.is_given(options.servers[2]),
  }, Run)
  local start = uv.hrtime()
  local ok, message = pcall(function()
    for i = 0, count - 1 do
      self:sequence(seed + i)
      if self.kinds_count >= (options.kinds_max or KINDS_MAX) then
        self.write("too many differences: giving up\n")
        break
      end
    end
    play_waiting(self)
  end)
  close(self)
  uv.run("nowait") -- luv crashes when Lua ends between a handle's close and its last turn
  if not ok then
    error(message, 0)
  end
  summary(self, (uv.hrtime() - start) / 1e9)
  self.missing = self.right_hits:missing()
  return self
end

return run
