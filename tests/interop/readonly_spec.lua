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
      -- 5 s: see ensemble_spec.lua on what a new leader at times waits for.
      config = { reconfigEnabled = "true", skipACL = "yes", initLimit = 10 },
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
    -- Through the leader, and a follower is taken out: our connection has no reason to break.
    local leader, index = ensemble:wait_leader(PATIENCE, true), nil
    index = select(2, ensemble:leader())
    c = assert(zk.connect(leader.connect_string, { session_timeout = 20 }))
    local other = tostring(index % 3 + 1)
    local mark = "server." .. other .. "="
    local text, stat = assert(c:config())
    assert.matches(mark .. "127.0.0.1:", text, 1, true)
    local changed = assert(c:reconfig({ leaving = other }, { timeout = PATIENCE }))
    assert.is_nil(changed:find(mark, 1, true))
    local refused, _, code = c:reconfig({ leaving = "1", version = 1 }, { timeout = PATIENCE })
    assert.is_nil(refused)
    assert.equal("BADVERSION", code)
    local line = text:match("server%." .. other .. "=[^\n]*")
    -- Servers with a static configuration do not write the third port that a joiner must name.
    line = line:find(";", 1, true) and line
      or line .. ";" .. ensemble.servers[tonumber(other)].connect_string
    assert(c:reconfig({ joining = line }, { timeout = PATIENCE }))
    assert(c:sync())
    local again, new_stat = assert(c:config())
    assert.matches(mark, again, 1, true)
    assert.is_true(new_stat.mzxid > stat.mzxid)
  end)
end)
