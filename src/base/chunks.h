/* Memory for blocks of bytes that keep their address: chunks, filled from the end of the
 * last one. Blocks may be given back in any order; a chunk goes when its last block does.
 * Neighbours in time are neighbours in memory, so that many small blocks go out in one
 * write. */
#ifndef ZKLUA_BASE_CHUNKS_H
#define ZKLUA_BASE_CHUNKS_H

#include "base/list.h"
#include "zklua/base.h"

#define ZKL_CHUNK_CAPACITY (32 * 1024)

struct zkl_chunk {
    struct zkl_list link;
    size_t capacity, used;
    size_t block_count; /* blocks in it that were not given back */
    uint8_t bytes[];
};

struct zkl_chunks {
    struct zkl_allocator allocator;
    struct zkl_list list;    /* the last one is being filled */
    struct zkl_chunk *spare; /* so that a queue that runs empty again and again is free */
    size_t total;            /* bytes of all chunks in the list */
};

void zkl_chunks_init(struct zkl_chunks *chunks, const struct zkl_allocator *allocator);
void zkl_chunks_free(struct zkl_chunks *chunks);
/* Room behind the last block, NULL if there is no chunk. What is written there counts
 * after zkl_chunks_take. */
uint8_t *zkl_chunks_room(const struct zkl_chunks *chunks, size_t *size);
/* Makes room for a block of `size` bytes. false: out of memory. */
bool zkl_chunks_reserve(struct zkl_chunks *chunks, size_t size);
struct zkl_chunk *zkl_chunks_take(struct zkl_chunks *chunks, size_t size);
void zkl_chunks_give_back(struct zkl_chunks *chunks, struct zkl_chunk *chunk);

#endif
