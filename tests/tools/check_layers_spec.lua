local check = dofile("tools/check_layers.lua")

--- A tree of files, thrown away behind the test.
local function tree(files)
  local root = os.tmpname()
  os.remove(root)
  for name, text in pairs(files) do
    local folder = root .. "/" .. name:gsub("/[^/]*$", "")
    assert(os.execute("mkdir -p " .. folder))
    local file = assert(io.open(root .. "/" .. name, "w"))
    file:write(text)
    file:close()
  end
  return root
end

local function run(files)
  local root = tree(files)
  local wrong, count = check.run(root)
  os.execute("rm -rf " .. root)
  return wrong, count
end

describe("the layers #once", function()
  it("hold in this repository", function()
    local wrong, count = check.run(".")
    assert.same({}, wrong)
    assert.is_true(count > 0)
  end)

  for _, case in ipairs({
    -- C.
    { "a header of the own folder", "src/wire/a.c", '#include "wire/reader.h"' },
    { "a header beside the file", "src/wire/a.c", '#include "reader.h"' },
    { "a layer to the left", "src/client/a.c", '#include "zklua/wire.h"\n#include "base/map.h"' },
    { "the binding's cores", "src/lua/a.c", '#include "zklua/client.h"\n#include <stdlib.h>' },
    { "what a core may have from the system", "src/base/a.h", "#include <string.h>" },
    { "a driver's sockets", "src/uv/a.c", "#include <uv.h>\n#include <sys/socket.h>" },
    { "a layer to the right", "src/wire/a.c", 'int x;\n#include "zklua/client.h"',
      'src/wire/a.c:2: wire may not include from client ("zklua/client.h")' },
    { "the other core", "src/client/a.c", '#include "server/tree.h"',
      'src/client/a.c:1: client may not include from server ("server/tree.h")' },
    { "the binding in a core", "src/client/a.c", ' # include "lua/compat.h"',
      'src/client/a.c:1: client may not include from lua ("lua/compat.h")' },
    { "the tests' module in the program", "src/main/a.c", '#include "testing/testing.h"',
      'src/main/a.c:1: main may not include from testing ("testing/testing.h")' },
    { "a public header that looks right", "src/include/zklua/base.h", '#include "zklua/wire.h"',
      'src/include/zklua/base.h:1: base may not include from wire ("zklua/wire.h")' },
    { "malloc in a core", "src/base/a.c", "#include <stdlib.h>",
      "src/base/a.c:1: a core may not include <stdlib.h>" },
    { "a clock in a core", "src/client/a.h", "#include <time.h>",
      "src/client/a.h:1: a core may not include <time.h>" },
    { "a folder that is no layer", "src/wire/a.c", '#include "misc/a.h"',
      'src/wire/a.c:1: "misc/a.h" is of no known layer' },
    { "a file in no layer", "src/misc/a.c", "", "src/misc/a.c:1: lies in no known layer" },

    -- Lua.
    { "the core in the library", "lua/zklua/path.lua", 'local core = require "zklua.core"' },
    { "luv in a scheduler", "lua/zklua/scheduler/uv.lua", 'local uv = require("luv")' },
    { "what stands on nothing in a scheduler", "lua/zklua/scheduler/uv.lua",
      'require "zklua.finalizer"' },
    { "the library in a recipe", "lua/zklua/recipes/lock.lua", "require 'zklua.own'" },
    { "recipes in the face", "lua/zklua/init.lua", 'require "zklua.recipes.lock"' },
    { "the face in a script", "scripts/lock.lua", 'local zk = require "zklua"' },
    { "a comment", "lua/zklua/path.lua", '-- require "luv"\nlocal x = 1 -- require("luv")' },
    { "a long comment", "lua/zklua/path.lua", '--[==[ require "luv"\n]] ]==]' },
    { "a string", "lua/zklua/path.lua", "return 'require \"luv\"', [[require \"luv\"]]" },
    { "another word", "lua/zklua/path.lua", 'my_require "luv" requires("luv")' },
    { "luv in the library", "lua/zklua/task.lua", '\nlocal uv = require "luv"',
      'lua/zklua/task.lua:2: library may not require from outside ("luv")' },
    { "a scheduler in the library", "lua/zklua/task.lua", 'require("zklua.scheduler.uv")',
      'lua/zklua/task.lua:1: library may not require from scheduler ("zklua.scheduler.uv")' },
    { "a recipe in the library", "lua/zklua/session.lua", "require\n(\n'zklua.recipes.line')",
      'lua/zklua/session.lua:3: library may not require from recipes ("zklua.recipes.line")' },
    { "the library in a scheduler", "lua/zklua/scheduler/uv.lua", 'require "zklua.task"',
      'lua/zklua/scheduler/uv.lua:1: scheduler may not require from library ("zklua.task")' },
    { "a scheduler in a recipe", "lua/zklua/recipes/lock.lua", 'require "zklua.scheduler.uv"',
      'lua/zklua/recipes/lock.lua:1: '
        .. 'recipes may not require from scheduler ("zklua.scheduler.uv")' },
    { "the face in a recipe", "lua/zklua/recipes/lock.lua", '--[[x\ny]] require "zklua"',
      'lua/zklua/recipes/lock.lua:2: recipes may not require from face ("zklua")' },
    { "internals in a script", "scripts/lock.lua", 'require "zklua.driver"',
      'scripts/lock.lua:1: scripts may not require from library ("zklua.driver")' },
    { "behind a string that ends in a backslash", "lua/zklua/task.lua", 'x = "\\\\" require "luv"',
      'lua/zklua/task.lua:1: library may not require from outside ("luv")' },
  }) do
    it((case[4] and "refuse " or "allow ") .. case[1], function()
      local wrong, count = run({ [case[2]] = case[3] })
      assert.same({ case[4] }, wrong)
      assert.equal(1, count)
    end)
  end

  it("let the runtime, and no other, name its scheduler", function()
    local line = 'return require("zklua.scheduler.uv")'
    assert.same({}, (run({ ["lua/zklua/runtime.lua"] = line })))
    assert.equal(1, #(run({ ["lua/zklua/client.lua"] = line })))
  end)

  it("report all that is wrong, in the files' order", function()
    local wrong, count = run({
      ["src/wire/b.c"] = '#include "client/a.h"\n#include <stdio.h>',
      ["src/base/a.c"] = '#include "wire/a.h"',
      ["lua/zklua/task.lua"] = 'require "luv"',
      ["lua/library/zklua.lua"] = 'require "luv"',
    })
    assert.equal(3, count)
    assert.same({
      'src/base/a.c:1: base may not include from wire ("wire/a.h")',
      'src/wire/b.c:1: wire may not include from client ("client/a.h")',
      "src/wire/b.c:2: a core may not include <stdio.h>",
      'lua/zklua/task.lua:1: library may not require from outside ("luv")',
    }, wrong)
  end)
end)
