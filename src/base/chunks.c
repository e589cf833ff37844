/* Blocks of bytes that keep their address: see chunks.h. */
#include "base/chunks.h"

#include "base/memory.h"

void zkl_chunks_init(struct zkl_chunks *chunks, const struct zkl_allocator *allocator)
{
    *chunks = (struct zkl_chunks) { .allocator = *allocator };
    zkl_list_init(&chunks->list);
}

static void release_chunk(struct zkl_chunks *chunks, struct zkl_chunk *chunk)
{
    zkl_release(&chunks->allocator, chunk, sizeof *chunk + chunk->capacity);
}

void zkl_chunks_free(struct zkl_chunks *chunks)
{
    while (!zkl_list_empty(&chunks->list)) {
        struct zkl_chunk *chunk = ZKL_LIST_ELEMENT(chunks->list.next, struct zkl_chunk, link);
        zkl_list_remove(&chunk->link);
        release_chunk(chunks, chunk);
    }
    if (chunks->spare != NULL) release_chunk(chunks, chunks->spare);
    chunks->spare = NULL;
    chunks->total = 0;
}

static struct zkl_chunk *last_chunk(const struct zkl_chunks *chunks)
{
    if (zkl_list_empty(&chunks->list)) return NULL;
    return ZKL_LIST_ELEMENT(chunks->list.previous, struct zkl_chunk, link);
}

uint8_t *zkl_chunks_room(const struct zkl_chunks *chunks, size_t *size)
{
    struct zkl_chunk *chunk = last_chunk(chunks);
    *size = chunk != NULL ? chunk->capacity - chunk->used : 0;
    return chunk != NULL ? chunk->bytes + chunk->used : NULL;
}

static void drop_if_unused(struct zkl_chunks *chunks, struct zkl_chunk *chunk)
{
    if (chunk->block_count > 0) return;
    zkl_list_remove(&chunk->link);
    chunks->total -= chunk->capacity;
    chunk->used = 0;
    if (chunks->spare == NULL && chunk->capacity == ZKL_CHUNK_CAPACITY) {
        chunks->spare = chunk;
    } else {
        release_chunk(chunks, chunk);
    }
}

bool zkl_chunks_reserve(struct zkl_chunks *chunks, size_t size)
{
    size_t room;
    (void)zkl_chunks_room(chunks, &room);
    if (room >= size && room > 0) return true;
    struct zkl_chunk *chunk = size <= ZKL_CHUNK_CAPACITY ? chunks->spare : NULL;
    if (chunk != NULL) {
        chunks->spare = NULL;
    } else {
        size_t capacity = size > ZKL_CHUNK_CAPACITY ? size : ZKL_CHUNK_CAPACITY;
        if (capacity > SIZE_MAX - sizeof *chunk) return false;
        chunk = zkl_allocate(&chunks->allocator, sizeof *chunk + capacity);
        if (chunk == NULL) return false;
        chunk->capacity = capacity;
    }
    chunk->used = chunk->block_count = 0;
    zkl_list_push(&chunks->list, &chunk->link);
    chunks->total += chunk->capacity;
    return true;
}

struct zkl_chunk *zkl_chunks_take(struct zkl_chunks *chunks, size_t size)
{
    struct zkl_chunk *chunk = last_chunk(chunks);
    ZKL_ASSERT(chunk != NULL && size <= chunk->capacity - chunk->used);
    chunk->used += size;
    chunk->block_count++;
    return chunk;
}

void zkl_chunks_give_back(struct zkl_chunks *chunks, struct zkl_chunk *chunk)
{
    ZKL_ASSERT(chunk->block_count > 0);
    chunk->block_count--;
    drop_if_unused(chunks, chunk);
}
