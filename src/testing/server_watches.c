/* The server's table of watches as specs see it: connections are numbers from 1. */
#include "server/watches.h"

#include <string.h>

#include "testing/objects.h"

enum { CONNECTIONS = 64 };

struct watches_object {
    struct zkl_testing_allocator allocator;
    struct zkl_watches_table table;
    struct zkl_watch_list lists[CONNECTIONS];
};

static struct watches_object *to_watches(lua_State *L)
{
    return luaL_checkudata(L, 1, "zklua.testing.watches");
}

static struct zkl_watch_list *to_connection(lua_State *L)
{
    lua_Integer number = luaL_checkinteger(L, 2);
    luaL_argcheck(L, number >= 1 && number <= CONNECTIONS, 2, "no such connection");
    return &to_watches(L)->lists[number - 1];
}

static struct zkl_slice to_path(lua_State *L, int index)
{
    struct zkl_slice path;
    path.base = (const uint8_t *)luaL_checklstring(L, index, &path.size);
    return path;
}

static int watches_new(lua_State *L)
{
    struct watches_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    zkl_watches_table_init(&object->table, &hook, 5);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        /* Nobody looks into a connection: any address that tells them apart will do. */
        struct zkl_watch_list *list = &object->lists[i];
        zkl_watch_list_init(list, (struct zkl_connection *)(void *)list);
    }
    return zkl_testing_push_object(L, "zklua.testing.watches");
}

static int watches_free(lua_State *L)
{
    struct watches_object *object = to_watches(L);
    for (size_t i = 0; i < CONNECTIONS; i++) {
        zkl_watch_remove_all(&object->table, &object->lists[i]);
    }
    zkl_watches_table_free(&object->table);
    return zkl_testing_object_memory(L);
}

/* add(connection, path, kind); false: no memory, or too many */
static int watches_add(lua_State *L)
{
    /* The path is to be copied. */
    struct zkl_slice path = to_path(L, 3);
    path.base = zkl_testing_guarded(L, path.base, path.size);
    lua_pushboolean(L, zkl_watch_add(&to_watches(L)->table, to_connection(L), path,
                                     (uint32_t)luaL_checkinteger(L, 4)));
    return 1;
}

/* fill(connection, prefix, count, kinds): on prefix0, prefix1 ... so many paths; how many
 * watches were added before one was refused */
static int watches_fill(lua_State *L)
{
    struct watches_object *object = to_watches(L);
    struct zkl_watch_list *list = to_connection(L);
    uint32_t count = (uint32_t)luaL_checknumber(L, 4), kinds = (uint32_t)luaL_checkinteger(L, 5);
    char path[64];
    struct zkl_slice prefix = to_path(L, 3);
    size_t before = list->count;
    luaL_argcheck(L, prefix.size <= 40, 3, "too long");
    memcpy(path, prefix.base, prefix.size);
    for (uint32_t i = 0; i < count; i++) {
        char digits[ZKL_HEX_SIZE_MAX];
        size_t size = zkl_format_hex(digits, i);
        memcpy(path + prefix.size, digits, size);
        struct zkl_slice whole = { (const uint8_t *)path, prefix.size + size };
        for (uint32_t kind = 1; kind <= ZKL_WATCHES_RECURSIVE; kind *= 2) {
            if ((kinds & kind) && !zkl_watch_add(&object->table, list, whole, kind)) {
                count = i;
                break;
            }
        }
    }
    lua_pushnumber(L, (lua_Number)(list->count - before));
    return 1;
}

static int watches_remove(lua_State *L)
{
    lua_pushinteger(L, zkl_watch_remove(&to_watches(L)->table, to_connection(L), to_path(L, 3),
                                        (uint32_t)luaL_checkinteger(L, 4)));
    return 1;
}

static int watches_kinds(lua_State *L)
{
    lua_pushinteger(L, zkl_watches_kinds(&to_watches(L)->table, to_connection(L), to_path(L, 3)));
    return 1;
}

static int watches_remove_all(lua_State *L)
{
    zkl_watch_remove_all(&to_watches(L)->table, to_connection(L));
    return 0;
}

/* fire(event, path) -> the connections that are told, in that order */
static int watches_fire(lua_State *L)
{
    struct watches_object *object = to_watches(L);
    struct zkl_slice path = to_path(L, 3);
    struct zkl_firing firing;
    int index = 0;
    path.base = zkl_testing_guarded(L, path.base, path.size);
    lua_newtable(L);
    struct zkl_connection *connection =
        zkl_fire_first(&object->table, &firing, (int32_t)luaL_checkinteger(L, 2), path);
    for (; connection != NULL; connection = zkl_fire_next(&object->table, &firing)) {
        struct zkl_watch_list *list = (struct zkl_watch_list *)(void *)connection;
        lua_pushinteger(L, list - object->lists + 1);
        lua_rawseti(L, -2, ++index);
    }
    return 1;
}

/* Fires `count` times on one path; how many were told. */
static int watches_fire_often(lua_State *L)
{
    struct watches_object *object = to_watches(L);
    int32_t event = (int32_t)luaL_checkinteger(L, 2);
    struct zkl_slice path = to_path(L, 3);
    int64_t told = 0;
    for (int64_t count = (int64_t)luaL_checknumber(L, 4); count > 0; count--) {
        struct zkl_firing firing;
        struct zkl_connection *at = zkl_fire_first(&object->table, &firing, event, path);
        for (; at != NULL; at = zkl_fire_next(&object->table, &firing)) told++;
    }
    lua_pushnumber(L, (lua_Number)told);
    return 1;
}

/* counts() -> watches, paths, recursive ones; counts(connection) -> watches of it */
static int watches_counts(lua_State *L)
{
    const struct zkl_watches_table *table = &to_watches(L)->table;
    if (!lua_isnoneornil(L, 2)) {
        lua_pushnumber(L, (lua_Number)to_connection(L)->count);
        return 1;
    }
    lua_pushnumber(L, (lua_Number)table->entries.count);
    lua_pushnumber(L, (lua_Number)table->paths.count);
    lua_pushnumber(L, (lua_Number)table->kind_counts[ZKL_WATCHES_KIND_COUNT - 1]);
    return 3;
}

int zkl_testing_open_watches(lua_State *L)
{
    static const luaL_Reg TABLE[] = {
        { "add", watches_add }, { "fill", watches_fill }, { "remove", watches_remove },
        { "kinds", watches_kinds }, { "remove_all", watches_remove_all },
        { "fire", watches_fire }, { "fire_often", watches_fire_often },
        { "counts", watches_counts }, { "memory", zkl_testing_object_memory },
        { "fail", zkl_testing_object_fail }, { "free", watches_free }, { NULL, NULL },
    };
    zkl_testing_define(L, "zklua.testing.watches", TABLE, watches_free);
    lua_newtable(L);
    lua_pushcfunction(L, watches_new);
    lua_setfield(L, -2, "table");
    return 1;
}
