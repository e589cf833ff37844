-- Connections of `zklua server` as their peers can make them.
local uv = require("luv")
local frames = require("support.frames")
local program = require("support.program")
local talk = require("support.talk")
local zkserver = require("support.zkserver")

local ZKLUA = program.zklua()
local CREATE, GET = 1, 4

-- Sockets that take all they are given, as they do now and then when the reader is fast.
local WIDE_SOCKETS = [[
#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>
ssize_t write(int file, const void *bytes, size_t size) {
    size_t done = 0;
    while (done < size) {
        long sent = syscall(SYS_write, file, (const char *)bytes + done, size - done);
        if (sent > 0) { done += (size_t)sent; continue; }
        if (errno != EAGAIN) return done > 0 ? (ssize_t)done : -1;
        struct pollfd room = { .fd = file, .events = POLLOUT };
        poll(&room, 1, -1);
    }
    return (ssize_t)done;
}
]]

describe("a connection of the server", function()
  local dir, server, links

  local function serve(env)
    server = zkserver.serve({ ZKLUA, "server", "--memory", "--listen", "127.0.0.1:0" },
      { env = env })
  end

  before_each(function()
    dir = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-connection-XXXXXX"))
    links = {}
  end)

  after_each(function()
    for _, link in ipairs(links) do
      link:close()
    end
    server:stop("sigkill")
    os.execute("rm -rf '" .. dir .. "'")
  end)

  local function open(options)
    links[#links + 1] = talk.open(server.port, options)
    return links[#links]
  end

  -- Its bytes can still be read, but the kernel does not say any more whose they are.
  it("that was reset before it was accepted does not count as this machine's", function()
    serve()
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

  -- A connection whose answers wait unread, over 4 MiB, is not worked on: writing them makes room.
  it("has its next write done as soon as its answers have gone", function()
    local source = assert(io.open(dir .. "/wide.c", "w"))
    source:write(WIDE_SOCKETS)
    source:close()
    assert(os.execute(("unset LD_PRELOAD; cc -shared -fPIC -o '%s/wide.so' '%s/wide.c'"):format(
      dir, dir)))
    serve({ LD_PRELOAD = dir .. "/wide.so " .. (os.getenv("LD_PRELOAD") or ""),
      ASAN_OPTIONS = "verify_asan_link_order=0" })
    local link = open()
    link:handshake()
    link:send(1, CREATE, talk.create_record("/a", ("x"):rep(1000000)))
    link:reply()
    local size, goal = 0, 0
    link.socket:read_stop()
    link.socket:read_start(function(_, bytes) size = size + #(bytes or "") end)
    local function request(op, record, answer_size)
      goal = goal + answer_size
      return frames.frame(frames.i32(1) .. frames.i32(op) .. record)
    end
    local start = uv.hrtime()
    for _ = 1, 10 do
      local requests = {}
      for i = 1, 5 do
        requests[i] = request(GET, frames.string("/a") .. "\0", 4 + 16 + 4 + 1000000 + 68)
      end
      requests[6] = request(CREATE, talk.create_record("/s", "", 2), 4 + 16 + 4 + 12)
      link:write(table.concat(requests))
      talk.wait_until("reading", function() return size == goal end)
    end
    -- Until the next tick of the sessions, each of them, if nothing but that turned the loop.
    assert.is_true(uv.hrtime() - start < 4e9)
  end)
end)
