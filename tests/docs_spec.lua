-- The examples of the documentation, each run as it stands in an interpreter of its own, against
-- a real server. A fragment is given `zk` and a connected `c`; an endless one is stopped after a
-- moment and must not have failed by then; a block of output behind an example is what it prints.
local check = dofile("tools/check_docs.lua")
local chroot = require("support.chroot")

local INTERPRETER = rawget(_G, "jit") and "luajit" or "lua5.4"
local STRICT = [[setmetatable(_G, { __newindex = function(_, name) error("global " .. name, 2) end }) ]]
local FRAGMENT = [[local zk = require("zklua") local c = assert(zk.connect()) ]]
local KILLED = 137

local function quote(text)
  return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- The example with its line numbers on the page, its server ours.
local function program_of(block, servers)
  local code = block.code:gsub('zk%.connect%("[^"]*"', function()
    return ("zk.connect(%q"):format(servers)
  end)
  local fragment = block.kind == "fragment"
  return STRICT .. (fragment and FRAGMENT or "") .. ("\n"):rep(block.line - 1) .. code
    .. (fragment and "\nc:close()\n" or "")
end

local function run(block)
  local servers, name = chroot("docs"), os.tmpname()
  local file = assert(io.open(name, "wb"))
  assert(file:write(program_of(block, servers)))
  file:close()
  local pipe = assert(io.popen(table.concat({
    "ZKLUA_SERVER=" .. quote(servers), "LUA_PATH=" .. quote(package.path),
    "LUA_CPATH=" .. quote(package.cpath), "timeout --signal=KILL",
    block.kind == "endless" and "1" or "30", INTERPRETER, name, "2>&1; echo status $?",
  }, " ")))
  local text = pipe:read("*a")
  pipe:close()
  os.remove(name)
  local output, status = text:match("^(.*)status (%d+)\n$")
  return output, tonumber(status)
end

describe("the example at", function()
  for _, block in ipairs(check.all_blocks()) do
    it(("%s:%d runs"):format(block.page, block.line), function()
      local output, status = run(block)
      assert.equal(block.kind == "endless" and KILLED or 0, status, output)
      if block.output then
        assert.equal(block.output, output)
      end
      assert.not_matches("traceback", output, 1, true)
    end)
  end
end)

describe("check_docs", function()
  it("finds functions, fields, later marks and parameters", function()
    local declared, problems = check.declarations(table.concat({
      "zk.null = {}",
      "--- Text.",
      "---@param path string",
      "function Client:get(path) end",
      "",
      "--- Text. Later version.",
      "function zk.server(options) end",
    }, "\n"))
    assert.is_false(declared["Client:get"].later)
    assert.equal(4, declared["Client:get"].line)
    assert.is_true(declared["zk.server"].later)
    assert.is_table(declared["zk.null"])
    assert.equal(1, #problems)
    assert.matches("zk.server(options) has @param for ()", problems[1], 1, true)
  end)

  it("takes examples and their output from a page", function()
    local blocks = check.blocks("page", table.concat({
      "Text", "```lua fragment", "print(1)", "```", "", "```text output", "1", "```",
      "```sh", "ls", "```", "```lua", "x = 1", "y = 2", "```",
    }, "\n"))
    assert.same({
      { page = "page", line = 3, kind = "fragment", code = "print(1)\n", output = "1\n" },
      { page = "page", line = 13, kind = "", code = "x = 1\ny = 2\n" },
    }, blocks)
  end)
end)
