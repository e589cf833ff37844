/* A queue of bytes in one block: see buffer.h. */
#include "base/buffer.h"

#include <string.h>

#include "base/memory.h"

void zkl_buffer_init(struct zkl_buffer *buffer, const struct zkl_allocator *allocator)
{
    *buffer = (struct zkl_buffer) { .allocator = *allocator };
}

static void release_old(struct zkl_buffer *buffer)
{
    zkl_release(&buffer->allocator, buffer->old_base, buffer->old_capacity);
    buffer->old_base = NULL;
    buffer->old_capacity = 0;
}

void zkl_buffer_free(struct zkl_buffer *buffer)
{
    release_old(buffer);
    zkl_release(&buffer->allocator, buffer->base, buffer->capacity);
    zkl_buffer_init(buffer, &(struct zkl_allocator) { buffer->allocator.allocate,
                                                      buffer->allocator.context });
}

/* Whether a block of `capacity` with `needed` bytes in it leaves a quarter free. Moving
 * bytes then buys room for a quarter more, and costs a constant per byte however small
 * the pieces are in which they come and go. */
static bool roomy(size_t capacity, size_t needed)
{
    return needed <= capacity - capacity / 4;
}

/* Room in a block of its own; the old one stays while it is held. */
static bool move_to_new_block(struct zkl_buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < ZKL_BUFFER_CAPACITY_MIN ? ZKL_BUFFER_CAPACITY_MIN
                                                                 : buffer->capacity;
    while (!roomy(capacity, needed)) {
        if (capacity > SIZE_MAX / 2) return false;
        capacity *= 2;
    }
    uint8_t *base = zkl_allocate(&buffer->allocator, capacity);
    if (base == NULL) return false;
    size_t size = zkl_buffer_size(buffer);
    if (size > 0) memcpy(base, buffer->base + buffer->start, size);
    if (buffer->held && buffer->old_base == NULL) {
        buffer->old_base = buffer->base;
        buffer->old_capacity = buffer->capacity;
    } else {
        zkl_release(&buffer->allocator, buffer->base, buffer->capacity);
    }
    buffer->base = base;
    buffer->capacity = capacity;
    buffer->start = 0;
    buffer->end = size;
    return true;
}

bool zkl_buffer_reserve(struct zkl_buffer *buffer, size_t size)
{
    if (size <= buffer->capacity - buffer->end) return true;
    size_t held = zkl_buffer_size(buffer);
    if (size > SIZE_MAX / 2 - held) return false;
    bool movable = !buffer->held || buffer->old_base != NULL;
    if (movable && buffer->capacity > 0 && roomy(buffer->capacity, held + size)) {
        memmove(buffer->base, buffer->base + buffer->start, held);
        buffer->start = 0;
        buffer->end = held;
        return true;
    }
    return move_to_new_block(buffer, held + size);
}

bool zkl_buffer_append(struct zkl_buffer *buffer, const void *bytes, size_t size)
{
    if (size == 0) return true;
    if (!zkl_buffer_reserve(buffer, size)) return false;
    memcpy(buffer->base + buffer->end, bytes, size);
    buffer->end += size;
    return true;
}

/* A block that one long frame made large does not stay. */
static void rewind_empty(struct zkl_buffer *buffer)
{
    bool movable = !buffer->held || buffer->old_base != NULL;
    if (buffer->start != buffer->end || !movable) return;
    buffer->start = buffer->end = 0;
    if (buffer->capacity > ZKL_BUFFER_CAPACITY_IDLE) {
        zkl_release(&buffer->allocator, buffer->base, buffer->capacity);
        buffer->base = NULL;
        buffer->capacity = 0;
    }
}

void zkl_buffer_consume(struct zkl_buffer *buffer, size_t size)
{
    ZKL_ASSERT(size <= zkl_buffer_size(buffer));
    buffer->start += size;
    rewind_empty(buffer);
}

void zkl_buffer_clear(struct zkl_buffer *buffer)
{
    buffer->start = buffer->end;
    rewind_empty(buffer);
}

void zkl_buffer_let_go(struct zkl_buffer *buffer)
{
    buffer->held = false;
    release_old(buffer);
    rewind_empty(buffer);
}
