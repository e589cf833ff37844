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

return check
