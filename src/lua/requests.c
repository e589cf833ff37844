/* One method for each operation: arguments into a struct zkl_request, and submit. */
#include "lua/binding.h"

static const int64_t ANY_VERSION = -1;

/* Pushes what every method answers: xid, or nil and a code. */
static int push_submitted(lua_State *L, struct zkl_binding *binding, int status, int32_t xid)
{
    struct zkl_client_info info;
    if (status == ZKL_OK) {
        lua_pushinteger(L, xid);
        return 1;
    }
    lua_pushnil(L);
    switch (status) {
    case ZKL_E_NOMEM: lua_pushliteral(L, "NOMEM"); break;
    case ZKL_E_LIMIT: lua_pushliteral(L, "LIMIT"); break;
    case ZKL_E_OFFLINE: lua_pushliteral(L, "NOTCONNECTED"); break;
    case ZKL_E_ENDED:
        zkl_client_info(binding->core, &info);
        lua_pushstring(L, info.state == ZKL_EXPIRED       ? "SESSIONEXPIRED"
                          : info.state == ZKL_AUTH_FAILED ? "AUTHFAILED"
                                                          : "CLOSED");
        break;
    default:
        ZKL_ASSERT(status == ZKL_E_ARGUMENT);
        lua_pushliteral(L, "ARGUMENT");
        break;
    }
    return 2;
}

/* The two last parameters of every method: deadline, at the index given, and fail_fast. */
static int submit(lua_State *L, struct zkl_binding *binding, enum zkl_slot slot,
                  const struct zkl_request *request, int deadline)
{
    int64_t now_us = zkl_system_now_us(binding->system);
    struct zkl_submit_options options = {
        .deadline_ms = zkl_arg_time_ms(L, ZKL_ARG(deadline, "deadline")),
        .fail_fast = lua_toboolean(L, deadline + 1),
        .user = zkl_metrics_tag(slot, now_us),
    };
    int32_t xid = 0;
    int status = zkl_client_submit(binding->core, now_us / 1000, request, &options, &xid);
    return push_submitted(L, binding, status, xid);
}

static int32_t arg_version(lua_State *L, struct zkl_arg arg)
{
    return (int32_t)zkl_arg_integer(L, arg, INT32_MIN, INT32_MAX, ANY_VERSION);
}

/* --- operations that stand alone or inside a multi ---------------------------- */

/* Where the fields of an operation stand on the stack: arguments themselves (operation 0), or
 * unpacked from the list that is argument 2. */
struct fields {
    int first;
    int operation;
};

static struct zkl_arg field(struct fields at, int offset, const char *name)
{
    int index = at.first + offset;
    return (struct zkl_arg){ index, name, at.operation == 0 ? index : 2, at.operation };
}

static void read_create(lua_State *L, struct fields at, struct zkl_request *request)
{
    request->path = zkl_arg_string(L, field(at, 0, "path"));
    request->data = zkl_arg_bytes(L, field(at, 1, "data"));
    request->acl = zkl_arg_acl(L, field(at, 2, "acl"));
    request->flags = (int32_t)zkl_arg_integer(L, field(at, 3, "mode"), ZKL_PERSISTENT,
                                              ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL, ZKL_PERSISTENT);
    request->op = ZKL_OP_CREATE2;
    if (request->flags == ZKL_CONTAINER) request->op = ZKL_OP_CREATE_CONTAINER;
    if (request->flags >= ZKL_PERSISTENT_WITH_TTL) {
        request->op = ZKL_OP_CREATE_TTL;
        request->ttl_ms = zkl_arg_integer(L, field(at, 4, "ttl"), 1, ZKL_TTL_MS_MAX, 0);
    }
}

static void read_set(lua_State *L, struct fields at, struct zkl_request *request)
{
    request->op = ZKL_OP_SET_DATA;
    request->path = zkl_arg_string(L, field(at, 0, "path"));
    request->data = zkl_arg_bytes(L, field(at, 1, "data"));
    request->version = arg_version(L, field(at, 2, "version"));
}

static void read_delete(lua_State *L, struct fields at, struct zkl_request *request)
{
    request->op = ZKL_OP_DELETE;
    request->path = zkl_arg_string(L, field(at, 0, "path"));
    request->version = arg_version(L, field(at, 1, "version"));
}

static void read_check(lua_State *L, struct fields at, struct zkl_request *request)
{
    read_delete(L, at, request);
    request->op = ZKL_OP_CHECK;
}

static void read_get(lua_State *L, struct fields at, struct zkl_request *request)
{
    request->op = ZKL_OP_GET_DATA;
    request->path = zkl_arg_string(L, field(at, 0, "path"));
}

static void read_children(lua_State *L, struct fields at, struct zkl_request *request)
{
    read_get(L, at, request);
    request->op = ZKL_OP_GET_CHILDREN;
}

static const struct fields arguments = { 2, 0 };

static int method_create(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { 0 };
    read_create(L, arguments, &request);
    return submit(L, binding, ZKL_SLOT_create, &request, 7);
}

static int method_set(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { 0 };
    read_set(L, arguments, &request);
    return submit(L, binding, ZKL_SLOT_set, &request, 5);
}

static int method_delete(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { 0 };
    read_delete(L, arguments, &request);
    return submit(L, binding, ZKL_SLOT_delete, &request, 4);
}

/* --- a path, and perhaps one thing more --------------------------------------- */

static int submit_path(lua_State *L, int32_t op, enum zkl_slot slot)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = op, .path = zkl_arg_string(L, ZKL_ARG(2, "path")) };
    return submit(L, binding, slot, &request, 3);
}

static int submit_read(lua_State *L, int32_t op, enum zkl_slot slot)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = op, .path = zkl_arg_string(L, ZKL_ARG(2, "path")),
                                   .watch = lua_toboolean(L, 3) };
    return submit(L, binding, slot, &request, 4);
}

static int method_get(lua_State *L)
{
    return submit_read(L, ZKL_OP_GET_DATA, ZKL_SLOT_get);
}

static int method_exists(lua_State *L)
{
    return submit_read(L, ZKL_OP_EXISTS, ZKL_SLOT_exists);
}

static int method_children(lua_State *L)
{
    return submit_read(L, ZKL_OP_GET_CHILDREN2, ZKL_SLOT_children);
}

static int method_get_acl(lua_State *L)
{
    return submit_path(L, ZKL_OP_GET_ACL, ZKL_SLOT_get_acl);
}

static int method_sync(lua_State *L)
{
    return submit_path(L, ZKL_OP_SYNC, ZKL_SLOT_sync);
}

static int method_count(lua_State *L)
{
    return submit_path(L, ZKL_OP_GET_ALL_CHILDREN_NUMBER, ZKL_SLOT_count);
}

static int method_ephemerals(lua_State *L)
{
    return submit_path(L, ZKL_OP_GET_EPHEMERALS, ZKL_SLOT_ephemerals);
}

static int method_set_acl(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = ZKL_OP_SET_ACL,
                                   .path = zkl_arg_string(L, ZKL_ARG(2, "path")),
                                   .acl = zkl_arg_acl(L, ZKL_ARG(3, "acl")),
                                   .version = arg_version(L, ZKL_ARG(4, "version")) };
    return submit(L, binding, ZKL_SLOT_set_acl, &request, 5);
}

static int method_add_watch(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = ZKL_OP_ADD_WATCH,
                                   .path = zkl_arg_string(L, ZKL_ARG(2, "path")),
                                   .kind = lua_toboolean(L, 3) ? ZKL_ADD_RECURSIVE
                                                               : ZKL_ADD_PERSISTENT };
    return submit(L, binding, ZKL_SLOT_add_watch, &request, 4);
}

/* --- no path ------------------------------------------------------------------ */

static int method_whoami(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = ZKL_OP_WHO_AM_I };
    return submit(L, binding, ZKL_SLOT_whoami, &request, 2);
}

static int method_add_auth(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = ZKL_OP_AUTH,
                                   .scheme = zkl_arg_string(L, ZKL_ARG(2, "scheme")),
                                   .data = zkl_arg_string(L, ZKL_ARG(3, "credential")) };
    return submit(L, binding, ZKL_SLOT_add_auth, &request, 4);
}

static int method_config(lua_State *L)
{
    static const char path[] = "/zookeeper/config";
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = { .op = ZKL_OP_GET_DATA,
                                   .path = { (const uint8_t *)path, sizeof path - 1 },
                                   .watch = lua_toboolean(L, 2) };
    return submit(L, binding, ZKL_SLOT_config, &request, 3);
}

static int method_reconfig(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_request request = {
        .op = ZKL_OP_RECONFIG,
        .joining = zkl_arg_bytes(L, ZKL_ARG(2, "joining")),
        .leaving = zkl_arg_bytes(L, ZKL_ARG(3, "leaving")),
        .members = zkl_arg_bytes(L, ZKL_ARG(4, "members")),
        .zxid = zkl_arg_integer(L, ZKL_ARG(5, "config_id"), -1, INT64_MAX, -1),
    };
    return submit(L, binding, ZKL_SLOT_reconfig, &request, 6);
}

/* --- multi -------------------------------------------------------------------- */

struct operation_kind {
    enum zkl_word word;
    int field_count;
    void (*read)(lua_State *L, struct fields at, struct zkl_request *request);
};

static const struct operation_kind write_kinds[] = {
    { ZKL_WORD_create, 5, read_create },
    { ZKL_WORD_set, 3, read_set },
    { ZKL_WORD_delete, 2, read_delete },
    { ZKL_WORD_check, 2, read_check },
    { ZKL_WORD_NONE, 0, NULL },
};

static const struct operation_kind read_kinds[] = {
    { ZKL_WORD_get, 1, read_get },
    { ZKL_WORD_children, 1, read_children },
    { ZKL_WORD_NONE, 0, NULL },
};

/* The kind of the operation whose name is at `index`. */
static const struct operation_kind *find_kind(lua_State *L, const struct operation_kind *kinds,
                                              int index, int operation)
{
    for (; kinds->read != NULL; kinds++) {
        zkl_push_word(L, kinds->word);
        bool found = lua_rawequal(L, -1, index);
        lua_pop(L, 1);
        if (found) return kinds;
    }
    zkl_arg_refuse(L, (struct zkl_arg){ index, "its first field", 2, operation },
                   "names no operation that this call takes");
}

static bool is_sequential(const struct zkl_request *request)
{
    switch (request->op) {
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_TTL:
        return request->flags == ZKL_PERSISTENT_SEQUENTIAL ||
               request->flags == ZKL_EPHEMERAL_SEQUENTIAL ||
               request->flags == ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL;
    default:
        return false;
    }
}

/* Appends the operation at the top of the stack and takes it off. Makes no Lua value, so that
 * no finalizer can take its strings away. */
static void write_operation(lua_State *L, const struct zkl_binding *binding,
                            const struct operation_kind *kinds, int operation,
                            struct zkl_writer *writer)
{
    int entry = lua_gettop(L);
    struct fields at = { entry + 2, operation };
    struct zkl_request request = { .chroot = { binding->chroot, binding->chroot_size } };
    if (lua_type(L, entry) != LUA_TTABLE) {
        zkl_arg_refuse(L, (struct zkl_arg){ entry, "it", 2, operation }, "is not a table");
    }
    lua_rawgeti(L, entry, 1);
    const struct operation_kind *kind = find_kind(L, kinds, entry + 1, operation);
    for (int i = 0; i < kind->field_count; i++) lua_rawgeti(L, entry, i + 2);
    kind->read(L, at, &request);
    const char *complaint = zkl_path_check(request.path, is_sequential(&request));
    if (complaint != NULL) zkl_arg_refuse(L, field(at, 0, "path"), complaint);
    /* "/" cannot be deleted; below a chroot it would be the chroot, which can. */
    if (request.op == ZKL_OP_DELETE && request.path.size == 1) request.chroot.size = 0;
    zkl_multi_write_operation(writer, &request);
    lua_settop(L, entry - 1);
}

/* Makes room for `size` bytes; what was in there is lost. */
static int reserve_scratch(struct zkl_binding *binding, size_t size)
{
    struct zkl_allocator allocator = zkl_meter_allocator(&binding->meter);
    if (size > binding->request_size_max) return ZKL_E_LIMIT;
    uint8_t *scratch = allocator.allocate(allocator.context, NULL, 0, size);
    if (scratch == NULL) return ZKL_E_NOMEM;
    if (binding->scratch != NULL) {
        allocator.allocate(allocator.context, binding->scratch, binding->scratch_size, 0);
    }
    binding->scratch = scratch;
    binding->scratch_size = size;
    return ZKL_OK;
}

static int submit_multi(lua_State *L, int32_t op, enum zkl_slot slot,
                        const struct operation_kind *kinds)
{
    struct zkl_binding *binding = zkl_check_client(L);
    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 4);
    size_t count = lua_rawlen(L, 2);
    if (count > binding->request_size_max) {
        return push_submitted(L, binding, ZKL_E_LIMIT, 0);
    }
    for (;;) {
        struct zkl_writer writer = { binding->scratch, binding->scratch_size, 0 };
        for (size_t i = 1; i <= count; i++) {
            lua_rawgeti(L, 2, (int)i);
            write_operation(L, binding, kinds, (int)i, &writer);
        }
        if (zkl_writer_fits(&writer)) {
            struct zkl_request request = {
                .op = op, .operations = { binding->scratch, writer.size, (int32_t)count }
            };
            return submit(L, binding, slot, &request, 3);
        }
        int status = reserve_scratch(binding, writer.size);
        if (status != ZKL_OK) return push_submitted(L, binding, status, 0);
    }
}

static int method_multi(lua_State *L)
{
    return submit_multi(L, ZKL_OP_MULTI, ZKL_SLOT_multi, write_kinds);
}

static int method_multi_read(lua_State *L)
{
    return submit_multi(L, ZKL_OP_MULTI_READ, ZKL_SLOT_multi_read, read_kinds);
}

const luaL_Reg zkl_request_methods[] = {
    { "create", method_create },
    { "delete", method_delete },
    { "set", method_set },
    { "get", method_get },
    { "exists", method_exists },
    { "children", method_children },
    { "get_acl", method_get_acl },
    { "set_acl", method_set_acl },
    { "sync", method_sync },
    { "count", method_count },
    { "ephemerals", method_ephemerals },
    { "whoami", method_whoami },
    { "add_watch", method_add_watch },
    { "add_auth", method_add_auth },
    { "config", method_config },
    { "reconfig", method_reconfig },
    { "multi", method_multi },
    { "multi_read", method_multi_read },
    { NULL, NULL },
};
