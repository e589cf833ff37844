local prepared = require("server.prepared")

local create, delete, set = prepared.create, prepared.delete, prepared.set

local function container(path)
  return create(path, { op = 19, flags = 4 })
end

local function ttl(path, ttl_ms)
  return create(path, { op = 21, flags = 5, ttl_ms = ttl_ms })
end

--- now and wall go on alike; the session of a world may end on the way.
local function new(options)
  options.ttl_nodes, options.now, options.wall = true, 1000, 100000
  local world = prepared.new(options)
  world.now = 1000
  return world
end

--- Ticks at every deadline up to `ms` later, all durable at once. Gives the paths that were reaped.
local function pass(world, ms)
  local stop, reaped = world.now + ms, {}
  world.core:commit()
  while true do
    local deadline = world.core:reap_deadline()
    local ended = not deadline or deadline > stop
    world.now = ended and stop or math.max(world.now, deadline)
    world.core:set_time(world.now, world.now + 99000)
    world.core:tick()
    for _, entry in ipairs(world:log()) do
      local fields = prepared.decode(entry.payload)
      if fields.type == 20 then
        assert.is_nil(fields.session_id)
        assert.is_nil(fields.cxid)
        reaped[#reaped + 1] = fields.path
      end
    end
    world.core:commit()
    if ended then
      return reaped
    end
  end
end

describe("a container", function()
  it("goes when it has lost its last child, at the next round", function()
    local world = new({ reap_interval = 60000 })
    world:made(container("/c"), create("/c/a"), create("/c/b"), create("/plain"),
      create("/plain/x"), delete("/plain/x"))
    world.core:commit()
    assert.are.same({}, pass(world, 70000))
    world:made(delete("/c/a"))
    assert.are.same({}, pass(world, 60000))
    world:made(delete("/c/b"))
    assert.are.same({ "/c" }, pass(world, 60000))
    assert.is_nil(world.core:node("/c"))
    assert.is_truthy(world.core:node("/plain"))
    world:free()
  end)

  it("that never had one stays", function()
    local world = new({ reap_interval = 1000 })
    world:made(container("/c"))
    assert.are.same({}, pass(world, 100000))
    world:free()
  end)

  it("that never had one goes where that is limited, and a setData counts as use", function()
    local world = new({ reap_interval = 1000, container_unused = 5000 })
    world:made(container("/c"), container("/d"))
    world.core:commit()
    assert.are.same({}, pass(world, 5000))
    world:made(set("/d", "x"))
    assert.are.same({ "/c" }, pass(world, 3000))
    assert.are.same({ "/d" }, pass(world, 5000))
    world:free()
  end)

  it("with news on their way is left to the next round", function()
    local world = new({ reap_interval = 1000 })
    world:made(container("/c"), create("/c/a"), delete("/c/a"))
    world.core:commit()
    world:made(create("/c/b")) -- prepared, not durable
    world.core:set_time(2000, 101000)
    world.core:tick()
    local waiting = world.core:waiting()
    assert.are.equal(1, #waiting)
    world.now = 2000
    assert.are.same({}, pass(world, 5000))
    world:made(delete("/c/b"))
    assert.are.same({ "/c" }, pass(world, 2000))
    world:free()
  end)
end)

describe("a node with a time to live", function()
  it("goes when the time since its last setData is over and it has no children", function()
    local world = new({ reap_interval = 100 })
    world:made(ttl("/t", 1000), ttl("/u", 1000), ttl("/v", 1000))
    world.core:commit()
    assert.are.same({}, pass(world, 900))
    world:made(set("/u", "x"), create("/v/child"))
    assert.are.same({ "/t" }, pass(world, 900))
    assert.are.same({ "/u" }, pass(world, 300))
    world:made(delete("/v/child")) -- children do not move its time
    assert.are.same({ "/v" }, pass(world, 200))
    world:free()
  end)

  it("is gone one millisecond past its time, not at it", function()
    local world = new({ reap_interval = 1 })
    world:made(ttl("/t", 500))
    world.core:commit()
    assert.are.same({}, pass(world, 500))
    assert.are.same({ "/t" }, pass(world, 1))
    world:free()
  end)

  it("takes its longest time as it is", function()
    local world = new({ reap_interval = 1000 })
    world:made(ttl("/t", "0xffffffffff"))
    world.core:commit()
    world.core:set_time(1e6, 2 ^ 39)
    world.core:tick()
    assert.are.equal(0, #world.core:waiting())
    world:free()
  end)
end)

describe("the reaper", function()
  it("has nothing to wait for where there is no such node", function()
    local world = new({})
    assert.is_nil(world.core:reap_deadline())
    world:made(create("/a"))
    world.core:commit()
    assert.is_nil(world.core:reap_deadline())
    world:made(container("/c"))
    world.core:commit()
    assert.are.equal(61000, world.core:reap_deadline())
    world:free()
  end)

  it("deletes at its rate, and looks at many in small steps", function()
    local world = new({ reap_interval = 60000, reap_per_minute = 600 }) -- one each 100 ms
    for i = 1, 400 do
      world:made(ttl("/t" .. i, 10 ^ 9), container("/c" .. i))
    end
    for i = 1, 50 do
      world:made(ttl("/gone" .. i, 1))
    end
    world.core:commit()
    assert.are.equal(0, #pass(world, 59000))
    local count = #pass(world, 1000 + 2000)
    assert.is_true(count >= 18 and count <= 21, count)
    assert.are.equal(50 - count, #pass(world, 4000))
    assert.are.equal(0, #pass(world, 40000))
    world:free()
  end)

  it("keeps its place while nodes come and go", function()
    local world = new({ reap_interval = 1000, reap_per_minute = 60000 })
    for i = 1, 600 do
      world:made(ttl("/t" .. i, 1))
    end
    world.core:commit()
    local gone = {}
    for round = 1, 700 do
      world.now = world.now + 2
      world.core:set_time(world.now + 1000, world.now + 100000)
      world.core:tick()
      for _, entry in ipairs(world:log()) do
        gone[#gone + 1] = prepared.decode(entry.payload).path
      end
      world.core:commit()
      if round % 3 == 0 then -- somebody else deletes, and creates
        for _, path in ipairs({ "/t" .. round, "/t" .. round + 1 }) do
          if world.core:node(path) then
            world:made(delete(path))
          end
        end
        world:made(create("/x" .. round), delete("/x" .. round))
        world.core:commit()
        world:log()
      end
    end
    for path in pairs(world.core:tree()) do
      assert.is_nil(path:find("^/t"), path)
    end
    assert.is_true(#gone > 300)
    assert.are.equal(0, world:free().bytes)
  end)

  it("waits while the disk is behind", function()
    local world = new({ reap_interval = 100, outstanding_max = 3 })
    for i = 1, 5 do
      world:made(ttl("/t" .. i, 1))
    end
    world.core:commit()
    for i = 1, 20 do
      world.core:set_time(2000 + i * 10, 102000 + i * 10)
      world.core:tick()
    end
    assert.are.equal(3, #world.core:waiting())
    world.now = 2300
    pass(world, 500)
    assert.is_nil(world.core:node("/t5"))
    world:free()
  end)

  it("without memory tries again", function()
    local world = new({ reap_interval = 100 })
    world:made(ttl("/t", 1))
    world.core:commit()
    world.core:set_time(2000, 102000)
    world.core:fail(1, 1e9)
    world.core:tick()
    world.core:fail(0)
    assert.are.equal(0, #world.core:waiting())
    world.now = 2000
    assert.are.same({ "/t" }, pass(world, 200))
    world:free()
  end)
end)
