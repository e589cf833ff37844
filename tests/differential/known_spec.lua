local known = require("differential.known")

local NO_ZXID = "0xffffffffffffffff"
local CONTEXT = { known_zxid = function(zxid) return zxid == "0x7" end, connections = 2 }

local function reply(record, left, right, fields, request)
  request = request or { op = record.op, record = record }
  return { kind = "reply", request = request, left = left, right = right, fields = fields }
end

local function codes(record, left, right, request)
  return reply(record, { code = left }, { code = right }, { "code" }, request)
end

local function event(left, right, before, after)
  return {
    kind = "event", left = { zxid = left }, right = { zxid = right }, fields = { "zxid" },
    right_before = before, right_after = after,
  }
end

local function acl(scheme, id)
  return { { permissions = 31, scheme = scheme, id = id } }
end

local function listed(...)
  local items = {}
  for i, id in ipairs({ ... }) do
    items[i] = { permissions = 31, scheme = "digest", id = id }
  end
  return { code = 0, result = { items = items } }
end

local function failed(number)
  return { code = 0, result = { items = { { op = -1, number = number } } } }
end

local EXISTS_CLOSED, EXISTS_OPEN = { op = 3, path = "/d-1/g" }, { op = 3, path = "/d-1/a" }
local CHECK_WATCHES = { op = 17, path = "/d-1/a", kind = 2 }
local IPV6 = { op = 1, path = "/d-1/void/x", flags = 0, acl = acl("ip", "::1") }
local IPV4 = { op = 1, path = "/d-1/void/x", flags = 0, acl = acl("ip", "127.0.0.1") }
local ITEM = { "result.items.1.number" }
local LONE_CHECK = { op = 13, path = "/d-1/never", version = -1 }
local UNREADABLE = { op = 5, body = "" }

-- What a rule explains, and beside it what is only nearly the same.
local CASES = {
  ["events carry the zxid of their transaction"] = {
    { event(NO_ZXID, "0x7", "0x6", "0x7"), true },
    { event(NO_ZXID, "0x7"), true },
    { event(NO_ZXID, "0x8", "0x6", "0x9") },
    { event(NO_ZXID, "0x7", "0x7", "0x9") },
    { event(NO_ZXID, "0x7", "0x5", "0x6") },
    { event("0x7", NO_ZXID) },
  },
  ["exists needs READ"] = {
    { codes(EXISTS_CLOSED, 0, -102), true },
    { codes(EXISTS_OPEN, 0, -102) },
    { codes(EXISTS_CLOSED, -102, 0) },
    { codes(EXISTS_CLOSED, 0, -101) },
  },
  ["checkWatches sees other connections' watches"] = {
    { codes(CHECK_WATCHES, 0, -121), true },
    { codes(CHECK_WATCHES, -121, 0) },
    { codes({ op = 18, path = "/d-1/a", kind = 2 }, 0, -121) },
  },
  ["kinds 4 and 5 of checkWatches and removeWatches"] = {
    { codes({ op = 18, path = "/d-1/a", kind = 5 }, -5, -121), true },
    { codes({ op = 18, path = "/d-1/a", kind = 6 }, -5, -121) },
  },
  ["a flag that does not exist, inside a multi"] = {
    { codes({ op = 14, operations = { { op = 1, flags = 7 } } }, 0, -5), true },
    { codes({ op = 14, operations = { { op = 1, flags = 3 } } }, 0, -5) },
  },
  ["whether a write that cannot be read takes a zxid"] = {
    { reply(UNREADABLE, { code = -5 }, { code = -5 }, { "zxid" }, UNREADABLE), true },
    { reply(UNREADABLE, { code = -101 }, { code = -101 }, { "zxid" }, UNREADABLE) },
    { reply({ op = 4 }, { code = -5 }, { code = -5 }, { "zxid" }) },
  },
  ["IPv6 addresses in ACLs"] = {
    { codes(IPV6, -114, -101), true },
    { codes(IPV4, -114, -101) },
    { codes(IPV6, -114, 0) },
    { reply({ op = 14, operations = { IPV6 } }, failed(-114), failed(-101), ITEM), true },
    { reply({ op = 14, operations = { IPV4 } }, failed(-114), failed(-101), ITEM) },
  },
  ["flags that do not belong to the operation"] = {
    { codes({ op = 1, flags = 4 }, -101, -8), true },
    { codes({ op = 19, flags = 0 }, -101, -8), true },
    { codes({ op = 19, flags = 4 }, -101, -8) },
    { codes({ op = 1, flags = 1 }, -101, -8) },
  },
  ["an entry of an ACL without an id"] = {
    { codes({ op = 7, acl = acl("world", nil) }, -5, -114), true },
    { codes({ op = 7, acl = acl("world", "anyone") }, -5, -114) },
  },
  ["the order of what `auth` stands for"] = {
    { reply({ op = 6 }, listed("a", "b"), listed("b", "a"), { "result.items.1.id" }), true },
    { reply({ op = 6 }, listed("a", "b"), listed("a", "c"), { "result.items.2.id" }) },
    { reply({ op = 6 }, listed("a"), listed("a", "a"), { "result.items.2" }) },
  },
  ["checkWatches of a path that does not begin with a slash"] = {
    { codes({ op = 17, path = "a", kind = 2 }, -5, -121), true },
    { codes({ op = 17, path = "", kind = 2 }, -121, 0), true },
    { codes({ op = 17, path = "/a", kind = 2 }, -5, -121) },
  },
  ["a count of entries below zero"] = {
    { codes({ op = 1 }, -8, -5, { op = 1, negative_count = true }), true },
    { codes({ op = 1 }, -8, -5, { op = 1 }) },
  },
  ["what follows an error"] = {
    { reply({ op = 22 }, { code = -5, rest = "ffffffff01ffffffff" }, { code = -5 }, { "rest" }),
      true },
    { reply({ op = 22 }, { code = -5 }, { code = -5, rest = "ffffffff01ffffffff" }, { "rest" }) },
    { reply({ op = 4 }, { code = -5, rest = "ffffffff01ffffffff" }, { code = -5 }, { "rest" }) },
  },
  ["check outside a multi"] = {
    { reply(LONE_CHECK, { code = -101, zxid = "0x7" }, { code = -6, zxid = NO_ZXID },
      { "code", "zxid" }), true },
    { reply(LONE_CHECK, { code = -101, zxid = "0x7" }, { code = -6, zxid = "0x7" },
      { "code" }) },
  },
}

-- One value of a word's answer, as words.lua names it.
local function value(word, name, left, right)
  return {
    kind = "word", fields = { "values." .. name },
    left = { word = word, values = { [name] = left } },
    right = { word = word, values = { [name] = right } },
  }
end

local function last_zxid(left, right)
  local frame = value("cons", "connection 1 lzxid", { zxid = left }, { zxid = right })
  frame.fields[1] = frame.fields[1] .. ".zxid"
  return frame
end

local WORD_CASES = {
  ["what a connection at work is interested in"] = {
    { value("stat", "asker interest", "0", "1"), true },
    { value("stat", "asker interest", "1", "0") },
  },
  ["when an answer counts as sent"] = {
    { value("cons", "connection 1 sent", "37", "38"), true },
    { value("cons", "connection 1 sent", "38", "37") },
    { value("cons", "connection 1 recved", "37", "38") },
  },
  ["what is outstanding"] = {
    { value("srvr", "Outstanding", "-1", "0"), true },
    { value("srvr", "Outstanding", "0", "1") },
  },
  ["which requests are a connection's last"] = {
    { value("cons", "connection 1 lcxid", "0x25", "0x26"), true },
    { value("cons", "connection 1 lcxid", "0x26", "0x25") },
  },
  ["metrics of Apache's parts"] = {
    { value("mntr", "zk_diff_count", "0", nil), true },
    { value("mntr", "zk_znode_count", "5", nil) },
    { value("mntr", "zk_diff_count", "0", "none") },
  },
  ["metrics of our parts"] = {
    { value("mntr", "zk_memory_bytes", nil, "1"), true },
    { value("mntr", "zk_other", nil, "1") },
  },
  ["the size of all data"] = {
    { value("mntr", "zk_approximate_data_size", "-4", "44"), true },
    { value("mntr", "zk_approximate_data_size", "44", nil) },
  },
  ["the environment of a Java machine"] = {
    { value("envi", "java.home", "is set", nil), true },
    { value("envi", "java.home", nil, "is set") },
    { value("envi", "os.name", "is set", nil) },
  },
  ["how often a recursive watch counts"] = {
    { value("mntr", "zk_watch_count", "4", "3"), true },
    { value("mntr", "zk_watch_count", "3", "4") },
    { value("mntr", "zk_watch_count", "7", "3") },
  },
  ["the last request of a connection that made none"] = {
    { value("cons", "connection 1 lcxid", "0x0", nil), true },
    { value("cons", "connection 1 lcxid", "0x1", nil) },
    { value("cons", "connection 1 fields", "sid lcxid to", "sid to"), true },
    { value("cons", "connection 1 fields", "sid lcxid to", "to sid") },
  },
  ["the last request behind crst"] = {
    { value("cons", "connection 1 lop", "NA", "PING"), true },
    { value("cons", "connection 1 lop", "PING", "NA") },
    { last_zxid(NO_ZXID, "0x7"), true },
    { last_zxid("0x7", NO_ZXID) },
  },
  ["connections that are gone"] = {
    { value("dump", "sockets", "8", "3"), true },
    { value("dump", "sockets", "3", "8") },
    { value("dump", "connections", "asker", "") },
  },
  ["connections that watch nothing any more"] = {
    { value("wchs", "connections", "2", "1"), true },
    { value("wchs", "connections", "1", "2") },
    { value("wchs", "total", "2", "1") },
    { value("wchc", "session 1", "", nil), true },
    { value("wchc", "session 1", "/a", nil) },
  },
  ["sessions without ephemeral nodes any more"] = {
    { value("dump", "with_ephemerals", "2", "1"), true },
    { value("dump", "with_ephemerals", "1", "2") },
    { value("dump", "ephemerals of session 1", "", nil), true },
    { value("dump", "ephemerals of session 1", "/a", nil) },
  },
}

describe("the known differences", function()
  it("have a reason and a case each", function()
    for rules, cases in pairs({ [known.rules] = CASES, [known.words] = WORD_CASES }) do
      for _, rule in ipairs(rules) do
        assert.is_truthy(rule.reason:match("%.$"))
        assert.is_table(cases[rule.name], rule.name)
      end
    end
  end)

  it("of a word's answer explain all of it, or nothing", function()
    local frame = value("mntr", "zk_diff_count", "0", nil)
    frame.fields[2] = "values.zk_snap_count"
    frame.left.values.zk_snap_count = "0"
    assert.are.same({ "metrics of Apache's parts" }, known.explanations(frame, CONTEXT))
    frame.fields[3] = "values.zk_znode_count"
    frame.left.values.zk_znode_count, frame.right.values.zk_znode_count = "5", "6"
    assert.is_nil(known.explanations(frame, CONTEXT))
  end)

  for name, cases in pairs(WORD_CASES) do
    for i, case in ipairs(cases) do
      it(("%s %s, case %d"):format(case[2] and "explain" or "are not", name, i), function()
        assert.are.same(case[2] and { name } or nil, known.explanations(case[1], CONTEXT))
      end)
    end
  end

  for name, cases in pairs(CASES) do
    for i, case in ipairs(cases) do
      it(("%s %s, case %d"):format(case[2] and "explain" or "are not", name, i), function()
        assert.are.same(case[2] and { name } or nil, known.explanations(case[1], CONTEXT))
      end)
    end
  end
end)
