local program = require("support.program")

-- A whole installation in a temporary place, and what must work from there.
describe("an installed zklua", function()
  local prefix

  setup(function()
    local pipe = io.popen("mktemp -d")
    prefix = pipe:read("*l")
    pipe:close()
    local result = program.run({ "cmake", "--install", program.build(), "--prefix", prefix })
    assert.equal(0, result.code, result.stderr)
  end)

  teardown(function()
    os.execute("rm -rf '" .. prefix .. "'")
  end)

  -- Nothing of the source tree may help.
  local BARE = { LUA_PATH = false, LUA_CPATH = false, LUA_PATH_5_4 = false, LUA_CPATH_5_4 = false }

  it("finds its library by its own place", function()
    local result = program.run({ prefix .. "/bin/zklua", "-e",
      "print(package.searchpath('zklua.client', package.path))" }, { cwd = "/", env = BARE })
    assert.equal(prefix .. "/bin/../share/lua/5.4/zklua/client.lua\n", result.stdout, result.stderr)
  end)

  it("finds it through a link, too", function()
    assert(os.execute(("ln -s '%s/bin/zklua' '%s/z'"):format(prefix, prefix)))
    local result = program.run({ prefix .. "/z", "-e", "print(zk._VERSION)" },
      { cwd = "/", env = BARE })
    assert.truthy(result.stdout:find("^%d+%.%d+"), result.stderr)
  end)

  it("says so when the library is not there", function()
    assert(os.execute(("cp '%s/bin/zklua' '%s/alone'"):format(prefix, prefix)))
    local result = program.run({ prefix .. "/alone", "--version" }, { cwd = "/", env = BARE })
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find("the Lua library is neither in", 1, true), result.stderr)
  end)

  for interpreter, version in pairs({ ["lua5.4"] = "5.4", luajit = "5.1" }) do
    it("serves a stock " .. interpreter, function()
      local result = program.run({ interpreter, "-e",
        "print(require('zklua').format_zxid(255), package.loaded['zklua.core'] ~= nil)" }, {
        cwd = "/",
        env = {
          LUA_PATH = ("%s/share/lua/%s/?.lua;%s/share/lua/%s/?/init.lua;;"):format(prefix, version,
            prefix, version),
          LUA_CPATH = ("%s/lib/lua/%s/?.so;;"):format(prefix, version),
        },
      })
      assert.equal("0xff\ttrue\n", result.stdout, result.stderr)
    end)
  end
end)
