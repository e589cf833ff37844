-- Connections of `zklua server` as their peers can make them.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local ZKLUA = program.zklua()

describe("a connection of the server", function()
  local server, links

  before_each(function()
    server = zkserver.serve({ ZKLUA, "server", "--memory", "--listen", "127.0.0.1:0" })
    links = {}
  end)

  after_each(function()
    for _, link in ipairs(links) do
      link:close()
    end
    server:stop("sigkill")
  end)

  local function open()
    links[#links + 1] = talk.open(server.port)
    return links[#links]
  end

  -- Its bytes can still be read, but the kernel does not say any more whose they are.
  it("that was reset before it was accepted does not count as this machine's", function()
    uv.kill(server.process.pid, "sigstop")
    local gone = open()
    local sent
    gone.socket:write(frames.frame(frames.i32(0) .. frames.i64(0) .. frames.i32(30000)
      .. frames.i64(0) .. frames.string(("\0"):rep(16)) .. "\0"), function() sent = true end)
    talk.wait_until("writing", function() return sent end)
    assert(gone.socket:close_reset())
    local later = open()
    uv.kill(server.process.pid, "sigcont")
    later:handshake()
    later:close()
    local log = server:stop().stderr
    assert.truthy(log:find("opened by 127.0.0.1:", 1, true), log)
    assert.is_nil(log:find("a local process", 1, true), log)
  end)
end)
