/* A data directory of Apache's format: recovery, log, snapshots, watermark, lock (design 4,
 * server-semantics 8 and 9).
 *
 * Calls that may wait for the disk are marked (disk): a driver makes them on a thread of its
 * own, one at a time, while the server's thread goes on; they touch no server. Those of
 * snapshots, and purge, share nothing with flush and mark, and may be made on a second thread:
 * to sync a large snapshot and to read it again must hold up no write. */
#ifndef ZKLUA_STORE_STORE_H
#define ZKLUA_STORE_STORE_H

#include "store/file.h"
#include "zklua/server.h"

struct zkl_store;

struct zkl_store_options {
    struct zkl_allocator allocator;  /* used by both threads at once */
    const struct zkl_files *files;
    const char *data_directory;   /* as in zoo.cfg: version-2 is inside */
    const char *log_directory;    /* NULL: the same */
    uint32_t snapshot_count;      /* 100000: snapCount */
    int64_t snapshot_bytes_max;   /* 4 GiB: snapSizeLimitInKb; < 0: no limit */
    int64_t preallocate_bytes;    /* 64 MiB: preAllocSize; < 0: none */
    int64_t log_bytes_max;        /* -1: txnLogSizeLimitInKb */
    uint32_t snapshots_kept;      /* autopurge.snapRetainCount, >= 3 */
    bool keeps_all;               /* a snapshot that is finished removes nothing that is older */
    bool autocreate;              /* directories that are missing are made */
    bool trust_empty_snapshot;    /* snapshot.trust.empty */
    uint64_t seed;                /* spreads the moments of snapshots */
    const char *owner;            /* "host pid", for the lock file */
};

/* What is wrong, where, and what to do: for a person. */
struct zkl_store_report {
    char text[1024];
    int64_t zxid_first, zxid_last; /* of what is lost or in doubt, 0: none */
    bool damaged;                  /* the content is at fault, not the environment */
};

/* (disk) Takes the lock and recovers into `server`, which is new. NULL: `report` says why, and
 * nothing was changed but a torn tail that nobody was told of. Warnings go to `report` too. */
struct zkl_store *zkl_store_open(const struct zkl_store_options *options,
                                 struct zkl_server *server, struct zkl_store_report *report);
/* (disk) Syncs, writes the watermark, lets go of the lock. */
void zkl_store_close(struct zkl_store *store);

/* Copies an entry into the batch in the making. false: out of memory. */
bool zkl_store_append(struct zkl_store *store, const struct zkl_logged *logged);
bool zkl_store_batch_empty(const struct zkl_store *store);
/* Closes the batch: its bytes are to be written by flush while the next one is made. */
void zkl_store_seal(struct zkl_store *store);
/* (disk) Writes the sealed batch and syncs it. 0: all up to *zxid is durable; else -errno: the
 * log is never written again (`report` says what happened). */
int zkl_store_flush(struct zkl_store *store, int64_t *zxid, struct zkl_store_report *report);
/* (disk) Syncs the watermark, when that was a second ago: to be called once a second between
 * flushes, also under load. */
int zkl_store_mark(struct zkl_store *store, int64_t now_ms);

/* Whether enough was logged since the last one (server-semantics 1.9); asks once. */
bool zkl_store_wants_snapshot(struct zkl_store *store);
/* (disk) begin, write ... , then finish: sync, rename, sync the directory, purge what is older.
 * -errno: given up, the temporary file is gone, the log goes on; tried again later. */
int zkl_store_snapshot_begin(struct zkl_store *store, int64_t zxid);
int zkl_store_snapshot_write(struct zkl_store *store, const uint8_t *bytes, size_t size);
int zkl_store_snapshot_finish(struct zkl_store *store);
void zkl_store_snapshot_abort(struct zkl_store *store);
/* (disk) Keeps the newest valid snapshots and what is needed behind them. */
int zkl_store_purge(struct zkl_store *store);

/* The random 20 bytes of zkl_server_options.secret: kept in the directory, made if missing.
 * (disk) Before open, and durable behind it. */
int zkl_store_secret(const struct zkl_store_options *options, const struct zkl_crypto *crypto,
                     uint8_t secret[20], struct zkl_store_report *report);

/* (disk) Whether the directories are all there is. -EBADMSG: snapshots lie there, no log does, and
 * no mark says that the snapshots are enough, so that the logs are kept somewhere else. */
int zkl_store_complete(const struct zkl_store_options *options, struct zkl_store_report *report);

/* (disk) zklua server --check: reads everything, changes nothing. --salvage: keeps what can be
 * read and is contiguous, in OUT, and reports what is dropped. */
int zkl_store_check(const struct zkl_store_options *options, struct zkl_server *server,
                    struct zkl_store_report *report);
int zkl_store_salvage(const struct zkl_store_options *options, const char *out,
                      struct zkl_server *server, struct zkl_store_report *report);

#endif
