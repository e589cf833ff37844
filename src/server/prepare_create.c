/* The four ways to create a node, judged in Apache's order (server-semantics 1.3), with the
 * number that a sequential node gets (1.6). */
#include <string.h>

#include "server/prepare.h"
#include "server/usage.h"

static bool is_sequential(int32_t flags)
{
    return flags == ZKL_PERSISTENT_SEQUENTIAL || flags == ZKL_EPHEMERAL_SEQUENTIAL ||
           flags == ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL;
}

static bool is_ephemeral(int32_t flags)
{
    return flags == ZKL_EPHEMERAL || flags == ZKL_EPHEMERAL_SEQUENTIAL;
}

static bool has_ttl(int32_t flags)
{
    return flags == ZKL_PERSISTENT_WITH_TTL || flags == ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL;
}

/* The operation decides what is stored, the flags say what the client believes. Apache goes on
 * where they differ, and one such pair keeps it from starting again: here all are refused. */
static int32_t check_flags(const struct zkl_server *server, const struct zkl_request *request)
{
    int32_t flags = request->flags;
    if (flags < ZKL_PERSISTENT || flags > ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL) {
        return ZKL_CODE_BADARGUMENTS;
    }
    if (has_ttl(flags) && !server->options.ttl_nodes) return ZKL_CODE_UNIMPLEMENTED;
    bool agrees = true;
    switch (request->op) {
    case ZKL_OP_CREATE_CONTAINER: agrees = flags == ZKL_CONTAINER; break;
    case ZKL_OP_CREATE_TTL:
        agrees = has_ttl(flags) && request->ttl_ms > 0 && request->ttl_ms <= ZKL_TTL_MS_MAX;
        break;
    default: agrees = flags <= ZKL_EPHEMERAL_SEQUENTIAL; break;
    }
    return agrees ? 0 : ZKL_CODE_BADARGUMENTS;
}

/* All that comes before the parent is looked at. A path is not checked yet: without its number
 * it may be unfinished. */
static int32_t check_request(struct zkl_preparing *p, const struct zkl_request *request)
{
    int32_t code = check_flags(p->server, request);
    if (code != 0) return code;
    if (p->session->closing) return ZKL_CODE_SESSIONEXPIRED;
    struct zkl_slice path = request->path;
    if (path.base == NULL) return ZKL_CODE_MARSHALLINGERROR; /* Java's null pointer */
    if (path.size == 0 || memchr(path.base, '/', path.size) == NULL ||
        memchr(path.base, 0, path.size) != NULL) {
        return ZKL_CODE_BADARGUMENTS;
    }
    return 0;
}

/* Path and number, put together in scratch, which has room. */
static struct zkl_slice complete(struct zkl_server *server, struct zkl_slice path, int32_t number)
{
    uint8_t *base = server->prep.scratch;
    memcpy(base, path.base, path.size);
    size_t size = zkl_format_sequence((char *)base + path.size, number);
    return (struct zkl_slice) { base, path.size + size };
}

int64_t zkl_txn_owner(const struct zkl_txn *txn, int64_t session_id)
{
    switch (txn->type) {
    case ZKL_OP_CREATE_CONTAINER: return ZKL_OWNER_CONTAINER;
    case ZKL_OP_CREATE_TTL: return (int64_t)(ZKL_OWNER_TTL_BITS | (uint64_t)txn->ttl_ms);
    default: return txn->ephemeral ? session_id : 0;
    }
}

/* Everything from the parent on. Fills in what depends on it: path and parent_cversion. */
static int32_t judge(struct zkl_preparing *p, const struct zkl_request *request,
                     struct zkl_txn *txn, struct zkl_place *parent, struct zkl_place *node)
{
    struct zkl_server *server = p->server;
    zkl_prepare_look(p, zkl_path_parent(request->path), parent);
    if (!parent->record.exists) return ZKL_CODE_NONODE;
    if (!zkl_prepare_allowed(p, parent->record.acl, ZKL_CREATE)) return ZKL_CODE_NOAUTH;
    int32_t number = parent->record.stat.cversion;
    if (is_sequential(request->flags)) txn->path = complete(server, request->path, number);
    if (zkl_path_check(txn->path, false) != NULL) return ZKL_CODE_BADARGUMENTS;
    if (zkl_usage_refuses(txn->path, request->data)) return ZKL_CODE_BADARGUMENTS;
    zkl_prepare_look(p, txn->path, node);
    if (node->record.exists) return ZKL_CODE_NODEEXISTS;
    int64_t owner = parent->record.stat.ephemeral_owner;
    if (zkl_tree_owner_kind(&server->tree, owner) == ZKL_OWNER_SESSION) {
        return ZKL_CODE_NOCHILDRENFOREPHEMERALS;
    }
    int32_t code = zkl_usage_judge(p, txn->path, 1, (int64_t)request->data.size);
    if (code != 0) return code;
    size_t node_size = offsetof(struct zkl_node, name) + zkl_path_name(txn->path).size;
    size_t needed = zkl_memory_needed(server, node_size, 0) +
                    zkl_memory_needed(server, request->data.size, 0);
    if (zkl_memory_full(server, needed)) return ZKL_CODE_QUOTAEXCEEDED;
    txn->parent_cversion = zkl_next_version(number);
    return 0;
}

/* As the tree will do it: a counter that does not grow (past 2147483647) stays, and pzxid with
 * it. */
static struct zkl_record parent_after(const struct zkl_record *parent, int32_t cversion,
                                      int64_t zxid)
{
    struct zkl_record record = *parent;
    record.stat.children_count++;
    if (cversion > record.stat.cversion) {
        record.stat.cversion = cversion;
        record.stat.pzxid = zxid;
    }
    return record;
}

static struct zkl_record node_after(const struct zkl_preparing *p, const struct zkl_txn *txn,
                                    const struct zkl_reserved *reserved)
{
    const struct zkl_txn_header *header = &p->proposal->header;
    return (struct zkl_record) {
        .exists = true,
        .acl = reserved->acl,
        .crc = reserved->crc,
        .stat.czxid = header->zxid,
        .stat.mzxid = header->zxid,
        .stat.pzxid = header->zxid,
        .stat.ctime_ms = header->time_ms,
        .stat.mtime_ms = header->time_ms,
        .stat.ephemeral_owner = zkl_txn_owner(txn, header->session_id),
        .stat.data_length = (int32_t)txn->data.size,
    };
}

/* Into the overlay, with the memory for the tree. */
static int32_t put(struct zkl_preparing *p, const struct zkl_txn *txn, struct zkl_place *parent,
                   struct zkl_place *node, struct zkl_change *change)
{
    struct zkl_server *server = p->server;
    const struct zkl_txn_header *header = &p->proposal->header;
    if (!zkl_usage_expect(p, txn->path, 1, (int64_t)txn->data.size)) return ZKL_PREPARE_NOMEM;
    if (!zkl_tree_reserve_create(&server->tree, txn->path, txn->data, txn->acl,
                                 zkl_txn_owner(txn, header->session_id),
                                 server->prep.creates_ahead, &change->reserved)) {
        return ZKL_PREPARE_NOMEM;
    }
    server->prep.creates_ahead++;
    p->proposal->create_count++;
    struct zkl_record above = parent_after(&parent->record, txn->parent_cversion, header->zxid);
    struct zkl_record record = node_after(p, txn, &change->reserved);
    zkl_usage_set(p, node->path, txn->data, &record);
    if (!zkl_prepare_change(p, parent, &above) || !zkl_prepare_change(p, node, &record)) {
        return ZKL_PREPARE_NOMEM;
    }
    return 0;
}

int32_t zkl_prepare_create(struct zkl_preparing *p, const struct zkl_request *request,
                           struct zkl_change *change)
{
    int32_t code = check_request(p, request);
    if (code != 0) return code;
    struct zkl_txn txn = {
        .type = request->op,
        .path = request->path,
        .data = request->data,
        .ephemeral = is_ephemeral(request->flags),
        .ttl_ms = request->ttl_ms,
    };
    /* Scratch: first the completed path, then the access list. */
    code = zkl_prepare_acl(p, request->acl, request->path.size + ZKL_SEQUENCE_SIZE_MAX, &txn.acl);
    if (code != 0) return code;
    struct zkl_place parent, node;
    code = judge(p, request, &txn, &parent, &node);
    if (code != 0) return code;
    code = put(p, &txn, &parent, &node, change);
    if (code != 0) return code;
    return zkl_prepare_write(p, &txn);
}
