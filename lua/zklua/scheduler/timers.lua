--- A heap of deadlines, for schedulers.
---
--- It holds the waiting objects themselves: an object carries its `deadline` and, while it is in
--- a heap, its `index` there, so taking one out early costs log n and leaves nothing behind. Equal
--- deadlines come out in the order they went in.
local timers = {}

local function before(a, b)
  if a.deadline ~= b.deadline then
    return a.deadline < b.deadline
  end
  return a.order < b.order
end

local function put(heap, index, object)
  heap[index] = object
  object.index = index
end

local function rise(heap, object, index)
  while index > 1 do
    local parent = (index - index % 2) / 2
    if not before(object, heap[parent]) then
      break
    end
    put(heap, index, heap[parent])
    index = parent
  end
  put(heap, index, object)
end

local function sink(heap, object, index)
  local size = heap.size
  while true do
    local child = 2 * index
    if child > size then
      break
    end
    if child < size and before(heap[child + 1], heap[child]) then
      child = child + 1
    end
    if not before(heap[child], object) then
      break
    end
    put(heap, index, heap[child])
    index = child
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
    rise(heap, last, last.index)
  end
end

return timers
