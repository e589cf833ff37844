-- The story of a run: who asked what, and what he was told.
local processes = require("zklua.sim.process")
local servers = require("zklua.sim.server")
local worlds = require("zklua.scheduler.sim_world")

local function play(lines)
  local world = worlds.new({ seed = 1, lines = lines })
  local server = servers.new(world)
  processes.start(world, { name = "ann", servers = "10.0.0.1", main = function(zk)
    local c = assert(zk.connect({ session_timeout = 6 }))
    assert(c:create("/a", "1"))
    assert(c:create("/a/s-", "", { ephemeral = true, sequential = true }))
    c:get("/none")
    assert(c:get("/a", { watch = function() end }))
    assert(c:transaction():check("/a"):set("/a", "2"):create("/b", ""):delete("/b"):check("/a")
      :commit())
    zk.sleep(3)
  end })
  world:run(10)
  return world, server
end

describe("the story of a run", function()
  it("has requests, answers and events, in columns", function()
    local text, lines = {}, play(true):story()
    for _, line in ipairs(lines) do
      assert.matches("^ +%d+%.%d%d%d%d%d%d  %S+ +%S", line)
      text[#text + 1] = line:match("^ *%S+  ann +([<>].*)")
    end
    assert.same({
      "> connect, a new session, timeout 6 s",
      text[2],
      "> create /a",
      "< create /a: ok",
      "> create /a/s-",
      "< create /a/s-: ok as /a/s-0000000000",
      "> get /none",
      "< get /none: NONODE",
      "> get /a",
      "< get /a: ok",
      "> multi (check /a, set /a, create /b, delete /b and 1 more)",
      "< event: changed /a",
      "< multi (check /a, set /a, create /b, delete /b and 1 more): ok",
      "> close the session",
      "< close the session: ok",
    }, text)
    assert.matches("< session 0x%x+, timeout 6 s", text[2])
  end)

  it("changes nothing of what happens", function()
    assert.equal(play(false).hash, play(true).hash)
  end)

  it("goes on below itself where something has several lines, and shows no control characters",
    function()
      local world = worlds.new({ lines = true })
      world:trace("a process of a long name", "one\ntwo\1\n")
      world:trace("b", "x")
      assert.same({
        "    0.000000  a process of a long name one\n" .. (" "):rep(39) .. "two\\x01",
        "    0.000000  b                        x",
      }, world:story())
    end)
end)
