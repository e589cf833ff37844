/* The store as an object of Lua, over the simulated disk or the real one.
 *
 * What it recovers goes to a sink that keeps a chain: a hash of the hashes of all payloads, in
 * order. A snapshot of a spec carries the chain in place of the tree's digest, so that one
 * number tells whether what came back is what was written. */
#include "store/internal.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "testing/disk.h"
#include "testing/objects.h"
#include "testing/records.h"
#include "testing/server_testing.h"

#define METATABLE "zklua.testing.store"

static uint64_t chain_next(uint64_t chain, struct zkl_slice payload)
{
    uint64_t hash = crc32(0, payload.base, (uInt)payload.size);
    return (chain ^ hash) * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

/* --- what is recovered ---------------------------------------------------------------------- */

struct recovered {
    lua_State *L;
    int list;         /* on its stack: every part as it came; 0: not kept */
    int64_t zxid;
    uint64_t chain, replayed, nodes, sessions, acls;
    int64_t refuse;   /* this zxid is refused */
};

static void keep(struct recovered *recovered, const char *kind)
{
    lua_State *L = recovered->L;
    lua_pushstring(L, kind);
    lua_setfield(L, -2, "kind");
    lua_rawseti(L, recovered->list, (int)lua_rawlen(L, recovered->list) + 1);
}

static void set_zxid(struct recovered *recovered, int64_t zxid)
{
    lua_pushnumber(recovered->L, (lua_Number)zxid);
    lua_setfield(recovered->L, -2, "zxid");
}

static void sink_begin(void *context)
{
    struct recovered *recovered = context;
    recovered->sessions = recovered->acls = recovered->nodes = 0;
}

static int sink_session(void *context, int64_t id, int32_t timeout_ms)
{
    struct recovered *recovered = context;
    recovered->sessions++;
    if (recovered->list == 0) return ZKL_OK;
    lua_newtable(recovered->L);
    zkl_testing_set_i64(recovered->L, "id", id);
    zkl_testing_set_i32(recovered->L, "timeout_ms", timeout_ms);
    keep(recovered, "session");
    return ZKL_OK;
}

static int sink_acl(void *context, int64_t id, struct zkl_vector acl)
{
    struct recovered *recovered = context;
    recovered->acls++;
    if (recovered->list == 0) return ZKL_OK;
    lua_newtable(recovered->L);
    zkl_testing_set_i64(recovered->L, "id", id);
    zkl_testing_set_acls(recovered->L, "acl", acl);
    keep(recovered, "acl");
    return ZKL_OK;
}

static int sink_node(void *context, const struct zkl_restored_node *node)
{
    struct recovered *recovered = context;
    recovered->nodes++;
    if (recovered->list == 0) return ZKL_OK;
    lua_newtable(recovered->L);
    zkl_testing_set_slice(recovered->L, "path", node->path);
    zkl_testing_set_slice(recovered->L, "data", node->data);
    zkl_testing_set_i64(recovered->L, "acl", node->acl);
    zkl_testing_set_i64(recovered->L, "czxid", node->stat.czxid);
    zkl_testing_set_i64(recovered->L, "mzxid", node->stat.mzxid);
    zkl_testing_set_i64(recovered->L, "pzxid", node->stat.pzxid);
    zkl_testing_set_i32(recovered->L, "cversion", node->stat.cversion);
    zkl_testing_set_i32(recovered->L, "aversion", node->stat.aversion);
    zkl_testing_set_i64(recovered->L, "owner", node->stat.ephemeral_owner);
    keep(recovered, "node");
    return ZKL_OK;
}

static int sink_end(void *context, int64_t zxid)
{
    struct recovered *recovered = context;
    recovered->zxid = zxid;
    recovered->chain = 0;
    if (recovered->list == 0) return ZKL_OK;
    lua_newtable(recovered->L);
    set_zxid(recovered, zxid);
    keep(recovered, "end");
    return ZKL_OK;
}

/* A hint; nothing is kept of it. */
static void sink_soon(void *context, struct zkl_slice path)
{
    (void)context, (void)path;
}

static int sink_digest(void *context, int64_t zxid, uint64_t digest)
{
    struct recovered *recovered = context;
    recovered->chain = digest;
    if (recovered->list == 0) return ZKL_OK;
    lua_newtable(recovered->L);
    set_zxid(recovered, zxid);
    zkl_testing_set_i64(recovered->L, "digest", (int64_t)digest);
    keep(recovered, "digest");
    return ZKL_OK;
}

static int sink_replay(void *context, struct zkl_slice payload, bool *skipped)
{
    struct recovered *recovered = context;
    struct zkl_reader reader = { payload.base + 12, payload.base + 20, false };
    int64_t zxid = 0;
    while (reader.at < reader.end) zxid = (int64_t)((uint64_t)zxid << 8 | *reader.at++);
    if (recovered->refuse != 0 && zxid == recovered->refuse) return ZKL_E_CORRUPT;
    *skipped = false;
    recovered->zxid = zxid;
    recovered->chain = chain_next(recovered->chain, payload);
    recovered->replayed++;
    if (recovered->list == 0) return ZKL_OK;
    lua_newtable(recovered->L);
    set_zxid(recovered, zxid);
    zkl_testing_set_slice(recovered->L, "payload", payload);
    keep(recovered, "entry");
    return ZKL_OK;
}

static const char *sink_why(void *context)
{
    (void)context;
    return "the spec refuses it";
}

static struct zkl_sink make_sink(struct recovered *recovered)
{
    return (struct zkl_sink) {
        sink_begin, sink_session, sink_acl, sink_node, sink_soon, sink_end, sink_digest,
        sink_replay, sink_why, recovered,
    };
}

static void set_chain(lua_State *L, uint64_t chain)
{
    zkl_testing_set_i64(L, "chain", (int64_t)chain);
    lua_getfield(L, -1, "chain"); /* zero is left out of records, but not here */
    if (lua_isnil(L, -1)) {
        lua_pushstring(L, "0x0");
        lua_setfield(L, -3, "chain");
    }
    lua_pop(L, 1);
}

static void push_recovered(lua_State *L, const struct recovered *recovered)
{
    lua_newtable(L);
    set_chain(L, recovered->chain);
    static const char *const names[] = { "zxid", "replayed", "nodes", "sessions", "acls" };
    const lua_Number values[] = {
        (lua_Number)recovered->zxid, (lua_Number)recovered->replayed,
        (lua_Number)recovered->nodes, (lua_Number)recovered->sessions,
        (lua_Number)recovered->acls,
    };
    for (int i = 0; i < 5; i++) {
        lua_pushnumber(L, values[i]);
        lua_setfield(L, -2, names[i]);
    }
    if (recovered->list != 0) {
        lua_pushvalue(L, recovered->list);
        lua_setfield(L, -2, "parts");
    }
}

/* --- options and reports -------------------------------------------------------------------- */

struct store_object {
    struct zkl_testing_allocator allocator;
    struct zkl_disk *disk; /* NULL: the real one */
    struct zkl_store *store;
};

static const char *text_field(lua_State *L, int index, const char *name)
{
    lua_getfield(L, index, name);
    const char *text = lua_tostring(L, -1);
    lua_pop(L, 1); /* the table keeps it */
    return text;
}

static int64_t number_field(lua_State *L, int index, const char *name, int64_t otherwise)
{
    lua_getfield(L, index, name);
    int64_t value = lua_isnil(L, -1) ? otherwise : (int64_t)luaL_checknumber(L, -1);
    lua_pop(L, 1);
    return value;
}

static struct zkl_disk *disk_field(lua_State *L, int index)
{
    lua_getfield(L, index, "disk");
    struct zkl_disk *disk = zkl_testing_to_disk(L, -1);
    lua_pop(L, 1);
    return disk;
}

/* The table at `index`: directory, and fields of zkl_store_options. */
static struct zkl_store_options to_options(lua_State *L, int index, struct zkl_disk *disk,
                                           struct zkl_testing_allocator *allocator)
{
    return (struct zkl_store_options) {
        .allocator = zkl_testing_hook(allocator),
        .files = disk != NULL ? zkl_disk_files(disk) : &zkl_posix_files,
        .data_directory = text_field(L, index, "directory"),
        .log_directory = text_field(L, index, "log_directory"),
        .snapshot_count = (uint32_t)number_field(L, index, "snapshot_count", 0),
        .snapshot_bytes_max = number_field(L, index, "snapshot_bytes_max", 0),
        .preallocate_bytes = number_field(L, index, "preallocate_bytes", 16384),
        .log_bytes_max = number_field(L, index, "log_bytes_max", -1),
        .snapshots_kept = (uint32_t)number_field(L, index, "snapshots_kept", 3),
        .autocreate = number_field(L, index, "autocreate", 1) != 0,
        .trust_empty_snapshot = number_field(L, index, "trust_empty_snapshot", 0) != 0,
        .seed = (uint64_t)number_field(L, index, "seed", 1),
        .owner = text_field(L, index, "owner"),
    };
}

static void push_report(lua_State *L, const struct zkl_store_report *report)
{
    lua_newtable(L);
    lua_pushstring(L, report->text);
    lua_setfield(L, -2, "text");
    lua_pushnumber(L, (lua_Number)report->zxid_first);
    lua_setfield(L, -2, "first");
    lua_pushnumber(L, (lua_Number)report->zxid_last);
    lua_setfield(L, -2, "last");
    lua_pushboolean(L, report->damaged);
    lua_setfield(L, -2, "damaged");
}

/* What the sink is to keep: `parts` and `refuse` of the options. */
static struct recovered start_recovery(lua_State *L, int index)
{
    struct recovered recovered = { .L = L, .refuse = number_field(L, index, "refuse", 0) };
    if (number_field(L, index, "parts", 0) != 0) {
        lua_newtable(L);
        recovered.list = lua_gettop(L);
    }
    return recovered;
}

static void test_random(void *context, uint8_t *bytes, size_t size)
{
    (void)context;
    for (size_t i = 0; i < size; i++) bytes[i] = (uint8_t)(i * 7 + 1);
}

/* --- open, check, salvage ------------------------------------------------------------------- */

static struct store_object *new_object(lua_State *L)
{
    struct store_object *object = lua_newuserdata(L, sizeof *object);
    memset(object, 0, sizeof *object);
    zkl_testing_push_object(L, METATABLE);
    return object;
}

/* open(options): store or nil, report, what was recovered */
static int store_open(lua_State *L)
{
    struct store_object *object = new_object(L);
    int self = lua_gettop(L);
    struct recovered recovered = start_recovery(L, 1);
    object->disk = disk_field(L, 1);
    struct zkl_store_options options = to_options(L, 1, object->disk, &object->allocator);
    struct zkl_sink sink = make_sink(&recovered);
    struct zkl_store_report report;
    object->allocator.fail_from = number_field(L, 1, "fail_from", 0);
    object->allocator.fail_to = number_field(L, 1, "fail_to", 0);
    object->store = zkl_store_open_sink(&options, &sink, &report);
    if (object->store != NULL) lua_pushvalue(L, self);
    else lua_pushnil(L);
    push_report(L, &report);
    push_recovered(L, &recovered);
    if (object->store == NULL && object->allocator.block_count != 0) {
        return luaL_error(L, "%d blocks are left", (int)object->allocator.block_count);
    }
    return 3;
}

/* check(options), salvage(options, out): 0 or -errno, report, what was recovered */
static int look(lua_State *L, const char *out)
{
    struct zkl_testing_allocator allocator = { 0 };
    struct zkl_disk *disk = disk_field(L, 1);
    struct recovered recovered = start_recovery(L, 1);
    struct zkl_store_options options = to_options(L, 1, disk, &allocator);
    struct zkl_sink sink = make_sink(&recovered);
    struct zkl_store_report report;
    int status = out == NULL ? zkl_store_check_sink(&options, &sink, &report)
                             : zkl_store_salvage_sink(&options, out, &sink, &report);
    zkl_testing_let_go_of_disk(disk);
    if (allocator.block_count != 0) {
        return luaL_error(L, "%d blocks are left", (int)allocator.block_count);
    }
    lua_pushnumber(L, status);
    push_report(L, &report);
    push_recovered(L, &recovered);
    return 3;
}

static int store_check(lua_State *L)
{
    return look(L, NULL);
}

/* check_server(options): the same into a server: 0 or -errno, report, what the server is then */
static int store_check_server(lua_State *L)
{
    struct zkl_testing_allocator allocator = { 0 }, memory = { 0 };
    struct zkl_disk *disk = disk_field(L, 1);
    struct zkl_store_options options = to_options(L, 1, disk, &allocator);
    const struct zkl_server_options about = {
        .allocator = zkl_testing_hook(&memory),
        .crypto = { zkl_testing_sha1, test_random, NULL },
        .ttl_nodes = true,
    };
    struct zkl_server *server = zkl_server_new(&about);
    if (server == NULL) return luaL_error(L, "out of memory");
    struct zkl_store_report report;
    struct zkl_server_counts counts;
    int status = zkl_store_check(&options, server, &report);
    zkl_testing_let_go_of_disk(disk);
    zkl_server_count(server, &counts);
    lua_pushnumber(L, status);
    push_report(L, &report);
    lua_newtable(L);
    zkl_testing_set_i64(L, "zxid", zkl_server_zxid(server));
    zkl_testing_set_i64(L, "digest", (int64_t)zkl_server_digest(server));
    lua_pushnumber(L, (lua_Number)counts.nodes);
    lua_setfield(L, -2, "nodes");
    lua_pushnumber(L, (lua_Number)counts.sessions);
    lua_setfield(L, -2, "sessions");
    zkl_server_free(server);
    return 3;
}

static int store_salvage(lua_State *L)
{
    return look(L, luaL_checkstring(L, 2));
}

static struct zkl_store *to_store(lua_State *L)
{
    struct store_object *object = luaL_checkudata(L, 1, METATABLE);
    luaL_argcheck(L, object->store != NULL, 1, "it was closed");
    return object->store;
}

/* close(): the blocks that are left */
static int store_close(lua_State *L)
{
    struct store_object *object = luaL_checkudata(L, 1, METATABLE);
    if (object->store != NULL) zkl_store_close(object->store);
    object->store = NULL;
    zkl_testing_let_go_of_disk(object->disk);
    object->disk = NULL;
    lua_pushnumber(L, (lua_Number)object->allocator.block_count);
    return 1;
}

/* --- calls of a running server ---------------------------------------------------------------- */

static int store_append(lua_State *L)
{
    struct zkl_logged logged = { .zxid = (int64_t)luaL_checknumber(L, 2) };
    logged.payload.base = (const uint8_t *)luaL_checklstring(L, 3, &logged.payload.size);
    lua_pushboolean(L, zkl_store_append(to_store(L), &logged));
    return 1;
}

static int store_seal(lua_State *L)
{
    zkl_store_seal(to_store(L));
    return 0;
}

/* flush(): the zxid, or nil, -errno, report */
static int store_flush(lua_State *L)
{
    int64_t zxid;
    struct zkl_store_report report;
    int status = zkl_store_flush(to_store(L), &zxid, &report);
    if (status == 0) {
        lua_pushnumber(L, (lua_Number)zxid);
        return 1;
    }
    lua_pushnil(L);
    lua_pushnumber(L, status);
    push_report(L, &report);
    return 3;
}

static int push_status(lua_State *L, int status)
{
    lua_pushnumber(L, status);
    return 1;
}

static int store_mark(lua_State *L)
{
    return push_status(L, zkl_store_mark(to_store(L), (int64_t)luaL_checknumber(L, 2)));
}

static int store_wants_snapshot(lua_State *L)
{
    lua_pushboolean(L, zkl_store_wants_snapshot(to_store(L)));
    return 1;
}

static int store_batch_empty(lua_State *L)
{
    lua_pushboolean(L, zkl_store_batch_empty(to_store(L)));
    return 1;
}

/* snapshot(zxid, bytes, slice): all of it, in slices; 0 or -errno */
static int store_snapshot(lua_State *L)
{
    struct zkl_store *store = to_store(L);
    size_t size, slice = (size_t)luaL_optnumber(L, 4, 65536);
    const char *bytes = luaL_checklstring(L, 3, &size);
    int status = zkl_store_snapshot_begin(store, (int64_t)luaL_checknumber(L, 2));
    for (size_t at = 0; status == 0 && at < size; at += slice) {
        size_t some = size - at < slice ? size - at : slice;
        status = zkl_store_snapshot_write(store, (const uint8_t *)bytes + at, some);
    }
    if (status == 0) status = zkl_store_snapshot_finish(store);
    return push_status(L, status);
}

static int store_snapshot_begin(lua_State *L)
{
    int64_t zxid = (int64_t)luaL_checknumber(L, 2);
    return push_status(L, zkl_store_snapshot_begin(to_store(L), zxid));
}

static int store_snapshot_abort(lua_State *L)
{
    zkl_store_snapshot_abort(to_store(L));
    return 0;
}

static int store_purge(lua_State *L)
{
    return push_status(L, zkl_store_purge(to_store(L)));
}

/* --- single functions -------------------------------------------------------------------------- */

/* chain(previous, payload): the next */
static int store_chain(lua_State *L)
{
    uint64_t chain = strtoull(luaL_checkstring(L, 1), NULL, 16);
    struct zkl_slice payload;
    payload.base = (const uint8_t *)luaL_checklstring(L, 2, &payload.size);
    lua_newtable(L);
    set_chain(L, chain_next(chain, payload));
    lua_getfield(L, -1, "chain");
    return 1;
}

static int store_adler(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    lua_pushnumber(L, (lua_Number)adler32(1, (const uint8_t *)bytes, (uInt)size));
    return 1;
}

static int store_gzip(lua_State *L)
{
    size_t size;
    const char *bytes = luaL_checklstring(L, 1, &size);
    z_stream stream;
    memset(&stream, 0, sizeof stream);
    if (deflateInit2(&stream, 6, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        return luaL_error(L, "deflate");
    }
    uLong bound = deflateBound(&stream, (uLong)size);
    uint8_t *packed = lua_newuserdata(L, bound);
    stream.next_in = (Bytef *)(uintptr_t)bytes;
    stream.avail_in = (uInt)size;
    stream.next_out = packed;
    stream.avail_out = (uInt)bound;
    deflate(&stream, Z_FINISH);
    lua_pushlstring(L, (const char *)packed, bound - stream.avail_out);
    deflateEnd(&stream);
    return 1;
}

/* secret(options): its bytes, or nil and the report */
static int store_secret(lua_State *L)
{
    struct zkl_testing_allocator allocator = { 0 };
    struct zkl_disk *disk = disk_field(L, 1);
    struct zkl_store_options options = to_options(L, 1, disk, &allocator);
    const struct zkl_crypto crypto = { NULL, test_random, NULL };
    struct zkl_store_report report;
    uint8_t secret[20];
    int status = zkl_store_secret(&options, &crypto, secret, &report);
    zkl_testing_let_go_of_disk(disk);
    if (status == 0) {
        lua_pushlstring(L, (const char *)secret, sizeof secret);
        return 1;
    }
    lua_pushnil(L);
    push_report(L, &report);
    return 2;
}

int zkl_testing_open_store(lua_State *L)
{
    static const luaL_Reg methods[] = {
        { "append", store_append }, { "seal", store_seal }, { "flush", store_flush },
        { "mark", store_mark }, { "wants_snapshot", store_wants_snapshot },
        { "batch_empty", store_batch_empty }, { "snapshot", store_snapshot },
        { "snapshot_begin", store_snapshot_begin }, { "snapshot_abort", store_snapshot_abort },
        { "purge", store_purge }, { "close", store_close },
        { "memory", zkl_testing_object_memory }, { "fail", zkl_testing_object_fail },
        { NULL, NULL },
    };
    static const luaL_Reg functions[] = {
        { "open", store_open }, { "check", store_check }, { "check_server", store_check_server },
        { "salvage", store_salvage },
        { "secret", store_secret }, { "chain", store_chain }, { "adler", store_adler },
        { "gzip", store_gzip }, { NULL, NULL },
    };
    zkl_testing_define(L, METATABLE, methods, store_close);
    lua_newtable(L);
    for (const luaL_Reg *function = functions; function->name != NULL; function++) {
        lua_pushcfunction(L, function->func);
        lua_setfield(L, -2, function->name);
    }
    /* The mistake that was built in, for the crash specs. */
#if defined ZKLUA_BUG_EARLY_ACK
    lua_pushstring(L, "EARLY_ACK");
#elif defined ZKLUA_BUG_NO_DIRECTORY_SYNC
    lua_pushstring(L, "NO_DIRECTORY_SYNC");
#else
    lua_pushnil(L);
#endif
    lua_setfield(L, -2, "bug");
    return 1;
}
