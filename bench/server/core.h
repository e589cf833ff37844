/* The whole server core inside this process, driven through zklua/server.h as src/uv drives it,
 * but without sockets and without a disk: what is measured is its own work.
 *
 * Requests are written into a block first, and only its run through the server is timed:
 *
 *     core_begin(core, batch, code, &row)     `batch` requests per turn of the loop
 *     core_ask, core_greet ...                a full block is run at once
 *     core_end(core)
 *
 * In one turn, requests in a row from one connection are fed in one piece, as from a client that
 * does not wait for answers. Each answer is looked at: it must be there and have that code. */
#ifndef BENCH_SERVER_CORE_H
#define BENCH_SERVER_CORE_H

#include "zklua/server.h"

/* What was measured: processor time, and for how many operations. */
struct row {
    double ns;
    size_t count;
};

struct core_post;

struct core {
    struct zkl_server *server;
    struct zkl_clock clock;
    uint8_t *bytes;           /* the block */
    size_t size;
    struct core_post *posts;
    size_t post_count;
    size_t asked, answered;   /* of the block */
    size_t events;            /* ever: watches that fired */
    size_t batch;
    int32_t code, xid;
    struct row *row;          /* NULL: nobody wants to know */
};

void core_start(struct core *core);
void core_stop(struct core *core);

void core_begin(struct core *core, size_t batch, int32_t code, struct row *row);
void core_end(struct core *core);
/* From a connection; whose place holds NULL once the server has closed it. */
void core_ask(struct core *core, struct zkl_connection **place,
              const struct zkl_request *request);
/* A new connection with a new session. */
void core_greet(struct core *core, struct zkl_connection **place, int32_t timeout_ms);
/* So many ticks go by, each with a turn; `count` is what they are counted as. */
void core_wait(struct core *core, size_t ticks, size_t count, struct row *row);

#endif
