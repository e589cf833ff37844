local command_line = require("zklua.command_line")

local function read(words)
  words[0] = "zklua"
  return command_line.read(words)
end

-- What a line becomes: any field that a row names must be so, and no other action.
local GOOD = {
  { line = { "a.lua" }, action = "script", file = "a.lua", servers = false },
  { line = { "./job" }, action = "script", file = "./job" },
  { line = { "dir/job", "-s" }, action = "script", file = "dir/job", args = { "-s" } },
  { line = { "-" }, action = "script", file = "-" },
  { line = { "-", "x" }, action = "script", file = "-", args = { "x" } },
  { line = { "run", "job" }, action = "script", file = "job" },
  { line = { "run", "-" }, action = "script", file = "-" },
  { line = { "run", "run" }, action = "script", file = "run" },
  { line = { "run", "job", "a", "b" }, action = "script", file = "job", args = { "a", "b" } },
  { line = { "--", "a.lua", "--help" }, action = "script", file = "a.lua", args = { "--help" } },
  { line = { "-s", "h:1", "a.lua" }, action = "script", servers = "h:1" },
  { line = { "-server", "h:1/x", "a.lua" }, action = "script", servers = "h:1/x" },
  { line = { "-s", "h:1", "-s", "h:2", "a.lua" }, action = "script", servers = "h:2" },
  { line = { "-timeout", "1500", "a.lua" }, action = "script", session_timeout = 1.5 },
  { line = { "-r", "a.lua" }, action = "script", readonly = true },
  { line = { "-e", "f()" }, action = "code", code = "f()" },
  { line = { "-e", "f()", "-e", "g()", "1", "2" }, action = "code", code = "f()\ng()",
    args = { "1", "2" } },
  { line = { "-e", "f()", "-s", "h", "ls" }, action = "code", servers = "h", args = { "ls" } },
  { line = { "--help" }, action = "help" },
  { line = { "-h" }, action = "help" },
  { line = { "--version", "nonsense" }, action = "version" },
  { line = { "-s", "local:/a b", "a.lua" }, action = "script", servers = "local:/a b" },
}

local BAD = {
  { line = {}, message = "no script named" },
  { line = { "-r" }, message = "no script named" },
  { line = { "--" }, message = "no script named" },
  { line = { "run" }, message = "run needs a file" },
  { line = { "ls", "/" }, message = "no verb 'ls'" },
  { line = { "-r", "server" }, message = "server takes no options before it" },
  { line = { "job.luac" }, message = "zklua run job.luac" },
  { line = { "" }, message = "no verb ''" },
  { line = { "-s" }, message = "-s needs a value" },
  { line = { "-s", "" }, message = "-s needs host:port" },
  { line = { "-server" }, message = "-server needs a value" },
  { line = { "-e" }, message = "-e needs a value" },
  { line = { "-timeout" }, message = "-timeout needs a value" },
  { line = { "-timeout", "0", "a.lua" }, message = "milliseconds, not '0'" },
  { line = { "-timeout", "-1", "a.lua" }, message = "milliseconds, not '-1'" },
  { line = { "-timeout", "5s", "a.lua" }, message = "milliseconds, not '5s'" },
  { line = { "-timeout", "0x10", "a.lua" }, message = "milliseconds, not '0x10'" },
  { line = { "-timeout", "2147483648", "a.lua" }, message = "milliseconds" },
  { line = { "-x", "a.lua" }, message = "unknown option -x" },
  { line = { "--servers=h", "a.lua" }, message = "unknown option --servers=h" },
}

describe("the command line", function()
  for _, case in ipairs(GOOD) do
    it("reads: zklua " .. table.concat(case.line, " "), function()
      local plan = assert(read(case.line))
      assert.equal(case.action, plan.action)
      for _, field in ipairs({ "file", "code", "servers", "session_timeout", "readonly" }) do
        if case[field] ~= nil then
          assert.equal(case[field] or nil, plan[field])
        end
      end
      if case.args then
        assert.same(case.args, { (table.unpack or unpack)(plan.arguments) })
      end
    end)
  end

  for _, case in ipairs(BAD) do
    it("refuses: zklua " .. table.concat(case.line, " "), function()
      local plan, message = read(case.line)
      assert.is_nil(plan)
      assert.truthy(message:find(case.message, 1, true), message)
    end)
  end

  it("numbers arguments as the stand-alone lua does", function()
    local plan = assert(read({ "-s", "h", "run", "job", "x", "y" }))
    assert.same({ [-4] = "zklua", [-3] = "-s", [-2] = "h", [-1] = "run", [0] = "job", "x", "y" },
      plan.arguments)
    assert.equal("-e", assert(read({ "-e", "f()", "x" })).arguments[0])
  end)

  it("names every option in its help", function()
    for _, option in ipairs({ "-s", "-server", "-e", "-timeout", "-r", "--help", "--version" }) do
      assert.truthy(command_line.HELP:find(option, 1, true), option)
    end
  end)
end)
