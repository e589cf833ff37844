/* Memory of buffers between two uses. An idle connection has no buffer at all, so that ten
 * thousand of them cost little; a busy one takes and gives back a block per turn of the loop,
 * which may not cost a call of the allocator each time. Blocks of 4 KiB, doubled up to 256 KiB,
 * are kept here; all other sizes pass through. */
#include <string.h>

#include "base/memory.h"
#include "server/internal.h"

enum { SMALLEST = ZKL_BUFFER_CAPACITY_MIN };

void zkl_blocks_init(struct zkl_blocks *blocks, struct zkl_account *account)
{
    *blocks = (struct zkl_blocks) { .account = account };
}

/* ZKL_BLOCK_CLASSES: not a size that is kept. */
static size_t class_of(size_t size)
{
    for (size_t i = 0; i < ZKL_BLOCK_CLASSES; i++) {
        if (size == (size_t)SMALLEST << i) return i;
    }
    return ZKL_BLOCK_CLASSES;
}

/* A block that is kept begins with the address of the next one. */
static void *take(struct zkl_blocks *blocks, size_t class)
{
    void *block = blocks->free[class];
    memcpy(&blocks->free[class], block, sizeof block);
    blocks->kept -= (size_t)SMALLEST << class;
    return block;
}

static bool may_keep(const struct zkl_blocks *blocks, size_t size)
{
    uint64_t most = blocks->account->bytes_max;
    return blocks->kept + size <= ZKL_BLOCKS_KEPT_MAX &&
           (most == 0 || blocks->kept + size <= most / 8);
}

static void *hook(void *context, void *block, size_t old_size, size_t new_size)
{
    struct zkl_blocks *blocks = context;
    if (block == NULL && new_size > 0) {
        size_t class = class_of(new_size);
        if (class < ZKL_BLOCK_CLASSES && blocks->free[class] != NULL) return take(blocks, class);
    } else if (block != NULL && new_size == 0) {
        size_t class = class_of(old_size);
        if (class < ZKL_BLOCK_CLASSES && may_keep(blocks, old_size)) {
            memcpy(block, &blocks->free[class], sizeof block);
            blocks->free[class] = block;
            blocks->kept += old_size;
            return NULL;
        }
    }
    if (new_size > ZKL_BLOCK_LARGE && zkl_account_scarce(blocks->account, new_size)) return NULL;
    return zkl_reallocate(&blocks->account->hook, block, old_size, new_size);
}

struct zkl_allocator zkl_blocks_hook(struct zkl_blocks *blocks)
{
    return (struct zkl_allocator) { hook, blocks };
}

void zkl_blocks_free(struct zkl_blocks *blocks)
{
    for (size_t class = 0; class < ZKL_BLOCK_CLASSES; class++) {
        while (blocks->free[class] != NULL) {
            void *block = take(blocks, class);
            zkl_release(&blocks->account->hook, block, (size_t)SMALLEST << class);
        }
    }
}
