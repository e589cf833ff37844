/* What lies between a request and the tree, for specs: prep, the log's entries, apply, replay
 * and the reaper of a real server, call by call. Connections are numbers; requests are tables as
 * in records.h; the time is what the spec says. */
#include <string.h>

#include "base/random.h"
#include "server/internal.h"
#include "server/overlay.h"
#include "testing/objects.h"
#include "testing/records.h"
#include "testing/server_testing.h"

#define METATABLE "zklua.testing.prep"

enum { CONNECTIONS_MAX = 64, HELD_MAX = 20000 };

struct prep_object {
    struct zkl_testing_allocator allocator; /* first: objects.h */
    struct zkl_server *server;
    struct zkl_random random;
    struct zkl_clock clock;
    struct zkl_connection *connections[CONNECTIONS_MAX];
    size_t connection_count;
    void *held[HELD_MAX]; /* blocks of the tree's pool, of one size after the other */
    size_t held_sizes[HELD_MAX], held_count;
};

static struct prep_object *to_object(lua_State *L)
{
    struct prep_object *object = luaL_checkudata(L, 1, METATABLE);
    luaL_argcheck(L, object->server != NULL, 1, "it was freed");
    object->server->clock = object->clock;
    return object;
}

static struct zkl_connection *to_connection(lua_State *L)
{
    struct prep_object *object = to_object(L);
    size_t number = (size_t)luaL_checknumber(L, 2);
    luaL_argcheck(L, number >= 1 && number <= object->connection_count, 2, "no connection");
    return object->connections[number - 1];
}

static struct zkl_slice to_slice(lua_State *L, int index)
{
    struct zkl_slice slice;
    slice.base = (const uint8_t *)luaL_checklstring(L, index, &slice.size);
    return slice;
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

/* --- life ------------------------------------------------------------------------ */

static void seeded_bytes(void *context, uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)zkl_random_next(context);
}

static int prep_new(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    struct prep_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_server_options options = {
        .allocator = zkl_testing_hook(&object->allocator),
        .crypto = { zkl_testing_sha1, seeded_bytes, &object->random },
        .seed = (uint64_t)zkl_testing_i64_field(L, 1, "seed"),
        .tick_time_ms = 2000,
        .frame_size_max = (size_t)zkl_testing_i64_field(L, 1, "frame_size_max"),
        .memory_max = (size_t)zkl_testing_i64_field(L, 1, "memory_max"),
        .outstanding_max = (uint32_t)zkl_testing_i64_field(L, 1, "outstanding_max"),
        .ttl_nodes = zkl_testing_bool_field(L, 1, "ttl_nodes"),
        .enforce_quota = zkl_testing_bool_field(L, 1, "enforce_quota"),
        .skip_acl = zkl_testing_bool_field(L, 1, "skip_acl"),
        .reconfig_enabled = zkl_testing_bool_field(L, 1, "reconfig_enabled"),
        .reap_interval_ms = zkl_testing_i32_field(L, 1, "reap_interval"),
        .reap_per_minute = zkl_testing_i32_field(L, 1, "reap_per_minute"),
        .container_unused_ms = zkl_testing_i32_field(L, 1, "container_unused"),
    };
    object->clock.now_ms = zkl_testing_i64_field(L, 1, "now");
    object->clock.wall_ms = zkl_testing_i64_field(L, 1, "wall");
    object->server = zkl_server_new(&options);
    if (object->server == NULL) return luaL_error(L, "no memory for a server");
    return zkl_testing_push_object(L, METATABLE);
}

/* exhaust(): no memory from here on, not even what the tree's pool has kept. */
static int prep_exhaust(lua_State *L)
{
    struct prep_object *object = to_object(L);
    object->allocator.requests = 0;
    object->allocator.fail_from = 1;
    object->allocator.fail_to = INT64_MAX;
    for (size_t size = ZKL_POOL_BLOCK_MAX; size > 0; size -= 8) {
        void *block;
        while ((block = zkl_pool_take(&object->server->tree.pool, size)) != NULL) {
            if (object->held_count == HELD_MAX) return luaL_error(L, "too much to hold");
            object->held_sizes[object->held_count] = size;
            object->held[object->held_count++] = block;
        }
    }
    return 0;
}

/* relieve(): there is memory again. */
static int prep_relieve(lua_State *L)
{
    struct prep_object *object = luaL_checkudata(L, 1, METATABLE);
    object->allocator.fail_from = object->allocator.fail_to = 0;
    while (object->held_count > 0) {
        object->held_count--;
        zkl_pool_give_back(&object->server->tree.pool, object->held[object->held_count],
                           object->held_sizes[object->held_count]);
    }
    return 0;
}

static int prep_free(lua_State *L)
{
    struct prep_object *object = luaL_checkudata(L, 1, METATABLE);
    if (object->server != NULL) prep_relieve(L);
    zkl_server_free(object->server);
    object->server = NULL;
    return zkl_testing_push_memory(L, &object->allocator);
}

static int prep_start(lua_State *L)
{
    struct prep_object *object = to_object(L);
    zkl_server_start(object->server, object->clock);
    return 0;
}

static int prep_set_time(lua_State *L)
{
    struct prep_object *object = to_object(L);
    object->clock.now_ms = (int64_t)luaL_checknumber(L, 2);
    object->clock.wall_ms = (int64_t)luaL_checknumber(L, 3);
    return 0;
}

/* --- from disk ------------------------------------------------------------------- */

static void restore_acls(lua_State *L, struct zkl_server *server)
{
    lua_getfield(L, 2, "acls");
    int list = lua_gettop(L);
    for (int i = 1; i <= (int)lua_rawlen(L, list); i++) {
        struct zkl_request request; /* its access list is what is wanted */
        lua_rawgeti(L, list, i);
        zkl_testing_to_request(L, lua_gettop(L), &request);
        if (zkl_server_restore_acl(server, i, request.acl) != ZKL_OK) {
            luaL_error(L, "access list: %s", zkl_server_why(server));
        }
    }
}

static void restore_nodes(lua_State *L, struct zkl_server *server)
{
    lua_getfield(L, 2, "nodes");
    int list = lua_gettop(L);
    for (int i = 1; i <= (int)lua_rawlen(L, list); i++) {
        struct zkl_result result; /* for its path, data and stat */
        lua_rawgeti(L, list, i);
        int node = lua_gettop(L);
        zkl_testing_to_result(L, node, &result);
        const struct zkl_restored_node restored = {
            .path = result.path, .data = result.data, .stat = result.stat,
            .acl = zkl_testing_i64_field(L, node, "acl"),
        };
        if (zkl_server_restore_node(server, &restored) != ZKL_OK) {
            luaL_error(L, "node: %s", zkl_server_why(server));
        }
        lua_settop(L, list);
    }
}

static void restore_sessions(lua_State *L, struct zkl_server *server)
{
    lua_getfield(L, 2, "sessions");
    if (!lua_istable(L, -1)) return;
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
        uint64_t id = 0;
        if (!zkl_parse_hex(to_slice(L, -2), &id) ||
            zkl_server_restore_session(server, (int64_t)id, (int32_t)lua_tointeger(L, -1)) !=
                ZKL_OK) {
            luaL_error(L, "session: %s", zkl_server_why(server));
        }
        lua_pop(L, 1);
    }
}

/* restore{ zxid=, sessions={ [id]=timeout }, acls={ { acl= }, ... },
 * nodes={ { path=, data=, acl=, stat= }, ... }, digest_zxid=, digest= }; without digest_zxid there is no digest section */
static int prep_restore(lua_State *L)
{
    struct zkl_server *server = to_object(L)->server;
    luaL_checktype(L, 2, LUA_TTABLE);
    zkl_server_restore_begin(server);
    restore_sessions(L, server);
    restore_acls(L, server);
    restore_nodes(L, server);
    int status = zkl_server_restore_end(server, zkl_testing_i64_field(L, 2, "zxid"));
    lua_getfield(L, 2, "digest_zxid");
    if (status == ZKL_OK && !lua_isnil(L, -1)) {
        status = zkl_server_restore_digest(server, zkl_testing_i64_field(L, 2, "digest_zxid"),
                                           (uint64_t)zkl_testing_i64_field(L, 2, "digest"));
    }
    return push_status(L, status);
}

/* replay(payload): status, skipped, and why it was refused */
static int prep_replay(lua_State *L)
{
    struct zkl_server *server = to_object(L)->server;
    struct zkl_slice payload = to_slice(L, 2);
    bool skipped;
    payload.base = zkl_testing_guarded(L, payload.base, payload.size);
    int status = zkl_server_replay(server, payload, &skipped);
    push_status(L, status);
    lua_pushboolean(L, skipped);
    if (status != ZKL_E_CORRUPT) return 2;
    lua_pushstring(L, zkl_server_why(server));
    return 3;
}

/* --- durable --------------------------------------------------------------------- */

/* next(): zxid, payload of the next that goes to the log; nil */
static int prep_next(lua_State *L)
{
    struct zkl_logged logged;
    char text[ZKL_HEX_SIZE_MAX];
    if (!zkl_server_next_txn(to_object(L)->server, &logged)) return 0;
    lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)logged.zxid));
    lua_pushlstring(L, (const char *)logged.payload.base, logged.payload.size);
    return 2;
}

static void commit(struct prep_object *object, size_t count)
{
    struct zkl_server *server = object->server;
    struct zkl_logged logged;
    while (zkl_server_next_txn(server, &logged)) continue;
    for (; count > 0 && !zkl_list_empty(&server->prep.proposals); count--) {
        const struct zkl_proposal *oldest =
            ZKL_LIST_ELEMENT(server->prep.proposals.next, struct zkl_proposal, link);
        zkl_server_committed(server, oldest->header.zxid, object->clock);
    }
}

/* commit(count): the oldest so many, all without a number */
static int prep_commit(lua_State *L)
{
    commit(to_object(L), (size_t)luaL_optnumber(L, 2, 1e9));
    return 0;
}

/* --- connections and what they ask ----------------------------------------------- */

static void attach(struct prep_object *object, struct zkl_connection *connection)
{
    uint8_t frame[64];
    const uint8_t password[ZKL_PASSWORD_SIZE] = { 0 };
    const struct zkl_connect_request request = {
        .timeout_ms = 10000, .password = { password, sizeof password }, .has_readonly = true
    };
    struct zkl_writer writer = { frame, sizeof frame, 0 };
    size_t start = zkl_frame_begin(&writer);
    zkl_connect_request_write(&writer, &request);
    zkl_frame_end(&writer, start);
    zkl_server_feed(connection, frame, writer.size, object->clock);
}

/* open(): its number, the id of its new session, and that one's entry of the log; all that
 * waited is committed */
static int prep_open(lua_State *L)
{
    struct prep_object *object = to_object(L);
    const struct zkl_peer peer = { .address = { 127, 0, 0, 1 }, .address_size = 4, .port = 1 };
    struct zkl_connection *connection;
    char text[ZKL_HEX_SIZE_MAX];
    if (object->connection_count == CONNECTIONS_MAX ||
        zkl_server_accept(object->server, &peer, object->clock, &connection) != ZKL_OK) {
        return luaL_error(L, "no connection more");
    }
    object->connections[object->connection_count++] = connection;
    attach(object, connection);
    const struct zkl_proposal *last =
        ZKL_LIST_ELEMENT(object->server->prep.proposals.previous, struct zkl_proposal, link);
    lua_pushnumber(L, (lua_Number)object->connection_count);
    lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)last->header.session_id));
    lua_pushlstring(L, (const char *)last->payload, last->payload_size);
    commit(object, SIZE_MAX);
    return 3;
}

static int prep_auth(lua_State *L)
{
    struct zkl_connection *connection = to_connection(L);
    struct zkl_server *server = connection->server;
    lua_pushinteger(L, zkl_identities_add(&connection->identities, &server->allocator,
                                          &server->options.crypto, server->options.super_digest,
                                          to_slice(L, 3), to_slice(L, 4)));
    return 1;
}

static int asked(lua_State *L, struct zkl_connection *connection, int status, int32_t code)
{
    if (status == ZKL_OK) zkl_connection_asks(connection);
    push_status(L, status);
    lua_pushinteger(L, code);
    return 2;
}

/* ask(connection, request, xid): status, code */
static int prep_ask(lua_State *L)
{
    struct prep_object *object = to_object(L);
    struct zkl_connection *connection = to_connection(L);
    struct zkl_request request;
    luaL_argcheck(L, connection->session != NULL, 2, "its session has ended");
    int32_t xid = (int32_t)luaL_optinteger(L, 4, 1), code = 0;
    zkl_testing_to_request(L, 3, &request);
    int status = zkl_prep_request(object->server, connection->session, connection, xid, &request,
                                  object->clock, &code);
    return asked(L, connection, status, code);
}

/* malformed(connection, op) */
static int prep_malformed(lua_State *L)
{
    struct prep_object *object = to_object(L);
    struct zkl_connection *connection = to_connection(L);
    return asked(L, connection,
                 zkl_prep_malformed(object->server, connection->session, connection, 1,
                                    (int32_t)luaL_checkinteger(L, 3), object->clock),
                 0);
}

/* close(connection, xid): its session */
static int prep_close(lua_State *L)
{
    struct prep_object *object = to_object(L);
    struct zkl_connection *connection = to_connection(L);
    return asked(L, connection,
                 zkl_prep_close_session(object->server, connection->session, connection,
                                        (int32_t)luaL_optinteger(L, 3, 1), object->clock),
                 0);
}

/* The bytes that went out to a connection since the last call. */
static int prep_sent(lua_State *L)
{
    struct zkl_connection *connection = to_connection(L);
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    struct zkl_slice bytes;
    while (zkl_server_next_connection(connection->server) != NULL) continue;
    while ((bytes = zkl_connection_output(connection)).size > 0) {
        luaL_addlstring(&buffer, (const char *)bytes.base, bytes.size);
        zkl_connection_sent(connection, bytes.size);
    }
    luaL_pushresult(&buffer);
    return 1;
}

/* watch(connection, path, kind) */
static int prep_watch(lua_State *L)
{
    struct zkl_connection *connection = to_connection(L);
    lua_pushboolean(L, zkl_watch_add(&connection->server->watches, &connection->watches,
                                     to_slice(L, 3), (uint32_t)luaL_checknumber(L, 4)));
    return 1;
}

static int prep_tick(lua_State *L)
{
    struct prep_object *object = to_object(L);
    zkl_server_tick(object->server, object->clock);
    return 0;
}

static int prep_reap_deadline(lua_State *L)
{
    int64_t deadline_ms = zkl_reap_deadline(to_object(L)->server);
    if (deadline_ms == ZKL_NEVER) return 0;
    lua_pushnumber(L, (lua_Number)deadline_ms);
    return 1;
}

/* --- to look at ------------------------------------------------------------------ */

static void push_proposal(lua_State *L, const struct zkl_proposal *proposal)
{
    lua_newtable(L);
    zkl_testing_set_i64(L, "zxid", proposal->header.zxid);
    zkl_testing_set_i64(L, "digest", (int64_t)proposal->digest);
    set_number(L, "type", proposal->header.type);
    set_number(L, "op", proposal->op);
    set_number(L, "code", proposal->code);
    set_number(L, "changes", (double)proposal->change_count);
    set_number(L, "failed_index", (double)proposal->failed_index);
    set_number(L, "failed_code", proposal->failed_code);
    zkl_testing_set_slice(L, "payload",
                          (struct zkl_slice) { proposal->payload, proposal->payload_size });
}

/* The proposals that wait, oldest first. */
static int prep_waiting(lua_State *L)
{
    const struct zkl_prep *prep = &to_object(L)->server->prep;
    int count = 0;
    lua_newtable(L);
    for (struct zkl_list *link = prep->proposals.next; link != &prep->proposals;
         link = link->next) {
        push_proposal(L, ZKL_LIST_ELEMENT(link, struct zkl_proposal, link));
        lua_rawseti(L, -2, ++count);
    }
    return 1;
}

/* The youngest of them. */
static int prep_last(lua_State *L)
{
    const struct zkl_prep *prep = &to_object(L)->server->prep;
    if (zkl_list_empty(&prep->proposals)) return luaL_error(L, "none waits");
    push_proposal(L, ZKL_LIST_ELEMENT(prep->proposals.previous, struct zkl_proposal, link));
    return 1;
}

static void push_node(lua_State *L, const struct zkl_tree *tree, const struct zkl_node *node)
{
    struct zkl_result result = { .op = ZKL_OP_GET_ACL };
    zkl_node_persisted(node, &result.stat);
    result.items = zkl_acls_list(tree->acls, node->acl);
    if (!node->data_null) {
        result.data.base = node->data_size > 0 ? node->data : (const uint8_t *)"";
        result.data.size = node->data_size;
    }
    zkl_testing_push_result(L, &result); /* stat as on disk, data, items: the access list */
}

static int prep_node(lua_State *L)
{
    const struct zkl_tree *tree = &to_object(L)->server->tree;
    const struct zkl_node *node = zkl_tree_find(tree, to_slice(L, 2));
    if (node == NULL) {
        lua_pushnil(L);
        return 1;
    }
    push_node(L, tree, node);
    return 1;
}

/* All nodes by their paths. */
static int prep_tree(lua_State *L)
{
    const struct zkl_tree *tree = &to_object(L)->server->tree;
    struct zkl_map_node *entry = NULL;
    lua_newtable(L);
    while ((entry = zkl_map_each(&tree->nodes, entry)) != NULL) {
        const struct zkl_node *node = ZKL_LIST_ELEMENT(entry, struct zkl_node, entry);
        size_t size = zkl_node_path(node, NULL, 0);
        char *path = lua_newuserdata(L, size);
        zkl_node_path(node, path, size);
        lua_pushlstring(L, path, size);
        push_node(L, tree, node);
        lua_rawset(L, -4);
        lua_pop(L, 1);
    }
    return 1;
}

/* The logged timeouts of all sessions by their ids. */
static int prep_sessions(lua_State *L)
{
    const struct zkl_sessions *sessions = &to_object(L)->server->sessions;
    struct zkl_map_node *entry = NULL;
    char text[ZKL_HEX_SIZE_MAX];
    lua_newtable(L);
    while ((entry = zkl_map_each(&sessions->map, entry)) != NULL) {
        const struct zkl_session *session = ZKL_LIST_ELEMENT(entry, struct zkl_session, entry);
        lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)session->id));
        lua_pushinteger(L, session->logged_timeout_ms);
        lua_rawset(L, -3);
    }
    return 1;
}

/* The memory that the overlay's pool has. */
static int prep_overlay_bytes(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)to_object(L)->server->prep.overlay->pool.total);
    return 1;
}

/* What a call that fails has to leave as it was. */
static int prep_state(lua_State *L)
{
    const struct zkl_server *server = to_object(L)->server;
    const struct zkl_prep *prep = &server->prep;
    lua_newtable(L);
    zkl_testing_set_i64(L, "zxid", server->zxid);
    zkl_testing_set_i64(L, "digest", (int64_t)server->tree.digest);
    zkl_testing_set_i64(L, "prep_zxid", prep->zxid);
    zkl_testing_set_i64(L, "prep_digest", (int64_t)prep->digest);
    set_number(L, "waiting", (double)prep->count);
    set_number(L, "bytes", (double)prep->bytes);
    set_number(L, "creates_ahead", (double)prep->creates_ahead);
    set_number(L, "sessions_ahead", (double)prep->sessions_ahead);
    set_number(L, "believed", (double)prep->overlay->entries.count);
    set_number(L, "nodes", (double)server->tree.nodes.count);
    set_number(L, "access_lists", (double)zkl_acls_count(server->tree.acls));
    set_number(L, "sessions", (double)server->sessions.map.count);
    return 1;
}

int zkl_testing_open_prep(lua_State *L)
{
    static const luaL_Reg METHODS[] = {
        { "ask", prep_ask },           { "auth", prep_auth },
        { "close", prep_close },       { "commit", prep_commit },
        { "exhaust", prep_exhaust },   { "fail", zkl_testing_object_fail },
        { "free", prep_free },         { "last", prep_last },
        { "malformed", prep_malformed },
        { "memory", zkl_testing_object_memory },
        { "next", prep_next },         { "node", prep_node },
        { "open", prep_open },         { "overlay_bytes", prep_overlay_bytes },
        { "reap_deadline", prep_reap_deadline },
        { "replay", prep_replay },     { "restore", prep_restore },
        { "relieve", prep_relieve },
        { "sent", prep_sent },         { "sessions", prep_sessions },
        { "set_time", prep_set_time }, { "start", prep_start },
        { "state", prep_state },       { "tick", prep_tick },
        { "tree", prep_tree },         { "waiting", prep_waiting },
        { "watch", prep_watch },       { NULL, NULL },
    };
    zkl_testing_define(L, METATABLE, METHODS, prep_free);
    lua_newtable(L);
    lua_pushcfunction(L, prep_new);
    lua_setfield(L, -2, "new");
    return 1;
}
