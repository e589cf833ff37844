-- The patterns in several processes on one server, zklua and kazoo side by side.
local raw = require("support.raw")
local workers = require("interop.workers")
local judge = require("interop.judge")

local function suite(servers)
  local server, root, team

  before_each(function()
    server = servers.shared()
    root = servers.fresh_path("patterns")
    assert(raw.create(server, root))
    assert(raw.create(server, root .. "/count", "0"))
    team = workers.new(server.connect_string .. root)
  end)

  after_each(function()
    team:kill()
  end)

  it("kazoo and zklua take turns with one lock", function()
    team:start("zklua-1", "kazoo_lock")
    team:start_kazoo("kazoo-1")
    team:start("zklua-2", "kazoo_lock")
    team:start_kazoo("kazoo-2")
    team:wait_progress("counted", 300, 60)
    local events = team:finish(30)
    judge.holders(events)
    judge.counted(events, raw.read(server, root .. "/count").data)
    assert.is_true(judge.names(events, "begin").kazoo > 10)
  end)

  it("a queue gives items in the order in which they were put", function()
    team:start("producer-1", "produce_once")
    team:start("consumer-1", "consume_once")
    team:wait_progress("took", 200, 60)
    local events = team:finish(30)
    assert.same(judge.sequence(events, "put"), judge.sequence(events, "took"))
    judge.items(events, true)
  end)

  it("a worker that is killed hands its lock over when its session ends", function()
    team:start("holder", "keep_lock", 4)
    team:wait_progress("begin", 1, 30)
    team:start("heir", "lock")
    team:kill_worker("holder")
    team:wait_progress("counted", 20, 60)
    judge.holders(team:finish(30))
  end)
end

for _, servers in ipairs({ require("support.apache"), (require("support.zkserver")) }) do
  describe("on " .. servers.NAME, function()
    suite(servers)
  end)
end
