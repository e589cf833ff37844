/* require "zklua.core": the module table, and what the core needs of the system (clock, random
 * bytes, process identity, hashes). */
#define _GNU_SOURCE

#include "lua/binding.h"

#include <errno.h>
#include <openssl/evp.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "zklua: %s:%d: this must hold and does not: %s\n", file, line, expression);
    abort();
}

/* --- the system ---------------------------------------------------------------- */

static int64_t clock_ns(void)
{
    struct timespec now;
    int status = clock_gettime(CLOCK_BOOTTIME, &now);
    ZKL_ASSERT(status == 0);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t zkl_clock_us(void)
{
    return clock_ns() / 1000;
}

int64_t zkl_wall_ms(void)
{
    struct timespec now;
    int status = clock_gettime(CLOCK_REALTIME, &now);
    ZKL_ASSERT(status == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Counted in the child of each fork, where one thread runs: no lock. It only ever differs from
 * what a client remembers in a process that did not make that client. */
static volatile unsigned fork_count;

static void count_fork(void)
{
    fork_count++;
}

static void watch_forks(void)
{
    int status = pthread_atfork(NULL, NULL, count_fork);
    ZKL_ASSERT(status == 0);
}

unsigned zkl_fork_count(void)
{
    return fork_count;
}

bool zkl_random(void *bytes, size_t size)
{
    uint8_t *at = bytes;
    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += got;
        size -= (size_t)got;
    }
    return true;
}

/* --- functions ------------------------------------------------------------------ */

static int core_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_ns() / 1e9);
    return 1;
}

static int core_pid(lua_State *L)
{
    lua_pushinteger(L, getpid());
    return 1;
}

/* A socket that is closed with unread bytes resets its connection, and the peer may never see
 * what was written last. For a process that is about to end, without a loop to wait in. */
static int core_drain(lua_State *L)
{
    int socket = (int)luaL_checkinteger(L, 1);
    int64_t end_ms = zkl_clock_ms() + (int64_t)(luaL_checknumber(L, 2) * 1000);
    char dropped[4096];
    bool ended = false;
    int64_t left_ms;
    while (!ended && (left_ms = end_ms - zkl_clock_ms()) > 0) {
        struct pollfd readable = { socket, POLLIN, 0 };
        if (poll(&readable, 1, (int)left_ms) <= 0) continue;
        ssize_t size = recv(socket, dropped, sizeof dropped, MSG_DONTWAIT);
        ended = size == 0 || (size < 0 && errno != EAGAIN && errno != EINTR);
    }
    lua_pushboolean(L, ended);
    return 1;
}

static int core_hostname(lua_State *L)
{
    char name[256];
    if (gethostname(name, sizeof name) != 0) return luaL_error(L, "this host has no name");
    name[sizeof name - 1] = '\0';
    lua_pushstring(L, name);
    return 1;
}

static int core_random_hex(lua_State *L)
{
    uint8_t bytes[1024];
    size_t count = (size_t)zkl_arg_integer(L, ZKL_ARG(1, "count"), 0, sizeof bytes, -1);
    if (!zkl_random(bytes, count)) return luaL_error(L, "the system gives no random bytes");
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

static const luaL_Reg functions[] = {
    { "now", core_now },
    { "pid", core_pid },
    { "drain", core_drain },
    { "survive_broken_pipes", zkl_survive_broken_pipes },
    { "hostname", core_hostname },
    { "random_hex", core_random_hex },
    { "check_path", core_check_path },
    { "split_sequence", core_split_sequence },
    { "format_zxid", core_format_zxid },
    { "digest_id", core_digest_id },
    { "acl", zkl_encode_acl },
    { "client", zkl_new_client },
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

int luaopen_zklua_core(lua_State *L);

int luaopen_zklua_core(lua_State *L)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    zkl_check_version(L);
    pthread_once(&once, watch_forks);

    lua_newtable(L);
    int metatable = lua_gettop(L);
    push_words(L);
    fill_client(L, metatable);
    lua_newtable(L);
    int server_metatable = lua_gettop(L);
    lua_pushvalue(L, metatable + 1);
    fill_server(L, server_metatable);

    lua_newtable(L);
    set_functions(L, metatable, functions);
    lua_pushvalue(L, metatable);
    lua_pushvalue(L, metatable + 1);
    lua_pushinteger(L, (lua_Integer)zkl_fork_count());
    lua_pushcclosure(L, core_forked, 3);
    lua_setfield(L, -2, "forked");
    push_function(L, server_metatable, zkl_new_server);
    lua_setfield(L, -2, "server");
    push_codes(L);
    lua_setfield(L, -2, "codes");
    lua_pushstring(L, ZKLUA_VERSION);
    lua_setfield(L, -2, "_VERSION");
    return 1;
}
