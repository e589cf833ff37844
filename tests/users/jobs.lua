--- A nightly job that many machines start and one at a time works on, item by item. What is done is
--- recorded under the lock, so that whoever comes after a crash goes on where it stopped.
local jobs = {}

-- Whether the item is done already: true, false, or nil, message, code.
local function is_done(c, path)
  local stat, message, code = c:exists(path)
  if stat == nil then
    return nil, message, code
  end
  return stat ~= false
end

-- Ours is the only hand here, so a node that is there after a lost reply is the one we made.
local function record(held, path, result)
  while true do
    local made, message, code = held:create(path, result)
    if made or code == "NODEEXISTS" then
      return true
    elseif code ~= "CONNECTIONLOSS" then
      return nil, message, code
    end
  end
end

local function work(c, held, base, items, handle)
  local ok, message, code = c:ensure(base .. "/done")
  if not ok then
    return nil, message, code
  end
  local count = 0
  for _, item in ipairs(items) do
    local path = base .. "/done/" .. item
    local done
    done, message, code = is_done(c, path)
    if done == nil then
      return nil, message, code
    elseif not done then
      local result = handle(item, held)
      ok, message, code = record(held, path, tostring(result))
      if not ok then
        return nil, message, code
      end
      count = count + 1
    end
  end
  return count
end

--- Runs handle(item) for each item that has no result yet, and returns how many those were; or nil,
--- message, code: BUSY when another machine is at it for longer than `options.wait` seconds, LOST
--- when this one was cut off for too long.
function jobs.run(c, name, items, handle, options)
  assert(type(items) == "table", "items must be a list")
  local base = "/jobs/" .. name
  local ok, count, message, code = c:lock(base .. "/lock"):with(options or {}, function(held)
    return work(c, held, base, items, handle)
  end)
  if not ok then
    return nil, count, message
  end
  return count, message, code
end

--- The result of an item; nil, message, "NONODE" when it is not done.
function jobs.result(c, name, item)
  return c:get("/jobs/" .. name .. "/done/" .. item)
end

return jobs
