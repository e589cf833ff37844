local uv = require("luv")
local codec = require("wire.codec")
local frames = require("support.frames")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local UNKNOWN, CHECK = 99, 13

describe("an operation that is not served", function()
  for _, case in ipairs({
    { "an unknown one", UNKNOWN, "" },
    { "check outside a multi", CHECK, frames.string("/") .. frames.i32(-1) },
  }) do
    it("is answered without a zxid, then the connection is closed: " .. case[1], function()
      local server = zkserver.shared()
      local connection = talk.open(server.port)
      connection:handshake()
      connection:send(7, case[2], case[3])
      local body = connection:frame()
      assert.are.equal("00000007" .. "ffffffffffffffff" .. "fffffffa", codec.hex(body))
      assert.are.same({ "", "EOF" }, { connection:drain() })
      connection:close()
      uv.run("nowait") -- luv crashes when Lua ends between a handle's close and its last turn
    end)
  end
end)
