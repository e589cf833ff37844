/* What the files of the tree share with each other and with nobody else. */
#ifndef ZKLUA_SERVER_NODE_H
#define ZKLUA_SERVER_NODE_H

#include "server/tree.h"

static inline size_t zkl_node_size(const struct zkl_node *node)
{
    return offsetof(struct zkl_node, name) + node->name_size;
}

/* What it adds to the tree's digest; 0 below /zookeeper/. */
uint64_t zkl_node_digest(const struct zkl_node *node);
void zkl_node_extra_init(struct zkl_node_extra *extra, struct zkl_node *node);

uint64_t zkl_tree_owner_hash(const struct zkl_tree *tree, int64_t session_id);

/* All that a new node needs but its access list: see zkl_tree_reserve_create. */
bool zkl_tree_reserve_node(struct zkl_tree *tree, struct zkl_slice path, struct zkl_slice data,
                           bool with_extra, bool with_owner, size_t ahead,
                           struct zkl_reserved *reserved);
void zkl_tree_give_back(struct zkl_tree *tree, struct zkl_node *node); /* and data, and extra */

/* A node with its parent and numbers: into the map, below the parent, among its owner's, into
 * the sums. Takes the blocks it needs for parent and owner. Detach is the way back; the node
 * keeps its blocks. */
void zkl_tree_attach(struct zkl_tree *tree, struct zkl_node *node, struct zkl_reserved *reserved);
void zkl_tree_detach(struct zkl_tree *tree, struct zkl_node *node);

#endif
