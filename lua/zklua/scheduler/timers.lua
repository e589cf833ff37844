--- A heap of deadlines, for schedulers.
---
--- It holds the waiting objects themselves: an object carries its `deadline` and, while it is in
--- a heap, its `index` there, so taking one out early costs log n and leaves nothing behind. Equal
--- deadlines come out in the order they went in.
local timers = {}

local function put(heap, index, object)
  heap[index] = object
  object.index = index
end

-- Both compare in place: a function for it would cost more than all the rest.
local function rise(heap, object, index)
  local deadline, order = object.deadline, object.order
  while index > 1 do
    local at = (index - index % 2) / 2
    local parent = heap[at]
    if deadline > parent.deadline or deadline == parent.deadline and order > parent.order then
      break
    end
    put(heap, index, parent)
    index = at
  end
  put(heap, index, object)
end

local function sink(heap, object, index)
  local size, deadline, order = heap.size, object.deadline, object.order
  while 2 * index <= size do
    local at = 2 * index
    local child, other = heap[at], heap[at + 1]
    if other and (other.deadline < child.deadline
      or other.deadline == child.deadline and other.order < child.order) then
      at, child = at + 1, other
    end
    if deadline < child.deadline or deadline == child.deadline and order < child.order then
      break
    end
    put(heap, index, child)
    index = at
  end
  put(heap, index, object)
end

--- An empty heap.
function timers.new()
  return { size = 0, inserted = 0 }
end

--- The object with the earliest deadline, or nil.
function timers.first(heap)
  return heap[1]
end

--- Puts in an object that is in no heap; it falls due at `deadline`.
function timers.insert(heap, object, deadline)
  heap.size = heap.size + 1
  heap.inserted = heap.inserted + 1
  object.deadline = deadline
  object.order = heap.inserted
  rise(heap, object, heap.size)
end

--- Takes an object out, wherever it is.
function timers.remove(heap, object)
  local index, size = object.index, heap.size
  local last = heap[size]
  heap[size] = nil
  heap.size = size - 1
  object.index = nil
  if last ~= object then
    sink(heap, last, index)
    if last.index == index then
      rise(heap, last, index)
    end
  end
end

return timers
