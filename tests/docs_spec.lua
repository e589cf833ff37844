-- The examples of the documentation, each run as it stands in an interpreter of its own, against
-- a real server. A fragment is given `zk` and a connected `c`; an endless one is stopped after a
-- moment and must not have failed by then; a block of output behind an example is what it prints.
local check = dofile("tools/check_docs.lua")
local child = require("support.child")
local chroot = require("support.chroot")

local STRICT = "setmetatable(_G, { __newindex = function(_, name) "
  .. "error('global ' .. name, 2) end }) "
local FRAGMENT = [[local zk = require("zklua") local c = assert(zk.connect()) ]]

-- The example with its line numbers on the page, its server ours unless it brings its own.
local function program_of(block, servers)
  local code = block.code:gsub('zk%.connect%("([^"]*)"', function(named)
    return ("zk.connect(%q"):format(named == "memory:" and named or servers)
  end)
  local fragment = block.kind == "fragment"
  return STRICT .. (fragment and FRAGMENT or "") .. ("\n"):rep(block.line - 1) .. code
    .. (fragment and "\nc:close()\n" or "")
end

describe("the example at", function()
  for _, block in ipairs(check.all_blocks()) do
    it(("%s:%d runs"):format(block.page, block.line), function()
      local endless, servers = block.kind == "endless", chroot("docs")
      local output, status = child.run(program_of(block, servers), servers, endless and 1 or 30)
      assert.equal(endless and child.KILLED or 0, status, output)
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
