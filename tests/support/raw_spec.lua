local apache = require("support.apache")
local raw = require("support.raw")

describe("the second way to a server", function()
  local server

  setup(function()
    server = apache.shared()
  end)

  it("writes and reads any bytes", function()
    local path = apache.fresh_path()
    assert.equal(path, raw.create(server, path, "it's \"x\"\n\\9"))
    assert.equal(path .. "/a", raw.create(server, path .. "/a"))
    local node = assert(raw.read(server, path))
    assert.equal("it's \"x\"\n\\9", node.data)
    assert.same({ "a" }, node.children)
    assert.same({ { perms = 31, scheme = "world", id = "anyone" } }, node.acl)
    assert.equal("0x0", node.stat.owner)
    assert.equal(1, raw.set(server, path, "new").version)
    assert.same({ nil, "-103" }, { raw.set(server, path, "newer", 0) })
    assert.is_true(raw.delete(server, path .. "/a"))
    assert.is_true(raw.delete(server, path))
    assert.same({ nil, "-101" }, { raw.read(server, path) })
  end)

  it("says when a session is not there to end", function()
    local password = ("00"):rep(16)
    assert.same({ nil, "-112" }, {
      raw.end_session(server, { id = "0x100000000000001", password = password }),
    })
  end)
end)
