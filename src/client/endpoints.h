/* Which server is next: a list shuffled once, walked round and round, and the dice that
 * keep the load even when the list changes. Names are opaque bytes. */
#ifndef ZKLUA_CLIENT_ENDPOINTS_H
#define ZKLUA_CLIENT_ENDPOINTS_H

#include "base/random.h"
#include "zklua/base.h"

#define ZKL_ENDPOINT_NONE SIZE_MAX

struct zkl_endpoint {
    struct zkl_slice name;
    bool added; /* the last change of the list brought it */
    bool tried; /* since we are moving */
};

struct zkl_endpoints {
    struct zkl_allocator allocator;
    struct zkl_endpoint *list; /* in the order of the caller; the names follow in the same block */
    size_t *order;             /* in the same block too: the shuffled order */
    size_t block_size;
    size_t count;
    size_t cursor;    /* into `order`: the next one */
    bool moving;      /* after a change: to the added ones or to the others, by the dice */
    double added_probability; /* while moving */
};

void zkl_endpoints_init(struct zkl_endpoints *endpoints, const struct zkl_allocator *allocator);
void zkl_endpoints_free(struct zkl_endpoints *endpoints);
/* Replaces the list. `current` is the endpoint in use or used last (or NONE); it comes
 * back as its index in the new list, NONE if it is gone. *move: leave it. On failure
 * (ZKL_E_NOMEM, ZKL_E_ARGUMENT) nothing is changed. */
int zkl_endpoints_replace(struct zkl_endpoints *endpoints, const struct zkl_slice *names,
                          size_t count, struct zkl_random *random, size_t *current, bool *move);
size_t zkl_endpoints_next(struct zkl_endpoints *endpoints, struct zkl_random *random);
/* A server took us: from here on round robin again. */
void zkl_endpoints_settle(struct zkl_endpoints *endpoints);

#endif
