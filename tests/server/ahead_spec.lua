--- In a large tree, requests that come together are looked at before it is their turn. Nobody may
--- notice: the answers are those of requests that come one by one, whatever stands behind them.
local codec = require("wire.codec")
local host = require("server.host")

local NODES = 5000 -- above ZKL_AHEAD_MIN
local OPEN, PATHS_LONG = host.OPEN_ACL, ("/" .. ("x"):rep(100)):rep(4)

local function new_host()
  local h = host.new()
  local c = h:attach()
  local frames = {}
  for i = 1, NODES do
    local path = i <= 50 and "/d" .. i or ("/d%d/n%d"):format(i % 50 + 1, i)
    frames[i] = host.request_frame(i, host.op.create, { path = path, data = "d" .. i, acl = OPEN })
  end
  for first = 1, NODES, 500 do -- no more may be outstanding
    c:feed(table.concat(frames, "", first, first + 499))
    h:settle()
  end
  c.bytes = ""
  return h, c
end

--- A request, or something that is hardly one.
local function some_frame(xid, below)
  local path = ("/d%d/n%d"):format(below(60), below(NODES + 500))
  local kind = below(12)
  local op = host.op
  if kind == 0 then
    return host.request_frame(xid, op.create, { path = path, data = "new", acl = OPEN })
  elseif kind == 1 then
    return host.request_frame(xid, op.create, { path = "/m" .. below(50), data = "", acl = OPEN })
  elseif kind == 2 then
    return host.request_frame(xid, op.delete, { path = path, version = -1 })
  elseif kind == 3 then
    return host.request_frame(xid, op.set, { path = path, data = "set", version = -1 })
  elseif kind == 4 then
    return host.request_frame(xid, op.exists, { path = path, watch = true })
  elseif kind == 5 then
    return host.request_frame(xid, op.multi, { operations = {
      { op = op.set, path = path, data = "m", version = -1 } } })
  elseif kind == 6 then
    return host.request_frame(-2, op.ping)
  elseif kind == 7 then
    return host.request_frame(xid, op.get, { path = PATHS_LONG })
  elseif kind == 8 then -- a path that ends behind its frame
    return codec.int(14) .. codec.int(xid) .. codec.int(op.get) .. codec.int(2000000000) .. "/d"
  elseif kind == 9 then
    return codec.int(8) .. codec.int(xid) .. codec.int(op.get)
  end
  return host.request_frame(xid, op.get, { path = path })
end

describe("requests that come together", function()
  for seed = 1, 3 do
    it("are answered as if they came one by one, seed " .. seed, function()
      local below = codec.random(seed).below
      local together, one = new_host()
      local alone, other = new_host()
      for _ = 1, 20 do
        local frames = {}
        for i = 1, 100 do
          frames[i] = some_frame(i, below)
        end
        local bytes = table.concat(frames)
        local cut = below(#bytes)
        one:feed(bytes:sub(1, cut))
        one:feed(bytes:sub(cut + 1))
        for _, frame in ipairs(frames) do
          other:feed(frame)
        end
        together:settle()
        alone:settle()
        assert.is_true(#one.bytes > 1600)
        assert.is_true(one.bytes == other.bytes)
        one.bytes, other.bytes = "", ""
      end
      assert.are.equal(alone.server:digest(), together.server:digest())
      together:free()
      alone:free()
    end)
  end

  it("may end with a length that is nonsense", function()
    for _, length in ipairs({ "\127\255\255\255", "\255\255\255\255", "\255\255\255\252" }) do
      local h, c = new_host()
      local frame = host.request_frame(1, host.op.get, { path = "/d1" })
      for _ = 1, 30 do
        c:expect(1, host.op.get)
      end
      c:feed(frame:rep(30) .. length .. frame)
      assert.are.equal(30, #c:receive())
      assert.are.equal("after output", c.gone)
      h:free()
    end
  end)
end)
