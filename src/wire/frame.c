/* Frames: a 4-byte length, then that many bytes. */
#include "wire/bytes.h"
#include "zklua/wire.h"

enum { LENGTH_SIZE = 4 };

int zkl_frame_peek(const uint8_t *bytes, size_t size, size_t body_size_max, int64_t *body_size)
{
    *body_size = -1;
    if (size < LENGTH_SIZE) return ZKL_OK;
    int32_t length = zkl_load_i32(bytes);
    /* Judged as soon as the length is there: nobody collects bytes for a frame that
     * will be refused. */
    if (length < 0) {
        *body_size = length;
        return ZKL_E_CORRUPT;
    }
    if ((size_t)length > body_size_max) {
        *body_size = length;
        return ZKL_E_LIMIT;
    }
    if (size - LENGTH_SIZE >= (size_t)length) *body_size = length;
    return ZKL_OK;
}

size_t zkl_frame_begin(struct zkl_writer *writer)
{
    size_t start = writer->size;
    writer->size += LENGTH_SIZE;
    return start;
}

void zkl_frame_end(struct zkl_writer *writer, size_t start)
{
    ZKL_ASSERT(start <= writer->size && writer->size - start >= LENGTH_SIZE);
    if (!zkl_writer_fits(writer)) return;
    size_t length = writer->size - start - LENGTH_SIZE;
    ZKL_ASSERT(length <= INT32_MAX);
    zkl_store_i32(writer->base + start, (int32_t)length);
}
