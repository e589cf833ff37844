/* Pages, free lists and the rest of the newest page: see pool.h. */
#include "base/pool.h"

#include "base/memory.h"

enum { ALIGNMENT = 8 };

/* Under AddressSanitizer a block that was given back may not be touched, but for its link, nor
 * what no block was made of yet: the pool hides neither from it. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WATCHED
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define WATCHED
#endif
#ifdef WATCHED
void __asan_poison_memory_region(const volatile void *at, size_t size);
void __asan_unpoison_memory_region(const volatile void *at, size_t size);
#define FORBID(at, size) __asan_poison_memory_region(at, size)
#define ALLOW(at, size) __asan_unpoison_memory_region(at, size)
#else
#define FORBID(at, size) ((void)(at), (void)(size))
#define ALLOW(at, size) ((void)(at), (void)(size))
#endif

void zkl_pool_init(struct zkl_pool *pool, const struct zkl_allocator *allocator)
{
    *pool = (struct zkl_pool) { .allocator = *allocator };
}

void zkl_pool_free(struct zkl_pool *pool)
{
    while (pool->pages != NULL) {
        struct zkl_pool_page *page = pool->pages;
        size_t size = page->size;
        pool->pages = page->next;
        pool->total -= size;
        ALLOW(page, size);
        zkl_release(&pool->allocator, page, size);
    }
    ZKL_ASSERT(pool->total == 0);
    zkl_pool_init(pool, &pool->allocator);
}

static size_t rounded(size_t size)
{
    return (size + ALIGNMENT - 1) & ~(size_t)(ALIGNMENT - 1);
}

static struct zkl_pool_block **list_of(struct zkl_pool *pool, size_t rounded_size)
{
    return &pool->free[rounded_size / ALIGNMENT - 1];
}

static void put(struct zkl_pool *pool, void *block, size_t rounded_size)
{
    struct zkl_pool_block **list = list_of(pool, rounded_size);
    struct zkl_pool_block *first = block;
    ALLOW(first, sizeof *first);
    first->next = *list;
    *list = first;
    FORBID(first + 1, rounded_size - sizeof *first);
}

/* What is left of the page before is too small for this block, but not for every one. */
static bool begin_page(struct zkl_pool *pool)
{
    size_t size =
        pool->total < ZKL_POOL_LARGE_FROM ? ZKL_POOL_PAGE_SIZE : ZKL_POOL_LARGE_PAGE_SIZE;
    struct zkl_pool_page *page = zkl_allocate(&pool->allocator, size);
    if (page == NULL) return false;
    if (pool->fresh_size > 0) put(pool, pool->fresh, pool->fresh_size);
    *page = (struct zkl_pool_page) { pool->pages, size };
    pool->pages = page;
    pool->total += size;
    pool->fresh = (uint8_t *)page + rounded(sizeof *page);
    pool->fresh_size = size - rounded(sizeof *page);
    FORBID(pool->fresh, pool->fresh_size);
    return true;
}

void *zkl_pool_take(struct zkl_pool *pool, size_t size)
{
    ZKL_ASSERT(size > 0);
    if (size > ZKL_POOL_BLOCK_MAX) {
        void *block = zkl_allocate(&pool->allocator, size);
        if (block != NULL) pool->total += size;
        return block;
    }
    size_t rounded_size = rounded(size);
    struct zkl_pool_block **list = list_of(pool, rounded_size);
    if (*list != NULL) {
        struct zkl_pool_block *block = *list;
        *list = block->next;
        FORBID(block, rounded_size);
        ALLOW(block, size);
        return block;
    }
    if (pool->fresh_size < rounded_size && !begin_page(pool)) return NULL;
    void *block = pool->fresh;
    ALLOW(block, size);
    pool->fresh += rounded_size;
    pool->fresh_size -= rounded_size;
    return block;
}

bool zkl_pool_has(const struct zkl_pool *pool, size_t size)
{
    ZKL_ASSERT(size > 0);
    return size <= ZKL_POOL_BLOCK_MAX && pool->free[rounded(size) / ALIGNMENT - 1] != NULL;
}

void zkl_pool_give_back(struct zkl_pool *pool, void *block, size_t size)
{
    if (block == NULL) return;
    ZKL_ASSERT(size > 0);
    if (size > ZKL_POOL_BLOCK_MAX) {
        pool->total -= size;
        zkl_release(&pool->allocator, block, size);
        return;
    }
    put(pool, block, rounded(size));
}
