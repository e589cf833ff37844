-- Live values while things go wrong: cases that seeds have found.
local new_world = require("support.world")

-- Runs main(zk, world) in a process of its own, with a server.
local function run(main)
  local world, _, start = new_world()
  local process = start("main", function(zk)
    main(zk, world)
  end, 6)
  world:run(60)
  assert.equal(0, process.status, process.failure)
end

describe("a live value", function()
  for _, case in ipairs({ { "a node", "value" }, { "no node" } }) do
    it(("of %s has not changed when it is read again after a gap"):format(case[1]), function()
      run(function(zk, world)
        local c = assert(zk.connect())
        if case[2] then
          assert(c:create("/n", case[2]))
        end
        local live = assert(c:live("/n"))
        local revision = live.revision
        zk.spawn(function()
          zk.sleep(1)
          world.network:links_of("main")[1]:cut()
        end)
        local data, _, code = live:wait(nil, 5)
        assert(data == nil and code == "TIMEOUT", "a change was told")
        assert(live.revision == revision and live.data == case[2] and not live.stale)
        assert(c:metrics().reconnects == 1)
      end)
    end)
  end

  it("stays what it was when it is closed, even while it is read again", function()
    run(function(zk)
      local c = assert(zk.connect())
      assert(c:create("/n", "old"))
      local live, told = assert(c:live("/n")), zk.event()
      assert(c:get("/n", { watch = told }))
      zk.spawn(c.set, c, "/n", "new")
      assert(told:wait(5)) -- the answer to the value's own read comes later
      assert(live.data == "old")
      live:close()
      zk.sleep(1)
      assert(live.data == "old" and live.stale)
    end)
  end)
end)
