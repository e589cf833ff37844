/* The store as its own files see it, and which file does what.
 *
 *   posix.c     files of the operating system
 *   names.c     what lies in a directory, by name
 *   report.c    sentences for a person
 *   log.c       a log's bytes: entries off a file, batches onto one
 *   tail.c      a log that ends badly: an interrupted write, or damage
 *   snapshot.c  a snapshot's parts off a file; its bytes onto one
 *   genesis.c   the snapshot of a server that has seen nothing
 *   mark.c      the watermark: how far the log was durable
 *   lock.c      one server for one directory; its secret
 *   recover.c   newest snapshot, then the logs
 *   purge.c     what no recovery needs any more
 *   check.c     is it all there is; --check and --salvage
 *   settle.c    what was salvaged is made to start
 *   store.c     the calls of a running server
 *   sink.c      a server as the one who takes what is recovered
 *
 * Failures are -errno; -EBADMSG: the content is damaged, and a report says where. */
#ifndef ZKLUA_STORE_INTERNAL_H
#define ZKLUA_STORE_INTERNAL_H

#include "base/buffer.h"
#include "base/memory.h"
#include "base/random.h"
#include "store/store.h"

#define ZKL_LOG_HEADER_SIZE 16
#define ZKL_ENTRY_HEAD_SIZE 12                  /* checksum, length */
#define ZKL_ENTRY_OVERHEAD 13                   /* and the end byte */
#define ZKL_LOG_PAYLOAD_MAX (64 * 1024 * 1024)  /* longer entries are damage */
#define ZKL_PIECE_MAX (4 * 1024 * 1024)         /* of a log, written between two syncs, unless it
                                                   is one entry */
#define ZKL_SECTOR_SIZE 512                     /* a disk writes it whole or not at all */
#define ZKL_FIELD_MAX (64 * 1024 * 1024)        /* a path, a node's data, an ACL in a snapshot */
#define ZKL_MARK_INTERVAL_MS 1000
#define ZKL_DIRECTORY_SIZE_MAX 4096
#define ZKL_NAME_SIZE_MAX 48
#define ZKL_TEMPORARY_PREFIX ".zklua-tmp-"      /* Apache looks at log. and snapshot. only */

/* Where a store works. */
struct zkl_place {
    struct zkl_allocator allocator;
    const struct zkl_files *files;
    char top[ZKL_DIRECTORY_SIZE_MAX];  /* the configured one */
    char data[ZKL_DIRECTORY_SIZE_MAX]; /* snapshots: its version-2 */
    char log[ZKL_DIRECTORY_SIZE_MAX];  /* logs, the mark */
    bool apart;                        /* log and data are two directories */
    bool made;                         /* `data` or `log` is new: zkl_place_sync */
};

/* --- report.c ------------------------------------------------------------------------- */

#define ZKL_PRINTF(at) __attribute__((format(printf, at, at + 1)))
/* One more line, after those that are there. */
ZKL_PRINTF(2) void zkl_warn(struct zkl_store_report *report, const char *format, ...);
/* The result, before all warnings: they are cut off where there are too many. */
ZKL_PRINTF(2) void zkl_headline(struct zkl_store_report *report, const char *format, ...);
/* The line that says why a call fails, before all warnings; returns -EBADMSG. */
ZKL_PRINTF(4) int zkl_damaged(struct zkl_store_report *report, int64_t zxid_first,
                              int64_t zxid_last, const char *format, ...);
/* The same for the environment: "WHAT: No space left ..."; returns `status`. */
ZKL_PRINTF(3) int zkl_failed(struct zkl_store_report *report, int status, const char *format, ...);

/* --- names.c -------------------------------------------------------------------------- */

enum zkl_file_kind {
    ZKL_FILE_LOG,
    ZKL_FILE_SNAPSHOT,
    ZKL_FILE_SNAPSHOT_GZIP,
    ZKL_FILE_SNAPSHOT_FOREIGN, /* a compression we do not read */
    ZKL_FILE_TEMPORARY
};

struct zkl_found {
    enum zkl_file_kind kind;
    int64_t zxid;
    char name[ZKL_NAME_SIZE_MAX];
};

/* What a directory holds of ours, by kind, then by zxid; other names are left out. */
struct zkl_listing {
    struct zkl_allocator allocator;
    struct zkl_found *items;
    size_t count, capacity;
};

int zkl_listing_read(struct zkl_listing *listing, const struct zkl_place *place,
                     const char *directory);
void zkl_listing_free(struct zkl_listing *listing);
/* Lists only the snapshots, all kinds, or only the logs: by zxid. */
int zkl_list_snapshots(struct zkl_listing *listing, const struct zkl_place *place);
int zkl_list_logs(struct zkl_listing *listing, const struct zkl_place *place);
void zkl_log_name(char name[ZKL_NAME_SIZE_MAX], int64_t zxid);
void zkl_snapshot_name(char name[ZKL_NAME_SIZE_MAX], int64_t zxid);

/* Whether `next` may follow `last` in a log: the next of its epoch, or the first of another. */
bool zkl_zxid_follows(int64_t last, int64_t next);

/* --- files, whole (names.c) ------------------------------------------------------------- */

/* Reads or writes all of it, however often that takes. read: how much there was. */
int64_t zkl_file_read(const struct zkl_files *files, int file, void *bytes, size_t size,
                      int64_t offset);
int zkl_file_write(const struct zkl_files *files, int file, const void *bytes, size_t size,
                   int64_t offset);
/* A file that is there as a whole or not at all: written under a temporary name, synced and
 * renamed. Its name is durable with the next sync of the directory's names. */
int zkl_file_put(const struct zkl_files *files, const char *directory, const char *name,
                 const void *bytes, size_t size);
/* The same, and the directory is synced. */
int zkl_file_make(const struct zkl_files *files, const char *directory, const char *name,
                  const void *bytes, size_t size);
/* The directory's entries are durable after this. */
int zkl_sync_names(const struct zkl_files *files, const char *directory);

/* --- log.c ---------------------------------------------------------------------------- */

struct zkl_entry {
    int64_t offset;
    int64_t zxid;
    struct zkl_slice payload; /* until the next step */
};

enum zkl_step {
    ZKL_STEP_ENTRY,
    ZKL_STEP_END,     /* of the file, or zeros from here to there */
    ZKL_STEP_INVALID, /* not an entry: `wrong` says why, `at` where */
    ZKL_STEP_FAILED   /* `error` */
};

struct zkl_log_reader {
    const struct zkl_place *place;
    char name[ZKL_NAME_SIZE_MAX];
    int64_t first_zxid; /* by the name */
    int file;
    int64_t size;
    int64_t at;         /* the next entry */
    const char *wrong;
    int error;
    uint8_t *buffer;    /* the file's bytes from `base` on */
    size_t capacity, filled;
    int64_t base;
};

int zkl_log_reader_open(struct zkl_log_reader *reader, const struct zkl_place *place,
                        int64_t zxid);
void zkl_log_reader_close(struct zkl_log_reader *reader);
/* The file header, then entry by entry. INVALID at offset 0 is the header. */
enum zkl_step zkl_log_reader_next(struct zkl_log_reader *reader, struct zkl_entry *entry);
/* The file's bytes at an offset, which must lie inside. NULL: `error`. */
const uint8_t *zkl_log_reader_view(struct zkl_log_reader *reader, int64_t offset, size_t size);
/* 1: nothing but zeros from `offset` to `end`; 0: something else, at *found; or -errno. */
int zkl_log_reader_blank(struct zkl_log_reader *reader, int64_t offset, int64_t end,
                         int64_t *found);

/* The log that is being written. */
struct zkl_log {
    const struct zkl_place *place;
    int64_t preallocate_bytes, bytes_max;
    int file;           /* -1: the next piece begins a file */
    int64_t first_zxid; /* its name */
    int64_t position, allocated;
};

void zkl_log_init(struct zkl_log *log, const struct zkl_place *place,
                  const struct zkl_store_options *options);
/* Writes entries and syncs them. `bytes` are preceded by ZKL_LOG_HEADER_SIZE bytes that hold
 * a file header, for the case that this begins a file. */
int zkl_log_write(struct zkl_log *log, const uint8_t *bytes, size_t size, int64_t zxid);
/* The file is complete; the next piece begins another. */
void zkl_log_finish(struct zkl_log *log);
/* Lets go of it as it is, after a failure. */
void zkl_log_abandon(struct zkl_log *log);
void zkl_log_header(uint8_t header[ZKL_LOG_HEADER_SIZE]);
/* Whether it is a log's, of a version that is not ours. */
bool zkl_log_foreign(const uint8_t header[ZKL_LOG_HEADER_SIZE]);
/* Appends an entry with checksum, length and end byte. false: out of memory. */
bool zkl_log_append(struct zkl_buffer *buffer, struct zkl_slice payload);
/* Of the entry at `bytes`, which is whole and ours. */
size_t zkl_log_entry_size(const uint8_t *bytes);
int64_t zkl_log_entry_zxid(const uint8_t *bytes);

/* --- tail.c --------------------------------------------------------------------------- */

enum zkl_tail {
    ZKL_TAIL_TORN,    /* a write that nobody was told of was cut short: may go */
    ZKL_TAIL_DAMAGED, /* `why` */
    ZKL_TAIL_FAILED   /* reader->error */
};

/* Judges the entry at reader->at, which is not valid and behind which no other log goes on.
 * `own`: this log is ours and was durable up to here at least; then a batch may have reached
 * the disk in parts. Else a valid entry behind it is proof of damage. */
enum zkl_tail zkl_tail_judge(struct zkl_log_reader *reader, int64_t last_zxid, bool own,
                             struct zkl_entry *beyond, const char **why);
/* The next valid entry at or behind `from` whose zxid is above `last_zxid`: 1, 0 or -errno. */
int zkl_tail_find(struct zkl_log_reader *reader, int64_t from, int64_t last_zxid,
                  struct zkl_entry *entry);

/* --- snapshot.c ----------------------------------------------------------------------- */

/* Who takes what is recovered: a server, or a spec. Codes of zkl_status; see server.h. */
struct zkl_sink {
    void (*begin)(void *context);
    int (*session)(void *context, int64_t id, int32_t timeout_ms);
    int (*acl)(void *context, int64_t id, struct zkl_vector acl);
    int (*node)(void *context, const struct zkl_restored_node *node);
    void (*soon)(void *context, struct zkl_slice path); /* of a node that is some nodes ahead */
    int (*end)(void *context, int64_t zxid);
    int (*digest)(void *context, int64_t zxid, uint64_t digest);
    int (*replay)(void *context, struct zkl_slice payload, bool *skipped);
    const char *(*why)(void *context);
    void *context;
};

/* Reads a snapshot to its last seal. sink NULL: looks only. -EBADMSG: *wrong says why; -EPROTO:
 * the sink refused. */
int zkl_snapshot_read(const struct zkl_place *place, const struct zkl_found *found,
                      const struct zkl_sink *sink, const char **wrong);

struct zkl_snapshot_writer {
    const struct zkl_place *place;
    int file; /* -1: none is being written */
    int64_t zxid, size;
    int64_t synced; /* of size */
};
int zkl_snapshot_writer_begin(struct zkl_snapshot_writer *writer, int64_t zxid);
int zkl_snapshot_writer_write(struct zkl_snapshot_writer *writer, const uint8_t *bytes,
                              size_t size);
/* Synced, read again, renamed, the directory synced. */
int zkl_snapshot_writer_finish(struct zkl_snapshot_writer *writer);
void zkl_snapshot_writer_abort(struct zkl_snapshot_writer *writer);

/* genesis.c */
#define ZKL_GENESIS_SIZE 457
void zkl_genesis(uint8_t bytes[ZKL_GENESIS_SIZE]);

/* --- mark.c --------------------------------------------------------------------------- */

#define ZKL_MARK_NAME "zklua.mark"
struct zkl_mark {
    int64_t zxid;    /* durable */
    int64_t log;     /* the name's zxid of the log that holds it, 0: none does */
    int64_t offset;  /* where that log was durable to */
};

struct zkl_mark_file {
    const struct zkl_place *place;
    int file; /* -1: not open */
    struct zkl_mark mark;
    uint64_t sequence;
    bool dirty; /* written and not synced */
    int64_t synced_ms;
};

/* 1: found; 0: there is none; -EBADMSG: both sectors are damaged. */
int zkl_mark_read(const struct zkl_place *place, struct zkl_mark *mark);
/* Opens it, or makes it; durable with `mark` when it returns 0, but for a name that is new. */
int zkl_mark_open(struct zkl_mark_file *file, const struct zkl_place *place,
                  const struct zkl_mark *mark);
int zkl_mark_write(struct zkl_mark_file *file, const struct zkl_mark *mark);
int zkl_mark_sync(struct zkl_mark_file *file);
void zkl_mark_close(struct zkl_mark_file *file);

/* --- lock.c --------------------------------------------------------------------------- */

struct zkl_locks {
    int data, log; /* -1: not held */
};
/* `owner` NULL: looks only, and leaves no lock file behind where there was none. */
int zkl_lock_take(struct zkl_locks *locks, const struct zkl_place *place, const char *owner,
                  struct zkl_store_report *report);
void zkl_lock_release(struct zkl_locks *locks, const struct zkl_place *place);

/* --- recover.c ------------------------------------------------------------------------ */

/* What recovery found, and what is to be done before the first write. */
struct zkl_recovery {
    int64_t zxid;             /* the last one */
    int64_t snapshot_zxid;    /* what it began with; -1: nothing */
    char snapshot_name[ZKL_NAME_SIZE_MAX];
    bool fresh;               /* there was nothing at all */
    bool without_snapshot;    /* Apache would not start on this */
    uint64_t replayed;        /* entries behind the snapshot, */
    int64_t replayed_bytes;
    size_t logs_read;         /* and the logs that were looked at for them, */
    int64_t first_log;        /* the oldest of which is this */
    bool marked;
    struct zkl_mark mark;     /* as found */
    int64_t last_log;         /* the newest with entries, 0: none */
    int64_t last_log_end;     /* where they end */
    int64_t last_log_size;    /* the file's: what is behind the end is zeros, or torn */
    int64_t torn_log;         /* to be cut at torn_at; 0: none */
    int64_t torn_at;          /* ZKL_LOG_HEADER_SIZE or less: no entry, to be removed */
    int64_t torn_size;
};

/* Reads; changes nothing. */
int zkl_recover(const struct zkl_place *place, const struct zkl_store_options *options,
                const struct zkl_sink *sink, struct zkl_recovery *recovery,
                struct zkl_store_report *report);
/* Cuts a torn tail, and makes durable what was read. Of a fresh directory nothing was. */
int zkl_recover_repair(const struct zkl_place *place, struct zkl_recovery *recovery,
                       struct zkl_store_report *report);

/* --- purge.c -------------------------------------------------------------------------- */

#define ZKL_VERIFIED_MAX 16
struct zkl_purger {
    int64_t verified[ZKL_VERIFIED_MAX]; /* snapshots that were read to their end; 0: none */
    size_t next;
};
int zkl_purge(struct zkl_purger *purger, const struct zkl_place *place, uint32_t kept);
/* This snapshot has just been read to its end. */
void zkl_purge_verified(struct zkl_purger *purger, int64_t zxid);

/* --- check.c, settle.c ------------------------------------------------------------------ */

/* Of a copy that has failed: a part of what is left would pass for all of it. */
void zkl_discard(const struct zkl_place *place);
/* Reads what was salvaged into the server, as a start does; what is in doubt is written anew. */
int zkl_settle(const struct zkl_store_options *options, const char *out,
               struct zkl_server *server, const struct zkl_sink *sink,
               struct zkl_store_report *report);

/* --- store.c -------------------------------------------------------------------------- */

int zkl_place_init(struct zkl_place *place, const struct zkl_store_options *options,
                   struct zkl_store_report *report);
/* The names of its directories are durable after this. */
int zkl_place_sync(const struct zkl_place *place, struct zkl_store_report *report);
/* zkl_store_open and the others with any sink. */
struct zkl_store *zkl_store_open_sink(const struct zkl_store_options *options,
                                      const struct zkl_sink *sink,
                                      struct zkl_store_report *report);
int zkl_store_check_sink(const struct zkl_store_options *options, const struct zkl_sink *sink,
                         struct zkl_store_report *report);
int zkl_store_salvage_sink(const struct zkl_store_options *options, const char *out,
                           const struct zkl_sink *sink, struct zkl_store_report *report);

#endif
