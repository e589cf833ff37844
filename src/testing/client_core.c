/* The calls of zklua/client.h for specs: the time is what the spec says, every block comes
 * from a counting allocator, and bytes that are fed lie against a guard page. */
#include <string.h>

#include "client/internal.h"
#include "testing/allocator.h"
#include "testing/client_testing.h"
#include "testing/records.h"

static const char METATABLE[] = "zklua.testing.client";

struct subject {
    struct zkl_client *client;
    struct zkl_testing_allocator allocator;
    int64_t now_ms;
};

static struct subject *check_subject(lua_State *L)
{
    struct subject *subject = luaL_checkudata(L, 1, METATABLE);
    if (subject->client == NULL) luaL_error(L, "the client was freed");
    return subject;
}

static int64_t to_time(lua_State *L, int index)
{
    lua_Number number = luaL_optnumber(L, index, -1);
    return number < 0 ? ZKL_NEVER : (int64_t)number;
}

static int push_time(lua_State *L, int64_t time_ms)
{
    if (time_ms == ZKL_NEVER) return 0;
    lua_pushnumber(L, (lua_Number)time_ms);
    return 1;
}

static struct zkl_slice to_slice(lua_State *L, int index)
{
    struct zkl_slice slice;
    slice.base = (const uint8_t *)luaL_checklstring(L, index, &slice.size);
    return slice;
}

/* --- new and free --------------------------------------------------------------- */

static size_t to_names(lua_State *L, int index, struct zkl_slice *names, size_t most)
{
    size_t count = lua_rawlen(L, index);
    if (count > most) count = most + 1;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (int)i + 1);
        names[i] = to_slice(L, -1);
        lua_pop(L, 1); /* the table keeps it */
    }
    return count;
}

/* new{ endpoints=, chroot=, timeout=, readonly=, seed=, session_id=, password=, reply_size_max=,
 *      request_size_max=, pending_max=, output_size_max=, watch_max=, now=, fail= }
 * nil, memory when the core gave NULL */
static int client_new(lua_State *L)
{
    static struct zkl_slice names[ZKL_ENDPOINTS_MAX + 1];
    struct subject *subject = lua_newuserdata(L, sizeof *subject);
    *subject = (struct subject) { .now_ms = zkl_testing_i64_field(L, 1, "now") };
    luaL_getmetatable(L, METATABLE);
    lua_setmetatable(L, -2);
    subject->allocator.fail_from = zkl_testing_i64_field(L, 1, "fail");
    subject->allocator.fail_to = subject->allocator.fail_from;
    struct zkl_client_options options = {
        .allocator = zkl_testing_hook(&subject->allocator),
        .seed = (uint64_t)zkl_testing_i64_field(L, 1, "seed"),
        .chroot = zkl_testing_slice_field(L, 1, "chroot"),
        .session_timeout_ms = zkl_testing_i32_field(L, 1, "timeout"),
        .readonly_allowed = zkl_testing_bool_field(L, 1, "readonly"),
        .session_id = zkl_testing_i64_field(L, 1, "session_id"),
        .reply_size_max = (size_t)zkl_testing_i64_field(L, 1, "reply_size_max"),
        .request_size_max = (size_t)zkl_testing_i64_field(L, 1, "request_size_max"),
        .pending_max = (size_t)zkl_testing_i64_field(L, 1, "pending_max"),
        .output_size_max = (size_t)zkl_testing_i64_field(L, 1, "output_size_max"),
        .watch_max = (size_t)zkl_testing_i64_field(L, 1, "watch_max"),
    };
    struct zkl_slice password = zkl_testing_slice_field(L, 1, "password");
    if (password.size == ZKL_PASSWORD_SIZE) {
        memcpy(options.session_password, password.base, ZKL_PASSWORD_SIZE);
    }
    lua_getfield(L, 1, "endpoints");
    options.endpoint_count = to_names(L, lua_gettop(L), names, ZKL_ENDPOINTS_MAX);
    options.endpoints = names;
    lua_pop(L, 1);
    subject->client = zkl_client_new(&options, subject->now_ms);
    if (subject->client != NULL) return 1;
    lua_pushnil(L);
    zkl_testing_push_memory(L, &subject->allocator);
    return 2;
}

/* Gives what is left of its memory: nothing, if all is well. */
static int client_free(lua_State *L)
{
    struct subject *subject = luaL_checkudata(L, 1, METATABLE);
    zkl_client_free(subject->client);
    subject->client = NULL;
    return zkl_testing_push_memory(L, &subject->allocator);
}

/* --- links ------------------------------------------------------------------------ */

static uint32_t to_link(lua_State *L)
{
    return (uint32_t)luaL_checknumber(L, 2);
}

static int client_connected(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_connected(subject->client, to_link(L), subject->now_ms);
    return 0;
}

static int client_disconnected(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_disconnected(subject->client, to_link(L), subject->now_ms);
    return 0;
}

static int client_feed(lua_State *L)
{
    struct subject *subject = check_subject(L);
    struct zkl_slice bytes = to_slice(L, 3);
    const uint8_t *guarded = zkl_testing_guarded(L, bytes.base, bytes.size);
    int status = zkl_client_feed(subject->client, to_link(L), guarded, bytes.size,
                                 subject->now_ms);
    lua_pushboolean(L, status == ZKL_OK);
    return 1;
}

/* What there is to write, not counted as sent yet; nil for nothing. */
static int client_output(lua_State *L)
{
    struct subject *subject = check_subject(L);
    struct zkl_slice bytes = zkl_client_output(subject->client, to_link(L));
    if (bytes.base == NULL) return 0;
    lua_pushlstring(L, (const char *)bytes.base, bytes.size);
    lua_pushlightuserdata(L, (void *)(uintptr_t)bytes.base);
    return 2;
}

static int client_sent(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_sent(subject->client, to_link(L), (size_t)luaL_checknumber(L, 3), subject->now_ms);
    return 0;
}

/* --- events and time ----------------------------------------------------------------- */

static int client_peek(lua_State *L)
{
    zkl_testing_push_event(L, zkl_client_peek_event(check_subject(L)->client));
    return 1;
}

static int client_pop(lua_State *L)
{
    zkl_client_pop_event(check_subject(L)->client);
    return 0;
}

static int client_event(lua_State *L)
{
    client_peek(L);
    return client_pop(L) + 1;
}

/* The time of all calls from here on. */
static int client_set_time(lua_State *L)
{
    check_subject(L)->now_ms = (int64_t)luaL_checknumber(L, 2);
    return 0;
}

static int client_tick(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_tick(subject->client, subject->now_ms);
    return 0;
}

static int client_deadline(lua_State *L)
{
    return push_time(L, zkl_client_deadline(check_subject(L)->client));
}

/* --- requests -------------------------------------------------------------------------- */

static const char *const STATUSES[] = { "OK", "NOMEM", "LIMIT", "ARGUMENT",
                                        "OFFLINE", "ENDED", "CORRUPT" };

/* submit(request, { deadline=, fail_fast=, user= }) */
static int client_submit(lua_State *L)
{
    struct subject *subject = check_subject(L);
    struct zkl_submit_options options = { .deadline_ms = ZKL_NEVER };
    if (lua_istable(L, 3)) {
        lua_getfield(L, 3, "deadline");
        options.deadline_ms = to_time(L, -1);
        lua_pop(L, 1);
        options.fail_fast = zkl_testing_bool_field(L, 3, "fail_fast");
        options.user = (uint64_t)zkl_testing_i64_field(L, 3, "user");
    }
    struct zkl_request request;
    zkl_testing_to_request(L, 2, &request);
    int32_t xid = 0;
    int status = zkl_client_submit(subject->client, subject->now_ms, &request, &options, &xid);
    if (status != ZKL_OK) {
        lua_pushnil(L);
        lua_pushstring(L, STATUSES[status]);
        return 2;
    }
    lua_pushinteger(L, xid);
    return 1;
}

static int client_cancel(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_cancel(subject->client, (int32_t)luaL_checknumber(L, 2), subject->now_ms);
    return 0;
}

static int client_unwatch(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_unwatch(subject->client, to_slice(L, 2), (uint32_t)luaL_checknumber(L, 3),
                       subject->now_ms);
    return 0;
}

static int client_close(lua_State *L)
{
    struct subject *subject = check_subject(L);
    zkl_client_close(subject->client, subject->now_ms, to_time(L, 2));
    return 0;
}

static int client_set_endpoints(lua_State *L)
{
    static struct zkl_slice names[ZKL_ENDPOINTS_MAX + 1];
    struct subject *subject = check_subject(L);
    size_t count = to_names(L, 2, names, ZKL_ENDPOINTS_MAX);
    int status = zkl_client_set_endpoints(subject->client, names, count, subject->now_ms);
    lua_pushstring(L, STATUSES[status]);
    return 1;
}

/* nil: outside of the chroot */
static int client_strip(lua_State *L)
{
    struct subject *subject = check_subject(L);
    struct zkl_slice path = to_slice(L, 2);
    if (!zkl_client_strip_chroot(subject->client, &path)) return 0;
    lua_pushlstring(L, (const char *)path.base, path.size);
    return 1;
}

/* --- to look at --------------------------------------------------------------------------- */

static int client_info(lua_State *L)
{
    struct zkl_client_info info;
    zkl_client_info(check_subject(L)->client, &info);
    const struct {
        const char *name;
        double value;
    } numbers[] = {
        { "timeout", info.session_timeout_ms },     { "valid_until", (double)info.valid_until_ms },
        { "endpoint", (double)info.endpoint },      { "pending", (double)info.pending_count },
        { "watches", (double)info.watch_count },    { "bytes_in", (double)info.bytes_in },
        { "bytes_out", (double)info.bytes_out },    { "frames_in", (double)info.frames_in },
        { "frames_out", (double)info.frames_out },  { "attempts", (double)info.attempts },
        { "attaches", (double)info.attaches },
    };
    lua_newtable(L);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        lua_pushnumber(L, numbers[i].value);
        lua_setfield(L, -2, numbers[i].name);
    }
    lua_pushstring(L, zkl_testing_state_name(info.state));
    lua_setfield(L, -2, "state");
    zkl_testing_set_i64(L, "session_id", info.session_id);
    zkl_testing_set_i64(L, "last_zxid", info.last_zxid);
    lua_pushlstring(L, (const char *)info.session_password, ZKL_PASSWORD_SIZE);
    lua_setfield(L, -2, "password");
    return 1;
}

static int client_memory(lua_State *L)
{
    return zkl_testing_push_memory(L, &check_subject(L)->allocator);
}

/* fail(from, to): these of the next allocations, counted from 1, fail */
static int client_fail(lua_State *L)
{
    struct subject *subject = check_subject(L);
    subject->allocator.requests = 0;
    zkl_testing_set_failure(L, 2, &subject->allocator);
    return 0;
}

/* The next request gets this xid: two billion requests later. */
static int client_set_next_xid(lua_State *L)
{
    check_subject(L)->client->pendings.next_xid = (int32_t)luaL_checknumber(L, 2);
    return 0;
}

int zkl_testing_open_client(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "connected", client_connected }, { "disconnected", client_disconnected },
        { "feed", client_feed },           { "output", client_output },
        { "sent", client_sent },           { "peek", client_peek },
        { "pop", client_pop },             { "event", client_event },
        { "set_time", client_set_time },   { "tick", client_tick },
        { "deadline", client_deadline },   { "submit", client_submit },
        { "cancel", client_cancel },       { "unwatch", client_unwatch },
        { "close", client_close },         { "set_endpoints", client_set_endpoints },
        { "strip", client_strip },         { "info", client_info },
        { "memory", client_memory },       { "fail", client_fail },
        { "free", client_free },           { "set_next_xid", client_set_next_xid },
        { NULL, NULL },
    };
    luaL_newmetatable(L, METATABLE);
    lua_newtable(L);
    for (const luaL_Reg *method = methods; method->name != NULL; method++) {
        lua_pushcfunction(L, method->func);
        lua_setfield(L, -2, method->name);
    }
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, client_free);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, client_new);
    lua_setfield(L, -2, "new");
    lua_pushcfunction(L, zkl_testing_client_bench);
    lua_setfield(L, -2, "bench");
    return 1;
}
