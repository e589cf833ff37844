-- kill -9 under load, again and again on one directory: what was acknowledged is there, what was
-- deleted with an answer is not, and of what was never answered either all happened or nothing.
-- ZKLUA_KILL_CYCLES=1000 asks for more cycles than the suite has time for.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local CYCLES = tonumber(os.getenv("ZKLUA_KILL_CYCLES")) or 25
local WINDOW = 200 -- requests without an answer
local MOST_MS = 120 -- from the first answer to the kill
local CREATE, DELETE, SET, GET, CHILDREN = 1, 2, 5, 4, 8

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
  return xid, CREATE, talk.create_record(writer.root .. "/" .. node, ("x"):rep(node % 700))
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

describe("zklua server under kill -9 #once", function()
  local dir, server

  before_each(function()
    local pipe = io.popen("mktemp -d")
    dir = pipe:read("*l")
    pipe:close()
    local file = assert(io.open(dir .. "/zoo.cfg", "w"))
    assert(file:write(table.concat({
      "dataDir=" .. dir .. "/data", "clientPort=0", "clientPortAddress=127.0.0.1",
      "snapCount=2000", "preAllocSize=1024", "maxClientCnxns=0", "",
    }, "\n")))
    file:close()
  end)

  after_each(function()
    if server then
      server:stop("sigkill")
    end
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function serve()
    server = zkserver.serve({ program.zklua(), "server", dir .. "/zoo.cfg" })
  end

  -- Writes until the server is killed, at a moment of its own; every answer is noted, also those
  -- that were on their way.
  local function run_cycle(writer)
    local link = talk.open(server.port)
    link:handshake()
    link:send(1, CREATE, talk.create_record(writer.root, "0"))
    local _, code = link:reply()
    assert.equal(0, code)
    writer.last, writer.first = 1, 2
    local timer, process = uv.new_timer(), server.process
    uv.update_time()
    timer:start(math.random(1, MOST_MS), 0, function() process:kill("sigkill") end)
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
    process:finish()
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

  local function judge(writer)
    local link = talk.open(server.port)
    link:handshake()
    local names = read_children(link, writer.root)
    for node = 1, writer.next_node - 1 do
      if writer.gone[node] then
        assert.is_nil(names[node], "deleted, and there again: " .. node)
      elseif writer.told[node] and not writer.deleting[node] then
        assert.is_true(names[node], "acknowledged, and lost: " .. node)
      end
    end
    link:send(2, GET, frames.string(writer.root) .. "\0")
    local _, code, body = link:reply()
    assert.equal(0, code)
    local value = tonumber(body:sub(5, 4 + frames.read_i32(body)))
    assert.is_true(value >= writer.counter_told and value <= writer.counter_sent,
      ("%d is not within %d and %d"):format(value, writer.counter_told, writer.counter_sent))
    link:close()
  end

  it(("loses nothing that was acknowledged in %d cycles"):format(CYCLES), function()
    math.randomseed(os.time())
    local told = 0
    for cycle = 1, CYCLES do
      serve()
      local writer = new_writer("/cycle-" .. cycle)
      run_cycle(writer)
      serve()
      judge(writer)
      server:stop("sigkill")
      told = told + writer.first
    end
    assert.is_true(told > 100 * CYCLES, "the load was none: " .. told)
    server = nil
    local check = program.run({ program.zklua(), "server", "--check", dir .. "/data" })
    assert.equal(0, check.code, check.stdout .. check.stderr)
  end)
end)
