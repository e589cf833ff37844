--- How far the workers of a job have come: each reports for itself, anybody adds it up or follows.
local progress = {}

local Report = {}
Report.__index = Report

local function base(job)
  return "/progress/" .. job
end

--- A worker's report, which goes when the worker does. Its `set(done)` is called as often as one
--- likes.
function progress.report(c, job, worker, total)
  assert(type(total) == "number" and total >= 0 and total % 1 == 0, "total must be whole")
  local member, message, code = c:member(base(job) .. "/" .. worker, "0/" .. total)
  if not member then
    return nil, message, code
  end
  return setmetatable({ _member = member, _total = total }, Report)
end

function Report:set(done)
  assert(done <= self._total, "more than there is")
  return self._member:set(("%d/%d"):format(done, self._total))
end

function Report:close()
  return self._member:close()
end

--- What all workers have done, and what there is to do, at one moment; or nil, message, code.
function progress.sum(c, job)
  local workers, message, code = c:children(base(job))
  if not workers then
    if code == "NONODE" then
      return 0, 0
    end
    return nil, message, code
  end
  local list = {}
  for i, worker in ipairs(workers) do
    list[i] = { "get", base(job) .. "/" .. worker }
  end
  local results
  results, message, code = c:read_many(list)
  if not results then
    return nil, message, code
  end
  local done, total = 0, 0
  for _, result in ipairs(results) do
    if result.op == "get" then -- one that has gone meanwhile is none
      local a, b = result.data:match("^(%d+)/(%d+)$")
      done, total = done + tonumber(a), total + tonumber(b)
    end
  end
  return done, total
end

--- Calls show(done, total) at first and whenever something has changed, until it returns true.
function progress.follow(c, job, show)
  local stream, message, code = c:watch(base(job), { recursive = true })
  if not stream then
    return nil, message, code
  end
  local done, total = progress.sum(c, job)
  if done and show(done, total) then
    stream:close()
    return true
  end
  return stream:each(function(event)
    if event.type == "closed" then
      return false, "the client has ended", event.code
    end
    done, total = progress.sum(c, job)
    if done and show(done, total) then
      return true
    end
  end)
end

return progress
