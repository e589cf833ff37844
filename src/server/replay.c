/* Entries of a log into the tree, before anybody is served.
 *
 * The snapshot below may be fuzzy: taken while transactions went on, so that an effect may be
 * there before its entry comes (server-semantics 8, point 8). What is there or gone already is
 * passed over; only counters of the parent are raised. Bytes that make no sense are refused. */
#include <string.h>

#include "base/memory.h"
#include "server/prepare.h"
#include "server/replay.h"

struct step {
    struct zkl_txn txn;
    struct zkl_reserved reserved;
};

struct replay {
    struct zkl_server *server;
    const struct zkl_txn_header *header;
};

/* --- memory first ----------------------------------------------------------------- */

static bool reserve(struct replay *replay, struct step *step, size_t ahead)
{
    struct zkl_tree *tree = &replay->server->tree;
    const struct zkl_txn *txn = &step->txn;
    switch (txn->type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        return zkl_tree_reserve_create(tree, txn->path, txn->data, txn->acl,
                                       zkl_txn_owner(txn, replay->header->session_id), ahead,
                                       &step->reserved);
    case ZKL_OP_SET_DATA:
    case ZKL_OP_RECONFIG:
        return zkl_tree_reserve_set_data(tree, txn->path, txn->data, &step->reserved);
    case ZKL_OP_SET_ACL:
        return zkl_tree_reserve_set_acl(tree, txn->acl, &step->reserved);
    default:
        return true;
    }
}

/* --- one change -------------------------------------------------------------------- */

/* In a fuzzy snapshot a node may have children that its deletion knew nothing of: their own
 * entries are still to come. */
static void delete_subtree(struct replay *replay, struct zkl_node *top)
{
    struct zkl_node *node = top;
    for (;;) {
        struct zkl_node *child = zkl_node_first_child(node);
        if (child != NULL) {
            node = child;
            continue;
        }
        struct zkl_node *parent = node->parent;
        bool last = node == top;
        zkl_tree_delete(&replay->server->tree, node, replay->header->zxid);
        if (last) return;
        node = parent;
    }
}

static int replay_delete(struct replay *replay, struct zkl_slice path)
{
    struct zkl_tree *tree = &replay->server->tree;
    struct zkl_slice parent_path = zkl_path_parent(path);
    struct zkl_node *node = zkl_tree_find(tree, path);
    if (node == tree->root) return zkl_why_start(replay->server, "the log deletes the root");
    if (node != NULL) {
        delete_subtree(replay, node);
        return ZKL_OK;
    }
    struct zkl_node *parent = zkl_tree_find(tree, parent_path);
    if (parent == NULL) return ZKL_OK;
    bool raised = zkl_tree_raise_parent(tree, parent, INT32_MIN, replay->header->zxid);
    return raised ? ZKL_OK : ZKL_E_NOMEM;
}

static int replay_create(struct replay *replay, struct step *step)
{
    struct zkl_tree *tree = &replay->server->tree;
    const struct zkl_txn *txn = &step->txn;
    const struct zkl_txn_header *header = replay->header;
    if (!zkl_path_is_below(txn->path)) {
        zkl_why_start(replay->server, "the log creates a node with the path ");
        return zkl_why_slice(replay->server, txn->path);
    }
    struct zkl_node *parent = zkl_tree_find(tree, zkl_path_parent(txn->path));
    if (parent == NULL) return ZKL_OK;
    struct zkl_node *node = zkl_tree_find(tree, txn->path);
    if (node == NULL) {
        zkl_tree_create(tree, parent, &step->reserved, zkl_txn_owner(txn, header->session_id),
                        txn->parent_cversion, header->zxid, header->time_ms);
        return ZKL_OK;
    }
    /* The snapshot's table may have been written before the node got its list. */
    zkl_tree_set_acl(tree, node, &step->reserved, node->aversion);
    if (txn->type != ZKL_OP_CREATE) return ZKL_OK;
    bool raised = zkl_tree_raise_parent(tree, parent, txn->parent_cversion, header->zxid);
    return raised ? ZKL_OK : ZKL_E_NOMEM;
}

static int replay_create_session(struct replay *replay, int32_t timeout_ms)
{
    struct zkl_sessions *sessions = &replay->server->sessions;
    int64_t id = replay->header->session_id;
    struct zkl_session *session = zkl_sessions_find(sessions, id);
    if (session != NULL) {
        session->timeout_ms = session->logged_timeout_ms = timeout_ms;
        return ZKL_OK;
    }
    session = zkl_sessions_reserve(sessions, 0);
    if (session == NULL) return ZKL_E_NOMEM;
    zkl_sessions_insert(sessions, session, id, timeout_ms, replay->server->clock.now_ms);
    return ZKL_OK;
}

static int replay_close_session(struct replay *replay, struct zkl_vector paths)
{
    struct zkl_server *server = replay->server;
    int64_t id = replay->header->session_id;
    struct zkl_slice path;
    while (zkl_vector_next_string(&paths, &path)) {
        int status = replay_delete(replay, path);
        if (status != ZKL_OK) return status;
    }
    struct zkl_owner *owner;
    while ((owner = zkl_tree_owner(&server->tree, id)) != NULL) {
        delete_subtree(replay, zkl_owned_node(owner->nodes.next));
    }
    struct zkl_session *session = zkl_sessions_find(&server->sessions, id);
    if (session != NULL) zkl_sessions_remove(&server->sessions, session);
    return ZKL_OK;
}

static int replay_step(struct replay *replay, struct step *step)
{
    struct zkl_tree *tree = &replay->server->tree;
    const struct zkl_txn *txn = &step->txn;
    const struct zkl_txn_header *header = replay->header;
    struct zkl_node *node;
    switch (txn->type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        return replay_create(replay, step);
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
        return replay_delete(replay, txn->path);
    case ZKL_OP_SET_DATA:
    case ZKL_OP_RECONFIG:
        node = zkl_tree_find(tree, txn->path);
        if (node == NULL) return ZKL_OK;
        zkl_tree_set_data(tree, node, &step->reserved, txn->version, header->zxid,
                          header->time_ms);
        return ZKL_OK;
    case ZKL_OP_SET_ACL:
        node = zkl_tree_find(tree, txn->path);
        if (node != NULL) zkl_tree_set_acl(tree, node, &step->reserved, txn->version);
        return ZKL_OK;
    case ZKL_OP_CREATE_SESSION:
        return replay_create_session(replay, txn->timeout_ms);
    case ZKL_OP_CLOSE_SESSION:
        return replay_close_session(replay, txn->paths);
    default:
        return ZKL_OK; /* an error, or a check that held */
    }
}

/* --- one transaction ---------------------------------------------------------------- */

static int replay_steps(struct replay *replay, struct step *steps, size_t count)
{
    int status = ZKL_OK;
    size_t reserved = 0;
    for (; status == ZKL_OK && reserved < count; reserved++) {
        if (!reserve(replay, &steps[reserved], reserved)) status = ZKL_E_NOMEM;
    }
    for (size_t i = 0; status == ZKL_OK && i < count; i++) {
        status = replay_step(replay, &steps[i]);
    }
    for (size_t i = 0; i < reserved; i++) {
        zkl_tree_release(&replay->server->tree, &steps[i].reserved);
    }
    return status;
}

/* One failed operation, and none of them has happened. */
static bool has_failed(struct zkl_vector parts)
{
    struct zkl_txn part;
    while (zkl_txn_next_part(&parts, &part)) {
        if (part.type == ZKL_OP_ERROR) return true;
    }
    return false;
}

static int replay_multi(struct replay *replay, struct zkl_vector parts)
{
    if (parts.count == 0 || has_failed(parts)) return ZKL_OK;
    const struct zkl_allocator *allocator = &replay->server->allocator;
    size_t count = (size_t)parts.count, size = count * sizeof(struct step);
    struct step *steps = zkl_allocate(allocator, size);
    if (steps == NULL) return ZKL_E_NOMEM;
    memset(steps, 0, size);
    for (size_t i = 0; zkl_txn_next_part(&parts, &steps[i].txn);) i++;
    int status = replay_steps(replay, steps, count);
    zkl_release(allocator, steps, size);
    return status;
}

static int replay_txn(struct replay *replay, const struct zkl_txn *txn)
{
    if (txn->type == ZKL_OP_MULTI) return replay_multi(replay, txn->parts);
    struct step step = { .txn = *txn };
    return replay_steps(replay, &step, 1);
}

/* --- an entry ------------------------------------------------------------------------ */

static int corrupt(struct zkl_server *server, const char *what, int64_t zxid)
{
    zkl_why_start(server, what);
    zkl_why_text(server, " at zxid ");
    return zkl_why_hex(server, (uint64_t)zxid);
}

static int64_t epoch_of(int64_t zxid)
{
    return zxid >> 32;
}

int zkl_server_replay(struct zkl_server *server, struct zkl_slice payload, bool *skipped)
{
    ZKL_ASSERT(!server->serving);
    struct zkl_reader reader = { payload.base, payload.base + payload.size, false };
    struct zkl_txn_header header;
    *skipped = false;
    zkl_txn_header_read(&reader, &header);
    if (reader.failed) return zkl_why_start(server, "an entry is too short for its header");
    if (header.zxid <= server->zxid) {
        *skipped = true;
        return ZKL_OK;
    }
    if (header.zxid != server->zxid + 1 && epoch_of(header.zxid) == epoch_of(server->zxid)) {
        corrupt(server, "transactions are missing behind the one", server->zxid);
        zkl_why_text(server, ": the next one has zxid ");
        return zkl_why_hex(server, (uint64_t)header.zxid);
    }
    struct zkl_txn txn;
    struct zkl_txn_digest digest;
    zkl_txn_read(&reader, header.type, &txn);
    zkl_txn_digest_read(&reader, &digest);
    if (reader.failed) return corrupt(server, "an entry is no known transaction", header.zxid);
    struct replay replay = { server, &header };
    int status = replay_txn(&replay, &txn);
    if (status != ZKL_OK) return status;
    server->zxid = header.zxid;
    return zkl_replay_compare(server, &header, &txn, &digest);
}
