--- Says whether what workers have logged keeps the promises of a pattern. Each function raises
--- with the events that break one.
local judge = {}

local function fail(text, ...)
  error(text:format(...), 3)
end

--- One holder at a time: each "begin" is ended before the next one, and tokens grow. Who
--- was killed holds no more.
function judge.holders(events)
  local holder, last_token, terms = nil, nil, 0
  for _, event in ipairs(events) do
    if event.event == "begin" then
      if holder then
        fail("%s began at %.6f while %s held since %.6f",
          event.name, event.at, holder.name, holder.at)
      end
      local token = tonumber(event.a)
      if token and last_token and token <= last_token then
        fail("token %s after %d", event.a, last_token)
      end
      last_token = token or last_token
      holder, terms = event, terms + 1
    elseif event.event == "end" then
      if not holder or holder.name ~= event.name then
        fail("%s ended at %.6f and was not the holder", event.name, event.at)
      end
      holder = nil
    elseif event.event == "killed" and holder and holder.name == event.name then
      holder = nil
    end
  end
  return terms
end

--- How often each value of `a` stands with `event`.
---@return table<string, integer>
function judge.names(events, event)
  local names = {}
  for _, one in ipairs(events) do
    if one.event == event then
      names[one.a] = (names[one.a] or 0) + 1
    end
  end
  return names
end

--- The values of `a` that stand with `event`, in order.
---@return string[]
function judge.sequence(events, event)
  local sequence = {}
  for _, one in ipairs(events) do
    if one.event == event then
      sequence[#sequence + 1] = one.a
    end
  end
  return sequence
end

local function total(names)
  local sum = 0
  for _, count in pairs(names) do
    sum = sum + count
  end
  return sum
end

--- The counter shows each count that was sure, and of the unsure ones some.
function judge.counted(events, counter)
  local sure = total(judge.names(events, "counted"))
  local unsure = total(judge.names(events, "unsure"))
  local value = tonumber(counter)
  if value < sure or value > sure + unsure then
    fail("the counter shows %d after %d sure and %d unsure counts", value, sure, unsure)
  end
end

--- Every item that was put for sure was taken; none came from nowhere. With `once`, none was
--- taken twice; else none was reported done twice.
function judge.items(events, once)
  local put, unsure = judge.names(events, "put"), judge.names(events, "unsure")
  local took = judge.names(events, "took")
  for item in pairs(put) do
    if not took[item] then
      fail("%s was put and never taken", item)
    end
  end
  for item, times in pairs(took) do
    if not put[item] and not unsure[item] then
      fail("%s was taken and never put", item)
    end
    if once and times > 1 then
      fail("%s was taken %d times", item, times)
    end
  end
  for item, times in pairs(judge.names(events, "done")) do
    if times > 1 then
      fail("%s was done %d times", item, times)
    end
  end
  return total(put)
end

--- In every round: all `parties` arrive before one is inside, all are inside before one is out.
function judge.rounds(events, parties)
  local seen, rounds = {}, 0
  for _, event in ipairs(events) do
    if event.event == "arrive" or event.event == "inside" or event.event == "outside" then
      local round = seen[event.a] or { arrive = 0, inside = 0, outside = 0 }
      seen[event.a] = round
      round[event.event] = round[event.event] + 1
      if event.event == "inside" and round.arrive < parties then
        fail("round %s: inside at %.6f with %d of %d", event.a, event.at, round.arrive, parties)
      elseif event.event == "outside" and round.inside < parties then
        fail("round %s: outside at %.6f with %d of %d", event.a, event.at, round.inside, parties)
      elseif event.event == "outside" and round.outside == parties then
        rounds = rounds + 1
      end
    end
  end
  for number, round in pairs(seen) do
    if round.arrive ~= parties or round.outside ~= parties then
      fail("round %s: %d arrived, %d came out", number, round.arrive, round.outside)
    end
  end
  return rounds
end

return judge
