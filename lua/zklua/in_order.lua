--- The members of a set in the order in which they came in, for sets that keep it: `set[member]` is
--- a number that grows. Who is woken or closed first must not follow from where a table lies in
--- memory: a run that is repeated would go another way.
---@param set table<any, number>
---@return any[]
return function(set)
  local members = {}
  for member in pairs(set) do
    members[#members + 1] = member
  end
  table.sort(members, function(a, b)
    return set[a] < set[b]
  end)
  return members
end
