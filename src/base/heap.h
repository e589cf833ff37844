/* What is due first: a binary heap of deadlines whose entries know their place, so that
 * any of them can be taken out. Reserve may fail; what follows it cannot. */
#ifndef ZKLUA_BASE_HEAP_H
#define ZKLUA_BASE_HEAP_H

#include "zklua/base.h"

#define ZKL_HEAP_NOWHERE SIZE_MAX

/* Inside the element. */
struct zkl_heap_place {
    size_t index; /* ZKL_HEAP_NOWHERE: not in the heap */
};

struct zkl_heap_item { /* the deadline stands beside the pointer: sifting reads no elements */
    int64_t deadline_ms;
    struct zkl_heap_place *place;
};

struct zkl_heap {
    struct zkl_allocator allocator;
    struct zkl_heap_item *items;
    size_t count, capacity;
};

void zkl_heap_init(struct zkl_heap *heap, const struct zkl_allocator *allocator);
void zkl_heap_free(struct zkl_heap *heap);
bool zkl_heap_reserve(struct zkl_heap *heap);
void zkl_heap_insert(struct zkl_heap *heap, struct zkl_heap_place *place, int64_t deadline_ms);
/* Nothing happens when it is in no heap. */
void zkl_heap_remove(struct zkl_heap *heap, struct zkl_heap_place *place);
/* The first, or NULL. */
static inline const struct zkl_heap_item *zkl_heap_first(const struct zkl_heap *heap)
{
    return heap->count > 0 ? &heap->items[0] : NULL;
}

#endif
