--- `zklua server` for specs, with the face of support/apache.lua: a spec that runs on one runs on
--- the other. Only ensembles are Apache's alone.
local apache = require("support.apache")
local program = require("support.program")

local zkserver = {
  NAME = "a zklua server",
  wait_for = apache.wait_for,
  unused_port = apache.unused_port,
  fresh_path = apache.fresh_path,
}

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

--- Starts one server and waits until it serves. Properties of the Java machine become lines of
--- zoo.cfg; its other options do nothing here.
---@param options tests.ApacheOptions|nil
---@return tests.ApacheServer
function zkserver.start(options)
  local all = {}
  for key, value in pairs(options or {}) do
    all[key] = value
  end
  all.config = {}
  for _, settings in ipairs({ (options or {}).properties or {}, (options or {}).config or {} }) do
    for key, value in pairs(settings) do
      all.config[(key:gsub("^zookeeper%.", ""))] = value
    end
  end
  local zklua = program.zklua()
  all.command = function(dir)
    return quote(zklua) .. " server " .. quote(dir .. "/zoo.cfg")
  end
  return apache.start(all)
end

---@class tests.ServeProcess
---@field process tests.Program
---@field port integer|nil           of the first TCP address
---@field connect_string string|nil
local Process = {}
Process.__index = Process

--- Waits until the log says `pattern`; returns its captures.
function Process:logs(pattern)
  return self.process:says(pattern, "stderr")
end

--- What the server answers to `word`, or nil.
Process.four_letter = apache.four_letter

--- SIGTERM, or `signal`, and its end.
---@return { code: integer, signal: integer, stdout: string, stderr: string, seconds: number }
function Process:stop(signal)
  self.process:kill(signal or "sigterm")
  return self.process:finish()
end

--- Runs `argv` as a child of this process, whose end and log are then to be seen, and waits
--- until it serves.
---@param argv string[]
---@param options table|nil  program.start's
---@return tests.ServeProcess
function zkserver.serve(argv, options)
  local self = setmetatable({ process = program.start(argv, options) }, Process)
  local addresses = self:logs("serving at ([^\n]-) from zxid")
  self.port = tonumber(addresses:match("[%d%]]:(%d+)"))
  self.connect_string = self.port and "127.0.0.1:" .. self.port
  return self
end

--- One server for all spec files of this run, started at the first use; as apache.shared().
---@return tests.ApacheServer
function zkserver.shared()
  local registry = debug.getregistry()
  local kept = registry["zklua.tests.zkserver"]
  if not (kept and kept:alive()) then
    kept = zkserver.start({ tick_time = 200, session_min = 400 })
    registry["zklua.tests.zkserver"] = kept
  end
  return kept
end

return zkserver
