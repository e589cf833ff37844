--- Names and streams of the uv scheduler. An endpoint is an address and a port, or a Unix socket:
--- `{ pipe = PATH }`, of any length; "FULL" is one where too many wait to be let in.
local uv = require "luv"
local core = require "zklua.core"

local M = {}

--- Chunks read ahead of a reader (64 KiB at most each, as luv reads). A reader that stays away
--- leaves the rest in the socket, where it gathers without waking anybody.
local READ_AHEAD_MAX = 1

--- What people call the failures they meet; the others show libuv's name.
local SENTENCES = {
  ECONNREFUSED = "connection refused",
  ECONNRESET = "connection reset by the peer",
  EHOSTUNREACH = "no route to the host",
  ENETUNREACH = "the network is unreachable",
  ETIMEDOUT = "no answer",
  EADDRNOTAVAIL = "address not available",
  EACCES = "not permitted",
  EPERM = "not permitted",
  EAGAIN = "too many wait to be let in",
  ENOENT = "nobody serves there",
  EMFILE = "too many open files",
  ENFILE = "too many open files",
  EPIPE = "closed by the peer",
}

local function sentence(err)
  local name = tostring(err):match("^E[A-Z0-9_]+") or tostring(err)
  return SENTENCES[name] or name
end

local function is_address(name)
  return name:find(":", 1, true) or name:find("^%d+%.%d+%.%d+%.%d+$")
end

local Stream = {}
Stream.__index = Stream

--- Bytes; or nil, message, CODE. "EOF" is the peer's end, "CLOSED" ours.
function Stream:read(deadline)
  while not self.chunks[self.first] do
    if self.closed then
      return nil, "closed here", "CLOSED"
    elseif self.ended then
      return nil, self.ended, self.ended_code
    elseif not self.readable:wait(deadline) then
      return nil, "nothing to read in time", "TIMEOUT"
    end
  end
  local chunk = self.chunks[self.first]
  self.chunks[self.first] = nil
  self.first = self.first + 1
  if self.stopped and self.first > self.last and not self.closed then
    self.stopped = false
    uv.read_start(self.handle, self.on_read)
  end
  return chunk
end

--- Parks until the system has taken all of `bytes`; one writer at a time.
function Stream:write(bytes)
  if self.closed then
    return nil, "closed here", "CLOSED"
  end
  -- Nearly always the socket takes everything at once, which saves a request and a callback.
  local count = uv.try_write(self.handle, bytes) or 0
  if count == #bytes then
    return true
  end
  local failure
  local finished = false
  local scheduler = self.scheduler
  local request, err = uv.write(self.handle, bytes:sub(count + 1), function(write_err)
    scheduler._enter()
    failure, finished = write_err, true
    self.writable:set()
    scheduler._leave()
  end)
  if not request then
    return nil, sentence(err), "IO"
  end
  while not finished do
    self.writable:wait()
  end
  if self.closed then
    return nil, "closed here", "CLOSED"
  elseif failure then
    return nil, sentence(failure), "IO"
  end
  return true
end

--- What the socket takes at once and without the loop; for a process that is about to end.
function Stream:write_last(bytes)
  if not self.closed then
    pcall(uv.try_write, self.handle, bytes)
  end
end

--- Waits without the loop, at most `seconds`, until the peer has ended the stream in answer.
function Stream:drain(seconds)
  local socket = not self.closed and uv.fileno(self.handle)
  if socket then
    core.drain(socket, seconds)
  end
end

function Stream:close()
  if not self.closed then
    self.closed = true
    self.scheduler._close(self.handle)
    self.readable:set()
  end
end

local function new_stream(scheduler, handle, is_pipe)
  local self = setmetatable({
    scheduler = scheduler,
    handle = handle,
    chunks = {},
    first = 1,
    last = 0,
    readable = scheduler.event(),
    writable = scheduler.event(),
  }, Stream)
  local enter, leave = scheduler._enter, scheduler._leave
  function self.on_read(err, chunk)
    enter()
    if chunk then
      self.last = self.last + 1
      self.chunks[self.last] = chunk
      if self.last - self.first >= READ_AHEAD_MAX then
        self.stopped = true
        uv.read_stop(handle)
      end
    elseif err then
      self.ended, self.ended_code = sentence(err), "IO"
    else
      self.ended, self.ended_code = "closed by the peer", "EOF"
    end
    self.readable:set()
    leave()
  end
  if not is_pipe then
    uv.tcp_nodelay(handle, true)
  end
  uv.unref(handle)
  uv.read_start(handle, self.on_read)
  return self
end

-- A socket's name has at most 107 bytes; libuv cuts a longer one without a word. So the directory
-- is opened, "/." for what is none, and goes by its number. As tcp_connect does: a request, or nil
-- and why not.
local function connect_pipe(handle, path, done)
  local directory, name = path:match("^(.*)/([^/]+)$")
  local fd, err = uv.fs_open(directory .. "/.", "r", 0)
  if not fd then
    return nil, err
  end
  local request
  request, err = uv.pipe_connect(handle, ("/proc/self/fd/%d/%s"):format(fd, name), done)
  uv.fs_close(fd) -- libuv has called connect() already
  return request, err
end

--- Adds `resolve` and `connect` to a uv scheduler.
function M.attach(scheduler)
  function scheduler.resolve(name, deadline)
    if is_address(name) then
      return { name }
    end
    local done = scheduler.event()
    local failure, found
    local request, err = uv.getaddrinfo(name, nil, { socktype = "stream" }, function(why, list)
      scheduler._enter()
      failure, found = why, list
      done:set()
      scheduler._leave()
    end)
    if not request then
      return nil, "does not resolve (" .. sentence(err) .. ")", "UNRESOLVED"
    end
    if not done:wait(deadline) then
      return nil, "does not resolve in time", "TIMEOUT"
    end
    local addresses, seen = {}, {}
    for _, entry in ipairs(found or {}) do
      if not seen[entry.addr] then
        seen[entry.addr] = true
        addresses[#addresses + 1] = entry.addr
      end
    end
    if failure or not addresses[1] then
      return nil, "does not resolve", "UNRESOLVED"
    end
    return addresses
  end

  function scheduler.connect(endpoint, deadline, tls)
    assert(not tls, "tls is not in this version")
    local done = scheduler.event()
    local failure
    local function connected(err)
      scheduler._enter()
      failure = err
      done:set()
      scheduler._leave()
    end
    local handle, ok, request, err
    if endpoint.pipe then
      handle = uv.new_pipe(false)
      ok, request, err = pcall(connect_pipe, handle, endpoint.pipe, connected)
    else
      handle = uv.new_tcp()
      ok, request, err = pcall(uv.tcp_connect, handle, endpoint.host, endpoint.port, connected)
    end
    if not ok or not request then
      scheduler._close(handle)
      return nil, sentence(not ok and request or err), "CONNECT"
    end
    if not done:wait(deadline) then
      scheduler._close(handle)
      return nil, "no answer", "TIMEOUT"
    elseif failure then
      scheduler._close(handle)
      return nil, sentence(failure), failure:find("^EAGAIN") and "FULL" or "CONNECT"
    end
    return new_stream(scheduler, handle, endpoint.pipe)
  end
end

return M
