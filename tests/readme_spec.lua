-- The README's commands, as printed. Its Lua is run by docs_spec.lua in a stock interpreter and
-- here by the executable.
local apache = require("support.apache")
local check = dofile("tools/check_docs.lua")
local places = require("support.local")
local program = require("support.program")

local README = check.read_file("README.md")

local function commands()
  local list = {}
  for block in README:gmatch("```sh\n(.-)```") do
    for line in block:gmatch("[^\n]+") do
      list[#list + 1] = line
    end
  end
  return list
end

-- Commands that must not be run as they stand, by how they begin, and what is run in their place.
-- What names no server would use this user's own: it gets one of the test's.
local INSTEAD = {
  { "cmake --install", "cmake --version" }, -- main/install_spec.lua does it
}

describe("the README #slow #once", function()
  local place

  setup(function()
    place = places.new()
  end)

  teardown(function()
    place:remove()
  end)

  for _, line in ipairs(commands()) do
    it("prints a command that works: " .. line, function()
      local command = line
      for _, pair in ipairs(INSTEAD) do
        if line:sub(1, #pair[1]) == pair[1] then
          command = pair[2]
        end
      end
      -- Programs that go on for long are asked to end after a while, as a user would do it.
      local result = program.run({ "timeout", "--signal=INT", "12", "bash", "-c",
        "exec " .. command }, { env = { ZKLUA_SERVER = place.servers } })
      assert.is_true(result.code == 0 or result.code == 124, result.code .. ": " .. result.stderr)
      assert.equal("", result.stderr)
      assert.truthy(result.stdout:find("%S"), "it says nothing")
    end)
  end

  it("has Lua that the executable runs", function()
    local blocks = check.blocks("README.md", README)
    assert.is_true(#blocks > 0)
    for _, block in ipairs(blocks) do
      for _, server in ipairs({ place.servers,
          apache.shared().connect_string .. apache.fresh_path() }) do
        local result = program.run({ program.zklua(), "-s", server, "-" }, { stdin = block.code })
        assert.equal(0, result.code, result.stderr)
        assert.equal("", result.stderr)
      end
    end
  end)

  it("names only files that exist", function()
    for name in README:gmatch("%]%(([%w_./-]+)%)") do
      local file = io.open(name)
      assert.truthy(file, name)
      file:close()
    end
  end)
end)
