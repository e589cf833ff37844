/* What the objects of specs have in common: see objects.h. */
#include "testing/objects.h"

int zkl_testing_push_object(lua_State *L, const char *metatable)
{
    luaL_getmetatable(L, metatable);
    lua_setmetatable(L, -2);
    return 1;
}

void zkl_testing_define(lua_State *L, const char *metatable, const luaL_Reg *methods,
                        lua_CFunction collect)
{
    luaL_newmetatable(L, metatable);
    lua_newtable(L);
    for (; methods->name != NULL; methods++) {
        lua_pushcfunction(L, methods->func);
        lua_setfield(L, -2, methods->name);
    }
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, collect);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}

int zkl_testing_object_memory(lua_State *L)
{
    return zkl_testing_push_memory(L, lua_touserdata(L, 1));
}

int zkl_testing_object_fail(lua_State *L)
{
    struct zkl_testing_allocator *allocator = lua_touserdata(L, 1);
    allocator->requests = 0;
    zkl_testing_set_failure(L, 2, allocator);
    return 0;
}
