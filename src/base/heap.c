/* A binary heap of deadlines: see heap.h. */
#include "base/heap.h"

#include "base/memory.h"

enum { CAPACITY_MIN = 64 };

void zkl_heap_init(struct zkl_heap *heap, const struct zkl_allocator *allocator)
{
    *heap = (struct zkl_heap) { .allocator = *allocator };
}

void zkl_heap_free(struct zkl_heap *heap)
{
    zkl_release(&heap->allocator, heap->items, heap->capacity * sizeof heap->items[0]);
    heap->items = NULL;
    heap->count = heap->capacity = 0;
}

bool zkl_heap_reserve(struct zkl_heap *heap)
{
    if (heap->count < heap->capacity) return true;
    size_t capacity = heap->capacity == 0 ? CAPACITY_MIN : 2 * heap->capacity;
    if (capacity > SIZE_MAX / sizeof heap->items[0]) return false;
    void *items = zkl_reallocate(&heap->allocator, heap->items,
                                 heap->capacity * sizeof heap->items[0],
                                 capacity * sizeof heap->items[0]);
    if (items == NULL) return false;
    heap->items = items;
    heap->capacity = capacity;
    return true;
}

static void put(struct zkl_heap *heap, size_t index, struct zkl_heap_item item)
{
    heap->items[index] = item;
    item.place->index = index;
}

static void sift_up(struct zkl_heap *heap, size_t index, struct zkl_heap_item item)
{
    while (index > 0) {
        size_t parent = (index - 1) / 2;
        if (heap->items[parent].deadline_ms <= item.deadline_ms) break;
        put(heap, index, heap->items[parent]);
        index = parent;
    }
    put(heap, index, item);
}

static void sift_down(struct zkl_heap *heap, size_t index, struct zkl_heap_item item)
{
    for (;;) {
        size_t child = 2 * index + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count &&
            heap->items[child + 1].deadline_ms < heap->items[child].deadline_ms) {
            child++;
        }
        if (item.deadline_ms <= heap->items[child].deadline_ms) break;
        put(heap, index, heap->items[child]);
        index = child;
    }
    put(heap, index, item);
}

void zkl_heap_insert(struct zkl_heap *heap, struct zkl_heap_place *place, int64_t deadline_ms)
{
    ZKL_ASSERT(heap->count < heap->capacity);
    struct zkl_heap_item item = { deadline_ms, place };
    sift_up(heap, heap->count++, item);
}

void zkl_heap_remove(struct zkl_heap *heap, struct zkl_heap_place *place)
{
    size_t index = place->index;
    if (index == ZKL_HEAP_NOWHERE) return;
    ZKL_ASSERT(index < heap->count && heap->items[index].place == place);
    place->index = ZKL_HEAP_NOWHERE;
    struct zkl_heap_item last = heap->items[--heap->count];
    if (last.place == place) return;
    if (index > 0 && last.deadline_ms < heap->items[(index - 1) / 2].deadline_ms) {
        sift_up(heap, index, last);
    } else {
        sift_down(heap, index, last);
    }
}
