/* The memory of changes that are prepared and not yet applied: taken here while a request can
 * still be refused, so that applying it cannot fail.
 *
 * A block is reserved even where the tree as it stands would not need it (the parent has an
 * extra, the session has ephemerals): what is applied before may take that away again. */
#include <string.h>

#include "server/node.h"

static bool take_data(struct zkl_tree *tree, struct zkl_slice data, uint8_t **block)
{
    *block = NULL;
    if (data.size == 0) return true;
    *block = zkl_pool_take(&tree->pool, data.size);
    if (*block != NULL) memcpy(*block, data.base, data.size);
    return *block != NULL;
}

/* With name, data and all that follows from the path. */
static struct zkl_node *take_node(struct zkl_tree *tree, struct zkl_slice path,
                                  struct zkl_slice data)
{
    struct zkl_slice name = zkl_path_name(path);
    if (name.size > ZKL_NODE_NAME_MAX || data.size > INT32_MAX) return NULL;
    uint8_t *block;
    if (!take_data(tree, data, &block)) return NULL;
    struct zkl_node *node =
        zkl_pool_take(&tree->pool, offsetof(struct zkl_node, name) + name.size);
    if (node == NULL) {
        if (block != NULL) zkl_pool_give_back(&tree->pool, block, data.size);
        return NULL;
    }
    *node = (struct zkl_node) {
        .entry.hash = zkl_tree_hash(tree, path),
        .data = block,
        .data_size = (uint32_t)data.size,
        .data_null = data.base == NULL,
        .crc = zkl_digest_begin(path, data),
        .outside = zkl_path_outside_digest(path),
        .name_size = (uint32_t)name.size & ZKL_NODE_NAME_MAX,
    };
    zkl_list_init(&node->siblings);
    if (name.size > 0) memcpy(node->name, name.base, name.size);
    return node;
}

void zkl_tree_give_back(struct zkl_tree *tree, struct zkl_node *node)
{
    if (node == NULL) return;
    if (node->data != NULL) zkl_pool_give_back(&tree->pool, node->data, node->data_size);
    zkl_pool_give_back(&tree->pool, node->extra, sizeof *node->extra);
    zkl_pool_give_back(&tree->pool, node, zkl_node_size(node));
}

bool zkl_tree_reserve_node(struct zkl_tree *tree, struct zkl_slice path, struct zkl_slice data,
                           bool with_extra, bool with_owner, size_t ahead,
                           struct zkl_reserved *reserved)
{
    *reserved = (struct zkl_reserved) { 0 };
    struct zkl_pool *pool = &tree->pool;
    bool room = zkl_map_reserve_ahead(&tree->nodes, ahead + 1) &&
                (!with_owner || zkl_map_reserve_ahead(&tree->owners, ahead + 1));
    if (!room) return false;
    reserved->node = take_node(tree, path, data);
    reserved->parent_extra = zkl_pool_take(pool, sizeof *reserved->parent_extra);
    if (with_extra) reserved->extra = zkl_pool_take(pool, sizeof *reserved->extra);
    if (with_owner) reserved->owner = zkl_pool_take(pool, sizeof *reserved->owner);
    bool complete = reserved->node != NULL && reserved->parent_extra != NULL &&
                    (!with_extra || reserved->extra != NULL) &&
                    (!with_owner || reserved->owner != NULL);
    if (!complete) {
        zkl_tree_release(tree, reserved);
        return false;
    }
    reserved->crc = reserved->node->crc;
    return true;
}

bool zkl_tree_reserve_create(struct zkl_tree *tree, struct zkl_slice path, struct zkl_slice data,
                             struct zkl_vector acl, int64_t owner, size_t ahead,
                             struct zkl_reserved *reserved)
{
    bool with_owner = zkl_tree_owner_kind(tree, owner) == ZKL_OWNER_SESSION;
    if (!zkl_tree_reserve_node(tree, path, data, owner != 0, with_owner, ahead, reserved)) {
        return false;
    }
    reserved->acl = zkl_acls_take(tree->acls, acl);
    if (reserved->acl != 0) return true;
    zkl_tree_release(tree, reserved);
    return false;
}

bool zkl_tree_reserve_set_data(struct zkl_tree *tree, struct zkl_slice path,
                               struct zkl_slice data, struct zkl_reserved *reserved)
{
    *reserved = (struct zkl_reserved) { 0 };
    if (data.size > INT32_MAX || !take_data(tree, data, &reserved->data)) return false;
    reserved->data_size = data.size;
    reserved->data_null = data.base == NULL;
    reserved->crc = zkl_digest_begin(path, data);
    return true;
}

bool zkl_tree_reserve_set_acl(struct zkl_tree *tree, struct zkl_vector acl,
                              struct zkl_reserved *reserved)
{
    *reserved = (struct zkl_reserved) { .acl = zkl_acls_take(tree->acls, acl) };
    return reserved->acl != 0;
}

void zkl_tree_release(struct zkl_tree *tree, struct zkl_reserved *reserved)
{
    struct zkl_pool *pool = &tree->pool;
    zkl_tree_give_back(tree, reserved->node);
    zkl_pool_give_back(pool, reserved->extra, sizeof *reserved->extra);
    zkl_pool_give_back(pool, reserved->parent_extra, sizeof *reserved->parent_extra);
    zkl_pool_give_back(pool, reserved->owner, sizeof *reserved->owner);
    if (reserved->data != NULL) zkl_pool_give_back(pool, reserved->data, reserved->data_size);
    if (reserved->acl != 0) zkl_acls_release(tree->acls, reserved->acl);
    *reserved = (struct zkl_reserved) { 0 };
}
