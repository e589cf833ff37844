/* Transactions that are durable, into the tree and the session table, and what watches hear.
 *
 * Nothing here can fail or is judged again: prep has found what is needed and reserved the rest.
 * Where the two disagree, the mistake is ours and is asserted; the digest that prep computed
 * beforehand is the last word. */
#include "server/internal.h"
#include "server/prepare.h"
#include "server/usage.h"

/* A parent's path as watches know it: of a child of the root, "/". */
static void tell(struct zkl_server *server, int32_t event, struct zkl_slice path, uint32_t acl,
                 const struct zkl_node *parent)
{
    zkl_reply_event(server, event, path, acl, server->zxid);
    if (parent == NULL) return;
    zkl_reply_event(server, ZKL_WATCH_CHILDREN, zkl_path_parent(path), parent->acl, server->zxid);
}

static void apply_create(struct zkl_server *server, const struct zkl_txn_header *header,
                         struct zkl_change *change)
{
    const struct zkl_txn *txn = &change->txn;
    struct zkl_node *parent = zkl_tree_find(&server->tree, zkl_path_parent(txn->path));
    ZKL_ASSERT(parent != NULL);
    struct zkl_node *node = zkl_tree_create(
        &server->tree, parent, &change->reserved, zkl_txn_owner(txn, header->session_id),
        txn->parent_cversion, header->zxid, header->time_ms);
    zkl_node_stat(node, &server->tree, &change->stat);
    tell(server, ZKL_WATCH_CREATED, txn->path, node->acl, parent);
    zkl_usage_created(server, txn->path);
    zkl_usage_add(server, txn->path, 1, (int64_t)txn->data.size);
}

static void apply_delete(struct zkl_server *server, struct zkl_slice path)
{
    struct zkl_tree *tree = &server->tree;
    struct zkl_node *node = zkl_tree_find(tree, path);
    ZKL_ASSERT(node != NULL && node->parent != NULL);
    struct zkl_node *parent = node->parent;
    int64_t size = node->data_size;
    uint32_t acl = node->acl; /* decides who may hear of the end of its node */
    if (acl != ZKL_ACL_OPEN) zkl_acls_hold(tree->acls, acl);
    zkl_tree_delete(tree, node, server->zxid);
    tell(server, ZKL_WATCH_DELETED, path, acl, parent);
    if (acl != ZKL_ACL_OPEN) zkl_acls_release(tree->acls, acl);
    zkl_usage_add(server, path, -1, -size);
}

static void apply_set_data(struct zkl_server *server, const struct zkl_txn_header *header,
                           struct zkl_change *change)
{
    const struct zkl_txn *txn = &change->txn;
    struct zkl_node *node = zkl_tree_find(&server->tree, txn->path);
    ZKL_ASSERT(node != NULL);
    int64_t more = (int64_t)txn->data.size - (int64_t)node->data_size;
    zkl_tree_set_data(&server->tree, node, &change->reserved, txn->version, header->zxid,
                      header->time_ms);
    zkl_node_stat(node, &server->tree, &change->stat);
    tell(server, ZKL_WATCH_CHANGED, txn->path, node->acl, NULL);
    zkl_usage_add(server, txn->path, 0, more);
}

static void apply_set_acl(struct zkl_server *server, struct zkl_change *change)
{
    struct zkl_node *node = zkl_tree_find(&server->tree, change->txn.path);
    ZKL_ASSERT(node != NULL);
    zkl_tree_set_acl(&server->tree, node, &change->reserved, change->txn.version);
    zkl_node_stat(node, &server->tree, &change->stat);
}

static void apply_create_session(struct zkl_server *server, struct zkl_proposal *proposal)
{
    zkl_sessions_insert(&server->sessions, proposal->session, proposal->header.session_id,
                        proposal->changes[0].txn.timeout_ms, server->clock.now_ms);
}

/* First those that the record names, then those it had no room for. */
static void apply_close_session(struct zkl_server *server, struct zkl_proposal *proposal)
{
    int64_t id = proposal->header.session_id;
    struct zkl_vector paths = proposal->changes[0].txn.paths;
    struct zkl_slice path;
    while (zkl_vector_next_string(&paths, &path)) apply_delete(server, path);
    struct zkl_owner *owner;
    while ((owner = zkl_tree_owner(&server->tree, id)) != NULL) {
        const struct zkl_node *node = zkl_owned_node(owner->nodes.next);
        struct zkl_prep *prep = &server->prep;
        size_t size = zkl_node_path(node, (char *)prep->scratch, prep->scratch_capacity);
        ZKL_ASSERT(size <= prep->scratch_capacity); /* prep has seen to that */
        apply_delete(server, (struct zkl_slice) { prep->scratch, size });
    }
    zkl_list_remove(&proposal->on_session);
    zkl_sessions_remove(&server->sessions, proposal->asker);
    proposal->asker = NULL;
}

static void apply_change(struct zkl_server *server, struct zkl_proposal *proposal,
                         struct zkl_change *change)
{
    switch (change->txn.type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        apply_create(server, &proposal->header, change);
        break;
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
        apply_delete(server, change->txn.path);
        break;
    case ZKL_OP_SET_DATA:
        apply_set_data(server, &proposal->header, change);
        break;
    case ZKL_OP_SET_ACL:
        apply_set_acl(server, change);
        break;
    case ZKL_OP_CREATE_SESSION:
        apply_create_session(server, proposal);
        break;
    case ZKL_OP_CLOSE_SESSION:
        apply_close_session(server, proposal);
        break;
    default:
        ZKL_ASSERT(change->txn.type == ZKL_OP_CHECK);
        break;
    }
}

void zkl_apply(struct zkl_server *server, struct zkl_proposal *proposal)
{
    ZKL_ASSERT(server->zxid + 1 == proposal->header.zxid);
    server->zxid = proposal->header.zxid;
    bool failed = proposal->header.type == ZKL_OP_MULTI &&
                  proposal->failed_index < proposal->change_count;
    for (size_t i = 0; !failed && i < proposal->change_count; i++) {
        apply_change(server, proposal, &proposal->changes[i]);
    }
    ZKL_ASSERT(server->tree.digest == proposal->digest);
}
