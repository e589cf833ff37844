/* Counting and failing: see allocator.h. */
#include "testing/allocator.h"

#include <stdlib.h>
#include <string.h>

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    struct zkl_testing_allocator *allocator = context;
    ZKL_ASSERT(block != NULL || old_size == 0);
    ZKL_ASSERT(old_size <= allocator->bytes);
    if (new_size == 0) {
        if (block != NULL) allocator->block_count--;
        allocator->bytes -= old_size;
        free(block);
        return NULL;
    }
    int64_t request = ++allocator->requests;
    if (request >= allocator->fail_from && request <= allocator->fail_to) return NULL;
    /* Never in place: whoever keeps an old address is found out. */
    void *moved = malloc(new_size);
    if (moved == NULL) return NULL;
    memset(moved, 0xdb, new_size);
    if (block != NULL) {
        memcpy(moved, block, old_size < new_size ? old_size : new_size);
        free(block);
    } else {
        allocator->block_count++;
    }
    allocator->bytes += new_size - old_size;
    if (allocator->bytes > allocator->bytes_peak) allocator->bytes_peak = allocator->bytes;
    return moved;
}

struct zkl_allocator zkl_testing_hook(struct zkl_testing_allocator *allocator)
{
    return (struct zkl_allocator) { allocate, allocator };
}

int zkl_testing_push_memory(lua_State *L, const struct zkl_testing_allocator *allocator)
{
    lua_newtable(L);
    lua_pushnumber(L, (lua_Number)allocator->bytes);
    lua_setfield(L, -2, "bytes");
    lua_pushnumber(L, (lua_Number)allocator->bytes_peak);
    lua_setfield(L, -2, "peak");
    lua_pushnumber(L, (lua_Number)allocator->block_count);
    lua_setfield(L, -2, "blocks");
    lua_pushnumber(L, (lua_Number)allocator->requests);
    lua_setfield(L, -2, "requests");
    return 1;
}

void zkl_testing_set_failure(lua_State *L, int index, struct zkl_testing_allocator *allocator)
{
    allocator->fail_from = (int64_t)luaL_checknumber(L, index);
    allocator->fail_to = (int64_t)luaL_optnumber(L, index + 1, (lua_Number)allocator->fail_from);
}
