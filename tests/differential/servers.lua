--- The servers a run compares. A server is named by a word: "apache" or "zklua", started in a
--- directory of their own and stopped at the end, maybe with more lines of zoo.cfg as in
--- "apache+key=value"; or "127.0.0.1:PORT" for one that is there.
local apache = require("support.apache")

local servers = {}

local SUPER_DIGEST = "super:xQJmxLMiHGwaqBvst5y6rkB6HQs=" -- super:admin, the janitor

-- By a sequence's setup. The reaper of containers comes only where it is waited for.
local COMMON = {
  maxClientCnxns = 0,
  tickTime = 2000,
  minSessionTimeout = 20000,
  maxSessionTimeout = 60000,
  extendedTypesEnabled = "true",
  enforceQuota = "true",
  reconfigEnabled = "false",
  ["DigestAuthenticationProvider.superDigest"] = SUPER_DIGEST,
  ["znode.container.checkIntervalMs"] = 86400000,
}
local SETUPS = {
  full = {},
  plain = {
    extendedTypesEnabled = "false", enforceQuota = "false", reconfigEnabled = "true",
    ["4lw.commands.whitelist"] = "ruok, stat ,wchs,mntr",
  },
  brief = {
    tickTime = 200, minSessionTimeout = 400,
    ["znode.container.checkIntervalMs"] = 100,
    ["znode.container.maxPerMinute"] = 60000,
    -- Apache closes silent connections, too, whenever such a round is over, and events are lost.
    ["nio.sessionlessCnxnTimeout"] = 86400000,
  },
}
-- Apache looks for these among the properties of its Java machine.
local PROPERTIES = {
  ["znode.container.checkIntervalMs"] = true, ["znode.container.maxPerMinute"] = true,
}

local function config_of(setup, more)
  local config = {}
  for _, source in ipairs({ COMMON, SETUPS[setup], more }) do
    for key, value in pairs(source) do
      config[key] = value
    end
  end
  return config
end

local function start_apache(config, long)
  local properties = {}
  for key in pairs(PROPERTIES) do
    properties[key], config[key] = config[key], nil
  end
  return apache.start({
    heap_mb = 512, config = config, properties = properties, server_jit = long,
  })
end

local function start_zklua(config)
  return require("support.zkserver").start({ config = config })
end

local STARTERS = { apache = start_apache, zklua = start_zklua }

--- Whether a word names a server that is there, with a configuration of its own.
---@param word string
---@return boolean
function servers.is_given(word)
  return not STARTERS[word:match("^[^+]*")]
end

---@param word string
---@param setup string
---@param long boolean|nil  worth a server that is compiled well
---@return table|nil server  { port =, stop = function, server = what the support module gave }
---@return string|nil message
function servers.start(word, setup, long)
  local name, rest = word:match("^([^+]*)(.*)$")
  local start = STARTERS[name]
  if start then
    local more = {}
    for key, value in rest:gmatch("%+([^+=]+)=([^+]*)") do
      more[key] = value
    end
    local server = start(config_of(setup, more), long)
    return { port = server.port, server = server, stop = function() server:stop() end }
  end
  local port = tonumber(word:match("^127%.0%.0%.1:(%d+)$"))
  if not port then
    return nil, "no such server: " .. word
  end
  return { port = port, stop = function() end }
end

return servers
