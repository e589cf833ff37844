/* A client as userdata: its making and end, its links, its events. */
#include "lua/binding.h"

#include <stdlib.h>
#include <string.h>

/* --- memory ------------------------------------------------------------------- */

static void *metered_allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct zkl_meter *meter = context;
    if (new_size == 0) {
        if (block != NULL) meter->bytes -= old_size;
        free(block);
        return NULL;
    }
    if (block == NULL) old_size = 0;
    if (new_size > old_size) {
        meter->allocations++;
        if (meter->allocation_limit != 0 && meter->allocations >= meter->allocation_limit) {
            return NULL;
        }
    }
    void *moved = realloc(block, new_size);
    if (moved == NULL) return NULL;
    meter->bytes = meter->bytes - old_size + new_size;
    return moved;
}

struct zkl_allocator zkl_meter_allocator(struct zkl_meter *meter)
{
    return (struct zkl_allocator){ metered_allocate, meter };
}

/* The words of Lua's own error, so that whoever looks for them finds both. */
static int raise_memory_error(lua_State *L)
{
    lua_pushliteral(L, "not enough memory");
    return lua_error(L);
}

/* --- self --------------------------------------------------------------------- */

static int64_t time_of(const struct zkl_binding *binding)
{
    return zkl_system_now_ms(binding->system);
}

struct zkl_binding *zkl_check_client(lua_State *L)
{
    struct zkl_binding *binding = lua_touserdata(L, 1);
    bool is_client = false;
    if (binding != NULL && lua_getmetatable(L, 1)) {
        is_client = lua_rawequal(L, -1, ZKL_UPVALUE_METATABLE);
        lua_pop(L, 1);
    }
    if (!is_client) luaL_argerror(L, 1, "zklua client expected");
    if (binding->forks != zkl_fork_count()) {
        luaL_error(L, "this session belongs to the parent process; connect again after fork");
    }
    if (binding->core == NULL) luaL_error(L, "this client has been collected");
    return binding;
}

struct zkl_binding *zkl_check_driver(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    if (binding->busy) luaL_error(L, "a finalizer cannot drive a client that is being driven");
    return binding;
}

/* --- making and freeing ------------------------------------------------------- */

/* The option `key`, which complaints call `name`. Its value is pushed and stays: strings live. */
static struct zkl_arg field(lua_State *L, int table, const char *key, const char *name)
{
    lua_pushstring(L, key);
    lua_rawget(L, table);
    return (struct zkl_arg){ lua_gettop(L), name, 1, 0 };
}

static struct zkl_arg option(lua_State *L, const char *name)
{
    return field(L, 1, name, name);
}

static size_t size_option(lua_State *L, const char *name, int64_t max)
{
    struct zkl_arg arg = option(L, name);
    if (lua_isnil(L, arg.index)) return 0; /* the core's default */
    return (size_t)zkl_arg_integer(L, arg, 1, max, 0);
}

static int32_t session_timeout_option(lua_State *L)
{
    struct zkl_arg arg = option(L, "session_timeout");
    if (lua_isnil(L, arg.index)) return ZKL_SESSION_TIMEOUT_MS_DEFAULT;
    int64_t timeout_ms = zkl_arg_time_ms(L, arg);
    if (timeout_ms < 1 || timeout_ms > INT32_MAX) zkl_arg_refuse(L, arg, "out of range");
    return (int32_t)timeout_ms;
}

static struct zkl_slice chroot_option(lua_State *L)
{
    struct zkl_arg arg = option(L, "chroot");
    struct zkl_slice chroot = zkl_arg_bytes(L, arg);
    if (chroot.size == 0 || (chroot.size == 1 && chroot.base[0] == '/')) {
        return (struct zkl_slice){ NULL, 0 };
    }
    const char *complaint = zkl_path_check(chroot, false);
    if (complaint != NULL) zkl_arg_refuse(L, arg, complaint);
    return chroot;
}

static void session_option(lua_State *L, struct zkl_client_options *options)
{
    struct zkl_arg session = option(L, "session");
    uint64_t id = 0;
    if (lua_isnil(L, session.index)) return;
    if (lua_type(L, session.index) != LUA_TTABLE) zkl_arg_refuse(L, session, "table expected");
    struct zkl_arg arg = field(L, session.index, "id", "session.id");
    if (!zkl_parse_hex(zkl_arg_string(L, arg), &id) || id == 0) {
        zkl_arg_refuse(L, arg, "\"0x...\" expected");
    }
    arg = field(L, session.index, "password", "session.password");
    if (!zkl_parse_password(zkl_arg_string(L, arg), options->session_password)) {
        zkl_arg_refuse(L, arg, "32 hexadecimal digits expected");
    }
    options->session_id = (int64_t)id;
}

static uint64_t seed_option(lua_State *L)
{
    struct zkl_arg arg = option(L, "seed");
    uint64_t seed = 0;
    if (!lua_isnil(L, arg.index)) return (uint64_t)zkl_arg_integer(L, arg, 0, INT64_MAX, -1);
    if (!zkl_system_random(zkl_system_of(L), &seed, sizeof seed)) {
        luaL_error(L, "the system gives no random bytes");
    }
    return seed;
}

/* core.client(options) */
int zkl_new_client(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    luaL_checkstack(L, 20, "options");
    struct zkl_slice chroot = chroot_option(L);
    struct zkl_binding *binding = zkl_new_userdata(L, sizeof *binding + chroot.size);
    memset(binding, 0, sizeof *binding);
    binding->system = zkl_system_hold(zkl_system_of(L));
    binding->forks = zkl_fork_count();
    if (chroot.size > 0) memcpy(binding->chroot, chroot.base, chroot.size);
    binding->chroot_size = chroot.size;
    lua_pushvalue(L, ZKL_UPVALUE_METATABLE);
    lua_setmetatable(L, -2);
    int self = lua_gettop(L);

    struct zkl_client_options options = { .allocator = zkl_meter_allocator(&binding->meter) };
    options.seed = seed_option(L);
    options.chroot = chroot;
    options.session_timeout_ms = session_timeout_option(L);
    lua_toboolean(L, option(L, "readonly").index);
    options.readonly_allowed = lua_toboolean(L, -1);
    session_option(L, &options);
    options.reply_size_max = size_option(L, "reply_max", INT32_MAX);
    options.request_size_max = size_option(L, "request_max", INT32_MAX);
    options.pending_max = size_option(L, "pending_max", INT32_MAX);
    binding->meter.allocation_limit = size_option(L, "allocation_limit", INT32_MAX);
    binding->request_size_max = options.request_size_max != 0 ? options.request_size_max
                                                              : ZKL_REQUEST_SIZE_MAX_DEFAULT;
    struct zkl_arg endpoints = option(L, "endpoints");
    options.endpoints = zkl_arg_endpoints(L, endpoints, &options.endpoint_count);
    binding->core = zkl_client_new(&options, time_of(binding));
    if (binding->core == NULL) return raise_memory_error(L);
    lua_pushvalue(L, self);
    return 1;
}

/* Frees and sends nothing: also in a child, whose copy of the session is not its own. */
int zkl_method_gc(lua_State *L)
{
    struct zkl_binding *binding = lua_touserdata(L, 1);
    struct zkl_allocator allocator = zkl_meter_allocator(&binding->meter);
    if (binding->core != NULL) zkl_client_free(binding->core);
    binding->core = NULL;
    if (binding->scratch != NULL) {
        allocator.allocate(allocator.context, binding->scratch, binding->scratch_size, 0);
        binding->scratch = NULL;
        binding->scratch_size = 0;
    }
    ZKL_ASSERT(binding->meter.bytes == 0);
    zkl_system_release(binding->system);
    binding->system = NULL;
    return 0;
}

/* --- links -------------------------------------------------------------------- */

static uint32_t arg_link(lua_State *L)
{
    return (uint32_t)zkl_arg_integer(L, ZKL_ARG(2, "link"), 0, UINT32_MAX, -1);
}

static int method_connected(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    zkl_client_connected(binding->core, arg_link(L), time_of(binding));
    return 0;
}

static int method_disconnected(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    zkl_client_disconnected(binding->core, arg_link(L), time_of(binding));
    return 0;
}

static int method_feed(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    struct zkl_slice bytes = zkl_arg_string(L, ZKL_ARG(3, "bytes"));
    int status = zkl_client_feed(binding->core, arg_link(L), bytes.base, bytes.size,
                                 time_of(binding));
    lua_pushboolean(L, status == ZKL_OK);
    return 1;
}

/* --- event and output --------------------------------------------------------- */

/* Runs the body with the arguments of the call and marks the client busy meanwhile. Bodies
 * look into the core's memory while they make Lua values, which can run finalizers, or fail. */
static int run_busy(lua_State *L, struct zkl_binding *binding)
{
    lua_pushvalue(L, ZKL_UPVALUE_BODY);
    lua_insert(L, 1);
    binding->busy = true;
    int status = lua_pcall(L, lua_gettop(L) - 1, LUA_MULTRET, 0);
    binding->busy = false;
    return status;
}

int zkl_body_output(lua_State *L)
{
    struct zkl_binding *binding = lua_touserdata(L, 1);
    struct zkl_slice bytes = zkl_client_output(binding->core, arg_link(L));
    if (bytes.base == NULL) return 0;
    zkl_push_slice(L, bytes);
    lua_pushinteger(L, (lua_Integer)bytes.size);
    return 2;
}

int zkl_method_output(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    uint32_t link = arg_link(L);
    lua_settop(L, 2);
    if (run_busy(L, binding) != 0) return lua_error(L);
    if (lua_gettop(L) == 0) return 0;
    zkl_client_sent(binding->core, link, (size_t)lua_tointeger(L, -1), time_of(binding));
    lua_pop(L, 1);
    return 1;
}

/* Where a peer's number cannot be told exactly, the session ends: close now, say so once. */
static int refuse_inexact(lua_State *L, struct zkl_binding *binding)
{
    enum { CLOSE_WITHIN_MS = 1000 };
    int64_t now_ms = time_of(binding);
    binding->inexact = true;
    zkl_client_close(binding->core, now_ms, now_ms + CLOSE_WITHIN_MS);
    return luaL_error(L, "the server sent a number above 2^53, which this Lua would round; "
                         "the session is being closed");
}

int zkl_body_event(lua_State *L)
{
    struct zkl_binding *binding = lua_touserdata(L, 1);
    struct zkl_conversion conversion = { L, binding, false };
    int count = zkl_push_event(&conversion, zkl_client_peek_event(binding->core));
    if (conversion.inexact && !binding->inexact) return refuse_inexact(L, binding);
    return count;
}

int zkl_method_event(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    const struct zkl_event *event = zkl_client_peek_event(binding->core);
    if (event->kind == ZKL_EVENT_NONE) return 0;
    lua_settop(L, 1);
    if (run_busy(L, binding) != 0) return lua_error(L);
    if (event->kind == ZKL_EVENT_REPLY) {
        zkl_metrics_record(&binding->metrics, event->user, event->code != ZKL_CODE_OK,
                           zkl_system_now_us(binding->system));
    }
    zkl_client_pop_event(binding->core);
    return lua_gettop(L);
}

/* --- time, ends, looking ------------------------------------------------------- */

static int method_deadline(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    int64_t deadline_ms = zkl_client_deadline(binding->core);
    if (deadline_ms == ZKL_NEVER) return 0;
    lua_pushnumber(L, (lua_Number)deadline_ms / 1000.0);
    return 1;
}

static int method_tick(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    zkl_client_tick(binding->core, time_of(binding));
    return 0;
}

static int method_cancel(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    int64_t xid = zkl_arg_integer(L, ZKL_ARG(2, "xid"), INT32_MIN, INT32_MAX, INT64_MAX);
    zkl_client_cancel(binding->core, (int32_t)xid, time_of(binding));
    return 0;
}

static int method_unwatch(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_slice path = zkl_arg_string(L, ZKL_ARG(2, "path"));
    int64_t kind = zkl_arg_integer(L, ZKL_ARG(3, "kind"), ZKL_KIND_DATA, ZKL_KIND_RECURSIVE, 0);
    if ((kind & (kind - 1)) != 0) zkl_arg_refuse(L, ZKL_ARG(3, "kind"), "one bit expected");
    zkl_client_unwatch(binding->core, path, (uint32_t)kind, time_of(binding));
    return 0;
}

static int method_close(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    int64_t timeout_ms = zkl_arg_time_ms(L, ZKL_ARG(2, "timeout"));
    int64_t now_ms = time_of(binding);
    zkl_client_close(binding->core, now_ms,
                     timeout_ms > ZKL_NEVER - now_ms ? ZKL_NEVER : now_ms + timeout_ms);
    return 0;
}

static int method_set_endpoints(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_driver(L);
    size_t count;
    const struct zkl_slice *endpoints = zkl_arg_endpoints(L, ZKL_ARG(2, "endpoints"), &count);
    int status = zkl_client_set_endpoints(binding->core, endpoints, count, time_of(binding));
    if (status == ZKL_E_NOMEM) return raise_memory_error(L);
    return 0;
}

static void set_number(lua_State *L, const char *key, double value)
{
    lua_pushnumber(L, value);
    lua_setfield(L, -2, key);
}

static void set_count(lua_State *L, const char *key, uint64_t value)
{
    lua_pushinteger(L, (lua_Integer)value);
    lua_setfield(L, -2, key);
}

static int method_info(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_conversion conversion = { L, binding, false };
    struct zkl_client_info info;
    zkl_client_info(binding->core, &info);
    lua_createtable(L, 0, 10);
    zkl_push_state(L, info.state);
    lua_setfield(L, -2, "state");
    if (info.session_id != 0) {
        zkl_push_hex(L, info.session_id);
        lua_setfield(L, -2, "session");
        zkl_push_hex_bytes(L, info.session_password, sizeof info.session_password);
        lua_setfield(L, -2, "password");
    }
    zkl_push_int64(&conversion, info.last_zxid);
    lua_setfield(L, -2, "last_zxid");
    if (conversion.inexact) return luaL_error(L, "last_zxid is above 2^53");
    set_number(L, "timeout", info.session_timeout_ms / 1000.0);
    set_number(L, "valid_until", (double)info.valid_until_ms / 1000.0);
    set_count(L, "endpoint", info.endpoint + 1);
    set_count(L, "pending", info.pending_count);
    set_count(L, "watches", info.watch_count);
    set_count(L, "memory", binding->meter.bytes);
    return 1;
}

static int method_valid(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_client_info info;
    zkl_client_info(binding->core, &info);
    lua_pushboolean(L, time_of(binding) < info.valid_until_ms);
    return 1;
}

static int method_pending(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_client_info info;
    zkl_client_info(binding->core, &info);
    lua_pushinteger(L, (lua_Integer)info.pending_count);
    return 1;
}

static int method_metrics(lua_State *L)
{
    struct zkl_binding *binding = zkl_check_client(L);
    struct zkl_client_info info;
    zkl_client_info(binding->core, &info);
    lua_createtable(L, 0, 8);
    set_count(L, "bytes_in", info.bytes_in);
    set_count(L, "bytes_out", info.bytes_out);
    set_count(L, "frames_in", info.frames_in);
    set_count(L, "frames_out", info.frames_out);
    set_count(L, "attempts", info.attempts);
    set_count(L, "attaches", info.attaches);
    set_count(L, "pending", info.pending_count);
    zkl_metrics_push(L, &binding->metrics);
    lua_setfield(L, -2, "operations");
    return 1;
}

const luaL_Reg zkl_client_methods[] = {
    { "connected", method_connected },
    { "disconnected", method_disconnected },
    { "feed", method_feed },
    { "deadline", method_deadline },
    { "tick", method_tick },
    { "cancel", method_cancel },
    { "unwatch", method_unwatch },
    { "close", method_close },
    { "set_endpoints", method_set_endpoints },
    { "info", method_info },
    { "valid", method_valid },
    { "pending", method_pending },
    { "metrics", method_metrics },
    { NULL, NULL },
};
