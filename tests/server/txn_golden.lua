--- Entries of the transaction log as fields and as bytes. The first two were written by an
--- Apache server; the others are Apache's record classes with these fields, behind a header. All
--- have the fields of `header` unless they say otherwise; fields that are zero are left out.
local OPEN = { { permissions = 31, scheme = "world", id = "anyone" } }
local TWO = {
  { permissions = 1, scheme = "ip", id = "10.0.0.0/8" },
  { permissions = -1, scheme = "digest", id = "u:p" },
}

local golden = {
  header = {
    session_id = "0x100000d79200000", cxid = 7, zxid = "0x500000003", time_ms = "0x1a1ffb96947",
  },
  --- The header's bytes up to its type.
  header_hex = "0100000d79200000 00000007 0000000500000003 000001a1ffb96947",
}

golden.entries = {
  {
    name = "createSession, from a log",
    hex = "0100000d79200000 00000000 0000000000000001 000001a1ffb96947 fffffff6 00002710"
      .. "00000002 0000000051c6d660",
    entry = {
      session_id = "0x100000d79200000", zxid = "0x1", time_ms = "0x1a1ffb96947", type = -10,
      timeout_ms = 10000, digest = "0x51c6d660", digest_version = 2,
    },
  },
  {
    name = "create, from a log",
    hex = "0100000d79200000 00000001 0000000000000002 000001a1ffb96953 00000001"
      .. "00000002 2f61 00000005 68656c6c6f 00000001 0000001f 00000005 776f726c64"
      .. "00000006 616e796f6e65 00 00000001 00000002 00000000c624208e",
    entry = {
      session_id = "0x100000d79200000", cxid = 1, zxid = "0x2", time_ms = "0x1a1ffb96953",
      type = 1, path = "/a", data = "hello", acl = OPEN, parent_cversion = 1,
      digest = "0xc624208e", digest_version = 2,
    },
  },
  {
    name = "create2",
    body = "0000000f 00000002 2f65 00000005 68656c6c6f 00000001 0000001f 00000005 776f726c64"
      .. "00000006 616e796f6e65 01 fffffffb",
    entry = { type = 15, path = "/e", data = "hello", acl = OPEN, ephemeral = true,
      parent_cversion = -5 },
  },
  {
    name = "create with null data and no access list",
    body = "00000001 00000002 2f65 ffffffff 00000000 01 00000002",
    entry = { type = 1, path = "/e", acl = {}, ephemeral = true, parent_cversion = 2 },
  },
  {
    name = "createContainer",
    body = "00000013 00000002 2f63 00000000 00000001 0000001f 00000005 776f726c64"
      .. "00000006 616e796f6e65 00000003",
    entry = { type = 19, path = "/c", data = "", acl = OPEN, parent_cversion = 3 },
  },
  {
    name = "createTTL",
    body = "00000015 00000002 2f74 ffffffff 00000002 00000001 00000002 6970"
      .. "0000000a 31302e302e302e302f38 ffffffff 00000006 646967657374 00000003 753a70"
      .. "00000004 000000ffffffffff",
    entry = { type = 21, path = "/t", acl = TWO, parent_cversion = 4, ttl_ms = "0xffffffffff" },
  },
  {
    name = "delete",
    body = "00000002 00000004 2f612f62",
    entry = { type = 2, path = "/a/b" },
  },
  {
    name = "deleteContainer",
    body = "00000014 00000002 2f63",
    entry = { type = 20, path = "/c" },
  },
  {
    name = "setData",
    body = "00000005 00000002 2f61 00000005 68656c6c6f 80000000",
    entry = { type = 5, path = "/a", data = "hello", version = -2147483648 },
  },
  {
    name = "reconfig",
    body = "00000010 00000011 2f7a6f6f6b65657065722f636f6e666967 00000005 68656c6c6f ffffffff",
    entry = { type = 16, path = "/zookeeper/config", data = "hello", version = -1 },
  },
  {
    name = "setACL",
    body = "00000007 00000002 2f61 00000002 00000001 00000002 6970 0000000a 31302e302e302e302f38"
      .. "ffffffff 00000006 646967657374 00000003 753a70 00000009",
    entry = { type = 7, path = "/a", acl = TWO, version = 9 },
  },
  {
    name = "closeSession",
    body = "fffffff5 00000002 00000002 2f61 00000004 2f622f63",
    entry = { type = -11, paths = { "/a", "/b/c" } },
  },
  {
    name = "closeSession that leaves nothing",
    body = "fffffff5 00000000",
    entry = { type = -11, paths = {} },
  },
  {
    name = "error",
    body = "ffffffff ffffff92",
    entry = { type = -1, code = -110 },
  },
  {
    name = "multi",
    body = "0000000e 00000006"
      .. "00000001 0000002f 00000002 2f6d 00000005 68656c6c6f 00000001 0000001f"
      .. "00000005 776f726c64 00000006 616e796f6e65 00 00000001"
      .. "0000000d 0000000a 00000002 2f61 00000004"
      .. "00000002 00000006 00000002 2f6d"
      .. "00000005 0000000e 00000002 2f61 ffffffff 00000002"
      .. "00000013 0000002e 00000002 2f63 00000005 68656c6c6f 00000001 0000001f"
      .. "00000005 776f726c64 00000006 616e796f6e65 00000002"
      .. "00000015 00000036 00000002 2f74 00000005 68656c6c6f 00000001 0000001f"
      .. "00000005 776f726c64 00000006 616e796f6e65 00000003 0000000000000001",
    entry = { type = 14, parts = {
      { type = 1, path = "/m", data = "hello", acl = OPEN, parent_cversion = 1 },
      { type = 13, path = "/a", version = 4 },
      { type = 2, path = "/m" },
      { type = 5, path = "/a", version = 2 },
      { type = 19, path = "/c", data = "hello", acl = OPEN, parent_cversion = 2 },
      { type = 21, path = "/t", data = "hello", acl = OPEN, parent_cversion = 3, ttl_ms = "0x1" },
    } },
  },
  {
    name = "multi that failed",
    body = "0000000e 00000003 00000002 00000006 00000002 2f61 ffffffff 00000004 ffffff99"
      .. "ffffffff 00000004 fffffffe",
    entry = { type = 14, parts = {
      { type = 2, path = "/a" }, { type = -1, code = -103 }, { type = -1, code = -2 },
    } },
  },
  {
    name = "multi of nothing",
    body = "0000000e 00000000",
    entry = { type = 14, parts = {} },
  },
}

for _, case in ipairs(golden.entries) do
  if case.body then
    case.hex = golden.header_hex .. case.body
    for name, value in pairs(golden.header) do
      case.entry[name] = value
    end
  end
end

return golden
