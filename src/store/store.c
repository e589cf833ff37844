/* The public calls, put together from the parts.
 *
 * append, seal, batch_empty and wants_snapshot are the server's thread: they touch the batch in
 * the making and what decides about the next snapshot. flush and mark touch the log and the
 * watermark; the snapshot calls and purge touch neither, so that a second thread may make them
 * meanwhile. Server and log meet in seal, which hands a batch over while no flush is on. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

#define SNAPSHOT_COUNT_DEFAULT 100000
#define SNAPSHOT_BYTES_DEFAULT (INT64_C(4) << 30)
#define LOGS_READ_MAX 32 /* by a start without another snapshot being due */

struct batch {
    struct zkl_buffer bytes; /* a log's header, then entries */
    int64_t first_zxid, last_zxid;
    uint32_t count;
    bool begins_log;
};

struct zkl_store {
    struct zkl_place place;
    struct zkl_locks locks;
    uint32_t snapshots_kept;
    /* The server's thread. */
    struct batch *making;
    struct zkl_random random;
    uint32_t snapshot_count, count, count_limit;
    int64_t snapshot_bytes_max, bytes, bytes_limit;
    bool snapshot_due;
    /* Handed over by seal. */
    struct batch *sealed;
    /* The disk's thread. */
    struct zkl_log log;
    struct zkl_mark_file mark;
    struct zkl_snapshot_writer snapshot;
    struct zkl_purger purger;
    bool keeps_all;
    int failure; /* of the log: it is never written again */
    struct batch batches[2];
};

/* --- open and close --------------------------------------------------------------------- */

static bool join(char directory[ZKL_DIRECTORY_SIZE_MAX], const char *top, const char *name)
{
    int size = snprintf(directory, ZKL_DIRECTORY_SIZE_MAX, "%s%s%s", top, *name ? "/" : "", name);
    return size > 0 && size < ZKL_DIRECTORY_SIZE_MAX;
}

int zkl_place_init(struct zkl_place *place, const struct zkl_store_options *options,
                   struct zkl_store_report *report)
{
    const char *log_top = options->log_directory;
    if (log_top == NULL) log_top = options->data_directory;
    memset(place, 0, sizeof *place);
    place->allocator = options->allocator;
    place->files = options->files;
    place->apart = strcmp(log_top, options->data_directory) != 0;
    if (!join(place->top, options->data_directory, "") ||
        !join(place->data, options->data_directory, "version-2") ||
        !join(place->log, log_top, "version-2")) {
        return zkl_failed(report, -ENAMETOOLONG, "the data directory");
    }
    if (!options->autocreate) return 0;
    for (int i = 0; i < 1 + place->apart; i++) {
        const char *directory = i == 0 ? place->data : place->log;
        int status = options->files->make_directory(options->files->context, directory);
        if (status < 0) return zkl_failed(report, status, "cannot make %s", directory);
        place->made = place->made || status == 1;
    }
    return 0;
}

int zkl_place_sync(const struct zkl_place *place, struct zkl_store_report *report)
{
    for (int i = 0; i < 1 + place->apart; i++) {
        char top[ZKL_DIRECTORY_SIZE_MAX];
        memcpy(top, i == 0 ? place->data : place->log, sizeof top);
        *strrchr(top, '/') = 0;
        int status = zkl_sync_names(place->files, top);
        if (status != 0) return zkl_failed(report, status, "cannot sync %s", top);
    }
    return 0;
}

/* With two directories, a snapshot among the logs or a log among the snapshots means that one
 * of the names was given wrong once. */
static int check_apart(const struct zkl_place *place, struct zkl_store_report *report)
{
    if (!place->apart) return 0;
    for (int i = 0; i < 2; i++) {
        struct zkl_listing listing;
        const char *directory = i == 0 ? place->data : place->log;
        enum zkl_file_kind first = i == 0 ? ZKL_FILE_LOG : ZKL_FILE_SNAPSHOT;
        enum zkl_file_kind last = i == 0 ? ZKL_FILE_LOG : ZKL_FILE_SNAPSHOT_FOREIGN;
        int status = zkl_listing_read(&listing, place, directory);
        if (status != 0) return zkl_failed(report, status, "cannot list %s", directory);
        for (size_t j = 0; j < listing.count && status == 0; j++) {
            const struct zkl_found *found = &listing.items[j];
            if (found->kind < first || found->kind > last) continue;
            status = zkl_failed(report, -EINVAL, "%s/%s does not belong there: logs are in %s "
                                "and snapshots in %s", directory, found->name, place->log,
                                place->data);
        }
        zkl_listing_free(&listing);
        if (status != 0) return status;
    }
    return 0;
}

/* Its name, and that of a mark that is made at the start, are synced with the first log's: before
 * that there is nothing that anybody was told of. */
static int make_genesis(const struct zkl_place *place, struct zkl_store_report *report)
{
    uint8_t bytes[ZKL_GENESIS_SIZE];
    zkl_genesis(bytes);
    int status = zkl_file_put(place->files, place->data, "snapshot.0", bytes, sizeof bytes);
    if (status == 0 && place->apart) status = zkl_sync_names(place->files, place->data);
    return status == 0 ? 0 : zkl_failed(report, status, "cannot make %s/snapshot.0", place->data);
}

/* The mark as recovery leaves it. A disk that is full is no reason not to serve reads: the
 * first batch tries again. */
static int open_mark(struct zkl_store *store, const struct zkl_recovery *recovery,
                     struct zkl_store_report *report)
{
    struct zkl_mark mark = { recovery->zxid, recovery->last_log, recovery->last_log_end };
    int status = zkl_mark_open(&store->mark, &store->place, &mark);
    store->mark.mark = mark;
    if (status == 0) return 0;
    if (status == -ENOSPC) {
        zkl_warn(report, "%s/zklua.mark cannot be made: the disk is full", store->place.log);
        return 0;
    }
    return zkl_failed(report, status, "cannot write %s/zklua.mark", store->place.log);
}

/* "version-N" where N is not ours: whoever made it has put data there. */
static int note_other_version(void *user, const char *name)
{
    char *other = user;
    size_t size = strlen(name);
    if (strncmp(name, "version-", 8) == 0 && strcmp(name, "version-2") != 0 && size > 8 &&
        size < ZKL_NAME_SIZE_MAX && strspn(name + 8, "0123456789") == size - 8) {
        memcpy(other, name, size + 1);
        return 1;
    }
    return 0;
}

/* Beginning with nothing beside the data of another version would look as if that were lost. */
static int check_version(const struct zkl_place *place, struct zkl_store_report *report)
{
    char other[ZKL_NAME_SIZE_MAX] = "";
    int status = place->files->list(place->files->context, place->top, note_other_version, other);
    if (status == 0 || status == -ENOENT) return 0;
    if (status < 0) return zkl_failed(report, status, "cannot list %s", place->top);
    return zkl_failed(report, -EINVAL, "%s/%s is data of another version, and this server reads "
                      "and writes version-2: start the server that wrote it, or name an empty "
                      "directory", place->top, other);
}

static int recover(struct zkl_store *store, const struct zkl_store_options *options,
                   const struct zkl_sink *sink, struct zkl_store_report *report)
{
    struct zkl_recovery recovery;
    int status = check_apart(&store->place, report);
    if (status == 0) status = zkl_recover(&store->place, options, sink, &recovery, report);
    if (status == 0 && recovery.fresh) status = check_version(&store->place, report);
    /* Without a mark this may be the first start, or one before was killed at its beginning:
     * directories that are there need not be durable. A mark says that they are. */
    if (status == 0 && (store->place.made || !recovery.marked)) {
        status = zkl_place_sync(&store->place, report);
    }
    if (status == 0) status = zkl_recover_repair(&store->place, &recovery, report);
    if (status == 0 && recovery.fresh) status = make_genesis(&store->place, report);
    if (status == 0) status = open_mark(store, &recovery, report);
    if (status != 0) return status;
    if (recovery.snapshot_zxid > 0) zkl_purge_verified(&store->purger, recovery.snapshot_zxid);
    /* What was read again counts as logged: servers of which each writes little would never
     * take a snapshot otherwise, and each start would cost more than the one before. */
    store->count = recovery.replayed < UINT32_MAX / 2 ? (uint32_t)recovery.replayed
                                                      : UINT32_MAX / 2;
    store->bytes = recovery.replayed_bytes;
    store->snapshot_due = recovery.without_snapshot || recovery.logs_read > LOGS_READ_MAX;
    return 0;
}

/* Spread, so that servers that began together do not write snapshots together. */
static void draw_limits(struct zkl_store *store)
{
    store->count = 0;
    store->bytes = 0;
    uint32_t half = store->snapshot_count / 2;
    store->count_limit = half + (uint32_t)zkl_random_below(&store->random, half);
    int64_t bytes = store->snapshot_bytes_max;
    store->bytes_limit = bytes < 0 ? INT64_MAX
                                   : bytes / 2 + zkl_random_below(&store->random, bytes / 2);
}

static struct zkl_store *allocate_store(const struct zkl_store_options *options)
{
    struct zkl_store *store = zkl_allocate(&options->allocator, sizeof *store);
    if (store == NULL) return NULL;
    memset(store, 0, sizeof *store);
    store->locks.data = store->locks.log = -1;
    store->mark.file = store->snapshot.file = -1;
    store->snapshot.place = &store->place;
    store->snapshots_kept = options->snapshots_kept;
    store->keeps_all = options->keeps_all;
    store->snapshot_count = options->snapshot_count;
    if (store->snapshot_count == 0) store->snapshot_count = SNAPSHOT_COUNT_DEFAULT;
    store->snapshot_bytes_max = options->snapshot_bytes_max;
    if (store->snapshot_bytes_max == 0) store->snapshot_bytes_max = SNAPSHOT_BYTES_DEFAULT;
    store->random.state = options->seed;
    store->making = &store->batches[0];
    store->sealed = &store->batches[1];
    for (int i = 0; i < 2; i++) zkl_buffer_init(&store->batches[i].bytes, &options->allocator);
    zkl_log_init(&store->log, &store->place, options);
    draw_limits(store);
    return store;
}

static void free_store(struct zkl_store *store)
{
    struct zkl_allocator allocator = store->place.allocator;
    zkl_log_abandon(&store->log);
    zkl_mark_close(&store->mark);
    zkl_lock_release(&store->locks, &store->place);
    for (int i = 0; i < 2; i++) zkl_buffer_free(&store->batches[i].bytes);
    zkl_release(&allocator, store, sizeof *store);
}

struct zkl_store *zkl_store_open_sink(const struct zkl_store_options *options,
                                      const struct zkl_sink *sink,
                                      struct zkl_store_report *report)
{
    memset(report, 0, sizeof *report);
    struct zkl_store *store = allocate_store(options);
    if (store == NULL) {
        zkl_failed(report, -ENOMEM, "cannot open %s", options->data_directory);
        return NULL;
    }
    store->place.allocator = options->allocator;
    store->place.files = options->files;
    int status = zkl_place_init(&store->place, options, report);
    if (status == 0) {
        status = zkl_lock_take(&store->locks, &store->place,
                               options->owner != NULL ? options->owner : "", report);
    }
    if (status == 0) status = recover(store, options, sink, report);
    if (status == 0) return store;
    free_store(store);
    return NULL;
}

void zkl_store_close(struct zkl_store *store)
{
    zkl_snapshot_writer_abort(&store->snapshot);
    if (store->failure == 0) {
        zkl_log_finish(&store->log);
        if (store->mark.file >= 0) zkl_mark_sync(&store->mark);
    }
    free_store(store);
}

/* --- the log ---------------------------------------------------------------------------- */

bool zkl_store_append(struct zkl_store *store, const struct zkl_logged *logged)
{
    struct batch *batch = store->making;
    if (batch->count == 0) {
        uint8_t header[ZKL_LOG_HEADER_SIZE];
        zkl_log_header(header);
        zkl_buffer_clear(&batch->bytes);
        if (!zkl_buffer_append(&batch->bytes, header, sizeof header)) return false;
        batch->first_zxid = logged->zxid;
    }
    if (!zkl_log_append(&batch->bytes, logged->payload)) return false;
    batch->last_zxid = logged->zxid;
    batch->count++;
    store->count++;
    store->bytes += (int64_t)(logged->payload.size + ZKL_ENTRY_OVERHEAD);
    return true;
}

bool zkl_store_batch_empty(const struct zkl_store *store)
{
    return store->making->count == 0;
}

void zkl_store_seal(struct zkl_store *store)
{
    struct batch *batch = store->making;
    ZKL_ASSERT(store->sealed->count == 0); /* flush is done with the one before */
    store->making = store->sealed;
    store->sealed = batch;
    store->making->begins_log = false;
    if (store->count > store->count_limit || store->bytes > store->bytes_limit) {
        store->snapshot_due = true;
        store->making->begins_log = true;
        draw_limits(store);
    }
}

/* Whole entries off the front: one at least, of ZKL_PIECE_MAX bytes together if they are
 * more. What lies between two syncs is never more, which tail.c builds on. */
static size_t next_piece(const uint8_t *bytes, size_t left, int64_t *last_zxid)
{
    size_t size = 0;
    while (size < left) {
        size_t entry = zkl_log_entry_size(bytes + size);
        if (size > 0 && size + entry > ZKL_PIECE_MAX) break;
        *last_zxid = zkl_log_entry_zxid(bytes + size);
        size += entry;
    }
    return size;
}

/* Behind each sync of the log. A log that has just begun holds nothing that the mark knows: it
 * is synced before anybody is told, and before more is written there. */
static int move_mark(struct zkl_store *store, int64_t zxid, bool sync)
{
    struct zkl_mark mark = { zxid, store->log.first_zxid, store->log.position };
    if (store->mark.file < 0) {
        int status = zkl_mark_open(&store->mark, &store->place, &mark);
        return status == 0 ? zkl_sync_names(store->place.files, store->place.log) : status;
    }
    int status = zkl_mark_write(&store->mark, &mark);
    return status == 0 && sync ? zkl_mark_sync(&store->mark) : status;
}

static int write_batch(struct zkl_store *store, const struct batch *batch)
{
    const uint8_t *bytes = zkl_buffer_start(&batch->bytes);
    size_t at = ZKL_LOG_HEADER_SIZE, end = zkl_buffer_size(&batch->bytes);
    if (batch->begins_log) zkl_log_finish(&store->log);
    while (at < end) {
        bool begins = store->log.file < 0;
        int64_t zxid = 0;
        size_t size = next_piece(bytes + at, end - at, &zxid);
        int status = zkl_log_write(&store->log, bytes + at, size, batch->first_zxid);
        if (status == 0) status = move_mark(store, zxid, begins);
        if (status != 0) return status;
        at += size;
    }
    if (store->log.bytes_max > 0 && store->log.position > store->log.bytes_max) {
        zkl_log_finish(&store->log);
    }
    return 0;
}

int zkl_store_flush(struct zkl_store *store, int64_t *zxid, struct zkl_store_report *report)
{
    struct batch *batch = store->sealed;
    memset(report, 0, sizeof *report);
    if (batch->count == 0 && store->failure == 0) {
        *zxid = store->mark.mark.zxid;
        return 0;
    }
    if (store->failure == 0) store->failure = write_batch(store, batch);
    if (store->failure != 0) {
        /* Never again: after a failed sync nobody knows which pages reached the disk, and the
         * next sync would say that all is well. */
        zkl_failed(report, store->failure, "%s/log.%llx cannot be written behind offset %lld; "
                   "nothing from zxid 0x%llx on was acknowledged; make room or replace the disk, "
                   "then start again", store->place.log,
                   (unsigned long long)store->log.first_zxid, (long long)store->log.position,
                   (unsigned long long)batch->first_zxid);
        report->zxid_first = batch->first_zxid;
        report->zxid_last = batch->last_zxid;
        zkl_log_abandon(&store->log);
        return store->failure;
    }
    *zxid = batch->last_zxid;
    batch->count = 0;
    return 0;
}

int zkl_store_mark(struct zkl_store *store, int64_t now_ms)
{
    if (store->failure != 0 || store->mark.file < 0) return store->failure;
    if (!store->mark.dirty || now_ms - store->mark.synced_ms < ZKL_MARK_INTERVAL_MS) return 0;
    store->mark.synced_ms = now_ms;
    int status = zkl_mark_sync(&store->mark);
    if (status != 0) store->failure = status;
    return status;
}

/* --- snapshots -------------------------------------------------------------------------- */

bool zkl_store_wants_snapshot(struct zkl_store *store)
{
    bool due = store->snapshot_due;
    store->snapshot_due = false;
    return due;
}

int zkl_store_snapshot_begin(struct zkl_store *store, int64_t zxid)
{
    return zkl_snapshot_writer_begin(&store->snapshot, zxid);
}

int zkl_store_snapshot_write(struct zkl_store *store, const uint8_t *bytes, size_t size)
{
    int status = zkl_snapshot_writer_write(&store->snapshot, bytes, size);
    if (status != 0) zkl_snapshot_writer_abort(&store->snapshot);
    return status;
}

int zkl_store_snapshot_finish(struct zkl_store *store)
{
    int status = zkl_snapshot_writer_finish(&store->snapshot);
    if (status != 0) return status;
    zkl_purge_verified(&store->purger, store->snapshot.zxid);
    return store->keeps_all ? 0 : zkl_store_purge(store);
}

void zkl_store_snapshot_abort(struct zkl_store *store)
{
    zkl_snapshot_writer_abort(&store->snapshot);
}

int zkl_store_purge(struct zkl_store *store)
{
    return zkl_purge(&store->purger, &store->place, store->snapshots_kept);
}
