--- A driver and a peer for a client in virtual time: opens the links that are asked for, answers
--- what is written as a server would, and goes wrong when it is told to.
---
--- It keeps sessions over links, sees to it that requests come in the order of their submission,
--- and that nothing is written twice.
local world = require("client.world")

local ensemble = {}
ensemble.__index = ensemble

local op, xid = world.op, world.xid

--- `random.below(n)` and `faults` in per mille of the steps; without random nothing goes wrong.
function ensemble.new(w, random, faults)
  return setmetatable({
    w = w, random = random, faults = faults or {}, links = {}, sessions = {}, next_session = 1,
    replies = {}, events = {}, written = {}, codes = {},
  }, ensemble)
end

function ensemble:chance(name)
  local per_mille = self.faults[name] or 0
  return per_mille > 0 and self.random.below(1000) < per_mille
end

function ensemble:drain()
  for _, event in ipairs(self.w:drain()) do
    if event.kind == "connect" then
      self.links[#self.links + 1] = { number = event.link, opens = event.not_before, out = "" }
    elseif event.kind == "disconnect" then
      for i, link in ipairs(self.links) do
        if link.number == event.link then
          table.remove(self.links, i)
          break
        end
      end
    elseif event.kind == "reply" then
      local code = event.code or tostring(event.number)
      self.codes[code] = (self.codes[code] or 0) + 1
    elseif event.kind == "state" then
      self.state = event.state
    end
    self.events[#self.events + 1] = event
  end
end

function ensemble:grant(link, request)
  local known = request.session_id and self.sessions[request.session_id]
  if request.session_id and not known then
    link.out = link.out .. world.session_frame({ timeout_ms = 0, session_id = 0,
      password = ("\0"):rep(16) })
    link.closing = true
    return
  end
  local id = request.session_id
  if not id then
    id = ("0x%x"):format(4096 + self.next_session)
    self.next_session = self.next_session + 1
    self.sessions[id] = true
  end
  link.session = id
  link.out = link.out .. world.session_frame({ session_id = id, timeout_ms = request.timeout_ms })
end

--- The answer to one request; sometimes none at all, sometimes an error.
function ensemble:answer(link, taken)
  local w = self.w
  local number = taken.xid > 0 and taken.op ~= op.close and taken.xid
  if number then
    assert(not self.written[number], "request " .. number .. " was written twice")
    self.written[number] = true
    assert(number > (self.last_written or 0), "requests out of order")
    self.last_written = number
  end
  w.zxid = w.zxid + 1
  local result, code = nil, 0
  if taken.xid > 0 then
    result = world.some_result(taken.op, taken.request.path)
    if self:chance("error") then
      code = -101
    end
  end
  if self:chance("event") and taken.request.path then
    link.out = link.out .. world.watch_frame(self.random.below(4) + 1, taken.request.path)
  end
  if self:chance("swallow") and taken.xid ~= xid.set_watches then
    link.mute = true -- as a server that hangs: nothing more on this link
  end
  if link.mute then
    return
  end
  link.out = link.out .. world.reply_frame(taken.xid, taken.op, result, code,
    taken.xid > 0 and w.zxid or 0)
  if taken.op == op.close then
    self.sessions[link.session] = nil
    link.closing = true
  end
end

local function piece(self, bytes)
  if self.random and self:chance("cut") then
    return self.random.below(#bytes) + 1
  end
  return #bytes
end

function ensemble:write(link)
  local w = self.w
  while true do
    local bytes = w.client:output(link.number)
    if not bytes then
      return
    end
    local size = piece(self, bytes)
    w.client:sent(link.number, size)
    for _, taken in ipairs(w:read(link.number, bytes:sub(1, size))) do
      if taken.op then
        self:answer(link, taken)
      else
        self:grant(link, taken)
      end
    end
    if size < #bytes then
      return
    end
  end
end

function ensemble:close(link)
  self.w.client:disconnected(link.number)
end

function ensemble:turn(link)
  local w = self.w
  if not link.open then
    if w.now < link.opens then
      return
    end
    if self:chance("refuse") then
      return self:close(link)
    end
    link.open = true
    w.client:connected(link.number)
  end
  self:write(link)
  if self:chance("garbage") then
    link.out = link.out .. ("\255"):rep(20)
  end
  if #link.out > 0 and not self:chance("stall") then
    local size = piece(self, link.out)
    local bytes = link.out:sub(1, size)
    link.out = link.out:sub(size + 1)
    if not w.client:feed(link.number, bytes) then
      return self:close(link)
    end
  end
  if (link.closing and #link.out == 0) or self:chance("reset") then
    self:close(link)
  end
end

--- One turn of the driver's loop on every link.
function ensemble:step()
  self:drain()
  for _, link in ipairs({ (table.unpack or unpack)(self.links) }) do
    self:turn(link)
  end
  self:drain()
end

--- Turns and lets time pass until `stop()`.
function ensemble:run_until(stop, steps)
  for _ = 1, steps or 2000 do
    self:step()
    if stop() then
      return
    end
    local deadline = self.w.client:deadline()
    local now = self.w.now
    for _, link in ipairs(self.links) do
      if not link.open then
        deadline = math.min(deadline or link.opens, link.opens)
      elseif #link.out > 0 then
        deadline = now + 1
      end
    end
    self.w:at(math.max(now + 1, math.min(deadline or now + 50, now + 50)))
  end
  error("it did not happen in " .. (steps or 2000) .. " steps", 2)
end

return ensemble
