--- Checks that a file includes or requires only from its own layer or from one to its left.
---
---   lua5.4 tools/check_layers.lua [ROOT]     prints what is wrong; status 1 if anything is
---
--- The layers are those of the design: the C folders under src, with the public headers
--- src/include/zklua/NAME.h as part of folder NAME; and the Lua modules in groups. The cores
--- may also include no system header that could name a file, a socket, a clock or malloc.
local check = {}

-- Which folders a folder may include from, beside itself.
local C_LAYERS = {
  base = {},
  wire = { "base" },
  client = { "base", "wire" },
  server = { "base", "wire" },
  store = { "base", "wire", "server" },
  tls = { "base" },
  uv = { "base", "wire", "server", "store", "tls" },
  lua = { "base", "wire", "client", "server" },
  main = { "base", "wire", "client", "server", "store", "tls", "uv", "lua" },
  testing = { "base", "wire", "client", "server", "store", "tls", "uv", "lua" },
}

local CORES = { base = true, wire = true, client = true, server = true }
local CORE_SYSTEM_HEADERS = {
  ["limits.h"] = true, ["stdalign.h"] = true, ["stdbool.h"] = true, ["stddef.h"] = true,
  ["stdint.h"] = true, ["string.h"] = true, ["libdeflate.h"] = true,
}

-- Which groups of Lua modules a group may require from, beside itself. "outside" is any module
-- that is not ours: luv, a host's own modules, the standard ones by name.
local LUA_LAYERS = {
  core = {}, -- zklua.core, the binding
  base = {}, -- what stands on nothing and makes up for differences between Luas
  scheduler = { "core", "base", "outside" },
  library = { "core", "base" },
  recipes = { "core", "base", "library" },
  -- What puts the layers together: a program sees only this.
  face = { "core", "base", "library", "recipes", "scheduler", "outside" },
  -- Worlds of simulated processes and servers.
  sim = { "core", "base", "scheduler" },
  scripts = { "face", "outside" },
}
-- The library names a scheduler in one place: where a runtime is made without one.
local MAY_ALSO = { ["lua/zklua/runtime.lua"] = { scheduler = true } }

local BASE = { ["zklua.finalizer"] = true }
local FACES = { ["zklua"] = true, ["zklua.facade"] = true, ["zklua.runner"] = true }

-- Reading files ----------------------------------------------------------------------------------

local function read_file(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- All files under `folder` whose names end in one of `endings`, relative to `root`, sorted.
local function list(root, folder, endings)
  local names = {}
  for _, ending in ipairs(endings) do
    names[#names + 1] = "-name " .. quote("*" .. ending)
  end
  local pipe = assert(io.popen(("cd %s && find %s -type f '(' %s ')' 2>/dev/null | LC_ALL=C sort")
    :format(quote(root), folder, table.concat(names, " -o "))))
  local files = {}
  for name in pipe:lines() do
    files[#files + 1] = name
  end
  pipe:close()
  return files
end

local function contains(values, wanted)
  for _, value in ipairs(values) do
    if value == wanted then
      return true
    end
  end
  return false
end

-- C ----------------------------------------------------------------------------------------------

-- "src/wire/frame.c" and "src/include/zklua/wire.h" are both of folder "wire".
local function c_folder(file)
  return file:match("^src/include/zklua/([%w_]+)%.h$") or file:match("^src/([%w_]+)/")
end

-- The folder of an included name, nil when it has none: then it lies beside the file.
local function included_folder(name)
  return name:match("^zklua/([%w_]+)%.h$") or name:match("^([%w_]+)/")
end

local function check_include(folder, bracket, name)
  if bracket == "<" then
    if CORES[folder] and not CORE_SYSTEM_HEADERS[name] then
      return ("a core may not include <%s>"):format(name)
    end
    return nil
  end
  local other = included_folder(name) or folder
  if not C_LAYERS[other] then
    return ("\"%s\" is of no known layer"):format(name)
  end
  if other ~= folder and not contains(C_LAYERS[folder], other) then
    return ("%s may not include from %s (\"%s\")"):format(folder, other, name)
  end
  return nil
end

local function check_c(root, file, report)
  local folder = c_folder(file)
  if not C_LAYERS[folder or ""] then
    report(file, 1, "lies in no known layer")
    return
  end
  local number = 0
  for line in (read_file(root .. "/" .. file) .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local bracket, name = line:match("^%s*#%s*include%s*([<\"])([^>\"]+)")
    if name then
      local wrong = check_include(folder, bracket, name)
      if wrong then
        report(file, number, wrong)
      end
    end
  end
end

-- Lua --------------------------------------------------------------------------------------------

-- Calls found(name, line) for each `require "name"`. Comments and strings that only speak of
-- require are passed over.
local function each_require(text, found)
  local at, line, expecting = 1, 1, false
  local function pass(stop)
    local _, lines = text:sub(at, stop):gsub("\n", "")
    line, at = line + lines, stop + 1
  end
  while at <= #text do
    local _, comment = text:find("^%-%-", at)
    local long = comment and comment + 1 or at
    local _, level_end, level = text:find("^%[(=*)%[", long)
    local quoted = text:match("^[\"']", at)
    if level then
      local _, stop = text:find("]" .. level .. "]", level_end + 1, true)
      pass(stop or #text)
    elseif comment then
      pass(text:match("^[^\n]*()", at) - 1)
    elseif quoted then
      local stop = at + 1
      while stop <= #text and text:sub(stop, stop) ~= quoted do
        stop = stop + (text:sub(stop, stop) == "\\" and 2 or 1)
      end
      if expecting then
        found(text:sub(at + 1, stop - 1), line)
      end
      expecting = false
      pass(stop)
    else
      local word_end = text:match("^[%a_][%w_]*()", at)
      if word_end then
        expecting = text:sub(at, word_end - 1) == "require"
        pass(word_end - 1)
      else
        -- Between the word and its string there may be a parenthesis and space.
        expecting = expecting and text:find("^[%s(]", at) ~= nil
        pass(at)
      end
    end
  end
end

local function lua_group(name)
  if name == "zklua.core" then
    return "core"
  elseif BASE[name] then
    return "base"
  elseif FACES[name] then
    return "face"
  elseif name:find("^zklua%.scheduler%.") then
    return "scheduler"
  elseif name == "zklua.sim" or name:find("^zklua%.sim%.") then
    return "sim"
  elseif name:find("^zklua%.recipes%.") then
    return "recipes"
  elseif name:find("^zklua%.") then
    return "library"
  end
  return "outside"
end

local function group_of_file(file)
  if file:find("^scripts/") then
    return "scripts"
  end
  local name = file:gsub("^lua/", ""):gsub("%.lua$", ""):gsub("/init$", ""):gsub("/", ".")
  if name:find("^resty%.") then
    return "face"
  end
  return lua_group(name)
end

local function check_lua(root, file, report)
  local group = group_of_file(file)
  each_require(read_file(root .. "/" .. file), function(name, line)
    local other = lua_group(name)
    local also = MAY_ALSO[file] and MAY_ALSO[file][other]
    if other ~= group and not also and not contains(LUA_LAYERS[group] or {}, other) then
      report(file, line, ("%s may not require from %s (\"%s\")"):format(group, other, name))
    end
  end)
end

-- All of it --------------------------------------------------------------------------------------

--- What is wrong under `root`, as lines "file:line: what", and how many files were looked at.
function check.run(root)
  local wrong, count = {}, 0
  local function report(file, line, message)
    wrong[#wrong + 1] = ("%s:%d: %s"):format(file, line, message)
  end
  for _, file in ipairs(list(root, "src", { ".c", ".h" })) do
    check_c(root, file, report)
    count = count + 1
  end
  for _, folder in ipairs({ "lua", "scripts" }) do
    for _, file in ipairs(list(root, folder, { ".lua" })) do
      if not file:find("^lua/library/") then -- declarations, never run
        check_lua(root, file, report)
        count = count + 1
      end
    end
  end
  return wrong, count
end

if arg and arg[0] and arg[0]:find("check_layers%.lua$") then
  local root = arg[1] or arg[0]:gsub("tools/check_layers%.lua$", ".")
  local wrong, count = check.run(root)
  for _, line in ipairs(wrong) do
    print(line)
  end
  if count == 0 then
    print("no source file under " .. root)
  end
  print(("layers: %d files, %d wrong"):format(count, #wrong))
  os.exit(#wrong == 0 and count > 0)
end

return check
