/* The records of zklua/wire.h from and to Lua tables.
 *
 * A table has the fields of the C struct under the same names. Strings: nil is the
 * protocol's null. 64-bit numbers: "0x..." in both directions, for LuaJIT has no exact
 * ones; reading from Lua takes plain numbers too. Vectors: lists, with false for the
 * null vector; a list of strings has false for a null string; the lists of a multi hold
 * records. A record that is pushed has all fields that are not zero. */
#ifndef ZKLUA_TESTING_RECORDS_H
#define ZKLUA_TESTING_RECORDS_H

#include "testing/testing.h"
#include "zklua/wire.h"

/* From the table at `index`. Slices borrow from its strings; encoded vectors are left
 * on the Lua stack, so that the record lives until the C function returns. */
void zkl_testing_to_request(lua_State *L, int index, struct zkl_request *request);
void zkl_testing_to_result(lua_State *L, int index, struct zkl_result *result);

/* Push one table. */
void zkl_testing_push_request(lua_State *L, const struct zkl_request *request);
void zkl_testing_push_result(lua_State *L, const struct zkl_result *result);

/* Single fields, also of the records that are read in wire.c. */
struct zkl_slice zkl_testing_slice_field(lua_State *L, int index, const char *name);
int32_t zkl_testing_i32_field(lua_State *L, int index, const char *name);
int64_t zkl_testing_i64_field(lua_State *L, int index, const char *name);
bool zkl_testing_bool_field(lua_State *L, int index, const char *name);
/* The encoded vector stays on the Lua stack. */
struct zkl_vector zkl_testing_acls_field(lua_State *L, int index, const char *name);
struct zkl_vector zkl_testing_strings_field(lua_State *L, int index, const char *name);
void zkl_testing_set_slice(lua_State *L, const char *name, struct zkl_slice slice);
void zkl_testing_set_i32(lua_State *L, const char *name, int32_t value);
void zkl_testing_set_i64(lua_State *L, const char *name, int64_t value);
void zkl_testing_set_bool(lua_State *L, const char *name, bool value);
void zkl_testing_set_acls(lua_State *L, const char *name, struct zkl_vector acls);
void zkl_testing_set_strings(lua_State *L, const char *name, struct zkl_vector strings);

#endif
