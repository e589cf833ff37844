/* Memory for very many small blocks: size classes of 8 bytes, no header per block, pages from the
 * hook. A block larger than ZKL_POOL_BLOCK_MAX goes to the hook itself. What is given back is used
 * again for blocks of its class and stays with the pool until the pool is freed.
 *
 * A pool begins with small pages. One that has grown takes large ones, for which a hook can ask
 * the system for memory that costs the processor fewer look-ups of addresses; and large blocks lie
 * apart from what comes and goes between them, which would leave holes. */
#ifndef ZKLUA_BASE_POOL_H
#define ZKLUA_BASE_POOL_H

#include "zklua/base.h"

#define ZKL_POOL_PAGE_SIZE (64 * 1024)
#define ZKL_POOL_LARGE_PAGE_SIZE (2 * 1024 * 1024)
#define ZKL_POOL_LARGE_FROM (4 * 1024 * 1024) /* of `total`: pages are large from here on */
#define ZKL_POOL_BLOCK_MAX 512
#define ZKL_POOL_CLASS_COUNT (ZKL_POOL_BLOCK_MAX / 8)

struct zkl_pool_block {
    struct zkl_pool_block *next;
};

struct zkl_pool_page {
    struct zkl_pool_page *next;
    size_t size; /* with this header */
};

struct zkl_pool {
    struct zkl_allocator allocator;
    struct zkl_pool_page *pages;
    struct zkl_pool_block *free[ZKL_POOL_CLASS_COUNT];
    uint8_t *fresh;               /* of the newest page */
    size_t fresh_size;
    size_t total;                 /* bytes taken from the hook */
};

void zkl_pool_init(struct zkl_pool *pool, const struct zkl_allocator *allocator);
/* Pages only: larger blocks must have been given back. */
void zkl_pool_free(struct zkl_pool *pool);
/* NULL: out of memory. Aligned to 8. size > 0. */
void *zkl_pool_take(struct zkl_pool *pool, size_t size);
/* Whether a block of `size` was given back and waits to be taken again. */
bool zkl_pool_has(const struct zkl_pool *pool, size_t size);
/* `size` as it was taken; block NULL does nothing. */
void zkl_pool_give_back(struct zkl_pool *pool, void *block, size_t size);

#endif
