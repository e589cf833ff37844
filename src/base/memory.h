/* Memory through the hook of the object it belongs to. */
#ifndef ZKLUA_BASE_MEMORY_H
#define ZKLUA_BASE_MEMORY_H

#include "zklua/base.h"

/* NULL: refused. The bytes are not cleared. */
static inline void *zkl_allocate(const struct zkl_allocator *allocator, size_t size)
{
    return allocator->allocate(allocator->context, NULL, 0, size);
}

/* NULL: refused, and the block is as it was. */
static inline void *zkl_reallocate(const struct zkl_allocator *allocator, void *block,
                                   size_t old_size, size_t new_size)
{
    return allocator->allocate(allocator->context, block, old_size, new_size);
}

static inline void zkl_release(const struct zkl_allocator *allocator, void *block, size_t size)
{
    if (block != NULL) allocator->allocate(allocator->context, block, size, 0);
}

/* Begins to load what will be needed soon; nothing else. GCC takes a function that does only that
 * for one without an effect and drops its calls: the empty statement is an effect. */
#if defined(__GNUC__)
#define zkl_prefetch(address) \
    do { \
        __builtin_prefetch(address); \
        __asm__ volatile(""); \
    } while (0)
#else
#define zkl_prefetch(address) ((void)(address))
#endif

#endif
