/* A snapshot's parts into the server. They come from a file whose checksums were right, or are
 * looked at only at its end: whatever could break the tree is refused here. */
#include "base/memory.h"
#include "server/internal.h"

void zkl_server_restore_begin(struct zkl_server *server)
{
    ZKL_ASSERT(!server->serving);
    zkl_tree_clear(&server->tree);
    struct zkl_map_node *entry = zkl_map_each(&server->sessions.map, NULL);
    while (entry != NULL) {
        struct zkl_map_node *next = zkl_map_each(&server->sessions.map, entry);
        zkl_sessions_remove(&server->sessions, (struct zkl_session *)entry);
        entry = next;
    }
    server->restoring = true;
    server->zxid = 0;
    server->fuzzy_zxid = INT64_MAX;
    server->settled = server->in_doubt = false;
    server->drift = 0;
    server->why[0] = '\0';
}

static int no_memory(struct zkl_server *server)
{
    zkl_why_start(server, "out of memory");
    return ZKL_E_NOMEM;
}

int zkl_server_restore_session(struct zkl_server *server, int64_t id, int32_t timeout_ms)
{
    ZKL_ASSERT(server->restoring);
    if (zkl_sessions_find(&server->sessions, id) != NULL) {
        zkl_why_start(server, "a session is there twice: ");
        return zkl_why_hex(server, (uint64_t)id);
    }
    struct zkl_session *session = zkl_sessions_reserve(&server->sessions, 0);
    if (session == NULL) return no_memory(server);
    zkl_sessions_insert(&server->sessions, session, id, timeout_ms, server->clock.now_ms);
    return ZKL_OK;
}

/* --- access lists -------------------------------------------------------------- */

/* The ids that Apache gives, and none so high that there is no next one. */
static bool is_acl_id(int64_t id)
{
    return id > 0 && id < UINT32_MAX;
}

static int refuse_acl(struct zkl_server *server, const char *what, int64_t id)
{
    zkl_why_start(server, what);
    return zkl_why_hex(server, (uint64_t)id);
}

int zkl_server_restore_acl(struct zkl_server *server, int64_t id, struct zkl_vector acl)
{
    ZKL_ASSERT(server->restoring);
    if (!is_acl_id(id)) return refuse_acl(server, "an access list has a strange id: ", id);
    if (zkl_acls_known(server->tree.acls, id)) {
        return refuse_acl(server, "an access list is there twice: ", id);
    }
    return zkl_acls_restore(server->tree.acls, id, acl) ? ZKL_OK : no_memory(server);
}

/* A snapshot that Apache took while it served can hold a node with a list that is younger than
 * its table; the log behind it says which. Until then the list lets nobody in. */
static int restore_unknown_acl(struct zkl_server *server, int64_t id)
{
    static const uint8_t nobody[] = { 0, 0, 0, 0, 0, 0, 0, 5, 'w', 'o', 'r', 'l', 'd',
                                      0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e' };
    const struct zkl_vector list = { nobody, sizeof nobody, 1 };
    if (!is_acl_id(id)) return refuse_acl(server, "a node names a strange access list: ", id);
    return zkl_acls_restore(server->tree.acls, id, list) ? ZKL_OK : no_memory(server);
}

/* --- nodes --------------------------------------------------------------------- */

static int refuse_node(struct zkl_server *server, const char *what, struct zkl_slice path)
{
    zkl_why_start(server, what);
    return zkl_why_slice(server, path);
}

/* The root is "" and comes first; any other path has its parent, a name, and comes once. */
static int find_parent(struct zkl_server *server, struct zkl_slice path,
                       struct zkl_node **parent)
{
    struct zkl_tree *tree = &server->tree;
    *parent = NULL;
    if (path.size == 0 && tree->root == NULL) return ZKL_OK;
    if (!zkl_path_is_below(path) || zkl_path_name(path).size > ZKL_NODE_NAME_MAX) {
        return refuse_node(server, "this is no path of a node: ", path);
    }
    *parent = zkl_tree_find(tree, zkl_path_parent(path));
    if (*parent == NULL) return refuse_node(server, "a node comes before its parent: ", path);
    if (zkl_tree_find(tree, path) != NULL) {
        return refuse_node(server, "a node is there twice: ", path);
    }
    return ZKL_OK;
}

/* TTL nodes: 16 bits between the mark and the milliseconds are of a kind nobody has defined. */
static bool is_owner(const struct zkl_tree *tree, int64_t owner)
{
    if (zkl_tree_owner_kind(tree, owner) != ZKL_OWNER_IS_TTL) return true;
    return ((uint64_t)owner & ~ZKL_OWNER_TTL_BITS) <= ZKL_TTL_MS_MAX;
}

int zkl_server_restore_node(struct zkl_server *server, const struct zkl_restored_node *node)
{
    ZKL_ASSERT(server->restoring);
    struct zkl_node *parent;
    int status = find_parent(server, node->path, &parent);
    if (status != ZKL_OK) return status;
    if (parent == NULL && node->stat.ephemeral_owner != 0) {
        return zkl_why_start(server, "the root has an owner");
    }
    if (!is_owner(&server->tree, node->stat.ephemeral_owner)) {
        return refuse_node(server, "a node has a TTL of an unknown kind: ", node->path);
    }
    if (node->acl != -1 && !zkl_acls_known(server->tree.acls, node->acl)) {
        status = restore_unknown_acl(server, node->acl);
        if (status != ZKL_OK) return status;
    }
    return zkl_tree_restore(&server->tree, node, parent) ? ZKL_OK : no_memory(server);
}

/* In two steps, since a bucket has to be there before it tells which node is its first. */
void zkl_server_restore_soon(struct zkl_server *server, struct zkl_slice path)
{
    enum { SIZE = sizeof server->soon / sizeof server->soon[0] };
    const struct zkl_map *nodes = &server->tree.nodes;
    size_t at = server->soon_count++;
    uint64_t hash = zkl_tree_hash(&server->tree, path);
    zkl_map_prefetch(nodes, hash);
    server->soon[at % SIZE] = hash;
    uint64_t earlier = server->soon[(at + SIZE / 2) % SIZE];
    zkl_prefetch(zkl_map_chain(nodes, earlier));
}

/* --- the end ------------------------------------------------------------------- */

int zkl_server_restore_end(struct zkl_server *server, int64_t zxid)
{
    ZKL_ASSERT(server->restoring);
    if (server->tree.root == NULL) return zkl_why_start(server, "there is no root node");
    zkl_acls_sweep(server->tree.acls);
    server->restoring = false;
    server->zxid = zxid;
    return ZKL_OK;
}

static bool refuse_parent(struct zkl_server *server, const struct zkl_node *node)
{
    char path[256]; /* the beginning of a longer one says less, and is not the node's */
    size_t size = zkl_node_path(node, path, sizeof path);
    if (size > sizeof path) size = 0;
    refuse_node(server, "an ephemeral node has children: ",
                (struct zkl_slice) { (const uint8_t *)path, size });
    return true;
}

/* The end of a session takes leaves: what lies below its nodes would be lost, and in nobody's
 * record. While entries are replayed onto a fuzzy snapshot this can be so for a time. */
static bool ephemeral_has_children(struct zkl_server *server)
{
    struct zkl_map_node *entry = zkl_map_each(&server->tree.owners, NULL);
    for (; entry != NULL; entry = zkl_map_each(&server->tree.owners, entry)) {
        struct zkl_owner *owner = ZKL_LIST_ELEMENT(entry, struct zkl_owner, entry);
        if (zkl_sessions_find(&server->sessions, owner->session_id) == NULL) continue;
        struct zkl_list *link = owner->nodes.next;
        for (; link != &owner->nodes; link = link->next) {
            const struct zkl_node *node = zkl_owned_node(link);
            if (zkl_node_first_child(node) != NULL) return refuse_parent(server, node);
        }
    }
    return false;
}

bool zkl_server_in_doubt(struct zkl_server *server)
{
    return server->in_doubt || ephemeral_has_children(server);
}

void zkl_server_restore_accept(struct zkl_server *server)
{
    ZKL_ASSERT(!server->serving && !server->restoring);
    struct zkl_tree *tree = &server->tree;
    struct zkl_map_node *entry = zkl_map_each(&tree->nodes, NULL);
    for (; entry != NULL; entry = zkl_map_each(&tree->nodes, entry)) {
        struct zkl_node *node = ZKL_LIST_ELEMENT(entry, struct zkl_node, entry);
        bool owned = zkl_tree_owner_kind(tree, zkl_node_owner(node)) == ZKL_OWNER_SESSION;
        if (owned && zkl_node_first_child(node) != NULL) zkl_tree_disown(tree, node);
    }
    server->in_doubt = false;
}

int zkl_server_restore_digest(struct zkl_server *server, int64_t digest_zxid, uint64_t digest)
{
    ZKL_ASSERT(!server->restoring);
    if (digest_zxid == 0) {
        server->fuzzy_zxid = 0;
    } else if (digest_zxid > server->zxid) {
        server->fuzzy_zxid = digest_zxid;
        server->fuzzy_digest = digest;
    } else if (digest_zxid == server->zxid) {
        server->fuzzy_zxid = 0;
        server->settled = digest == server->tree.digest;
        server->in_doubt = !server->settled;
        if (server->in_doubt) {
            zkl_why_start(server, "the nodes have the digest ");
            zkl_why_hex(server, server->tree.digest);
            zkl_why_text(server, ", and the snapshot says ");
            zkl_why_hex(server, digest);
        }
    }
    return ZKL_OK;
}
