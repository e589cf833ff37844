/* Appending fields of a record to a writer.
 *
 * `size` counts also what is not stored, so it never comes back below `capacity`
 * once it is past it: a small field behind one that did not fit is not stored
 * either. A length above INT32_MAX is cut in its length field; such a record is
 * longer than any frame, which zkl_frame_end asserts. */
#ifndef ZKLUA_WIRE_WRITER_H
#define ZKLUA_WIRE_WRITER_H

#include <string.h>

#include "wire/bytes.h"
#include "zklua/wire.h"

/* Counts `size` bytes; where to store them, or NULL if they do not fit. */
static inline uint8_t *zkl_room(struct zkl_writer *writer, size_t size)
{
    size_t start = writer->size;
    writer->size += size;
    return writer->size <= writer->capacity ? writer->base + start : NULL;
}

static inline void zkl_write_bool(struct zkl_writer *writer, bool value)
{
    uint8_t *at = zkl_room(writer, 1);
    if (at != NULL) *at = value;
}

static inline void zkl_write_i32(struct zkl_writer *writer, int32_t value)
{
    uint8_t *at = zkl_room(writer, 4);
    if (at != NULL) zkl_store_i32(at, value);
}

static inline void zkl_write_i64(struct zkl_writer *writer, int64_t value)
{
    uint8_t *at = zkl_room(writer, 8);
    if (at != NULL) zkl_store_i64(at, value);
}

static inline void zkl_write_raw(struct zkl_writer *writer, const uint8_t *bytes, size_t size)
{
    if (size == 0) return; /* `bytes` may be NULL then */
    uint8_t *at = zkl_room(writer, size);
    if (at != NULL) memcpy(at, bytes, size);
}

/* A string or a buffer; base NULL is the protocol's null. */
static inline void zkl_write_slice(struct zkl_writer *writer, struct zkl_slice slice)
{
    if (slice.base == NULL) {
        zkl_write_i32(writer, -1);
        return;
    }
    uint8_t *at = zkl_room(writer, 4 + slice.size);
    if (at == NULL) return;
    zkl_store_i32(at, (int32_t)(uint32_t)slice.size);
    if (slice.size > 0) memcpy(at + 4, slice.base, slice.size);
}

static inline void zkl_write_vector(struct zkl_writer *writer, const struct zkl_vector *vector)
{
    zkl_write_i32(writer, vector->count);
    if (vector->count > 0) zkl_write_raw(writer, vector->base, vector->size);
}

/* The records of a multi or multiRead and their end header (multi.c). */
void zkl_write_multi(struct zkl_writer *writer, const struct zkl_vector *records);

#endif
