/* Requests and results from and to Lua tables. */
#include "testing/records.h"

#include <string.h>

/* --- vectors from Lua --------------------------------------------------------
 * Each element writer appends the element at the top of the stack. */

typedef void element_writer(lua_State *L, struct zkl_writer *writer);

static void write_string(lua_State *L, struct zkl_writer *writer)
{
    struct zkl_slice string = { NULL, 0 };
    if (lua_type(L, -1) == LUA_TSTRING) {
        string.base = (const uint8_t *)lua_tolstring(L, -1, &string.size);
    }
    zkl_write_string(writer, string);
}

static void write_acl(lua_State *L, struct zkl_writer *writer)
{
    struct zkl_acl acl = {
        .permissions = zkl_testing_i32_field(L, lua_gettop(L), "permissions"),
        .scheme = zkl_testing_slice_field(L, lua_gettop(L), "scheme"),
        .id = zkl_testing_slice_field(L, lua_gettop(L), "id"),
    };
    zkl_write_acl(writer, &acl);
}

static void write_client_id(lua_State *L, struct zkl_writer *writer)
{
    struct zkl_client_id id = {
        .scheme = zkl_testing_slice_field(L, lua_gettop(L), "scheme"),
        .user = zkl_testing_slice_field(L, lua_gettop(L), "user"),
    };
    zkl_write_client_id(writer, &id);
}

static void write_operation(lua_State *L, struct zkl_writer *writer)
{
    int top = lua_gettop(L);
    struct zkl_request operation;
    zkl_testing_to_request(L, top, &operation);
    zkl_multi_write_operation(writer, &operation);
    lua_settop(L, top);
}

static void write_result(lua_State *L, struct zkl_writer *writer)
{
    int top = lua_gettop(L);
    struct zkl_result result;
    zkl_testing_to_result(L, top, &result);
    zkl_multi_write_result(writer, &result);
    lua_settop(L, top);
}

static void write_list(lua_State *L, int list, element_writer *write, struct zkl_writer *writer)
{
    for (int i = 1; i <= (int)lua_rawlen(L, list); i++) {
        lua_rawgeti(L, list, i);
        write(L, writer);
        lua_pop(L, 1);
    }
}

/* Encodes field `name`, a list, and leaves its bytes on the stack. */
static struct zkl_vector vector_field(lua_State *L, int index, const char *name,
                                      element_writer *write)
{
    struct zkl_vector vector = { NULL, 0, 0 };
    luaL_checkstack(L, 20, "vectors");
    lua_getfield(L, index, name);
    int list = lua_gettop(L);
    if (lua_isboolean(L, list)) vector.count = -1;
    if (!lua_istable(L, list)) return vector;
    struct zkl_writer writer = { NULL, 0, 0 };
    write_list(L, list, write, &writer);
    vector.count = (int32_t)lua_rawlen(L, list);
    vector.size = writer.size;
    writer.base = lua_newuserdata(L, writer.size + 1);
    writer.capacity = writer.size;
    writer.size = 0;
    vector.base = writer.base;
    write_list(L, list, write, &writer);
    if (writer.size != vector.size) luaL_error(L, "measured %s wrongly", name);
    return vector;
}

struct zkl_vector zkl_testing_acls_field(lua_State *L, int index, const char *name)
{
    return vector_field(L, index, name, write_acl);
}

struct zkl_vector zkl_testing_strings_field(lua_State *L, int index, const char *name)
{
    return vector_field(L, index, name, write_string);
}

/* --- records from Lua --------------------------------------------------------- */

void zkl_testing_to_request(lua_State *L, int index, struct zkl_request *request)
{
    static const char *const WATCHES[ZKL_WATCH_LIST_COUNT] = {
        "data_watches", "exist_watches", "child_watches", "persistent_watches",
        "recursive_watches"
    };
    memset(request, 0, sizeof *request);
    request->op = zkl_testing_i32_field(L, index, "op");
    request->chroot = zkl_testing_slice_field(L, index, "chroot");
    request->path = zkl_testing_slice_field(L, index, "path");
    request->data = zkl_testing_slice_field(L, index, "data");
    request->acl = vector_field(L, index, "acl", write_acl);
    request->flags = zkl_testing_i32_field(L, index, "flags");
    request->version = zkl_testing_i32_field(L, index, "version");
    request->kind = zkl_testing_i32_field(L, index, "kind");
    request->watch = zkl_testing_bool_field(L, index, "watch");
    request->ttl_ms = zkl_testing_i64_field(L, index, "ttl_ms");
    request->zxid = zkl_testing_i64_field(L, index, "zxid");
    request->scheme = zkl_testing_slice_field(L, index, "scheme");
    request->joining = zkl_testing_slice_field(L, index, "joining");
    request->leaving = zkl_testing_slice_field(L, index, "leaving");
    request->members = zkl_testing_slice_field(L, index, "members");
    request->operations = vector_field(L, index, "operations", write_operation);
    for (int i = 0; i < ZKL_WATCH_LIST_COUNT; i++) {
        request->watches[i] = vector_field(L, index, WATCHES[i], write_string);
    }
}

static void to_stat(lua_State *L, int index, struct zkl_stat *stat)
{
    stat->czxid = zkl_testing_i64_field(L, index, "czxid");
    stat->mzxid = zkl_testing_i64_field(L, index, "mzxid");
    stat->ctime_ms = zkl_testing_i64_field(L, index, "ctime_ms");
    stat->mtime_ms = zkl_testing_i64_field(L, index, "mtime_ms");
    stat->version = zkl_testing_i32_field(L, index, "version");
    stat->cversion = zkl_testing_i32_field(L, index, "cversion");
    stat->aversion = zkl_testing_i32_field(L, index, "aversion");
    stat->ephemeral_owner = zkl_testing_i64_field(L, index, "ephemeral_owner");
    stat->data_length = zkl_testing_i32_field(L, index, "data_length");
    stat->children_count = zkl_testing_i32_field(L, index, "children_count");
    stat->pzxid = zkl_testing_i64_field(L, index, "pzxid");
}

static element_writer *item_writer(int32_t op)
{
    switch (op) {
    case ZKL_OP_GET_ACL:
        return write_acl;
    case ZKL_OP_WHO_AM_I:
        return write_client_id;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        return write_result;
    default:
        return write_string;
    }
}

void zkl_testing_to_result(lua_State *L, int index, struct zkl_result *result)
{
    memset(result, 0, sizeof *result);
    result->op = zkl_testing_i32_field(L, index, "op");
    result->path = zkl_testing_slice_field(L, index, "path");
    result->data = zkl_testing_slice_field(L, index, "data");
    result->number = zkl_testing_i32_field(L, index, "number");
    lua_getfield(L, index, "stat");
    if (lua_istable(L, -1)) to_stat(L, lua_gettop(L), &result->stat);
    lua_pop(L, 1);
    result->items = vector_field(L, index, "items", item_writer(result->op));
}

/* --- vectors to Lua -------------------------------------------------------------
 * Each element pusher takes one element off the vector and pushes it, or says no. */

typedef bool element_pusher(lua_State *L, struct zkl_vector *vector);

static bool push_string(lua_State *L, struct zkl_vector *vector)
{
    struct zkl_slice string;
    if (!zkl_vector_next_string(vector, &string)) return false;
    if (string.base == NULL) {
        lua_pushboolean(L, 0);
    } else {
        lua_pushlstring(L, (const char *)string.base, string.size);
    }
    return true;
}

static bool push_acl(lua_State *L, struct zkl_vector *vector)
{
    struct zkl_acl acl;
    if (!zkl_vector_next_acl(vector, &acl)) return false;
    lua_newtable(L);
    zkl_testing_set_i32(L, "permissions", acl.permissions);
    zkl_testing_set_slice(L, "scheme", acl.scheme);
    zkl_testing_set_slice(L, "id", acl.id);
    return true;
}

static bool push_client_id(lua_State *L, struct zkl_vector *vector)
{
    struct zkl_client_id id;
    if (!zkl_vector_next_client_id(vector, &id)) return false;
    lua_newtable(L);
    zkl_testing_set_slice(L, "scheme", id.scheme);
    zkl_testing_set_slice(L, "user", id.user);
    return true;
}

static bool push_operation(lua_State *L, struct zkl_vector *vector)
{
    struct zkl_request operation;
    if (!zkl_multi_next_operation(vector, &operation)) return false;
    zkl_testing_push_request(L, &operation);
    return true;
}

static bool push_result(lua_State *L, struct zkl_vector *vector)
{
    struct zkl_result result;
    if (!zkl_multi_next_result(vector, &result)) return false;
    zkl_testing_push_result(L, &result);
    return true;
}

static void set_vector(lua_State *L, const char *name, struct zkl_vector vector,
                       element_pusher *push)
{
    luaL_checkstack(L, 20, "vectors");
    if (vector.count < 0) {
        lua_pushboolean(L, 0);
    } else {
        lua_newtable(L);
        for (int i = 1; push(L, &vector); i++) lua_rawseti(L, -2, i);
        if (vector.size != 0) luaL_error(L, "bytes are left in vector %s", name);
    }
    lua_setfield(L, -2, name);
}

void zkl_testing_set_acls(lua_State *L, const char *name, struct zkl_vector acls)
{
    set_vector(L, name, acls, push_acl);
}

void zkl_testing_set_strings(lua_State *L, const char *name, struct zkl_vector strings)
{
    set_vector(L, name, strings, push_string);
}

/* --- records to Lua ------------------------------------------------------------- */

static void push_watches(lua_State *L, const struct zkl_request *request)
{
    set_vector(L, "data_watches", request->watches[0], push_string);
    set_vector(L, "exist_watches", request->watches[1], push_string);
    set_vector(L, "child_watches", request->watches[2], push_string);
    if (request->op == ZKL_OP_SET_WATCHES) return;
    set_vector(L, "persistent_watches", request->watches[3], push_string);
    set_vector(L, "recursive_watches", request->watches[4], push_string);
}

void zkl_testing_push_request(lua_State *L, const struct zkl_request *request)
{
    lua_newtable(L);
    zkl_testing_set_i32(L, "op", request->op);
    zkl_testing_set_slice(L, "chroot", request->chroot);
    zkl_testing_set_slice(L, "path", request->path);
    zkl_testing_set_slice(L, "data", request->data);
    zkl_testing_set_i32(L, "flags", request->flags);
    zkl_testing_set_i32(L, "version", request->version);
    zkl_testing_set_i32(L, "kind", request->kind);
    zkl_testing_set_bool(L, "watch", request->watch);
    zkl_testing_set_i64(L, "ttl_ms", request->ttl_ms);
    zkl_testing_set_i64(L, "zxid", request->zxid);
    zkl_testing_set_slice(L, "scheme", request->scheme);
    zkl_testing_set_slice(L, "joining", request->joining);
    zkl_testing_set_slice(L, "leaving", request->leaving);
    zkl_testing_set_slice(L, "members", request->members);
    switch (request->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_SET_ACL:
        set_vector(L, "acl", request->acl, push_acl);
        break;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        set_vector(L, "operations", request->operations, push_operation);
        break;
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
        push_watches(L, request);
        break;
    default:
        break;
    }
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

static element_pusher *item_pusher(int32_t op)
{
    switch (op) {
    case ZKL_OP_GET_ACL:
        return push_acl;
    case ZKL_OP_WHO_AM_I:
        return push_client_id;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        return push_result;
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
    case ZKL_OP_GET_EPHEMERALS:
        return push_string;
    default:
        return NULL;
    }
}

void zkl_testing_push_result(lua_State *L, const struct zkl_result *result)
{
    static const struct zkl_stat ZERO;
    lua_newtable(L);
    zkl_testing_set_i32(L, "op", result->op);
    zkl_testing_set_slice(L, "path", result->path);
    zkl_testing_set_slice(L, "data", result->data);
    zkl_testing_set_i32(L, "number", result->number);
    if (memcmp(&result->stat, &ZERO, sizeof ZERO) != 0) {
        push_stat(L, &result->stat);
        lua_setfield(L, -2, "stat");
    }
    element_pusher *push = item_pusher(result->op);
    if (push != NULL) set_vector(L, "items", result->items, push);
}
