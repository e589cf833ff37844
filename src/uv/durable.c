#define _POSIX_C_SOURCE 200809L /* what uv.h needs */

#include "uv/durable.h"

#include <stdlib.h>
#include <string.h>

#include "uv/log.h"
#include "uv/worker.h"

struct flush_job {
    int status;
    int64_t zxid;
    int64_t took_ms;
    struct zkl_store_report report;
};

struct mark_job {
    int status;
    int64_t now_ms;
};

/* What the tidier is asked to do. */
enum errand {
    ERRAND_BEGIN,  /* a snapshot's file */
    ERRAND_WRITE,  /* a slice of it */
    ERRAND_FINISH,
    ERRAND_ABORT,
    ERRAND_PURGE
};

struct errand_job {
    enum errand errand;
    int status;
    int64_t zxid; /* BEGIN */
    size_t size;  /* WRITE */
    uint8_t slice[ZKL_SNAPSHOT_SLICE];
};

/* Where a snapshot stands. */
enum snapshot_state {
    SNAPSHOT_NONE,
    SNAPSHOT_ON,       /* the core gives slices */
    SNAPSHOT_ENDING,   /* all slices are written */
    SNAPSHOT_ABANDONED /* by stop: the core is done with it, its file is not */
};

struct zkl_durable {
    struct zkl_durable_options options;
    uv_async_t done; /* wakes the loop */
    struct zkl_worker logger;  /* of flush and mark */
    struct zkl_worker tidier;  /* of errand */
    bool logger_flushes;       /* what it does, or has done: a flush, not the mark */
    struct flush_job flush;
    struct mark_job mark;
    struct errand_job errand;

    bool stopped, failed;
    bool holding; /* `held` found no memory in the batch: again when the disk is done */
    struct zkl_logged held;
    enum snapshot_state snapshot;
    int64_t snapshot_zxid, snapshot_began_ms;
    uint64_t snapshot_bytes;
    int64_t mark_at_ms, purge_at_ms; /* ZKL_NEVER: not due */
};

/* --- on the workers' threads ---------------------------------------------------- */

static void do_flush(void *argument)
{
    struct zkl_durable *durable = argument;
    struct flush_job *job = &durable->flush;
    uint64_t start = uv_hrtime();
    job->report.text[0] = '\0';
    job->status = zkl_store_flush(durable->options.store, &job->zxid, &job->report);
    job->took_ms = (int64_t)((uv_hrtime() - start) / 1000000);
}

static void do_mark(void *argument)
{
    struct zkl_durable *durable = argument;
    durable->mark.status = zkl_store_mark(durable->options.store, durable->mark.now_ms);
}

static void do_errand(void *argument)
{
    struct zkl_durable *durable = argument;
    struct errand_job *job = &durable->errand;
    struct zkl_store *store = durable->options.store;
    switch (job->errand) {
    case ERRAND_BEGIN: job->status = zkl_store_snapshot_begin(store, job->zxid); break;
    case ERRAND_WRITE:
        job->status = zkl_store_snapshot_write(store, job->slice, job->size);
        break;
    case ERRAND_FINISH: job->status = zkl_store_snapshot_finish(store); break;
    case ERRAND_ABORT:
        zkl_store_snapshot_abort(store);
        job->status = 0;
        break;
    case ERRAND_PURGE: job->status = zkl_store_purge(store); break;
    }
}

/* --- the log ---------------------------------------------------------------------- */

static bool fail(struct zkl_durable *durable, const char *text)
{
    zkl_log(ZKL_LOG_ERROR, "the log cannot be written: %s", text);
    durable->failed = true;
    zkl_server_log_failed(durable->options.server);
    return false;
}

static bool settle_flush(struct zkl_durable *durable, struct zkl_clock clock)
{
    const struct flush_job *job = &durable->flush;
    if (job->status != 0) {
        return fail(durable, job->report.text[0] != '\0' ? job->report.text
                                                         : uv_strerror(job->status));
    }
    if (durable->options.slow_sync_ms > 0 && job->took_ms > durable->options.slow_sync_ms) {
        zkl_log(ZKL_LOG_WARNING, "the disk took %lld ms for a batch; every write waits for it",
                (long long)job->took_ms);
    }
    if (durable->mark_at_ms == ZKL_NEVER) {
        durable->mark_at_ms = clock.now_ms + ZKL_MARK_INTERVAL_MS;
    }
    zkl_server_measured(durable->options.server, ZKL_MEASURED_SYNC_MS, job->took_ms);
    zkl_server_committed(durable->options.server, job->zxid, clock);
    return true;
}

static bool settle_log(struct zkl_durable *durable, struct zkl_clock clock)
{
    if (!zkl_worker_take(&durable->logger)) return true;
    if (durable->logger_flushes) return settle_flush(durable, clock);
    int status = durable->mark.status;
    return status == 0 || fail(durable, uv_strerror(status));
}

/* Moves what the core has prepared into the batch. What finds no memory there waits for the
 * disk: a batch that was written gives its memory back. */
static bool gather(struct zkl_durable *durable, bool disk_idle)
{
    struct zkl_store *store = durable->options.store;
    while (true) {
        if (!durable->holding) {
            if (durable->stopped
                || !zkl_server_next_txn(durable->options.server, &durable->held)) {
                return true;
            }
            durable->holding = true;
        }
        if (!zkl_store_append(store, &durable->held)) {
            if (disk_idle && zkl_store_batch_empty(store)) return fail(durable, "out of memory");
            return true;
        }
        durable->holding = false;
    }
}

static bool pump_log(struct zkl_durable *durable, struct zkl_clock clock)
{
    bool idle = zkl_worker_free(&durable->logger);
    if (!gather(durable, idle)) return false;
    if (!idle) return true;
    /* The watermark first, or a stream of batches would keep it waiting for ever. */
    if (clock.now_ms >= durable->mark_at_ms) {
        durable->mark_at_ms = ZKL_NEVER;
        durable->mark.now_ms = clock.now_ms;
        durable->logger_flushes = false;
        zkl_worker_ask(&durable->logger, do_mark, durable);
    } else if (!zkl_store_batch_empty(durable->options.store)) {
        zkl_store_seal(durable->options.store);
        durable->logger_flushes = true;
        zkl_worker_ask(&durable->logger, do_flush, durable);
    }
    return true;
}

/* --- snapshots and purge ------------------------------------------------------------ */

static void send_errand(struct zkl_durable *durable, enum errand errand)
{
    durable->errand.errand = errand;
    zkl_worker_ask(&durable->tidier, do_errand, durable);
}

static void give_up_snapshot(struct zkl_durable *durable, const char *why)
{
    zkl_log(ZKL_LOG_WARNING, "the snapshot of zxid 0x%llx was given up: %s; the log goes on",
            (unsigned long long)durable->snapshot_zxid, why);
    zkl_server_snapshot_end(durable->options.server);
    durable->snapshot = SNAPSHOT_NONE;
}

/* Fetches the next slice of a snapshot from the core and sends it to the disk, which is free. */
static void send_slice(struct zkl_durable *durable)
{
    struct errand_job *job = &durable->errand;
    int status = zkl_server_snapshot_next(durable->options.server, job->slice,
                                          sizeof job->slice, &job->size);
    if (status != ZKL_OK) {
        give_up_snapshot(durable, "out of memory");
        send_errand(durable, ERRAND_ABORT);
    } else if (job->size > 0) {
        durable->snapshot_bytes += job->size;
        send_errand(durable, ERRAND_WRITE);
    } else {
        durable->snapshot = SNAPSHOT_ENDING;
        zkl_server_snapshot_end(durable->options.server);
        send_errand(durable, ERRAND_FINISH);
    }
}

static void begin_snapshot(struct zkl_durable *durable, struct zkl_clock clock)
{
    if (zkl_server_snapshot_begin(durable->options.server, &durable->snapshot_zxid) != ZKL_OK) {
        zkl_log(ZKL_LOG_WARNING, "no memory to begin a snapshot; the log goes on");
        return;
    }
    durable->snapshot = SNAPSHOT_ON;
    durable->snapshot_began_ms = clock.now_ms;
    durable->snapshot_bytes = 0;
    durable->errand.zxid = durable->snapshot_zxid;
    send_errand(durable, ERRAND_BEGIN);
}

static void settle_errand(struct zkl_durable *durable, struct zkl_clock clock)
{
    const struct errand_job *job = &durable->errand;
    if (!zkl_worker_take(&durable->tidier)) return;
    switch (job->errand) {
    case ERRAND_BEGIN:
    case ERRAND_WRITE:
        if (job->status == 0) break;
        /* The store has taken its temporary file away itself. */
        if (durable->snapshot == SNAPSHOT_ON) give_up_snapshot(durable, uv_strerror(job->status));
        durable->snapshot = SNAPSHOT_NONE;
        break;
    case ERRAND_FINISH:
        durable->snapshot = SNAPSHOT_NONE;
        if (job->status != 0) {
            zkl_log(ZKL_LOG_WARNING, "the snapshot of zxid 0x%llx could not be kept: %s",
                    (unsigned long long)durable->snapshot_zxid, uv_strerror(job->status));
        } else {
            zkl_server_measured(durable->options.server, ZKL_MEASURED_SNAPSHOT_MS,
                                clock.now_ms - durable->snapshot_began_ms);
            zkl_log(ZKL_LOG_INFO, "snapshot of zxid 0x%llx: %llu bytes in %lld ms",
                    (unsigned long long)durable->snapshot_zxid,
                    (unsigned long long)durable->snapshot_bytes,
                    (long long)(clock.now_ms - durable->snapshot_began_ms));
        }
        break;
    case ERRAND_PURGE:
        if (job->status != 0) {
            zkl_log(ZKL_LOG_WARNING, "old files could not be removed: %s",
                    uv_strerror(job->status));
        }
        break;
    case ERRAND_ABORT: break;
    }
}

static void pump_errands(struct zkl_durable *durable, struct zkl_clock clock)
{
    if (!zkl_worker_free(&durable->tidier)) return;
    if (durable->snapshot == SNAPSHOT_ON) {
        send_slice(durable);
    } else if (zkl_store_wants_snapshot(durable->options.store)) {
        begin_snapshot(durable, clock);
    } else if (clock.now_ms >= durable->purge_at_ms) {
        durable->purge_at_ms = clock.now_ms + durable->options.purge_interval_ms;
        send_errand(durable, ERRAND_PURGE);
    }
}

/* --- the calls -------------------------------------------------------------------- */

bool zkl_durable_settle(struct zkl_durable *durable, struct zkl_clock clock)
{
    settle_errand(durable, clock);
    return !durable->failed && settle_log(durable, clock);
}

bool zkl_durable_pump(struct zkl_durable *durable, struct zkl_clock clock)
{
    if (durable->failed) return false;
    if (!pump_log(durable, clock)) return false;
    if (!durable->stopped) pump_errands(durable, clock);
    return true;
}

/* What is due while its thread works has no time: the end of that work wakes the loop. */
int64_t zkl_durable_deadline(struct zkl_durable *durable)
{
    if (durable->failed || durable->stopped) return ZKL_NEVER;
    int64_t mark_ms = zkl_worker_free(&durable->logger) ? durable->mark_at_ms : ZKL_NEVER;
    int64_t purge_ms = zkl_worker_free(&durable->tidier) ? durable->purge_at_ms : ZKL_NEVER;
    return mark_ms < purge_ms ? mark_ms : purge_ms;
}

void zkl_durable_stop(struct zkl_durable *durable)
{
    if (durable->stopped) return;
    durable->stopped = true;
    if (durable->snapshot == SNAPSHOT_ON) {
        zkl_server_snapshot_end(durable->options.server);
        durable->snapshot = SNAPSHOT_ABANDONED;
    }
}

bool zkl_durable_idle(struct zkl_durable *durable)
{
    return zkl_worker_free(&durable->logger) && zkl_worker_free(&durable->tidier)
        && (durable->failed
            || (!durable->holding && zkl_store_batch_empty(durable->options.store)));
}

static void on_done(uv_async_t *handle)
{
    (void)handle; /* the loop turns, and its end settles */
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

struct zkl_durable *zkl_durable_new(uv_loop_t *loop, const struct zkl_durable_options *options)
{
    struct zkl_durable *durable = calloc(1, sizeof *durable);
    if (durable == NULL) return NULL;
    durable->options = *options;
    durable->mark_at_ms = ZKL_NEVER;
    durable->purge_at_ms = options->purge_interval_ms > 0 ? 0 : ZKL_NEVER;
    durable->done.data = durable;
    if (uv_async_init(loop, &durable->done, on_done) != 0) {
        free(durable);
        return NULL;
    }
    if (zkl_worker_start(&durable->logger, &durable->done) == 0) {
        if (zkl_worker_start(&durable->tidier, &durable->done) == 0) return durable;
        zkl_worker_stop(&durable->logger);
    }
    uv_close((uv_handle_t *)&durable->done, on_closed);
    return NULL;
}

void zkl_durable_free(struct zkl_durable *durable)
{
    zkl_worker_stop(&durable->logger);
    zkl_worker_stop(&durable->tidier);
    if (durable->snapshot == SNAPSHOT_ABANDONED) {
        zkl_store_snapshot_abort(durable->options.store);
    }
    uv_close((uv_handle_t *)&durable->done, on_closed);
}
