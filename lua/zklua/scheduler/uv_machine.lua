--- What only a real machine has: its user's directories, and a server that outlives the program
--- which starts it. `local:` stands on this, and hosts without it have no `local:`.
local uv = require "luv"

local M = {}

--- Where the executable is, seen from the folder of the binding: in a build tree, and where
--- `cmake --install` puts both.
local BESIDE_THE_LIBRARY = { "../../zklua", "../../../../bin/zklua" }

local REASONS_MAX = 4096 -- bytes of what a server says that cannot serve

local function exists(name)
  local file = io.open(name, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

-- The executable that this program is: in it, the binding is no file.
local function own_executable()
  local name = package.preload["zklua.core"] and uv.exepath()
  if name and not exists(name) then
    return "/proc/self/exe" -- replaced meanwhile; it still is what this name runs
  end
  return name
end

local function executable_beside()
  local binding = package.searchpath("zklua.core", package.cpath)
  local folder = binding and (binding:match("^(.*)/") or ".")
  for _, place in ipairs(folder and BESIDE_THE_LIBRARY or {}) do
    if exists(folder .. "/" .. place) then
      return folder .. "/" .. place
    end
  end
end

-- Whether this process acts as root.
local function is_root()
  local file = io.open("/proc/self/status")
  local status = file and file:read("*a") or ""
  if file then
    file:close()
  end
  return status:match("\nUid:%s+%d+%s+(%d+)") == "0"
end

local function is_absolute(name)
  return name ~= nil and name:sub(1, 1) == "/"
end

-- All that a pipe brings, up to a limit: calls each(text so far, whether it has ended).
local function follow(scheduler, pipe, each)
  local text = ""
  uv.unref(pipe)
  uv.read_start(pipe, function(_, chunk)
    scheduler._enter()
    if chunk then
      text = (text .. chunk):sub(1, REASONS_MAX)
    else
      scheduler._close(pipe)
    end
    each(text, not chunk)
    scheduler._leave()
  end)
end

local function new(scheduler)
  local machine = {}

  --- A name of a file, from the root on.
  function machine.absolute(name)
    return is_absolute(name) and name or uv.cwd() .. "/" .. name
  end

  --- The directory that `zklua server` keeps its data in (src/main/plan.c has the same rule);
  --- or nil and what is wrong.
  function machine.state_directory()
    local base, home = os.getenv("XDG_STATE_HOME"), os.getenv("HOME")
    if is_root() then
      return "/var/lib/zklua/data"
    elseif is_absolute(base) then
      return base .. "/zklua/data"
    elseif home == nil or home == "" then
      home = (uv.os_get_passwd() or {}).homedir
    end
    if not is_absolute(home) then
      return nil, "this user has no home directory; name one for the data, as local:DIR"
    end
    return home .. "/.local/state/zklua/data"
  end

  --- Starts `zklua server` with `arguments`, which leads a session of its own and lives on when
  --- this program ends. Calls done(byte) with the first byte that it writes, or done(nil, what it
  --- said) when it ends without one. True; or nil and why it cannot be started.
  function machine.start_server(arguments, done)
    local file = own_executable() or executable_beside() or "zklua"
    local output, errors = uv.new_pipe(false), uv.new_pipe(false)
    local handle, problem
    handle, problem = uv.spawn(file, {
      args = { "server", (table.unpack or unpack)(arguments) },
      stdio = { nil, output, errors }, -- standard input is /dev/null
      detached = true,
    }, function()
      scheduler._close(handle)
    end)
    if not handle then
      scheduler._close(output)
      scheduler._close(errors)
      if file == "zklua" and tostring(problem):find("^ENOENT") then
        return nil, "there is no zklua to serve, neither beside the library nor on PATH; "
          .. "install it, or name a server"
      end
      return nil, ("%s cannot be started (%s)"):format(file, tostring(problem))
    end
    uv.unref(handle)
    local answered, ended = false, 0
    local function finish(byte, reasons)
      if not answered then
        answered = true
        scheduler._close(output)
        scheduler._close(errors)
        done(byte, reasons)
      end
    end
    local said, reasons = "", ""
    local function judge(has_ended)
      ended = ended + (has_ended and 1 or 0)
      if said ~= "" then
        finish(said:sub(1, 1))
      elseif ended == 2 then
        finish(nil, reasons)
      end
    end
    follow(scheduler, output, function(text, has_ended)
      said = text
      judge(has_ended)
    end)
    follow(scheduler, errors, function(text, has_ended)
      reasons = text
      judge(has_ended)
    end)
    return true
  end

  return machine
end

--- Adds `machine` to a uv scheduler.
function M.attach(scheduler)
  scheduler.machine = new(scheduler)
end

return M
