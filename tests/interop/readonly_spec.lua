-- A client of three Apache servers that may read without a quorum.
local apache = require("support.apache")
local raw = require("support.raw")

local PATIENCE = 60 -- seconds

describe("with read-only mode #slow", function()
  local zk, ensemble, root, c

  setup(function()
    zk = require("zklua")
    ensemble = apache.ensemble(3, {
      tick_time = 500, readonly = true, local_sessions = true,
      config = { reconfigEnabled = "true", skipACL = "yes" },
    })
  end)

  teardown(function()
    ensemble:stop()
  end)

  before_each(function()
    root = apache.fresh_path("readonly")
    assert(raw.create(ensemble:wait_leader(PATIENCE, true), root, "data"))
  end)

  after_each(function()
    c:close()
  end)

  local function wait_state(state)
    zk.timeout(PATIENCE, function()
      while c:state() ~= state do
        assert(zk.sleep(0.05))
      end
    end)
  end

  it("reads while two of three are down, and writes when they are back", function()
    c = assert(zk.connect(ensemble.connect_string, { readonly = true, session_timeout = 20 }))
    assert.equal("connected", c:state())
    local states = {}
    c:on("state", function(state)
      states[#states + 1] = state
    end)
    local leader, index = ensemble:leader()
    local second = ensemble.servers[index % 3 + 1]
    leader:kill()
    second:kill()
    wait_state("readonly")
    assert.equal("data", (assert(c:get(root))))
    local stat, _, code = c:set(root, "new")
    assert.is_nil(stat)
    assert.equal("NOTREADONLY", code)
    leader:restart({ wait = false })
    second:restart({ wait = false })
    wait_state("connected")
    assert(c:set(root, "new"))
    assert.equal("new", raw.read(ensemble:wait_leader(PATIENCE, true), root).data)
    assert.equal("readonly", table.concat(states, " "):match("readonly"))
  end)

  it("begins on a server without a quorum, and gets a real session later", function()
    local leader, index = ensemble:leader()
    local second = ensemble.servers[index % 3 + 1]
    leader:kill()
    second:kill()
    local last = ensemble.servers[(index + 1) % 3 + 1]
    assert(apache.wait_for(PATIENCE, function() return last:mode() == "read-only" end))
    c = assert(zk.connect(ensemble.connect_string,
      { readonly = true, session_timeout = 20, timeout = PATIENCE }))
    assert.equal("readonly", c:state())
    assert.equal("data", (assert(c:get(root))))
    leader:restart({ wait = false })
    second:restart({ wait = false })
    wait_state("connected")
    assert(c:create(root .. "/e", "", { ephemeral = true }))
    assert.equal(c:session().id,
      raw.read(ensemble:wait_leader(PATIENCE, true), root .. "/e").stat.owner)
  end)

  it("changes the ensemble and reads its configuration", function()
    c = assert(zk.connect(ensemble.connect_string, { session_timeout = 20 }))
    local text, stat = assert(c:config())
    assert.matches("server.3=127.0.0.1:%d+:%d+", text)
    local changed = assert(c:reconfig({ leaving = "3" }, { timeout = PATIENCE }))
    assert.is_nil(changed:match("server%.3="))
    local _, _, code = c:reconfig({ leaving = "2", version = 1 }, { timeout = PATIENCE })
    assert.equal("BADVERSION", code)
    local line = text:match("server%.3=[^\n]*")
    assert(c:reconfig({ joining = line }, { timeout = PATIENCE }))
    local again, new_stat = assert(c:config({ fresh = true }))
    assert.matches("server.3=", again, 1, true)
    assert.is_true(new_stat.mzxid > stat.mzxid)
  end)
end)
