--- Reads a connect string:
---
---   host:port,host:port/chroot   servers; the port is 2181 unless given, an IPv6 address stands in
---                                brackets, the first slash begins the chroot
---   local:  local:DIR            this user's own server on this machine; all after the colon is the
---                                directory (zklua/local_server.lua)
---   memory:/chroot               the server inside this process; "memory:1" and so on are those
---                                that zk.server made
local core = require "zklua.core"

local connection = {}

--- The endpoint of the server inside this process, and what those of others begin with.
connection.MEMORY = "memory:"

--- This user's server on this machine, and what the endpoints of such begin with.
connection.LOCAL = "local:"

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

--- Whether an endpoint is this user's server on this machine.
function connection.is_local(endpoint)
  return endpoint:sub(1, #connection.LOCAL) == connection.LOCAL
end

--- The directory of such an endpoint, as parse writes it: from the root on.
function connection.directory(endpoint)
  return endpoint:sub(#connection.LOCAL + 1)
end

-- The endpoint of "local:" .. directory; or nil and what is wrong.
local function read_local(directory, machine)
  if not machine then
    return nil, "local: starts a server, and this host cannot start processes; name a server"
  elseif directory:find("^,") then
    return nil, "local: stands alone, and no other server beside it"
  elseif directory:find("\0", 1, true) then
    return nil, "local: the name of a directory has no zero byte"
  end
  local problem
  if directory == "" then
    directory, problem = machine.state_directory()
  else
    directory = machine.absolute(directory)
  end
  if not directory then
    return nil, "local: " .. problem
  end
  -- One directory, one spelling: tasks of a program that name it share what they start.
  directory = directory:gsub("/%./", "/"):gsub("//+", "/"):gsub("(.)/%.?$", "%1")
  return connection.LOCAL .. directory
end

--- { endpoints = { "host:port", ... }, chroot = "/app" or nil }; or nil and what is wrong.
---@param servers string|string[]
---@param machine table|nil  a scheduler's: without it there is no local:
function connection.parse(servers, machine)
  if type(servers) == "table" then
    servers = table.concat(servers, ",")
  end
  if type(servers) ~= "string" then
    return nil, "servers must be a string, not " .. type(servers)
  end
  local directory = servers:match("^%s*local:(.*)$")
  if directory then
    local endpoint, message = read_local(directory, machine)
    return endpoint and { endpoints = { endpoint } }, message
  end
  local hosts, place = trim(servers):match("^([^/]*)(/?.*)$")
  local chroot, problem = read_chroot(place)
  if problem then
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
