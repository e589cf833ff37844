/* An allocator that counts, and that fails when it is told to: no object under test can use
 * more than it says, or lean on an allocation that works. */
#ifndef ZKLUA_TESTING_ALLOCATOR_H
#define ZKLUA_TESTING_ALLOCATOR_H

#include "testing/testing.h"
#include "zklua/base.h"

struct zkl_testing_allocator {
    size_t bytes, bytes_peak;
    size_t block_count;
    int64_t requests;  /* allocations and growths so far */
    int64_t fail_from; /* this request fails, counted from 1; 0: none */
    int64_t fail_to;   /* and all up to this one */
};

struct zkl_allocator zkl_testing_hook(struct zkl_testing_allocator *allocator);
/* The Lua methods memory() and fail(from, to) of an object that has one. */
int zkl_testing_push_memory(lua_State *L, const struct zkl_testing_allocator *allocator);
void zkl_testing_set_failure(lua_State *L, int index, struct zkl_testing_allocator *allocator);

#endif
