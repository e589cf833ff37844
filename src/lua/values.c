/* Events as Lua values. The bytes come from a peer but the codec has checked them: walking a
 * vector cannot fail here. What can fail is memory, so nothing is taken off the client until
 * all values are made. */
#include "lua/binding.h"

void zkl_push_slice(lua_State *L, struct zkl_slice slice)
{
    lua_pushlstring(L, slice.base == NULL ? "" : (const char *)slice.base, slice.size);
}

void zkl_push_hex(lua_State *L, int64_t value)
{
    char text[ZKL_HEX_SIZE_MAX];
    lua_pushlstring(L, text, zkl_format_hex(text, (uint64_t)value));
}

void zkl_push_hex_bytes(lua_State *L, const uint8_t *bytes, size_t size)
{
    static const char digits[] = "0123456789abcdef";
    luaL_Buffer buffer;
    luaL_buffinit(L, &buffer);
    for (size_t i = 0; i < size; i++) {
        luaL_addchar(&buffer, digits[bytes[i] >> 4]);
        luaL_addchar(&buffer, digits[bytes[i] & 15]);
    }
    luaL_pushresult(&buffer);
}

/* Pushes nil for a number that this Lua would round, and notes it. */
void zkl_push_int64(struct zkl_conversion *c, int64_t value)
{
#if ZKL_LUA_HAS_INT64
    lua_pushinteger(c->L, value);
#else
    if (value < -ZKL_EXACT_MAX || value > ZKL_EXACT_MAX) {
        c->inexact = true;
        lua_pushnil(c->L);
    } else {
        lua_pushnumber(c->L, (lua_Number)value);
    }
#endif
}

void zkl_push_code(lua_State *L, int32_t code)
{
    const char *name;
    switch (code) {
    case ZKL_CODE_TIMEOUT: name = "TIMEOUT"; break;
    case ZKL_CODE_CANCELLED: name = "CANCELLED"; break;
    case ZKL_CODE_NOTCONNECTED: name = "NOTCONNECTED"; break;
    case ZKL_CODE_CLOSED: name = "CLOSED"; break;
    default: name = zkl_code_name(code); break;
    }
    if (name != NULL) {
        lua_pushstring(L, name);
    } else {
        lua_pushfstring(L, "ERROR(%d)", (int)code); /* a newer server may know more than we do */
    }
}

/* --- tables ------------------------------------------------------------------ */

static void set_int64(struct zkl_conversion *c, enum zkl_word key, int64_t value)
{
    zkl_push_word(c->L, key);
    zkl_push_int64(c, value);
    lua_rawset(c->L, -3);
}

static void set_int32(struct zkl_conversion *c, enum zkl_word key, int32_t value)
{
    zkl_push_word(c->L, key);
    lua_pushinteger(c->L, value);
    lua_rawset(c->L, -3);
}

static void set_slice(struct zkl_conversion *c, enum zkl_word key, struct zkl_slice value)
{
    zkl_push_word(c->L, key);
    zkl_push_slice(c->L, value);
    lua_rawset(c->L, -3);
}

static void set_word(struct zkl_conversion *c, enum zkl_word key, enum zkl_word value)
{
    zkl_push_word(c->L, key);
    zkl_push_word(c->L, value);
    lua_rawset(c->L, -3);
}

enum { STAT_FIELDS = 12 };

/* `data` is the slice that came with the stat, where one did. */
static void push_stat(struct zkl_conversion *c, const struct zkl_stat *stat,
                      const struct zkl_slice *data)
{
    lua_State *L = c->L;
    lua_createtable(L, 0, STAT_FIELDS);
    set_int64(c, ZKL_WORD_czxid, stat->czxid);
    set_int64(c, ZKL_WORD_mzxid, stat->mzxid);
    set_int64(c, ZKL_WORD_pzxid, stat->pzxid);
    set_int64(c, ZKL_WORD_ctime, stat->ctime_ms);
    set_int64(c, ZKL_WORD_mtime, stat->mtime_ms);
    set_int32(c, ZKL_WORD_version, stat->version);
    set_int32(c, ZKL_WORD_cversion, stat->cversion);
    set_int32(c, ZKL_WORD_aversion, stat->aversion);
    set_int32(c, ZKL_WORD_data_length, stat->data_length);
    set_int32(c, ZKL_WORD_children_count, stat->children_count);
    if (stat->ephemeral_owner != 0) {
        zkl_push_word(L, ZKL_WORD_ephemeral_owner);
        zkl_push_hex(L, stat->ephemeral_owner);
        lua_rawset(L, -3);
    }
    if (data != NULL && data->base == NULL) {
        zkl_push_word(L, ZKL_WORD_null);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
}

static int list_size(const struct zkl_vector *vector)
{
    return vector->count > 0 ? vector->count : 0; /* null is an empty list */
}

static void push_strings(lua_State *L, struct zkl_vector items)
{
    struct zkl_slice string;
    lua_createtable(L, list_size(&items), 0);
    for (int i = 1; zkl_vector_next_string(&items, &string); i++) {
        zkl_push_slice(L, string);
        lua_rawseti(L, -2, i);
    }
}

/* Server paths, by prefix of the text: those outside the chroot are not ours to see. */
static void push_ephemerals(struct zkl_conversion *c, struct zkl_vector items)
{
    struct zkl_slice path;
    int count = 0;
    lua_createtable(c->L, list_size(&items), 0);
    while (zkl_vector_next_string(&items, &path)) {
        if (!zkl_client_strip_chroot(c->binding->core, &path)) continue;
        zkl_push_slice(c->L, path);
        lua_rawseti(c->L, -2, ++count);
    }
}

static void push_acl(struct zkl_conversion *c, struct zkl_vector items)
{
    struct zkl_acl acl;
    lua_createtable(c->L, list_size(&items), 0);
    for (int i = 1; zkl_vector_next_acl(&items, &acl); i++) {
        lua_createtable(c->L, 0, 3);
        set_int32(c, ZKL_WORD_perms, acl.permissions);
        set_slice(c, ZKL_WORD_scheme, acl.scheme);
        set_slice(c, ZKL_WORD_id, acl.id);
        lua_rawseti(c->L, -2, i);
    }
}

static void push_client_ids(struct zkl_conversion *c, struct zkl_vector items)
{
    struct zkl_client_id id;
    lua_createtable(c->L, list_size(&items), 0);
    for (int i = 1; zkl_vector_next_client_id(&items, &id); i++) {
        lua_createtable(c->L, 0, 2);
        set_slice(c, ZKL_WORD_scheme, id.scheme);
        set_slice(c, ZKL_WORD_user, id.user);
        lua_rawseti(c->L, -2, i);
    }
}

/* --- results ----------------------------------------------------------------- */

static void set_stat(struct zkl_conversion *c, const struct zkl_result *result,
                     const struct zkl_slice *data)
{
    zkl_push_word(c->L, ZKL_WORD_stat);
    push_stat(c, &result->stat, data);
    lua_rawset(c->L, -3);
}

/* A server path, which is left as it is outside the chroot: no peer's word is dropped. */
static void set_server_path(struct zkl_conversion *c, struct zkl_slice path)
{
    (void)zkl_client_strip_chroot(c->binding->core, &path);
    set_slice(c, ZKL_WORD_path, path);
}

static void push_multi_result(struct zkl_conversion *c, const struct zkl_result *result)
{
    lua_State *L = c->L;
    lua_createtable(L, 0, 3);
    switch (result->op) {
    case ZKL_OP_CREATE:
        set_word(c, ZKL_WORD_op, ZKL_WORD_create);
        set_server_path(c, result->path);
        break;
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        set_word(c, ZKL_WORD_op, ZKL_WORD_create);
        set_server_path(c, result->path);
        set_stat(c, result, NULL);
        break;
    case ZKL_OP_GET_DATA:
        set_word(c, ZKL_WORD_op, ZKL_WORD_get);
        set_slice(c, ZKL_WORD_data, result->data);
        set_stat(c, result, &result->data);
        break;
    case ZKL_OP_GET_CHILDREN:
        set_word(c, ZKL_WORD_op, ZKL_WORD_children);
        zkl_push_word(L, ZKL_WORD_children);
        push_strings(L, result->items);
        lua_rawset(L, -3);
        break;
    case ZKL_OP_SET_DATA:
        set_word(c, ZKL_WORD_op, ZKL_WORD_set);
        set_stat(c, result, NULL);
        break;
    case ZKL_OP_DELETE:
        set_word(c, ZKL_WORD_op, ZKL_WORD_delete);
        break;
    case ZKL_OP_CHECK:
        set_word(c, ZKL_WORD_op, ZKL_WORD_check);
        break;
    default:
        ZKL_ASSERT(result->op == ZKL_OP_ERROR); /* the codec lets nothing else through */
        set_word(c, ZKL_WORD_op, ZKL_WORD_error);
        zkl_push_word(L, ZKL_WORD_code);
        zkl_push_code(L, result->number);
        lua_rawset(L, -3);
        break;
    }
}

/* Results, and the index of the operation that failed. Before it the server says OK, behind it
 * RUNTIMEINCONSISTENCY: neither is the cause. */
static int push_multi(struct zkl_conversion *c, struct zkl_vector items)
{
    lua_State *L = c->L;
    struct zkl_result result;
    int failed = 0;
    lua_createtable(L, list_size(&items), 0);
    for (int i = 1; zkl_multi_next_result(&items, &result); i++) {
        push_multi_result(c, &result);
        lua_rawseti(L, -2, i);
        if (failed == 0 && result.op == ZKL_OP_ERROR && result.number != ZKL_CODE_OK &&
            result.number != ZKL_CODE_RUNTIMEINCONSISTENCY) {
            failed = i;
        }
    }
    if (failed == 0) return 1;
    lua_pushinteger(L, failed);
    return 2;
}

int zkl_push_result(struct zkl_conversion *c, const struct zkl_result *result)
{
    lua_State *L = c->L;
    switch (result->op) {
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        zkl_push_slice(L, result->path);
        push_stat(c, &result->stat, NULL);
        return 2;
    case ZKL_OP_GET_DATA:
    case ZKL_OP_RECONFIG:
        zkl_push_slice(L, result->data);
        push_stat(c, &result->stat, &result->data);
        return 2;
    case ZKL_OP_EXISTS:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_SET_ACL:
        push_stat(c, &result->stat, NULL);
        return 1;
    case ZKL_OP_GET_CHILDREN2:
        push_strings(L, result->items);
        push_stat(c, &result->stat, NULL);
        return 2;
    case ZKL_OP_GET_ACL:
        push_acl(c, result->items);
        push_stat(c, &result->stat, NULL);
        return 2;
    case ZKL_OP_GET_EPHEMERALS:
        push_ephemerals(c, result->items);
        return 1;
    case ZKL_OP_WHO_AM_I:
        push_client_ids(c, result->items);
        return 1;
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
        lua_pushinteger(L, result->number);
        return 1;
    case ZKL_OP_SYNC:
        zkl_push_slice(L, result->path);
        return 1;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        return push_multi(c, result->items);
    default: /* delete, auth, addWatch: that it succeeded is all */
        return 0;
    }
}

/* --- events ------------------------------------------------------------------ */

void zkl_push_state(lua_State *L, enum zkl_state state)
{
    static const enum zkl_word words[] = {
        [ZKL_CONNECTING] = ZKL_WORD_connecting,     [ZKL_CONNECTED] = ZKL_WORD_connected,
        [ZKL_READONLY] = ZKL_WORD_readonly,         [ZKL_DISCONNECTED] = ZKL_WORD_disconnected,
        [ZKL_EXPIRED] = ZKL_WORD_expired,           [ZKL_AUTH_FAILED] = ZKL_WORD_authfailed,
        [ZKL_CLOSED] = ZKL_WORD_closed,
    };
    ZKL_ASSERT((size_t)state < sizeof words / sizeof words[0]);
    zkl_push_word(L, words[state]);
}

static void push_reason(lua_State *L, enum zkl_reason reason)
{
    static const enum zkl_word words[] = {
        [ZKL_REASON_NONE] = ZKL_WORD_none,
        [ZKL_REASON_DRIVER] = ZKL_WORD_driver,
        [ZKL_REASON_TIMEOUT] = ZKL_WORD_timeout,
        [ZKL_REASON_REFUSED] = ZKL_WORD_refused,
        [ZKL_REASON_PROTOCOL] = ZKL_WORD_protocol,
        [ZKL_REASON_NOMEM] = ZKL_WORD_nomem,
        [ZKL_REASON_EXPIRED] = ZKL_WORD_expired,
        [ZKL_REASON_EXPIRED_HERE] = ZKL_WORD_expired_here,
        [ZKL_REASON_AUTH] = ZKL_WORD_auth,
        [ZKL_REASON_REBALANCE] = ZKL_WORD_rebalance,
        [ZKL_REASON_CLOSE] = ZKL_WORD_close,
    };
    ZKL_ASSERT((size_t)reason < sizeof words / sizeof words[0]);
    zkl_push_word(L, words[reason]);
}

static void push_detail(lua_State *L, const char *detail)
{
    if (detail == NULL) {
        lua_pushnil(L);
    } else {
        lua_pushstring(L, detail);
    }
}

static void push_watch_type(lua_State *L, int32_t type)
{
    switch (type) {
    case ZKL_WATCH_CREATED: zkl_push_word(L, ZKL_WORD_created); return;
    case ZKL_WATCH_DELETED: zkl_push_word(L, ZKL_WORD_deleted); return;
    case ZKL_WATCH_CHANGED: zkl_push_word(L, ZKL_WORD_changed); return;
    case ZKL_WATCH_CHILDREN: zkl_push_word(L, ZKL_WORD_children); return;
    /* A type we do not know says that something has happened, not what: as a gap does. */
    default: zkl_push_word(L, ZKL_WORD_gap); return;
    }
}

static int push_reply(struct zkl_conversion *c, const struct zkl_event *event)
{
    lua_State *L = c->L;
    zkl_push_word(L, ZKL_WORD_reply);
    lua_pushinteger(L, event->xid);
    if (event->code != ZKL_CODE_OK) {
        zkl_push_code(L, event->code);
        return 3;
    }
    lua_pushnil(L);
    int count = zkl_push_result(c, &event->result);
    if (!c->inexact) return 3 + count;
    lua_pop(L, count + 1);
    lua_pushliteral(L, "LIMIT");
    return 3;
}

int zkl_push_event(struct zkl_conversion *c, const struct zkl_event *event)
{
    lua_State *L = c->L;
    switch (event->kind) {
    case ZKL_EVENT_CONNECT:
        zkl_push_word(L, ZKL_WORD_connect);
        lua_pushinteger(L, event->link);
        lua_pushinteger(L, (lua_Integer)event->endpoint + 1);
        lua_pushnumber(L, (lua_Number)event->not_before_ms / 1000.0);
        return 4;
    case ZKL_EVENT_DISCONNECT:
        zkl_push_word(L, ZKL_WORD_disconnect);
        lua_pushinteger(L, event->link);
        push_reason(L, event->reason);
        push_detail(L, event->detail);
        return 4;
    case ZKL_EVENT_STATE:
        zkl_push_word(L, ZKL_WORD_state);
        zkl_push_state(L, event->state);
        push_reason(L, event->reason);
        push_detail(L, event->detail);
        return 4;
    case ZKL_EVENT_REPLY:
        return push_reply(c, event);
    case ZKL_EVENT_WATCH:
        zkl_push_word(L, ZKL_WORD_watch);
        push_watch_type(L, event->type);
        zkl_push_slice(L, event->path);
        lua_pushinteger(L, event->kinds);
        if (event->zxid == 0) return 4;
        zkl_push_int64(c, event->zxid);
        return 5;
    default:
        ZKL_ASSERT(event->kind == ZKL_EVENT_END);
        zkl_push_word(L, ZKL_WORD_end);
        return 1;
    }
}
