-- Virtual time, chance that can be had again, and what goes wrong with links.
local net = require("zklua.scheduler.sim_net")
local schedulers = require("zklua.scheduler.sim")
local worlds = require("zklua.scheduler.sim_world")

describe("a world", function()
  it("does what is due in the order of time, then of asking", function()
    local world, order = worlds.new(), {}
    local function note(name)
      order[#order + 1] = ("%s@%g"):format(name, world.time)
    end
    world:at(2, note, "c")
    world:at(1, note, "a")
    world:at(1, note, "b")
    local never = world:at(1.5, note, "never")
    world:cancel(never)
    world:run(1.25)
    assert.same({ "a@1", "b@1" }, order)
    assert.equal(1.25, world.time)
    world:at(0, note, "late") -- what is past is due at once
    while world:step() do
    end
    world:cancel(never)
    assert.same({ "a@1", "b@1", "late@1.25", "c@2" }, order)
  end)

  it("does at one instant what was due first, then what was asked for meanwhile", function()
    local world, order = worlds.new(), {}
    local own = { fn = function() order[#order + 1] = "own" end }
    world:at(1, function()
      order[#order + 1] = "first"
      world:post(own)
      world:post(own) -- waits already
      world:at(1, function() order[#order + 1] = "asked" end)
      world:cancel(world:at(1, error))
    end)
    world:at(1, function() order[#order + 1] = "second" end)
    world:run(1)
    assert.same({ "first", "second", "own", "asked" }, order)
    world:post(own)
    world:cancel(own)
    assert.is_false(world:step())
  end)

  it("says who does not let time go on", function()
    local world, count = worlds.new({ instant_max = 1000 }), 0
    local function again()
      count = count + 1
      world:at(world.time, again)
    end
    for i = 1, 3000 do
      world:at(i / 1000, function() end) -- many, but not at one instant
    end
    world:run(3)
    world:at(4, again)
    assert.error_matches(function() world:run(5) end,
      "1000 events at 4.000000 s of virtual time.*the last is .*sim_net_spec.lua:%d+$")
    assert.equal(1000, count)
  end)

  it("does nothing early, on whole microseconds", function()
    local world = worlds.new()
    for i = 1, 2000 do
      local time = world.time + world:random("time") * 10 ^ -(i % 7)
      local happened
      world:at(time, function()
        happened = world.time
      end)
      world:step()
      assert.is_true(happened >= time and happened < time + 2e-6)
      assert.equal(happened, math.floor(happened * 1e6 + 0.5) / 1e6)
    end
  end)

  it("draws the same numbers for a seed, each entity its own", function()
    local function draw(seed, entities)
      local world, list = worlds.new({ seed = seed }), {}
      for _, entity in ipairs(entities) do
        list[#list + 1] = world:random(entity)
      end
      return list
    end
    local first = draw(1, { "a", "b", "a" })
    assert.same(first, draw(1, { "a", "b", "a" }))
    assert.are_not.same(first, draw(2, { "a", "b", "a" }))
    local without = draw(1, { "a", "a" }) -- b drew nothing, and a is as it was
    assert.same({ first[1], first[3] }, without)
    for _, number in ipairs(first) do
      assert.is_true(number >= 0 and number < 1)
    end
  end)

  it("picks whole numbers, all of them", function()
    local world, seen = worlds.new({ seed = 3 }), {}
    for _ = 1, 200 do
      seen[world:pick("a", 2, 5)] = true
    end
    assert.same({ [2] = true, [3] = true, [4] = true, [5] = true }, seen)
  end)

  it("hashes who did what and when, and keeps a story where it is wanted", function()
    local function hash(time, who, what)
      local world = worlds.new({ lines = true })
      world:run(time)
      world:trace(who, what)
      return world.hash, world:story()
    end
    local first, story = hash(1, "a", "b")
    assert.equal(first, (hash(1, "a", "b")))
    assert.are_not.equal(first, (hash(2, "a", "b")))
    assert.are_not.equal(first, (hash(1, "ab", "")))
    assert.equal(1, #story)
    assert.matches("1.000000  a          b", story[1], 1, true)
  end)
end)

describe("a simulated network", function()
  local world, network, client, server, accepted

  before_each(function()
    world = worlds.new({ seed = 7 })
    network = net.of(world)
    client = schedulers.new({ world = world, name = "client" })
    server = schedulers.new({ world = world, name = "server" })
    accepted = nil
    network:listen(server, "10.0.0.1:2181", function(stream)
      accepted = stream
    end)
  end)

  -- Runs fn as a task of the client, to its end, and gives what it returned.
  local function run(fn)
    local done, results = client.event(), nil
    client.spawn(function()
      results = { fn() }
      done:set()
    end)
    assert(done:wait(client.now() + 60))
    return (table.unpack or unpack)(results)
  end

  local function connect()
    return assert(client.connect({ host = "10.0.0.1", port = 2181 }, client.now() + 5))
  end

  -- All that arrives until the end, on the side of the server: bytes, message, code.
  local function collect(stream)
    local got, bytes, message, code = {}, nil, nil, nil
    local done = server.event()
    server.spawn(function()
      repeat
        bytes, message, code = stream:read()
        got[#got + 1] = bytes
      until not bytes
      done:set()
    end)
    return function()
      done:wait(server.now() + 30)
      return table.concat(got), message, code
    end
  end

  it("delivers in order whatever the pieces", function()
    local sent = {}
    local finish
    run(function()
      local stream = connect()
      finish = collect(accepted)
      for i = 1, 300 do
        sent[i] = ("%d;"):format(i):rep(i)
        assert.is_true(stream:write(sent[i]))
      end
      stream:close()
    end)
    local got, message, code = finish()
    assert.equal(table.concat(sent), got)
    assert.equal("closed by the peer", message)
    assert.equal("EOF", code)
  end)

  for _, bytes in ipairs({ 1, 7, 100, 999 }) do
    it(("is cut after %d bytes"):format(bytes), function()
      local finish
      run(function()
        local stream = connect()
        finish = collect(accepted)
        stream.link:cut("there", bytes)
        stream:write(("x"):rep(1000))
        client.sleep(1)
        assert.same({ nil, "connection reset by the peer", "IO" }, { stream:write("more") })
      end)
      local got, _, code = finish()
      assert.equal(("x"):rep(bytes), got)
      assert.equal("IO", code)
    end)
  end

  it("is cut at once, and both ends read so", function()
    run(function()
      local stream = connect()
      stream:write("x")
      stream.link:cut()
      assert.equal("IO", (select(3, stream:read(client.now() + 1))))
    end)
    assert.equal("IO", (select(3, collect(accepted)())))
    assert.same({}, network:links_of())
  end)

  it("loses one way, and tells nobody", function()
    run(function()
      local stream = connect()
      stream.link:lose("there")
      assert.is_true(stream:write("x"))
      server.spawn(function()
        accepted:write("y")
        assert.equal("TIMEOUT", (select(3, accepted:read(server.now() + 5))))
      end)
      assert.equal("y", stream:read(client.now() + 10))
    end)
  end)

  it("keeps what is under way while it is parted, and what comes to it", function()
    run(function()
      local stream = connect()
      stream:write("before")
      network:part({ "client" })
      stream:write(" after")
      local began = client.now()
      assert.same({ nil, "no answer", "TIMEOUT" },
        { client.connect({ host = "10.0.0.1", port = 2181 }, began + 3) })
      assert.equal(began + 3, client.now())
      network:heal()
      local got = ""
      server.spawn(function()
        while #got < 12 do
          got = got .. accepted:read()
        end
      end)
      client.sleep(1)
      assert.equal("before after", got)
    end)
  end)

  it("knows whose links are open", function()
    run(function()
      local one, two = connect(), connect()
      assert.same({ one.link, two.link }, network:links_of("client"))
      one:close()
      one.peer:close()
      assert.same({ two.link }, network:links_of("server"))
      assert.same({}, network:links_of("nobody"))
    end)
  end)

  it("resets the links of a process that is gone, which never runs again", function()
    local ran = 0
    run(function()
      local stream = connect()
      server.spawn(function()
        while true do
          server.sleep(1)
          ran = ran + 1
        end
      end)
      client.sleep(2.5)
      server.stop()
      assert.equal("IO", (select(3, stream:read(client.now() + 1))))
      client.sleep(5)
      assert.same({ nil, "connection refused", "CONNECT" },
        { client.connect({ host = "10.0.0.1", port = 2181 }, client.now() + 3) })
    end)
    assert.equal(2, ran)
  end)

  it("refuses an address that is taken", function()
    assert.error_matches(function()
      network:listen(client, "10.0.0.1:2181", function() end)
    end, "is taken by server")
  end)

  it("resolves the names it was given", function()
    network.names["zk.example"] = { "10.0.0.1", "10.0.0.2" }
    assert.same({ "10.0.0.1", "10.0.0.2" }, client.resolve("zk.example"))
  end)

  it("is the same again with the same seed", function()
    local function play(seed)
      local w = worlds.new({ seed = seed })
      local n = net.of(w)
      local a = schedulers.new({ world = w, name = "a" })
      local b = schedulers.new({ world = w, name = "b" })
      n:listen(b, "b:1", function(stream)
        b.spawn(function()
          local bytes = stream:read()
          while bytes do
            w:trace("b", bytes)
            bytes = stream:read()
          end
        end)
      end)
      a.spawn(function()
        local stream = a.connect({ host = "b", port = 1 })
        for i = 1, 20 do
          stream:write(("x"):rep(i * 10))
          a.sleep(0.001)
        end
        stream:close()
      end)
      while w:step() do
      end
      return w.hash
    end
    assert.equal(play(1), play(1))
    assert.are_not.equal(play(1), play(2))
  end)

  it("says when a wait can never end", function()
    assert.error_matches(function()
      client.event():wait()
    end, "nothing in this world is ever due")
  end)
end)
