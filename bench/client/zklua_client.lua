--- zklua_client.lua PORT OPERATION WINDOW COUNT: plain calls from WINDOW tasks.
local uv = require("luv")
local zk = require("zklua")
local report = require("report")

local port, operation, window, count = arg[1], arg[2], tonumber(arg[3]), tonumber(arg[4])
local DATA = ("\0"):rep(100)
local PREPARE_WINDOW = 1000

local c = assert(zk.connect("127.0.0.1:" .. port, { session_timeout = 30 }))
local root = "/bench-zklua-" .. uv.os_getpid()

local operations = {}

function operations.get()
  return c:get(root)
end

function operations.set()
  return c:set(root, DATA)
end

function operations.create(index)
  return c:create(("%s/n%08d"):format(root, index), DATA)
end

function operations.delete(index)
  return c:delete(("%s/n%08d"):format(root, index))
end

--- `total` calls from `tasks` tasks; latencies go to `measure` if there is one.
local function run(name, total, tasks, measure)
  local call, index, running = operations[name], 0, {}
  local every = tasks == 1 and 1 or report.SAMPLE_EVERY
  local function work()
    while index < total do
      index = index + 1
      if measure and index % every == 0 then
        local sent = uv.hrtime()
        assert(call(index))
        measure:add(sent)
      else
        assert(call(index))
      end
    end
    return true
  end
  for i = 1, tasks do
    running[i] = zk.spawn(work)
  end
  for i = 1, tasks do
    assert(running[i]:wait())
  end
end

local function main()
  assert(c:create(root, DATA))
  if operation == "delete" then
    run("create", count, PREPARE_WINDOW)
  elseif operation ~= "create" then
    run(operation, math.floor(count / 10) + 1, window)
  end
  local measure = report.start()
  run(operation, count, window, measure)
  measure:print(count)
  if operation == "create" then
    run("delete", count, PREPARE_WINDOW)
  end
  c:close()
  return true
end

assert(zk.spawn(main):wait(3600))
