--- Functions that want to be told, in the order in which they came. Adding one and taking it off
--- cost the same with one as with a million, as many as there are locks held on one session.
local Handlers = {}
Handlers.__index = Handlers

local M = {}

function M.new()
  local ring = {}
  ring.next, ring.previous = ring, ring
  return setmetatable({ _ring = ring }, Handlers)
end

--- Returns a function that takes `fn` off; calling that again does nothing.
function Handlers:add(fn)
  local ring = self._ring
  local entry = { fn = fn, next = ring, previous = ring.previous }
  ring.previous.next, ring.previous = entry, entry
  return function()
    if entry.previous then
      entry.previous.next, entry.next.previous = entry.next, entry.previous
      entry.previous = nil -- `next` stays: whoever goes through stands here, perhaps
    end
  end
end

function Handlers:empty()
  return self._ring.next == self._ring
end

--- `for fn in handlers:each() do`: those that are there now, less those taken off meanwhile.
function Handlers:each()
  local ring = self._ring
  local last, entry = ring.previous, ring
  return function()
    repeat
      entry = entry ~= last and entry.next or ring
    until entry.previous
    return entry.fn
  end
end

return M
