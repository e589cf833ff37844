-- A server as userdata: what a driver without a disk sees of it.
local core = require("zklua.core")
local frames = require("support.frames")

describe("core.server", function()
  local HANDSHAKE = "\0\0\0\0" .. ("\0"):rep(8) .. "\0\0\x75\x30" .. ("\0"):rep(8)
    .. "\0\0\0\16" .. ("\0"):rep(16)
  local function frame(body)
    return frames.i32(#body) .. body
  end

  it("says when there is something to read, and gives it once", function()
    local server = core.server({ sessions_keep = true })
    local number = server:accept()
    assert.is_nil(server:output(number))
    for byte in frame(HANDSHAKE):gmatch(".") do
      assert.is_nil(server:output(number))
      server:feed(number, byte)
    end
    assert.same({ number, true }, { server:changed() })
    assert.is_nil((server:changed()))
    local answer = assert(server:output(number))
    assert.equal(40, #answer) -- no readOnly byte, since it sent none
    assert.is_nil(server:output(number))
    assert.equal("new", (server:event()))
    assert.equal(1, server:info().sessions)
  end)

  it("ends a connection that talks nonsense, and knows it no more when it is closed", function()
    local server = core.server({})
    local number = server:accept()
    server:feed(number, "GET / HTTP/1.1\r\n\r\n")
    local changed, _, ending = server:changed()
    assert.equal(number, changed)
    assert.is_string(ending)
    assert.is_nil(server:output(number))
    server:closed(number)
    server:closed(number)
    assert.error_matches(function() server:feed(number, "x") end, "is closed")
    assert.error_matches(function() server:output(number) end, "is closed")
    local another = server:accept()
    assert.are_not.equal(number, another)
    assert.error_matches(function() server:feed(number, "x") end, "is closed")
  end)

  it("commits a write that waited for its answers to be read", function()
    local function request(xid, op, record)
      return frame(frames.i32(xid) .. frames.i32(op) .. record)
    end
    local function create(xid, path, data)
      return request(xid, 1, frames.string(path) .. frames.string(data)
        .. frames.acl({ { perms = 31, scheme = "world", id = "anyone" } }) .. frames.i32(0))
    end
    local server = core.server({ sessions_keep = true })
    local number = server:accept()
    server:feed(number, frame(HANDSHAKE) .. create(1, "/a", ("x"):rep(1000000)))
    while server:changed() do
      server:output(number)
    end
    local gets = {}
    for i = 1, 5 do -- more than may wait to be read
      gets[i] = request(i, 4, frames.string("/a") .. "\0")
    end
    server:feed(number, table.concat(gets) .. create(6, "/b", ""))
    local answers = {}
    while server:changed() do
      answers[#answers + 1] = server:output(number)
    end
    local bodies = frames.split(table.concat(answers))
    assert.equal(6, #bodies)
    assert.same({ 6, 0 }, { frames.read_i32(bodies[6], 1), frames.read_i32(bodies[6], 13) })
  end)

  it("lets a connection without a session wait for some time only", function()
    local server = core.server({})
    server:accept()
    local deadline = server:deadline()
    assert.is_true(deadline > core.now() and deadline < core.now() + 60)
    server:tick()
    assert.is_nil((server:changed()))
  end)

  for _, case in ipairs({
    { "no table", function() core.server(1) end, "table expected" },
    { "a time that is none", function() core.server({ tick_time = -1 }) end, "tick_time" },
    { "another object", function() core.server({}).feed(io.stdout, 1, "") end, "server expected" },
    { "a short secret", function() core.server({ secret = "x" }) end, "20 bytes" },
    { "no number", function() core.server({}):feed("x", "") end, "connection" },
    { "no connection", function() core.server({}):feed(70000, "") end, "is closed" },
    { "no id", function() core.server({}):expire("7x") end, "expected" },
  }) do
    it("refuses " .. case[1], function()
      assert.error_matches(case[2], case[3])
    end)
  end
end)
