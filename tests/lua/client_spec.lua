local core = require("zklua.core")
local frames = require("support.frames")
local host = require("zklua_testing").host
local peer = require("support.peer")

local str = frames.string
local S = frames.stat({})

local function new_client(options)
  options = options or {}
  options.endpoints = options.endpoints or { "one:2181" }
  options.session_timeout = options.session_timeout or 30
  return core.client(options)
end

describe("the life of a client", function()
  it("asks for a link, shakes hands, is connected, closes, ends", function()
    local client = new_client({ endpoints = { "one:2181", "two:2181" } })
    local kind, link, endpoint, not_before = client:event()
    assert.equal("connect", kind)
    assert.is_number(link)
    assert.is_true(endpoint == 1 or endpoint == 2)
    assert.is_true(not_before <= core.now())
    assert.is_nil(client:event())
    assert.equal("connecting", client:info().state)
    assert.is_nil(client:info().session)
    assert.is_nil(client:info().password)

    client:connected(link)
    local hello = frames.split(client:output(link))
    assert.equal(1, #hello)
    assert.is_nil(client:output(link))
    local password = ("\1\171"):rep(8)
    assert.is_true(client:feed(link, frames.connect_response({
      timeout = 20000, id = "0x8000000000000001", password = password })))
    assert.same({ "state", "connected", "none" }, { client:event() })
    local info = client:info()
    assert.equal("connected", info.state)
    assert.equal("0x8000000000000001", info.session)
    assert.equal(("01ab"):rep(8), info.password)
    assert.equal(20, info.timeout)
    assert.equal(endpoint, info.endpoint)
    assert.is_true(client:valid())
    assert.is_true(info.valid_until > core.now() and info.valid_until < core.now() + 21)

    client:close(5)
    local goodbye = frames.split(client:output(link))
    assert.equal(-11, frames.read_i32(goodbye[#goodbye], 5))
    local xid = frames.read_i32(goodbye[#goodbye], 1)
    assert.is_true(client:feed(link, frames.reply(xid, 1, 0)))
    local seen = {}
    for event in client.event, client do
      seen[#seen + 1] = event
    end
    assert.equal("end", seen[#seen])
    assert.equal("closed", client:info().state)
    assert.is_false(client:valid())
    assert.is_nil(client:event())
  end)

  it("is told when a link fails, and asks for another", function()
    local client = new_client()
    local attached = peer.attach(client)
    client:disconnected(attached.link)
    local states, connect = {}, nil
    while true do
      local kind, a, b = client:event()
      if kind == nil then
        break
      elseif kind == "state" then
        states[#states + 1] = a .. " " .. b
      elseif kind == "connect" then
        connect = a
      end
    end
    assert.same({ "disconnected driver" }, states)
    assert.is_true(connect ~= attached.link)
  end)

  it("gives a link up whose bytes are not ZooKeeper's, and says which rule", function()
    local client = new_client()
    local attached = peer.attach(client)
    assert.is_true(client:feed(attached.link, "HTTP/1.1 400 Bad Request\r\n\r\n"))
    local seen = {}
    for kind, a, b, c in client.event, client do
      seen[kind] = { a, b, c }
    end
    assert.equal(attached.link, seen.disconnect[1])
    assert.equal("protocol", seen.disconnect[2])
    assert.is_string(seen.disconnect[3])
  end)

  it("has a deadline, and ticks", function()
    local client = new_client()
    assert.is_true(client:deadline() <= core.now()) -- an event waits
    client:connected(select(2, client:event()))
    local deadline = client:deadline()
    assert.is_true(deadline > core.now() and deadline < core.now() + 31)
    client:tick()
    assert.is_true(client:deadline() > core.now())
  end)

  it("takes a new list of servers", function()
    local client = new_client()
    client:set_endpoints({ "two:2181", "three:2181" })
    assert.error_matches(function()
      client:set_endpoints({})
    end, "endpoints: at least one")
  end)

  it("goes on with a session of before", function()
    local client = new_client({ session = { id = "0x12ab", password = ("0a"):rep(16) } })
    local opened = peer.open(client)
    assert.truthy(opened.handshake:find(frames.i64("0x12ab") .. str(("\10"):rep(16)), 1, true))
  end)

  it("cancels one request and forgets one watch", function()
    local client = new_client()
    local attached = peer.attach(client)
    local xid = client:get("/a", true)
    attached:answer(0, str("") .. S)
    assert.equal(1, client:info().watches)
    client:unwatch("/a", 1)
    assert.equal(0, client:info().watches)
    client:unwatch("/never", 16)
    client:cancel(xid)
    assert.is_nil(client:event())
    xid = client:get("/b")
    attached:take()
    client:cancel(xid)
    assert.same({ "reply", xid, "CANCELLED" }, { client:event() })
  end)

  it("ignores links it does not know", function()
    local client = new_client()
    client:connected(4000000000)
    client:disconnected(4000000000)
    assert.is_boolean(client:feed(4000000000, "x"))
    assert.is_nil(client:output(4000000000))
    assert.equal("connect", (client:event()))
  end)

  it("hides its metatable, so that only the collector frees", function()
    assert.equal("zklua.core.Client", getmetatable(new_client()))
  end)
end)

describe("collecting a client", function()
  local function count_memory_of(make)
    for _ = 1, 3 do
      make()
      collectgarbage()
      collectgarbage()
    end
  end

  it("frees one that is new, open, closed, or full of events", function()
    count_memory_of(function()
      new_client()
      local client = new_client()
      local attached = peer.attach(client)
      client:multi({ { "set", "/a", ("x"):rep(5000) } })
      client:get("/a")
      attached:reply(2, 0, str("never read") .. S)
      local closed = new_client()
      closed:close(0)
      while closed:event() do end
    end)
  end)

  it("leaves a clear error to whoever still calls it at the end of the state", function()
    -- Finalizers run in reverse order of marking, so the keeper's runs after the client's.
    local script = [[
      package.path, package.cpath = ...
      local core = require("zklua.core")
      local keeper
      local function on_end()
        local ok, message = pcall(function() return keeper.client:get("/a") end)
        io.stdout:write(tostring(ok), " ", tostring(message))
      end
      if newproxy then
        keeper = {}
        local proxy = newproxy(true)
        getmetatable(proxy).__gc = on_end
        keeper.proxy = proxy
      else
        keeper = setmetatable({}, { __gc = on_end })
      end
      keeper.client = core.client({ endpoints = { "one:1" }, session_timeout = 30 })
    ]]
    local interpreter = arg[-1]
    for i = -1, -20, -1 do
      if arg[i] then
        interpreter = arg[i]
      end
    end
    local name = os.tmpname()
    local file = assert(io.open(name, "w"))
    file:write(script)
    file:close()
    local pipe = assert(io.popen(("%s %s '%s' '%s' 2>&1"):format(interpreter, name, package.path,
      package.cpath)))
    local output = pipe:read("*a")
    pipe:close()
    os.remove(name)
    assert.matches("^false .*this client has been collected", output)
  end)
end)

describe("events and memory", function()
  it("count what C holds", function()
    local client = new_client()
    local before = client:info().memory
    assert.is_true(before > 0)
    local attached = peer.attach(client)
    client:set("/a", ("x"):rep(100000))
    assert.is_true(client:info().memory >= before + 100000)
    attached:answer(0, S)
    assert.is_true(client:info().memory < before + 100000)
  end)

  it("every allocation of the core can fail, and what was accepted ends once", function()
    local completed = false
    for limit = 1, 2000 do
      local made, client = pcall(new_client, { allocation_limit = limit })
      if not made then
        assert.equal("not enough memory", client)
      else
        local accepted, ended = {}, {}
        local function drain()
          for kind, a, b in client.event, client do
            if kind == "reply" then
              assert.is_true(accepted[a])
              assert.is_nil(ended[a])
              ended[a] = b or "OK"
            elseif kind == "connect" and not client.link then
              return a
            end
          end
        end
        local refused = false
        local function try(xid, code)
          if xid then
            accepted[xid] = true
          else
            assert.equal("NOMEM", code)
            refused = true
          end
        end
        local link = drain()
        client:connected(link)
        local greeted = client:output(link) ~= nil
        local fed = greeted
          and client:feed(link, frames.connect_response({ timeout = 30000, id = 1 }))
        drain()
        try(client:get("/a", true))
        try(client:set("/a", ("x"):rep(3000)))
        try(client:multi({ { "check", "/a" }, { "set", "/b", ("y"):rep(3000) } }))
        local bytes = fed and client:output(link)
        if bytes then
          for _, body in ipairs((frames.split(bytes))) do
            local xid, op = frames.read_i32(body, 1), frames.read_i32(body, 5)
            local record = op == 4 and str(("z"):rep(3000)) .. S or op == 5 and S
              or op == 14 and frames.multi_error(-103) .. frames.multi_error(-2) .. frames.multi_end
            if record and accepted[xid] then
              fed = fed and client:feed(link, frames.reply(xid, 1, 0, record))
            end
          end
        end
        drain()
        if not fed then
          client:disconnected(link)
        end
        client:close(0)
        client:tick()
        drain()
        for xid in pairs(accepted) do
          assert.is_string(ended[xid], "request " .. xid .. " at limit " .. limit)
        end
        local all = true
        for _, code in pairs(ended) do
          all = all and code == "OK"
        end
        completed = not refused and fed and all and next(ended) ~= nil
        client = nil -- luacheck: ignore
      end
      if limit % 50 == 0 then
        collectgarbage()
      end
      if completed then
        assert.is_true(limit > 10)
        return
      end
    end
    error("even 2000 allocations were not enough")
  end)
end)

describe("a finalizer in the middle", function()
  --- Garbage whose collection calls `fn`, `count` times.
  local function leave_garbage(count, fn)
    local metatable = { __gc = fn }
    local proxy = newproxy and newproxy(true)
    if proxy then
      getmetatable(proxy).__gc = fn
    end
    for _ = 1, count do
      if proxy then
        newproxy(proxy)
      else
        setmetatable({}, metatable)
      end
    end
  end

  --- Lua 5.4 would call them all in its first step; LuaJIT takes its time anyway.
  local function slow_collector(slow)
    if _VERSION == "Lua 5.4" then
      collectgarbage("incremental", slow and 100 or 200, slow and 4 or 100, slow and 10 or 13)
    end
  end

  it("of an event may submit and cancel, but not drive", function()
    local client = new_client()
    local attached = peer.attach(client)
    local xid = client:children("/")
    attached:take()
    local function names()
      local list = {}
      for i = 1, 20000 do
        list[i] = "child-" .. i
      end
      return list
    end
    attached:reply(xid, 0, frames.strings(names()) .. S)
    collectgarbage() -- a name that still exists would not be made again
    collectgarbage("stop")

    local phase, tries = "before", {}
    leave_garbage(20000, function()
      if phase == "before" then
        phase = "started"
      elseif phase == "inside" and #tries < 100 then
        local driven, message = pcall(client.event, client)
        tries[#tries + 1] = { driven = driven, message = message,
                              submitted = client:get("/from-a-finalizer") }
        client:unwatch("/from-a-finalizer", 1)
        client:cancel(xid)
      end
    end)
    collectgarbage("restart")
    slow_collector(true)
    while phase == "before" do
      collectgarbage("step", 0)
    end
    phase = "inside"
    local event = { client:event() }
    phase = "after"
    slow_collector(false)

    assert.equal(xid, event[2])
    assert.is_nil(event[3])
    assert.same(names(), event[4])
    assert.is_true(#tries > 0, "no finalizer ran in the middle")
    for _, try in ipairs(tries) do
      assert.is_false(try.driven)
      assert.matches("a finalizer cannot drive", try.message)
      assert.is_number(try.submitted)
    end
    assert.equal(#tries, client:info().pending)
  end)
end)

describe("fork", function()
  it("leaves the child no call on its parent's session, and the parent all", function()
    local client = new_client()
    local attached = peer.attach(client)
    client:get("/a")
    local message = host.fork(function()
      local complaints = {}
      for _, call in ipairs({
        { "event" }, { "output", attached.link }, { "tick" }, { "deadline" }, { "get", "/a" },
        { "close", 1 }, { "info" }, { "valid" }, { "metrics" }, { "cancel", 1 },
        { "unwatch", "/a", 1 }, { "feed", attached.link, "x" }, { "connected", 1 },
        { "disconnected", 1 }, { "multi", {} }, { "set_endpoints", { "a" } },
      }) do
        local ok, complaint = pcall(client[call[1]], client, call[2], call[3])
        complaints[#complaints + 1] = tostring(ok) .. " " .. tostring(complaint):gsub("^.-: ", "")
      end
      client, attached = nil, nil
      collectgarbage()
      collectgarbage()
      local own = new_client()
      complaints[#complaints + 1] = own:event()
      return table.concat(complaints, "\n")
    end)
    local lines = {}
    for line in message:gmatch("[^\n]+") do
      lines[#lines + 1] = line
    end
    assert.equal(17, #lines)
    for i = 1, 16 do
      assert.matches("^false .*belongs to the parent process; connect again after fork$", lines[i])
    end
    assert.equal("connect", lines[17])
    local _, op = attached:request()
    assert.equal(4, op)
  end)
end)
