/* The codec as specs see it. All input lies against a guard page, and all output is
 * written against one. */
#include "testing/records.h"

#include <string.h>

/* --- whole records --------------------------------------------------------------
 * One row per kind of record: how to append the table at `index`, and how to take one
 * off and push it. */

static void encode_request(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_request request;
    zkl_testing_to_request(L, index, &request);
    zkl_request_write(writer, &request);
}

static void decode_request(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_request request;
    zkl_request_read(reader, op, &request);
    if (!reader->failed) zkl_testing_push_request(L, &request);
}

static void encode_result(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_result result;
    zkl_testing_to_result(L, index, &result);
    zkl_result_write(writer, &result);
}

static void decode_result(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_result result;
    zkl_result_read(reader, op, &result);
    if (!reader->failed) zkl_testing_push_result(L, &result);
}

static void encode_connect_request(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_connect_request record = {
        .last_zxid_seen = zkl_testing_i64_field(L, index, "last_zxid_seen"),
        .timeout_ms = zkl_testing_i32_field(L, index, "timeout_ms"),
        .session_id = zkl_testing_i64_field(L, index, "session_id"),
        .password = zkl_testing_slice_field(L, index, "password"),
        .readonly = zkl_testing_bool_field(L, index, "readonly"),
        .has_readonly = zkl_testing_bool_field(L, index, "has_readonly"),
    };
    zkl_connect_request_write(writer, &record);
}

static void decode_connect_request(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_connect_request record;
    (void)op;
    zkl_connect_request_read(reader, &record);
    if (reader->failed) return;
    lua_newtable(L);
    zkl_testing_set_i64(L, "last_zxid_seen", record.last_zxid_seen);
    zkl_testing_set_i32(L, "timeout_ms", record.timeout_ms);
    zkl_testing_set_i64(L, "session_id", record.session_id);
    zkl_testing_set_slice(L, "password", record.password);
    zkl_testing_set_bool(L, "readonly", record.readonly);
    zkl_testing_set_bool(L, "has_readonly", record.has_readonly);
}

static void encode_connect_response(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_connect_response record = {
        .timeout_ms = zkl_testing_i32_field(L, index, "timeout_ms"),
        .session_id = zkl_testing_i64_field(L, index, "session_id"),
        .password = zkl_testing_slice_field(L, index, "password"),
        .readonly = zkl_testing_bool_field(L, index, "readonly"),
        .has_readonly = zkl_testing_bool_field(L, index, "has_readonly"),
    };
    zkl_connect_response_write(writer, &record);
}

static void decode_connect_response(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_connect_response record;
    (void)op;
    zkl_connect_response_read(reader, &record);
    if (reader->failed) return;
    lua_newtable(L);
    zkl_testing_set_i32(L, "timeout_ms", record.timeout_ms);
    zkl_testing_set_i64(L, "session_id", record.session_id);
    zkl_testing_set_slice(L, "password", record.password);
    zkl_testing_set_bool(L, "readonly", record.readonly);
    zkl_testing_set_bool(L, "has_readonly", record.has_readonly);
}

static void encode_request_header(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_request_header header = {
        .xid = zkl_testing_i32_field(L, index, "xid"),
        .op = zkl_testing_i32_field(L, index, "op"),
    };
    zkl_request_header_write(writer, &header);
}

static void decode_request_header(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_request_header header;
    (void)op;
    zkl_request_header_read(reader, &header);
    if (reader->failed) return;
    lua_newtable(L);
    zkl_testing_set_i32(L, "xid", header.xid);
    zkl_testing_set_i32(L, "op", header.op);
}

static void encode_reply_header(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_reply_header header = {
        .xid = zkl_testing_i32_field(L, index, "xid"),
        .zxid = zkl_testing_i64_field(L, index, "zxid"),
        .code = zkl_testing_i32_field(L, index, "code"),
    };
    zkl_reply_header_write(writer, &header);
}

static void decode_reply_header(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_reply_header header;
    (void)op;
    zkl_reply_header_read(reader, &header);
    if (reader->failed) return;
    lua_newtable(L);
    zkl_testing_set_i32(L, "xid", header.xid);
    zkl_testing_set_i64(L, "zxid", header.zxid);
    zkl_testing_set_i32(L, "code", header.code);
}

static void encode_watch_event(lua_State *L, int index, struct zkl_writer *writer)
{
    struct zkl_watch_event event = {
        .type = zkl_testing_i32_field(L, index, "type"),
        .state = zkl_testing_i32_field(L, index, "state"),
        .path = zkl_testing_slice_field(L, index, "path"),
    };
    zkl_watch_event_write(writer, &event);
}

static void decode_watch_event(lua_State *L, struct zkl_reader *reader, int32_t op)
{
    struct zkl_watch_event event;
    (void)op;
    zkl_watch_event_read(reader, &event);
    if (reader->failed) return;
    lua_newtable(L);
    zkl_testing_set_i32(L, "type", event.type);
    zkl_testing_set_i32(L, "state", event.state);
    zkl_testing_set_slice(L, "path", event.path);
}

static const struct kind {
    const char *name;
    void (*encode)(lua_State *L, int index, struct zkl_writer *writer);
    void (*decode)(lua_State *L, struct zkl_reader *reader, int32_t op);
} KINDS[] = {
    { "request", encode_request, decode_request },
    { "result", encode_result, decode_result },
    { "connect_request", encode_connect_request, decode_connect_request },
    { "connect_response", encode_connect_response, decode_connect_response },
    { "request_header", encode_request_header, decode_request_header },
    { "reply_header", encode_reply_header, decode_reply_header },
    { "watch_event", encode_watch_event, decode_watch_event },
};

static const struct kind *find_kind(lua_State *L, const char *name)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        if (strcmp(KINDS[i].name, name) == 0) return &KINDS[i];
    }
    luaL_error(L, "no such kind of record: %s", name);
    return NULL;
}

/* Parts: { { "reply_header", {...} }, { "result", {...} } }. */
static void encode_parts(lua_State *L, int parts, bool framed, struct zkl_writer *writer)
{
    size_t start = framed ? zkl_frame_begin(writer) : 0;
    for (int i = 1; i <= (int)lua_rawlen(L, parts); i++) {
        int top = lua_gettop(L);
        lua_rawgeti(L, parts, i);
        lua_rawgeti(L, top + 1, 1);
        lua_rawgeti(L, top + 1, 2);
        find_kind(L, luaL_checkstring(L, top + 2))->encode(L, top + 3, writer);
        lua_settop(L, top);
    }
    if (framed) zkl_frame_end(writer, start);
}

/* encode(parts, framed, capacity) -> bytes, size. Without a capacity it measures first.
 * Bytes of the buffer that were not written are 0xee. */
static int l_encode(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    bool framed = lua_toboolean(L, 2);
    struct zkl_writer writer = { NULL, 0, 0 };
    if (lua_isnoneornil(L, 3)) {
        encode_parts(L, 1, framed, &writer);
        writer.capacity = writer.size;
        writer.size = 0;
    } else {
        writer.capacity = (size_t)luaL_checkinteger(L, 3);
    }
    writer.base = zkl_testing_guarded(L, NULL, writer.capacity);
    encode_parts(L, 1, framed, &writer);
    lua_pushlstring(L, (const char *)writer.base, writer.capacity);
    lua_pushnumber(L, (lua_Number)writer.size);
    return 2;
}

/* decode(bytes, kind, op) -> record, bytes left; nil if refused. */
static int l_decode(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    const struct kind *kind = find_kind(L, luaL_checkstring(L, 2));
    const uint8_t *at = zkl_testing_guarded(L, bytes, size);
    struct zkl_reader reader = { at, at + size, false };
    kind->decode(L, &reader, (int32_t)luaL_optinteger(L, 3, 0));
    if (reader.failed) {
        /* Failed stays failed, whatever bytes are left. */
        struct zkl_request_header after;
        zkl_request_header_read(&reader, &after);
        if (!reader.failed || after.xid != 0 || after.op != 0 || reader.at > reader.end) {
            return luaL_error(L, "a reader read on behind a failure");
        }
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, (lua_Integer)(reader.end - reader.at));
    return 2;
}

/* --- the rest --------------------------------------------------------------------- */

static struct zkl_slice guarded_slice(lua_State *L, int index)
{
    struct zkl_slice slice = { NULL, 0 };
    if (lua_isnil(L, index)) return slice;
    const char *bytes = luaL_checklstring(L, index, &slice.size);
    slice.base = zkl_testing_guarded(L, bytes, slice.size);
    return slice;
}

/* frame_peek(bytes, body_size_max) -> "whole", size | "partial" | "limit" | "corrupt" */
static int l_frame_peek(lua_State *L)
{
    struct zkl_slice bytes = guarded_slice(L, 1);
    size_t body_size_max = (size_t)luaL_optnumber(L, 2, ZKL_REPLY_SIZE_MAX_DEFAULT);
    int64_t body_size;
    int status = zkl_frame_peek(bytes.base, bytes.size, body_size_max, &body_size);
    if (status == ZKL_E_LIMIT) {
        lua_pushliteral(L, "limit");
    } else if (status == ZKL_E_CORRUPT) {
        lua_pushliteral(L, "corrupt");
    } else if (body_size < 0) {
        lua_pushliteral(L, "partial");
        return 1;
    } else {
        lua_pushliteral(L, "whole");
    }
    lua_pushnumber(L, (lua_Number)body_size);
    return 2;
}

static int l_path_check(lua_State *L)
{
    const char *wrong = zkl_path_check(guarded_slice(L, 1), lua_toboolean(L, 2));
    lua_pushstring(L, wrong);
    return 1;
}

static int l_split_sequence(lua_State *L)
{
    size_t prefix_size;
    int64_t sequence;
    struct zkl_slice name = guarded_slice(L, 1);
    if (!zkl_split_sequence(name, &prefix_size, &sequence)) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushlstring(L, (const char *)name.base, prefix_size);
    lua_pushnumber(L, (lua_Number)sequence);
    return 2;
}

/* hex(text) -> its canonical text, or nil */
static int l_hex(lua_State *L)
{
    uint64_t value;
    if (!zkl_parse_hex(guarded_slice(L, 1), &value)) {
        lua_pushnil(L);
        return 1;
    }
    char *text = (char *)zkl_testing_guarded(L, NULL, ZKL_HEX_SIZE_MAX);
    lua_pushlstring(L, text, zkl_format_hex(text, value));
    return 1;
}

static int l_code_name(lua_State *L)
{
    lua_pushstring(L, zkl_code_name((int32_t)luaL_checkinteger(L, 1)));
    return 1;
}

/* Reads and writes one getData `count` times: what the codec costs. */
static int l_bench(lua_State *L)
{
    struct zkl_slice body = guarded_slice(L, 1); /* of a reply: header and record */
    int64_t count = (int64_t)luaL_checknumber(L, 2);
    bool reading = lua_toboolean(L, 3);
    uint8_t buffer[64];
    int64_t sum = 0;
    for (int64_t i = 0; i < count; i++) {
        if (reading) {
            struct zkl_reader reader = { body.base, body.base + body.size, false };
            struct zkl_reply_header header;
            struct zkl_result result;
            zkl_reply_header_read(&reader, &header);
            zkl_result_read(&reader, ZKL_OP_GET_DATA, &result);
            sum += result.stat.pzxid + reader.failed;
        } else {
            struct zkl_writer writer = { buffer, sizeof buffer, 0 };
            struct zkl_request_header header = { (int32_t)i, ZKL_OP_GET_DATA };
            struct zkl_request request = { .op = ZKL_OP_GET_DATA,
                                           .path = { (const uint8_t *)"/jobs/a", 7 },
                                           .watch = true };
            size_t start = zkl_frame_begin(&writer);
            zkl_request_header_write(&writer, &header);
            zkl_request_write(&writer, &request);
            zkl_frame_end(&writer, start);
            sum += buffer[7];
        }
    }
    lua_pushnumber(L, (lua_Number)sum);
    return 1;
}

int zkl_testing_open_wire(lua_State *L)
{
    static const luaL_Reg FUNCTIONS[] = {
        { "encode", l_encode },
        { "decode", l_decode },
        { "frame_peek", l_frame_peek },
        { "path_check", l_path_check },
        { "split_sequence", l_split_sequence },
        { "hex", l_hex },
        { "code_name", l_code_name },
        { "bench", l_bench },
        { NULL, NULL },
    };
    lua_newtable(L);
    luaL_setfuncs(L, FUNCTIONS, 0);
    lua_newtable(L); /* codes: every name and its number */
#define X(name, number)            \
    lua_pushinteger(L, (number));  \
    lua_setfield(L, -2, #name);
    ZKL_CODES(X)
#undef X
    lua_setfield(L, -2, "codes");
    return 1;
}
