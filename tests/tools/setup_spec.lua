local program = require("support.program")

local function write(name, text)
  local file = assert(io.open(name, "w"))
  file:write(text)
  file:close()
  assert(os.execute("chmod +x '" .. name .. "'"))
end

-- tools/setup on a machine of which some commands are pretended: a table of scripts by name.
describe("tools/setup #once", function()
  local bin

  before_each(function()
    local pipe = io.popen("mktemp -d")
    bin = pipe:read("*l")
    pipe:close()
  end)

  after_each(function()
    os.execute("rm -rf '" .. bin .. "'")
  end)

  local function setup_with(commands, ...)
    for name, body in pairs(commands) do
      write(bin .. "/" .. name, "#!/bin/sh\n" .. body .. "\n")
    end
    return program.run({ "tools/setup", ... }, { env = {
      PATH = bin .. ":" .. os.getenv("PATH"),
      LD_PRELOAD = false, -- a sanitizer would judge the shell's tools, and slow them down
    } })
  end

  local NOTHING_INSTALLED = "exit 1"
  local NOBODY = "echo 1000"

  it("does and says nothing when all is there", function()
    local result = setup_with({ ["apt-get"] = "echo called >&2; exit 1" }, "--tests")
    assert.equal(0, result.code, result.stderr)
    assert.equal("", result.stdout .. result.stderr)
  end)

  it("prints the one line for root to somebody who may not install", function()
    local result = setup_with({
      ["dpkg-query"] = NOTHING_INSTALLED, id = NOBODY, sudo = "exit 1", ["apt-get"] = "exit 99",
    }, "--tests")
    assert.equal(2, result.code)
    local count = 0
    for line in result.stderr:gmatch("[^\n]*apt%-get install[^\n]*") do
      count = count + 1
      assert.truthy(line:find(" lua-busted", 1, true))
      assert.truthy(line:find(" cmake", 1, true))
      assert.falsy(line:find(" luajit ", 1, true)) -- conflicts with luajit2
    end
    assert.equal(1, count)
  end)

  it("installs only what is missing, and only for running unless asked", function()
    local result = setup_with({
      ["dpkg-query"] = "for p; do [ $p = cmake ] || echo installed $p; done",
      id = "echo 0", ["apt-get"] = 'echo "$@" >>' .. bin .. "/log",
    })
    assert.equal(0, result.code, result.stderr)
    assert.equal("setup: installing cmake\n", result.stderr)
    for line in io.lines(bin .. "/log") do
      assert.truthy(line:find(" cmake$"), line)
    end
  end)

  it("wants no Java to run, and no ZooKeeper but its own", function()
    local result = setup_with({
      ["dpkg-query"] = NOTHING_INSTALLED, id = NOBODY, sudo = "exit 1", ["apt-get"] = "exit 99",
    })
    assert.equal(2, result.code)
    assert.truthy(result.stderr:find(" cmake", 1, true))
    for _, name in ipairs({ "java", "jre", "jdk", "zookeeper" }) do
      assert.falsy(result.stderr:find(name, 1, true), name)
    end
  end)

  it("fetches package lists when nothing can be installed without", function()
    local result = setup_with({
      ["dpkg-query"] = "for p; do [ $p = cmake ] || echo installed $p; done", id = "echo 0",
      ["apt-get"] = 'echo "$1" >>' .. bin .. '/log; [ "$1" = update ] || grep -q update ' .. bin
        .. "/log",
    })
    assert.equal(0, result.code, result.stderr)
    local log = io.open(bin .. "/log")
    assert.equal("install\nupdate\ninstall\n", log:read("*a"))
    log:close()
  end)

  it("goes through sudo where that needs no password", function()
    local result = setup_with({
      ["dpkg-query"] = "for p; do [ $p = cmake ] || echo installed $p; done", id = NOBODY,
      sudo = "shift; exec \"$@\"", ["apt-get"] = 'echo "$@" >>' .. bin .. "/log",
    })
    assert.equal(0, result.code, result.stderr)
  end)

  it("shows what apt said when it fails", function()
    local result = setup_with({
      ["dpkg-query"] = NOTHING_INSTALLED, id = "echo 0", ["apt-get"] = "echo no network; exit 100",
    })
    assert.is_true(result.code ~= 0)
    assert.truthy(result.stderr:find("no network", 1, true))
  end)

  it("refuses other arguments", function()
    assert.equal(2, program.run({ "tools/setup", "--all" }).code)
  end)
end)
