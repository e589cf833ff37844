--- Who offers a service, and where: each instance is an ephemeral node with its address, which goes
--- when the instance dies and comes back when only its session did.
local services = {}

local Directory = {}
Directory.__index = Directory

local function check_name(name, what)
  assert(type(name) == "string" and name:find("^[%w_.-]+$"), what .. " must be a name")
end

--- Offers a service. The result has `set(address)` and `close()`.
function services.offer(c, service, instance, address)
  check_name(service, "service")
  check_name(instance, "instance")
  return c:member("/services/" .. service .. "/" .. instance, address)
end

--- Follows who offers a service.
function services.find(c, service)
  check_name(service, "service")
  local cache = c:cache("/services/" .. service)
  local ok, message, code = cache:ready()
  if not ok then
    return nil, message, code
  end
  return setmetatable({ _cache = cache, _turn = 0 }, Directory)
end

--- The instances, in order of their names: { { name =, address = }, ... }.
function Directory:list()
  local list = {}
  for _, node in ipairs(self._cache:list()) do
    if node.path ~= "/" then
      list[#list + 1] = { name = node.name, address = node.data }
    end
  end
  return list
end

--- An address, each in turn; nil when nobody is there.
function Directory:pick()
  local list = self:list()
  if not list[1] then
    return nil, "nobody offers this service"
  end
  self._turn = self._turn % #list + 1
  return list[self._turn].address
end

--- Waits until `predicate(list)` is true, and returns the list; or nil, message, code: TIMEOUT when
--- nothing has changed for so many seconds.
function Directory:wait(predicate, timeout)
  local changes = self._cache:changes()
  local list, event, message, code = self:list(), nil, nil, nil
  while not predicate(list) do
    event, message, code = changes:next(timeout)
    list = event and self:list()
    if not event then
      break
    end
  end
  changes:close()
  return list, message, code
end

--- Whether the server may know better.
function Directory:stale()
  return self._cache.stale
end

function Directory:close()
  self._cache:close()
end

return services
