--- Adds up the counters of sessions that follow each other.
local metrics = {}

local function add_operation(sum, other)
  sum.count, sum.errors = sum.count + other.count, sum.errors + other.errors
  sum.sum = sum.sum + other.sum
  for i, count in pairs(other.histogram) do
    sum.histogram[i] = (sum.histogram[i] or 0) + count
  end
end

--- `sum`, changed to hold `other` too; either as core's client:metrics() gives it. `pending` is
--- of the present and not added.
function metrics.add(sum, other)
  for key, value in pairs(other or {}) do
    if type(value) == "number" and key ~= "pending" then
      sum[key] = (sum[key] or 0) + value
    end
  end
  for name, operation in pairs(other and other.operations or {}) do
    if sum.operations[name] then
      add_operation(sum.operations[name], operation)
    else
      sum.operations[name] = operation
    end
  end
  return sum
end

return metrics
