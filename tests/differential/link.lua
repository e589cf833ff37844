--- One raw connection to a server, for a coroutine: bytes out, frames in. Nothing is understood
--- here but lengths. While a coroutine waits, the loop turns and other servers' coroutines go on.
local uv = require("luv")

local link = {}

local WAIT_LIMIT_MS = 15000 -- a server that says nothing for so long has lost the request

local Link = {}
Link.__index = Link

local function length_at(bytes, at)
  local a, b, c, d = bytes:byte(at, at + 3)
  local length = ((a * 256 + b) * 256 + c) * 256 + d
  return length >= 2 ^ 31 and length - 2 ^ 32 or length
end

local function take_frames(self)
  local bytes, at = self._input, 1
  while #bytes - at >= 3 do
    local length = length_at(bytes, at)
    if length < 0 or #bytes - at - 3 < length then
      break
    end
    self.on_frame(bytes:sub(at + 4, at + 3 + length))
    at = at + 4 + length
  end
  self._input = at > 1 and bytes:sub(at) or bytes
end

local function resume(owner, waiter)
  local ok, message = coroutine.resume(waiter)
  if not ok then
    owner.failure = owner.failure or debug.traceback(waiter, message)
  end
end

local function wake(self)
  local waiter = self._waiter
  if waiter then
    self._waiter = nil
    resume(self._owner, waiter)
  end
end

local function receive(self, bytes)
  if not bytes then
    self.closed = true
    self:close()
  elseif self._raw then
    self.on_frame(bytes)
  elseif #self._input == 0 then
    self._input = bytes
    take_frames(self)
  else
    self._pieces[#self._pieces + 1] = bytes
    self._waiting_size = self._waiting_size + #bytes
    if #self._input < 4 or self._waiting_size + #self._input >= 4 + length_at(self._input, 1) then
      self._input = self._input .. table.concat(self._pieces)
      self._pieces, self._waiting_size = {}, 0
      take_frames(self)
    end
  end
  wake(self)
end

--- Frames go to `on_frame`, or all bytes as they come when `raw`. `owner` keeps `failure` when a
--- coroutine that was woken here fails.
---@param owner table
---@param port integer
---@param on_frame fun(body: string)
---@param raw boolean|nil
function link.open(owner, port, on_frame, raw)
  local self = setmetatable({
    _owner = owner, _input = "", _pieces = {}, _waiting_size = 0, on_frame = on_frame,
    _raw = raw, closed = false,
  }, Link)
  local socket = uv.new_tcp()
  self._socket = socket
  socket:nodelay(true)
  socket:connect("127.0.0.1", port, function(failure)
    if failure then
      receive(self, nil)
      return
    end
    self.connected = true
    socket:read_start(function(problem, bytes)
      receive(self, not problem and bytes or nil)
    end)
    wake(self)
  end)
  self:wait(function() return self.connected end)
  return self
end

--- Parks the running coroutine for a while.
---@param owner table
---@param time_ms number
function link.pause(owner, time_ms)
  local waiter, timer = coroutine.running(), uv.new_timer()
  uv.update_time() -- a timer counts from the loop's last turn
  timer:start(math.ceil(time_ms), 0, function()
    timer:close()
    resume(owner, waiter)
  end)
  coroutine.yield()
end

--- Parks the running coroutine until `condition` holds or the connection is closed; false when
--- neither came in time.
function Link:wait(condition)
  local deadline = uv.hrtime() / 1e6 + WAIT_LIMIT_MS
  while not (self.closed or condition()) do
    if uv.hrtime() / 1e6 > deadline then
      return false
    end
    self._waiter = coroutine.running()
    self._owner.parked = self
    coroutine.yield()
  end
  return true
end

--- The port at this end.
---@return integer|nil
function Link:port()
  local name = not self._socket:is_closing() and self._socket:getsockname()
  return name and name.port or nil
end

--- For a clock: whoever has waited too long looks at it again.
function Link:nudge()
  wake(self)
end

function Link:write(bytes)
  if not self.closed then
    self._socket:write(bytes)
  end
end

function Link:close()
  self.closed = true
  if not self._socket:is_closing() then
    self._socket:close()
  end
end

return link
