/* The few places where the C API of LuaJIT (5.1) and of Lua 5.4 differ. */
#ifndef ZKLUA_LUA_COMPAT_H
#define ZKLUA_LUA_COMPAT_H

#include <lauxlib.h>
#include <lua.h>

#if LUA_VERSION_NUM >= 504

#define zkl_new_userdata(L, size) lua_newuserdatauv((L), (size), 0)
#define zkl_check_version(L) luaL_checkversion(L)
#define ZKL_LUA_HAS_INT64 1

#else

#define zkl_new_userdata(L, size) lua_newuserdata((L), (size))
#define zkl_check_version(L) ((void)(L))
#define lua_rawlen(L, index) lua_objlen((L), (index))
#define ZKL_LUA_HAS_INT64 0

#endif

/* Whole numbers up to here are exact in a double. */
#define ZKL_EXACT_MAX (INT64_C(1) << 53)

#endif
