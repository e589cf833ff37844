--- Choices from a seed: the generator of src/base, whose state is a counter, so that seeds that
--- lie side by side give unrelated runs and the same one on every Lua.
local base = require("zklua_testing").base

local CHUNK = 512
local CHUNK_STRIDE = 2 ^ 40 -- between the seeds of one source's chunks
local LIMIT = 2 ^ 31

local random = {}

local Random = {}
Random.__index = Random

function random.new(seed)
  return setmetatable({ _seed = seed, _chunk = 0, _at = CHUNK, _words = nil }, Random)
end

--- 0 .. limit - 1
function Random:below(limit)
  if self._at == CHUNK then
    self._words = base.random(self._seed + self._chunk * CHUNK_STRIDE, LIMIT, CHUNK)
    self._chunk, self._at = self._chunk + 1, 0
  end
  self._at = self._at + 1
  return self._words[self._at] % limit
end

function Random:pick(list)
  return list[self:below(#list) + 1]
end

--- True in `percent` of a hundred times.
function Random:chance(percent)
  return self:below(100) < percent
end

--- One value of a flat list: weight, value, weight, value ...
function Random:weighted(list)
  local total = 0
  for i = 1, #list, 2 do
    total = total + list[i]
  end
  local at = self:below(total)
  for i = 1, #list, 2 do
    at = at - list[i]
    if at < 0 then
      return list[i + 1]
    end
  end
end

return random
