/* The server as its own files see it, and which file does what.
 *
 *   txn.c          the log's records
 *   acls.c         access lists, and what they allow
 *   schemes.c      which ids a list may name; lists on their way in and out
 *   identities.c   who a connection is            (addresses.c: IP addresses as text; utf8.c)
 *   tree.c         znodes: finding, restoring     (tree.h)
 *   node.c         what one znode shows, and its digest
 *   change.c       changes of the tree            (reserve.c: the memory they need)
 *   prep.c         requests into proposals        (prep.h; overlay.c: what is not yet applied)
 *   prepare*.c     each operation judged and made a record of
 *   usage.c        quotas: who is over, and what is used   (quota.c: their text)
 *   apply.c        proposals into the tree; what watches hear
 *   replay.c       entries of a log into the tree (digest.c: what their digests say)
 *   snapshot.c     the tree as a file's bytes     (restore.c: and back)
 *   why.c          what zkl_server_why says
 *   sessions.c     the table and its clock        (sessions.h; password.c: their passwords)
 *   watches.c      who watches what               (watches.h)
 *   connection.c   accept, output, limits, the end of a connection
 *   memory.c       what the limit of memory lets in
 *   blocks.c       memory of buffers between two uses
 *   intake.c       bytes into requests            (ahead.h: what those behind it will need)
 *   handshake.c    the first of them: whose session it is
 *   order.c        what has to wait before it is answered
 *   reads.c        reads of the tree              (own.c: of what is the connection's)
 *   replies.c      answers to proposals
 *   reaper.c       empty containers, old TTL nodes
 *   fourletter.c   srvr and the others            (listings.c: the long ones; text.c)
 *   monitor.c      mntr, and what it counts
 *   server.c       the other public calls */
#ifndef ZKLUA_SERVER_INTERNAL_H
#define ZKLUA_SERVER_INTERNAL_H

#include "base/buffer.h"
#include "base/list.h"
#include "server/acls.h"
#include "server/prep.h"
#include "server/sessions.h"
#include "server/tree.h"
#include "server/watches.h"
#include "zklua/server.h"

enum zkl_connection_phase {
    ZKL_PHASE_HANDSHAKE, /* a ConnectRequest or a four-letter word is next */
    ZKL_PHASE_ATTACHING, /* its createSession, or another's closeSession, is not durable yet */
    ZKL_PHASE_OPEN,
    ZKL_PHASE_ENDING     /* takes nothing in; `ending` says when it is to be closed */
};

/* What has to wait so that answers keep their order: a read behind its session's write, a sync;
 * and, while the output is full, the answers to proposals behind such reads. */
enum zkl_deferred_kind {
    ZKL_DEFERRED_REQUEST, /* bytes: header and record */
    ZKL_DEFERRED_CODE,    /* an answer that is nothing but `code` */
    ZKL_DEFERRED_ANSWER   /* bytes: a frame, ready to go out */
};
struct zkl_deferred {
    struct zkl_list link;
    enum zkl_deferred_kind kind;
    int64_t after_zxid;
    struct zkl_proposal *after; /* with that zxid; NULL: applied already */
    int64_t asked_ms;           /* when it came in */
    int32_t xid, code;
    enum zkl_ending ending;     /* of the connection, once this is answered */
    size_t size;
    uint8_t bytes[];
};

/* How long answers took. */
struct zkl_latency {
    uint64_t count;
    int64_t min_ms, max_ms, sum_ms, last_ms;
};
static inline void zkl_latency_note(struct zkl_latency *latency, int64_t ms)
{
    if (latency->count == 0 || ms < latency->min_ms) latency->min_ms = ms;
    if (ms > latency->max_ms) latency->max_ms = ms;
    latency->count++;
    latency->sum_ms += ms;
    latency->last_ms = ms;
}

/* What mntr tells since the start or the last srst. */
struct zkl_tally {
    uint64_t handshakes, refused, cut_off, came_back, expired, late_handshakes, auth_failed;
    uint64_t event_bytes;
    struct zkl_latency told[4];  /* clients per event, by its type less one */
    struct zkl_latency reads, updates, measured[ZKL_MEASURED_COUNT];
    int64_t answer_size_last, answer_size_min, answer_size_max; /* -1: none yet */
};

/* All connections from one address, counted while connection_per_address_max is set. */
struct zkl_address {
    struct zkl_map_node entry;
    uint8_t bytes[16];
    uint8_t size;
    uint32_t count;
};

/* Memory that is counted and, where there is a limit, refused above it (memory.c). */
struct zkl_account {
    struct zkl_allocator hook;  /* takes from `outer`; what its context points to stays in place */
    struct zkl_allocator outer;
    uint64_t bytes;
    uint64_t bytes_max;         /* 0: none */
};
void zkl_account_init(struct zkl_account *account, const struct zkl_allocator *outer);
static inline bool zkl_account_full(const struct zkl_account *account, size_t size)
{
    uint64_t most = account->bytes_max;
    return most != 0 && (account->bytes > most || size > most - account->bytes);
}

/* The same with a quarter left over, for who asks for little. */
static inline bool zkl_account_scarce(const struct zkl_account *account, size_t size)
{
    uint64_t most = account->bytes_max;
    return most != 0 && zkl_account_full(account, size + (size_t)(most / 4));
}

/* Blocks that connections' buffers gave back and will take again: connections that are idle
 * have none, and busy ones do not go to the allocator for each request (blocks.c). */
#define ZKL_BLOCK_CLASSES 7                   /* 4 KiB to 256 KiB */
#define ZKL_BLOCKS_KEPT_MAX (2 * 1024 * 1024) /* bytes; more is given back */
/* A block larger than this is refused when three quarters of the account are used. */
#define ZKL_BLOCK_LARGE (64 * 1024)
struct zkl_blocks {
    struct zkl_account *account;
    void *free[ZKL_BLOCK_CLASSES];
    size_t kept;
};
void zkl_blocks_init(struct zkl_blocks *blocks, struct zkl_account *account);
void zkl_blocks_free(struct zkl_blocks *blocks);
struct zkl_allocator zkl_blocks_hook(struct zkl_blocks *blocks);

/* Requests that wait for the disk, all connections together: above it (or less, with a limit of
 * memory) connections with some are not read. Their number has a limit too:
 * options.outstanding_max. */
#define ZKL_WAITING_BYTES_MAX (64 * 1024 * 1024)
#define ZKL_TRACE_MASK 306    /* what `gtmk` says before anybody has set another */
#define ZKL_DIGESTS_KEPT 1024 /* `hash`: of every 128th zxid */

/* Idle, with a session, all of it fits into 1 KB. */
struct zkl_connection {
    struct zkl_server *server;
    void *user;
    struct zkl_list link;          /* server->connections */
    struct zkl_list changed;       /* server->changed: for next_connection */
    struct zkl_list in_time;       /* server->handshakes, oldest first: until it has a session,
                                      and again when it is ending */
    int64_t since_ms;              /* it is on that list */
    int64_t accepted_ms;
    struct zkl_peer peer;
    struct zkl_address *address;   /* NULL: not counted */
    enum zkl_connection_phase phase;
    enum zkl_ending ending;
    bool reads;                    /* what the driver was told last */
    bool old_client;               /* its handshake had no readOnly byte */
    struct zkl_session *session;   /* NULL until attached, and when it has ended */
    int64_t session_id;            /* stays: what is deferred may be answered after the end */
    struct zkl_identities identities;
    struct zkl_watch_list watches;
    struct zkl_list proposals;     /* of zkl_proposal.on_connection, oldest first */
    struct zkl_list deferred;
    struct zkl_list waiting;       /* in a proposal's waiters, or a session's close_waiters */
    struct zkl_list stopped;       /* in server->stopped */
    size_t outstanding;            /* requests that are not answered: proposals and deferred */
    struct zkl_buffer input;       /* the beginning of a frame; frames while reading is stopped */
    struct zkl_buffer shown;       /* output that the driver is writing */
    struct zkl_buffer output;      /* output behind it */
    /* for `cons` */
    uint64_t received, sent;
    int64_t last_zxid, established_wall_ms, last_response_ms;
    int32_t last_op, last_cxid;
    struct zkl_latency latency;
};

struct zkl_server {
    struct zkl_allocator allocator; /* data_account's hook: for all that has no other account */
    struct zkl_account data_account, sessions_account, watches_account, connections_account;
    uint64_t waiting_bytes_max;
    struct zkl_server_options options; /* defaults filled in; slices are ours */
    struct zkl_clock clock;         /* of the current call */
    bool serving, failed;
    bool restoring;                 /* between restore_begin and restore_end */
    uint64_t soon[8];               /* hashes of paths to come, a ring; restore.c only */
    size_t soon_count;
    char why[256];                  /* written by why.c only */

    struct zkl_tree tree;
    struct zkl_acls *acls;
    struct zkl_prep prep;
    struct zkl_sessions sessions;
    struct zkl_watches_table watches;
    struct zkl_snapshot *snapshot;
    int64_t zxid;                   /* committed */
    /* While a log is replayed: transactions below fuzzy_zxid are not compared with their digest,
     * after the one with it the tree's must be fuzzy_digest, and it is set to 0 again. 0: all are
     * compared. INT64_MAX: none. restore.c sets it, replay looks at it. */
    int64_t fuzzy_zxid;
    uint64_t fuzzy_digest;
    /* Apache's snapshots may hold effects of transactions behind their own digest, half applied
     * while the file was written. So a digest that disagrees is only noted (in_doubt) until one
     * has agreed (settled); from there on the tree is known to be exact, and each has to. Or is
     * off as Apache's own are after some writes, by `drift` (digest.c). */
    bool settled, in_doubt;
    uint64_t drift;

    struct zkl_list connections, changed, handshakes;
    struct zkl_map addresses;
    struct zkl_blocks blocks;
    size_t connection_count, outstanding;
    size_t deferred_bytes;
    struct zkl_list stopped;        /* connections that are not read before what waits is less */

    int64_t last_tick_ms, next_reap_ms, reap_round_ms;
    struct zkl_list *reap_list;     /* reaper.c: the tree's list it is in; NULL: in none */
    struct zkl_list reap_cursor;    /* stands in that list behind what was looked at */
    struct zkl_server_event news[ZKL_NEWS_MAX];
    size_t news_start, news_count;
    /* for srvr and mntr */
    uint64_t received, sent, bytes_in, bytes_out;
    uint64_t received_before, sent_before, bytes_in_before, bytes_out_before; /* srst */
    int64_t started_ms;
    struct zkl_latency latency;     /* of all answers */
    struct zkl_tally tally;
    struct zkl_report report;
    int64_t trace_mask;             /* stmk's, and of no effect */
    struct zkl_digest_point {
        int64_t zxid;
        uint64_t digest;
    } digests[ZKL_DIGESTS_KEPT];
    size_t digest_count;            /* ever: the ring's end */
};

/* apply.c: the oldest proposal into the tree (and the session table); sets server->zxid and fires
 * watches. Cannot fail. Its caller, zkl_server_committed, then calls zkl_reply_proposal and
 * zkl_prep_done; before a closeSession it has taken the session from its connection and its
 * close_waiters. */
void zkl_apply(struct zkl_server *server, struct zkl_proposal *proposal);

/* memory.c */
/* From now on accounts have their limits. */
void zkl_memory_limit(struct zkl_server *server);
/* How many bytes more the account of data is when the tree has taken this block instead of a
 * smaller one (0: of none). */
size_t zkl_memory_needed(const struct zkl_server *server, size_t block_size, size_t instead_of);
/* Whether they are too many. */
bool zkl_memory_full(const struct zkl_server *server, size_t size);
uint64_t zkl_memory_bytes(const struct zkl_server *server);

/* connection.c */
/* Room for `size` bytes of output, which zkl_connection_commit then counts; NULL: no memory or
 * over ZKL_OUTPUT_CLOSE, and the connection is ending. */
uint8_t *zkl_connection_room(struct zkl_connection *connection, size_t size);
void zkl_connection_commit(struct zkl_connection *connection, size_t size);
void zkl_connection_end(struct zkl_connection *connection, enum zkl_ending ending);
/* The driver has to look at it again. */
void zkl_connection_changed(struct zkl_connection *connection);
/* Tells the driver when reading is to stop or to go on. */
void zkl_connection_update(struct zkl_connection *connection);
/* Whether frames are taken from it now. */
bool zkl_connection_takes(const struct zkl_connection *connection);
/* Output that waits. */
size_t zkl_connection_waiting(const struct zkl_connection *connection);
/* It has its session, new or again. */
void zkl_connection_attach(struct zkl_connection *connection, struct zkl_session *session);
/* A request more, or one less, that waits for an answer. */
void zkl_connection_asks(struct zkl_connection *connection);
void zkl_connection_answered(struct zkl_connection *connection);
/* The next zkl_intake_wake looks at its input before any other's. */
void zkl_connection_soon(struct zkl_connection *connection);
/* The end of those that took too long: before a session, or to take their last output. */
void zkl_connection_expire(struct zkl_server *server);
void zkl_connection_free(struct zkl_connection *connection); /* detached from all, then gone */

/* The connection ends: for bytes that are not ZooKeeper's, or because memory is refused. */
void zkl_connection_refuse(struct zkl_connection *connection, int64_t number, const char *detail);
void zkl_connection_starve(struct zkl_connection *connection, const char *detail);

/* intake.c */
void zkl_intake(struct zkl_connection *connection); /* whole frames in `input` */
/* Those that were stopped, as far as the limits let them. */
void zkl_intake_wake(struct zkl_server *server);

/* handshake.c */
void zkl_handshake_take(struct zkl_connection *connection, struct zkl_slice body);
/* A session's closeSession was applied: who waited for it is refused. */
void zkl_handshake_session_gone(struct zkl_connection *connection);

/* order.c */
/* A request without a transaction: now, or in its turn. */
void zkl_order_read(struct zkl_connection *connection, int32_t op, struct zkl_slice body);
/* An answer that is a code alone, in its turn; `ending` is the connection's, behind it. */
void zkl_order_code(struct zkl_connection *connection, int32_t xid, int32_t op, int32_t code,
                    enum zkl_ending ending);
/* Whether one waits that ends the connection: nothing behind it is looked at. */
bool zkl_order_ends(const struct zkl_connection *connection);
/* What may be answered now: after a proposal, and when output was sent. */
void zkl_order_resume(struct zkl_connection *connection);

/* reads.c: answers at once. false: no such operation. */
bool zkl_read_serve(struct zkl_connection *connection, int32_t xid,
                    const struct zkl_request *request);

/* replies.c */
/* A frame whose body behind the header takes at most `size` bytes: begin, write the body, end.
 * false: the connection takes no output any more. */
bool zkl_reply_begin(struct zkl_connection *connection, struct zkl_writer *writer,
                     const struct zkl_reply_header *header, size_t size);
void zkl_reply_end(struct zkl_connection *connection, const struct zkl_writer *writer);
void zkl_reply_header(struct zkl_connection *connection, int32_t xid, int32_t code);
void zkl_reply_result(struct zkl_connection *connection, int32_t xid,
                      const struct zkl_result *result);
void zkl_reply_proposal(struct zkl_server *server, struct zkl_proposal *proposal);
/* A request that came in at `asked_ms` is being answered; `kind` is one of the tally's. */
void zkl_reply_timed(struct zkl_connection *connection, struct zkl_latency *kind,
                     int64_t asked_ms);
/* To all who watch and may READ the node whose list is `acl`. */
void zkl_reply_event(struct zkl_server *server, int32_t type, struct zkl_slice path,
                     uint32_t acl, int64_t zxid);
/* One event to one connection. */
void zkl_reply_watch(struct zkl_connection *connection, int32_t type, struct zkl_slice path,
                     int64_t zxid);
/* The ConnectResponse; session NULL: refused. */
void zkl_reply_connect(struct zkl_connection *connection, const struct zkl_session *session);

/* why.c: a sentence in pieces, cut where it is too long; start forgets the one before. Returns
 * ZKL_E_CORRUPT, so that the last piece can be returned. */
int zkl_why_start(struct zkl_server *server, const char *text);
int zkl_why_text(struct zkl_server *server, const char *text);
int zkl_why_slice(struct zkl_server *server, struct zkl_slice name); /* in quotes */
int zkl_why_hex(struct zkl_server *server, uint64_t number);

/* fourletter.c: true: these bytes begin with one; its answer and the end are on their way, unless
 * it lacks what belongs to it. size >= 4. */
bool zkl_four_letter(struct zkl_connection *connection, const uint8_t *bytes, size_t size);

/* monitor.c */
void zkl_tally_reset(struct zkl_tally *tally);

/* reaper.c */
void zkl_reap(struct zkl_server *server);
int64_t zkl_reap_deadline(const struct zkl_server *server);

/* server.c; connection NULL: the caller fills in the peer. */
struct zkl_server_event *zkl_news(struct zkl_server *server, enum zkl_news kind,
                                  const struct zkl_connection *connection, int64_t session_id,
                                  int64_t number, const char *detail);

#endif
