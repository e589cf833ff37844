/* The calls of zklua/server.h for specs: the time is what the spec says, every block comes from
 * a counting allocator, bytes that are fed lie against a guard page, random bytes are seeded.
 * Connections are numbers. */
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "server/internal.h"
#include "testing/objects.h"
#include "testing/records.h"
#include "testing/server_testing.h"

static const char METATABLE[] = "zklua.testing.server";

enum { CONNECTIONS_MAX = 200000 };

struct server_object {
    struct zkl_testing_allocator allocator; /* first: objects.h */
    struct zkl_server *server;
    struct zkl_random random;
    struct zkl_clock clock;
    struct zkl_connection **connections; /* by number; NULL: closed */
    size_t connection_count, connection_capacity;
};

static struct server_object *to_object(lua_State *L)
{
    struct server_object *object = luaL_checkudata(L, 1, METATABLE);
    if (object->server == NULL) luaL_error(L, "the server was freed");
    return object;
}

static struct zkl_connection *to_connection(lua_State *L)
{
    struct server_object *object = to_object(L);
    size_t number = (size_t)luaL_checknumber(L, 2);
    if (number < 1 || number > object->connection_count ||
        object->connections[number - 1] == NULL) {
        luaL_error(L, "no such connection");
    }
    return object->connections[number - 1];
}

static struct zkl_slice to_bytes(lua_State *L, int index)
{
    struct zkl_slice bytes;
    bytes.base = (const uint8_t *)luaL_checklstring(L, index, &bytes.size);
    return bytes;
}

/* 64-bit numbers as everywhere: "0x..." or a plain number. */
static int64_t to_i64(lua_State *L, int index)
{
    struct zkl_slice text;
    uint64_t bits;
    if (lua_type(L, index) == LUA_TNUMBER) return (int64_t)lua_tonumber(L, index);
    text = to_bytes(L, index);
    luaL_argcheck(L, zkl_parse_hex(text, &bits), index, "not hexadecimal");
    return (int64_t)bits;
}

static int push_hex(lua_State *L, uint64_t number)
{
    char text[ZKL_HEX_SIZE_MAX];
    lua_pushlstring(L, text, zkl_format_hex(text, number));
    return 1;
}

static int push_status(lua_State *L, int status)
{
    static const char *const NAMES[] = { "OK", "NOMEM", "LIMIT", "ARGUMENT",
                                         "OFFLINE", "ENDED", "CORRUPT" };
    lua_pushstring(L, NAMES[status]);
    return 1;
}

static void set_number(lua_State *L, const char *name, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, name);
}

/* --- new and free ---------------------------------------------------------------------- */

static void seeded_bytes(void *context, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)zkl_random_next(context);
}

static uint32_t u32_field(lua_State *L, const char *name)
{
    return (uint32_t)zkl_testing_i64_field(L, 1, name);
}

static void read_options(lua_State *L, struct zkl_server_options *options)
{
    *options = (struct zkl_server_options) {
        .seed = (uint64_t)zkl_testing_i64_field(L, 1, "seed"),
        .server_id = (uint8_t)zkl_testing_i32_field(L, 1, "server_id"),
        .tick_time_ms = zkl_testing_i32_field(L, 1, "tick"),
        .session_timeout_min_ms = zkl_testing_i32_field(L, 1, "timeout_min"),
        .session_timeout_max_ms = zkl_testing_i32_field(L, 1, "timeout_max"),
        .sessions_keep = zkl_testing_bool_field(L, 1, "sessions_keep"),
        .frame_size_max = (size_t)zkl_testing_i64_field(L, 1, "frame_size_max"),
        .memory_max = (size_t)zkl_testing_i64_field(L, 1, "memory_max"),
        .connection_max = u32_field(L, "connection_max"),
        .connection_per_address_max = u32_field(L, "connection_per_address_max"),
        .outstanding_max = u32_field(L, "outstanding_max"),
        .super_digest = zkl_testing_slice_field(L, 1, "super_digest"),
        .apache_passwords = zkl_testing_bool_field(L, 1, "apache_passwords"),
        .ttl_nodes = zkl_testing_bool_field(L, 1, "ttl_nodes"),
        .enforce_quota = zkl_testing_bool_field(L, 1, "enforce_quota"),
        .skip_acl = zkl_testing_bool_field(L, 1, "skip_acl"),
        .reconfig_enabled = zkl_testing_bool_field(L, 1, "reconfig_enabled"),
        .reap_interval_ms = zkl_testing_i32_field(L, 1, "reap_interval"),
        .reap_per_minute = zkl_testing_i32_field(L, 1, "reap_per_minute"),
        .container_unused_ms = zkl_testing_i32_field(L, 1, "container_unused"),
        .commands = zkl_testing_slice_field(L, 1, "commands"),
        .version = zkl_testing_slice_field(L, 1, "version"),
        .config_text = zkl_testing_slice_field(L, 1, "config_text"),
        .environment = zkl_testing_slice_field(L, 1, "environment"),
    };
}

/* new{ fields as in zkl_server_options, shorter; now=, wall=, secret=, fail= }; nil, memory when
 * the core gave NULL */
static int server_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct zkl_server_options options;
    read_options(L, &options);
    struct zkl_slice secret = zkl_testing_slice_field(L, 1, "secret");
    if (secret.size == sizeof options.secret) {
        memcpy(options.secret, secret.base, sizeof options.secret);
    }
    int64_t fail = zkl_testing_i64_field(L, 1, "fail");
    struct zkl_clock clock = { zkl_testing_i64_field(L, 1, "now"),
                               zkl_testing_i64_field(L, 1, "wall") };
    struct server_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    object->clock = clock;
    object->random.state = options.seed;
    object->allocator.fail_from = object->allocator.fail_to = fail;
    zkl_testing_push_object(L, METATABLE);
    options.allocator = zkl_testing_hook(&object->allocator);
    options.crypto = (struct zkl_crypto) { zkl_testing_sha1, seeded_bytes, &object->random };
    object->server = zkl_server_new(&options);
    if (object->server != NULL) return 1;
    lua_pushnil(L);
    zkl_testing_push_memory(L, &object->allocator);
    return 2;
}

/* Gives what is left of its memory: nothing, if all is well. */
static int server_free(lua_State *L)
{
    struct server_object *object = luaL_checkudata(L, 1, METATABLE);
    zkl_server_free(object->server);
    object->server = NULL;
    free(object->connections);
    object->connections = NULL;
    return zkl_testing_push_memory(L, &object->allocator);
}

/* --- connections -------------------------------------------------------------------------- */

static bool grow_connections(struct server_object *object)
{
    if (object->connection_count < object->connection_capacity) return true;
    size_t capacity = object->connection_capacity == 0 ? 16 : 2 * object->connection_capacity;
    if (capacity > CONNECTIONS_MAX) return false;
    void *grown = realloc(object->connections, capacity * sizeof object->connections[0]);
    if (grown == NULL) return false;
    object->connections = grown;
    object->connection_capacity = capacity;
    return true;
}

/* accept(address bytes, port): a number; nil, status. The address has 0, 4 or 16 bytes. */
static int server_accept(lua_State *L)
{
    struct server_object *object = to_object(L);
    struct zkl_slice address = { (const uint8_t *)"\x7f\0\0\1", 4 };
    if (!lua_isnoneornil(L, 2)) address = to_bytes(L, 2);
    struct zkl_peer peer = { .address_size = (uint8_t)address.size,
                             .port = (uint16_t)luaL_optinteger(L, 3, 40000) };
    if (address.size > sizeof peer.address) return luaL_error(L, "a long address");
    memcpy(peer.address, address.base, address.size);
    if (!grow_connections(object)) return luaL_error(L, "too many connections in one spec");
    struct zkl_connection *connection;
    int status = zkl_server_accept(object->server, &peer, object->clock, &connection);
    if (status != ZKL_OK) {
        lua_pushnil(L);
        return 1 + push_status(L, status);
    }
    object->connections[object->connection_count++] = connection;
    zkl_connection_set_user(connection, (void *)(uintptr_t)object->connection_count);
    lua_pushnumber(L, (lua_Number)object->connection_count);
    return 1;
}

static int server_feed(lua_State *L)
{
    struct zkl_connection *connection = to_connection(L);
    struct zkl_slice bytes = to_bytes(L, 3);
    const uint8_t *guarded = zkl_testing_guarded(L, bytes.base, bytes.size);
    zkl_server_feed(connection, guarded, bytes.size, to_object(L)->clock);
    return 0;
}

static int server_closed(lua_State *L)
{
    struct server_object *object = to_object(L);
    zkl_server_closed(to_connection(L), object->clock);
    object->connections[(size_t)lua_tonumber(L, 2) - 1] = NULL;
    return 0;
}

static int server_next_connection(lua_State *L)
{
    struct zkl_connection *connection = zkl_server_next_connection(to_object(L)->server);
    if (connection == NULL) return 0;
    lua_pushnumber(L, (lua_Number)(uintptr_t)zkl_connection_user(connection));
    return 1;
}

/* What there is to write, and where it is; nil for nothing. */
static int server_output(lua_State *L)
{
    struct zkl_slice bytes = zkl_connection_output(to_connection(L));
    if (bytes.size == 0) return 0;
    lua_pushlstring(L, (const char *)bytes.base, bytes.size);
    lua_pushlightuserdata(L, (void *)(uintptr_t)bytes.base);
    return 2;
}

static int server_sent(lua_State *L)
{
    zkl_connection_sent(to_connection(L), (size_t)luaL_checknumber(L, 3));
    return 0;
}

static int server_reads(lua_State *L)
{
    lua_pushboolean(L, zkl_connection_reads(to_connection(L)));
    return 1;
}

/* session(connection): of this connection, as text; nil: none */
static int server_session(lua_State *L)
{
    int64_t id = zkl_connection_session(to_connection(L));
    if (id == 0) return 0;
    char text[ZKL_HEX_SIZE_MAX];
    lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)id));
    return 1;
}

static int server_has_session(lua_State *L)
{
    lua_pushboolean(L, zkl_server_has_session(to_object(L)->server, to_i64(L, 2)));
    return 1;
}

static int server_ending(lua_State *L)
{
    static const char *const NAMES[] = { "stays", "after output", "at once" };
    lua_pushstring(L, NAMES[zkl_connection_ending(to_connection(L))]);
    return 1;
}

/* --- durability and time --------------------------------------------------------------------- */

/* next_txn(): zxid, payload, where the payload is; nil */
static int server_next_txn(lua_State *L)
{
    struct zkl_logged logged;
    if (!zkl_server_next_txn(to_object(L)->server, &logged)) return 0;
    push_hex(L, (uint64_t)logged.zxid);
    lua_pushlstring(L, (const char *)logged.payload.base, logged.payload.size);
    lua_pushlightuserdata(L, (void *)(uintptr_t)logged.payload.base);
    return 3;
}

static int server_committed(lua_State *L)
{
    struct server_object *object = to_object(L);
    zkl_server_committed(object->server, to_i64(L, 2), object->clock);
    return 0;
}

static int server_log_failed(lua_State *L)
{
    zkl_server_log_failed(to_object(L)->server);
    return 0;
}

static int server_start(lua_State *L)
{
    struct server_object *object = to_object(L);
    zkl_server_start(object->server, object->clock);
    return 0;
}

/* The time of all calls from here on. */
static int server_set_time(lua_State *L)
{
    struct server_object *object = to_object(L);
    object->clock.now_ms = (int64_t)luaL_checknumber(L, 2);
    object->clock.wall_ms = (int64_t)luaL_checknumber(L, 3);
    return 0;
}

static int server_tick(lua_State *L)
{
    struct server_object *object = to_object(L);
    zkl_server_tick(object->server, object->clock);
    return 0;
}

/* nil: never */
static int server_deadline(lua_State *L)
{
    int64_t deadline_ms = zkl_server_deadline(to_object(L)->server);
    if (deadline_ms == ZKL_NEVER) return 0;
    lua_pushnumber(L, (lua_Number)deadline_ms);
    return 1;
}

static int server_expire(lua_State *L)
{
    struct server_object *object = to_object(L);
    lua_pushboolean(L, zkl_server_expire(object->server, to_i64(L, 2), object->clock));
    return 1;
}

/* report{ open_descriptors=, open_descriptors_max=, data_bytes=, log_bytes= } */
static int server_report(lua_State *L)
{
    struct zkl_report report = {
        .open_descriptors = zkl_testing_i64_field(L, 2, "open_descriptors"),
        .open_descriptors_max = zkl_testing_i64_field(L, 2, "open_descriptors_max"),
        .data_bytes = zkl_testing_i64_field(L, 2, "data_bytes"),
        .log_bytes = zkl_testing_i64_field(L, 2, "log_bytes"),
    };
    zkl_server_report(to_object(L)->server, &report);
    return 0;
}

/* measured("sync" | "snapshot" | "start", number) */
static int server_measured(lua_State *L)
{
    static const char *const NAMES[] = { "sync", "snapshot", "start", NULL };
    zkl_server_measured(to_object(L)->server,
                        (enum zkl_measured)luaL_checkoption(L, 2, NULL, NAMES), to_i64(L, 3));
    return 0;
}

/* --- from disk and to it ------------------------------------------------------------------------ */

static int server_restore_begin(lua_State *L)
{
    zkl_server_restore_begin(to_object(L)->server);
    return 0;
}

static int server_restore_session(lua_State *L)
{
    return push_status(L, zkl_server_restore_session(to_object(L)->server, to_i64(L, 2),
                                                     (int32_t)luaL_checkinteger(L, 3)));
}

/* restore_acl(id, list) */
static int server_restore_acl(lua_State *L)
{
    struct server_object *object = to_object(L);
    int64_t id = to_i64(L, 2);
    lua_newtable(L);
    lua_pushvalue(L, 3);
    lua_setfield(L, -2, "acl");
    struct zkl_vector list = zkl_testing_acls_field(L, lua_gettop(L), "acl");
    return push_status(L, zkl_server_restore_acl(object->server, id, list));
}

/* restore_node{ path=, data=, acl_id=, stat= }, all as on disk */
static int server_restore_node(lua_State *L)
{
    struct server_object *object = to_object(L);
    struct zkl_result record; /* one that has these fields */
    zkl_testing_to_result(L, 2, &record);
    struct zkl_restored_node node = { .path = record.path, .data = record.data,
                                      .acl = zkl_testing_i64_field(L, 2, "acl_id"),
                                      .stat = record.stat };
    return push_status(L, zkl_server_restore_node(object->server, &node));
}

/* restore_digest(zxid, digest) */
static int server_restore_digest(lua_State *L)
{
    return push_status(L, zkl_server_restore_digest(to_object(L)->server, to_i64(L, 2),
                                                    (uint64_t)to_i64(L, 3)));
}

static int server_restore_end(lua_State *L)
{
    return push_status(L, zkl_server_restore_end(to_object(L)->server, to_i64(L, 2)));
}

/* replay(payload): status, skipped */
static int server_replay(lua_State *L)
{
    struct server_object *object = to_object(L);
    struct zkl_slice payload = to_bytes(L, 2);
    bool skipped = false;
    payload.base = zkl_testing_guarded(L, payload.base, payload.size);
    push_status(L, zkl_server_replay(object->server, payload, &skipped));
    lua_pushboolean(L, skipped);
    return 2;
}

static int server_why(lua_State *L)
{
    lua_pushstring(L, zkl_server_why(to_object(L)->server));
    return 1;
}

/* snapshot(): the file's bytes and the zxid of its name */
static int server_snapshot(lua_State *L)
{
    struct zkl_server *server = to_object(L)->server;
    uint8_t slice[ZKL_SNAPSHOT_SLICE_MIN];
    luaL_Buffer buffer;
    int64_t zxid;
    size_t size = 0;
    int status = zkl_server_snapshot_begin(server, &zxid);
    if (status != ZKL_OK) {
        lua_pushnil(L);
        return 1 + push_status(L, status);
    }
    luaL_buffinit(L, &buffer);
    while ((status = zkl_server_snapshot_next(server, slice, sizeof slice, &size)) == ZKL_OK &&
           size > 0) {
        luaL_addlstring(&buffer, (const char *)slice, size);
    }
    zkl_server_snapshot_end(server);
    luaL_pushresult(&buffer);
    if (status != ZKL_OK) return push_status(L, status);
    return 1 + push_hex(L, (uint64_t)zxid);
}

/* --- to look at ----------------------------------------------------------------------------------- */

static int server_zxid(lua_State *L)
{
    return push_hex(L, (uint64_t)zkl_server_zxid(to_object(L)->server));
}

static int server_digest(lua_State *L)
{
    return push_hex(L, zkl_server_digest(to_object(L)->server));
}

static int server_count(lua_State *L)
{
    struct zkl_server_counts counts;
    zkl_server_count(to_object(L)->server, &counts);
    lua_newtable(L);
    set_number(L, "nodes", (double)counts.nodes);
    set_number(L, "ephemerals", (double)counts.ephemerals);
    set_number(L, "watches", (double)counts.watches);
    set_number(L, "sessions", (double)counts.sessions);
    set_number(L, "connections", (double)counts.connections);
    set_number(L, "outstanding", (double)counts.outstanding);
    set_number(L, "data_bytes", (double)counts.data_bytes);
    set_number(L, "memory_bytes", (double)counts.memory_bytes);
    set_number(L, "frames_in", (double)counts.frames_in);
    set_number(L, "frames_out", (double)counts.frames_out);
    set_number(L, "bytes_in", (double)counts.bytes_in);
    set_number(L, "bytes_out", (double)counts.bytes_out);
    return 1;
}

/* The oldest piece of news, taken off: { kind, session, number, detail, port }; nil */
static int server_event(lua_State *L)
{
    static const char *const KINDS[] = { "none",     "new",   "moved",    "closed",
                                         "expired",  "refused", "ahead",  "limit",
                                         "protocol", "slow",  "nomem",    "stall" };
    struct zkl_server *server = to_object(L)->server;
    struct zkl_server_event event;
    zkl_server_peek_event(server, &event);
    if (event.kind == ZKL_NEWS_NONE) return 0;
    zkl_server_pop_event(server);
    lua_newtable(L);
    lua_pushstring(L, KINDS[event.kind]);
    lua_setfield(L, -2, "kind");
    zkl_testing_set_i64(L, "session", event.session_id);
    set_number(L, "number", (double)event.number);
    set_number(L, "port", event.peer.port);
    if (event.detail != NULL) {
        lua_pushstring(L, event.detail);
        lua_setfield(L, -2, "detail");
    }
    return 1;
}

int zkl_testing_open_server(lua_State *L)
{
    static const luaL_Reg METHODS[] = {
        { "accept", server_accept },
        { "closed", server_closed },
        { "committed", server_committed },
        { "count", server_count },
        { "deadline", server_deadline },
        { "digest", server_digest },
        { "ending", server_ending },
        { "event", server_event },
        { "expire", server_expire },
        { "fail", zkl_testing_object_fail },
        { "feed", server_feed },
        { "free", server_free },
        { "has_session", server_has_session },
        { "log_failed", server_log_failed },
        { "measured", server_measured },
        { "memory", zkl_testing_object_memory },
        { "next_connection", server_next_connection },
        { "next_txn", server_next_txn },
        { "output", server_output },
        { "reads", server_reads },
        { "replay", server_replay },
        { "report", server_report },
        { "restore_acl", server_restore_acl },
        { "restore_begin", server_restore_begin },
        { "restore_digest", server_restore_digest },
        { "restore_end", server_restore_end },
        { "restore_node", server_restore_node },
        { "restore_session", server_restore_session },
        { "sent", server_sent },
        { "session", server_session },
        { "set_time", server_set_time },
        { "snapshot", server_snapshot },
        { "start", server_start },
        { "tick", server_tick },
        { "why", server_why },
        { "zxid", server_zxid },
        { NULL, NULL },
    };
    zkl_testing_define(L, METATABLE, METHODS, server_free);
    lua_newtable(L);
    lua_pushcfunction(L, server_new);
    lua_setfield(L, -2, "new");
    lua_pushcfunction(L, zkl_testing_server_bench);
    lua_setfield(L, -2, "bench");
    return 1;
}
