local core = require("zklua.core")
local frames = require("support.frames")
local peer = require("support.peer")

local function attach()
  local client = core.client({ endpoints = { "one:2181" }, session_timeout = 30 })
  return client, peer.attach(client)
end

describe("metrics", function()
  it("count bytes, frames and links", function()
    local client, attached = attach()
    local before = client:metrics()
    assert.equal(1, before.attempts)
    assert.equal(1, before.attaches)
    assert.equal(0, before.pending)
    assert.same({}, before.operations)
    client:get("/a")
    assert.equal(1, client:metrics().pending)
    attached:answer(0, frames.string("x") .. frames.stat({}))
    local after = client:metrics()
    assert.equal(before.bytes_in + 4 + 16 + 5 + 68, after.bytes_in)
    assert.equal(before.bytes_out + 4 + 8 + 6 + 1, after.bytes_out)
    assert.equal(before.frames_in + 1, after.frames_in)
    assert.equal(before.frames_out + 1, after.frames_out)
  end)

  it("tell operations apart, and errors", function()
    local client, attached = attach()
    client:get("/a")
    attached:answer(-101)
    client:get("/a")
    attached:answer(0, frames.string("x") .. frames.stat({}))
    client:config()
    attached:answer(0, frames.string("x") .. frames.stat({}))
    client:cancel(client:sync("/a"))
    peer.next_event(client, "reply")
    local operations = client:metrics().operations
    assert.equal(2, operations.get.count)
    assert.equal(1, operations.get.errors)
    assert.equal(1, operations.config.count)
    assert.equal(0, operations.config.errors)
    assert.equal(1, operations.sync.count)
    assert.equal(1, operations.sync.errors)
    assert.is_nil(operations.exists)
  end)

  it("sort latencies by powers of two microseconds", function()
    local client, attached = attach()
    local waits = { 0, 0.0003, 0.003 }
    for _, wait in ipairs(waits) do
      local start = core.now()
      client:get("/a")
      while core.now() < start + wait do end
      attached:answer(0, frames.string("x") .. frames.stat({}))
    end
    local get = client:metrics().operations.get
    local count, least, most = 0, 0, 0
    for i, replies in pairs(get.histogram) do
      assert.is_true(i >= 0 and i <= 31 and replies > 0)
      count = count + replies
      least = least + replies * (i == 0 and 0 or 2 ^ (i - 1)) / 1e6
      most = most + replies * 2 ^ i / 1e6
    end
    assert.equal(#waits, count)
    assert.equal(#waits, get.count)
    assert.is_true(get.sum >= 0.0033)
    assert.is_true(least <= get.sum and get.sum < most)
    local slow = 0
    for i, replies in pairs(get.histogram) do
      if i >= 12 then -- 2048 us and more
        slow = slow + replies
      end
    end
    assert.is_true(slow >= 1)
  end)
end)
