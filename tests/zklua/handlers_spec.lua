-- Handlers: told in order, taken off at any time.
local handlers = require("zklua.handlers")

local function told(list)
  local names = {}
  for fn in list:each() do
    names[#names + 1] = fn()
  end
  return table.concat(names, " ")
end

local function named(name)
  return function()
    return name
  end
end

describe("handlers", function()
  local list
  before_each(function()
    list = handlers.new()
  end)

  it("are told in the order in which they came", function()
    assert.is_true(list:empty())
    assert.equal("", told(list))
    list:add(named("a"))
    list:add(named("b"))
    list:add(named("c"))
    assert.is_false(list:empty())
    assert.equal("a b c", told(list))
  end)

  it("are taken off once, wherever they stand", function()
    local offs = {}
    for _, name in ipairs({ "a", "b", "c", "d" }) do
      offs[name] = list:add(named(name))
    end
    offs.b()
    offs.b()
    assert.equal("a c d", told(list))
    offs.a()
    offs.d()
    assert.equal("c", told(list))
    list:add(named("e"))
    assert.equal("c e", told(list))
    offs.c()
    assert.equal("e", told(list))
  end)

  it("keep apart the same function given twice", function()
    local fn = named("a")
    local first = list:add(fn)
    list:add(fn)
    first()
    first()
    assert.equal("a", told(list))
  end)

  for _, case in ipairs({
    { "itself", { 2 }, "a b c d" },
    { "the next", { 3 }, "a b d" },
    { "the next two", { 3, 4 }, "a b" },
    { "the last", { 4 }, "a b c" },
    { "itself and the next", { 2, 3 }, "a b d" },
    { "all", { 1, 2, 3, 4 }, "a b" },
  }) do
    it("may take off " .. case[1] .. " while being told", function()
      local offs = {}
      for i, name in ipairs({ "a", "b", "c", "d" }) do
        offs[i] = list:add(function()
          for _, gone in ipairs(i == 2 and case[2] or {}) do
            offs[gone]()
          end
          return name
        end)
      end
      assert.equal(case[3], told(list))
    end)
  end

  it("that come while others are told wait for the next time", function()
    list:add(function()
      list:add(named("late"))
      return "a"
    end)
    assert.equal("a", told(list))
    assert.equal("a late", told(list))
  end)
end)
