local codec = require("wire.codec")
local watches = require("zklua_testing").watches

local DATA, CHILD, PERSISTENT, RECURSIVE = 1, 2, 4, 8
local ALL = DATA + CHILD + PERSISTENT + RECURSIVE
local CREATED, DELETED, CHANGED, CHILDREN = 1, 2, 3, 4
local NAMES = { [DATA] = "data", [CHILD] = "child", [PERSISTENT] = "persistent",
  [RECURSIVE] = "recursive" }
local EVENTS = { [CREATED] = "created", [DELETED] = "deleted", [CHANGED] = "changed",
  [CHILDREN] = "children changed" }

local function sorted(list)
  table.sort(list)
  return list
end

describe("the server's watches", function()
  local t
  before_each(function()
    t = watches.table()
  end)
  after_each(function()
    local memory = t:free()
    assert.are.same({ 0, 0 }, { memory.bytes, memory.blocks })
  end)

  local function add(connection, path, ...)
    for _, kind in ipairs({ ... }) do
      assert.is_true(t:add(connection, path, kind))
    end
  end

  it("find recursive ones above a deep path in one pass over it", function()
    local path = ("/a"):rep(20000)
    add(1, "/", RECURSIVE)
    add(2, path:sub(1, 20000), RECURSIVE)
    add(3, path, DATA)
    add(4, "/b", RECURSIVE)
    -- 400 million bytes to hash if it were not one pass.
    assert.are.same({ 1, 2, 3 }, sorted(t:fire(CHANGED, path)))
    assert.are.same({ 1, 2 }, sorted(t:fire(CREATED, path:sub(1, 20000) .. "/x")))
    assert.are.same({ 1 }, sorted(t:fire(CREATED, path:sub(1, 19998) .. "/x")))
    assert.are.same({ 1 }, sorted(t:fire(CREATED, "/")))
    for i = 1, 4 do
      t:remove_all(i)
    end
  end)

  -- Which kinds hear of an event on their own path, one above it, one below it.
  for event, reached in pairs({
    [CREATED] = { own = { [DATA] = true, [PERSISTENT] = true, [RECURSIVE] = true } },
    [CHANGED] = { own = { [DATA] = true, [PERSISTENT] = true, [RECURSIVE] = true } },
    [DELETED] = { own = { [DATA] = true, [CHILD] = true, [PERSISTENT] = true,
      [RECURSIVE] = true } },
    [CHILDREN] = { own = { [CHILD] = true, [PERSISTENT] = true }, none_above = true },
  }) do
    for kind, name in pairs(NAMES) do
      local once = kind == DATA or kind == CHILD
      describe(("%s, when a node is %s,"):format(name, EVENTS[event]), function()
        it("hear of their own node", function()
          local told = reached.own[kind] or false
          add(1, "/a/b", kind)
          assert.are.same(told and { 1 } or {}, t:fire(event, "/a/b"))
          assert.are.equal((told and once) and 0 or kind, t:kinds(1, "/a/b"))
          assert.are.same((told and not once) and { 1 } or {}, t:fire(event, "/a/b"))
        end)

        it("hear of what is below only if they are recursive", function()
          local told = kind == RECURSIVE and not reached.none_above
          for _, above in ipairs({ "/", "/a", "/a/b" }) do
            add(1, above, kind)
            assert.are.same(told and { 1 } or {}, t:fire(event, "/a/b/c"))
            assert.are.equal(kind, t:kinds(1, above))
            t:remove_all(1)
          end
        end)

        it("hear of nothing that is above or beside", function()
          for _, other in ipairs({ "/a/b/c", "/a/c", "/a/bc", "/b", "/a/b/" }) do
            add(1, other, kind)
          end
          assert.are.same({}, t:fire(event, "/a/b"))
          assert.are.equal(5, (t:counts()))
        end)
      end)
    end
  end

  it("of the root hear of the root", function()
    add(1, "/", DATA)
    add(2, "/", CHILD)
    add(3, "/", PERSISTENT)
    add(4, "/", RECURSIVE)
    assert.are.same({ 2, 3 }, sorted(t:fire(CHILDREN, "/")))
    assert.are.same({ 1, 3, 4 }, sorted(t:fire(CHANGED, "/")))
    assert.are.same({ 4 }, t:fire(CREATED, "/x"))
  end)

  it("tell each connection once, whatever it has", function()
    add(1, "/", RECURSIVE)
    add(1, "/a", RECURSIVE, PERSISTENT, DATA)
    add(1, "/a/b", DATA, CHILD, PERSISTENT, RECURSIVE)
    add(2, "/a/b", CHILD)
    add(3, "/a", RECURSIVE)
    assert.are.same({ 1, 2, 3 }, sorted(t:fire(DELETED, "/a/b")))
    -- Those that tell once are gone, also where another one told already.
    assert.are.equal(PERSISTENT + RECURSIVE, t:kinds(1, "/a/b"))
    assert.are.same({ 1, 3 }, sorted(t:fire(DELETED, "/a/b")))
    assert.are.same({ 1 }, sorted(t:fire(CHANGED, "/b")))
  end)

  it("of several modes on one path live beside each other", function()
    add(1, "/a", PERSISTENT)
    add(1, "/a", DATA) -- what on 3.8 would replace the persistent one
    assert.are.same({ 1 }, t:fire(CHANGED, "/a"))
    assert.are.same({ 1 }, t:fire(CHANGED, "/a"))
    assert.are.equal(PERSISTENT, t:kinds(1, "/a"))
  end)

  it("of a kind are one, however often they are asked for", function()
    add(1, "/a", DATA, DATA, DATA)
    assert.are.same({ 1, 1, 0 }, { t:counts() })
    assert.are.same({ 1 }, t:fire(CHANGED, "/a"))
    assert.are.same({}, t:fire(CHANGED, "/a"))
  end)

  it("go by kind, and say which went", function()
    add(1, "/a", DATA, CHILD, PERSISTENT, RECURSIVE)
    add(2, "/a", DATA)
    assert.are.equal(0, t:remove(1, "/b", ALL))
    assert.are.equal(0, t:remove(3, "/a", ALL))
    assert.are.equal(CHILD, t:remove(1, "/a", CHILD))
    assert.are.equal(0, t:remove(1, "/a", CHILD))
    assert.are.equal(DATA + RECURSIVE, t:remove(1, "/a", ALL - PERSISTENT))
    assert.are.same({ 2, 1, 0 }, { t:counts() })
    assert.are.equal(PERSISTENT, t:remove(1, "/a", ALL))
    assert.are.equal(DATA, t:kinds(2, "/a"))
  end)

  it("of a connection go together", function()
    for i = 1, 50 do
      add(1, "/" .. i, DATA, RECURSIVE)
      add(2, "/" .. i % 25, CHILD)
    end
    assert.are.equal(100, t:counts(1))
    t:remove_all(1)
    assert.are.equal(0, t:counts(1))
    assert.are.same({ 25, 25, 0 }, { t:counts() })
    assert.are.same({ 2 }, t:fire(CHILDREN, "/7"))
  end)

  it("watch paths that no node may have", function()
    for _, path in ipairs({ "", "/", "//", "a", "/a/", "/\0", ("/x"):rep(10000) }) do
      add(1, path, DATA)
      assert.are.same({ 1 }, t:fire(CHANGED, path))
    end
    add(1, "", RECURSIVE)
    assert.are.same({}, t:fire(CHANGED, "/a")) -- "" is above nothing
  end)

  it("are at most a million of one connection", function()
    assert.are.equal(1000000, t:fill(1, "/", 250000, ALL))
    assert.is_false(t:add(1, "/one-more", DATA))
    assert.is_true(t:add(1, "/0x1", DATA)) -- it is there
    assert.is_true(t:add(2, "/one-more", DATA))
    assert.are.equal(DATA, t:remove(1, "/0x1", DATA))
    assert.is_true(t:add(1, "/one-more", DATA))
    assert.is_false(t:add(1, "/0x1", DATA))
    assert.are.same({ 1, 2 }, sorted(t:fire(CHANGED, "/one-more")))
  end)

  it("are as they were when there is no memory", function()
    local before = { 0, 0, 0 }
    for _, case in ipairs({
      { path = "/a", fails = 3 }, -- both maps, and a page for what is in them
      { path = "/" .. ("x"):rep(600), fails = 1 }, -- too long for a page
    }) do
      local fails = -1
      repeat
        fails = fails + 1
        t:fail(fails == case.fails and 0 or 1) -- what was got before is kept
        local added = t:add(2, case.path, RECURSIVE)
        t:fail(0)
        if not added then
          assert.are.same(before, { t:counts() })
          assert.are.equal(before[1], t:counts(2))
          assert.are.equal(0, t:kinds(2, case.path))
          assert.are.same({}, t:fire(CHANGED, case.path))
        end
      until added
      assert.are.equal(case.fails, fails)
      before = { t:counts() }
    end
    t:fail(1, 1e9)
    assert.is_true(t:add(2, "/a", RECURSIVE)) -- what is there needs none
    assert.are.same({ 2 }, t:fire(DELETED, "/a"))
    t:fail(0)
  end)

  -- The table of server watches, said as plainly as Lua can: a set of triples.
  local function reference()
    local model = { set = {} }

    local function key(connection, path, kind)
      return connection .. " " .. kind .. " " .. path
    end

    function model.add(connection, path, kind)
      model.set[key(connection, path, kind)] = { connection, path, kind }
    end

    function model.kinds(connection, path, kinds)
      local found = 0
      for _, kind in ipairs({ DATA, CHILD, PERSISTENT, RECURSIVE }) do
        if math.floor(kinds / kind) % 2 == 1 and model.set[key(connection, path, kind)] then
          found = found + kind
        end
      end
      return found
    end

    function model.remove(connection, path, kinds)
      local found = model.kinds(connection, path, kinds)
      for _, kind in ipairs({ DATA, CHILD, PERSISTENT, RECURSIVE }) do
        if math.floor(found / kind) % 2 == 1 then
          model.set[key(connection, path, kind)] = nil
        end
      end
      return found
    end

    function model.remove_all(connection)
      for name, watch in pairs(model.set) do
        if watch[1] == connection then
          model.set[name] = nil
        end
      end
    end

    function model.fire(event, path)
      local told = {}
      for name, watch in pairs(model.set) do
        local connection, watched, kind = watch[1], watch[2], watch[3]
        local own = watched == path
        local below = watched == "/" or path:sub(1, #watched + 1) == watched .. "/"
        local hears
        if event == CHILDREN then
          hears = own and (kind == CHILD or kind == PERSISTENT)
        else
          hears = own and (kind ~= CHILD or event == DELETED) or below and kind == RECURSIVE
        end
        if hears then
          told[connection] = true
          if kind == DATA or kind == CHILD then
            model.set[name] = nil
          end
        end
      end
      local list = {}
      for connection in pairs(told) do
        list[#list + 1] = connection
      end
      return sorted(list)
    end

    return model
  end

  it("do what a plain set of them would do", function()
    for seed = 1, 8 do
      local random, model = codec.random(seed), reference()
      local paths = { "/" }
      for i = 1, 30 do
        local above = random.pick(paths)
        paths[#paths + 1] = (above == "/" and "/" or above .. "/") .. i
      end
      local kinds = seed % 2 == 0 and { DATA, CHILD, PERSISTENT, RECURSIVE }
        or { DATA, DATA, CHILD, CHILD, PERSISTENT } -- and a table without recursive ones
      for _ = 1, 3000 do
        local connection, path = random.below(6) + 1, random.pick(paths)
        local what = random.below(20)
        if what < 10 then
          local kind = random.pick(kinds)
          add(connection, path, kind)
          model.add(connection, path, kind)
        elseif what < 12 then
          local asked = random.below(16)
          assert.are.equal(model.remove(connection, path, asked), t:remove(connection, path, asked))
        elseif what == 12 and random.below(10) == 0 then
          t:remove_all(connection)
          model.remove_all(connection)
        else
          local event = random.below(4) + 1
          local told = t:fire(event, path)
          assert.are.same(model.fire(event, path), sorted(told))
        end
        assert.are.equal(model.kinds(connection, path, ALL), t:kinds(connection, path))
      end
      local count, recursive, watched, path_count = 0, 0, {}, 0
      for _, watch in pairs(model.set) do
        count = count + 1
        recursive = recursive + (watch[3] == RECURSIVE and 1 or 0)
        path_count = path_count + (watched[watch[2]] and 0 or 1)
        watched[watch[2]] = true
      end
      assert.are.same({ count, path_count, recursive }, { t:counts() })
      for connection = 1, 6 do
        t:remove_all(connection)
      end
      assert.are.same({ 0, 0, 0 }, { t:counts() })
    end
  end)
end)
