/* The changes of the tree. None can fail; each keeps the digest and the sums, and shows a node
 * to the snapshot that runs before it changes. */
#include <string.h>

#include "server/node.h"

static void touch(struct zkl_tree *tree, struct zkl_node *node)
{
    if (tree->snapshot != NULL) zkl_snapshot_touch(tree->snapshot, node);
}

static void begin_change(struct zkl_tree *tree, struct zkl_node *node)
{
    touch(tree, node);
    tree->digest -= zkl_node_digest(node);
}

static void end_change(struct zkl_tree *tree, struct zkl_node *node)
{
    tree->digest += zkl_node_digest(node);
}

static void let_go_of_acl(struct zkl_tree *tree, uint32_t acl)
{
    if (acl != ZKL_ACL_OPEN) zkl_acls_release(tree->acls, acl);
}

/* --- into the tree and out of it ----------------------------------------------- */

static void join_owner(struct zkl_tree *tree, struct zkl_node_extra *extra,
                       struct zkl_reserved *reserved)
{
    struct zkl_owner *owner = zkl_tree_owner(tree, extra->owner);
    if (owner == NULL) {
        ZKL_ASSERT(reserved->owner != NULL);
        owner = reserved->owner;
        reserved->owner = NULL;
        *owner = (struct zkl_owner) { .session_id = extra->owner };
        zkl_list_init(&owner->nodes);
        zkl_map_insert(&tree->owners, &owner->entry, zkl_tree_owner_hash(tree, extra->owner));
    }
    zkl_list_push(&owner->nodes, &extra->owned);
    owner->count++;
    tree->ephemeral_count++;
}

static void leave_owner(struct zkl_tree *tree, struct zkl_node_extra *extra)
{
    struct zkl_owner *owner = zkl_tree_owner(tree, extra->owner);
    ZKL_ASSERT(owner != NULL);
    tree->ephemeral_count--;
    if (--owner->count > 0) return;
    zkl_map_remove(&tree->owners, &owner->entry);
    zkl_pool_give_back(&tree->pool, owner, sizeof *owner);
}

void zkl_tree_attach(struct zkl_tree *tree, struct zkl_node *node, struct zkl_reserved *reserved)
{
    struct zkl_node *parent = node->parent;
    if (parent != NULL) {
        if (parent->extra == NULL) {
            zkl_node_extra_init(reserved->parent_extra, parent);
            reserved->parent_extra = NULL;
        }
        zkl_list_push(&parent->extra->children, &node->siblings);
        parent->extra->children_count++;
    }
    /* Who has children has an extra; and the length of the path is summed up on the same way. */
    for (; parent != NULL; parent = parent->parent) parent->extra->below++;
    switch (zkl_tree_owner_kind(tree, zkl_node_owner(node))) {
    case ZKL_OWNER_NONE: break;
    case ZKL_OWNER_SESSION: join_owner(tree, node->extra, reserved); break;
    case ZKL_OWNER_IS_CONTAINER: zkl_list_push(&tree->containers, &node->extra->owned); break;
    case ZKL_OWNER_IS_TTL: zkl_list_push(&tree->ttls, &node->extra->owned); break;
    }
    node->generation = tree->generation % ZKL_GENERATIONS; /* new: no snapshot wants it */
    zkl_map_insert(&tree->nodes, &node->entry, node->entry.hash);
    tree->data_bytes += zkl_node_path(node, NULL, 0) + node->data_size;
    tree->digest += zkl_node_digest(node);
}

void zkl_tree_detach(struct zkl_tree *tree, struct zkl_node *node)
{
    ZKL_ASSERT(node->parent != NULL && zkl_node_children_count(node) == 0);
    tree->digest -= zkl_node_digest(node);
    tree->data_bytes -= zkl_node_path(node, NULL, 0) + node->data_size;
    zkl_map_remove(&tree->nodes, &node->entry);
    if (node->extra != NULL) {
        zkl_list_remove(&node->extra->owned);
        if (zkl_tree_owner_kind(tree, node->extra->owner) == ZKL_OWNER_SESSION) {
            leave_owner(tree, node->extra);
        }
    }
    zkl_list_remove(&node->siblings);
    node->parent->extra->children_count--;
    for (struct zkl_node *up = node->parent; up != NULL; up = up->parent) up->extra->below--;
}

/* --- changes ------------------------------------------------------------------- */

/* Of a node that has an extra, and between begin_change and end_change. */
static void raise(struct zkl_node *parent, int32_t cversion, int64_t zxid)
{
    struct zkl_node_extra *extra = parent->extra;
    if (cversion == -1) cversion = (int32_t)((uint32_t)extra->cversion + 1);
    if (cversion <= extra->cversion) return;
    extra->cversion = cversion;
    extra->pzxid = zxid;
}

struct zkl_node *zkl_tree_create(struct zkl_tree *tree, struct zkl_node *parent,
                                 struct zkl_reserved *reserved, int64_t owner,
                                 int32_t parent_cversion, int64_t zxid, int64_t time_ms)
{
    struct zkl_node *node = reserved->node;
    reserved->node = NULL;
    begin_change(tree, parent);
    node->parent = parent;
    node->czxid = node->mzxid = zxid;
    node->ctime_ms = node->mtime_ms = time_ms;
    node->acl = reserved->acl;
    reserved->acl = 0;
    if (owner != 0) {
        ZKL_ASSERT(reserved->extra != NULL);
        zkl_node_extra_init(reserved->extra, node);
        node->extra->owner = owner;
        reserved->extra = NULL;
    }
    zkl_tree_attach(tree, node, reserved);
    raise(parent, parent_cversion, zxid);
    end_change(tree, parent);
    return node;
}

void zkl_tree_delete(struct zkl_tree *tree, struct zkl_node *node, int64_t zxid)
{
    struct zkl_node *parent = node->parent;
    begin_change(tree, parent);
    if (zxid > parent->extra->pzxid) parent->extra->pzxid = zxid;
    end_change(tree, parent);
    touch(tree, node);
    zkl_tree_detach(tree, node);
    let_go_of_acl(tree, node->acl);
    zkl_tree_give_back(tree, node);
}

static void replace_data(struct zkl_tree *tree, struct zkl_node *node, uint8_t *data, size_t size)
{
    tree->data_bytes += size;
    tree->data_bytes -= node->data_size;
    if (node->data != NULL) zkl_pool_give_back(&tree->pool, node->data, node->data_size);
    node->data = data;
    node->data_size = (uint32_t)size;
}

void zkl_tree_set_data(struct zkl_tree *tree, struct zkl_node *node,
                       struct zkl_reserved *reserved, int32_t version, int64_t zxid,
                       int64_t time_ms)
{
    begin_change(tree, node);
    replace_data(tree, node, reserved->data, reserved->data_size);
    reserved->data = NULL;
    node->data_null = reserved->data_null;
    node->crc = reserved->crc;
    node->version = version;
    node->mzxid = zxid;
    node->mtime_ms = time_ms;
    end_change(tree, node);
}

void zkl_tree_set_acl(struct zkl_tree *tree, struct zkl_node *node,
                      struct zkl_reserved *reserved, int32_t version)
{
    begin_change(tree, node);
    let_go_of_acl(tree, node->acl);
    node->acl = reserved->acl;
    reserved->acl = 0;
    node->aversion = version;
    end_change(tree, node);
}

bool zkl_tree_raise_parent(struct zkl_tree *tree, struct zkl_node *parent,
                           int32_t parent_cversion, int64_t zxid)
{
    struct zkl_node_extra *extra = NULL;
    if (parent->extra == NULL) {
        extra = zkl_pool_take(&tree->pool, sizeof *extra);
        if (extra == NULL) return false;
    }
    begin_change(tree, parent);
    if (extra != NULL) zkl_node_extra_init(extra, parent);
    if (parent_cversion != INT32_MIN) {
        raise(parent, parent_cversion, zxid);
    } else if (zxid > parent->extra->pzxid) {
        parent->extra->pzxid = zxid;
    }
    end_change(tree, parent);
    return true;
}

void zkl_tree_disown(struct zkl_tree *tree, struct zkl_node *node)
{
    begin_change(tree, node);
    zkl_list_remove(&node->extra->owned);
    leave_owner(tree, node->extra);
    node->extra->owner = 0;
    end_change(tree, node);
}

void zkl_tree_set_stats(struct zkl_tree *tree, struct zkl_node *node, uint8_t *data, size_t size)
{
    ZKL_ASSERT(node->outside); /* so its checksum is nobody's */
    touch(tree, node);
    replace_data(tree, node, data, size);
    node->data_null = false;
}
