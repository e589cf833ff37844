--- Reads a connect string: "host:port,host:port/chroot", or "memory:/chroot", the server inside
--- this process, or "memory:1" and so on, those that zk.server made. The port is 2181 unless given, an IPv6 address stands in brackets, the first slash
--- begins the chroot.
local core = require "zklua.core"

local connection = {}

--- The endpoint of the server inside this process, and what those of others begin with.
connection.MEMORY = "memory:"

local PORT_DEFAULT = 2181
local ENDPOINTS_MAX = 1024

local function trim(text)
  return text:match("^%s*(.-)%s*$")
end

local function read_endpoint(text)
  local host, port = text:match("^%[([%x:.%%%w]+)%]:?(%d*)$")
  if not host then
    if select(2, text:gsub(":", ":")) > 1 then
      return nil, ("an IPv6 address stands in brackets: [%s]"):format(text)
    end
    host, port = text:match("^([^%s:%[%]/]+):?(%d*)$")
  end
  if not host or text:find(":$") then
    return nil, ("%q is not host:port"):format(text)
  end
  port = port ~= "" and tonumber(port) or PORT_DEFAULT
  if port < 1 or port > 65535 then
    return nil, ("%d is not a port (%s)"):format(port, text)
  end
  local form = host:find(":", 1, true) and "[%s]:%d" or "%s:%d"
  return form:format(host, port)
end

-- The chroot that `text`, "" or from a slash on, stands for; or nil and what is wrong with it.
local function read_chroot(text)
  local chroot = trim(text):gsub("(.)/$", "%1")
  if chroot == "" or chroot == "/" then
    return nil
  end
  local problem = core.check_path(chroot)
  return chroot, problem and ("the chroot %s: %q"):format(problem, chroot)
end

--- Whether an endpoint is inside this process.
function connection.is_memory(endpoint)
  return endpoint:find("^memory:%d*$") ~= nil
end

--- { endpoints = { "host:port", ... }, chroot = "/app" or nil }; or nil and what is wrong.
---@param servers string|string[]
function connection.parse(servers)
  if type(servers) == "table" then
    servers = table.concat(servers, ",")
  end
  if type(servers) ~= "string" then
    return nil, "servers must be a string, not " .. type(servers)
  end
  local hosts, place = trim(servers):match("^([^/]*)(/?.*)$")
  local chroot, problem = read_chroot(place)
  if hosts == "local:" then
    return nil, "local: is not in this version; name a server as host:port"
  elseif problem then
    return nil, problem
  elseif connection.is_memory(hosts) then
    return { endpoints = { hosts }, chroot = chroot }
  end
  local endpoints = {}
  for text in (hosts .. ","):gmatch("([^,]*),") do
    text = trim(text)
    if text ~= "" then
      local endpoint, message = read_endpoint(text)
      if not endpoint then
        return nil, message
      end
      endpoints[#endpoints + 1] = endpoint
    end
  end
  if #endpoints == 0 or #endpoints > ENDPOINTS_MAX then
    return nil, ("%q names %d servers; 1 to %d are possible")
      :format(servers, #endpoints, ENDPOINTS_MAX)
  end
  return { endpoints = endpoints, chroot = chroot }
end

--- Host and port of an endpoint as parse writes it.
function connection.split(endpoint)
  local host, port = endpoint:match("^%[?(.-)%]?:(%d+)$")
  return host, tonumber(port)
end

return connection
