--- The word mntr: what is counted, and when it is counted anew.
local host = require("server.host")

local RESET = { -- by srst
  "packets_received", "packets_sent", "bytes_received_count", "response_bytes", "watch_bytes",
  "connection_request_count", "connection_revalidate_count", "connection_rejected",
  "connection_drop_count", "sessionless_connections_expired", "stale_sessions_expired",
  "auth_failed_count", "max_latency", "cnt_readlatency", "cnt_updatelatency", "cnt_fsynctime",
  "cnt_snapshottime", "cnt_dbinittime", "cnt_node_created_watch_count",
  "cnt_node_deleted_watch_count", "cnt_node_changed_watch_count",
  "cnt_node_children_watch_count",
}

describe("mntr", function()
  local h
  local function new(options)
    options = options or {}
    options.commands = "*"
    h = host.new(options)
  end
  after_each(function()
    h:free()
  end)

  local function values()
    local map, count = {}, 0
    for _, line in ipairs(host.lines(h:ask("mntr"))) do
      local key, value = assert(line:match("^zk_([%w_]+)\t(.*)$"))
      assert.is_nil(map[key], "twice: " .. key)
      map[key], count = value, count + 1
    end
    return map, count
  end

  local function has(expected)
    local map = values()
    for key, value in pairs(expected) do
      assert.are.equal(value, map[key], key)
    end
  end

  it("gives a key and a value per line, each once", function()
    new()
    local _, count = values()
    assert.are.equal(82, count)
  end)

  it("tells what there is", function()
    new()
    local c = h:attach()
    c:create("/e", { flags = 1 })
    h:settle()
    c:get("/e", true)
    h.now = h.now + 1500
    h:set_time(h.now)
    has({ version = "3.9.5", server_state = "standalone", znode_count = "6", watch_count = "1",
      ephemerals_count = "1", num_alive_connections = "2", global_sessions = "1",
      local_sessions = "0", outstanding_requests = "0", uptime = "1500",
      approximate_data_size = "47" })
  end)

  it("tells descriptors if its driver does", function()
    new()
    assert.is_nil(values().open_file_descriptor_count)
    h.server:report({ open_descriptors = 12, open_descriptors_max = 1024 })
    has({ open_file_descriptor_count = "12", max_file_descriptor_count = "1024" })
  end)

  it("counts packets and sizes, events apart", function()
    new()
    has({ last_client_response_size = "-1", min_client_response_size = "-1",
      max_client_response_size = "-1", watch_bytes = "0" })
    local c = h:attach()
    c:ask("get_children", { path = "/", watch = true })
    c:create("/e")
    h:settle()
    has({ packets_received = "5", packets_sent = "5", watch_bytes = "29",
      last_client_response_size = "22", min_client_response_size = "22",
      max_client_response_size = "37", avg_node_children_watch_count = "1.0",
      cnt_node_created_watch_count = "0" })
  end)

  it("counts clients that an event has reached", function()
    new()
    local list = { h:attach(), h:attach(), h:attach() }
    for i, c in ipairs(list) do
      c:ask("exists", { path = "/a", watch = true })
      if i > 1 then
        c:ask("exists", { path = "/b", watch = true })
      end
    end
    list[1]:ask("create", { path = "/a", acl = host.OPEN_ACL })
    list[1]:ask("create", { path = "/b", acl = host.OPEN_ACL })
    list[1]:ask("create", { path = "/c", acl = host.OPEN_ACL })
    list[3]:ask("get", { path = "/a", watch = true })
    list[1]:ask("set", { path = "/a", version = -1 })
    list[3]:ask("get", { path = "/a", watch = true })
    list[1]:ask("delete", { path = "/a", version = -1 })
    has({ cnt_node_created_watch_count = "2", sum_node_created_watch_count = "5",
      min_node_created_watch_count = "2", max_node_created_watch_count = "3",
      avg_node_created_watch_count = "2.5", cnt_node_changed_watch_count = "1",
      sum_node_deleted_watch_count = "1" })
  end)

  it("counts how connections begin and end", function()
    new({ connection_max = 3, timeout_min = 4000, frame_size_max = 2000 })
    local c, d = h:attach(), h:attach({ timeout_ms = 4000 })
    local silent = assert(h:connect())
    assert.is_nil((h:connect()))
    h:after(10000)
    assert.are.equal("at once", silent.gone)
    assert.are.equal("after output", d.gone) -- its session has expired
    local again = assert(h:connect())
    again:handshake({ session_id = c.session, password = c.password })
    h:settle()
    again:send("auth", { scheme = "unknown", data = "" })
    assert.is_truthy(again.gone)
    local unlucky = h:attach()
    h.server:fail(1)
    unlucky:create("/a")
    h.server:fail(0)
    assert.are.equal("at once", unlucky.gone)
    has({ connection_request_count = "4", connection_drop_count = "1", connection_rejected = "1",
      sessionless_connections_expired = "1", stale_sessions_expired = "1",
      connection_revalidate_count = "1", auth_failed_count = "1" })
  end)

  it("sums up what its driver measures", function()
    new()
    for _, ms in ipairs({ 3, 9, 4 }) do
      h.server:measured("sync", ms)
    end
    h.server:measured("snapshot", 70)
    h.server:measured("start", 5)
    has({ cnt_fsynctime = "3", min_fsynctime = "3", max_fsynctime = "9", sum_fsynctime = "16",
      avg_fsynctime = "5.3333", sum_snapshottime = "70", avg_dbinittime = "5.0" })
  end)

  it("begins anew after srst", function()
    new()
    local c, d = h:attach(), h:attach()
    for _, path in ipairs({ "/a", "/b" }) do
      d:ask("exists", { path = path, watch = true })
    end
    d:ask("get_children", { path = "/", watch = true })
    c:create("/a")
    h:log()
    h:set_time(h.now + 20)
    h:commit()
    c:ask("get", { path = "/a", watch = true })
    c:ask("set", { path = "/a", version = -1 })
    c:ask("get", { path = "/a", watch = true })
    c:ask("delete", { path = "/a", version = -1 })
    for _, what in ipairs({ "sync", "snapshot", "start" }) do
      h.server:measured(what, 1)
    end
    local before = values()
    for _, key in ipairs({ "max_latency", "watch_bytes", "cnt_updatelatency", "cnt_fsynctime",
      "cnt_node_children_watch_count", "cnt_node_deleted_watch_count" }) do
      assert.are_not.equal("0", before[key], key)
    end
    h:ask("srst")
    local after = values()
    for _, key in ipairs(RESET) do
      local all = { packets_received = "1", packets_sent = "1", bytes_received_count = "4" }
      if key == "response_bytes" then
        assert.is_true(tonumber(after[key]) < 100) -- what srst has said
      else
        assert.are.equal(all[key] or "0", after[key], key)
      end
    end
    assert.are.equal("-1", after.max_client_response_size)
    assert.are.equal(before.znode_count, after.znode_count)
  end)
end)
