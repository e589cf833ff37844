-- A guided tour of the four patterns: several tasks, each with a session of its own as if it were
-- a program of its own. It ends by itself after a few seconds.
-- Afterwards run lock.lua, queue.lua, barrier.lua and election.lua, each in several terminals.
local zk = require "zklua"

local began, root = zk.now(), "/demo/tour-" .. os.time()
local function say(who, ...)
  print(("%5.2f s  %-4s %s"):format(zk.now() - began, who, string.format(...)))
end

-- Runs `fn(c, name)` once for each name, all at the same time, each on a session of its own.
local function everyone(names, fn)
  zk.group(function(group)
    for name in names:gmatch("%a+") do
      group:spawn(function()
        local c = assert(zk.connect({ id = name }))
        fn(c, name)
        c:close()
      end)
    end
  end)
end

print("1. Lock: one at a time, first come first served")
everyone("ann bob cid", function(c, name)
  assert(c:lock(root .. "/lock"):with(function(held)
    say(name, "is inside, token %s", held.token_text)
    held:sleep(0.3)
  end))
end)

print("2. Queue: the work is shared out; what a worker leaves undone goes to another")
everyone("boss dan eve", function(c, name)
  local queue = c:queue(root .. "/queue")
  if name == "boss" then return assert(queue:put_all({ "A", "B", "C", "D" })) end
  for item in function() return (queue:take({ wait = 1 })) end do
    say(name, name == "dan" and "goes home with letter %s" or "delivers letter %s", item.data)
    if name == "dan" then return end -- his session ends, and the letter is back in the queue
    item:sleep(0.1)
    assert(item:done())
  end
end)

print("3. Barrier: nobody goes on before all have come")
everyone("fay gus hal", function(c, name)
  zk.sleep(({ fay = 0, gus = 0.3, hal = 0.6 })[name])
  say(name, "has come")
  assert(c:barrier(root .. "/barrier", { parties = 3 }):wait({ wait = 10 }))
  say(name, "goes on")
end)

print("4. Election: one leads; when it goes, the next does")
everyone("ida jon", function(c, name)
  say(name, assert(c:election(root .. "/election"):campaign(function(term)
    say(name, "leads, token %s", term.token_text)
    term:sleep(0.4)
    return "steps down"
  end)))
end)
