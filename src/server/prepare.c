/* The operations that change or check one node, judged in Apache's order (server-semantics 1.3),
 * and what all of them are made of. */
#include "server/prepare.h"

#include <string.h>

#include "base/memory.h"
#include "server/usage.h"
#include "wire/writer.h"

enum { SCRATCH_MIN = 1024 };

/* --- places --------------------------------------------------------------------- */

void zkl_prepare_look(const struct zkl_preparing *p, struct zkl_slice path,
                      struct zkl_place *place)
{
    zkl_overlay_look(p->server->prep.overlay, &p->server->tree, path, place);
}

static uint64_t digest_of(struct zkl_slice path, const struct zkl_record *record)
{
    if (!record->exists || zkl_path_outside_digest(path)) return 0;
    return zkl_digest_end(record->crc, &record->stat);
}

bool zkl_prepare_change(struct zkl_preparing *p, struct zkl_place *place,
                        const struct zkl_record *record)
{
    uint64_t before = place->entry != NULL ? place->record.digest
                                           : digest_of(place->path, &place->record);
    place->record = *record;
    place->record.digest = digest_of(place->path, record);
    if (!zkl_overlay_touch(p->server->prep.overlay, place)) return false;
    p->digest += place->record.digest - before;
    return true;
}

bool zkl_prepare_allowed(const struct zkl_preparing *p, uint32_t acl, int32_t permission)
{
    const struct zkl_server *server = p->server;
    return server->options.skip_acl ||
           zkl_acls_allow(server->tree.acls, acl, permission, &p->connection->identities);
}

/* --- memory --------------------------------------------------------------------- */

/* `block` grown to `size` at least, by halves so that many small steps are cheap. */
static int32_t grow(struct zkl_server *server, uint8_t **block, size_t *capacity, size_t size)
{
    if (size <= *capacity) return 0;
    size_t wanted = *capacity + *capacity / 2;
    if (wanted < size) wanted = size;
    uint8_t *grown = zkl_reallocate(&server->allocator, *block, *capacity, wanted);
    if (grown == NULL) return ZKL_PREPARE_NOMEM;
    *block = grown;
    *capacity = wanted;
    return 0;
}

int32_t zkl_prepare_scratch(struct zkl_server *server, size_t size)
{
    struct zkl_prep *prep = &server->prep;
    if (size < SCRATCH_MIN) size = SCRATCH_MIN;
    return grow(server, &prep->scratch, &prep->scratch_capacity, size);
}

int32_t zkl_prepare_acl(struct zkl_preparing *p, struct zkl_vector asked, size_t at,
                        struct zkl_vector *fixed)
{
    const struct zkl_identities *identities = &p->connection->identities;
    const struct zkl_prep *prep = &p->server->prep;
    int32_t count = 0, code;
    struct zkl_writer writer;
    size_t needed = 0;
    do { /* once where scratch is large enough already */
        code = zkl_prepare_scratch(p->server, at + needed);
        if (code != 0) return code;
        writer = (struct zkl_writer) { prep->scratch + at, prep->scratch_capacity - at, 0 };
        code = zkl_acls_fix(asked, identities, &writer, &count);
        if (code != 0) return code;
        needed = writer.size;
    } while (!zkl_writer_fits(&writer));
    *fixed = (struct zkl_vector) { writer.base, writer.size, count };
    return 0;
}

int32_t zkl_prepare_room(struct zkl_preparing *p, size_t size)
{
    struct zkl_proposal *proposal = p->proposal;
    size_t whole = proposal->payload_size + size + ZKL_TXN_DIGEST_SIZE;
    if (whole > zkl_payload_max(&p->server->options)) return ZKL_CODE_BADARGUMENTS;
    return grow(p->server, &proposal->payload, &proposal->payload_capacity, whole);
}

static void write_record(const struct zkl_preparing *p, struct zkl_writer *writer,
                         const struct zkl_txn *txn)
{
    if (p->in_multi) {
        zkl_txn_write_part(writer, txn);
    } else {
        zkl_txn_write(writer, txn);
    }
}

int32_t zkl_prepare_write(struct zkl_preparing *p, const struct zkl_txn *txn)
{
    struct zkl_proposal *proposal = p->proposal;
    struct zkl_writer writer = zkl_prepare_writer(p);
    write_record(p, &writer, txn); /* as a rule there is room */
    int32_t code = zkl_prepare_room(p, writer.size - proposal->payload_size);
    if (code != 0) return code;
    if (!zkl_writer_fits(&writer)) {
        writer = zkl_prepare_writer(p);
        write_record(p, &writer, txn);
    }
    proposal->payload_size = writer.size;
    return 0;
}

/* --- one node -------------------------------------------------------------------- */

static int32_t check_version(int32_t asked, int32_t current)
{
    return asked == -1 || asked == current ? 0 : ZKL_CODE_BADVERSION;
}

/* The nodes that stay whatever happens. */
static bool is_special(struct zkl_slice path)
{
    static const char *const SPECIAL[] = { "/", "/zookeeper", "/zookeeper/quota",
                                           "/zookeeper/config" };
    for (size_t i = 0; i < sizeof SPECIAL / sizeof SPECIAL[0]; i++) {
        size_t size = strlen(SPECIAL[i]);
        if (path.size == size && memcmp(path.base, SPECIAL[i], size) == 0) return true;
    }
    return false;
}

/* Deletes run no check of the syntax: what is malformed is not found. */
static int32_t check_path_to_delete(struct zkl_slice path)
{
    if (path.base == NULL) return ZKL_CODE_MARSHALLINGERROR; /* Java's null pointer */
    if (path.size == 0 || memchr(path.base, '/', path.size) == NULL ||
        memchr(path.base, 0, path.size) != NULL || is_special(path)) {
        return ZKL_CODE_BADARGUMENTS;
    }
    return 0;
}

/* A leaf that was looked at goes; its parent hears of it. */
static int32_t take_off(struct zkl_preparing *p, struct zkl_place *parent,
                        struct zkl_place *node)
{
    struct zkl_record record = parent->record;
    int64_t size = node->record.stat.data_length;
    if (!zkl_usage_expect(p, node->path, -1, -size)) return ZKL_PREPARE_NOMEM;
    record.stat.children_count--;
    if (p->proposal->header.zxid > record.stat.pzxid) {
        record.stat.pzxid = p->proposal->header.zxid;
    }
    const struct zkl_record gone = { .exists = false };
    if (!zkl_prepare_change(p, parent, &record) || !zkl_prepare_change(p, node, &gone)) {
        return ZKL_PREPARE_NOMEM;
    }
    return 0;
}

static int32_t prepare_delete(struct zkl_preparing *p, const struct zkl_request *request)
{
    if (p->session->closing) return ZKL_CODE_SESSIONEXPIRED;
    int32_t code = check_path_to_delete(request->path);
    if (code != 0) return code;
    struct zkl_place parent, node;
    zkl_prepare_look(p, zkl_path_parent(request->path), &parent);
    if (!parent.record.exists) return ZKL_CODE_NONODE;
    if (!zkl_prepare_allowed(p, parent.record.acl, ZKL_DELETE)) return ZKL_CODE_NOAUTH;
    zkl_prepare_look(p, request->path, &node);
    if (!node.record.exists) return ZKL_CODE_NONODE;
    code = check_version(request->version, node.record.stat.version);
    if (code != 0) return code;
    if (node.record.stat.children_count > 0) return ZKL_CODE_NOTEMPTY;
    code = take_off(p, &parent, &node);
    if (code != 0) return code;
    const struct zkl_txn txn = { .type = ZKL_OP_DELETE, .path = request->path };
    return zkl_prepare_write(p, &txn);
}

int32_t zkl_prepare_delete_container(struct zkl_preparing *p, struct zkl_slice path)
{
    int32_t code = check_path_to_delete(path);
    if (code != 0) return code;
    struct zkl_place parent, node;
    zkl_prepare_look(p, path, &node);
    if (!node.record.exists) return ZKL_CODE_NONODE;
    if (node.record.stat.children_count > 0) return ZKL_CODE_NOTEMPTY;
    int64_t owner = node.record.stat.ephemeral_owner;
    if (zkl_tree_owner_kind(&p->server->tree, owner) == ZKL_OWNER_SESSION) {
        return ZKL_CODE_BADVERSION;
    }
    zkl_prepare_look(p, zkl_path_parent(path), &parent);
    code = take_off(p, &parent, &node);
    if (code != 0) return code;
    const struct zkl_txn txn = { .type = ZKL_OP_DELETE_CONTAINER, .path = path };
    return zkl_prepare_write(p, &txn);
}

static int32_t judge_set_data(struct zkl_preparing *p, const struct zkl_request *request,
                              struct zkl_place *node)
{
    if (p->session->closing) return ZKL_CODE_SESSIONEXPIRED;
    if (zkl_path_check(request->path, false) != NULL) return ZKL_CODE_BADARGUMENTS;
    if (zkl_usage_refuses(request->path, request->data)) return ZKL_CODE_BADARGUMENTS;
    zkl_prepare_look(p, request->path, node);
    if (!node->record.exists) return ZKL_CODE_NONODE;
    if (!zkl_prepare_allowed(p, node->record.acl, ZKL_WRITE)) return ZKL_CODE_NOAUTH;
    size_t before = (size_t)node->record.stat.data_length, after = request->data.size;
    int32_t code = zkl_usage_judge(p, node->path, 0, (int64_t)after - (int64_t)before);
    if (code != 0) return code;
    if (zkl_memory_full(p->server, zkl_memory_needed(p->server, after, before))) {
        return ZKL_CODE_QUOTAEXCEEDED;
    }
    return check_version(request->version, node->record.stat.version);
}

static int32_t prepare_set_data(struct zkl_preparing *p, const struct zkl_request *request,
                                struct zkl_change *change)
{
    struct zkl_place node;
    int32_t code = judge_set_data(p, request, &node);
    if (code != 0) return code;
    int64_t more = (int64_t)request->data.size - node.record.stat.data_length;
    if (!zkl_usage_expect(p, node.path, 0, more) ||
        !zkl_tree_reserve_set_data(&p->server->tree, node.path, request->data,
                                   &change->reserved)) {
        return ZKL_PREPARE_NOMEM;
    }
    struct zkl_record record = node.record;
    record.crc = change->reserved.crc;
    record.stat.version = zkl_next_version(record.stat.version);
    record.stat.mzxid = p->proposal->header.zxid;
    record.stat.mtime_ms = p->proposal->header.time_ms;
    record.stat.data_length = (int32_t)request->data.size;
    zkl_usage_set(p, node.path, request->data, &record);
    if (!zkl_prepare_change(p, &node, &record)) return ZKL_PREPARE_NOMEM;
    const struct zkl_txn txn = { .type = ZKL_OP_SET_DATA,
                                 .path = request->path,
                                 .data = request->data,
                                 .version = record.stat.version };
    return zkl_prepare_write(p, &txn);
}

static int32_t prepare_set_acl(struct zkl_preparing *p, const struct zkl_request *request,
                               struct zkl_change *change)
{
    if (p->session->closing) return ZKL_CODE_SESSIONEXPIRED;
    if (zkl_path_check(request->path, false) != NULL) return ZKL_CODE_BADARGUMENTS;
    struct zkl_txn txn = { .type = ZKL_OP_SET_ACL, .path = request->path };
    int32_t code = zkl_prepare_acl(p, request->acl, 0, &txn.acl);
    if (code != 0) return code;
    struct zkl_tree *tree = &p->server->tree;
    struct zkl_place node;
    zkl_prepare_look(p, request->path, &node);
    if (!node.record.exists) return ZKL_CODE_NONODE;
    if (!zkl_prepare_allowed(p, node.record.acl, ZKL_ADMIN)) return ZKL_CODE_NOAUTH;
    code = check_version(request->version, node.record.stat.aversion);
    if (code != 0) return code;
    size_t before = zkl_acls_list(tree->acls, node.record.acl).size;
    if (txn.acl.size > before && zkl_memory_full(p->server, txn.acl.size - before)) {
        return ZKL_CODE_QUOTAEXCEEDED;
    }
    if (!zkl_tree_reserve_set_acl(tree, txn.acl, &change->reserved)) return ZKL_PREPARE_NOMEM;
    struct zkl_record record = node.record;
    record.acl = change->reserved.acl;
    record.stat.aversion = zkl_next_version(record.stat.aversion);
    if (!zkl_prepare_change(p, &node, &record)) return ZKL_PREPARE_NOMEM;
    txn.version = record.stat.aversion;
    return zkl_prepare_write(p, &txn);
}

/* The record holds the version behind the one that was found, as a setData's does. */
static int32_t prepare_check(struct zkl_preparing *p, const struct zkl_request *request)
{
    if (p->session->closing) return ZKL_CODE_SESSIONEXPIRED;
    if (zkl_path_check(request->path, false) != NULL) return ZKL_CODE_BADARGUMENTS;
    struct zkl_place node;
    zkl_prepare_look(p, request->path, &node);
    if (!node.record.exists) return ZKL_CODE_NONODE;
    if (!zkl_prepare_allowed(p, node.record.acl, ZKL_READ)) return ZKL_CODE_NOAUTH;
    int32_t code = check_version(request->version, node.record.stat.version);
    if (code != 0) return code;
    const struct zkl_txn txn = { .type = ZKL_OP_CHECK,
                                 .path = request->path,
                                 .version = zkl_next_version(node.record.stat.version) };
    return zkl_prepare_write(p, &txn);
}

int32_t zkl_prepare_operation(struct zkl_preparing *p, const struct zkl_request *request,
                              struct zkl_change *change)
{
    change->op = request->op;
    switch (request->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        return zkl_prepare_create(p, request, change);
    case ZKL_OP_DELETE:
        return prepare_delete(p, request);
    case ZKL_OP_SET_DATA:
        return prepare_set_data(p, request, change);
    case ZKL_OP_SET_ACL:
        return prepare_set_acl(p, request, change);
    default:
        ZKL_ASSERT(request->op == ZKL_OP_CHECK && p->in_multi);
        return prepare_check(p, request);
    }
}
