--- Makes a sequence that differs short: leaves out steps, then requests, as long as the servers
--- still differ in the same way.
local shrink = {}

local ATTEMPTS_MAX = 400

-- What a difference is about, so that shrinking does not end at another one.
---@param verdict table
---@return string|nil
function shrink.essence(verdict)
  local frame = verdict.failures[1]
  if not frame then
    return nil
  end
  return frame.kind .. " " .. (frame.request and frame.request.op or "") .. " "
    .. tostring(frame.left and frame.left.code) .. " " .. tostring(frame.right and frame.right.code)
    .. " " .. table.concat(frame.fields, " ")
end

local function with_steps(sequence, steps)
  return { seed = sequence.seed, root = sequence.root, setup = sequence.setup, steps = steps }
end

-- A step may go unless later ones would speak of a connection that was never opened.
local function without_step(steps, gone)
  local rest, dropped = {}, steps[gone]
  local opens = dropped.kind == "connect" and dropped.connection
  for i, step in ipairs(steps) do
    if i ~= gone and not (opens and step.connection == opens) then
      rest[#rest + 1] = step
    end
  end
  return rest
end

local function without_request(steps, at, gone)
  local rest = {}
  for i, step in ipairs(steps) do
    rest[i] = step
  end
  local list = {}
  for i, request in ipairs(steps[at].requests) do
    if i ~= gone then
      list[#list + 1] = request
    end
  end
  rest[at] = {
    kind = "send", connection = steps[at].connection, requests = list, closes = steps[at].closes,
  }
  return rest
end

-- A session that is joined must have begun.
local function sound(steps)
  local begun = {}
  for _, step in ipairs(steps) do
    if step.kind == "connect" then
      if step.attach and not begun[step.session] then
        return false
      elseif step.session then
        begun[step.session] = true
      end
    end
  end
  return true
end

---@param sequence table
---@param verdict table     of the whole sequence
---@param play fun(sequence: table): table  plays one and gives its verdict
---@return table sequence, table verdict
function shrink.sequence(sequence, verdict, play)
  local wanted, attempts = shrink.essence(verdict), 0
  local function try(steps)
    if attempts >= ATTEMPTS_MAX or not sound(steps) then
      return false
    end
    attempts = attempts + 1
    local smaller = with_steps(sequence, steps)
    local outcome = play(smaller)
    if shrink.essence(outcome) == wanted then
      sequence, verdict = smaller, outcome
      return true
    end
    return false
  end
  local at = #sequence.steps
  while at >= 1 do
    try(without_step(sequence.steps, at))
    at = math.min(at - 1, #sequence.steps)
  end
  for i = #sequence.steps, 1, -1 do
    local requests = sequence.steps[i].requests
    for j = requests and #requests or 0, 1, -1 do
      if #sequence.steps[i].requests > 1 then
        try(without_request(sequence.steps, i, j))
      end
    end
  end
  return sequence, verdict
end

return shrink
