--- A program of trials that deletes the nodes of others now and then, until things get well again.
---@param path string  whose children it deletes
---@param least number  seconds that it waits at least in between; 2 more at most
return function(trial, path, least)
  return function(zk, name)
    local c = assert(zk.connect({ timeout = 1000 }))
    while not trial.healing do
      local names = c:children(path) or {}
      if names[1] then
        c:delete(path .. "/" .. names[trial.world:pick(name, 1, #names)])
      end
      zk.sleep(least + trial.world:random(name) * 2)
    end
    return c
  end
end
