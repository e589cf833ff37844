/* Bytes that are appended at the end and consumed from the front.
 *
 * Held bytes stay where they are: while a hold is set, growing moves the unconsumed rest
 * into a new block and keeps the old one until the hold ends, so that slices into what
 * was consumed last stay good. */
#ifndef ZKLUA_BASE_BUFFER_H
#define ZKLUA_BASE_BUFFER_H

#include "zklua/base.h"

#define ZKL_BUFFER_CAPACITY_MIN 4096
#define ZKL_BUFFER_CAPACITY_IDLE 65536 /* more than this is given back when it runs empty */

struct zkl_buffer {
    struct zkl_allocator allocator;
    uint8_t *base;
    size_t capacity;
    size_t start, end; /* what is in it */
    bool held;
    uint8_t *old_base; /* the block that held bytes were in, if they are no longer in `base` */
    size_t old_capacity;
};

void zkl_buffer_init(struct zkl_buffer *buffer, const struct zkl_allocator *allocator);
void zkl_buffer_free(struct zkl_buffer *buffer);
/* Makes room for `size` more bytes, which commit then counts. false: out of memory. */
bool zkl_buffer_reserve(struct zkl_buffer *buffer, size_t size);
static inline uint8_t *zkl_buffer_end(const struct zkl_buffer *buffer)
{
    return buffer->base + buffer->end;
}
static inline void zkl_buffer_commit(struct zkl_buffer *buffer, size_t size)
{
    ZKL_ASSERT(size <= buffer->capacity - buffer->end);
    buffer->end += size;
}
/* Copies bytes to the end. false: out of memory, and nothing was stored. */
bool zkl_buffer_append(struct zkl_buffer *buffer, const void *bytes, size_t size);
static inline size_t zkl_buffer_size(const struct zkl_buffer *buffer)
{
    return buffer->end - buffer->start;
}
static inline const uint8_t *zkl_buffer_start(const struct zkl_buffer *buffer)
{
    return buffer->base + buffer->start;
}
void zkl_buffer_consume(struct zkl_buffer *buffer, size_t size);
/* Empties it and keeps at most a small block. */
void zkl_buffer_clear(struct zkl_buffer *buffer);
static inline void zkl_buffer_hold(struct zkl_buffer *buffer)
{
    buffer->held = true;
}
void zkl_buffer_let_go(struct zkl_buffer *buffer);

#endif
