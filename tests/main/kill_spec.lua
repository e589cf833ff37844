-- kill -9 under load, again and again: what was acknowledged is there, what was deleted with an
-- answer is not, and what was never answered happened up to some request and not behind it.
--
-- A cycle kills the server at a moment of chance while it serves a load, some more while they
-- start, and judges what the last one finds. Hundred cycles share a directory, whose content is
-- judged once more when they are over; a new one begins then, so that a start of the last cycle
-- costs what one of the first does.
--
-- ZKLUA_KILL_CYCLES=1000 asks for more cycles than the suite has time for, and for a report.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local ASKED = tonumber(os.getenv("ZKLUA_KILL_CYCLES"))
local CYCLES = ASKED or 12
local CYCLES_PER_DIRECTORY = 100
local WINDOW = 1000 -- requests without an answer: what one batch may hold
local MOST_MS = 250 -- from the first answer to the kill
local STARTS_KILLED = 0.4 -- how likely it is that a start is killed; again for the next one
local SAMPLE = 50 -- nodes of a session whose data are read, too
local CREATE, DELETE, SET, GET, CHILDREN = 1, 2, 5, 4, 8

-- Directories of different habits, one after the other.
local CONFIGS = {
  "snapCount=2000\npreAllocSize=1024\n",
  "snapCount=300\npreAllocSize=64\n",
  "snapCount=20000\ntxnLogSizeLimitInKb=256\n",
  "snapCount=5000\npreAllocSize=64\ntxnLogSizeLimitInKb=1024\n",
}

local function data_of(node)
  return ("x"):rep(node % 700)
end

local function delete_record(path)
  return frames.string(path) .. frames.i32(-1)
end

local function set_record(path, data)
  return frames.string(path) .. frames.string(data) .. frames.i32(-1)
end

-- What one session writes below `root`, and what it was told. Of ten requests one sets /counter,
-- two delete a node created before, the others create.
local function new_writer(root)
  return {
    root = root, sent = {}, first = 1, last = 0, next_node = 1, next_delete = 1,
    told = {}, deleting = {}, gone = {}, counter_sent = 0, counter_told = 0,
  }
end

local function next_request(writer)
  local xid = writer.last + 1
  writer.last = xid
  local turn = xid % 10
  if turn == 0 then
    writer.counter_sent = writer.counter_sent + 1
    writer.sent[xid] = { kind = "set", value = writer.counter_sent }
    return xid, SET, set_record(writer.root, tostring(writer.counter_sent))
  elseif turn < 3 and writer.next_delete < writer.next_node then
    local node = writer.next_delete
    writer.next_delete = node + 1
    writer.deleting[node] = true
    writer.sent[xid] = { kind = "delete", node = node }
    return xid, DELETE, delete_record(writer.root .. "/" .. node)
  end
  local node = writer.next_node
  writer.next_node = node + 1
  writer.sent[xid] = { kind = "create", node = node }
  return xid, CREATE, talk.create_record(writer.root .. "/" .. node, data_of(node))
end

local function take_reply(writer, body)
  local xid, code = frames.read_i32(body, 1), frames.read_i32(body, 13)
  local request = writer.sent[xid]
  assert.equal(writer.first, xid)
  assert.equal(0, code)
  writer.first = xid + 1
  writer.sent[xid] = nil
  if request.kind == "create" then
    writer.told[request.node] = true
  elseif request.kind == "delete" then
    writer.gone[request.node] = true
  else
    writer.counter_told = request.value
  end
end

local function fill_window(writer, link)
  local pieces = {}
  while writer.last - writer.first + 1 < WINDOW do
    local xid, op, record = next_request(writer)
    pieces[#pieces + 1] = frames.frame(frames.i32(xid) .. frames.i32(op) .. record)
  end
  if pieces[1] then
    link:write(table.concat(pieces))
  end
end


-- What is found of a session's writes, against what it was told.
local function judge_told(writer, names, value, counts)
  for node = 1, writer.next_node - 1 do
    if writer.gone[node] then
      assert.is_nil(names[node], "deleted, and there again: " .. node)
      counts.checked = counts.checked + 2 -- with the creation
    elseif writer.told[node] and not writer.deleting[node] then
      assert.is_true(names[node], "acknowledged, and lost: " .. node)
      counts.checked = counts.checked + 1
    end
  end
  assert.is_true(value >= writer.counter_told and value <= writer.counter_sent,
    ("%d is not within %d and %d"):format(value, writer.counter_told, writer.counter_sent))
  counts.checked = counts.checked + writer.counter_told
end

-- Whether a request without an answer has happened; nil where it cannot be known.
local function happened(writer, request, names, value)
  if request.kind == "set" then
    return value >= request.value
  elseif request.kind == "delete" then
    return writer.told[request.node] and not names[request.node] or nil
  end
  return names[request.node] or not writer.deleting[request.node] and false or nil
end

-- A session's requests happen in their order, answered or not.
local function judge_order(writer, names, value)
  local missing, count = nil, 0
  for xid = writer.first, writer.last do
    local there = happened(writer, writer.sent[xid], names, value)
    if there == false then
      missing = missing or xid
    elseif there then
      assert.is_nil(missing, ("%s has happened, %s before it has not"):format(xid, missing))
      count = count + 1
    end
  end
  return count
end

local function read_children(link, path)
  link:send(1, CHILDREN, frames.string(path) .. "\0")
  local _, code, body = link:reply()
  assert.equal(0, code)
  local names, at = {}, 5
  for _ = 1, frames.read_i32(body) do
    local size = frames.read_i32(body, at)
    names[tonumber(body:sub(at + 4, at + 3 + size))] = true
    at = at + 4 + size
  end
  return names
end

local function read_data(link, path)
  link:send(2, GET, frames.string(path) .. "\0")
  local _, code, body = link:reply()
  assert.equal(0, code, path)
  return body:sub(5, 4 + frames.read_i32(body))
end

local function judge(link, writer, counts)
  local names = read_children(link, writer.root)
  local value = tonumber(read_data(link, writer.root))
  judge_told(writer, names, value, counts)
  local unanswered = judge_order(writer, names, value)
  assert.equal(writer.unanswered or unanswered, unanswered, "what was found once has changed")
  writer.unanswered = unanswered
  local sample = 0
  for node in pairs(names) do
    assert.equal(data_of(node), read_data(link, writer.root .. "/" .. node))
    sample = sample + 1
    if sample == SAMPLE then
      break
    end
  end
end

describe("zklua server under kill -9 #once", function()
  local dir, data, zklua, server, counts, start_ms

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-kill-XXXXXX"))
    -- Of its own: a long run outlives the next build.
    zklua = dir .. "/zklua"
    assert(uv.fs_copyfile(program.zklua(), zklua))
    counts = { cycles = 0, starts = 0, starts_killed = 0, answered = 0, unanswered = 0,
      checked = 0, in_snapshot = 0, directories = 0 }
    start_ms = 10
  end)

  after_each(function()
    if server then
      server:stop("sigkill")
    end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function command()
    return { zklua, "server", data .. "/zoo.cfg" }
  end

  local function begin_directory()
    data = ("%s/%d"):format(dir, counts.directories)
    assert(uv.fs_mkdir(data, 448))
    local file = assert(io.open(data .. "/zoo.cfg", "w"))
    assert(file:write("dataDir=", data, "/data\nclientPort=0\nclientPortAddress=127.0.0.1\n",
      "maxClientCnxns=0\nautopurge.purgeInterval=1\n", CONFIGS[counts.directories % #CONFIGS + 1]))
    file:close()
    counts.directories = counts.directories + 1
  end

  -- The timer that kills `process`, to be closed when that has ended.
  local function kill_in(process, ms)
    local timer = uv.new_timer()
    uv.update_time()
    timer:start(ms, 0, function() process:kill("sigkill") end)
    return timer
  end

  -- A start that is killed on its way, or just when it is over.
  local function kill_start()
    local process = program.start(command())
    local timer = kill_in(process, math.random(0, math.ceil(1.2 * start_ms)))
    local result = process:finish()
    timer:close()
    assert.equal(9, result.signal, "a start was refused: " .. result.stderr)
    counts.starts_killed = counts.starts_killed + 1
  end

  local function serve()
    while math.random() < STARTS_KILLED do
      kill_start()
    end
    local began = uv.hrtime()
    server = zkserver.serve(command())
    start_ms = (uv.hrtime() - began) / 1e6
    counts.starts = counts.starts + 1
  end

  local function note_snapshot()
    for name in uv.fs_scandir_next, uv.fs_scandir(data .. "/data/version-2") do
      if name:find("tmp%-snapshot") then
        counts.in_snapshot = counts.in_snapshot + 1
        return
      end
    end
  end

  -- Writes until the server is killed, at a moment of its own; every answer is noted, also those
  -- that were on their way.
  local function run_load(writer)
    local link = talk.open(server.port)
    link:handshake()
    link:send(1, CREATE, talk.create_record(writer.root, "0"))
    local _, code = link:reply()
    assert.equal(0, code)
    writer.last, writer.first = 1, 2
    local timer = kill_in(server.process, math.random(1, MOST_MS))
    fill_window(writer, link)
    while not link.ended do
      uv.run("once")
      local bodies, rest = frames.split(link.input)
      link.input = rest
      for _, body in ipairs(bodies) do
        take_reply(writer, body)
      end
      fill_window(writer, link)
    end
    timer:close()
    link:close()
    server.process:finish()
    note_snapshot()
    counts.answered = counts.answered + writer.first - 1
  end

  local function with_link(act)
    local link = talk.open(server.port)
    link:handshake()
    act(link)
    link:close()
  end

  -- Cycles on one directory, and then all that they wrote once more.
  local function run_directory(cycles)
    local writers = {}
    begin_directory()
    for cycle = 1, cycles do
      local writer = new_writer("/cycle-" .. cycle)
      writers[cycle] = writer
      serve()
      run_load(writer)
      serve()
      with_link(function(link) judge(link, writer, counts) end)
      counts.unanswered = counts.unanswered + writer.unanswered
      server:stop("sigkill")
      counts.cycles = counts.cycles + 1
    end
    serve()
    with_link(function(link)
      for _, writer in ipairs(writers) do
        judge(link, writer, counts)
      end
    end)
    server:stop()
    server = nil
    local check = program.run({ zklua, "server", "--check", data .. "/data" })
    assert.equal(0, check.code, check.stdout .. check.stderr)
    os.execute("rm -rf '" .. data .. "'")
  end

  local function tell(began)
    io.stderr:write(("%d cycles in %d directories, %.0f s: %d answered writes, %d checks of them, "
      .. "%d unanswered that happened; %d starts, %d more killed; %d kills in a snapshot\n"):format(
      counts.cycles, counts.directories, (uv.hrtime() - began) / 1e9, counts.answered,
      counts.checked, counts.unanswered, counts.starts, counts.starts_killed, counts.in_snapshot))
  end

  it(("loses nothing that was acknowledged in %d cycles"):format(CYCLES), function()
    local began = uv.hrtime()
    math.randomseed(os.time())
    while counts.cycles < CYCLES do
      run_directory(math.min(CYCLES_PER_DIRECTORY, CYCLES - counts.cycles))
      if ASKED then
        tell(began)
      end
    end
    assert.is_true(counts.answered > 10 * CYCLES, "the load was none: " .. counts.answered)
    assert.is_true(counts.checked > counts.answered, "few checks: " .. counts.checked)
  end)
end)
