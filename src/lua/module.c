/* require "zklua.core": the module table, and others like it for simulated systems. */
#define _GNU_SOURCE

#include "base/map.h"
#include "lua/binding.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "zklua: %s:%d: this must hold and does not: %s\n", file, line, expression);
    abort();
}

/* --- the system ------------------------------------------------------------------ */

struct zkl_system *zkl_system_of(lua_State *L)
{
    struct zkl_system **holder = lua_touserdata(L, ZKL_UPVALUE_SYSTEM);
    return holder != NULL ? *holder : NULL;
}

static int64_t now_us(lua_State *L)
{
    return zkl_system_now_us(zkl_system_of(L));
}

/* --- functions ------------------------------------------------------------------ */

static int core_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)now_us(L) / 1e6);
    return 1;
}

static int core_pid(lua_State *L)
{
    lua_pushinteger(L, zkl_system_pid(zkl_system_of(L)));
    return 1;
}

/* A socket that is closed with unread bytes resets its connection, and the peer may never see
 * what was written last. For a process that is about to end, without a loop to wait in. */
static int core_drain(lua_State *L)
{
    int socket = (int)luaL_checkinteger(L, 1);
    int64_t end_us = now_us(L) + (int64_t)(luaL_checknumber(L, 2) * 1e6);
    char dropped[4096];
    bool ended = false;
    int64_t left_us;
    while (!ended && (left_us = end_us - now_us(L)) > 0) {
        struct pollfd readable = { socket, POLLIN, 0 };
        if (poll(&readable, 1, (int)((left_us + 999) / 1000)) <= 0) continue;
        ssize_t size = recv(socket, dropped, sizeof dropped, MSG_DONTWAIT);
        ended = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    }
    lua_pushboolean(L, ended);
    return 1;
}

static int core_hostname(lua_State *L)
{
    char name[ZKL_HOSTNAME_SIZE];
    if (!zkl_system_hostname(zkl_system_of(L), name)) {
        return luaL_error(L, "this host has no name");
    }
    lua_pushstring(L, name);
    return 1;
}

static int core_random_hex(lua_State *L)
{
    uint8_t bytes[1024];
    size_t count = (size_t)zkl_arg_integer(L, ZKL_ARG(1, "count"), 0, sizeof bytes, -1);
    if (!zkl_system_random(zkl_system_of(L), bytes, count)) {
        return luaL_error(L, "the system gives no random bytes");
    }
    zkl_push_hex_bytes(L, bytes, count);
    return 1;
}

/* The third upvalue is the count of forks when this Lua state loaded the module. */
static int core_forked(lua_State *L)
{
    lua_pushboolean(L, lua_tointeger(L, lua_upvalueindex(3)) != (lua_Integer)zkl_fork_count());
    return 1;
}

static int core_check_path(lua_State *L)
{
    const char *complaint = zkl_path_check(zkl_arg_string(L, ZKL_ARG(1, "path")),
                                           lua_toboolean(L, 2));
    if (complaint == NULL) return 0;
    lua_pushstring(L, complaint);
    return 1;
}

static int core_split_sequence(lua_State *L)
{
    struct zkl_slice name = zkl_arg_string(L, ZKL_ARG(1, "name"));
    size_t prefix_size;
    int64_t sequence;
    if (!zkl_split_sequence(name, &prefix_size, &sequence)) return 0;
    zkl_push_slice(L, (struct zkl_slice){ name.base, prefix_size });
    lua_pushinteger(L, sequence);
    return 2;
}

/* A whole number below 2^53 that follows from the three, and hardly from less: for simulations,
 * where chance has to be the same again. */
static int core_mix(lua_State *L)
{
    uint64_t seed = (uint64_t)zkl_arg_integer(L, ZKL_ARG(1, "seed"), 0, ZKL_EXACT_MAX, -1);
    struct zkl_slice text = zkl_arg_string(L, ZKL_ARG(2, "text"));
    uint64_t number = (uint64_t)zkl_arg_integer(L, ZKL_ARG(3, "number"), 0, ZKL_EXACT_MAX, -1);
    uint64_t hash = zkl_hash_add(zkl_hash_begin(seed), text.base, text.size);
    hash = zkl_hash_end(zkl_hash_add(hash, &number, sizeof number));
    lua_pushnumber(L, (lua_Number)(hash >> 11));
    return 1;
}

static int core_format_zxid(lua_State *L)
{
    zkl_push_hex(L, zkl_arg_integer(L, ZKL_ARG(1, "zxid"), 0, INT64_MAX, -1));
    return 1;
}

/* "user:" and the base64 of sha1("user:password"), as the digest scheme writes ids. */
static int core_digest_id(lua_State *L)
{
    enum { DIGEST_SIZE = 20, BASE64_SIZE = (DIGEST_SIZE + 2) / 3 * 4 };
    struct zkl_slice user = zkl_arg_string(L, ZKL_ARG(1, "user"));
    struct zkl_slice password = zkl_arg_string(L, ZKL_ARG(2, "password"));
    uint8_t digest[EVP_MAX_MD_SIZE];
    uint8_t base64[BASE64_SIZE + 1];
    unsigned digest_size = 0;
    if (memchr(user.base, ':', user.size) != NULL) {
        zkl_arg_refuse(L, ZKL_ARG(1, "user"), "must not contain ':'");
    }
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = context != NULL && EVP_DigestInit_ex(context, EVP_sha1(), NULL) == 1 &&
                EVP_DigestUpdate(context, user.base, user.size) == 1 &&
                EVP_DigestUpdate(context, ":", 1) == 1 &&
                EVP_DigestUpdate(context, password.base, password.size) == 1 &&
                EVP_DigestFinal_ex(context, digest, &digest_size) == 1;
    EVP_MD_CTX_free(context);
    if (!done || digest_size != DIGEST_SIZE) return luaL_error(L, "SHA-1 is not available");
    EVP_EncodeBlock(base64, digest, DIGEST_SIZE);
    zkl_push_slice(L, user);
    lua_pushliteral(L, ":");
    lua_pushlstring(L, (const char *)base64, BASE64_SIZE);
    lua_concat(L, 3);
    return 1;
}

/* --- the module table ------------------------------------------------------------ */

/* Those that ask the system: which one is their third upvalue. */
static const luaL_Reg system_functions[] = {
    { "now", core_now },
    { "pid", core_pid },
    { "drain", core_drain },
    { "hostname", core_hostname },
    { "random_hex", core_random_hex },
    { "client", zkl_new_client },
    { NULL, NULL },
};

static const luaL_Reg functions[] = {
    { "survive_broken_pipes", zkl_survive_broken_pipes },
    { "check_path", core_check_path },
    { "split_sequence", core_split_sequence },
    { "format_zxid", core_format_zxid },
    { "digest_id", core_digest_id },
    { "mix", core_mix },
    { "acl", zkl_encode_acl },
    { NULL, NULL },
};

static void push_words(lua_State *L)
{
    static const char *const words[] = {
#define X(word) #word,
        ZKL_WORDS(X)
#undef X
    };
    const int count = sizeof words / sizeof words[0];
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        lua_pushstring(L, words[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_codes(lua_State *L)
{
    static const struct {
        const char *name;
        int32_t number;
    } codes[] = {
#define X(name, number) { #name, (number) },
        ZKL_CODES(X)
#undef X
        { "TIMEOUT", ZKL_CODE_TIMEOUT },
        { "CANCELLED", ZKL_CODE_CANCELLED },
        { "NOTCONNECTED", ZKL_CODE_NOTCONNECTED },
        { "CLOSED", ZKL_CODE_CLOSED },
    };
    const size_t count = sizeof codes / sizeof codes[0];
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_pushinteger(L, codes[i].number);
        lua_setfield(L, -2, codes[i].name);
    }
}

/* What stands at `metatable` and above it are the two upvalues of every function. */
static void push_function(lua_State *L, int metatable, lua_CFunction function)
{
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushcclosure(L, function, 2);
}

static void set_functions(lua_State *L, int metatable, const luaL_Reg *list)
{
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    luaL_setfuncs(L, list, 2);
}

/* A method whose body runs protected: the body is its third upvalue. */
static void set_guarded(lua_State *L, int metatable, const char *name, lua_CFunction method,
                        lua_CFunction body)
{
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    push_function(L, metatable, body);
    lua_pushcclosure(L, method, 3);
    lua_setfield(L, -2, name);
}

/* Ends the metatable at `metatable` with the table of methods that is on the top. */
static void finish_metatable(lua_State *L, int metatable, const char *name, lua_CFunction gc)
{
    lua_setfield(L, metatable, "__index");
    lua_pushcfunction(L, gc);
    lua_setfield(L, metatable, "__gc");
    lua_pushstring(L, name);
    lua_setfield(L, metatable, "__name");
    lua_pushstring(L, name); /* hides __gc: nobody but the collector frees an object */
    lua_setfield(L, metatable, "__metatable");
}

static void fill_client(lua_State *L, int metatable)
{
    lua_newtable(L);
    set_functions(L, metatable, zkl_client_methods);
    set_functions(L, metatable, zkl_request_methods);
    set_guarded(L, metatable, "event", zkl_method_event, zkl_body_event);
    set_guarded(L, metatable, "output", zkl_method_output, zkl_body_output);
    finish_metatable(L, metatable, "zklua.core.Client", zkl_method_gc);
}

static void fill_server(lua_State *L, int metatable)
{
    lua_newtable(L);
    set_functions(L, metatable, zkl_server_methods);
    set_guarded(L, metatable, "output", zkl_method_server_output, zkl_body_server_output);
    finish_metatable(L, metatable, "zklua.core.Server", zkl_server_gc);
}

/* Pushes a module table; at `system` stands the holder of a simulated system, or nil. What is
 * made by its functions knows that system. */
static void push_module(lua_State *L, int metatable, int server_metatable, int system)
{
    lua_newtable(L);
    set_functions(L, metatable, functions);
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushvalue(L, system);
    luaL_setfuncs(L, system_functions, 3);
    lua_pushvalue(L, server_metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushvalue(L, system);
    lua_pushcclosure(L, zkl_new_server, 3);
    lua_setfield(L, -2, "server");
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushinteger(L, (lua_Integer)zkl_fork_count());
    lua_pushcclosure(L, core_forked, 3);
    lua_setfield(L, -2, "forked");
    push_codes(L);
    lua_setfield(L, -2, "codes");
    lua_pushstring(L, ZKLUA_VERSION);
    lua_setfield(L, -2, "_VERSION");
}

/* --- simulated systems --------------------------------------------------------------- */

static int collect_system(lua_State *L)
{
    struct zkl_system **holder = lua_touserdata(L, 1);
    zkl_system_release(*holder);
    *holder = NULL;
    return 0;
}

/* Pushes it. */
static struct zkl_system *new_system(lua_State *L, uint64_t seed)
{
    struct zkl_system **holder = zkl_new_userdata(L, sizeof *holder);
    *holder = NULL;
    lua_newtable(L);
    lua_pushcfunction(L, collect_system);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    *holder = zkl_system_new(seed);
    if (*holder == NULL) luaL_error(L, "not enough memory");
    return *holder;
}

static int64_t microseconds(lua_State *L, int index)
{
    lua_Number seconds = luaL_checknumber(L, index);
    luaL_argcheck(L, seconds >= 0 && seconds < 9e9, index, "out of range");
    return (int64_t)(seconds * 1e6 + 0.5);
}

static int core_set_time(lua_State *L)
{
    struct zkl_system *system = zkl_system_of(L);
    int64_t time_us = microseconds(L, 1), wall_us = microseconds(L, 2);
    luaL_argcheck(L, time_us >= system->now_us, 1, "this clock does not go back");
    system->now_us = time_us;
    system->wall_us = wall_us;
    return 0;
}

/* core.simulate(options); the third upvalue is the metatable of servers. */
static int core_simulate(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, ZKL_UPVALUE_METATABLE);
    int metatable = lua_gettop(L);
    lua_pushvalue(L, ZKL_UPVALUE_WORDS);
    lua_pushvalue(L, lua_upvalueindex(3));
    int server_metatable = lua_gettop(L);
    lua_getfield(L, 1, "seed");
    uint64_t seed = (uint64_t)zkl_arg_integer(L, (struct zkl_arg){ -1, "seed", 1, 0 }, 0,
                                              ZKL_EXACT_MAX, -1);
    lua_getfield(L, 1, "pid");
    int64_t pid = zkl_arg_integer(L, (struct zkl_arg){ -1, "pid", 1, 0 }, 1, INT32_MAX, 1);
    lua_getfield(L, 1, "hostname");
    struct zkl_arg arg = { lua_gettop(L), "hostname", 1, 0 };
    struct zkl_slice hostname = zkl_arg_string(L, arg);
    if (hostname.size >= ZKL_HOSTNAME_SIZE) zkl_arg_refuse(L, arg, "is too long");
    struct zkl_system *system = new_system(L, seed);
    system->pid = (lua_Integer)pid;
    memcpy(system->hostname, hostname.base, hostname.size);
    int holder = lua_gettop(L);
    push_module(L, metatable, server_metatable, holder);
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushvalue(L, holder);
    lua_pushcclosure(L, core_set_time, 3);
    lua_setfield(L, -2, "set_time");
    lua_pushnil(L);
    lua_setfield(L, -2, "drain"); /* there is no socket, and its time would never be over */
    return 1;
}

int luaopen_zklua_core(lua_State *L);

int luaopen_zklua_core(lua_State *L)
{
    zkl_check_version(L);
    zkl_watch_forks();
    lua_newtable(L);
    int metatable = lua_gettop(L);
    push_words(L);
    fill_client(L, metatable);
    lua_newtable(L);
    int server_metatable = lua_gettop(L);
    lua_pushvalue(L, metatable + 1);
    fill_server(L, server_metatable);
    lua_pushnil(L);
    push_module(L, metatable, server_metatable, lua_gettop(L));
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushvalue(L, server_metatable);
    lua_pushcclosure(L, core_simulate, 3);
    lua_setfield(L, -2, "simulate");
    return 1;
}
