--- Checks that the API's file and the library say the same, and that every Lua example in the
--- documentation is Lua.
---
---   lua5.4 tools/check_docs.lua        prints what is wrong; status 1 if anything is
---
--- Compared by name: what the real modules have (by introspection) and what
--- lua/library/zklua.lua declares. A declaration whose comment ends in "Later version." must not
--- be in the library yet: the version that adds it takes the mark away. Examples are run by
--- tests/docs_spec.lua; here they are only parsed, so that this check needs no server.
local check = {}

local API_FILE = "lua/library/zklua.lua"
local LATER = "Later version."
local PAGES = { "README.md", "docs/*.md", "docs/*/*.md", "lua/README.md" }
local loadtext = loadstring or load -- luacheck: ignore

function check.read_file(name)
  local file = assert(io.open(name, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

-- The API's file -------------------------------------------------------------------------------

-- What a comment says outside of its annotations.
local function prose(comment)
  local lines = {}
  for _, line in ipairs(comment) do
    if not line:match("^%-%-%-%s*[@|]") then
      lines[#lines + 1] = line:sub(4)
    end
  end
  return table.concat(lines, "\n")
end

-- Every parameter is annotated, in order, and nothing else is.
local function check_parameters(declaration, parameters, comment, problems)
  local wanted, given = {}, {}
  for parameter in parameters:gmatch("[%w_.]+") do
    wanted[#wanted + 1] = parameter
  end
  for _, line in ipairs(comment) do
    given[#given + 1] = line:match("^%-%-%-@param ([%w_.]+)")
  end
  if table.concat(wanted, ", ") ~= table.concat(given, ", ") then
    problems[#problems + 1] = ("%s:%d: %s(%s) has @param for (%s)"):format(API_FILE,
      declaration.line, declaration.name, table.concat(wanted, ", "), table.concat(given, ", "))
  end
end

--- Reads the functions and fields that the API's file declares, by name: "zk.connect",
--- "Client:get", "zk.null".
---@param text string
---@return table<string, { name: string, line: integer, later: boolean }> declared
---@return string[] problems
function check.declarations(text)
  local declared, problems, comment, number = {}, {}, {}, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local name, parameters = line:match("^function ([%w_.:]+)(%b()) end$")
    name = name or line:match("^(zk%.[%w_.]+) =")
    if name then
      local declaration = {
        name = name, line = number, later = prose(comment):find(LATER, 1, true) ~= nil,
      }
      if declared[name] then
        problems[#problems + 1] = ("%s:%d: %s is declared twice"):format(API_FILE, number, name)
      end
      declared[name] = declaration
      if parameters then
        check_parameters(declaration, parameters:sub(2, -2), comment, problems)
      end
    elseif line:match("^function ") then
      problems[#problems + 1] = ("%s:%d: not 'function NAME(...) end'"):format(API_FILE, number)
    end
    if line:sub(1, 3) == "---" then
      comment[#comment + 1] = line
    else
      comment = {}
    end
  end
  return declared, problems
end

-- The library ----------------------------------------------------------------------------------

--- Where each class of the API's file lives.
local CLASSES = {
  Client = "zklua.client",
  Task = "zklua.task",
  Group = "zklua.task",
  Event = "zklua.event",
  Flag = "zklua.holder",
  Held = "zklua.holder",
  Transaction = "zklua.transaction",
  Stream = "zklua.watch",
  Live = "zklua.live",
  Cache = "zklua.cache",
  CacheChanges = "zklua.cache",
  Lock = "zklua.recipes.lock",
  Election = "zklua.recipes.election",
  Changes = "zklua.recipes.changes",
  Queue = "zklua.recipes.queue",
  Server = "zklua.private",
  Item = "zklua.recipes.claim",
  Barrier = "zklua.recipes.barrier",
  Member = "zklua.recipes.member",
}

--- Classes whose file has another name for them.
local LOCALS = { CacheChanges = "Changes" }

--- Classes that no function of their file names, by the local that holds their metatable.
local METATABLES = { Item = "item_meta" }

--- What users can reach and nobody promises: parts that files of the library share.
local INTERNAL = {}
for _, name in ipairs({
  "zk.runtime", "zk.acl.encode", "zk.path.check",
  "Client:connect", "Client:new", "Client:lifetime",
  "Task:interrupted", "Task:label", "Task:limit_of_scopes", "Task:on_end", "Task:park",
  "Task:sleep_until",
  "Flag:on", "Flag:set", "Held:extend", "Held:new", "Held:run", "Held:with",
}) do
  INTERNAL[name] = true
end

-- The table that the functions of a module know as the local `name`: a walk through the upvalues
-- of all functions that stand in the module's file.
local function find_local(value, name, file, seen)
  if seen[value] then
    return nil
  end
  seen[value] = true
  if type(value) == "table" then
    local children = { getmetatable(value) }
    for _, child in pairs(value) do
      children[#children + 1] = child
    end
    for _, child in ipairs(children) do
      local walk = type(child) == "table" or type(child) == "function"
      local found = walk and find_local(child, name, file, seen)
      if found then
        return found
      end
    end
  elseif type(value) == "function" and debug.getinfo(value, "S").source == file then
    for i = 1, 255 do
      local local_name, upvalue = debug.getupvalue(value, i)
      if not local_name then
        return nil
      elseif local_name == name and type(upvalue) == "table" then
        return upvalue
      end
      local walk = type(upvalue) == "table" or type(upvalue) == "function"
      local found = walk and find_local(upvalue, name, file, seen)
      if found then
        return found
      end
    end
  end
end

-- The table behind a metatable whose __index is a function that knows it as `class`.
local function class_behind(meta)
  for i = 1, 255 do
    local name, value = debug.getupvalue(meta.__index, i)
    if not name or name == "class" then
      return value
    end
  end
end

-- The class of that name: a local of the module, or what the module returns.
local function find_class(name, module)
  local file = package.searchpath(module, package.path)
  if not file then
    return nil
  end
  local value = require(module)
  if METATABLES[name] then
    local meta = find_local(value, METATABLES[name], "@" .. file, {})
    return meta and class_behind(meta)
  end
  return find_local(value, LOCALS[name] or name, "@" .. file, {})
    or rawget(value, "__index") == value and value
end

-- The public functions of a table, and of what it inherits from.
local function public_functions(class, prefix, into)
  for name, value in pairs(class) do
    if type(name) == "string" and type(value) == "function" and not name:match("^_") then
      into[prefix .. name] = value
    end
  end
end

--- Everything public that the library has, by the names that the API's file uses.
---@return table<string, any> found
function check.library(problems)
  local found, classes = {}, {}
  local zk = require("zklua")
  for name, value in pairs(zk) do
    found["zk." .. name] = value
  end
  for _, name in ipairs({ "acl", "path" }) do
    public_functions(zk[name], "zk." .. name .. ".", found)
  end
  for name, module in pairs(CLASSES) do
    local class = find_class(name, module)
    if class then
      public_functions(class, name .. ":", found)
    else
      problems[#problems + 1] = ("tools/check_docs.lua: no class %s in %s"):format(name, module)
    end
  end
  return found
end

-- A name that is reserved for a later version may raise so.
local function only_raises_later(value)
  local ok, message = pcall(value, setmetatable({}, require("zklua.client")), "/path")
  return not ok and tostring(message):find("not in this version", 1, true) ~= nil
end

--- Compares both, by name.
function check.compare(declared, found, problems)
  for name, declaration in pairs(declared) do
    local place = ("%s:%d: %s "):format(API_FILE, declaration.line, name)
    local value = found[name]
    if declaration.later then
      if value ~= nil and not (type(value) == "function" and only_raises_later(value)) then
        problems[#problems + 1] = place .. "is marked for a later version and is there"
      end
    elseif value == nil then
      problems[#problems + 1] = place .. "is not in the library"
    end
  end
  for name in pairs(found) do
    if not declared[name] and not INTERNAL[name] then
      problems[#problems + 1] = ("lua/zklua: %s is not in %s"):format(name, API_FILE)
    end
  end
end

-- The pages ------------------------------------------------------------------------------------

---@class tools.Block
---@field page string
---@field line integer  of the first line of code
---@field kind string   what follows "lua" on the fence: "", "fragment" or "endless"
---@field code string
---@field output string|nil  the ```text output block that follows

--- Takes the Lua examples out of a page.
---@param page string  its name
---@param text string
---@return tools.Block[]
function check.blocks(page, text)
  local blocks, open, lines, number = {}, nil, nil, 0
  for line in (text .. "\n"):gmatch("(.-)\n") do
    number = number + 1
    local fence = line:match("^```(.*)$")
    if open and fence == "" then
      local body = table.concat(lines, "\n") .. "\n"
      local last = blocks[#blocks]
      if open == "text output" and last then
        last.output = body
      elseif open:match("^lua") then
        blocks[#blocks + 1] = {
          page = page, line = number - #lines, kind = open:match("^lua%s*(.*)$"), code = body,
        }
      end
      open = nil
    elseif open then
      lines[#lines + 1] = line
    elseif fence then
      open, lines = fence, {}
    end
  end
  return blocks
end

--- All examples of all pages, in order.
---@return tools.Block[]
function check.all_blocks()
  local blocks = {}
  local list = io.popen("ls -1 " .. table.concat(PAGES, " ") .. " 2>/dev/null")
  for page in list:lines() do
    for _, block in ipairs(check.blocks(page, check.read_file(page))) do
      blocks[#blocks + 1] = block
    end
  end
  list:close()
  return blocks
end

local KINDS = { [""] = true, fragment = true, endless = true }

local function check_pages(problems)
  for _, block in ipairs(check.all_blocks()) do
    local where = ("%s:%d: "):format(block.page, block.line)
    if not KINDS[block.kind] then
      problems[#problems + 1] = where .. "unknown kind of example: " .. block.kind
    end
    local chunk, message = loadtext(block.code, "=" .. block.page)
    if not chunk then
      problems[#problems + 1] = where .. message
    end
  end
end

-- Main -----------------------------------------------------------------------------------------

local function main()
  package.path = package.path .. ";./lua/?.lua;./lua/?/init.lua"
  package.cpath = package.cpath .. ";./build/release/lua5.4/?.so"
  local declared, problems = check.declarations(check.read_file(API_FILE))
  assert(loadtext(check.read_file(API_FILE), "@" .. API_FILE))()
  check.compare(declared, check.library(problems), problems)
  check_pages(problems)
  table.sort(problems)
  for _, problem in ipairs(problems) do
    print(problem)
  end
  print(("check_docs: %d problems"):format(#problems))
  os.exit(#problems == 0 and 0 or 1)
end

if arg and arg[0] and arg[0]:match("check_docs%.lua$") then
  main()
end
return check
