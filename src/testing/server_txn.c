/* The log's records as specs see them, read and written against a guard page. 64-bit numbers
 * are hexadecimal text; a null vector is false. */
#include "server/txn.h"

#include "testing/records.h"

/* --- from Lua ------------------------------------------------------------------------ */

static void to_txn(lua_State *L, int index, struct zkl_txn *txn);

/* Field `parts`, a list of records; its bytes stay on the Lua stack. */
static struct zkl_vector parts_field(lua_State *L, int index)
{
    struct zkl_writer writer = { NULL, 0, 0 };
    lua_getfield(L, index, "parts");
    int list = lua_gettop(L);
    int32_t count = lua_istable(L, list) ? (int32_t)lua_rawlen(L, list) : 0;
    for (int pass = 1; pass <= 2; pass++) {
        if (pass == 2) {
            writer.base = lua_newuserdata(L, writer.size + 1);
            writer.capacity = writer.size;
            writer.size = 0;
        }
        for (int i = 1; i <= count; i++) {
            int top = lua_gettop(L);
            struct zkl_txn part;
            lua_rawgeti(L, list, i);
            to_txn(L, top + 1, &part);
            zkl_txn_write_part(&writer, &part);
            lua_settop(L, top);
        }
    }
    return (struct zkl_vector) { writer.base, writer.size, count };
}

static void to_txn(lua_State *L, int index, struct zkl_txn *txn)
{
    luaL_checkstack(L, 20, "transaction");
    *txn = (struct zkl_txn) {
        .type = zkl_testing_i32_field(L, index, "type"),
        .path = zkl_testing_slice_field(L, index, "path"),
        .data = zkl_testing_slice_field(L, index, "data"),
        .ephemeral = zkl_testing_bool_field(L, index, "ephemeral"),
        .parent_cversion = zkl_testing_i32_field(L, index, "parent_cversion"),
        .ttl_ms = zkl_testing_i64_field(L, index, "ttl_ms"),
        .version = zkl_testing_i32_field(L, index, "version"),
        .timeout_ms = zkl_testing_i32_field(L, index, "timeout_ms"),
        .code = zkl_testing_i32_field(L, index, "code"),
        .acl = zkl_testing_acls_field(L, index, "acl"),
        .paths = zkl_testing_strings_field(L, index, "paths"),
    };
    txn->parts = parts_field(L, index);
}

/* One entry: header, record, digest if there is one. */
static void write_entry(lua_State *L, struct zkl_writer *writer)
{
    struct zkl_txn_header header = {
        .session_id = zkl_testing_i64_field(L, 1, "session_id"),
        .cxid = zkl_testing_i32_field(L, 1, "cxid"),
        .zxid = zkl_testing_i64_field(L, 1, "zxid"),
        .time_ms = zkl_testing_i64_field(L, 1, "time_ms"),
        .type = zkl_testing_i32_field(L, 1, "type"),
    };
    struct zkl_txn txn;
    int top = lua_gettop(L);
    to_txn(L, 1, &txn);
    zkl_txn_header_write(writer, &header);
    zkl_txn_write(writer, &txn);
    lua_settop(L, top);
    lua_getfield(L, 1, "digest");
    if (!lua_isnil(L, -1)) {
        zkl_txn_digest_write(writer, (uint64_t)zkl_testing_i64_field(L, 1, "digest"));
    }
    lua_pop(L, 1);
}

/* encode(entry, capacity) -> bytes, size. Without a capacity it measures first. */
static int l_encode(lua_State *L)
{
    struct zkl_writer writer = { NULL, 0, 0 };
    luaL_checktype(L, 1, LUA_TTABLE);
    if (lua_isnoneornil(L, 2)) {
        write_entry(L, &writer);
        writer.capacity = writer.size;
        writer.size = 0;
    } else {
        writer.capacity = (size_t)luaL_checkinteger(L, 2);
    }
    writer.base = zkl_testing_guarded(L, NULL, writer.capacity);
    write_entry(L, &writer);
    lua_pushlstring(L, (const char *)writer.base, writer.capacity);
    lua_pushnumber(L, (lua_Number)writer.size);
    return 2;
}

/* --- to Lua -------------------------------------------------------------------------- */

static void set_parts(lua_State *L, struct zkl_vector parts);

/* Fields into the table at the top. */
static void set_txn(lua_State *L, const struct zkl_txn *txn)
{
    zkl_testing_set_i32(L, "type", txn->type);
    zkl_testing_set_slice(L, "path", txn->path);
    zkl_testing_set_slice(L, "data", txn->data);
    zkl_testing_set_bool(L, "ephemeral", txn->ephemeral);
    zkl_testing_set_i32(L, "parent_cversion", txn->parent_cversion);
    zkl_testing_set_i64(L, "ttl_ms", txn->ttl_ms);
    zkl_testing_set_i32(L, "version", txn->version);
    zkl_testing_set_i32(L, "timeout_ms", txn->timeout_ms);
    zkl_testing_set_i32(L, "code", txn->code);
    switch (txn->type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_SET_ACL:
        zkl_testing_set_acls(L, "acl", txn->acl);
        break;
    case ZKL_OP_MULTI:
        set_parts(L, txn->parts);
        break;
    case ZKL_OP_CLOSE_SESSION:
        zkl_testing_set_strings(L, "paths", txn->paths);
        break;
    default:
        break;
    }
}

static void set_parts(lua_State *L, struct zkl_vector parts)
{
    struct zkl_txn part;
    luaL_checkstack(L, 20, "parts");
    lua_newtable(L);
    for (int i = 1; zkl_txn_next_part(&parts, &part); i++) {
        lua_newtable(L);
        set_txn(L, &part);
        lua_rawseti(L, -2, i);
    }
    if (parts.count != 0 || parts.size != 0) luaL_error(L, "bytes are left in the parts");
    lua_setfield(L, -2, "parts");
}

/* decode(bytes) -> entry; nil and what was refused: "header", "record", "digest" */
static int l_decode(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    const uint8_t *at = zkl_testing_guarded(L, bytes, size);
    struct zkl_reader reader = { at, at + size, false };
    struct zkl_txn_header header;
    struct zkl_txn txn = { .type = 0 };
    struct zkl_txn_digest digest = { .present = false };
    const char *refused = "header";
    zkl_txn_header_read(&reader, &header);
    if (!reader.failed) {
        refused = "record";
        zkl_txn_read(&reader, header.type, &txn);
    }
    if (!reader.failed) {
        refused = "digest";
        zkl_txn_digest_read(&reader, &digest);
    }
    if (reader.failed) {
        lua_pushnil(L);
        lua_pushstring(L, refused);
        return 2;
    }
    lua_newtable(L);
    zkl_testing_set_i64(L, "session_id", header.session_id);
    zkl_testing_set_i32(L, "cxid", header.cxid);
    zkl_testing_set_i64(L, "zxid", header.zxid);
    zkl_testing_set_i64(L, "time_ms", header.time_ms);
    set_txn(L, &txn);
    if (digest.present) {
        char text[ZKL_HEX_SIZE_MAX];
        lua_pushlstring(L, text, zkl_format_hex(text, digest.digest));
        lua_setfield(L, -2, "digest");
        zkl_testing_set_i32(L, "digest_version", digest.version);
    }
    return 1;
}

static int l_sequence(lua_State *L)
{
    char *text = (char *)zkl_testing_guarded(L, NULL, ZKL_SEQUENCE_SIZE_MAX);
    lua_pushlstring(L, text, zkl_format_sequence(text, (int32_t)luaL_checknumber(L, 1)));
    return 1;
}

int zkl_testing_open_txn(lua_State *L)
{
    static const luaL_Reg FUNCTIONS[] = {
        { "encode", l_encode }, { "decode", l_decode }, { "sequence", l_sequence },
        { NULL, NULL },
    };
    lua_newtable(L);
    luaL_setfuncs(L, FUNCTIONS, 0);
    return 1;
}
