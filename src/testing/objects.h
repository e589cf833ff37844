/* What the objects of specs have in common: methods, and an allocator of their own that comes
 * first in their block. */
#ifndef ZKLUA_TESTING_OBJECTS_H
#define ZKLUA_TESTING_OBJECTS_H

#include "testing/allocator.h"

/* The metatable of a kind of objects, once per Lua state. */
void zkl_testing_define(lua_State *L, const char *metatable, const luaL_Reg *methods,
                        lua_CFunction collect);
/* Gives the block at the top of the stack its metatable; returns 1. */
int zkl_testing_push_object(lua_State *L, const char *metatable);
/* Methods: memory() and fail(from, to). */
int zkl_testing_object_memory(lua_State *L);
int zkl_testing_object_fail(lua_State *L);

#endif
