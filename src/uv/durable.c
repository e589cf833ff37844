#define _POSIX_C_SOURCE 200809L /* what uv.h needs */

#include "uv/durable.h"

#include <stdlib.h>
#include <string.h>

#include "uv/log.h"

enum errand {
    ERRAND_NONE,
    ERRAND_BEGIN,  /* a snapshot's file */
    ERRAND_WRITE,  /* a slice of it */
    ERRAND_FINISH,
    ERRAND_ABORT,
    ERRAND_MARK,
    ERRAND_PURGE
};

/* Whose a job is: what it holds is read and written by that thread alone. */
enum progress {
    PROGRESS_FREE,  /* the loop's: nothing is under way */
    PROGRESS_ASKED, /* the disk's */
    PROGRESS_DONE   /* the loop's: to be settled */
};

struct flush_job {
    enum progress progress;
    int status;
    int64_t zxid;
    int64_t took_ms;
    struct zkl_store_report report;
};

struct errand_job {
    enum progress progress;
    enum errand errand;
    int status;
    int64_t zxid;   /* BEGIN */
    int64_t now_ms; /* MARK */
    size_t size;    /* WRITE */
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
    uv_thread_t thread;
    uv_mutex_t mutex; /* of the progress of both jobs, and of quit */
    uv_cond_t asked;
    struct flush_job flush;
    struct errand_job errand;
    bool flushed_last; /* the disk's own: an errand that waits is next */
    bool quit;

    /* the loop's alone */
    bool stopped, failed;
    bool holding; /* `held` found no memory in the batch: again when the disk is done */
    struct zkl_logged held;
    enum snapshot_state snapshot;
    int64_t snapshot_zxid, snapshot_began_ms;
    uint64_t snapshot_bytes;
    int64_t mark_at_ms, purge_at_ms; /* ZKL_NEVER: not due */
};

/* --- the disk's thread -------------------------------------------------------- */

static void do_flush(struct zkl_durable *durable)
{
    struct flush_job *job = &durable->flush;
    uint64_t start = uv_hrtime();
    job->report.text[0] = '\0';
    job->status = zkl_store_flush(durable->options.store, &job->zxid, &job->report);
    job->took_ms = (int64_t)((uv_hrtime() - start) / 1000000);
}

static void do_errand(struct zkl_durable *durable)
{
    struct errand_job *job = &durable->errand;
    struct zkl_store *store = durable->options.store;
    switch (job->errand) {
    case ERRAND_NONE: break;
    case ERRAND_BEGIN: job->status = zkl_store_snapshot_begin(store, job->zxid); break;
    case ERRAND_WRITE:
        job->status = zkl_store_snapshot_write(store, job->slice, job->size);
        break;
    case ERRAND_FINISH: job->status = zkl_store_snapshot_finish(store); break;
    case ERRAND_ABORT:
        zkl_store_snapshot_abort(store);
        job->status = 0;
        break;
    case ERRAND_MARK: job->status = zkl_store_mark(store, job->now_ms); break;
    case ERRAND_PURGE: job->status = zkl_store_purge(store); break;
    }
}

/* Holds the mutex outside of the jobs themselves. */
static void work(void *argument)
{
    struct zkl_durable *durable = argument;
    uv_mutex_lock(&durable->mutex);
    while (true) {
        bool flush = durable->flush.progress == PROGRESS_ASKED;
        bool errand = durable->errand.progress == PROGRESS_ASKED;
        if (!flush && !errand) {
            if (durable->quit) break;
            uv_cond_wait(&durable->asked, &durable->mutex);
            continue;
        }
        if (flush && errand) flush = !durable->flushed_last;
        durable->flushed_last = flush;
        uv_mutex_unlock(&durable->mutex);
        if (flush) do_flush(durable);
        else do_errand(durable);
        uv_mutex_lock(&durable->mutex);
        *(flush ? &durable->flush.progress : &durable->errand.progress) = PROGRESS_DONE;
        uv_async_send(&durable->done);
    }
    uv_mutex_unlock(&durable->mutex);
}

/* --- asking it ------------------------------------------------------------------ */

static bool is_free(struct zkl_durable *durable, const enum progress *progress)
{
    uv_mutex_lock(&durable->mutex);
    bool is = *progress == PROGRESS_FREE;
    uv_mutex_unlock(&durable->mutex);
    return is;
}

/* Whether a job is done, which is thereby free for the next. */
static bool take(struct zkl_durable *durable, enum progress *progress)
{
    uv_mutex_lock(&durable->mutex);
    bool done = *progress == PROGRESS_DONE;
    if (done) *progress = PROGRESS_FREE;
    uv_mutex_unlock(&durable->mutex);
    return done;
}

static void ask(struct zkl_durable *durable, enum progress *progress)
{
    uv_mutex_lock(&durable->mutex);
    ZKL_ASSERT(*progress == PROGRESS_FREE);
    *progress = PROGRESS_ASKED;
    uv_cond_signal(&durable->asked);
    uv_mutex_unlock(&durable->mutex);
}

static void send_errand(struct zkl_durable *durable, enum errand errand)
{
    durable->errand.errand = errand;
    ask(durable, &durable->errand.progress);
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
    struct flush_job *job = &durable->flush;
    if (!take(durable, &job->progress)) return true;
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
    zkl_server_committed(durable->options.server, job->zxid, clock);
    return true;
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

static bool pump_log(struct zkl_durable *durable)
{
    bool idle = is_free(durable, &durable->flush.progress);
    if (!gather(durable, idle)) return false;
    if (idle && !zkl_store_batch_empty(durable->options.store)) {
        zkl_store_seal(durable->options.store);
        ask(durable, &durable->flush.progress);
    }
    return true;
}

/* --- snapshots, purge, watermark --------------------------------------------------- */

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
    struct errand_job *job = &durable->errand;
    if (!take(durable, &job->progress)) return;
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
            zkl_log(ZKL_LOG_INFO, "snapshot of zxid 0x%llx: %llu bytes in %lld ms",
                    (unsigned long long)durable->snapshot_zxid,
                    (unsigned long long)durable->snapshot_bytes,
                    (long long)(clock.now_ms - durable->snapshot_began_ms));
        }
        break;
    case ERRAND_MARK:
    case ERRAND_PURGE:
        if (job->status != 0) {
            zkl_log(ZKL_LOG_WARNING, "%s: %s", job->errand == ERRAND_MARK
                        ? "the watermark could not be written" : "old files could not be removed",
                    uv_strerror(job->status));
        }
        break;
    case ERRAND_NONE:
    case ERRAND_ABORT: break;
    }
}

static void pump_errands(struct zkl_durable *durable, struct zkl_clock clock)
{
    if (!is_free(durable, &durable->errand.progress)) return;
    /* The watermark first: a snapshot of many slices must not keep it waiting. */
    if (clock.now_ms >= durable->mark_at_ms) {
        durable->mark_at_ms = ZKL_NEVER;
        durable->errand.now_ms = clock.now_ms;
        send_errand(durable, ERRAND_MARK);
    } else if (durable->snapshot == SNAPSHOT_ON) {
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
    return !durable->failed && settle_flush(durable, clock);
}

bool zkl_durable_pump(struct zkl_durable *durable, struct zkl_clock clock)
{
    if (durable->failed) return false;
    if (!pump_log(durable)) return false;
    if (!durable->stopped) pump_errands(durable, clock);
    return true;
}

int64_t zkl_durable_deadline(const struct zkl_durable *durable)
{
    if (durable->failed || durable->stopped) return ZKL_NEVER;
    return durable->mark_at_ms < durable->purge_at_ms ? durable->mark_at_ms
                                                      : durable->purge_at_ms;
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

bool zkl_durable_idle(const struct zkl_durable *durable)
{
    struct zkl_durable *d = (struct zkl_durable *)durable; /* a mutex has no const */
    return is_free(d, &d->flush.progress) && is_free(d, &d->errand.progress)
        && (durable->failed
            || (!durable->holding && zkl_store_batch_empty(durable->options.store)));
}

static void on_done(uv_async_t *handle)
{
    (void)handle; /* the loop turns, and its end settles */
}

struct zkl_durable *zkl_durable_new(uv_loop_t *loop, const struct zkl_durable_options *options)
{
    struct zkl_durable *durable = calloc(1, sizeof *durable);
    if (durable == NULL) return NULL;
    durable->options = *options;
    durable->mark_at_ms = ZKL_NEVER;
    durable->purge_at_ms = options->purge_interval_ms > 0 ? 0 : ZKL_NEVER;
    durable->done.data = durable;
    uv_mutex_init(&durable->mutex);
    uv_cond_init(&durable->asked);
    if (uv_async_init(loop, &durable->done, on_done) == 0) {
        if (uv_thread_create(&durable->thread, work, durable) == 0) return durable;
        uv_close((uv_handle_t *)&durable->done, NULL);
        uv_run(loop, UV_RUN_NOWAIT);
    }
    uv_cond_destroy(&durable->asked);
    uv_mutex_destroy(&durable->mutex);
    free(durable);
    return NULL;
}

static void on_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void zkl_durable_free(struct zkl_durable *durable)
{
    uv_mutex_lock(&durable->mutex);
    durable->quit = true;
    uv_cond_signal(&durable->asked);
    uv_mutex_unlock(&durable->mutex);
    uv_thread_join(&durable->thread);
    if (durable->snapshot == SNAPSHOT_ABANDONED) {
        zkl_store_snapshot_abort(durable->options.store);
    }
    uv_cond_destroy(&durable->asked);
    uv_mutex_destroy(&durable->mutex);
    uv_close((uv_handle_t *)&durable->done, on_closed);
}
