/* Decimal numbers as specs see them. */
#include "base/decimal.h"

#include "testing/testing.h"

/* canonical(text) -> the same number as it is written by us; nil: not a number of 64 bits */
static int l_canonical(lua_State *L)
{
    struct zkl_slice text;
    int64_t value;
    const char *bytes = luaL_checklstring(L, 1, &text.size);
    text.base = zkl_testing_guarded(L, bytes, text.size);
    if (!zkl_parse_decimal(text, &value)) return 0;
    char *formatted = (char *)zkl_testing_guarded(L, NULL, ZKL_DECIMAL_SIZE_MAX);
    lua_pushlstring(L, formatted, zkl_format_decimal(formatted, value));
    return 1;
}

int zkl_testing_open_decimal(lua_State *L)
{
    lua_newtable(L);
    lua_pushcfunction(L, l_canonical);
    lua_setfield(L, -2, "canonical");
    return 1;
}
