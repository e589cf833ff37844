--- worker.lua PATTERN SERVERS NAME LOG STOP TIMEOUT: one process that uses a pattern until the
--- file STOP exists, and writes what happens to it into LOG, a line per event:
---
---     SECONDS NAME EVENT WORDS...
---
--- Specs start several, kill servers under them, and judge the lines afterwards (workers.lua).
--- Seconds are of `zk.now()`, which all processes of a machine share. Anything unexpected is an
--- error and ends the process with a status other than 0.
local uv = require("luv")
local zk = require("zklua")

local pattern, servers, name, log_name, stop_name = arg[1], arg[2], arg[3], arg[4], arg[5]

local log_file = assert(io.open(log_name, "a"))
log_file:setvbuf("line")

local function log(...)
  log_file:write(("%.6f %s "):format(zk.now(), name), table.concat({ ... }, " "), "\n")
end

local function stopping()
  return uv.fs_stat(stop_name) ~= nil
end

-- What a lost connection does to a write that the recipe cannot repeat: perhaps it happened.
local function uncertain(code)
  return code == "CONNECTIONLOSS" or code == "TIMEOUT"
end

local c = assert(zk.connect(servers, { session_timeout = tonumber(arg[6]), id = name }))
local session_id = c:session().id

c:on("state", function(state, reason)
  log("state", state, reason or "")
end)

local patterns = {}

--- Counts under the lock: read, add one, write guarded. Two holders would lose a count.
function patterns.lock(options)
  local lock = c:lock("/lock", options)
  while not stopping() do
    local held = assert(lock:acquire({ wait = 60 }))
    log("begin", held.token_text)
    local before, message, code = c:get("/count", { fresh = true })
    if before then
      local ok
      ok, message, code = held:set("/count", tostring(before + 1))
      log(ok and "counted" or "unsure", before + 1)
    end
    assert(not message or uncertain(code), message)
    log("end", held.token_text, tostring(held:valid()))
    assert(held:release())
  end
end

function patterns.kazoo_lock()
  patterns.lock({ dialect = "kazoo" })
end

--- Holds the lock until it is killed.
function patterns.keep_lock()
  local held = assert(c:lock("/lock"):acquire({ wait = 60 }))
  log("begin", held.token_text)
  held:sleep(600)
end

--- Puts numbered items until told to stop.
local function produce(options)
  local queue, number = c:queue("/queue", options), 0
  while not stopping() do
    number = number + 1
    local item = name .. "-" .. number
    local path, message, code = queue:put(item)
    assert(path or uncertain(code) or code == "NOTCONNECTED", message)
    if code ~= "NOTCONNECTED" then -- which is sure, too: it was not sent
      log(path and "put" or "unsure", item)
    end
    assert(zk.sleep(0.005))
  end
end

function patterns.produce_lease()
  produce({ lease = true })
end

function patterns.produce_once()
  produce({ lease = false })
end

--- Takes items until the queue has been empty for a while after the stop.
function patterns.consume_lease()
  local queue = c:queue("/queue", { lease = true })
  while true do
    local item, message, code = queue:take({ wait = 2 })
    if item then
      log("took", item.data)
      local done
      done, message, code = item:done()
      log(done and "done" or "undone", item.data, code or "")
      assert(done or uncertain(code), message)
    else
      assert(code == "EMPTY" or uncertain(code) or code == "NOTCONNECTED", message)
      if stopping() then
        return
      end
    end
  end
end

function patterns.consume_once()
  local queue = c:queue("/queue", { lease = false })
  while true do
    local item, message, code = queue:take({ wait = 2 })
    if item then
      log("took", item.data)
    else
      assert(code == "EMPTY" or uncertain(code) or code == "NOTCONNECTED", message)
      if stopping() then
        return
      end
    end
  end
end

--- Meets two others, round after round. The last round is whichever all three have reached when
--- a party saw the stop: it says so in a node that the others look at between rounds.
function patterns.barrier()
  local round = 0
  while true do
    round = round + 1
    if stopping() and c:exists("/last") == false then
      c:create("/last", tostring(round + 3))
    end
    local last = c:get("/last", { fresh = true })
    if last and round > tonumber(last) then
      return
    end
    local barrier = c:barrier("/barrier-" .. round, { parties = 3 })
    log("arrive", round)
    assert(barrier:enter({ wait = 60 }))
    log("inside", round)
    assert(barrier:leave({ wait = 60 }))
    log("outside", round)
  end
end

local function elect(mode)
  local election = c:election("/election-" .. mode, { mode = mode })
  while not stopping() do
    assert(election:campaign(function(term)
      log("begin", term.token_text)
      local kept = term:sleep(0.05)
      log("end", term.token_text, tostring(kept and term:valid()))
      return true
    end))
    -- The others' turn, also where the first to come wins.
    assert(zk.sleep(0.02))
  end
end

function patterns.elect_dynamic()
  elect("dynamic")
end

function patterns.elect_static()
  elect("static")
end

local function main()
  patterns[pattern]()
  assert(c:session().id == session_id, "the session did not survive")
  c:close()
  log("finished")
  return true
end

assert(zk.spawn(main):wait(600))
