/* What may wait for the disk, on threads of its own, while the loop's thread prepares the next
 * batch and goes on serving.
 *
 * The logger writes batches and the watermark, the tidier writes snapshots in slices and removes
 * what is old: no write waits for a snapshot, which is synced and read again as a whole. */
#ifndef ZKLUA_UV_DURABLE_H
#define ZKLUA_UV_DURABLE_H

#include <uv.h>

#include "store/store.h"
#include "zklua/server.h"

#define ZKL_SNAPSHOT_SLICE (64 * 1024)
#define ZKL_MARK_INTERVAL_MS 1000

struct zkl_durable_options {
    struct zkl_server *server;
    struct zkl_store *store;
    int64_t purge_interval_ms; /* 0: never of its own */
    int64_t slow_sync_ms;
};

struct zkl_durable;

/* NULL: no memory, or no threads. */
struct zkl_durable *zkl_durable_new(uv_loop_t *loop, const struct zkl_durable_options *options);

/* What the disk has done since: tells the core. false: the log cannot be written any more, the
 * log lines say why, and the core knows. */
bool zkl_durable_settle(struct zkl_durable *durable, struct zkl_clock clock);
/* Takes what the core has prepared and sends it to the disk, if that is free; else it gathers.
 * Then what else is due. false: as above. */
bool zkl_durable_pump(struct zkl_durable *durable, struct zkl_clock clock);
/* When pump is due without any news, or ZKL_NEVER. */
int64_t zkl_durable_deadline(struct zkl_durable *durable);

/* From now on nothing more is taken from the core and no snapshot goes on; what was taken is
 * still made durable. */
void zkl_durable_stop(struct zkl_durable *durable);
/* After stop: whether all is done. */
bool zkl_durable_idle(struct zkl_durable *durable);
/* Ends the threads. The handle is closed by the loop, which then frees it all. */
void zkl_durable_free(struct zkl_durable *durable);

#endif
