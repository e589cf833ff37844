--- Twenty-six whole frames whose bytes were compared with those of Apache's record classes,
--- and the same frames as fields. A frame's parts are pairs of kind and record; 64-bit
--- numbers are hexadecimal text, and fields that are zero are left out.
local ZEROS = ("\0"):rep(16)
local PASSWORD = "\0\1\2\3\4\5\6\7\8\9\10\11\12\13\14\15"
local SESSION = "0x1000123456789ab"
local OPEN = { { permissions = 31, scheme = "world", id = "anyone" } }

return {
  {
    name = "G1 connect request, new session",
    hex = "0000002d000000000000000000000000000075300000000000000000000000100000000000000000"
      .. "000000000000000000",
    { "connect_request", { timeout_ms = 30000, password = ZEROS, has_readonly = true } },
  },
  {
    name = "G2 connect request, re-attach",
    hex = "0000002d0000000000000001000000050000753001000123456789ab000000100001020304050607"
      .. "08090a0b0c0d0e0f01",
    { "connect_request", {
      last_zxid_seen = "0x100000005", timeout_ms = 30000, session_id = SESSION,
      password = PASSWORD, readonly = true, has_readonly = true,
    } },
  },
  {
    name = "G3 connect response, granted",
    hex = "00000025000000000000753001000123456789ab00000010000102030405060708090a0b0c0d0e0f"
      .. "00",
    { "connect_response", {
      timeout_ms = 30000, session_id = SESSION, password = PASSWORD, has_readonly = true,
    } },
  },
  {
    name = "G4 connect response, expired",
    hex = "00000025000000000000000000000000000000000000001000000000000000000000000000000000"
      .. "00",
    { "connect_response", { password = ZEROS, has_readonly = true } },
  },
  {
    name = "G5 create, ephemeral sequential",
    hex = "000000330000000100000001000000022f61000000026869000000010000001f00000005776f726c"
      .. "6400000006616e796f6e6500000003",
    { "request_header", { xid = 1, op = 1 } },
    { "request", { op = 1, path = "/a", data = "hi", acl = OPEN, flags = 3 } },
  },
  {
    name = "G6 create's reply",
    hex = "00000020000000010000000100000006000000000000000c2f6130303030303030303037",
    { "reply_header", { xid = 1, zxid = "0x100000006" } },
    { "result", { op = 1, path = "/a0000000007" } },
  },
  {
    name = "G7 createTTL, null data",
    hex = "000000390000000200000015000000022f74ffffffff000000010000001f00000005776f726c6400"
      .. "000006616e796f6e6500000005000000000000ea60",
    { "request_header", { xid = 2, op = 21 } },
    { "request", { op = 21, path = "/t", acl = OPEN, flags = 5, ttl_ms = "0xea60" } },
  },
  {
    name = "G8 getData with a watch",
    hex = "0000000f0000000300000004000000022f6101",
    { "request_header", { xid = 3, op = 4 } },
    { "request", { op = 4, path = "/a", watch = true } },
  },
  {
    name = "G9 getData's reply",
    hex = "0000005a000000030000000100000007000000000000000268690000000100000002000000010000"
      .. "00030000018bcfe568000000018bcfe56be800000001000000050000000000000000000000000000"
      .. "0002000000030000000100000006",
    { "reply_header", { xid = 3, zxid = "0x100000007" } },
    { "result", { op = 4, data = "hi", stat = {
      czxid = "0x100000002", mzxid = "0x100000003",
      ctime_ms = "0x18bcfe56800", mtime_ms = "0x18bcfe56be8",
      version = 1, cversion = 5, data_length = 2, children_count = 3, pzxid = "0x100000006",
    } } },
  },
  {
    name = "G10 exists' reply, no node",
    hex = "00000010000000040000000100000007ffffff9b",
    { "reply_header", { xid = 4, zxid = "0x100000007", code = -101 } },
  },
  {
    name = "G11 setData, empty data",
    hex = "000000160000000500000005000000022f6100000000ffffffff",
    { "request_header", { xid = 5, op = 5 } },
    { "request", { op = 5, path = "/a", data = "", version = -1 } },
  },
  {
    name = "G12 ping",
    hex = "00000008fffffffe0000000b",
    { "request_header", { xid = -2, op = 11 } },
    { "request", { op = 11 } },
  },
  {
    name = "G13 ping's reply",
    hex = "00000010fffffffe000000010000000700000000",
    { "reply_header", { xid = -2, zxid = "0x100000007" } },
    { "result", { op = 11 } },
  },
  {
    name = "G14 auth",
    hex = "00000020fffffffc00000064000000000000000664696765737400000006626f623a7077",
    { "request_header", { xid = -4, op = 100 } },
    { "request", { op = 100, scheme = "digest", data = "bob:pw" } },
  },
  {
    name = "G15 auth's reply, refused",
    hex = "00000010fffffffc0000000000000000ffffff8d",
    { "reply_header", { xid = -4, code = -115 } },
  },
  {
    name = "G16 setWatches2",
    hex = "00000036fffffff800000069000000010000000700000001000000022f6100000001000000022f65"
      .. "000000000000000000000001000000022f72",
    { "request_header", { xid = -8, op = 105 } },
    { "request", {
      op = 105, zxid = "0x100000007", data_watches = { "/a" }, exist_watches = { "/e" },
      child_watches = {}, persistent_watches = {}, recursive_watches = { "/r" },
    } },
  },
  {
    name = "G17 notification",
    hex = "0000001effffffffffffffffffffffff000000000000000300000003000000022f61",
    { "reply_header", { xid = -1, zxid = "0xffffffffffffffff" } },
    { "watch_event", { type = 3, state = 3, path = "/a" } },
  },
  {
    name = "G18 addWatch, recursive",
    hex = "00000012000000060000006a000000022f7200000001",
    { "request_header", { xid = 6, op = 106 } },
    { "request", { op = 106, path = "/r", kind = 1 } },
  },
  {
    name = "G19 addWatch's reply",
    hex = "000000140000000600000001000000070000000000000000",
    { "reply_header", { xid = 6, zxid = "0x100000007" } },
    { "result", { op = 106 } },
  },
  {
    name = "G20 multi",
    hex = "00000081000000070000000e0000000d00ffffffff000000022f61000000010000000100ffffffff"
      .. "000000022f6200000000000000010000001f00000005776f726c6400000006616e796f6e65000000"
      .. "000000000500ffffffff000000022f610000000178000000010000000200ffffffff000000022f63"
      .. "ffffffffffffffff01ffffffff",
    { "request_header", { xid = 7, op = 14 } },
    { "request", { op = 14, operations = {
      { op = 13, path = "/a", version = 1 },
      { op = 1, path = "/b", data = "", acl = OPEN },
      { op = 5, path = "/a", data = "x", version = 1 },
      { op = 2, path = "/c", version = -1 },
    } } },
  },
  {
    name = "G21 multi's reply",
    hex = "00000087000000070000000100000008000000000000000d00000000000000000100000000000000"
      .. "00022f62000000050000000000000000010000000200000001000000080000018bcfe56800000001"
      .. "8bcfe56fd00000000200000005000000000000000000000000000000010000000300000001000000"
      .. "06000000020000000000ffffffff01ffffffff",
    { "reply_header", { xid = 7, zxid = "0x100000008" } },
    { "result", { op = 14, items = {
      { op = 13 },
      { op = 1, path = "/b" },
      { op = 5, stat = {
        czxid = "0x100000002", mzxid = "0x100000008",
        ctime_ms = "0x18bcfe56800", mtime_ms = "0x18bcfe56fd0",
        version = 2, cversion = 5, data_length = 1, children_count = 3, pzxid = "0x100000006",
      } },
      { op = 2 },
    } } },
  },
  {
    name = "G22 multi's reply, failed",
    hex = "0000004d00000007000000010000000800000000ffffffff000000000000000000ffffffff00ffff"
      .. "ff92ffffff92ffffffff00fffffffefffffffeffffffff00fffffffefffffffeffffffff01ffffff"
      .. "ff",
    { "reply_header", { xid = 7, zxid = "0x100000008" } },
    { "result", { op = 14, items = {
      { op = -1 }, { op = -1, number = -110 }, { op = -1, number = -2 }, { op = -1, number = -2 },
    } } },
  },
  {
    name = "G23 getChildren2's reply",
    hex = "00000063000000080000000100000009000000000000000200000001780000000279790000000100"
      .. "00000200000001000000080000018bcfe568000000018bcfe56fd000000002000000060000000000"
      .. "0000000000000000000001000000020000000100000009",
    { "reply_header", { xid = 8, zxid = "0x100000009" } },
    { "result", { op = 12, items = { "x", "yy" }, stat = {
      czxid = "0x100000002", mzxid = "0x100000008",
      ctime_ms = "0x18bcfe56800", mtime_ms = "0x18bcfe56fd0",
      version = 2, cversion = 6, data_length = 1, children_count = 2, pzxid = "0x100000009",
    } } },
  },
  {
    name = "G24 getACL's reply",
    hex = "0000008a00000009000000010000000800000000000000010000001f000000066469676573740000"
      .. "0020626f623a696b49614b73627447776561486e622f6a4b6e374f487162756e4d3d000000010000"
      .. "000200000001000000020000018bcfe568000000018bcfe568000000000000000000000000010000"
      .. "00000000000000000000000000000000000100000002",
    { "reply_header", { xid = 9, zxid = "0x100000008" } },
    { "result", {
      op = 6,
      items = { { permissions = 31, scheme = "digest", id = "bob:ikIaKsbtGweaHnb/jKn7OHqbunM=" } },
      stat = {
        czxid = "0x100000002", mzxid = "0x100000002",
        ctime_ms = "0x18bcfe56800", mtime_ms = "0x18bcfe56800",
        aversion = 1, pzxid = "0x100000002",
      },
    } },
  },
  {
    name = "G25 sasl, empty token",
    hex = "0000000c000000010000006600000000",
    { "request_header", { xid = 1, op = 102 } },
    { "request", { op = 102, data = "" } },
  },
  {
    name = "G26 closeSession",
    hex = "000000080000000afffffff5",
    { "request_header", { xid = 10, op = -11 } },
    { "request", { op = -11 } },
  },
}
