-- One text, compiled once, as programs that share nothing.
local code = require("zklua.sim.code")

describe("the code of a simulated program", function()
  it("has globals, upvalues and functions of its own each time", function()
    local text = [[
      local count = 0
      name = ...
      return function() count = count + 1 return count, name end
    ]]
    local one, other = {}, {}
    local first = code.load(text, "=text", one)("a")
    local second = code.load(text, "=text", other)("b")
    assert.are_not.equal(first, second)
    first()
    assert.same({ 2, "a" }, { first() })
    assert.same({ 1, "b" }, { second() })
    assert.same({ { name = "a" }, { name = "b" } }, { one, other })
    assert.is_nil(_G.name)
  end)

  for _, case in ipairs({
    { "the line of an error", "\nlocal x = nil + 1", "program:2:" },
    { "an error of its writing", "x = = 1", "program:1: unexpected symbol" },
    { "an end too many", "end function f()", "program:1: .*'?end'?" },
    { "a comment without an end of line", "error('here') -- and no more", "program:1: here" },
  }) do
    it("tells " .. case[1], function()
      local fn, message = code.load(case[2], "@program", { error = error })
      if fn then
        message = select(2, pcall(fn))
      end
      assert.matches(case[3], message)
    end)
  end

  it("is read anew from a file that may have changed", function()
    local name = os.tmpname()
    for i = 1, 2 do
      local file = assert(io.open(name, "w"))
      file:write("#!/usr/bin/zklua\nreturn ", i)
      file:close()
      assert.equal(i, code.load_file(name, {})())
    end
    os.remove(name)
    assert.is_nil((code.load_file(name, {})))
  end)

  it("says what is wrong with a module of the library", function()
    local file = os.tmpname()
    local folder, name = file:match("^(.*/)(.*)$")
    local handle = assert(io.open(file, "w"))
    handle:write("x = = 1")
    handle:close()
    local fn, message = code.load_library(name, folder .. "?", {})
    os.remove(file)
    assert.is_nil(fn)
    assert.matches(name .. ":1: unexpected symbol", message, 1, true)
    fn, message = code.load_library(name, folder .. "?", {})
    assert.is_nil(fn)
    assert.matches("no file '" .. file, message, 1, true)
  end)

  it("forgets when it has kept too much, and goes on", function()
    for i = 1, 1100 do
      assert.equal(i, code.load("return " .. i, "=text", {})())
    end
  end)
end)
