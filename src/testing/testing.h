/* What the files of the test-only module share. The module lets specs reach C
 * internals; it is built beside the library and never installed. */
#ifndef ZKLUA_TESTING_H
#define ZKLUA_TESTING_H

#include <lauxlib.h>
#include <lua.h>
#include <stddef.h>
#include <stdint.h>

#if LUA_VERSION_NUM < 502
#define lua_rawlen lua_objlen
#endif

/* `size` bytes of which the last is the last before a page that may not be touched:
 * whoever reads or writes one byte too far ends the test run. The bytes are a copy of
 * `bytes`, or all 0xee where that is NULL. They live until the next call. */
uint8_t *zkl_testing_guarded(lua_State *L, const void *bytes, size_t size);

/* Each pushes one table; module.c has the list. */
int zkl_testing_open_acls(lua_State *L);
int zkl_testing_open_base(lua_State *L);
int zkl_testing_open_client(lua_State *L);
int zkl_testing_open_disk(lua_State *L);
int zkl_testing_open_decimal(lua_State *L);
int zkl_testing_open_host(lua_State *L);
int zkl_testing_open_prep(lua_State *L);
int zkl_testing_open_quota(lua_State *L);
int zkl_testing_open_server(lua_State *L);
int zkl_testing_open_sessions(lua_State *L);
int zkl_testing_open_tree(lua_State *L);
int zkl_testing_open_store(lua_State *L);
int zkl_testing_open_txn(lua_State *L);
int zkl_testing_open_watches(lua_State *L);
int zkl_testing_open_wire(lua_State *L);

#endif
