/* Memory from the system, in huge pages where it comes in large blocks.
 *
 * A tree of very many nodes is read here and there: with pages of 4 KiB nearly each step first
 * costs the processor a look-up of where the address is, and finding a node takes half as long
 * again. Large blocks are mapped by ourselves, because a malloc that aligns them keeps as much
 * address space again, and aligned, because a huge page is. */
#define _GNU_SOURCE /* mremap, MADV_HUGEPAGE */

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "main/machine.h"

#define LARGE ((size_t)2 * 1024 * 1024) /* a huge page; blocks from here on are mapped */

static size_t mapped_size(size_t size)
{
    return (size + LARGE - 1) & ~(LARGE - 1);
}

/* NULL: refused. Maps more than is wanted, and gives back what is not aligned. */
static void *map(size_t size)
{
    if (size > SIZE_MAX / 2) return NULL;
    size_t wanted = mapped_size(size);
    uint8_t *start = mmap(NULL, wanted + LARGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED) return NULL;
    size_t before = (0 - (uintptr_t)start) & (LARGE - 1);
    if (before > 0) munmap(start, before);
    munmap(start + before + wanted, LARGE - before);
    /* Advice only: where there are no huge pages, the others do. */
    madvise(start + before, wanted, MADV_HUGEPAGE);
    return start + before;
}

static void release(void *block, size_t size)
{
    if (size < LARGE) {
        free(block);
    } else {
        munmap(block, mapped_size(size));
    }
}

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context;
    if (new_size == 0) {
        if (block != NULL) release(block, old_size);
        return NULL;
    }
    if (block == NULL) old_size = 0;
    if (new_size < LARGE && old_size < LARGE) return realloc(block, new_size);
    if (old_size >= LARGE && mapped_size(new_size) == mapped_size(old_size)) return block;
    void *moved = new_size < LARGE ? malloc(new_size) : map(new_size);
    if (moved == NULL || block == NULL) return moved;
    memcpy(moved, block, old_size < new_size ? old_size : new_size);
    release(block, old_size);
    return moved;
}

const struct zkl_allocator zkl_machine_allocator = { allocate, NULL };
