--- Reads the command line of the zklua executable. It decides nothing about the world: what it
--- returns is a plan, or a sentence about what is wrong with the line.
local command_line = {}

command_line.HELP = [[
usage: zklua [OPTIONS] SCRIPT [ARGS]
       zklua [OPTIONS] run FILE [ARGS]
       zklua [OPTIONS] -e CODE [ARGS]
       zklua server [...]            (zklua server --help tells more)

Runs a Lua program that works with ZooKeeper. SCRIPT is a name with a '/' or ending in
'.lua', or '-' for standard input; `run` takes any file. `require "zklua"` is the library.

  -s SERVERS    where zk.connect() connects: host:port,host:port/chroot, or local:DIR
  -e CODE       runs CODE, where `zk` is the library; may be repeated
  -timeout MS   session timeout to ask for, in milliseconds
  -r            accepts a server that can only read
  --help        this text
  --version     the version

-server is another name for -s. Without it ZKLUA_SERVER counts, then `server = "host:port"` in
~/.config/zklua/rc.lua, then in /etc/zklua.conf. Where nothing names a server it is local:, this
user's own on this machine, which is started when it is needed and ends by itself.

Exit status: 0 success, 1 the program failed, 2 wrong usage, 3 no server could be reached.
SIGINT and SIGTERM end the program after it has cleaned up; a second one ends it at once.
]]

---@class zklua.CommandLine
---@field action "script"|"code"|"help"|"version"
---@field servers string|nil  as named on the line
---@field session_timeout number|nil  seconds
---@field readonly boolean|nil
---@field file string|nil   of a script; "-" is standard input
---@field code string|nil
---@field arguments table<integer, string>  as a program's `arg`: 0 is its name, below are ours

-- Options by the name they are written with: what each does to the plan, given its value.
-- `nil, message` refuses the value.
local VALUED = {}

VALUED["-s"] = function(plan, value)
  if value == "" then
    return nil, "needs host:port, or several with commas between"
  end
  plan.servers = value
  return true
end
VALUED["-server"] = VALUED["-s"]

VALUED["-timeout"] = function(plan, value)
  local timeout_ms = value:match("^%d+$") and tonumber(value)
  if not timeout_ms or timeout_ms < 1 or timeout_ms > 2 ^ 31 - 1 then
    return nil, "needs a number of milliseconds, not '" .. value .. "'"
  end
  plan.session_timeout = timeout_ms / 1000
  return true
end

VALUED["-e"] = function(plan, value)
  plan.code = plan.code and plan.code .. "\n" .. value or value
  return true
end

local PLAIN = {
  ["-r"] = function(plan) plan.readonly = true end,
  ["--help"] = function(plan) plan.action = "help" end,
  ["-h"] = function(plan) plan.action = "help" end,
  ["--version"] = function(plan) plan.action = "version" end,
}

local function is_script(word)
  return word == "-" or word:find("/", 1, true) ~= nil or word:find("%.lua$") ~= nil
end

-- Reads options from words[1] on; returns the index of the first word that is none.
local function read_options(plan, words)
  local i = 1
  while words[i] and words[i]:find("^%-.") do
    local word = words[i]
    if word == "--" then
      return i + 1
    elseif PLAIN[word] then
      PLAIN[word](plan)
    elseif VALUED[word] then
      i = i + 1
      local ok, message = nil, "needs a value"
      if words[i] then
        ok, message = VALUED[word](plan, words[i])
      end
      if not ok then
        return nil, word .. " " .. message
      end
    else
      return nil, "unknown option " .. word
    end
    i = i + 1
  end
  return i
end

-- As the stand-alone lua does it: arg[0] is the program, arg[-1] the word before it.
local function shift(words, origin)
  local arguments = {}
  for i = 0, #words do
    arguments[i - origin] = words[i]
  end
  return arguments
end

--- Reads `words`, where words[0] is the name we were called by.
---@param words table<integer, string>
---@return zklua.CommandLine|nil plan
---@return string|nil message
function command_line.read(words)
  local plan = {}
  local first, message = read_options(plan, words)
  if not first then
    return nil, message
  end
  if plan.action then
    return plan
  end

  local word = words[first]
  if plan.code then
    plan.action = "code"
    plan.arguments = shift(words, first - 1)
    plan.arguments[0] = "-e"
    return plan
  elseif not word then
    return nil, "no script named"
  elseif word == "run" then
    first = first + 1
    if not words[first] then
      return nil, "run needs a file"
    end
  elseif word == "server" then
    return nil, "server takes no options before it"
  elseif not is_script(word) then
    return nil, ("this version has no verb '%s'; a file of that name is run by: zklua run %s")
      :format(word, word)
  end
  plan.action = "script"
  plan.file = words[first]
  plan.arguments = shift(words, first)
  return plan
end

return command_line
