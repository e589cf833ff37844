-- A queue: any number of producers and consumers, each item worked on by one of them.
--
-- Two terminals: `tools/run scripts/queue.lua take` in both, then in a third
-- `tools/run scripts/queue.lua put 10`. The items are shared out. Kill a consumer in the middle
-- of an item: another gets that item. Without an argument it does both, with three items.
local zk = require "zklua"

local role, count = arg and arg[1] or "both", tonumber(arg and arg[2]) or 3
local c = assert(zk.connect({ session_timeout = 6 }))
local queue = c:queue("/demo/queue")

local function put()
  for i = 1, count do
    local path = assert(queue:put(("letter %d of %s"):format(i, c:session().id)))
    print("put", path)
  end
end

local function take(patience)
  while true do
    local item, message, code = queue:take({ wait = patience })
    if not item then
      print(message)
      return code
    end
    print("took", item.path, item.data)
    if item:sleep(1) then -- the work; false when our lease is lost
      local done, why = item:done()
      print(done and "done" or why, item.path)
    end
  end
end

if role == "put" then
  put()
elseif role == "take" then
  take(nil) -- waits for ever, without asking again and again
else
  local worker = zk.spawn(take, 2)
  put()
  worker:wait()
end
c:close()
