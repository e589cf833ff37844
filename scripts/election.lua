-- An election: of all the programs that run this, one leads; when it goes, the next takes over.
--
-- Run it in three terminals: `tools/run scripts/election.lua NAME`, each with a name of its own.
-- Everyone prints who leads. Stop the leader with Ctrl-C: the next leads at once. Stop it with
-- `kill -STOP`: the next leads when its session has expired, and `kill -CONT` shows it learn that.
-- `tools/run scripts/election.lua NAME static` is the other kind: whoever is first to make a node.
local zk = require "zklua"

local name = arg and arg[1] or zk.hostname()
local mode = arg and arg[2] or "dynamic"
local seconds = tonumber(arg and arg[3]) or math.huge -- a term's length
local c = assert(zk.connect({ session_timeout = 6 }))
local election = c:election("/demo/election-" .. mode, { id = name, mode = mode })

zk.spawn(function()
  for leader in assert(election:changes()) do
    print("leader: " .. (leader and leader.id or "nobody"))
  end
end)

-- Called once for each term of ours. When it returns, we step down.
local result, message = election:campaign(function(term)
  print(("%s leads, token %s"):format(name, term.token_text))
  local begun = zk.now()
  while zk.now() - begun < seconds do
    if not term:sleep(math.min(1, seconds)) then -- as soon as we lead no more
      print(name .. " leads no more")
      return "deposed"
    end
  end
  return "term over"
end)
print(name .. ": " .. (result or message))
zk.sleep(0.1)
c:close()
