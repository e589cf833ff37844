--- Several clients on one real server, some of them behind a proxy, below a path of their own.
local apache = require("support.apache")
local proxies = require("support.proxy")
local raw = require("support.raw")

local Company = {}
Company.__index = Company

local company = {}

local SESSION_TIMEOUT = 3 -- seconds
local PATIENCE = 15 -- seconds that anything here may take on a busy machine

---@return table company  `zk`, `server`
function company.new()
  local zk = require("zklua")
  local self = setmetatable({ zk = zk, server = apache.shared(), path = apache.fresh_path("recipe"),
    _clients = {}, _proxies = {} }, Company)
  self.observer = assert(zk.connect(self.server.connect_string, { session_timeout = 20 }))
  assert(self.observer:ensure(self.path))
  self.observer = self.observer:at(self.path)
  return self
end

-- Every client has the same chroot, so paths are short.
local function connect(self, servers, options)
  local all = { session_timeout = SESSION_TIMEOUT, log = function() end }
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  local c = assert(self.zk.connect(servers .. self.path, all))
  self._clients[#self._clients + 1] = c
  return c
end

function Company:client(options)
  return connect(self, self.server.connect_string, options)
end

---@return zklua.Client c, tests.Proxy proxy
function Company:proxied(options)
  local proxy = proxies.start(self.server)
  self._proxies[#self._proxies + 1] = proxy
  return connect(self, proxy.connect_string, options), proxy
end

--- Where a program that is not ours connects.
function Company:connect_string()
  return self.server.connect_string .. self.path
end

--- Ends the session at the server.
function Company:expire(c)
  assert(raw.end_session(self.server, c:session()))
end

--- The children of `path` as the server has them now.
function Company:children(path)
  local names, message, code = self.observer:children(path)
  if not names and code ~= "NONODE" then
    error(message, 2)
  end
  return names or {}
end

--- Waits until `predicate()` is true, turning the loop; raises when that takes too long.
function Company:eventually(predicate, what)
  local deadline = self.zk.now() + PATIENCE
  while true do
    local answer = predicate()
    if answer then
      return answer
    elseif self.zk.now() > deadline then
      error("did not happen in time: " .. (what or "what was expected"), 2)
    end
    assert(self.zk.sleep(0.01))
  end
end

--- Waits until `path` has `count` children.
function Company:has_children(path, count)
  return self:eventually(function()
    return #self:children(path) == count
  end, ("%d children below %s"):format(count, path))
end

function Company:finish()
  for _, proxy in ipairs(self._proxies) do
    proxy:resume()
    proxy:refuse(false)
  end
  for _, c in ipairs(self._clients) do
    c:close(1)
  end
  for _, proxy in ipairs(self._proxies) do
    proxy:stop()
  end
  self.observer:delete("/", { recursive = true, missing_ok = true })
  self.observer:close()
end

return company
