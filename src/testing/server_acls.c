/* Access lists and identities as specs see them. A list is a table of entries, false the
 * protocol's null. */
#include <openssl/evp.h>
#include <string.h>

#include "server/acls.h"
#include "server/addresses.h"
#include "server/schemes.h"
#include "server/utf8.h"
#include "testing/objects.h"
#include "testing/records.h"
#include "testing/server_testing.h"

/* --- vectors ------------------------------------------------------------------------- */

/* The list at `index`; its bytes stay on the Lua stack. */
static struct zkl_vector to_list(lua_State *L, int index)
{
    lua_newtable(L);
    lua_pushvalue(L, index);
    lua_setfield(L, -2, "list");
    return zkl_testing_acls_field(L, lua_gettop(L), "list");
}

static void push_list(lua_State *L, struct zkl_vector list)
{
    lua_newtable(L);
    zkl_testing_set_acls(L, "list", list);
    lua_getfield(L, -1, "list");
}

void zkl_testing_sha1(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20])
{
    (void)context;
    int done = EVP_Digest(bytes, size, hash, NULL, EVP_sha1(), NULL);
    ZKL_ASSERT(done == 1);
}

/* --- identities ------------------------------------------------------------------------ */

struct identities_object {
    struct zkl_testing_allocator allocator;
    struct zkl_allocator hook;
    struct zkl_identities identities;
};

static struct identities_object *to_identities(lua_State *L, int index)
{
    return luaL_checkudata(L, index, "zklua.testing.identities");
}

/* identities(address, fails): of 0, 4 or 16 bytes; nil: no memory */
static int identities_new(lua_State *L)
{
    size_t size;
    lua_settop(L, 2);
    const char *address = luaL_optlstring(L, 1, "", &size);
    struct zkl_peer peer = { .address_size = (uint8_t)size };
    memcpy(peer.address, address, size);
    struct identities_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    zkl_list_init(&object->identities.list);
    object->hook = zkl_testing_hook(&object->allocator);
    if (lua_toboolean(L, 2)) object->allocator.fail_from = object->allocator.fail_to = 1;
    if (!zkl_identities_init(&object->identities, &object->hook, &peer)) return 0;
    object->allocator.fail_from = object->allocator.fail_to = 0;
    return zkl_testing_push_object(L, "zklua.testing.identities");
}

static int identities_free(lua_State *L)
{
    struct identities_object *object = to_identities(L, 1);
    zkl_identities_free(&object->identities, &object->hook);
    return zkl_testing_object_memory(L);
}

static struct zkl_slice slice_at(lua_State *L, int index)
{
    struct zkl_slice slice = { NULL, 0 };
    if (!lua_isnoneornil(L, index)) {
        slice.base = (const uint8_t *)luaL_checklstring(L, index, &slice.size);
    }
    return slice;
}

/* add(scheme, data, super_digest) -> code */
static int identities_add(lua_State *L)
{
    struct identities_object *object = to_identities(L, 1);
    const struct zkl_crypto crypto = { .sha1 = zkl_testing_sha1 };
    lua_pushinteger(L, zkl_identities_add(&object->identities, &object->hook, &crypto,
                                          slice_at(L, 4), slice_at(L, 2), slice_at(L, 3)));
    return 1;
}

/* list() -> { "ip:127.0.0.1", ... }, super */
static int identities_list(lua_State *L)
{
    const struct zkl_identities *identities = &to_identities(L, 1)->identities;
    lua_newtable(L);
    int index = 0;
    const struct zkl_list *at = identities->list.next;
    for (; at != &identities->list; at = at->next) {
        const struct zkl_identity *identity = ZKL_LIST_ELEMENT(at, const struct zkl_identity, link);
        struct zkl_slice scheme = zkl_identity_scheme(identity), id = zkl_identity_id(identity);
        lua_pushlstring(L, (const char *)scheme.base, scheme.size);
        lua_pushliteral(L, ":");
        lua_pushlstring(L, (const char *)id.base, id.size);
        lua_concat(L, 3);
        lua_rawseti(L, -2, ++index);
    }
    if ((size_t)index != identities->count) return luaL_error(L, "counted wrongly");
    lua_pushboolean(L, identities->super);
    return 2;
}

/* --- the table --------------------------------------------------------------------------- */

struct acls_object {
    struct zkl_testing_allocator allocator;
    struct zkl_acls *acls;
};

static struct zkl_acls *to_acls(lua_State *L)
{
    return ((struct acls_object *)luaL_checkudata(L, 1, "zklua.testing.acls"))->acls;
}

static uint32_t to_number(lua_State *L, int index)
{
    return (uint32_t)luaL_checknumber(L, index);
}

/* table(fails); nil: no memory */
static int acls_new(lua_State *L)
{
    lua_settop(L, 1);
    struct acls_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    struct zkl_allocator hook = zkl_testing_hook(&object->allocator);
    if (lua_toboolean(L, 1)) object->allocator.fail_from = object->allocator.fail_to = 1;
    object->acls = zkl_acls_new(&hook, 7);
    object->allocator.fail_from = object->allocator.fail_to = 0;
    if (object->acls == NULL) return 0;
    return zkl_testing_push_object(L, "zklua.testing.acls");
}

static int acls_free(lua_State *L)
{
    struct acls_object *object = luaL_checkudata(L, 1, "zklua.testing.acls");
    zkl_acls_free(object->acls);
    object->acls = NULL;
    return zkl_testing_object_memory(L);
}

static int acls_clear(lua_State *L)
{
    zkl_acls_clear(to_acls(L));
    return 0;
}

static int acls_take(lua_State *L)
{
    lua_pushnumber(L, zkl_acls_take(to_acls(L), to_list(L, 2)));
    return 1;
}

static int acls_restore(lua_State *L)
{
    int64_t id = (int64_t)luaL_checknumber(L, 2);
    lua_pushboolean(L, zkl_acls_restore(to_acls(L), id, to_list(L, 3)));
    return 1;
}

static int acls_sweep(lua_State *L)
{
    zkl_acls_sweep(to_acls(L));
    return 0;
}

static int acls_known(lua_State *L)
{
    lua_pushboolean(L, zkl_acls_known(to_acls(L), (int64_t)luaL_checknumber(L, 2)));
    return 1;
}

static int acls_hold(lua_State *L)
{
    zkl_acls_hold(to_acls(L), to_number(L, 2));
    return 0;
}

static int acls_release(lua_State *L)
{
    zkl_acls_release(to_acls(L), to_number(L, 2));
    return 0;
}

static int acls_list(lua_State *L)
{
    push_list(L, zkl_acls_list(to_acls(L), to_number(L, 2)));
    return 1;
}

/* numbers() -> all in use, and their count as the table knows it */
static int acls_numbers(lua_State *L)
{
    const struct zkl_acls *acls = to_acls(L);
    lua_newtable(L);
    uint32_t number = zkl_acls_next(acls, 0);
    for (int index = 1; number != 0; index++, number = zkl_acls_next(acls, number)) {
        lua_pushnumber(L, number);
        lua_rawseti(L, -2, index);
    }
    lua_pushnumber(L, (lua_Number)zkl_acls_count(acls));
    return 2;
}

/* allow(number, permissions, identities) */
static int acls_allow(lua_State *L)
{
    lua_pushboolean(L, zkl_acls_allow(to_acls(L), to_number(L, 2),
                                      (int32_t)luaL_checkinteger(L, 3),
                                      &to_identities(L, 4)->identities));
    return 1;
}

/* --- lists on their way -------------------------------------------------------------------- */

/* fix(list, identities) -> list, or nil and the code */
static int l_fix(lua_State *L)
{
    const struct zkl_identities *identities = &to_identities(L, 2)->identities;
    struct zkl_vector asked = to_list(L, 1);
    struct zkl_writer measure = { NULL, 0, 0 };
    int32_t count, again;
    int32_t code = zkl_acls_fix(asked, identities, &measure, &count);
    uint8_t *bytes = zkl_testing_guarded(L, NULL, measure.size);
    struct zkl_writer writer = { bytes, measure.size, 0 };
    if (zkl_acls_fix(asked, identities, &writer, &again) != code || again != count ||
        writer.size != measure.size) {
        return luaL_error(L, "fixed differently when measuring");
    }
    if (code != ZKL_CODE_OK) {
        lua_pushnil(L);
        lua_pushinteger(L, code);
        return 2;
    }
    push_list(L, (struct zkl_vector) { bytes, writer.size, count });
    return 1;
}

static int l_mask(lua_State *L)
{
    struct zkl_vector list = to_list(L, 1);
    struct zkl_writer measure = { NULL, 0, 0 };
    zkl_acls_mask(list, &measure);
    struct zkl_writer writer = { zkl_testing_guarded(L, NULL, measure.size), measure.size, 0 };
    zkl_acls_mask(list, &writer);
    push_list(L, (struct zkl_vector) { writer.base, writer.size, list.count });
    return 1;
}

/* --- addresses -------------------------------------------------------------------------------- */

/* network(text) -> bytes, bits; nil: not a network */
static int l_network(lua_State *L)
{
    struct zkl_network network;
    struct zkl_slice text = slice_at(L, 1);
    text.base = zkl_testing_guarded(L, text.base, text.size);
    if (!zkl_network_parse(text, &network)) return 0;
    lua_pushlstring(L, (const char *)network.address, network.size);
    lua_pushinteger(L, network.bits);
    return 2;
}

/* network_has(network, address) */
static int l_network_has(lua_State *L)
{
    struct zkl_network network;
    struct zkl_slice address = slice_at(L, 2);
    if (!zkl_network_parse(slice_at(L, 1), &network)) return luaL_error(L, "not a network");
    const uint8_t *bytes = zkl_testing_guarded(L, address.base, address.size);
    lua_pushboolean(L, zkl_network_has(&network, bytes, address.size));
    return 1;
}

static int l_address(lua_State *L)
{
    struct zkl_slice address = slice_at(L, 1);
    char *text = (char *)zkl_testing_guarded(L, NULL, ZKL_ADDRESS_TEXT_MAX);
    lua_pushlstring(L, text, zkl_address_format(address.base, address.size, text));
    return 1;
}

/* repair(bytes) -> text, whether it was text before */
static int l_repair(lua_State *L)
{
    struct zkl_slice bytes = slice_at(L, 1);
    uint8_t copy[256];
    luaL_argcheck(L, bytes.size <= sizeof copy, 1, "too long");
    if (bytes.size > 0) memcpy(copy, bytes.base, bytes.size);
    struct zkl_writer measure = { NULL, 0, 0 };
    struct zkl_slice guarded = { zkl_testing_guarded(L, copy, bytes.size), bytes.size };
    bool valid = zkl_utf8_is_valid(guarded);
    zkl_utf8_repair(&measure, guarded);
    guarded.base = copy;
    struct zkl_writer writer = { zkl_testing_guarded(L, NULL, measure.size), measure.size, 0 };
    zkl_utf8_repair(&writer, guarded);
    lua_pushlstring(L, (const char *)writer.base, writer.size);
    lua_pushboolean(L, valid);
    return 2;
}

int zkl_testing_open_acls(lua_State *L)
{
    static const luaL_Reg IDENTITIES[] = {
        { "add", identities_add }, { "list", identities_list },
        { "memory", zkl_testing_object_memory }, { "fail", zkl_testing_object_fail },
        { "free", identities_free }, { NULL, NULL },
    };
    static const luaL_Reg TABLE[] = {
        { "take", acls_take }, { "restore", acls_restore }, { "sweep", acls_sweep },
        { "known", acls_known }, { "hold", acls_hold }, { "release", acls_release },
        { "list", acls_list }, { "numbers", acls_numbers }, { "allow", acls_allow },
        { "clear", acls_clear }, { "memory", zkl_testing_object_memory },
        { "fail", zkl_testing_object_fail }, { "free", acls_free }, { NULL, NULL },
    };
    static const luaL_Reg FUNCTIONS[] = {
        { "identities", identities_new }, { "table", acls_new }, { "fix", l_fix },
        { "mask", l_mask }, { "network", l_network }, { "network_has", l_network_has },
        { "address", l_address }, { "repair", l_repair }, { NULL, NULL },
    };
    zkl_testing_define(L, "zklua.testing.identities", IDENTITIES, identities_free);
    zkl_testing_define(L, "zklua.testing.acls", TABLE, acls_free);
    lua_newtable(L);
    luaL_setfuncs(L, FUNCTIONS, 0);
    return 1;
}
