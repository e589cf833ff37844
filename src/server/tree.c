/* The tree as a whole: its life, finding a node by its path, and nodes from a snapshot. */
#include "server/tree.h"

#include <string.h>

#include "base/memory.h"
#include "server/node.h"

/* --- finding ------------------------------------------------------------------- */

static bool is_root(struct zkl_slice path)
{
    return path.size == 0 || (path.size == 1 && path.base[0] == '/');
}

uint64_t zkl_tree_hash(const struct zkl_tree *tree, struct zkl_slice path)
{
    uint64_t hash = zkl_hash_begin(tree->seed);
    if (!is_root(path)) hash = zkl_hash_add(hash, path.base, path.size);
    return zkl_hash_end(hash);
}

/* From the last component up. A name has no '/' and, but for the root's, is not empty, so
 * that no other path than the node's own is taken for it. */
static bool has_path(const struct zkl_node *node, struct zkl_slice path)
{
    size_t left = path.size;
    for (; node->parent != NULL; node = node->parent) {
        if (left <= node->name_size) return false;
        left -= node->name_size;
        if (path.base[left - 1] != '/') return false;
        if (memcmp(path.base + left, node->name, node->name_size) != 0) return false;
        left--;
    }
    return left == 0;
}

struct zkl_node *zkl_tree_find(const struct zkl_tree *tree, struct zkl_slice path)
{
    if (path.base == NULL) return NULL;
    if (is_root(path)) return tree->root;
    uint64_t hash = zkl_tree_hash(tree, path);
    struct zkl_map_node *entry = zkl_map_chain(&tree->nodes, hash);
    for (; entry != NULL; entry = entry->next) {
        struct zkl_node *node = (struct zkl_node *)entry;
        /* Among a million nodes none is in a cache: the name comes while the hash does. */
        zkl_prefetch(node->name);
        if (entry->hash == hash && has_path(node, path)) return node;
    }
    return NULL;
}

uint64_t zkl_tree_owner_hash(const struct zkl_tree *tree, int64_t session_id)
{
    return zkl_hash_end(zkl_hash_add(zkl_hash_begin(tree->seed), &session_id, sizeof session_id));
}

struct zkl_owner *zkl_tree_owner(const struct zkl_tree *tree, int64_t session_id)
{
    uint64_t hash = zkl_tree_owner_hash(tree, session_id);
    struct zkl_map_node *entry = zkl_map_first(&tree->owners, hash);
    while (entry != NULL && ((struct zkl_owner *)entry)->session_id != session_id) {
        entry = zkl_map_next(entry, hash);
    }
    return (struct zkl_owner *)entry;
}

/* --- from a snapshot ----------------------------------------------------------- */

bool zkl_tree_restore(struct zkl_tree *tree, const struct zkl_restored_node *restored,
                      struct zkl_node *parent)
{
    const struct zkl_stat *stat = &restored->stat;
    int64_t owner = stat->ephemeral_owner;
    bool with_extra = owner != 0 || stat->cversion != 0 || stat->pzxid != stat->czxid;
    bool with_owner = zkl_tree_owner_kind(tree, owner) == ZKL_OWNER_SESSION;
    struct zkl_reserved reserved;
    if (!zkl_tree_reserve_node(tree, restored->path, restored->data, with_extra, with_owner, 0,
                               &reserved)) {
        return false;
    }
    struct zkl_node *node = reserved.node;
    reserved.node = NULL;
    node->parent = parent;
    node->czxid = stat->czxid;
    node->mzxid = stat->mzxid;
    node->ctime_ms = stat->ctime_ms;
    node->mtime_ms = stat->mtime_ms;
    node->version = stat->version;
    node->aversion = stat->aversion;
    if (restored->acl != -1) {
        node->acl = (uint32_t)restored->acl;
        zkl_acls_hold(tree->acls, node->acl);
    }
    if (with_extra) {
        zkl_node_extra_init(reserved.extra, node);
        reserved.extra = NULL;
        node->extra->cversion = stat->cversion;
        node->extra->pzxid = stat->pzxid;
        node->extra->owner = owner;
    }
    zkl_tree_attach(tree, node, &reserved);
    if (parent == NULL) tree->root = node;
    zkl_tree_release(tree, &reserved);
    return true;
}

/* --- life ---------------------------------------------------------------------- */

static struct zkl_slice text_slice(const char *text)
{
    return (struct zkl_slice) { (const uint8_t *)text, strlen(text) };
}

/* The nodes of a new server (server-semantics 1.14). */
static bool make_first_nodes(struct zkl_tree *tree)
{
    static const uint8_t world_read[] = { 0, 0, 0, ZKL_READ, 0, 0, 0, 5, 'w', 'o', 'r', 'l', 'd',
                                          0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e' };
    const struct zkl_vector read_only = { world_read, sizeof world_read, 1 };
    uint32_t acl = zkl_acls_take(tree->acls, read_only);
    if (acl == 0) return false;
    static const struct {
        const char *path, *parent;
        bool config;
    } FIRST[] = {
        { "", NULL, false },
        { "/zookeeper", "/", false },
        { "/zookeeper/config", "/zookeeper", true },
        { "/zookeeper/quota", "/zookeeper", false },
    };
    bool made = true;
    for (size_t i = 0; made && i < sizeof FIRST / sizeof FIRST[0]; i++) {
        struct zkl_node *parent = NULL;
        if (FIRST[i].parent != NULL) parent = zkl_tree_find(tree, text_slice(FIRST[i].parent));
        struct zkl_restored_node node = {
            .path = text_slice(FIRST[i].path),
            .data = text_slice(""),
            .acl = FIRST[i].config ? (int64_t)acl : -1,
            .stat.aversion = FIRST[i].config ? -1 : 0,
        };
        made = zkl_tree_restore(tree, &node, parent);
    }
    zkl_acls_release(tree->acls, acl);
    return made;
}

bool zkl_tree_init(struct zkl_tree *tree, const struct zkl_allocator *allocator, uint64_t seed,
                   bool ttl_nodes)
{
    *tree = (struct zkl_tree) { .allocator = *allocator, .seed = seed, .ttl_nodes = ttl_nodes };
    zkl_pool_init(&tree->pool, allocator);
    zkl_map_init(&tree->nodes, allocator);
    zkl_map_init(&tree->owners, allocator);
    zkl_list_init(&tree->containers);
    zkl_list_init(&tree->ttls);
    tree->acls = zkl_acls_new(allocator, seed);
    if (tree->acls != NULL && make_first_nodes(tree)) return true;
    zkl_tree_free(tree);
    return false;
}

void zkl_tree_clear(struct zkl_tree *tree)
{
    ZKL_ASSERT(tree->snapshot == NULL);
    struct zkl_map_node *entry = zkl_map_each(&tree->nodes, NULL);
    while (entry != NULL) {
        struct zkl_map_node *next = zkl_map_each(&tree->nodes, entry);
        zkl_map_remove(&tree->nodes, entry);
        zkl_tree_give_back(tree, (struct zkl_node *)entry);
        entry = next;
    }
    zkl_map_free(&tree->nodes);
    zkl_map_free(&tree->owners);
    zkl_pool_free(&tree->pool); /* the owners' blocks too */
    zkl_list_init(&tree->containers);
    zkl_list_init(&tree->ttls);
    if (tree->acls != NULL) zkl_acls_clear(tree->acls);
    tree->root = NULL;
    tree->digest = tree->data_bytes = tree->ephemeral_count = 0;
}

void zkl_tree_free(struct zkl_tree *tree)
{
    zkl_tree_clear(tree);
    if (tree->acls != NULL) zkl_acls_free(tree->acls);
    tree->acls = NULL;
}
