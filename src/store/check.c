/* Whether all there is lies where one looks. --check reads it and changes nothing. --salvage is
 * for a directory that does not start any more: it writes what can be read and follows without a
 * gap into another one, and says what is left behind. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

/* --- all of it --------------------------------------------------------------------------- */

/* A server leaves a log with its snapshots, or nothing but the beginning of all. Ours leaves a
 * mark with its logs, too: one that is older than a snapshot tells of logs that were here once. */
static int judge_place(const struct zkl_place *place, const struct zkl_listing *snapshots,
                       size_t logs, struct zkl_store_report *report)
{
    struct zkl_mark mark;
    if (snapshots->count == 0 || logs > 0) return 0;
    int status = zkl_mark_read(place, &mark);
    if (status == 1 && mark.zxid >= snapshots->items[snapshots->count - 1].zxid) return 0;
    return zkl_damaged(report, 0, 0, "%s holds snapshots and no log: its logs are kept elsewhere, "
                       "and a snapshot alone is an old state; name the zoo.cfg in place of the "
                       "directory, for its dataLogDir (one with dataDir alone says that there are "
                       "no logs)", place->data);
}

int zkl_store_complete(const struct zkl_store_options *options, struct zkl_store_report *report)
{
    struct zkl_store_options reading = *options;
    struct zkl_place place;
    struct zkl_listing snapshots, logs;
    memset(report, 0, sizeof *report);
    reading.autocreate = false;
    int status = zkl_place_init(&place, &reading, report);
    if (status != 0) return status;
    status = zkl_list_snapshots(&snapshots, &place);
    if (status != 0) return zkl_failed(report, status, "cannot list %s", place.data);
    status = zkl_list_logs(&logs, &place);
    if (status == 0) status = judge_place(&place, &snapshots, logs.count, report);
    else zkl_failed(report, status, "cannot list %s", place.log);
    zkl_listing_free(&snapshots);
    zkl_listing_free(&logs);
    return status;
}

/* --- check ------------------------------------------------------------------------------ */

/* Every snapshot, also those that recovery had no need of. */
static int check_snapshots(const struct zkl_place *place, struct zkl_store_report *report,
                           unsigned *good, unsigned *bad)
{
    struct zkl_listing snapshots;
    int status = zkl_list_snapshots(&snapshots, place);
    if (status != 0) return zkl_failed(report, status, "cannot list %s", place->data);
    for (size_t i = 0; i < snapshots.count && status == 0; i++) {
        const char *wrong;
        int found = zkl_snapshot_read(place, &snapshots.items[i], NULL, &wrong);
        if (found == 0) {
            ++*good;
        } else if (found == -EBADMSG) {
            ++*bad;
            zkl_warn(report, "%s/%s %s", place->data, snapshots.items[i].name, wrong);
        } else {
            status = zkl_failed(report, found, "cannot read %s/%s", place->data,
                                snapshots.items[i].name);
        }
    }
    zkl_listing_free(&snapshots);
    return status;
}

/* One log to its end; what recovery had to say about its own logs it has said. */
static int check_log(const struct zkl_place *place, const struct zkl_found *found,
                     const struct zkl_recovery *recovery, struct zkl_store_report *report,
                     uint64_t *entries)
{
    struct zkl_log_reader reader;
    struct zkl_entry entry;
    int status = zkl_log_reader_open(&reader, place, found->zxid);
    if (status != 0) {
        return zkl_failed(report, status, "cannot open %s/%s", place->log, found->name);
    }
    enum zkl_step step;
    while ((step = zkl_log_reader_next(&reader, &entry)) == ZKL_STEP_ENTRY) ++*entries;
    if (step == ZKL_STEP_FAILED) {
        status = zkl_failed(report, reader.error, "cannot read %s/%s at offset %lld", place->log,
                            found->name, (long long)reader.at);
    } else if (step == ZKL_STEP_INVALID && found->zxid == recovery->torn_log) {
        zkl_warn(report, "%s/%s ends at offset %lld in an interrupted write, which the next start "
                 "cuts off", place->log, found->name, (long long)reader.at);
    } else if (step == ZKL_STEP_INVALID) {
        zkl_warn(report, "%s/%s: the entry at offset %lld %s; no start needs it", place->log,
                 found->name, (long long)reader.at, reader.wrong);
    }
    zkl_log_reader_close(&reader);
    return status;
}

static int check_logs(const struct zkl_place *place, const struct zkl_recovery *recovery,
                      struct zkl_store_report *report, size_t *logs, uint64_t *entries)
{
    struct zkl_listing listing;
    int status = zkl_list_logs(&listing, place);
    if (status != 0) return zkl_failed(report, status, "cannot list %s", place->log);
    for (size_t i = 0; i < listing.count && status == 0; i++) {
        status = check_log(place, &listing.items[i], recovery, report, entries);
    }
    *logs = listing.count;
    zkl_listing_free(&listing);
    return status;
}

static int check(const struct zkl_place *place, const struct zkl_store_options *options,
                 const struct zkl_sink *sink, struct zkl_store_report *report)
{
    struct zkl_recovery recovery;
    unsigned good = 0, bad = 0;
    size_t logs = 0;
    uint64_t entries = 0;
    int status = zkl_recover(place, options, sink, &recovery, report);
    if (status != 0) return status;
    memset(report, 0, sizeof *report); /* what it warned of is found again, and more */
    status = check_snapshots(place, report, &good, &bad);
    if (status == 0) status = check_logs(place, &recovery, report, &logs, &entries);
    if (status != 0) return status;
    zkl_headline(report, "%s starts at zxid 0x%llx: snapshots %u good, %u damaged; logs %llu with "
                 "%llu entries; %s", place->data, (unsigned long long)recovery.zxid, good, bad,
                 (unsigned long long)logs, (unsigned long long)entries,
                 recovery.marked ? "all that was acknowledged is there"
                                 : "there is no zklua.mark, so nothing tells whether more was "
                                   "acknowledged");
    return 0;
}

int zkl_store_check_sink(const struct zkl_store_options *options, const struct zkl_sink *sink,
                         struct zkl_store_report *report)
{
    struct zkl_store_options reading = *options;
    struct zkl_place place;
    struct zkl_locks locks;
    memset(report, 0, sizeof *report);
    reading.autocreate = false;
    int status = zkl_place_init(&place, &reading, report);
    if (status == 0) status = zkl_lock_take(&locks, &place, NULL, report);
    if (status != 0) return status;
    status = check(&place, &reading, sink, report);
    zkl_lock_release(&locks, &place);
    return status;
}

/* --- salvage ---------------------------------------------------------------------------- */

struct salvage {
    const struct zkl_place *place;
    struct zkl_place out;
    const struct zkl_sink *sink;
    struct zkl_store_report *report;
    struct zkl_log log;
    struct zkl_buffer batch;
    int64_t batch_zxid;  /* of its first entry */
    int64_t last;        /* kept */
    int64_t seen;        /* the highest that any file or the mark tells of */
    uint64_t kept;
    bool broken;         /* the chain has ended */
};

static int copy_file(struct salvage *salvage, const char *name)
{
    const struct zkl_files *files = salvage->place->files;
    uint8_t bytes[4096];
    int64_t size = 0, count = 0;
    int from = files->open(files->context, salvage->place->data, name, ZKL_OPEN_READ);
    if (from < 0) return from;
    int to = files->open(files->context, salvage->out.data, name, ZKL_OPEN_CREATE);
    int status = to < 0 ? to : 0;
    while (status == 0) {
        count = zkl_file_read(files, from, bytes, sizeof bytes, size);
        if (count <= 0) break;
        status = zkl_file_write(files, to, bytes, (size_t)count, size);
        size += count;
    }
    if (status == 0 && count < 0) status = (int)count;
    if (status == 0) status = files->sync(files->context, to);
    if (to >= 0) files->close(files->context, to);
    files->close(files->context, from);
    return status;
}

static int cannot_write(struct salvage *salvage, int status)
{
    return zkl_failed(salvage->report, status, "cannot write to %s", salvage->out.data);
}

static int no_memory(struct salvage *salvage)
{
    return zkl_failed(salvage->report, -ENOMEM, "salvage");
}

static int keep_snapshot(struct salvage *salvage, const struct zkl_found *found)
{
    const char *wrong;
    int status = zkl_snapshot_read(salvage->place, found, salvage->sink, &wrong);
    if (status == -EPROTO) {
        return zkl_damaged(salvage->report, 0, 0, "%s/%s is whole but cannot be true: %s",
                           salvage->place->data, found->name,
                           salvage->sink->why(salvage->sink->context));
    }
    if (status == 0) status = copy_file(salvage, found->name);
    if (status != 0) {
        return zkl_failed(salvage->report, status, "cannot copy %s/%s", salvage->place->data,
                          found->name);
    }
    salvage->last = found->zxid;
    zkl_warn(salvage->report, "kept %s", found->name);
    return 1;
}

/* The newest that is whole, or the beginning of all. */
static int salvage_snapshot(struct salvage *salvage)
{
    struct zkl_listing snapshots;
    int status = zkl_list_snapshots(&snapshots, salvage->place);
    if (status != 0) {
        return zkl_failed(salvage->report, status, "cannot list %s", salvage->place->data);
    }
    for (size_t i = snapshots.count; i > 0 && status == 0; i--) {
        const struct zkl_found *found = &snapshots.items[i - 1];
        const char *wrong;
        if (found->zxid > salvage->seen) salvage->seen = found->zxid;
        status = zkl_snapshot_read(salvage->place, found, NULL, &wrong);
        if (status == 0) {
            status = keep_snapshot(salvage, found);
        } else if (status == -EBADMSG) {
            zkl_warn(salvage->report, "dropped %s: it %s", found->name, wrong);
            status = 0;
        } else {
            zkl_failed(salvage->report, status, "cannot read %s/%s", salvage->place->data,
                       found->name);
        }
    }
    zkl_listing_free(&snapshots);
    if (status != 0) return status < 0 ? status : 0;
    uint8_t bytes[ZKL_GENESIS_SIZE];
    zkl_genesis(bytes);
    zkl_warn(salvage->report, "no snapshot can be read: beginning from nothing");
    status = zkl_file_make(salvage->place->files, salvage->out.data, "snapshot.0", bytes,
                           sizeof bytes);
    return status == 0 ? 0 : cannot_write(salvage, status);
}

static int write_batch(struct salvage *salvage)
{
    size_t size = zkl_buffer_size(&salvage->batch);
    if (size <= ZKL_LOG_HEADER_SIZE) return 0;
    int status = zkl_log_write(&salvage->log,
                               zkl_buffer_start(&salvage->batch) + ZKL_LOG_HEADER_SIZE,
                               size - ZKL_LOG_HEADER_SIZE, salvage->batch_zxid);
    zkl_buffer_clear(&salvage->batch);
    return status == 0 ? 0 : cannot_write(salvage, status);
}

static int keep_entry(struct salvage *salvage, const struct zkl_entry *entry)
{
    if (zkl_buffer_size(&salvage->batch) == 0) {
        uint8_t header[ZKL_LOG_HEADER_SIZE];
        zkl_log_header(header);
        if (!zkl_buffer_append(&salvage->batch, header, sizeof header)) return no_memory(salvage);
        salvage->batch_zxid = entry->zxid;
    }
    if (!zkl_log_append(&salvage->batch, entry->payload)) return no_memory(salvage);
    salvage->last = entry->zxid;
    salvage->kept++;
    return zkl_buffer_size(&salvage->batch) < ZKL_PIECE_MAX ? 0 : write_batch(salvage);
}

static int take_entry(struct salvage *salvage, const struct zkl_log_reader *reader,
                      const struct zkl_entry *entry)
{
    if (entry->zxid > salvage->seen) salvage->seen = entry->zxid;
    if (salvage->broken || entry->zxid <= salvage->last) return 0;
    if (!zkl_zxid_follows(salvage->last, entry->zxid)) {
        salvage->broken = true;
        zkl_warn(salvage->report, "%s, offset %lld: zxid 0x%llx follows 0x%llx", reader->name,
                 (long long)entry->offset, (unsigned long long)entry->zxid,
                 (unsigned long long)salvage->last);
        return 0;
    }
    bool skipped = false;
    int status = salvage->sink->replay(salvage->sink->context, entry->payload, &skipped);
    if (status == ZKL_E_NOMEM) return no_memory(salvage);
    if (status != ZKL_OK) {
        salvage->broken = true;
        zkl_warn(salvage->report, "%s, offset %lld, zxid 0x%llx: %s", reader->name,
                 (long long)entry->offset, (unsigned long long)entry->zxid,
                 salvage->sink->why(salvage->sink->context));
        return 0;
    }
    return keep_entry(salvage, entry);
}

static int cannot_read_log(struct salvage *salvage, const struct zkl_log_reader *reader,
                           int status)
{
    return zkl_failed(salvage->report, status, "cannot read %s/%s", salvage->place->log,
                      reader->name);
}

/* All entries of a log, also behind damage: they end the chain unless what is damaged is
 * known from elsewhere, and tell how much there was. */
static int salvage_log(struct salvage *salvage, int64_t zxid)
{
    struct zkl_log_reader reader;
    struct zkl_entry entry;
    int status = zkl_log_reader_open(&reader, salvage->place, zxid);
    if (status != 0) return cannot_read_log(salvage, &reader, status);
    while (status == 0) {
        enum zkl_step step = zkl_log_reader_next(&reader, &entry);
        if (step == ZKL_STEP_END) break;
        if (step == ZKL_STEP_FAILED) status = cannot_read_log(salvage, &reader, reader.error);
        if (step == ZKL_STEP_INVALID) {
            int64_t at = reader.at;
            zkl_warn(salvage->report, "%s: the entry at offset %lld %s", reader.name,
                     (long long)at, reader.wrong);
            int found = zkl_tail_find(&reader, at + 1, 0, &entry);
            if (found == 0) break;
            if (found < 0) status = cannot_read_log(salvage, &reader, found);
        }
        if (status == 0) status = take_entry(salvage, &reader, &entry);
    }
    zkl_log_reader_close(&reader);
    return status;
}

static int salvage_logs(struct salvage *salvage)
{
    struct zkl_listing logs;
    int status = zkl_list_logs(&logs, salvage->place);
    if (status != 0) {
        return zkl_failed(salvage->report, status, "cannot list %s", salvage->place->log);
    }
    for (size_t i = 0; i < logs.count && status == 0; i++) {
        status = salvage_log(salvage, logs.items[i].zxid);
    }
    zkl_listing_free(&logs);
    if (status == 0) status = write_batch(salvage);
    zkl_log_finish(&salvage->log);
    return status;
}

static void report_loss(struct salvage *salvage)
{
    struct zkl_store_report *report = salvage->report;
    if (salvage->seen > salvage->last) {
        report->zxid_first = salvage->last + 1;
        report->zxid_last = salvage->seen;
        zkl_headline(report, "lost: zxids 0x%llx to 0x%llx",
                     (unsigned long long)report->zxid_first, (unsigned long long)salvage->seen);
    }
    zkl_headline(report, "%s holds all up to zxid 0x%llx (%llu entries from logs)",
                 salvage->out.data, (unsigned long long)salvage->last,
                 (unsigned long long)salvage->kept);
}

/* The copy is all there is, also where that is a snapshot and no log. */
static int write_mark(struct salvage *salvage)
{
    const struct zkl_mark mark = { .zxid = salvage->last };
    struct zkl_mark_file file;
    int status = zkl_mark_open(&file, &salvage->out, &mark);
    if (status == 0) zkl_mark_close(&file);
    return status;
}

static int salvage_all(struct salvage *salvage)
{
    struct zkl_mark mark;
    if (zkl_mark_read(salvage->place, &mark) == 1) salvage->seen = mark.zxid;
    int status = salvage_snapshot(salvage);
    if (status == 0) status = salvage_logs(salvage);
    if (status != 0) return status;
    status = write_mark(salvage);
    if (status == 0) status = zkl_sync_names(salvage->place->files, salvage->out.data);
    if (status != 0) return cannot_write(salvage, status);
    report_loss(salvage);
    return 0;
}

void zkl_discard(const struct zkl_place *place)
{
    const struct zkl_files *files = place->files;
    struct zkl_listing listing;
    if (zkl_listing_read(&listing, place, place->data) != 0) return;
    for (size_t i = 0; i < listing.count; i++) {
        files->remove(files->context, place->data, listing.items[i].name);
    }
    files->remove(files->context, place->data, ZKL_MARK_NAME);
    zkl_listing_free(&listing);
}

static void discard(struct salvage *salvage)
{
    zkl_log_abandon(&salvage->log);
    zkl_discard(&salvage->out);
    char *end = strchr(salvage->report->text, '\n');
    if (end != NULL) *end = 0; /* below it stands what was kept */
}

static int prepare_out(struct salvage *salvage, const struct zkl_store_options *options,
                       const char *out)
{
    struct zkl_store_options writing = *options;
    struct zkl_listing listing;
    writing.data_directory = out;
    writing.log_directory = NULL;
    writing.autocreate = true;
    writing.preallocate_bytes = -1;
    int status = zkl_place_init(&salvage->out, &writing, salvage->report);
    if (status == 0) status = zkl_place_sync(&salvage->out, salvage->report);
    if (status != 0) return status;
    zkl_log_init(&salvage->log, &salvage->out, &writing);
    zkl_buffer_init(&salvage->batch, &options->allocator);
    status = zkl_listing_read(&listing, &salvage->out, salvage->out.data);
    if (status == 0 && listing.count > 0) status = -EEXIST;
    zkl_listing_free(&listing);
    return status == 0 ? 0
                       : zkl_failed(salvage->report, status, "%s must be empty", salvage->out.data);
}

int zkl_store_salvage_sink(const struct zkl_store_options *options, const char *out,
                           const struct zkl_sink *sink, struct zkl_store_report *report)
{
    struct zkl_store_options reading = *options;
    struct zkl_place place;
    struct zkl_locks locks;
    memset(report, 0, sizeof *report);
    reading.autocreate = false;
    int status = zkl_place_init(&place, &reading, report);
    if (status == 0) status = zkl_lock_take(&locks, &place, NULL, report);
    if (status != 0) return status;
    struct salvage salvage = { .place = &place, .sink = sink, .report = report };
    status = prepare_out(&salvage, options, out);
    if (status == 0) {
        status = salvage_all(&salvage);
        if (status != 0) discard(&salvage);
    }
    zkl_buffer_free(&salvage.batch);
    zkl_lock_release(&locks, &place);
    return status;
}
