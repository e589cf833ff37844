/* A hash map through the elements themselves. The caller hashes and compares:
 *
 *     for (node = zkl_map_first(map, hash); node; node = zkl_map_next(node, hash))
 *         if (equal(element of node, key)) ...
 *
 * Grows by linear hashing: each insertion splits at most one bucket, so that no single
 * call pays for a million elements. Reserve may fail; what follows it cannot. */
#ifndef ZKLUA_BASE_MAP_H
#define ZKLUA_BASE_MAP_H

#include "zklua/base.h"

struct zkl_map_node {
    struct zkl_map_node *next;
    uint64_t hash;
};

struct zkl_map {
    struct zkl_allocator allocator;
    struct zkl_map_node **buckets;
    size_t capacity;     /* of `buckets` */
    size_t bucket_count; /* in use; bucket_count - base of them were split in this round */
    size_t base;         /* a power of two <= bucket_count < 2 * base, or 0 at first */
    size_t count;
};

void zkl_map_init(struct zkl_map *map, const struct zkl_allocator *allocator);
void zkl_map_free(struct zkl_map *map); /* the elements are the caller's */
/* Makes the next insertion sure to succeed. false: out of memory. */
bool zkl_map_reserve(struct zkl_map *map);
/* The same for the next `count` insertions, whatever is removed in between. */
bool zkl_map_reserve_ahead(struct zkl_map *map, size_t count);
void zkl_map_insert(struct zkl_map *map, struct zkl_map_node *node, uint64_t hash);
void zkl_map_remove(struct zkl_map *map, struct zkl_map_node *node);
struct zkl_map_node *zkl_map_first(const struct zkl_map *map, uint64_t hash);
struct zkl_map_node *zkl_map_next(const struct zkl_map_node *node, uint64_t hash);
/* For who wants to begin loading an element before its hash is known: the first of a bucket; the
 * others follow by `next`, whatever their hashes. */
struct zkl_map_node *zkl_map_chain(const struct zkl_map *map, uint64_t hash);
/* And before that, the bucket itself. */
void zkl_map_prefetch(const struct zkl_map *map, uint64_t hash);
/* All elements in no order: `after` is NULL, then what the last call gave; NULL at the end. What
 * was given may be removed once the one behind it is known; nothing may be inserted meanwhile. */
struct zkl_map_node *zkl_map_each(const struct zkl_map *map, const struct zkl_map_node *after);

/* Of bytes, which may come in pieces: begin, add ..., end. The seed keeps the buckets out
 * of the hands of who chooses the names. */
static inline uint64_t zkl_hash_begin(uint64_t seed)
{
    return seed ^ UINT64_C(0xcbf29ce484222325);
}
uint64_t zkl_hash_add(uint64_t hash, const void *bytes, size_t size);
uint64_t zkl_hash_end(uint64_t hash);

#endif
