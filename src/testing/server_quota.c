/* Texts of quotas as specs see them; numbers are decimal text, -1 is none. */
#include <stdlib.h>

#include "base/decimal.h"
#include "server/prep.h"
#include "testing/records.h"

static void set_number(lua_State *L, const char *name, int64_t value)
{
    char text[ZKL_DECIMAL_SIZE_MAX];
    lua_pushlstring(L, text, zkl_format_decimal(text, value));
    lua_setfield(L, -2, name);
}

static int64_t get_number(lua_State *L, const char *name)
{
    int64_t value = -1;
    lua_getfield(L, 1, name);
    if (!lua_isnil(L, -1)) value = strtoll(luaL_checkstring(L, -1), NULL, 10);
    lua_pop(L, 1);
    return value;
}

/* parse(text) -> its numbers; nil: not a quota */
static int l_parse(lua_State *L)
{
    struct zkl_slice text;
    struct zkl_quota quota;
    const char *bytes = luaL_checklstring(L, 1, &text.size);
    text.base = zkl_testing_guarded(L, bytes, text.size);
    if (!zkl_quota_parse(text, &quota)) return 0;
    lua_newtable(L);
    set_number(L, "count", quota.count);
    set_number(L, "bytes", quota.bytes);
    set_number(L, "count_hard", quota.count_hard);
    set_number(L, "bytes_hard", quota.bytes_hard);
    return 1;
}

static int l_format(lua_State *L)
{
    struct zkl_quota quota = { get_number(L, "count"), get_number(L, "bytes"),
                               get_number(L, "count_hard"), get_number(L, "bytes_hard") };
    char *text = (char *)zkl_testing_guarded(L, NULL, ZKL_QUOTA_TEXT_MAX);
    lua_pushlstring(L, text, zkl_quota_format(&quota, text));
    return 1;
}

int zkl_testing_open_quota(lua_State *L)
{
    static const luaL_Reg FUNCTIONS[] = {
        { "parse", l_parse }, { "format", l_format }, { NULL, NULL },
    };
    lua_newtable(L);
    luaL_setfuncs(L, FUNCTIONS, 0);
    return 1;
}
