/* What the files of the binding share. Nothing in this folder calls Lua, waits or yields.
 *
 * Every C function of the module has the same two first upvalues: the metatable of its class
 * (of clients, where it is no method), so that checking `self` is one comparison, and the array
 * of words, so that the constant strings of the hot paths are pushed without hashing them again. */
#ifndef ZKLUA_LUA_BINDING_H
#define ZKLUA_LUA_BINDING_H

#include "lua/compat.h"
#include "lua/system.h"
#include "zklua/client.h"

#define ZKL_UPVALUE_METATABLE lua_upvalueindex(1)
#define ZKL_UPVALUE_WORDS lua_upvalueindex(2)
#define ZKL_UPVALUE_BODY lua_upvalueindex(3) /* event and output: what runs protected */
#define ZKL_UPVALUE_SYSTEM lua_upvalueindex(3) /* what asks the system: see zkl_system_of */

/* --- words ------------------------------------------------------------------ */

#define ZKL_WORDS(X) \
    /* events */ \
    X(connect) X(disconnect) X(state) X(reply) X(watch) X(end) \
    /* states and reasons */ \
    X(connecting) X(connected) X(readonly) X(disconnected) X(expired) X(authfailed) X(closed) \
    X(none) X(driver) X(timeout) X(refused) X(protocol) X(nomem) X(expired_here) X(auth) \
    X(rebalance) X(close) \
    /* watch types */ \
    X(created) X(deleted) X(changed) X(children) X(gap) \
    /* stat */ \
    X(czxid) X(mzxid) X(pzxid) X(ctime) X(mtime) X(version) X(cversion) X(aversion) \
    X(ephemeral_owner) X(data_length) X(children_count) X(null) \
    /* results */ \
    X(op) X(path) X(stat) X(data) X(code) X(create) X(delete) X(set) X(get) X(check) X(error) \
    X(perms) X(scheme) X(id) X(user)

enum zkl_word {
    ZKL_WORD_NONE, /* Lua's arrays begin at 1 */
#define X(word) ZKL_WORD_##word,
    ZKL_WORDS(X)
#undef X
};

static inline void zkl_push_word(lua_State *L, enum zkl_word word)
{
    (void)lua_rawgeti(L, ZKL_UPVALUE_WORDS, (int)word);
}

/* --- metrics ---------------------------------------------------------------- */

#define ZKL_SLOTS(X) \
    X(create) X(delete) X(set) X(get) X(exists) X(children) X(get_acl) X(set_acl) X(sync) \
    X(count) X(ephemerals) X(whoami) X(add_watch) X(add_auth) X(config) X(reconfig) X(multi) \
    X(multi_read)

enum zkl_slot {
#define X(name) ZKL_SLOT_##name,
    ZKL_SLOTS(X)
#undef X
    ZKL_SLOT_COUNT
};

enum { ZKL_LATENCY_BUCKETS = 32 };

/* One row per operation. Bucket 0 counts what took less than 1 us, bucket i what took
 * 2^(i-1) us or more and less than 2^i, the last one also all that took longer. */
struct zkl_metrics {
    struct {
        uint64_t count, errors, sum_us;
        uint64_t buckets[ZKL_LATENCY_BUCKETS];
    } slots[ZKL_SLOT_COUNT];
};

/* What a request carries to its reply: when it was submitted, and as what. */
uint64_t zkl_metrics_tag(enum zkl_slot slot, int64_t now_us);
void zkl_metrics_record(struct zkl_metrics *metrics, uint64_t tag, bool failed, int64_t now_us);
/* Pushes a table of the slots that were used. */
void zkl_metrics_push(lua_State *L, const struct zkl_metrics *metrics);

/* --- clients ---------------------------------------------------------------- */

/* Counts what a client holds. Tests make the limit-th allocation and all after it fail. */
struct zkl_meter {
    size_t bytes;
    uint64_t allocations;
    uint64_t allocation_limit; /* 0: none */
};
struct zkl_allocator zkl_meter_allocator(struct zkl_meter *meter);

/* The userdata. */
struct zkl_binding {
    struct zkl_client *core; /* NULL once collected */
    struct zkl_system *system;
    struct zkl_meter meter;
    unsigned forks;     /* of this process when the client was made */
    bool busy;          /* inside event or output: see zkl_check_driver */
    bool inexact;       /* a number met that this Lua cannot hold: see zkl_push_event */
    size_t request_size_max;
    uint8_t *scratch;   /* multi is encoded here, reused */
    size_t scratch_size;
    struct zkl_metrics metrics;
    size_t chroot_size;
    uint8_t chroot[];   /* of the paths inside a multi; the core has the others' */
};

/* `self` of a method: raises unless it is a client, alive and of this process. */
struct zkl_binding *zkl_check_client(lua_State *L);
/* The same for the calls that release what event or output are looking at. Making a Lua
 * value can run finalizers, and a finalizer can call anything. */
struct zkl_binding *zkl_check_driver(lua_State *L);

int zkl_new_client(lua_State *L);
extern const luaL_Reg zkl_client_methods[];
extern const luaL_Reg zkl_request_methods[];
/* Event and output, whose bodies run protected: body = third upvalue. */
int zkl_method_event(lua_State *L);
int zkl_body_event(lua_State *L);
int zkl_method_output(lua_State *L);
int zkl_body_output(lua_State *L);
int zkl_method_gc(lua_State *L);

/* --- servers ---------------------------------------------------------------- */

int zkl_new_server(lua_State *L);
extern const luaL_Reg zkl_server_methods[];
int zkl_method_server_output(lua_State *L);
int zkl_body_server_output(lua_State *L);
int zkl_server_gc(lua_State *L);

/* --- arguments -------------------------------------------------------------- */

/* A value on the stack and how to name it in a complaint. */
struct zkl_arg {
    int index;
    const char *name;
    int argument;  /* it is this argument, or a part of it */
    int operation; /* > 0: of which operation in the list it is a field */
};
#define ZKL_ARG(index, name) ((struct zkl_arg){ (index), (name), (index), 0 })

_Noreturn void zkl_arg_refuse(lua_State *L, struct zkl_arg arg, const char *complaint);
struct zkl_slice zkl_arg_string(lua_State *L, struct zkl_arg arg);
/* nil is null. */
struct zkl_slice zkl_arg_bytes(lua_State *L, struct zkl_arg arg);
/* A whole number in min..max; nil is `fallback`, and refused where that is not in range. */
int64_t zkl_arg_integer(lua_State *L, struct zkl_arg arg, int64_t min, int64_t max,
                        int64_t fallback);
/* Seconds; nil and infinity are ZKL_NEVER. Rounded up to the millisecond. */
int64_t zkl_arg_time_ms(lua_State *L, struct zkl_arg arg);
/* What core.acl made; nil is world:anyone with all permissions. */
struct zkl_vector zkl_arg_acl(lua_State *L, struct zkl_arg arg);
/* Fills `hex` digits' worth of bytes; false: not that many hexadecimal digits. */
bool zkl_parse_password(struct zkl_slice hex, uint8_t password[ZKL_PASSWORD_SIZE]);
/* The list at `arg` as slices in a userdata, which is pushed; they borrow from the list. */
const struct zkl_slice *zkl_arg_endpoints(lua_State *L, struct zkl_arg arg, size_t *count);
/* core.acl: see lua/library/core.lua. */
int zkl_encode_acl(lua_State *L);

/* --- values ----------------------------------------------------------------- */

/* One event on its way to Lua. */
struct zkl_conversion {
    lua_State *L;
    struct zkl_binding *binding;
    bool inexact; /* a number was left out because this Lua would have rounded it */
};
/* Pushes the values of core.lua's event(); gives their count. */
int zkl_push_event(struct zkl_conversion *c, const struct zkl_event *event);
/* Pushes what a successful reply holds beside its xid and code. */
int zkl_push_result(struct zkl_conversion *c, const struct zkl_result *result);
void zkl_push_int64(struct zkl_conversion *c, int64_t value);
void zkl_push_slice(lua_State *L, struct zkl_slice slice);
void zkl_push_hex(lua_State *L, int64_t value);
void zkl_push_code(lua_State *L, int32_t code);
void zkl_push_state(lua_State *L, enum zkl_state state);
void zkl_push_hex_bytes(lua_State *L, const uint8_t *bytes, size_t size);

/* --- the system ---------------------------------------------------------------- */

/* Of the module table that the running function stands in. */
struct zkl_system *zkl_system_of(lua_State *L);

/* --- other functions of the module ------------------------------------------- */

/* broken_pipe.c: core.survive_broken_pipes */
int zkl_survive_broken_pipes(lua_State *L);

#endif
