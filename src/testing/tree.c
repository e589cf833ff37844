/* The tree of a server, with what its snapshots need beside it, as an object of Lua: no
 * requests, no transactions, only the calls of server/tree.h and the snapshot calls of
 * zklua/server.h. 64-bit numbers are "0x..." or plain numbers, as in records.h. */
#include <stdlib.h>
#include <string.h>

#include "server/internal.h"
#include "testing/objects.h"
#include "testing/records.h"

#define METATABLE "zklua.testing.tree"

enum { CHANGES_MAX = 4096, SLICE_MAX = 1 << 20 };

enum kind { CREATE, DELETE, SET_DATA, SET_ACL };

/* Reserved, and not yet applied. The path is the object's. */
struct change {
    enum kind kind;
    struct zkl_reserved reserved;
    size_t path_size;
    uint8_t *path;
    int64_t owner, zxid, time_ms;
    int32_t version, parent_cversion;
};

struct tree_object {
    struct zkl_testing_allocator allocator;
    struct zkl_server server; /* tree and sessions only */
    bool open;
    size_t change_count, creates_ahead;
    struct change changes[CHANGES_MAX];
};

static struct tree_object *to_object(lua_State *L)
{
    struct tree_object *object = luaL_checkudata(L, 1, METATABLE);
    luaL_argcheck(L, object->open, 1, "it was freed");
    return object;
}

static struct zkl_tree *to_tree(lua_State *L)
{
    return &to_object(L)->server.tree;
}

static struct zkl_slice to_slice(lua_State *L, int index)
{
    struct zkl_slice slice;
    slice.base = (const uint8_t *)luaL_checklstring(L, index, &slice.size);
    return slice;
}

static struct zkl_node *to_node(lua_State *L, int index)
{
    struct zkl_node *node = zkl_tree_find(to_tree(L), to_slice(L, index));
    if (node == NULL) luaL_error(L, "no node %s", lua_tostring(L, index));
    return node;
}

static struct zkl_vector acl_field(lua_State *L, int index)
{
    struct zkl_slice bytes = zkl_testing_slice_field(L, index, "acl");
    return (struct zkl_vector) { bytes.base, bytes.size,
                                 zkl_testing_i32_field(L, index, "acl_count") };
}

/* true, or nil, the number of the status, and what the server says. */
static int push_status(lua_State *L, const struct zkl_server *server, int status)
{
    if (status == ZKL_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushnil(L);
    lua_pushnumber(L, status);
    lua_pushstring(L, zkl_server_why(server));
    return 3;
}

/* --- life ------------------------------------------------------------------------ */

/* new{ seed, ttl_nodes, fail_from }: the tree, or nil when there was no memory; then
 * what its allocator says */
static int tree_new(lua_State *L)
{
    struct tree_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    object->allocator.fail_from = zkl_testing_i64_field(L, 1, "fail_from");
    object->allocator.fail_to = object->allocator.fail_from;
    struct zkl_server *server = &object->server;
    server->allocator = zkl_testing_hook(&object->allocator);
    server->options.tick_time_ms = 2000;
    server->options.seed = (uint64_t)zkl_testing_i64_field(L, 1, "seed");
    bool ttl_nodes = zkl_testing_bool_field(L, 1, "ttl_nodes");
    bool made = zkl_tree_init(&server->tree, &server->allocator, server->options.seed, ttl_nodes);
    if (made && !zkl_sessions_init(&server->sessions, &server->allocator, &server->options)) {
        zkl_tree_free(&server->tree);
        made = false;
    }
    object->open = made;
    zkl_testing_push_object(L, METATABLE);
    if (!made) {
        lua_pop(L, 1);
        lua_pushnil(L);
    }
    return 1 + zkl_testing_push_memory(L, &object->allocator);
}

static int tree_release(lua_State *L)
{
    struct tree_object *object = to_object(L);
    for (size_t i = 0; i < object->change_count; i++) {
        zkl_tree_release(&object->server.tree, &object->changes[i].reserved);
        free(object->changes[i].path);
    }
    object->change_count = object->creates_ahead = 0;
    return 0;
}

static int tree_free(lua_State *L)
{
    struct tree_object *object = luaL_checkudata(L, 1, METATABLE);
    if (object->open) {
        struct zkl_server *server = &object->server;
        tree_release(L);
        if (server->snapshot != NULL) zkl_server_snapshot_end(server);
        server->serving = false;
        zkl_server_restore_begin(server); /* the sessions go */
        zkl_sessions_free(&server->sessions);
        zkl_tree_free(&server->tree);
        object->open = false;
    }
    return zkl_testing_push_memory(L, &object->allocator);
}

/* --- changes --------------------------------------------------------------------- */

static bool reserve(lua_State *L, struct tree_object *object, struct change *change)
{
    struct zkl_tree *tree = &object->server.tree;
    struct zkl_slice path = { change->path, change->path_size };
    struct zkl_slice data = zkl_testing_slice_field(L, 3, "data");
    switch (change->kind) {
    case CREATE:
        return zkl_tree_reserve_create(tree, path, data, acl_field(L, 3), change->owner,
                                       object->creates_ahead, &change->reserved);
    case SET_DATA: return zkl_tree_reserve_set_data(tree, path, data, &change->reserved);
    case SET_ACL: return zkl_tree_reserve_set_acl(tree, acl_field(L, 3), &change->reserved);
    case DELETE: break;
    }
    return true;
}

/* reserve(kind, { path, data, acl, acl_count, owner, zxid, time_ms, version, parent_cversion });
 * false: no memory */
static int tree_reserve(lua_State *L)
{
    static const char *const kinds[] = { "create", "delete", "set_data", "set_acl", NULL };
    struct tree_object *object = to_object(L);
    luaL_argcheck(L, object->change_count < CHANGES_MAX, 2, "too many changes");
    struct change *change = &object->changes[object->change_count];
    struct zkl_slice path = zkl_testing_slice_field(L, 3, "path");
    *change = (struct change) {
        .kind = (enum kind)luaL_checkoption(L, 2, NULL, kinds),
        .path_size = path.size,
        .owner = zkl_testing_i64_field(L, 3, "owner"),
        .zxid = zkl_testing_i64_field(L, 3, "zxid"),
        .time_ms = zkl_testing_i64_field(L, 3, "time_ms"),
        .version = zkl_testing_i32_field(L, 3, "version"),
        .parent_cversion = zkl_testing_i32_field(L, 3, "parent_cversion"),
    };
    change->path = malloc(path.size); /* not the tree's memory */
    if (change->path == NULL) return luaL_error(L, "no memory");
    memcpy(change->path, path.base, path.size);
    bool reserved = reserve(L, object, change);
    if (reserved) {
        object->change_count++;
        if (change->kind == CREATE) object->creates_ahead++;
    } else {
        free(change->path);
    }
    lua_pushboolean(L, reserved);
    return 1;
}

static void apply(lua_State *L, struct zkl_tree *tree, struct change *change)
{
    struct zkl_slice path = { change->path, change->path_size };
    struct zkl_node *node = zkl_tree_find(tree, path);
    if (change->kind == CREATE) {
        struct zkl_node *parent = zkl_tree_find(tree, zkl_path_parent(path));
        if (parent == NULL || node != NULL) luaL_error(L, "no place for it");
        zkl_tree_create(tree, parent, &change->reserved, change->owner, change->parent_cversion,
                        change->zxid, change->time_ms);
        return;
    }
    if (node == NULL) luaL_error(L, "no node to change");
    switch (change->kind) {
    case CREATE: break;
    case DELETE: zkl_tree_delete(tree, node, change->zxid); break;
    case SET_DATA:
        zkl_tree_set_data(tree, node, &change->reserved, change->version, change->zxid,
                          change->time_ms);
        break;
    case SET_ACL: zkl_tree_set_acl(tree, node, &change->reserved, change->version); break;
    }
}

/* All that is reserved, in order; not one allocation may be asked for. */
static int tree_apply(lua_State *L)
{
    struct tree_object *object = to_object(L);
    int64_t requests = object->allocator.requests;
    bool quiet = object->server.snapshot == NULL;
    for (size_t i = 0; i < object->change_count; i++) {
        apply(L, &object->server.tree, &object->changes[i]);
        object->server.zxid = object->changes[i].zxid;
    }
    if (quiet && object->allocator.requests != requests) luaL_error(L, "a change took memory");
    return tree_release(L);
}

/* raise(path, parent_cversion or nil, zxid) */
static int tree_raise(lua_State *L)
{
    struct zkl_node *node = to_node(L, 2);
    int32_t cversion = (int32_t)luaL_optnumber(L, 3, INT32_MIN);
    lua_pushboolean(L, zkl_tree_raise_parent(to_tree(L), node, cversion,
                                             (int64_t)luaL_checknumber(L, 4)));
    return 1;
}

/* set_stats(path, data); false: no memory */
static int tree_set_stats(lua_State *L)
{
    struct zkl_tree *tree = to_tree(L);
    struct zkl_node *node = to_node(L, 2);
    struct zkl_slice data = to_slice(L, 3);
    uint8_t *block = zkl_pool_take(&tree->pool, data.size);
    lua_pushboolean(L, block != NULL);
    if (block == NULL) return 1;
    memcpy(block, data.base, data.size);
    zkl_tree_set_stats(tree, node, block, data.size);
    return 1;
}

/* --- what there is --------------------------------------------------------------- */

static void push_path(lua_State *L, const struct zkl_node *node)
{
    size_t size = zkl_node_path(node, NULL, 0);
    char *buffer = lua_newuserdata(L, size);
    if (zkl_node_path(node, buffer, size) != size) luaL_error(L, "a path of two sizes");
    lua_pushlstring(L, buffer, size);
    lua_remove(L, -2);
}

static void push_stat(lua_State *L, const struct zkl_stat *stat)
{
    lua_newtable(L);
    zkl_testing_set_i64(L, "czxid", stat->czxid);
    zkl_testing_set_i64(L, "mzxid", stat->mzxid);
    zkl_testing_set_i64(L, "ctime_ms", stat->ctime_ms);
    zkl_testing_set_i64(L, "mtime_ms", stat->mtime_ms);
    zkl_testing_set_i32(L, "version", stat->version);
    zkl_testing_set_i32(L, "cversion", stat->cversion);
    zkl_testing_set_i32(L, "aversion", stat->aversion);
    zkl_testing_set_i64(L, "ephemeral_owner", stat->ephemeral_owner);
    zkl_testing_set_i32(L, "data_length", stat->data_length);
    zkl_testing_set_i32(L, "children_count", stat->children_count);
    zkl_testing_set_i64(L, "pzxid", stat->pzxid);
}

/* get(path): nil, or path, data, acl (encoded), children (names), stat, persisted */
static int tree_get(lua_State *L)
{
    struct zkl_tree *tree = to_tree(L);
    struct zkl_node *node = zkl_tree_find(tree, to_slice(L, 2));
    if (node == NULL) return 0;
    lua_newtable(L);
    push_path(L, node);
    lua_setfield(L, -2, "path");
    static const uint8_t nothing[1] = { 0 };
    struct zkl_slice data = { node->data_size > 0 ? node->data : nothing, node->data_size };
    if (!node->data_null) zkl_testing_set_slice(L, "data", data);
    struct zkl_vector acl = zkl_acls_list(tree->acls, node->acl);
    zkl_testing_set_slice(L, "acl", (struct zkl_slice) { acl.base, acl.size });
    lua_newtable(L);
    int index = 0;
    for (struct zkl_node *child = zkl_node_first_child(node); child != NULL;
         child = zkl_node_next_sibling(child)) {
        lua_pushlstring(L, child->name, child->name_size);
        lua_rawseti(L, -2, ++index);
    }
    lua_setfield(L, -2, "children");
    struct zkl_stat stat;
    zkl_node_stat(node, tree, &stat);
    push_stat(L, &stat);
    lua_setfield(L, -2, "stat");
    zkl_node_persisted(node, &stat);
    push_stat(L, &stat);
    lua_setfield(L, -2, "persisted");
    return 1;
}

static void push_owned(lua_State *L, struct zkl_list *list)
{
    lua_newtable(L);
    int index = 0;
    for (struct zkl_list *link = list->next; link != list; link = link->next) {
        push_path(L, zkl_owned_node(link));
        lua_rawseti(L, -2, ++index);
    }
}

/* owned(session id), owned("containers"), owned("ttls"): a list of paths; nil: no such owner */
static int tree_owned(lua_State *L)
{
    struct zkl_tree *tree = to_tree(L);
    const char *which = luaL_checkstring(L, 2);
    struct zkl_list *list = strcmp(which, "containers") == 0 ? &tree->containers : &tree->ttls;
    uint64_t id;
    if (zkl_parse_hex((struct zkl_slice) { (const uint8_t *)which, strlen(which) }, &id)) {
        struct zkl_owner *owner = zkl_tree_owner(tree, (int64_t)id);
        if (owner == NULL) return 0;
        list = &owner->nodes;
    }
    push_owned(L, list);
    return 1;
}

/* digest ("0x..."), and the numbers nodes, data_bytes, ephemerals, lists, pool (bytes), zxid */
static int tree_sums(lua_State *L)
{
    struct zkl_server *server = &to_object(L)->server;
    struct zkl_tree *tree = &server->tree;
    lua_newtable(L);
    zkl_testing_set_i64(L, "digest", (int64_t)tree->digest);
    lua_pushnumber(L, (lua_Number)tree->nodes.count);
    lua_setfield(L, -2, "nodes");
    lua_pushnumber(L, (lua_Number)tree->data_bytes);
    lua_setfield(L, -2, "data_bytes");
    lua_pushnumber(L, (lua_Number)tree->ephemeral_count);
    lua_setfield(L, -2, "ephemerals");
    lua_pushnumber(L, (lua_Number)zkl_acls_count(tree->acls));
    lua_setfield(L, -2, "lists");
    lua_pushnumber(L, (lua_Number)server->zxid);
    lua_setfield(L, -2, "zxid");
    lua_pushnumber(L, (lua_Number)server->fuzzy_zxid);
    lua_setfield(L, -2, "fuzzy_zxid");
    lua_pushboolean(L, zkl_server_in_doubt(server));
    lua_setfield(L, -2, "in_doubt");
    return 1;
}

/* --- snapshots ------------------------------------------------------------------- */

/* session(id, timeout_ms) */
static int tree_session(lua_State *L)
{
    struct zkl_server *server = &to_object(L)->server;
    uint64_t id = 0;
    zkl_parse_hex(to_slice(L, 2), &id);
    struct zkl_session *session = zkl_sessions_reserve(&server->sessions, 0);
    if (session == NULL) return luaL_error(L, "no memory for a session");
    zkl_sessions_insert(&server->sessions, session, (int64_t)id,
                        (int32_t)luaL_checknumber(L, 3), 0);
    return 0;
}

/* The zxid, or nil and the status. */
static int snapshot_begin(lua_State *L)
{
    int64_t zxid;
    int status = zkl_server_snapshot_begin(&to_object(L)->server, &zxid);
    if (status != ZKL_OK) return push_status(L, &to_object(L)->server, status);
    lua_pushnumber(L, (lua_Number)zxid);
    return 1;
}

/* next(capacity): the bytes, or nil and the status */
static int snapshot_next(lua_State *L)
{
    struct zkl_server *server = &to_object(L)->server;
    size_t capacity = (size_t)luaL_checknumber(L, 2), size = 0;
    luaL_argcheck(L, capacity <= SLICE_MAX, 2, "too large");
    uint8_t *bytes = zkl_testing_guarded(L, NULL, capacity);
    int status = zkl_server_snapshot_next(server, bytes, capacity, &size);
    if (status != ZKL_OK) return push_status(L, server, status);
    lua_pushlstring(L, (const char *)bytes, size);
    return 1;
}

static int snapshot_end(lua_State *L)
{
    zkl_server_snapshot_end(&to_object(L)->server);
    return 0;
}

static int restore_begin(lua_State *L)
{
    zkl_server_restore_begin(&to_object(L)->server);
    return 0;
}

/* restore(kind, { ... }): session id timeout_ms, acl id acl acl_count, node path data acl_id
 * and the fields of a persisted stat, end zxid, digest zxid digest */
static int restore_part(lua_State *L)
{
    static const char *const kinds[] = { "session", "acl", "node", "end", "digest", NULL };
    struct zkl_server *server = &to_object(L)->server;
    int kind = luaL_checkoption(L, 2, NULL, kinds);
    int64_t id = zkl_testing_i64_field(L, 3, "id"), zxid = zkl_testing_i64_field(L, 3, "zxid");
    struct zkl_restored_node node = {
        .path = zkl_testing_slice_field(L, 3, "path"),
        .data = zkl_testing_slice_field(L, 3, "data"),
        .acl = zkl_testing_i64_field(L, 3, "acl_id"),
        .stat = {
            .czxid = zkl_testing_i64_field(L, 3, "czxid"),
            .mzxid = zkl_testing_i64_field(L, 3, "mzxid"),
            .ctime_ms = zkl_testing_i64_field(L, 3, "ctime_ms"),
            .mtime_ms = zkl_testing_i64_field(L, 3, "mtime_ms"),
            .version = zkl_testing_i32_field(L, 3, "version"),
            .cversion = zkl_testing_i32_field(L, 3, "cversion"),
            .aversion = zkl_testing_i32_field(L, 3, "aversion"),
            .ephemeral_owner = zkl_testing_i64_field(L, 3, "ephemeral_owner"),
            .pzxid = zkl_testing_i64_field(L, 3, "pzxid"),
        },
    };
    int status = ZKL_OK;
    switch (kind) {
    case 0:
        status = zkl_server_restore_session(server, id,
                                            zkl_testing_i32_field(L, 3, "timeout_ms"));
        break;
    case 1: status = zkl_server_restore_acl(server, id, acl_field(L, 3)); break;
    case 2: status = zkl_server_restore_node(server, &node); break;
    case 3: status = zkl_server_restore_end(server, zxid); break;
    case 4:
        status = zkl_server_restore_digest(
            server, zxid, (uint64_t)zkl_testing_i64_field(L, 3, "digest"));
        break;
    }
    return push_status(L, server, status);
}

int zkl_testing_open_tree(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "memory", zkl_testing_object_memory }, { "fail", zkl_testing_object_fail },
        { "free", tree_free },
        { "reserve", tree_reserve }, { "apply", tree_apply }, { "release", tree_release },
        { "raise", tree_raise }, { "set_stats", tree_set_stats }, { "get", tree_get },
        { "owned", tree_owned }, { "sums", tree_sums }, { "session", tree_session },
        { "snapshot_begin", snapshot_begin }, { "snapshot_next", snapshot_next },
        { "snapshot_end", snapshot_end }, { "restore_begin", restore_begin },
        { "restore", restore_part }, { NULL, NULL },
    };
    zkl_testing_define(L, METATABLE, methods, tree_free);
    lua_newtable(L);
    lua_pushcfunction(L, tree_new);
    lua_setfield(L, -2, "new");
    return 1;
}
