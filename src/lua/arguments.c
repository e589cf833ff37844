/* What callers hand over: checked here once, by type, range and name, so that the rest of the
 * binding works with plain C values. Strings are not made of numbers, numbers not of strings. */
#include "lua/binding.h"

#include <string.h>

void zkl_arg_refuse(lua_State *L, struct zkl_arg arg, const char *complaint)
{
    const char *text = arg.operation == 0
        ? lua_pushfstring(L, "%s: %s", arg.name, complaint)
        : lua_pushfstring(L, "operation %d: %s: %s", arg.operation, arg.name, complaint);
    luaL_argerror(L, arg.argument, text);
    zkl_assert_failed("luaL_argerror does not return", __FILE__, __LINE__);
}

static void refuse_type(lua_State *L, struct zkl_arg arg, const char *expected)
{
    zkl_arg_refuse(L, arg, lua_pushfstring(L, "%s expected, got %s", expected,
                                           luaL_typename(L, arg.index)));
}

struct zkl_slice zkl_arg_string(lua_State *L, struct zkl_arg arg)
{
    struct zkl_slice slice;
    if (lua_type(L, arg.index) != LUA_TSTRING) refuse_type(L, arg, "string");
    slice.base = (const uint8_t *)lua_tolstring(L, arg.index, &slice.size);
    return slice;
}

struct zkl_slice zkl_arg_bytes(lua_State *L, struct zkl_arg arg)
{
    if (lua_isnoneornil(L, arg.index)) return (struct zkl_slice){ NULL, 0 };
    return zkl_arg_string(L, arg);
}

int64_t zkl_arg_integer(lua_State *L, struct zkl_arg arg, int64_t min, int64_t max,
                        int64_t fallback)
{
    if (lua_isnoneornil(L, arg.index) && fallback >= min && fallback <= max) return fallback;
    if (lua_type(L, arg.index) != LUA_TNUMBER) refuse_type(L, arg, "number");
#if ZKL_LUA_HAS_INT64
    if (lua_isinteger(L, arg.index)) {
        int64_t integer = lua_tointeger(L, arg.index);
        if (integer < min || integer > max) zkl_arg_refuse(L, arg, "out of range");
        return integer;
    }
#endif
    double number = lua_tonumber(L, arg.index);
    /* Beyond 2^53 a double may already be a rounded one: refused, like a fraction or NaN. */
    if (!(number >= -(double)ZKL_EXACT_MAX && number <= (double)ZKL_EXACT_MAX)) {
        zkl_arg_refuse(L, arg, "out of range");
    }
    int64_t value = (int64_t)number;
    if ((double)value != number) zkl_arg_refuse(L, arg, "whole number expected");
    if (value < min || value > max) zkl_arg_refuse(L, arg, "out of range");
    return value;
}

int64_t zkl_arg_time_ms(lua_State *L, struct zkl_arg arg)
{
    if (lua_isnoneornil(L, arg.index)) return ZKL_NEVER;
    if (lua_type(L, arg.index) != LUA_TNUMBER) refuse_type(L, arg, "number");
    double time_ms = lua_tonumber(L, arg.index) * 1000.0;
    if (time_ms != time_ms) zkl_arg_refuse(L, arg, "is not a number");
    if (time_ms <= 0) return 0;
    if (time_ms >= (double)ZKL_EXACT_MAX) return ZKL_NEVER;
    int64_t whole_ms = (int64_t)time_ms;
    return (double)whole_ms < time_ms ? whole_ms + 1 : whole_ms;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool zkl_parse_password(struct zkl_slice hex, uint8_t password[ZKL_PASSWORD_SIZE])
{
    if (hex.size != (size_t)2 * ZKL_PASSWORD_SIZE) return false;
    for (size_t i = 0; i < ZKL_PASSWORD_SIZE; i++) {
        int high = hex_digit(hex.base[2 * i]), low = hex_digit(hex.base[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        password[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

const struct zkl_slice *zkl_arg_endpoints(lua_State *L, struct zkl_arg arg, size_t *count)
{
    if (lua_type(L, arg.index) != LUA_TTABLE) refuse_type(L, arg, "table");
    *count = lua_rawlen(L, arg.index);
    if (*count == 0) zkl_arg_refuse(L, arg, "at least one is needed");
    if (*count > ZKL_ENDPOINTS_MAX) zkl_arg_refuse(L, arg, "too many");
    struct zkl_slice *slices = zkl_new_userdata(L, *count * sizeof *slices);
    for (size_t i = 0; i < *count; i++) {
        lua_rawgeti(L, arg.index, (int)i + 1);
        if (lua_type(L, -1) != LUA_TSTRING || lua_rawlen(L, -1) == 0) {
            zkl_arg_refuse(L, arg, "every entry must be a string \"host:port\"");
        }
        slices[i].base = (const uint8_t *)lua_tolstring(L, -1, &slices[i].size);
        lua_pop(L, 1); /* the list keeps it */
    }
    return slices;
}

/* --- access control lists ---------------------------------------------------- */

/* An encoded list is its count and its elements as they travel, held in a string. */
enum { COUNT_SIZE = 4 };

static uint32_t read_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

/* A string from elsewhere may be passed where an encoded list belongs, and walking a vector
 * trusts it: look before. */
static bool is_encoded_acl(struct zkl_slice bytes)
{
    if (bytes.size < COUNT_SIZE) return false;
    uint32_t count = read_u32(bytes.base);
    const uint8_t *at = bytes.base + COUNT_SIZE;
    size_t left = bytes.size - COUNT_SIZE;
    for (uint32_t i = 0; i < count; i++) {
        if (left < 4) return false;
        at += 4;
        left -= 4;
        for (int field = 0; field < 2; field++) { /* scheme, id */
            if (left < 4) return false;
            uint32_t size = read_u32(at);
            if (size > left - 4) return false;
            at += 4 + size;
            left -= 4 + size;
        }
    }
    return left == 0 && count > 0 && count <= INT32_MAX;
}

struct zkl_vector zkl_arg_acl(lua_State *L, struct zkl_arg arg)
{
    static const uint8_t open[] = "\0\0\0\1\0\0\0\37\0\0\0\5world\0\0\0\6anyone";
    struct zkl_slice bytes = { open, sizeof open - 1 };
    if (!lua_isnoneornil(L, arg.index)) {
        bytes = zkl_arg_string(L, arg);
        if (!is_encoded_acl(bytes)) zkl_arg_refuse(L, arg, "not a list made by core.acl");
    }
    struct zkl_vector acl = { bytes.base + COUNT_SIZE, bytes.size - COUNT_SIZE,
                              (int32_t)read_u32(bytes.base) };
    return acl;
}

/* Bits, or letters of "rwcda"; 0 when it is neither (an entry that permits nothing is none). */
static int32_t permissions_at(lua_State *L, int index)
{
    static const char letters[] = "rwcda"; /* in the order of the bits */
    int32_t permissions = 0;
    if (lua_type(L, index) == LUA_TNUMBER) {
        double number = lua_tonumber(L, index);
        for (int32_t i = 1; i <= ZKL_ALL; i++) {
            if (number == (double)i) return i;
        }
        return 0;
    }
    if (lua_type(L, index) != LUA_TSTRING) return 0;
    size_t size;
    const char *text = lua_tolstring(L, index, &size);
    for (size_t i = 0; i < size; i++) {
        const char *letter = memchr(letters, text[i], sizeof letters - 1);
        if (letter == NULL) return 0;
        permissions |= 1 << (letter - letters);
    }
    return permissions;
}

/* Reads the entry at the top of the stack, which keeps the strings alive; NULL, or what is
 * wrong with it. Allocates nothing, so nothing can change the list meanwhile. */
static const char *read_acl_entry(lua_State *L, struct zkl_acl *acl)
{
    if (lua_type(L, -1) != LUA_TTABLE) return "must be a table";
    zkl_push_word(L, ZKL_WORD_perms);
    lua_rawget(L, -2);
    acl->permissions = permissions_at(L, -1);
    zkl_push_word(L, ZKL_WORD_scheme);
    lua_rawget(L, -3);
    zkl_push_word(L, ZKL_WORD_id);
    lua_rawget(L, -4);
    if (acl->permissions == 0) return "perms must be 1..31 or letters of \"rwcda\"";
    if (lua_type(L, -2) != LUA_TSTRING) return "scheme must be a string";
    if (lua_type(L, -1) != LUA_TSTRING) return "id must be a string";
    acl->scheme.base = (const uint8_t *)lua_tolstring(L, -2, &acl->scheme.size);
    acl->id.base = (const uint8_t *)lua_tolstring(L, -1, &acl->id.size);
    lua_pop(L, 3);
    return acl->scheme.size == 0 ? "scheme is empty" : NULL;
}

int zkl_encode_acl(lua_State *L)
{
    struct zkl_writer writer = { NULL, 0, 0 };
    luaL_checktype(L, 1, LUA_TTABLE);
    size_t count = lua_rawlen(L, 1);
    if (count == 0 || count > ZKL_REQUEST_SIZE_MAX_DEFAULT) {
        lua_pushnil(L);
        lua_pushstring(L, count == 0 ? "an ACL needs at least one entry" : "too many entries");
        return 2;
    }
    for (int pass = 0; pass < 2; pass++) { /* measure, then write */
        if (pass == 1) {
            writer.capacity = writer.size;
            writer.base = zkl_new_userdata(L, writer.capacity);
            writer.size = 0;
        }
        for (int shift = 24; shift >= 0; shift -= 8) {
            if (pass == 1) writer.base[writer.size] = (uint8_t)(count >> shift);
            writer.size++;
        }
        for (size_t i = 1; i <= count; i++) {
            struct zkl_acl acl;
            lua_rawgeti(L, 1, (int)i);
            const char *complaint = read_acl_entry(L, &acl);
            if (complaint != NULL) {
                lua_pushnil(L);
                lua_pushfstring(L, "ACL entry %d: %s", (int)i, complaint);
                return 2;
            }
            zkl_write_acl(&writer, &acl);
            lua_pop(L, 1);
        }
    }
    /* Making the buffer may have run a finalizer. */
    if (!zkl_writer_fits(&writer)) return luaL_error(L, "the ACL changed while it was read");
    lua_pushlstring(L, (const char *)writer.base, writer.size);
    return 1;
}
