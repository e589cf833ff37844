/* Single fields of records from and to Lua tables. */
#include "testing/records.h"

struct zkl_slice zkl_testing_slice_field(lua_State *L, int index, const char *name)
{
    struct zkl_slice slice = { NULL, 0 };
    lua_getfield(L, index, name);
    if (lua_type(L, -1) == LUA_TSTRING) {
        slice.base = (const uint8_t *)lua_tolstring(L, -1, &slice.size);
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "field %s is not a string", name);
    }
    lua_pop(L, 1); /* the table keeps it */
    return slice;
}

int64_t zkl_testing_i64_field(lua_State *L, int index, const char *name)
{
    int64_t value = 0;
    lua_getfield(L, index, name);
    if (lua_type(L, -1) == LUA_TSTRING) {
        struct zkl_slice text;
        uint64_t bits;
        text.base = (const uint8_t *)lua_tolstring(L, -1, &text.size);
        if (!zkl_parse_hex(text, &bits)) luaL_error(L, "field %s is not hexadecimal", name);
        value = (int64_t)bits;
    } else if (lua_isnumber(L, -1)) {
        value = (int64_t)lua_tonumber(L, -1);
    } else if (!lua_isnil(L, -1)) {
        luaL_error(L, "field %s is not a number", name);
    }
    lua_pop(L, 1);
    return value;
}

int32_t zkl_testing_i32_field(lua_State *L, int index, const char *name)
{
    int64_t value = zkl_testing_i64_field(L, index, name);
    if (value < INT32_MIN || value > INT32_MAX) luaL_error(L, "field %s is too large", name);
    return (int32_t)value;
}

bool zkl_testing_bool_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    bool value = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return value;
}

void zkl_testing_set_slice(lua_State *L, const char *name, struct zkl_slice slice)
{
    if (slice.base == NULL) return;
    lua_pushlstring(L, (const char *)slice.base, slice.size);
    lua_setfield(L, -2, name);
}

void zkl_testing_set_i32(lua_State *L, const char *name, int32_t value)
{
    if (value == 0) return;
    lua_pushinteger(L, value);
    lua_setfield(L, -2, name);
}

void zkl_testing_set_i64(lua_State *L, const char *name, int64_t value)
{
    char text[ZKL_HEX_SIZE_MAX];
    if (value == 0) return;
    lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)value));
    lua_setfield(L, -2, name);
}

void zkl_testing_set_bool(lua_State *L, const char *name, bool value)
{
    if (!value) return;
    lua_pushboolean(L, 1);
    lua_setfield(L, -2, name);
}
