--- `zk`: the functions of the module over one runtime.
local acl = require "zklua.acl"
local Client = require "zklua.client"
local core = require "zklua.core"
local errors = require "zklua.error"
local null = require "zklua.null"
local path = require "zklua.path"
local privates = require "zklua.private"
local process = require "zklua.process"
local trials = require "zklua.trial"

local M = {}

--- The module as a program sees it.
---@param runtime table
---@return zklua
function M.new(runtime)
  local zk = {
    _VERSION = core._VERSION,
    acl = acl,
    code = errors.codes(),
    format_zxid = core.format_zxid,
    hostname = core.hostname,
    null = null,
    path = path,
    runtime = runtime,
  }

  function zk.connect(servers, options)
    local client, message, code = Client.connect(runtime, servers, options)
    return client, message, code
  end

  function zk.run(argv, options)
    local result, message, code = process.run(runtime, argv, options)
    return result, message, code
  end

  function zk.server(options)
    return privates.new(runtime, options)
  end

  function zk.test(fn, options)
    return trials.new(runtime, fn, options)
  end

  function zk.now()
    return runtime:now()
  end

  function zk.event()
    return runtime:event()
  end

  -- Tail calls, so that the runtime's complaints point at the program.
  function zk.spawn(...)
    return runtime:spawn(...)
  end

  function zk.group(...)
    return runtime:group(...)
  end

  function zk.timeout(...)
    return runtime:timeout(...)
  end

  function zk.shield(...)
    return runtime:shield(...)
  end

  function zk.sleep(seconds)
    return runtime:sleep(seconds)
  end

  function zk.pause()
    return runtime:pause()
  end

  return zk
end

return M
