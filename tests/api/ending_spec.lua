-- How a program can end: each way in a process of its own, which must not crash, must say nothing
-- that is not asked for, and must not leave its session behind where there is a way not to.
local child = require("support.child")
local chroot = require("support.chroot")

local BEGIN = [[
local zk = require("zklua")
local c = assert(zk.connect(nil, { session_timeout = 2 }))
assert(c:create("/here", "", { ephemeral = true }))
]]

local ENDINGS = {
  { "closes", "c:close()" },
  { "just ends", "" },
  { "exits", "os.exit(0)", lingers = true },
  { "exits and closes the state", "os.exit(0, true)" },
  { "drops its client", "c = nil; collectgarbage(); collectgarbage(); zk.sleep(0.1)" },
  { "stood still for longer than its session", [[
      local back = zk.now() + 3
      while zk.now() < back do end
      c:close()]], says = "^zklua: the program ran for 3%.%d s without a wait[^\n]*\n$" },
  { "closes with everything open", [[
      local held = assert(c:lock("/lock"):acquire())
      local live, cache = assert(c:live("/x")), c:cache("/")
      local member, stream = assert(c:member("/member", "")), assert(c:watch("/"))
      c:close()]] },
  { "ends with everything open", [[
      local held = assert(c:lock("/lock"):acquire())
      local live, cache = assert(c:live("/x")), c:cache("/")
      local member, stream = assert(c:member("/member", "")), assert(c:watch("/"))]] },
  { "has a task that waits", "zk.spawn(function() zk.sleep(60) end) zk.sleep(0.01)" },
  { "has asked and does not wait", "zk.spawn(function() c:get('/') end) zk.pause()" },
}

describe("a program that", function()
  for _, ending in ipairs(ENDINGS) do
    it(ending[1] .. " ends well", function()
      local servers = chroot("ending")
      local output, status = child.run(BEGIN .. ending[2], servers, 20)
      assert.equal(0, status, output)
      assert.matches(ending.says or "^$", output)
      if not ending.lingers then
        local c = assert(require("zklua").connect(servers))
        local gone = assert(c:live("/here"))
        assert(gone:wait(function(_, stat) return not stat end, 1) ~= nil or not gone.exists)
        assert(c:close())
      end
    end)
  end

  it("raises ends with status 1 and its message", function()
    local output, status = child.run(BEGIN .. "error('out of paper')", chroot("ending"), 20)
    assert.equal(1, status)
    assert.matches("out of paper", output, 1, true)
  end)
end)
