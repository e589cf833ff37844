local program = require("support.program")
local uv = require("luv")

-- tools/apache in a tree of its own, so that nobody's running server is touched.
describe("the server shared by terminals #slow #once", function()
  local tree

  setup(function()
    local pipe = io.popen("d=$(mktemp -d) && mkdir $d/tools && cp tools/apache $d/tools && echo $d")
    tree = pipe:read("*l")
    pipe:close()
  end)

  teardown(function()
    os.execute(("'%s/tools/apache' stop; rm -rf '%s'"):format(tree, tree))
  end)

  local function terminal()
    return program.start({ "sleep", "600" })
  end

  local function join(child)
    local result = program.run({ tree .. "/tools/apache", "join", tostring(child.pid) })
    assert.equal(0, result.code, result.stderr)
    assert.equal("", result.stderr)
    return (assert(result.stdout:match("^(%d+)\n$")))
  end

  local function serves(port)
    return program.run({ "bash", "-c",
      "exec 3<>/dev/tcp/127.0.0.1/" .. port
        .. " && echo srvr >&3 && grep -q ^Mode: <&3" }).code == 0
  end

  -- The keeper looks twice a second.
  local function await(what, condition)
    for _ = 1, 200 do
      if condition() then
        return
      end
      uv.sleep(50)
    end
    error(what .. " did not come about", 2)
  end

  it("is one server, until the last of them is gone in whatever way", function()
    local first, second = terminal(), terminal()
    local port = join(first)
    assert.equal(port, join(second))
    assert.equal(port, join(second))
    assert.is_true(serves(port))
    first:kill("sigkill")
    first:finish()
    assert.is_true(serves(port))
    second:kill("sigkill")
    second:finish()
    await("the end of the server", function() return not serves(port) end)
  end)

  it("starts again, also after its keeper was killed", function()
    local child = terminal()
    local port = join(child)
    local file = assert(io.open(tree .. "/build/apache/port"))
    local keeper = tonumber(file:read("*a"):match("^%d+ (%d+) "))
    file:close()
    uv.kill(keeper, "sigkill")
    await("the end of the server", function() return not serves(port) end)
    local other = join(child)
    assert.is_true(serves(other))
    child:kill("sigterm")
    child:finish()
    await("the end of the server", function() return not serves(other) end)
  end)

  it("starts once for terminals that come at the same moment", function()
    local children, joins, ports = {}, {}, {}
    for i = 1, 3 do
      children[i] = terminal()
      joins[i] = program.start({ tree .. "/tools/apache", "join", tostring(children[i].pid) })
    end
    for i = 1, 3 do
      ports[i] = joins[i]:finish().stdout
      assert.equal(ports[1], ports[i])
      children[i]:kill("sigkill")
      children[i]:finish()
    end
    assert.truthy(ports[1]:find("^%d+\n$"))
  end)

  it("tells where its log is when it cannot start", function()
    assert(os.execute(("mkdir -p '%s/bin' && "
      .. "printf '#!/bin/sh\\necho no java here; exit 1\\n' >'%s/bin/java'"
      .. " && chmod +x '%s/bin/java'"):format(tree, tree, tree)))
    local child = terminal()
    await("the end of the last server", function()
      return not uv.fs_stat(tree .. "/build/apache/port")
    end)
    local result = program.run({ tree .. "/tools/apache", "join", tostring(child.pid) },
      { env = { PATH = tree .. "/bin:" .. os.getenv("PATH") } })
    assert.equal(1, result.code)
    assert.truthy(result.stderr:find(tree .. "/build/apache/server.log", 1, true), result.stderr)
    assert.truthy(result.stderr:find("no java here", 1, true), result.stderr)
    child:kill("sigkill")
    child:finish()
  end)
end)
