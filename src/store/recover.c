/* Recovery: the newest snapshot that is whole, then the logs behind it, entry by entry and
 * without a gap, up to an end that the watermark agrees with (design 4, server-semantics 8).
 *
 * Reading decides everything before anything is changed. What cannot be explained by a crash
 * is refused, with the file, the offset, the zxids and the way out; nothing is guessed. Repair
 * then cuts the one torn tail that may be there, and makes durable what was only read: a server
 * that was killed leaves pages that no disk has seen, and clients will see them now. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

#define WAY_OUT "keep a copy; zklua server --salvage DIR OUT writes what is left into another " \
                "directory"

struct walk {
    const struct zkl_place *place;
    const struct zkl_store_options *options;
    const struct zkl_sink *sink;
    struct zkl_recovery *recovery;
    struct zkl_store_report *report;
    struct zkl_listing logs;
    int64_t snapshot; /* its zxid, or 0 */
    int64_t floor;    /* damaged snapshots say that zxids went to here at least */
    char floor_name[ZKL_NAME_SIZE_MAX];
    int64_t last;     /* accounted for: by the snapshot, or read */
    int64_t chain;    /* the last entry that was read, -1: none yet */
};

/* --- snapshots -------------------------------------------------------------------------- */

static int refused_snapshot(struct walk *walk, const char *name, int status)
{
    if (status != -EPROTO) {
        return zkl_failed(walk->report, status, "cannot read %s/%s", walk->place->data, name);
    }
    return zkl_damaged(walk->report, 1, walk->snapshot, "%s/%s is whole but cannot be true: %s; "
                       WAY_OUT, walk->place->data, name, walk->sink->why(walk->sink->context));
}

/* Looks at one candidate: 1: loaded; 0: damaged, and warned of; or a failure. */
static int try_snapshot(struct walk *walk, const struct zkl_found *found)
{
    const char *wrong;
    int status = zkl_snapshot_read(walk->place, found, NULL, &wrong);
    if (status == -EBADMSG) {
        zkl_warn(walk->report, "%s/%s %s; it is not used", walk->place->data, found->name, wrong);
        if (found->zxid > walk->floor || walk->floor_name[0] == 0) {
            walk->floor = found->zxid;
            memcpy(walk->floor_name, found->name, sizeof found->name);
        }
        return 0;
    }
    walk->snapshot = found->zxid;
    if (status == 0) status = zkl_snapshot_read(walk->place, found, walk->sink, &wrong);
    if (status != 0) return refused_snapshot(walk, found->name, status);
    walk->recovery->snapshot_zxid = found->zxid;
    memcpy(walk->recovery->snapshot_name, found->name, sizeof found->name);
    return 1;
}

static int load_snapshot(struct walk *walk)
{
    struct zkl_listing snapshots;
    walk->recovery->snapshot_zxid = -1;
    int status = zkl_list_snapshots(&snapshots, walk->place);
    if (status != 0) {
        return zkl_failed(walk->report, status, "cannot list %s", walk->place->data);
    }
    for (size_t i = snapshots.count; i > 0 && status == 0; i--) {
        status = try_snapshot(walk, &snapshots.items[i - 1]);
    }
    zkl_listing_free(&snapshots);
    return status < 0 ? status : 0;
}

/* Without a snapshot the logs must go back to the beginning. */
static int begin_without(struct walk *walk)
{
    struct zkl_recovery *recovery = walk->recovery;
    if (walk->logs.count == 0) {
        recovery->fresh = true;
        return 0;
    }
    recovery->without_snapshot = true;
    int64_t first = walk->logs.items[0].zxid;
    bool trusted = walk->options->trust_empty_snapshot && walk->floor_name[0] == 0 &&
                   zkl_zxid_follows(0, first);
    if (first != 1 && !trusted) {
        return zkl_damaged(walk->report, 1, first - 1, "%s holds no snapshot that can be read, "
                           "and the oldest log, %s, begins with zxid 0x%llx: what was before it "
                           "is not there; put a snapshot back, or " WAY_OUT, walk->place->data,
                           walk->logs.items[0].name, (unsigned long long)first);
    }
    zkl_warn(walk->report, "%s holds no snapshot that can be read; all is taken from the logs, "
             "which go back to zxid 0x%llx", walk->place->data, (unsigned long long)first);
    return 0;
}

/* --- logs ------------------------------------------------------------------------------- */

static int read_failed(struct walk *walk, const struct zkl_log_reader *reader, int status)
{
    return zkl_failed(walk->report, status, "cannot read %s/%s at offset %lld",
                      walk->place->log, reader->name, (long long)reader->at);
}

static int gap(struct walk *walk, const char *name, int64_t offset, int64_t next)
{
    return zkl_damaged(walk->report, walk->last + 1, next - 1, "%s/%s goes on with zxid 0x%llx at "
                       "offset %lld, but all before ends with 0x%llx: zxids 0x%llx to 0x%llx are "
                       "missing; put the log that held them back, or " WAY_OUT,
                       walk->place->log, name, (unsigned long long)next, (long long)offset,
                       (unsigned long long)walk->last, (unsigned long long)walk->last + 1,
                       (unsigned long long)next - 1);
}

/* Whether an entry may come where it does: `first` of its log or not. */
static bool in_order(const struct walk *walk, int64_t zxid, bool first)
{
    if (!first) return zkl_zxid_follows(walk->chain, zxid);
    if (zxid <= walk->snapshot) return walk->chain < zxid; /* the snapshot has it */
    return zkl_zxid_follows(walk->last, zxid);
}

static int take_entry(struct walk *walk, const struct zkl_log_reader *reader,
                      const struct zkl_entry *entry, bool first)
{
    if (first && entry->zxid != reader->first_zxid) {
        return zkl_damaged(walk->report, reader->first_zxid, entry->zxid, "%s/%s begins with zxid "
                           "0x%llx, which is not the one in its name: it was renamed; give it "
                           "back its name, or " WAY_OUT, walk->place->log, reader->name,
                           (unsigned long long)entry->zxid);
    }
    if (!in_order(walk, entry->zxid, first)) {
        return gap(walk, reader->name, entry->offset, entry->zxid);
    }
    walk->chain = entry->zxid;
    if (entry->zxid <= walk->snapshot) return 0;
    bool skipped = false;
    int status = walk->sink->replay(walk->sink->context, entry->payload, &skipped);
    if (status == ZKL_E_NOMEM) return read_failed(walk, reader, -ENOMEM);
    if (status != ZKL_OK) {
        return zkl_damaged(walk->report, entry->zxid, entry->zxid, "%s/%s: the entry at offset "
                           "%lld (zxid 0x%llx) is whole but cannot be true: %s; " WAY_OUT,
                           walk->place->log, reader->name, (long long)entry->offset,
                           (unsigned long long)entry->zxid,
                           walk->sink->why(walk->sink->context));
    }
    walk->last = entry->zxid;
    walk->recovery->replayed++;
    walk->recovery->replayed_bytes += (int64_t)entry->payload.size + ZKL_ENTRY_OVERHEAD;
    return 0;
}

/* What is lost if the bad entry is: up to what the mark, or an entry behind it, tells. */
static int64_t lost_to(const struct walk *walk, const struct zkl_entry *beyond)
{
    int64_t to = walk->last + 1;
    if (walk->recovery->marked && walk->recovery->mark.zxid > to) to = walk->recovery->mark.zxid;
    if (beyond->zxid > to) to = beyond->zxid;
    return to;
}

static int damaged_entry(struct walk *walk, const struct zkl_log_reader *reader,
                         const struct zkl_entry *beyond, const char *why)
{
    int64_t from = walk->last + 1, to = lost_to(walk, beyond);
    return zkl_damaged(walk->report, from, to, "%s/%s is damaged: the entry at offset %lld %s, "
                       "and no crash explains that (%s); zxids 0x%llx to 0x%llx at least are in "
                       "it or behind it; " WAY_OUT, walk->place->log, reader->name,
                       (long long)reader->at, reader->wrong, why, (unsigned long long)from,
                       (unsigned long long)to);
}

/* An end that is no entry, in the log with index `i`. */
static int judge_end(struct walk *walk, struct zkl_log_reader *reader, size_t i)
{
    struct zkl_recovery *recovery = walk->recovery;
    struct zkl_entry beyond = { 0 };
    bool own = recovery->marked && recovery->mark.log == reader->first_zxid;
    if (own && reader->at < recovery->mark.offset && walk->last < recovery->mark.zxid) {
        return damaged_entry(walk, reader, &beyond, "it was durable");
    }
    if (i + 1 < walk->logs.count) {
        /* Apache leaves torn ends behind, and goes on in the next log. */
        int64_t next = walk->logs.items[i + 1].zxid;
        if (zkl_zxid_follows(walk->last, next)) return 0;
        beyond.zxid = next - 1;
        return damaged_entry(walk, reader, &beyond, "the next log begins later");
    }
    const char *why;
    own = own && reader->at >= recovery->mark.offset;
    switch (zkl_tail_judge(reader, walk->last, own, &beyond, &why)) {
    case ZKL_TAIL_FAILED: return read_failed(walk, reader, reader->error);
    case ZKL_TAIL_DAMAGED: return damaged_entry(walk, reader, &beyond, why);
    case ZKL_TAIL_TORN: break;
    }
    recovery->torn_log = reader->first_zxid;
    recovery->torn_at = reader->at;
    recovery->torn_size = reader->size - reader->at;
    return 0;
}

/* A log without an entry: the next one to be written, when the power went. Anywhere else
 * something is missing before it. */
static int empty_log(struct walk *walk, const struct zkl_log_reader *reader)
{
    if (reader->first_zxid > walk->last && !zkl_zxid_follows(walk->last, reader->first_zxid)) {
        return gap(walk, reader->name, reader->at, reader->first_zxid);
    }
    walk->recovery->torn_log = reader->first_zxid;
    walk->recovery->torn_at = 0;
    walk->recovery->torn_size = reader->size;
    return 0;
}

static int replay_log(struct walk *walk, size_t i)
{
    struct zkl_log_reader reader;
    struct zkl_entry entry;
    int status = zkl_log_reader_open(&reader, walk->place, walk->logs.items[i].zxid);
    if (status != 0) {
        return zkl_failed(walk->report, status, "cannot open %s/%s", walk->place->log,
                          walk->logs.items[i].name);
    }
    enum zkl_step step;
    bool first = true;
    while ((step = zkl_log_reader_next(&reader, &entry)) == ZKL_STEP_ENTRY && status == 0) {
        status = take_entry(walk, &reader, &entry, first);
        first = false;
    }
    if (status == 0 && !first) {
        walk->recovery->last_log = reader.first_zxid;
        walk->recovery->last_log_end = reader.at;
        walk->recovery->last_log_size = reader.size;
    }
    if (status == 0 && step == ZKL_STEP_FAILED) status = read_failed(walk, &reader, reader.error);
    if (status == 0 && step == ZKL_STEP_INVALID) status = judge_end(walk, &reader, i);
    if (status == 0 && first) status = empty_log(walk, &reader);
    zkl_log_reader_close(&reader);
    return status;
}

/* The newest log that may begin at or before what is wanted, and all behind it. */
static int replay_logs(struct walk *walk)
{
    size_t start = 0;
    for (size_t i = 0; i < walk->logs.count; i++) {
        if (walk->logs.items[i].zxid <= walk->snapshot + 1) start = i;
    }
    int status = 0;
    for (size_t i = start; i < walk->logs.count && status == 0; i++) status = replay_log(walk, i);
    walk->recovery->logs_read = walk->logs.count - start;
    if (start < walk->logs.count) walk->recovery->first_log = walk->logs.items[start].zxid;
    return status;
}

/* --- all of it -------------------------------------------------------------------------- */

static int read_mark(struct walk *walk)
{
    int status = zkl_mark_read(walk->place, &walk->recovery->mark);
    walk->recovery->marked = status == 1;
    if (status >= 0) return 0;
    if (status != -EBADMSG) {
        return zkl_failed(walk->report, status, "cannot read %s/zklua.mark", walk->place->log);
    }
    return zkl_damaged(walk->report, 0, 0, "%s/zklua.mark is damaged: nothing tells how far the "
                       "logs were acknowledged; if they are known to be complete, remove it, and "
                       "they are taken as they are", walk->place->log);
}

/* Whether all is there that somebody was told of. */
static int compare_with_promises(struct walk *walk)
{
    const struct zkl_recovery *recovery = walk->recovery;
    if (recovery->marked && walk->last < recovery->mark.zxid) {
        char log[ZKL_NAME_SIZE_MAX];
        zkl_log_name(log, recovery->mark.log);
        return zkl_damaged(walk->report, walk->last + 1, recovery->mark.zxid, "%s: zxids 0x%llx "
                           "to 0x%llx were acknowledged (%s went to offset %lld) and are not "
                           "there; put the missing log back, or " WAY_OUT, walk->place->log,
                           (unsigned long long)walk->last + 1,
                           (unsigned long long)recovery->mark.zxid, log,
                           (long long)recovery->mark.offset);
    }
    if (walk->last < walk->floor) {
        return zkl_damaged(walk->report, walk->last + 1, walk->floor, "%s/%s is damaged, and "
                           "without it zxids 0x%llx to 0x%llx are lost: the logs end before; "
                           "put a good copy of it back, or " WAY_OUT, walk->place->data,
                           walk->floor_name, (unsigned long long)walk->last + 1,
                           (unsigned long long)walk->floor);
    }
    return 0;
}

int zkl_recover(const struct zkl_place *place, const struct zkl_store_options *options,
                const struct zkl_sink *sink, struct zkl_recovery *recovery,
                struct zkl_store_report *report)
{
    struct walk walk = {
        .place = place,
        .options = options,
        .sink = sink,
        .recovery = recovery,
        .report = report,
        .chain = -1,
    };
    memset(recovery, 0, sizeof *recovery);
    int status = read_mark(&walk);
    if (status == 0) status = load_snapshot(&walk);
    if (status != 0) return status;
    status = zkl_list_logs(&walk.logs, place);
    if (status != 0) return zkl_failed(report, status, "cannot list %s", place->log);
    walk.last = walk.snapshot;
    if (recovery->snapshot_zxid < 0) status = begin_without(&walk);
    if (status == 0) status = replay_logs(&walk);
    if (status == 0) status = compare_with_promises(&walk);
    zkl_listing_free(&walk.logs);
    recovery->zxid = walk.last;
    return status;
}

/* --- repair ------------------------------------------------------------------------------- */

/* A torn tail with nothing before it; any other is cut with what was set aside. */
static int remove_empty_log(const struct zkl_place *place, const struct zkl_recovery *recovery)
{
    char name[ZKL_NAME_SIZE_MAX];
    if (recovery->torn_at > ZKL_LOG_HEADER_SIZE) {
        ZKL_ASSERT(recovery->torn_log == recovery->last_log
                   && recovery->torn_at == recovery->last_log_end);
        return 0;
    }
    zkl_log_name(name, recovery->torn_log);
    return place->files->remove(place->files->context, place->log, name);
}

/* Writes [from, to) again, with the bytes that are there: a sync that failed leaves pages that
 * look clean and were never written, and only another write makes the next sync take them. */
static int write_again(const struct zkl_files *files, int file, int64_t from, int64_t to)
{
    uint8_t bytes[4096];
    while (from < to) {
        size_t size = sizeof bytes;
        if ((int64_t)size > to - from) size = (size_t)(to - from);
        int64_t count = zkl_file_read(files, file, bytes, size, from);
        if (count <= 0) return count < 0 ? (int)count : -EIO;
        int status = zkl_file_write(files, file, bytes, (size_t)count, from);
        if (status != 0) return status;
        from += count;
    }
    return 0;
}

/* Makes the last log durable as it was read, and cuts off what is behind its last entry. */
static int settle_log(const struct zkl_place *place, const struct zkl_recovery *recovery)
{
    const struct zkl_files *files = place->files;
    bool own = recovery->marked && recovery->mark.log == recovery->last_log;
    bool longer = recovery->last_log_size > recovery->last_log_end;
    if (recovery->last_log == 0) return 0;
    /* The mark was written behind a sync of all that was read, as after every orderly end. */
    if (own && recovery->mark.offset == recovery->last_log_end && !longer) return 0;
    char name[ZKL_NAME_SIZE_MAX];
    zkl_log_name(name, recovery->last_log);
    int file = files->open(files->context, place->log, name, ZKL_OPEN_WRITE);
    if (file < 0) return file;
    int status = 0;
    if (own) {
        status = write_again(files, file, recovery->mark.offset, recovery->last_log_end);
    }
    /* Zeros that a killed server had set aside: nothing is written behind them any more, every
     * start would read them again, and each kill would leave some more. */
    if (status == 0 && longer) {
        status = files->truncate(files->context, file, recovery->last_log_end);
    }
    if (status == 0) status = files->sync(files->context, file);
    files->close(files->context, file);
    return status;
}

/* What was being written when the last server ended. */
static int remove_temporaries(const struct zkl_place *place, const char *directory)
{
    struct zkl_listing listing;
    int status = zkl_listing_read(&listing, place, directory);
    if (status != 0) return status;
    for (size_t i = 0; i < listing.count && status == 0; i++) {
        if (listing.items[i].kind != ZKL_FILE_TEMPORARY) continue;
        status = place->files->remove(place->files->context, directory, listing.items[i].name);
    }
    zkl_listing_free(&listing);
    return status;
}

static int sync_file(const struct zkl_files *files, const char *directory, const char *name)
{
    int file = files->open(files->context, directory, name, ZKL_OPEN_READ);
    if (file < 0) return file;
    int status = files->sync(files->context, file);
    files->close(files->context, file);
    return status;
}

/* What stands below the last log: ours was synced when it was written, but Apache does not sync
 * its snapshots, nor cp anything, and what is acknowledged from now on stands on them. */
static int sync_read(const struct zkl_place *place, const struct zkl_recovery *recovery)
{
    struct zkl_listing logs;
    int status = 0;
    if (recovery->snapshot_zxid >= 0) {
        status = sync_file(place->files, place->data, recovery->snapshot_name);
    }
    if (status != 0 || recovery->logs_read < 2) return status;
    status = zkl_list_logs(&logs, place);
    for (size_t i = 0; i < logs.count && status == 0; i++) {
        int64_t zxid = logs.items[i].zxid;
        if (zxid < recovery->first_log || zxid >= recovery->last_log) continue;
        status = sync_file(place->files, place->log, logs.items[i].name);
    }
    zkl_listing_free(&logs);
    return status;
}

int zkl_recover_repair(const struct zkl_place *place, struct zkl_recovery *recovery,
                       struct zkl_store_report *report)
{
    int status = 0;
    if (recovery->torn_log != 0) {
        status = remove_empty_log(place, recovery);
        if (status == 0) {
            zkl_warn(report, "%s/log.%llx: an interrupted write of %lld bytes behind offset %lld "
                     "was cut off; nothing in it was acknowledged", place->log,
                     (unsigned long long)recovery->torn_log, (long long)recovery->torn_size,
                     (long long)recovery->torn_at);
        }
    }
    if (status == 0) status = sync_read(place, recovery);
    if (status == 0) status = settle_log(place, recovery);
    if (status == 0) status = remove_temporaries(place, place->data);
    if (status == 0 && place->apart) status = remove_temporaries(place, place->log);
    bool read = !recovery->fresh; /* any names */
    if (status == 0 && read) status = zkl_sync_names(place->files, place->data);
    if (status == 0 && read && place->apart) status = zkl_sync_names(place->files, place->log);
    if (status != 0) zkl_failed(report, status, "cannot repair %s", place->log);
    return status;
}
