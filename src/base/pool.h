/* Memory for very many small blocks: size classes of 8 bytes, no header per block, pages of
 * 64 KiB from the hook. A block larger than ZKL_POOL_BLOCK_MAX goes to the hook itself. What is
 * given back is used again for blocks of its class and stays with the pool until the pool is
 * freed. */
#ifndef ZKLUA_BASE_POOL_H
#define ZKLUA_BASE_POOL_H

#include "zklua/base.h"

#define ZKL_POOL_PAGE_SIZE (64 * 1024)
#define ZKL_POOL_BLOCK_MAX 512
#define ZKL_POOL_CLASS_COUNT (ZKL_POOL_BLOCK_MAX / 8)

struct zkl_pool_block {
    struct zkl_pool_block *next;
};

struct zkl_pool {
    struct zkl_allocator allocator;
    struct zkl_pool_block *pages; /* each begins with its link */
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
/* `size` as it was taken; block NULL does nothing. */
void zkl_pool_give_back(struct zkl_pool *pool, void *block, size_t size);

#endif
