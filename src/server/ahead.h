/* Requests that came together are looked at before it is their turn, so that the nodes they name
 * are on their way into the caches while earlier ones are worked on. Among a million nodes a
 * request would otherwise wait for memory several times over: for its place in the table, for the
 * node that is there, for what this one points to. Nothing depends on what is found. */
#ifndef ZKLUA_SERVER_AHEAD_H
#define ZKLUA_SERVER_AHEAD_H

#include "zklua/server.h"

#define ZKL_AHEAD_SIZE 16         /* requests under way, a power of two */
#define ZKL_AHEAD_MIN 4096        /* fewer nodes and watches are in the caches anyway */

struct zkl_ahead_request {
    uint64_t hash;                /* 0: it names no node */
    uint64_t parent_hash;         /* where a node comes or goes; else 0 */
    bool data;                    /* of the node is needed */
};

struct zkl_ahead {
    const struct zkl_server *server; /* NULL: nothing to do */
    const uint8_t *at, *end;      /* frames that were not looked at yet */
    size_t count;                 /* of those that were */
    struct zkl_ahead_request ring[ZKL_AHEAD_SIZE];
};

/* Before the first of these frames is worked on; then again before each. */
void zkl_ahead_begin(struct zkl_ahead *ahead, const struct zkl_server *server,
                     const uint8_t *bytes, size_t size);
void zkl_ahead_next(struct zkl_ahead *ahead);

#endif
