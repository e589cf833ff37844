/* A server as userdata. By itself it has no disk: what happens is durable at once, and gone with
 * it. One that was made with `log` hands out its transactions instead, and is told when they are
 * durable: whoever simulates a disk keeps them.
 *
 * Connections are numbers, so that one which is gone is refused and never met again: the place
 * in a table, and how often that place was given out. */
#define OPENSSL_API_COMPAT 0x10100000L /* for SHA1_Init: see sha1 */

#include "lua/binding.h"

#include <openssl/sha.h>
#include <string.h>

#include "zklua/server.h"

#define CONNECTIONS_MAX 65536 /* places; the low digits of a connection's number */

struct place {
    struct zkl_connection *connection; /* NULL: free */
    uint32_t uses;
    uint32_t next_free;
};

/* The userdata. */
struct zkl_hosted {
    struct zkl_server *core; /* NULL once collected */
    struct zkl_system *system;
    struct zkl_meter meter;
    unsigned forks; /* of this process when the server was made */
    bool busy;      /* inside output: see run_busy */
    bool logs;      /* its transactions are kept elsewhere */
    bool started;
    int64_t shown_zxid; /* of the last transaction that was handed out */
    struct place *places;
    size_t place_count;
    uint32_t first_free; /* place_count: none */
};

/* --- what the core may not do itself ------------------------------------------------ */

/* By OpenSSL's own functions and not by its EVP: that reads a configuration and loads providers
 * first, 1 ms, which is longer than all the rest of a first session. */
static void sha1(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20])
{
    SHA_CTX state;
    (void)context;
    SHA1_Init(&state);
    SHA1_Update(&state, bytes, size);
    SHA1_Final(hash, &state);
}

static void random_bytes(void *context, uint8_t *bytes, size_t size)
{
    bool given = zkl_system_random(context, bytes, size);
    ZKL_ASSERT(given);
}

static struct zkl_clock clock_of(const struct zkl_hosted *hosted)
{
    return (struct zkl_clock){ zkl_system_now_ms(hosted->system),
                               zkl_system_wall_ms(hosted->system) };
}

/* --- self ------------------------------------------------------------------------------ */

static struct zkl_hosted *check_server(lua_State *L)
{
    struct zkl_hosted *hosted = lua_touserdata(L, 1);
    bool is_server = false;
    if (hosted != NULL && lua_getmetatable(L, 1)) {
        is_server = lua_rawequal(L, -1, ZKL_UPVALUE_METATABLE);
        lua_pop(L, 1);
    }
    if (!is_server) luaL_argerror(L, 1, "zklua server expected");
    if (hosted->forks != zkl_fork_count()) {
        luaL_error(L, "this server belongs to the parent process");
    }
    if (hosted->core == NULL) luaL_error(L, "this server has been collected");
    if (hosted->busy) luaL_error(L, "a finalizer cannot use a server that is being used");
    return hosted;
}

/* --- connections by number --------------------------------------------------------------- */

static lua_Integer number_of(const struct zkl_hosted *hosted, const struct place *place)
{
    return (lua_Integer)place->uses * CONNECTIONS_MAX + (place - hosted->places);
}

/* The place of the connection that argument 2 names; NULL: it is gone. */
static struct place *find_place(lua_State *L, struct zkl_hosted *hosted)
{
    int64_t number = zkl_arg_integer(L, ZKL_ARG(2, "connection"), 0, ZKL_EXACT_MAX, -1);
    size_t index = (size_t)(number % CONNECTIONS_MAX);
    if (index >= hosted->place_count) return NULL;
    struct place *place = &hosted->places[index];
    if (place->connection == NULL || place->uses != number / CONNECTIONS_MAX) return NULL;
    return place;
}

static struct place *check_place(lua_State *L, struct zkl_hosted *hosted)
{
    struct place *place = find_place(L, hosted);
    if (place == NULL) zkl_arg_refuse(L, ZKL_ARG(2, "connection"), "is closed");
    return place;
}

/* Makes sure of a free place. */
static bool reserve_place(struct zkl_hosted *hosted)
{
    if (hosted->first_free < hosted->place_count) return true;
    size_t count = hosted->place_count == 0 ? 8 : hosted->place_count * 2;
    if (count > CONNECTIONS_MAX) return false;
    struct zkl_allocator allocator = zkl_meter_allocator(&hosted->meter);
    struct place *places = allocator.allocate(allocator.context, hosted->places,
                                              hosted->place_count * sizeof *places,
                                              count * sizeof *places);
    if (places == NULL) return false;
    for (size_t i = hosted->place_count; i < count; i++) {
        places[i] = (struct place){ NULL, 0, (uint32_t)i + 1 };
    }
    hosted->places = places;
    hosted->place_count = count;
    return true;
}

static void release_place(struct zkl_hosted *hosted, struct place *place)
{
    place->connection = NULL;
    place->next_free = hosted->first_free;
    hosted->first_free = (uint32_t)(place - hosted->places);
}

/* --- making and freeing -------------------------------------------------------------------- */

static int32_t milliseconds_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1)) return 0; /* the core's default */
    struct zkl_arg arg = { lua_gettop(L), name, 1, 0 };
    int64_t time_ms = zkl_arg_time_ms(L, arg);
    if (time_ms < 1 || time_ms > INT32_MAX) zkl_arg_refuse(L, arg, "out of range");
    return (int32_t)time_ms;
}

static bool flag_option(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    return lua_toboolean(L, -1);
}

static void start(struct zkl_hosted *hosted)
{
    zkl_server_start(hosted->core, clock_of(hosted));
    hosted->started = true;
}

/* Of session passwords: given, where a server is to know those of another; random otherwise. */
static void secret_option(lua_State *L, struct zkl_hosted *hosted,
                          struct zkl_server_options *options)
{
    lua_getfield(L, 1, "secret");
    struct zkl_arg arg = { lua_gettop(L), "secret", 1, 0 };
    if (lua_isnil(L, -1)) {
        random_bytes(hosted->system, options->secret, sizeof options->secret);
        return;
    }
    struct zkl_slice secret = zkl_arg_string(L, arg);
    if (secret.size != sizeof options->secret) zkl_arg_refuse(L, arg, "20 bytes expected");
    memcpy(options->secret, secret.base, secret.size);
}

/* core.server(options) */
int zkl_new_server(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 10, "options");
    struct zkl_hosted *hosted = zkl_new_userdata(L, sizeof *hosted);
    memset(hosted, 0, sizeof *hosted);
    hosted->system = zkl_system_hold(zkl_system_of(L));
    hosted->forks = zkl_fork_count();
    lua_pushvalue(L, ZKL_UPVALUE_METATABLE);
    lua_setmetatable(L, -2);
    struct zkl_server_options options = {
        .allocator = zkl_meter_allocator(&hosted->meter),
        .crypto = { sha1, random_bytes, hosted->system },
        .tick_time_ms = milliseconds_option(L, "tick_time"),
        .session_timeout_min_ms = milliseconds_option(L, "session_timeout_min"),
        .session_timeout_max_ms = milliseconds_option(L, "session_timeout_max"),
        .sessions_keep = flag_option(L, "sessions_keep"),
        .ttl_nodes = flag_option(L, "ttl_nodes"),
    };
    secret_option(L, hosted, &options);
    random_bytes(hosted->system, (uint8_t *)&options.seed, sizeof options.seed);
    hosted->core = zkl_server_new(&options);
    if (hosted->core == NULL) return luaL_error(L, "not enough memory");
    hosted->logs = flag_option(L, "log");
    if (!hosted->logs) start(hosted);
    lua_settop(L, 2);
    return 1;
}

int zkl_server_gc(lua_State *L)
{
    struct zkl_hosted *hosted = lua_touserdata(L, 1);
    struct zkl_allocator allocator = zkl_meter_allocator(&hosted->meter);
    if (hosted->core != NULL) zkl_server_free(hosted->core);
    hosted->core = NULL;
    if (hosted->places != NULL) {
        allocator.allocate(allocator.context, hosted->places,
                           hosted->place_count * sizeof *hosted->places, 0);
        hosted->places = NULL;
        hosted->place_count = 0;
    }
    ZKL_ASSERT(hosted->meter.bytes == 0);
    zkl_system_release(hosted->system);
    hosted->system = NULL;
    return 0;
}

/* --- bytes ------------------------------------------------------------------------------- */

/* Without a disk to wait for. What waited for these may bring new ones. */
static void commit(struct zkl_hosted *hosted)
{
    struct zkl_logged logged;
    while (!hosted->logs && zkl_server_next_txn(hosted->core, &logged)) {
        int64_t zxid = logged.zxid;
        while (zkl_server_next_txn(hosted->core, &logged)) zxid = logged.zxid;
        zkl_server_committed(hosted->core, zxid, clock_of(hosted));
    }
}

static int method_accept(lua_State *L)
{
    static const struct zkl_peer peer = { .address_size = 0 }; /* counts as ip:127.0.0.1 */
    struct zkl_hosted *hosted = check_server(L);
    struct zkl_connection *connection;
    if (!reserve_place(hosted) ||
        zkl_server_accept(hosted->core, &peer, clock_of(hosted), &connection) != ZKL_OK) {
        return 0;
    }
    struct place *place = &hosted->places[hosted->first_free];
    hosted->first_free = place->next_free;
    place->connection = connection;
    place->uses++;
    zkl_connection_set_user(connection, (void *)(uintptr_t)(place - hosted->places));
    lua_pushinteger(L, number_of(hosted, place));
    return 1;
}

static int method_feed(lua_State *L)
{
    struct zkl_hosted *hosted = check_server(L);
    struct zkl_slice bytes = zkl_arg_string(L, ZKL_ARG(3, "bytes"));
    zkl_server_feed(check_place(L, hosted)->connection, bytes.base, bytes.size, clock_of(hosted));
    commit(hosted);
    return 0;
}

static int method_closed(lua_State *L)
{
    struct zkl_hosted *hosted = check_server(L);
    struct place *place = find_place(L, hosted);
    if (place == NULL) return 0;
    struct zkl_connection *connection = place->connection;
    release_place(hosted, place);
    zkl_server_closed(connection, clock_of(hosted));
    commit(hosted);
    return 0;
}

int zkl_body_server_output(lua_State *L)
{
    struct zkl_connection *connection = lua_touserdata(L, 1);
    zkl_push_slice(L, zkl_connection_output(connection));
    return 1;
}

/* The string is made protected, and marked so meanwhile: that can run finalizers, or fail. */
int zkl_method_server_output(lua_State *L)
{
    struct zkl_hosted *hosted = check_server(L);
    struct zkl_connection *connection = check_place(L, hosted)->connection;
    struct zkl_slice bytes = zkl_connection_output(connection);
    if (bytes.size == 0) return 0;
    lua_pushvalue(L, ZKL_UPVALUE_BODY);
    lua_pushlightuserdata(L, connection);
    hosted->busy = true;
    int status = lua_pcall(L, 1, 1, 0);
    hosted->busy = false;
    if (status != 0) return lua_error(L);
    zkl_connection_sent(connection, bytes.size);
    commit(hosted); /* requests that waited for it are worked on now */
    return 1;
}

static int method_changed(lua_State *L)
{
    struct zkl_hosted *hosted = check_server(L);
    struct zkl_connection *connection = zkl_server_next_connection(hosted->core);
    if (connection == NULL) return 0;
    size_t index = (size_t)(uintptr_t)zkl_connection_user(connection);
    lua_pushinteger(L, number_of(hosted, &hosted->places[index]));
    lua_pushboolean(L, zkl_connection_reads(connection));
    switch (zkl_connection_ending(connection)) {
    case ZKL_STAYS: return 2;
    case ZKL_CLOSE_AFTER_OUTPUT: lua_pushliteral(L, "after output"); break;
    case ZKL_CLOSE_AT_ONCE: lua_pushliteral(L, "at once"); break;
    }
    return 3;
}

/* --- transactions of a server with a log ------------------------------------------------------- */

static struct zkl_hosted *check_log(lua_State *L, bool started)
{
    struct zkl_hosted *hosted = check_server(L);
    if (!hosted->logs) luaL_error(L, "this server has no log");
    if (hosted->started != started) {
        luaL_error(L, started ? "this server has not been started" : "this server serves already");
    }
    return hosted;
}

static int method_replay(lua_State *L)
{
    struct zkl_hosted *hosted = check_log(L, false);
    bool skipped = false;
    int status = zkl_server_replay(hosted->core, zkl_arg_string(L, ZKL_ARG(2, "payload")), &skipped);
    if (status == ZKL_E_NOMEM) return luaL_error(L, "not enough memory");
    if (status != ZKL_OK) return luaL_error(L, "%s", zkl_server_why(hosted->core));
    return 0;
}

static int method_start(lua_State *L)
{
    start(check_log(L, false));
    return 0;
}

/* Out of memory here loses the transaction, and the server waits for it for ever: a simulation
 * that has no memory left is over. */
static int method_next_txn(lua_State *L)
{
    struct zkl_hosted *hosted = check_log(L, true);
    struct zkl_logged logged;
    if (!zkl_server_next_txn(hosted->core, &logged)) return 0;
    hosted->shown_zxid = logged.zxid;
    lua_pushnumber(L, (lua_Number)logged.zxid);
    zkl_push_slice(L, logged.payload);
    return 2;
}

static int method_committed(lua_State *L)
{
    struct zkl_hosted *hosted = check_log(L, true);
    int64_t zxid = zkl_arg_integer(L, ZKL_ARG(2, "zxid"), 0, hosted->shown_zxid, -1);
    zkl_server_committed(hosted->core, zxid, clock_of(hosted));
    return 0;
}

/* --- time, control, looking ------------------------------------------------------------------ */

static int method_deadline(lua_State *L)
{
    int64_t deadline_ms = zkl_server_deadline(check_server(L)->core);
    if (deadline_ms == ZKL_NEVER) return 0;
    lua_pushnumber(L, (lua_Number)deadline_ms / 1000.0);
    return 1;
}

static int method_tick(lua_State *L)
{
    struct zkl_hosted *hosted = check_server(L);
    zkl_server_tick(hosted->core, clock_of(hosted));
    commit(hosted);
    return 0;
}

static int method_expire(lua_State *L)
{
    struct zkl_hosted *hosted = check_server(L);
    struct zkl_arg arg = ZKL_ARG(2, "session");
    uint64_t id = 0;
    if (!zkl_parse_hex(zkl_arg_string(L, arg), &id)) zkl_arg_refuse(L, arg, "\"0x...\" expected");
    bool known = zkl_server_expire(hosted->core, (int64_t)id, clock_of(hosted));
    commit(hosted);
    lua_pushboolean(L, known);
    return 1;
}

/* The oldest piece of news, taken off: kind, session or nil, detail or nil. */
static int method_event(lua_State *L)
{
    static const char *const kinds[] = {
        [ZKL_NEWS_SESSION_NEW] = "new",         [ZKL_NEWS_SESSION_MOVED] = "moved",
        [ZKL_NEWS_SESSION_CLOSED] = "closed",   [ZKL_NEWS_SESSION_EXPIRED] = "expired",
        [ZKL_NEWS_SESSION_REFUSED] = "refused", [ZKL_NEWS_AHEAD] = "ahead",
        [ZKL_NEWS_CONNECTION_LIMIT] = "limit",  [ZKL_NEWS_PROTOCOL] = "protocol",
        [ZKL_NEWS_SLOW] = "slow",               [ZKL_NEWS_NOMEM] = "nomem",
        [ZKL_NEWS_STALL] = "stall",
    };
    struct zkl_hosted *hosted = check_server(L);
    struct zkl_server_event event;
    zkl_server_peek_event(hosted->core, &event);
    if (event.kind == ZKL_NEWS_NONE) return 0;
    zkl_server_pop_event(hosted->core);
    lua_pushstring(L, kinds[event.kind]);
    if (event.session_id != 0) {
        zkl_push_hex(L, event.session_id);
    } else {
        lua_pushnil(L);
    }
    lua_pushstring(L, event.detail);
    return 3;
}

static void set_count(lua_State *L, const char *key, uint64_t value)
{
    lua_pushnumber(L, (lua_Number)value);
    lua_setfield(L, -2, key);
}

static int method_info(lua_State *L)
{
    struct zkl_server_counts counts;
    zkl_server_count(check_server(L)->core, &counts);
    lua_createtable(L, 0, 8);
    set_count(L, "nodes", counts.nodes);
    set_count(L, "ephemerals", counts.ephemerals);
    set_count(L, "watches", counts.watches);
    set_count(L, "sessions", counts.sessions);
    set_count(L, "connections", counts.connections);
    set_count(L, "memory", counts.memory_bytes);
    return 1;
}

const luaL_Reg zkl_server_methods[] = {
    { "accept", method_accept },     { "feed", method_feed },
    { "closed", method_closed },     { "changed", method_changed },
    { "deadline", method_deadline }, { "tick", method_tick },
    { "expire", method_expire },     { "event", method_event },
    { "info", method_info },         { "replay", method_replay },
    { "start", method_start },       { "next_txn", method_next_txn },
    { "committed", method_committed },
    { NULL, NULL },
};
