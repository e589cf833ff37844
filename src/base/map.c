/* Linear hashing over intrusive chains: see map.h. */
#include "base/map.h"

#include <string.h>

#include "base/memory.h"

enum {
    BUCKETS_MIN = 16,
    SPLITS_AHEAD = 8, /* whose elements are on their way into the cache */
};

void zkl_map_init(struct zkl_map *map, const struct zkl_allocator *allocator)
{
    *map = (struct zkl_map) { .allocator = *allocator };
}

void zkl_map_free(struct zkl_map *map)
{
    zkl_release(&map->allocator, map->buckets, map->capacity * sizeof map->buckets[0]);
    map->buckets = NULL;
    map->capacity = map->bucket_count = map->base = map->count = 0;
}

/* Buckets below bucket_count - base have been split and use one more bit. */
static struct zkl_map_node **bucket_of(const struct zkl_map *map, uint64_t hash)
{
    size_t index = (size_t)hash & (2 * map->base - 1);
    if (index >= map->bucket_count) index &= map->base - 1;
    return &map->buckets[index];
}

bool zkl_map_reserve(struct zkl_map *map)
{
    return zkl_map_reserve_ahead(map, 1);
}

bool zkl_map_reserve_ahead(struct zkl_map *map, size_t count)
{
    if (count <= map->capacity - map->count) return true;
    size_t capacity = map->capacity == 0 ? BUCKETS_MIN : map->capacity;
    while (capacity - map->count < count) {
        if (capacity > SIZE_MAX / 2 / sizeof map->buckets[0]) return false;
        capacity *= 2;
    }
    void *buckets = zkl_reallocate(&map->allocator, map->buckets,
                                   map->capacity * sizeof map->buckets[0],
                                   capacity * sizeof map->buckets[0]);
    if (buckets == NULL) return false;
    map->buckets = buckets;
    map->capacity = capacity;
    if (map->bucket_count == 0) {
        memset(map->buckets, 0, BUCKETS_MIN * sizeof map->buckets[0]);
        map->bucket_count = map->base = BUCKETS_MIN;
    }
    return true;
}

/* Shares the elements of the next unsplit bucket with a new one at the end. */
static void split_one(struct zkl_map *map)
{
    size_t from = map->bucket_count - map->base;
    /* A bucket always: `from` is below `base`, and there are more than SPLITS_AHEAD behind that. */
    zkl_prefetch(map->buckets[from + SPLITS_AHEAD]);
    struct zkl_map_node *node = map->buckets[from];
    map->buckets[from] = map->buckets[map->bucket_count] = NULL;
    map->bucket_count++;
    while (node != NULL) {
        struct zkl_map_node *next = node->next;
        struct zkl_map_node **bucket = bucket_of(map, node->hash);
        node->next = *bucket;
        *bucket = node;
        node = next;
    }
    if (map->bucket_count == 2 * map->base) map->base *= 2;
}

void zkl_map_insert(struct zkl_map *map, struct zkl_map_node *node, uint64_t hash)
{
    ZKL_ASSERT(map->count < map->capacity);
    if (map->count >= map->bucket_count) split_one(map);
    struct zkl_map_node **bucket = bucket_of(map, hash);
    node->hash = hash;
    node->next = *bucket;
    *bucket = node;
    map->count++;
}

void zkl_map_remove(struct zkl_map *map, struct zkl_map_node *node)
{
    struct zkl_map_node **at = bucket_of(map, node->hash);
    while (*at != node) {
        ZKL_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = node->next;
    node->next = NULL;
    map->count--;
}

struct zkl_map_node *zkl_map_chain(const struct zkl_map *map, uint64_t hash)
{
    return map->bucket_count != 0 ? *bucket_of(map, hash) : NULL;
}

void zkl_map_prefetch(const struct zkl_map *map, uint64_t hash)
{
    if (map->bucket_count != 0) zkl_prefetch(bucket_of(map, hash));
}

struct zkl_map_node *zkl_map_first(const struct zkl_map *map, uint64_t hash)
{
    struct zkl_map_node *node = zkl_map_chain(map, hash);
    while (node != NULL && node->hash != hash) node = node->next;
    return node;
}

struct zkl_map_node *zkl_map_next(const struct zkl_map_node *node, uint64_t hash)
{
    struct zkl_map_node *next = node->next;
    while (next != NULL && next->hash != hash) next = next->next;
    return next;
}

struct zkl_map_node *zkl_map_each(const struct zkl_map *map, const struct zkl_map_node *after)
{
    if (after != NULL && after->next != NULL) return after->next;
    size_t index = 0;
    if (after != NULL) index = (size_t)(bucket_of(map, after->hash) - map->buckets) + 1;
    while (index < map->bucket_count && map->buckets[index] == NULL) index++;
    return index < map->bucket_count ? map->buckets[index] : NULL;
}

uint64_t zkl_hash_add(uint64_t hash, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t zkl_hash_end(uint64_t hash)
{
    /* The low bits choose the bucket: give them something of all the others. */
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xff51afd7ed558ccd);
    hash = (hash ^ (hash >> 33)) * UINT64_C(0xc4ceb9fe1a85ec53);
    return hash ^ (hash >> 33);
}
