/* A ZooKeeper server without I/O: bytes and the time go in; bytes, transactions and news
 * come out. Standalone today; its unit is the transaction, so that a quorum can decide over
 * the same unit later.
 *
 * The driver's loop, the same under every event loop:
 *
 *     accept, feed, closed             what happened on the connections
 *     tick                             after polling: bytes that wait count first
 *     next_txn until false             append each to the log, in this order
 *     committed                        once they are durable: now they happen
 *     next_connection until NULL       write its output; stop or go on reading; close
 *     peek_event, pop_event            lines for the log
 *     wait until deadline, or for bytes
 *
 * next_txn may go on while the disk still works on earlier ones: that is the group commit.
 * A server without a disk calls committed(zxid of the last next_txn) at once.
 *
 * Promises (each is an assertion or a property of the simulation):
 *  - nothing leaves that is not durable: no reply, event, zxid or session; prep judges a
 *    request by the tree plus all that was prepared before it, readers see the tree only;
 *  - what a connection's owner sent is answered in the order it came (auth may overtake);
 *  - an event leaves before any reply that could show what it tells;
 *  - committed cannot fail: prep has reserved what it needs. Where a reply or an event finds
 *    no memory, that connection is closed;
 *  - a failed call leaves the server as it was.
 *
 * Time: now_ms is monotonic and moves sessions; wall_ms is the wall clock and only becomes
 * ctime, mtime and the time in transactions (and the age of TTL nodes). One server belongs
 * to one thread at a time. */
#ifndef ZKLUA_SERVER_H
#define ZKLUA_SERVER_H

#include "zklua/wire.h"

struct zkl_server;
struct zkl_connection;

struct zkl_clock {
    int64_t now_ms;
    int64_t wall_ms;
};

/* What a core may not do itself. The real ones are OpenSSL's; a simulator's are seeded. */
struct zkl_crypto {
    void (*sha1)(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20]);
    void (*random)(void *context, uint8_t *bytes, size_t size); /* unpredictable */
    void *context;
};

/* Zero takes the default that stands beside a field. Slices are copied. */
struct zkl_server_options {
    struct zkl_allocator allocator;
    struct zkl_crypto crypto;
    uint64_t seed;                  /* of hash tables */
    uint8_t server_id;              /* 1: high byte of session ids; <= 254 */
    int32_t tick_time_ms;           /* 3000 */
    int32_t session_timeout_min_ms; /* 2 ticks */
    int32_t session_timeout_max_ms; /* 20 ticks */
    bool sessions_keep;             /* sessions end only when they are closed, or by
                                       zkl_server_expire: `memory:` */
    size_t frame_size_max;          /* ZKL_REQUEST_SIZE_MAX_DEFAULT: jute.maxbuffer */
    size_t memory_max;              /* 0: none. Of all that the server takes; kinds of things
                                       have shares of it (server/memory.c): writes that add and
                                       watches are refused by -125, who needs more for sessions
                                       or buffers is closed; what is restored is let in */
    uint32_t connection_max;        /* 0: none. maxCnxns */
    uint32_t connection_per_address_max; /* 0: none. maxClientCnxns; not for Unix sockets */
    uint32_t outstanding_max;       /* 1000: globalOutstandingLimit */
    struct zkl_slice super_digest;  /* "super:BASE64", or empty */
    bool apache_passwords;          /* session passwords by Apache's formula */
    uint8_t secret[20];             /* else they are made with this, kept with the data */
    bool ttl_nodes;                 /* extendedTypesEnabled */
    bool enforce_quota, skip_acl, reconfig_enabled;
    int32_t reap_interval_ms;       /* 60000: znode.container.checkIntervalMs */
    int32_t reap_per_minute;        /* 10000: znode.container.maxPerMinute */
    int32_t container_unused_ms;    /* 0, never: znode.container.maxNeverUsedIntervalMs */
    struct zkl_slice commands;      /* four-letter words answered beside srvr: "ruok,mntr"; "*" */
    struct zkl_slice version;       /* what srvr prints as the version */
    struct zkl_slice config_text;   /* what `conf` prints: lines key=value; the value of
                                       dataDirSize and dataLogSize is that of the last report */
    struct zkl_slice environment;   /* what `envi` prints behind the version: lines key=value */
};
#define ZKL_TICK_TIME_MS_DEFAULT 3000
#define ZKL_REQUEST_SIZE_LIMIT (32 * 1024 * 1024) /* of frame_size_max: more is taken for this. An
                                                 entry of the log may be twice as long */
#define ZKL_HANDSHAKE_FRAME_MAX 1024          /* a frame before the session */
#define ZKL_HANDSHAKE_TIME_MS 10000           /* from accept to a session, in all */
#define ZKL_OUTPUT_STOP (4 * 1024 * 1024)     /* more waits to be sent: it is not read */
#define ZKL_OUTPUT_CLOSE (16 * 1024 * 1024)   /* more than that: it is closed */
#define ZKL_WATCHES_PER_CONNECTION 1000000    /* one more closes the connection */
#define ZKL_IDENTITIES_PER_CONNECTION 64      /* one more: -115, and it is closed */

/* NULL: out of memory. The tree is that of a new server (server-semantics 1.14), zxid 0. */
struct zkl_server *zkl_server_new(const struct zkl_server_options *options);
void zkl_server_free(struct zkl_server *server);

/* --- from disk, before start ------------------------------------------------- */

/* A snapshot: begin, which forgets whatever was restored before (a file that turned out to be
 * bad), then its parts in the order of the file: sessions, ACLs, nodes (parents first), the end
 * with the zxid of the file's name, and the digest section if the file has one. Parts that do
 * not belong together are ZKL_E_CORRUPT. Then the log's entries in order, each the payload:
 * header, record, maybe a digest. An entry whose zxid is not above the last one is skipped
 * (`*skipped`); a gap inside an epoch, an unknown type, bytes that are no record, a parent that
 * is missing in a snapshot: ZKL_E_CORRUPT, and zkl_server_why says what. Digests are compared,
 * except below the zxid of the snapshot's own digest (a fuzzy one of Apache's); once one has
 * agreed, a mismatch is ZKL_E_CORRUPT too, and before that it puts the tree in doubt. No mismatch
 * is what Apache's own digests are off by behind some writes. */
struct zkl_restored_node {
    struct zkl_slice path; /* "" is the root */
    struct zkl_slice data;
    int64_t acl;           /* id in the snapshot's table, -1: open */
    struct zkl_stat stat;  /* as on disk: cversion counts creates, the owner is encoded */
};
void zkl_server_restore_begin(struct zkl_server *server);
int zkl_server_restore_session(struct zkl_server *server, int64_t id, int32_t timeout_ms);
int zkl_server_restore_acl(struct zkl_server *server, int64_t id, struct zkl_vector acl);
int zkl_server_restore_node(struct zkl_server *server, const struct zkl_restored_node *node);
/* A node of this path comes after a few others: what finding its place needs is loaded meanwhile.
 * A hint; without it a million nodes take half as long again. */
void zkl_server_restore_soon(struct zkl_server *server, struct zkl_slice path);
int zkl_server_restore_end(struct zkl_server *server, int64_t zxid);
/* The snapshot's digest section: compared at once where digest_zxid is the snapshot's own
 * zxid, at that transaction where it is later, never where it is earlier. 0: the snapshot was
 * taken before any transaction, so it is exact. Without this call the snapshot may be fuzzy up
 * to anywhere, and no digest of the log is compared. One that disagrees does so only for good if
 * none behind it agrees: see zkl_server_in_doubt. */
int zkl_server_restore_digest(struct zkl_server *server, int64_t digest_zxid, uint64_t digest);
/* After the last entry: the last digest that could be compared has disagreed, or an ephemeral node
 * has children, as zkl_server_why says, so that the tree is not to be trusted. */
bool zkl_server_in_doubt(struct zkl_server *server);
/* Takes what is in doubt for what it is: the nodes give the digest, and an ephemeral node that has
 * children belongs to nobody any more. For salvage, behind the last entry. */
void zkl_server_restore_accept(struct zkl_server *server);
int zkl_server_replay(struct zkl_server *server, struct zkl_slice payload, bool *skipped);
const char *zkl_server_why(const struct zkl_server *server);

/* From here on clients are served. Ephemeral nodes without a session go, by the first transactions
 * that next_txn gives; sessions live from `clock` on. */
void zkl_server_start(struct zkl_server *server, struct zkl_clock clock);

/* --- connections --------------------------------------------------------------- */

struct zkl_peer {
    uint8_t address[16];
    uint8_t address_size; /* 4, 16; 0: a Unix socket, which counts as ip:127.0.0.1 */
    uint16_t port;
};

/* ZKL_E_LIMIT, ZKL_E_NOMEM: close it. */
int zkl_server_accept(struct zkl_server *server, const struct zkl_peer *peer,
                      struct zkl_clock clock, struct zkl_connection **connection);
/* `user` is the driver's. */
void zkl_connection_set_user(struct zkl_connection *connection, void *user);
void *zkl_connection_user(const struct zkl_connection *connection);
/* Takes all of the bytes: what is a whole frame is worked on at once, the rest is kept.
 * Ignored once the connection is to be closed. */
void zkl_server_feed(struct zkl_connection *connection, const uint8_t *bytes, size_t size,
                     struct zkl_clock clock);
/* The session that is attached to it now; 0: none, yet or any more. The connection is given by
 * next_connection after each change. */
int64_t zkl_connection_session(const struct zkl_connection *connection);
/* The driver has closed it, or the peer has. The session stays. Invalid from here on. */
void zkl_server_closed(struct zkl_connection *connection, struct zkl_clock clock);

/* Connections about which something changed: output to show, reading to stop or to go on,
 * a close to carry out. Each is given once per change; NULL: none is left. */
struct zkl_connection *zkl_server_next_connection(struct zkl_server *server);
/* Bytes to write; they keep their address until sent. What is behind them shows after that, and
 * what is new after next_connection has given the connection. size 0: nothing. */
struct zkl_slice zkl_connection_output(const struct zkl_connection *connection);
void zkl_connection_sent(struct zkl_connection *connection, size_t size);
/* false: feed nothing for now. What is fed all the same is kept, and worked on later. */
bool zkl_connection_reads(const struct zkl_connection *connection);
/* Close it: AT_ONCE, or when its output has been sent. */
enum zkl_ending { ZKL_STAYS, ZKL_CLOSE_AFTER_OUTPUT, ZKL_CLOSE_AT_ONCE };
enum zkl_ending zkl_connection_ending(const struct zkl_connection *connection);

/* --- durability ---------------------------------------------------------------- */

struct zkl_logged {
    int64_t zxid;
    struct zkl_slice payload; /* header, record, digest: a log entry's; stays until committed */
};
/* The next prepared transaction, each once, zxids without a gap; false: none. */
bool zkl_server_next_txn(struct zkl_server *server, struct zkl_logged *logged);
/* All up to `zxid` are durable: applied, answered, told. */
void zkl_server_committed(struct zkl_server *server, int64_t zxid, struct zkl_clock clock);
/* The log cannot be written any more. What waits is never answered: every connection is to
 * be closed at once, and nothing is taken in from here on. */
void zkl_server_log_failed(struct zkl_server *server);

/* An exact snapshot in slices, while service goes on (design section 4). begin: ZKL_E_NOMEM,
 * or ZKL_E_LIMIT while another is on. `*zxid` is its name. next fills at most `capacity`
 * (>= ZKL_SNAPSHOT_SLICE_MIN) bytes of the file's uncompressed content from the file header to
 * the last seal, often fewer and sometimes one; *size 0 at the end. Then, or earlier to give up,
 * end. ZKL_E_NOMEM in between: give up. */
#define ZKL_SNAPSHOT_SLICE_MIN 4096
int zkl_server_snapshot_begin(struct zkl_server *server, int64_t *zxid);
int zkl_server_snapshot_next(struct zkl_server *server, uint8_t *bytes, size_t capacity,
                             size_t *size);
void zkl_server_snapshot_end(struct zkl_server *server);

/* --- time and control ------------------------------------------------------------ */

/* ZKL_NEVER: none. A tick that comes more than a tick_time late first grants every session
 * the time that was missed. */
int64_t zkl_server_deadline(const struct zkl_server *server);
void zkl_server_tick(struct zkl_server *server, struct zkl_clock clock);
/* Whether there is such a session: not ended, as far as that is durable. */
bool zkl_server_has_session(const struct zkl_server *server, int64_t session_id);
/* Ends a session as its expiry would. false: not known. */
bool zkl_server_expire(struct zkl_server *server, int64_t session_id, struct zkl_clock clock);

int64_t zkl_server_zxid(const struct zkl_server *server);  /* committed */
uint64_t zkl_server_digest(const struct zkl_server *server);

struct zkl_server_counts {
    uint64_t nodes, ephemerals, watches, sessions, connections, outstanding;
    uint64_t data_bytes, memory_bytes;
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
};
void zkl_server_count(const struct zkl_server *server, struct zkl_server_counts *counts);

/* What a core cannot know and four-letter words tell, as of now. */
struct zkl_report {
    int64_t open_descriptors, open_descriptors_max; /* 0: not known */
    int64_t data_bytes, log_bytes;                  /* of files, by directory */
};
void zkl_server_report(struct zkl_server *server, const struct zkl_report *report);
/* Something has happened once more, and took so long or was so many. */
enum zkl_measured {
    ZKL_MEASURED_SYNC_MS,
    ZKL_MEASURED_SNAPSHOT_MS,
    ZKL_MEASURED_START_MS,          /* all of recovery */
    ZKL_MEASURED_COUNT
};
void zkl_server_measured(struct zkl_server *server, enum zkl_measured what, int64_t number);

/* --- news, for the log ------------------------------------------------------------ */

enum zkl_news {
    ZKL_NEWS_NONE,
    ZKL_NEWS_SESSION_NEW,
    ZKL_NEWS_SESSION_MOVED,    /* attached from another connection */
    ZKL_NEWS_SESSION_CLOSED,
    ZKL_NEWS_SESSION_EXPIRED,
    ZKL_NEWS_SESSION_REFUSED,  /* unknown, or a wrong password */
    ZKL_NEWS_AHEAD,            /* a client has seen a zxid that is not ours yet */
    ZKL_NEWS_CONNECTION_LIMIT, /* refused by connection_max or ..._per_address_max */
    ZKL_NEWS_PROTOCOL,         /* what it did was not ZooKeeper's protocol; closed */
    ZKL_NEWS_SLOW,             /* does not read what it asked for; closed */
    ZKL_NEWS_NOMEM,            /* no memory for what it needs; closed */
    ZKL_NEWS_STALL             /* the driver was late by `number` ms; sessions were given it */
};
struct zkl_server_event {
    enum zkl_news kind;
    int64_t session_id;   /* 0: none */
    struct zkl_peer peer;
    int64_t number;       /* timeout_ms; zxid; bytes */
    const char *detail;   /* static text or NULL */
};
/* The oldest; kind NONE: none. At most ZKL_NEWS_MAX wait, then the oldest are dropped. */
#define ZKL_NEWS_MAX 1024
void zkl_server_peek_event(const struct zkl_server *server, struct zkl_server_event *event);
void zkl_server_pop_event(struct zkl_server *server);

#endif
