-- Who is woken, told or closed first follows from who came first, so that runs can be repeated.
local in_order = require("zklua.in_order")
local zk = require("zklua")

local COUNT = 60 -- so many that no table holds them in order by chance

local function expected()
  local list = {}
  for i = 1, COUNT do
    list[i] = i
  end
  return list
end

describe("a set", function()
  it("is met in the order of its numbers", function()
    local set, numbers, garbage = {}, {}, {}
    for i = 1, COUNT do
      garbage[i] = ("x"):rep(i)
      set[{ i }] = i
    end
    for _, member in ipairs(in_order(set)) do
      numbers[#numbers + 1] = member[1]
    end
    assert.same(expected(), numbers)
    assert.same({}, in_order({}))
  end)
end)

describe("in the order in which they came", function()
  local function of(name, fn)
    it(name, zk.test(function()
      local server = zk.server()
      local c = assert(server:client({ log = function() end }))
      local order = {}
      fn(c, function(i)
        order[#order + 1] = i
      end, server)
      assert.same(expected(), order)
    end))
  end

  of("are the tasks of a group cancelled", function(_, note)
    pcall(zk.group, function(group)
      for i = 1, COUNT do
        group:spawn(function()
          zk.sleep(100)
          note(i)
        end)
      end
      zk.sleep(0)
      error("enough")
    end)
  end)

  of("hear tasks of the loss of a lock", function(c, note, server)
    local held = assert(c:lock("/l"):acquire())
    zk.group(function(group)
      for i = 1, COUNT do
        group:spawn(function()
          held.lost:wait(100)
          note(i)
        end)
      end
      zk.sleep(0)
      server:expire(c)
    end)
  end)

  of("hear functions of the loss of a lock", function(c, note, server)
    local held = assert(c:lock("/l"):acquire())
    for i = 1, COUNT do
      held.lost:on(function()
        note(i)
      end)
    end
    server:expire(c)
    held.lost:wait(100)
  end)

  of("wake those who wait for the next value", function(c, note)
    assert(c:create("/v", "1"))
    local value = assert(c:live("/v"))
    zk.group(function(group)
      for i = 1, COUNT do
        group:spawn(function()
          assert(value:wait(nil, 100))
          note(i)
        end)
      end
      zk.sleep(0)
      c:set("/v", "2")
    end)
  end)

  of("hear streams of a cache what is new", function(c, note)
    assert(c:create("/tree", ""))
    local cache = assert(c:cache("/tree"))
    assert(cache:ready())
    zk.group(function(group)
      for i = 1, COUNT do
        local changes = cache:changes()
        changes:next()
        group:spawn(function()
          changes:next(100)
          note(i)
        end)
      end
      zk.sleep(0)
      c:create("/tree/new", "")
    end)
  end)

  of("leave candidates a race that is given up", function(c, note)
    assert(c:create("/e", ""))
    local leader = assert(c:election("/e"):latch())
    local election = c:election("/e")
    zk.group(function(group)
      for i = 1, COUNT do
        group:spawn(function()
          election:latch()
          note(i)
        end)
      end
      zk.sleep(0.2)
      election:resign()
    end)
    leader:release()
  end)

  of("are watches told that the session is a new one", function(c, note, server)
    for i = 1, COUNT do
      local path = ("/n%02d"):format(i)
      assert(c:create(path, ""))
      assert(c:get(path, { watch = function() note(i) end }))
    end
    server:expire(c)
    c:exists("/n01", { timeout = 100 })
    zk.sleep(0)
  end)
end)
