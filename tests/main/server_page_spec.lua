-- The commands of docs/server.md, all of them as one session of a shell, as printed except for
-- the port.
local apache = require("support.apache")
local check = dofile("tools/check_docs.lua")
local program = require("support.program")

describe("docs/server.md #once", function()
  local dir

  before_each(function()
    local pipe = io.popen("mktemp -d")
    dir = pipe:read("*l")
    pipe:close()
  end)

  after_each(function()
    os.execute("rm -rf '" .. dir .. "'")
  end)

  it("prints commands that work, and what the last one says", function()
    local page, commands = check.read_file("docs/server.md"), {}
    for block in page:gmatch("```sh\n(.-)```") do
      commands[#commands + 1] = block
    end
    assert.equal(2, #commands)
    local script = table.concat(commands, "\n"):gsub("2181", tostring(apache.unused_port()))
    local result = program.run({ "bash", "-e", "-c", script }, {
      cwd = dir,
      env = { PATH = program.build() .. ":" .. os.getenv("PATH") },
    })
    assert.equal(0, result.code, result.stderr)
    local listed = page:match("```text output\n(.-)```")
    assert.equal(listed, result.stdout:sub(-#listed))
  end)
end)
