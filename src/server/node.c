/* One znode by itself: its path, what clients and the disk see of it, and its part in the
 * tree's digest (server-semantics 1.6, 1.7, 9.2). */
#include "server/node.h"

#include <libdeflate.h>
#include <string.h>

#include "wire/bytes.h"

enum { DIGESTED_SIZE = 60 };

static const char OUTSIDE[] = "/zookeeper/"; /* the reserved nodes, but for their top */

/* --- paths --------------------------------------------------------------------- */

static size_t last_slash(struct zkl_slice path)
{
    size_t at = path.size;
    while (at > 0 && path.base[at - 1] != '/') at--;
    return at; /* one past it; 0: none */
}

struct zkl_slice zkl_path_parent(struct zkl_slice path)
{
    size_t end = last_slash(path);
    if (end == 0) return (struct zkl_slice) { NULL, 0 };
    return (struct zkl_slice) { path.base, end > 1 ? end - 1 : 1 };
}

struct zkl_slice zkl_path_name(struct zkl_slice path)
{
    size_t start = last_slash(path);
    if (start == 0) return (struct zkl_slice) { NULL, 0 };
    return (struct zkl_slice) { path.base + start, path.size - start };
}

bool zkl_path_is_below(struct zkl_slice path)
{
    size_t start = last_slash(path);
    if (start == 0 || start == path.size || path.base[0] != '/') return false;
    return start == 1 || path.base[start - 2] != '/';
}

bool zkl_path_outside_digest(struct zkl_slice path)
{
    size_t size = sizeof OUTSIDE - 1;
    return path.size >= size && memcmp(path.base, OUTSIDE, size) == 0;
}

size_t zkl_node_path(const struct zkl_node *node, char *buffer, size_t capacity)
{
    size_t size = 0;
    for (const struct zkl_node *at = node; at->parent != NULL; at = at->parent) {
        size += 1 + at->name_size;
    }
    if (size == 0) {
        if (capacity > 0) buffer[0] = '/';
        return 1;
    }
    if (size > capacity) return size;
    char *end = buffer + size;
    for (const struct zkl_node *at = node; at->parent != NULL; at = at->parent) {
        end -= at->name_size;
        memcpy(end, at->name, at->name_size);
        *--end = '/';
    }
    return size;
}

/* --- what it shows ------------------------------------------------------------- */

int32_t zkl_node_children_count(const struct zkl_node *node)
{
    return node->extra != NULL ? node->extra->children_count : 0;
}

uint64_t zkl_node_below(const struct zkl_node *node)
{
    return node->extra != NULL ? node->extra->below : 0;
}

struct zkl_node *zkl_node_first_child(const struct zkl_node *node)
{
    if (node->extra == NULL || zkl_list_empty(&node->extra->children)) return NULL;
    return ZKL_LIST_ELEMENT(node->extra->children.next, struct zkl_node, siblings);
}

struct zkl_node *zkl_node_next_sibling(const struct zkl_node *node)
{
    if (node->parent == NULL || node->siblings.next == &node->parent->extra->children) return NULL;
    return ZKL_LIST_ELEMENT(node->siblings.next, struct zkl_node, siblings);
}

int64_t zkl_node_owner(const struct zkl_node *node)
{
    return node->extra != NULL ? node->extra->owner : 0;
}

enum zkl_owner_kind zkl_tree_owner_kind(const struct zkl_tree *tree, int64_t owner)
{
    if (owner == 0) return ZKL_OWNER_NONE;
    if (owner == ZKL_OWNER_CONTAINER) return ZKL_OWNER_IS_CONTAINER;
    bool ttl_bits = ((uint64_t)owner & ZKL_OWNER_TTL_BITS) == ZKL_OWNER_TTL_BITS;
    return ttl_bits && tree->ttl_nodes ? ZKL_OWNER_IS_TTL : ZKL_OWNER_SESSION;
}

void zkl_node_persisted(const struct zkl_node *node, struct zkl_stat *stat)
{
    const struct zkl_node_extra *extra = node->extra;
    *stat = (struct zkl_stat) {
        .czxid = node->czxid,
        .mzxid = node->mzxid,
        .ctime_ms = node->ctime_ms,
        .mtime_ms = node->mtime_ms,
        .version = node->version,
        .cversion = extra != NULL ? extra->cversion : 0,
        .aversion = node->aversion,
        .ephemeral_owner = extra != NULL ? extra->owner : 0,
        .data_length = (int32_t)node->data_size,
        .children_count = extra != NULL ? extra->children_count : 0,
        .pzxid = extra != NULL ? extra->pzxid : node->czxid,
    };
}

void zkl_node_stat(const struct zkl_node *node, const struct zkl_tree *tree,
                   struct zkl_stat *stat)
{
    zkl_node_persisted(node, stat);
    /* Creations and deletions together; it wraps as Java's int does. */
    uint32_t cversion = 2 * (uint32_t)stat->cversion - (uint32_t)stat->children_count;
    stat->cversion = (int32_t)cversion;
    if (zkl_tree_owner_kind(tree, stat->ephemeral_owner) != ZKL_OWNER_SESSION) {
        stat->ephemeral_owner = 0;
    }
}

void zkl_node_extra_init(struct zkl_node_extra *extra, struct zkl_node *node)
{
    *extra = (struct zkl_node_extra) { .node = node, .pzxid = node->czxid };
    zkl_list_init(&extra->children);
    zkl_list_init(&extra->owned);
    node->extra = extra;
}

/* --- the digest ---------------------------------------------------------------- */

uint32_t zkl_digest_begin(struct zkl_slice path, struct zkl_slice data)
{
    uint32_t crc = 0;
    bool root = path.size == 1 && path.base[0] == '/';
    if (path.size > 0 && !root) crc = libdeflate_crc32(crc, path.base, path.size);
    if (data.size > 0) crc = libdeflate_crc32(crc, data.base, data.size);
    return crc;
}

/* The order is not the one on disk: pzxid stands before the times. */
uint64_t zkl_digest_end(uint32_t crc, const struct zkl_stat *persisted)
{
    uint8_t bytes[DIGESTED_SIZE];
    zkl_store_i64(bytes, persisted->czxid);
    zkl_store_i64(bytes + 8, persisted->mzxid);
    zkl_store_i64(bytes + 16, persisted->pzxid);
    zkl_store_i64(bytes + 24, persisted->ctime_ms);
    zkl_store_i64(bytes + 32, persisted->mtime_ms);
    zkl_store_i32(bytes + 40, persisted->version);
    zkl_store_i32(bytes + 44, persisted->cversion);
    zkl_store_i32(bytes + 48, persisted->aversion);
    zkl_store_i64(bytes + 52, persisted->ephemeral_owner);
    return libdeflate_crc32(crc, bytes, sizeof bytes);
}

uint64_t zkl_node_digest(const struct zkl_node *node)
{
    if (node->outside) return 0;
    struct zkl_stat stat;
    zkl_node_persisted(node, &stat);
    return zkl_digest_end(node->crc, &stat);
}
