--- The store on real files: what the simulated disk cannot say of the machine.
local files = require("store.files")
local store = require("zklua_testing").store
local uv = require("luv")

local top

local function open(more)
  local options = { directory = top .. "/a/b", owner = "here 1" }
  for name, value in pairs(more or {}) do
    options[name] = value
  end
  return store.open(options)
end

local function write(opened, zxid)
  assert(opened:append(zxid, files.payloads(zxid, 1)[1]))
  opened:seal()
  return opened:flush()
end

local function mode(path)
  return uv.fs_stat(path).mode % 512
end

local function size(name)
  return uv.fs_stat(top .. "/a/b/version-2/" .. name).size
end

describe("the store on real files", function()
  before_each(function()
    top = assert(uv.fs_mkdtemp((os.getenv("TMPDIR") or "/tmp") .. "/zklua-store-XXXXXX"))
  end)

  after_each(function()
    os.execute("chmod -R u+w '" .. top .. "' && rm -rf '" .. top .. "'")
  end)

  it("makes directories and files for their owner only", function()
    local opened, report = open()
    assert.is_truthy(opened, report.text)
    assert.are.equal(1, write(opened, 1))
    assert.is_truthy(store.secret({ directory = top .. "/a/c" }))
    for _, path in ipairs({ "/a", "/a/b", "/a/b/version-2" }) do
      assert.are.equal(448, mode(top .. path)) -- 0700
    end
    for _, path in ipairs({ "/a/b/version-2/log.1", "/a/b/version-2/zklua.mark",
      "/a/b/version-2/snapshot.0", "/a/b/version-2/zklua.lock", "/a/c/zklua.secret" }) do
      assert.are.equal(384, mode(top .. path)) -- 0600
    end
    opened:close()
  end)

  it("sets space aside and gives it back", function()
    local opened = assert(open({ preallocate_bytes = 0 })) -- 64 MiB, as Apache
    write(opened, 1)
    assert.are.equal(67108864, size("log.1"))
    opened:close()
    assert.are.equal(#files.log(files.payloads(1, 1)), size("log.1"))
  end)

  it("comes back with what was acknowledged, from a store that was never closed", function()
    local opened = assert(open())
    for zxid = 1, 50 do
      assert.are.equal(zxid, write(opened, zxid))
    end
    os.execute(("cp -r '%s/a/b' '%s/killed'"):format(top, top))
    opened:close()
    local again, report, recovered = store.open({ directory = top .. "/killed" })
    assert.is_truthy(again, report.text)
    assert.are.equal(50, recovered.zxid)
    assert.are.equal(files.chain(files.payloads(1, 50)), recovered.chain)
    again:close()
  end)

  it("is for one process, and says for which", function()
    local opened = assert(open({ owner = "machine 77" }))
    local second, report = open()
    assert.is_nil(second)
    assert.is_truthy(report.text:find("in use by a server (machine 77)", 1, true))
    opened:close()
    second = assert(open())
    second:close()
  end)

  it("says what the system says", function()
    local file = assert(io.open(top .. "/a", "w"))
    file:close()
    local opened, report = open()
    assert.is_nil(opened)
    assert.is_truthy(report.text:find("Not a directory", 1, true), report.text)
    assert.is_false(report.damaged)
    opened, report = open({ directory = top .. ("/x"):rep(2100) })
    assert.is_nil(opened)
    assert.is_truthy(report.text:find("File name too long", 1, true), report.text)
  end)

  it("takes paths with slashes too many, and from the root of a drive", function()
    local opened, report = open({ directory = top .. "//s///t/" })
    assert.is_truthy(opened, report.text)
    write(opened, 1)
    opened:close()
    assert.is_truthy(uv.fs_stat(top .. "/s/t/version-2/log.1"))
  end)

  it("starts where not a byte is free, and loses nothing", function()
    -- A file system of 600 KiB, where the system lets us have one.
    local mounted = os.execute(("mkdir '%s/a' && mount -t tmpfs -o size=600k tmpfs '%s/a' "
      .. "2>/dev/null"):format(top, top))
    if mounted ~= true and mounted ~= 0 then
      pending("no mount here")
      return
    end
    finally(function()
      os.execute("umount '" .. top .. "/a'")
    end)
    local opened, report = open()
    assert.is_truthy(opened, report.text)
    local acknowledged = 0
    for zxid = 1, 10000 do
      local durable, status = write(opened, zxid)
      if not durable then
        assert.are.equal(-28, status)
        break
      end
      acknowledged = durable
    end
    opened:close()
    assert.is_true(acknowledged > 1000 and acknowledged < 10000)
    local full = assert(io.open(top .. "/a/filler", "w"))
    while full:write(("f"):rep(4096)) and full:flush() do
    end
    full:close()
    local again, second, recovered = open()
    assert.is_truthy(again, second.text)
    assert.is_true(recovered.zxid >= acknowledged)
    again:close()
  end)
end)
