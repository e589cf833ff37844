/* Reading fields of a record off the front of a frame.
 *
 * Every number here was chosen by the peer. One rule keeps all of it safe: nothing
 * is looked at before `take` has found it inside the frame, and sizes are compared
 * with what is left, never added to a pointer first. */
#ifndef ZKLUA_WIRE_READER_H
#define ZKLUA_WIRE_READER_H

#include "wire/bytes.h"
#include "zklua/wire.h"

static inline size_t zkl_reader_left(const struct zkl_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* The next `size` (> 0) bytes, or NULL and `failed`. */
static inline const uint8_t *zkl_take(struct zkl_reader *reader, size_t size)
{
    if (reader->failed || zkl_reader_left(reader) < size) {
        reader->failed = true;
        return NULL;
    }
    const uint8_t *at = reader->at;
    reader->at += size;
    return at;
}

static inline bool zkl_read_bool(struct zkl_reader *reader)
{
    const uint8_t *at = zkl_take(reader, 1);
    return at != NULL && *at != 0;
}

static inline int32_t zkl_read_i32(struct zkl_reader *reader)
{
    const uint8_t *at = zkl_take(reader, 4);
    return at != NULL ? zkl_load_i32(at) : 0;
}

static inline int64_t zkl_read_i64(struct zkl_reader *reader)
{
    const uint8_t *at = zkl_take(reader, 8);
    return at != NULL ? zkl_load_i64(at) : 0;
}

/* A string or a buffer: the same bytes on the wire. Length -1 is null. */
static inline struct zkl_slice zkl_read_slice(struct zkl_reader *reader)
{
    const struct zkl_slice null = { NULL, 0 };
    const uint8_t *at = zkl_take(reader, 4);
    if (at == NULL) return null;
    int32_t length = zkl_load_i32(at);
    if (length == -1) return null;
    if (length < 0 || zkl_reader_left(reader) < (size_t)length) {
        reader->failed = true;
        return null;
    }
    struct zkl_slice slice = { reader->at, (size_t)length };
    reader->at += length;
    return slice;
}

/* Whole vectors, each element checked (vector.c). */
struct zkl_vector zkl_read_strings(struct zkl_reader *reader);
struct zkl_vector zkl_read_acls(struct zkl_reader *reader);
struct zkl_vector zkl_read_client_ids(struct zkl_reader *reader);

/* The operations or results of a multi or multiRead up to its end header (multi.c). */
struct zkl_vector zkl_read_operations(struct zkl_reader *reader, int32_t op);
struct zkl_vector zkl_read_results(struct zkl_reader *reader, int32_t op);

#endif
