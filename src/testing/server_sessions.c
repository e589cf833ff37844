/* The table of sessions as specs see it, and their passwords. Ids are hexadecimal text. */
#include "server/sessions.h"

#include <string.h>

#include "testing/objects.h"
#include "testing/records.h"
#include "testing/server_testing.h"

struct sessions_object {
    struct zkl_testing_allocator allocator;
    struct zkl_sessions sessions;
};

static struct zkl_sessions *to_sessions(lua_State *L)
{
    return &((struct sessions_object *)luaL_checkudata(L, 1, "zklua.testing.sessions"))->sessions;
}

static int64_t to_id(lua_State *L, int index)
{
    struct zkl_slice text;
    uint64_t id;
    text.base = (const uint8_t *)luaL_checklstring(L, index, &text.size);
    luaL_argcheck(L, zkl_parse_hex(text, &id), index, "not hexadecimal");
    return (int64_t)id;
}

static void push_id(lua_State *L, int64_t id)
{
    char text[ZKL_HEX_SIZE_MAX];
    lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)id));
}

static int64_t to_ms(lua_State *L, int index)
{
    return (int64_t)luaL_checknumber(L, index);
}

static struct zkl_session *to_session(lua_State *L)
{
    struct zkl_session *session = zkl_sessions_find(to_sessions(L), to_id(L, 2));
    luaL_argcheck(L, session != NULL, 2, "no such session");
    return session;
}

/* table{ tick, max, server_id, keep, fails }; nil: no memory */
static int sessions_new(lua_State *L)
{
    struct zkl_server_options options = {
        .tick_time_ms = zkl_testing_i32_field(L, 1, "tick"),
        .session_timeout_max_ms = zkl_testing_i32_field(L, 1, "max"),
        .server_id = (uint8_t)zkl_testing_i32_field(L, 1, "server_id"),
        .sessions_keep = zkl_testing_bool_field(L, 1, "keep"),
        .seed = 11,
    };
    bool fails = zkl_testing_bool_field(L, 1, "fails");
    struct sessions_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    if (fails) object->allocator.fail_from = object->allocator.fail_to = 1;
    if (!zkl_sessions_init(&object->sessions, &hook, &options)) return 0;
    return zkl_testing_push_object(L, "zklua.testing.sessions");
}

static int sessions_free(lua_State *L)
{
    zkl_sessions_free(to_sessions(L));
    return zkl_testing_object_memory(L);
}

/* begin(server_id, wall_ms) */
static int sessions_begin(lua_State *L)
{
    struct zkl_clock clock = { .wall_ms = to_ms(L, 3) };
    zkl_sessions_begin(to_sessions(L), (uint8_t)luaL_checkinteger(L, 2), clock);
    return 0;
}

static int sessions_take_id(lua_State *L)
{
    push_id(L, zkl_sessions_take_id(to_sessions(L)));
    return 1;
}

/* insert(id, timeout_ms, now_ms); false: no memory */
static int sessions_insert(lua_State *L)
{
    struct zkl_session *session = zkl_sessions_reserve(to_sessions(L), 0);
    lua_pushboolean(L, session != NULL);
    if (session != NULL) {
        zkl_sessions_insert(to_sessions(L), session, to_id(L, 2), (int32_t)to_ms(L, 3),
                            to_ms(L, 4));
    }
    return 1;
}

/* insert_many(count, timeout_ms, now_ms, failing): reserves all, makes memory fail if asked to,
 * then inserts all under new ids. Gives how many could be reserved. */
static int sessions_insert_many(lua_State *L)
{
    struct zkl_sessions *sessions = to_sessions(L);
    struct sessions_object *object = lua_touserdata(L, 1);
    size_t count = (size_t)luaL_checknumber(L, 2), reserved = 0;
    struct zkl_session **list = lua_newuserdata(L, (count + 1) * sizeof list[0]);
    while (reserved < count &&
           (list[reserved] = zkl_sessions_reserve(sessions, reserved)) != NULL) {
        reserved++;
    }
    if (lua_toboolean(L, 5)) object->allocator.fail_from = 1, object->allocator.fail_to = INT64_MAX;
    for (size_t i = 0; i < reserved; i++) {
        zkl_sessions_insert(sessions, list[i], zkl_sessions_take_id(sessions),
                            (int32_t)to_ms(L, 3), to_ms(L, 4));
    }
    object->allocator.fail_from = object->allocator.fail_to = 0;
    lua_pushnumber(L, (lua_Number)reserved);
    return 1;
}

/* reserve() and release() at once; false: no memory */
static int sessions_reserve(lua_State *L)
{
    struct zkl_session *session = zkl_sessions_reserve(to_sessions(L), 0);
    lua_pushboolean(L, session != NULL);
    if (session != NULL) zkl_sessions_release(to_sessions(L), session);
    return 1;
}

static int sessions_remove(lua_State *L)
{
    zkl_sessions_remove(to_sessions(L), to_session(L));
    return 0;
}

/* touch(id, now_ms, timeout_ms or nil) */
static int sessions_touch(lua_State *L)
{
    struct zkl_session *session = to_session(L);
    if (!lua_isnoneornil(L, 4)) session->timeout_ms = (int32_t)to_ms(L, 4);
    zkl_sessions_touch(to_sessions(L), session, to_ms(L, 3));
    return 0;
}

/* Touches every session `rounds` times, one after the other. */
static int sessions_touch_all(lua_State *L)
{
    struct zkl_sessions *sessions = to_sessions(L);
    int64_t now_ms = to_ms(L, 2), touched = 0, wanted = to_ms(L, 3);
    while (touched < wanted && sessions->map.count > 0) {
        struct zkl_map_node *node = zkl_map_each(&sessions->map, NULL);
        for (; node != NULL && touched < wanted; node = zkl_map_each(&sessions->map, node)) {
            struct zkl_session *session = ZKL_LIST_ELEMENT(node, struct zkl_session, entry);
            zkl_sessions_touch(sessions, session, now_ms + touched);
            touched++;
        }
    }
    return 0;
}

static int sessions_set_closing(lua_State *L)
{
    to_session(L)->closing = true;
    return 0;
}

/* find(id) -> timeout_ms, logged_timeout_ms, expires_ms */
static int sessions_find(lua_State *L)
{
    const struct zkl_session *session = zkl_sessions_find(to_sessions(L), to_id(L, 2));
    if (session == NULL) return 0;
    lua_pushinteger(L, session->timeout_ms);
    lua_pushinteger(L, session->logged_timeout_ms);
    lua_pushnumber(L, (lua_Number)zkl_session_expires_ms(to_sessions(L), session));
    return 3;
}

static int sessions_next_expired(lua_State *L)
{
    const struct zkl_session *session = zkl_sessions_next_expired(to_sessions(L), to_ms(L, 2));
    if (session == NULL) return 0;
    push_id(L, session->id);
    return 1;
}

/* nil: none */
static int sessions_deadline(lua_State *L)
{
    int64_t deadline_ms = zkl_sessions_deadline(to_sessions(L));
    if (deadline_ms == ZKL_NEVER) return 0;
    lua_pushnumber(L, (lua_Number)deadline_ms);
    return 1;
}

static int sessions_grant(lua_State *L)
{
    zkl_sessions_grant(to_sessions(L), to_ms(L, 2));
    return 0;
}

static int sessions_restart(lua_State *L)
{
    zkl_sessions_restart(to_sessions(L), to_ms(L, 2));
    return 0;
}

static int sessions_count(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)to_sessions(L)->map.count);
    return 1;
}

/* password(id, secret): nil: Apache's */
static int l_password(lua_State *L)
{
    struct zkl_server_options options = {
        .crypto.sha1 = zkl_testing_sha1, .apache_passwords = lua_isnoneornil(L, 2)
    };
    size_t size;
    const char *secret = luaL_optlstring(L, 2, "", &size);
    luaL_argcheck(L, size == 0 || size == sizeof options.secret, 2, "not 20 bytes");
    memcpy(options.secret, secret, size);
    uint8_t *password = zkl_testing_guarded(L, NULL, ZKL_PASSWORD_SIZE);
    zkl_session_password(&options, to_id(L, 1), password);
    lua_pushlstring(L, (const char *)password, ZKL_PASSWORD_SIZE);
    return 1;
}

/* password_equal(given or nil, password) */
static int l_password_equal(lua_State *L)
{
    struct zkl_slice given = { NULL, 0 };
    if (!lua_isnil(L, 1)) {
        const char *bytes = luaL_checklstring(L, 1, &given.size);
        given.base = zkl_testing_guarded(L, bytes, given.size);
    }
    lua_pushboolean(L, zkl_session_password_equal(given, (const uint8_t *)lua_tostring(L, 2)));
    return 1;
}

int zkl_testing_open_sessions(lua_State *L)
{
    static const luaL_Reg TABLE[] = {
        { "begin", sessions_begin }, { "take_id", sessions_take_id },
        { "insert", sessions_insert }, { "insert_many", sessions_insert_many },
        { "reserve", sessions_reserve }, { "remove", sessions_remove },
        { "touch", sessions_touch }, { "touch_all", sessions_touch_all },
        { "set_closing", sessions_set_closing }, { "find", sessions_find },
        { "next_expired", sessions_next_expired }, { "deadline", sessions_deadline },
        { "grant", sessions_grant }, { "restart", sessions_restart },
        { "count", sessions_count }, { "memory", zkl_testing_object_memory },
        { "fail", zkl_testing_object_fail }, { "free", sessions_free }, { NULL, NULL },
    };
    static const luaL_Reg FUNCTIONS[] = {
        { "table", sessions_new }, { "password", l_password },
        { "password_equal", l_password_equal }, { NULL, NULL },
    };
    zkl_testing_define(L, "zklua.testing.sessions", TABLE, sessions_free);
    lua_newtable(L);
    luaL_setfuncs(L, FUNCTIONS, 0);
    return 1;
}
