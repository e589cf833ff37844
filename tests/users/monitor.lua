--- Watches over the machines of a cluster: each is a node below /machines with its load, and a
--- person is told who has gone, who is back, and who has too much to do.
local monitor = {}

--- Calls alarm(text) for what happens, until the client ends; returns the code of its end.
function monitor.run(c, alarm, options)
  local limit = options and options.limit or 90
  local cache = c:cache("/machines")
  local hot, gone = {}, {}

  local function look(name, data)
    local load = tonumber(data)
    if not load then
      alarm(name .. " says nonsense: " .. data)
    elseif load > limit and not hot[name] then
      hot[name] = true
      alarm(("%s is at %d"):format(name, load))
    elseif load <= limit and hot[name] then
      hot[name] = nil
      alarm(name .. " is well again")
    end
  end

  for change in cache:changes() do
    local name = change.path and change.path:match("^/([^/]+)$")
    if change.type == "snapshot" then
      for _, node in ipairs(change.nodes) do
        if node.path ~= "/" then
          look(node.name, node.data)
        end
      end
    elseif change.type == "closed" then
      return change.code
    elseif name and change.type == "removed" then
      gone[name], hot[name] = true, nil
      alarm(name .. " has gone")
    elseif name then
      if gone[name] then
        gone[name] = nil
        alarm(name .. " is back")
      end
      look(name, change.data)
    end
  end
end

return monitor
