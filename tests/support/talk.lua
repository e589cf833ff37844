--- Raw connections to a server for specs, without a client: bytes as they are, one call at a time.
--- A call that waits turns the loop and has a limit.
local uv = require("luv")
local frames = require("support.frames")

local talk = {}

local LIMIT = 20 -- seconds

-- A server that hangs up on what we write is what specs ask for: no reason to end them.
local broken_pipe = uv.new_signal()
broken_pipe:unref()
broken_pipe:start("sigpipe", function() end)

---@class tests.Talk
---@field input string      what was read and not taken yet
---@field ended string|nil  "EOF", or the error that ended it
local Talk = {}
Talk.__index = Talk

local function wait_until(what, condition)
  local timer, late = uv.new_timer(), false
  uv.update_time()
  timer:start(LIMIT * 1000, 0, function() late = true end)
  while not late and not condition() do
    uv.run("once")
  end
  timer:close()
  uv.run("nowait")
  if late then
    error("talk: " .. what .. ": not within " .. LIMIT .. " s", 3)
  end
end
talk.wait_until = wait_until

--- Connects to a port of `host` (127.0.0.1), or to a Unix socket's path. `reads` false leaves what
--- comes in the kernel, as a client does that does not read.
---@param where integer|string
---@param options { reads: boolean|nil, host: string|nil }|nil
---@return tests.Talk
function talk.open(where, options)
  options = options or {}
  local is_path = type(where) == "string"
  local socket = is_path and uv.new_pipe(false) or uv.new_tcp()
  local self = setmetatable({ socket = socket, input = "" }, Talk)
  local connected
  local function on_connect(failure)
    connected = true
    self.ended = failure
    if not failure and options.reads ~= false then
      self:read()
    end
  end
  if is_path then
    socket:connect(where, on_connect)
  else
    assert(socket:connect(options.host or "127.0.0.1", where, on_connect))
  end
  wait_until("connecting", function() return connected end)
  return self
end

--- Begins to read.
function Talk:read()
  self.socket:read_start(function(failure, bytes)
    if bytes then
      self.input = self.input .. bytes
    else
      self.ended = failure or "EOF"
    end
  end)
end

function Talk:write(bytes)
  self.socket:write(bytes, function() end)
end

--- No more will be written.
function Talk:shutdown()
  self.socket:shutdown()
end

--- The body of the next frame; nil when the connection ended before one.
---@return string|nil
function Talk:frame()
  local size
  wait_until("waiting for a frame", function()
    size = size or #self.input >= 4 and frames.read_i32(self.input)
    return size and #self.input >= 4 + size or self.ended
  end)
  if not size or #self.input < 4 + size then
    return nil
  end
  local body = self.input:sub(5, 4 + size)
  self.input = self.input:sub(5 + size)
  return body
end

--- Waits for the end; returns what was read and not taken, and how it ended.
function Talk:drain()
  wait_until("waiting for the end", function() return self.ended end)
  return self.input, self.ended
end

function Talk:send(xid, op, record)
  self:write(frames.frame(frames.i32(xid) .. frames.i32(op) .. (record or "")))
end

--- The next reply: its xid, error and body.
function Talk:reply()
  local body = assert(self:frame(), "the connection ended")
  return frames.read_i32(body, 1), frames.read_i32(body, 13), body:sub(17)
end

--- options: timeout (ms), id and password (16 bytes) of a session there is, zxid
---@return table session  { id = 8 bytes, password =, timeout = }
function Talk:handshake(options)
  options = options or {}
  self:write(frames.frame(frames.i32(0) .. frames.i64(options.zxid or 0)
    .. frames.i32(options.timeout or 30000) .. (options.id or frames.i64(0))
    .. frames.string(options.password or ("\0"):rep(16)) .. "\0"))
  local body = assert(self:frame(), "the connection ended")
  return { timeout = frames.read_i32(body, 5), id = body:sub(9, 16), password = body:sub(21, 36) }
end

function talk.create_record(path, data, flags)
  return frames.string(path) .. frames.string(data or "")
    .. frames.acl({ { perms = 31, scheme = "world", id = "anyone" } }) .. frames.i32(flags or 0)
end

function Talk:close()
  if not self.socket:is_closing() then
    self.socket:close()
  end
end

return talk
