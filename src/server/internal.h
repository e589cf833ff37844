/* The server as its own files see it, and which file does what.
 *
 *   txn.c          the log's records
 *   tree.c         znodes: finding, restoring     (tree.h; acls.c: access lists)
 *   node.c         what one znode shows, and its digest
 *   change.c       changes of the tree            (reserve.c: the memory they need)
 *   prep.c         requests into proposals        (prep.h; overlay.c: what is not yet applied)
 *   quota.c        limits and usage of subtrees
 *   apply.c        proposals, and entries of a replayed log, into the tree; what watches hear
 *   snapshot.c     the tree as a file's bytes     (restore.c: and back)
 *   why.c          what zkl_server_why says
 *   sessions.c     the table and its clock        (sessions.h)
 *   watches.c      who watches what               (watches.h)
 *   connection.c   accept, output, limits, the end of a connection
 *   intake.c       bytes into requests: handshake, headers, order of answers
 *   reads.c        everything that needs no transaction
 *   replies.c      answers to proposals
 *   reaper.c       empty containers, old TTL nodes
 *   fourletter.c   srvr, mntr and the others
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

/* A request that has to wait for a proposal: a read behind its session's write, a sync. */
struct zkl_deferred {
    struct zkl_list link;
    int64_t after_zxid;
    size_t size;
    uint8_t frame[];
};

/* Idle, with a session, all of it fits into 1 KB. */
struct zkl_connection {
    struct zkl_server *server;
    void *user;
    struct zkl_list link;          /* server->connections */
    struct zkl_list changed;       /* server->changed: for next_connection */
    struct zkl_list in_time;       /* server->handshakes, oldest first */
    int64_t accepted_ms;
    struct zkl_peer peer;
    struct zkl_map_node by_address; /* server->addresses counts them */
    enum zkl_connection_phase phase;
    enum zkl_ending ending;
    bool reads;                    /* what the driver was told last */
    bool old_client;               /* its handshake had no readOnly byte */
    struct zkl_session *session;   /* NULL until attached */
    struct zkl_identities identities;
    struct zkl_watch_list watches;
    struct zkl_list proposals;     /* of zkl_proposal.on_connection, oldest first */
    struct zkl_list deferred;
    struct zkl_list waiting;       /* in a proposal's waiters, or a session's close_waiters */
    size_t outstanding;            /* requests with xid > 0 that are not answered */
    struct zkl_buffer input;       /* the beginning of a frame; frames while reading is stopped */
    struct zkl_buffer shown;       /* output that the driver is writing */
    struct zkl_buffer output;      /* output behind it */
    /* for `cons` */
    uint64_t received, sent;
    int64_t last_zxid, established_wall_ms, last_response_ms;
    int32_t last_op, last_cxid;
    uint64_t latency_count;
    int64_t latency_min_ms, latency_max_ms, latency_sum_ms, latency_last_ms;
};

struct zkl_server {
    struct zkl_allocator allocator; /* counts: memory_bytes is what it has given out */
    struct zkl_allocator outer;     /* the owner's */
    uint64_t memory_bytes;
    struct zkl_server_options options; /* defaults filled in; slices are ours */
    struct zkl_clock clock;         /* of the current call */
    bool serving, failed;
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

    struct zkl_list connections, changed, handshakes;
    struct zkl_map addresses;
    size_t connection_count, outstanding;
    struct zkl_list stopped;        /* connections that are not read for outstanding_max */

    int64_t last_tick_ms, next_reap_ms;
    struct zkl_list *reap_cursor;
    struct zkl_server_event news[ZKL_NEWS_MAX];
    size_t news_start, news_count;
    /* for srvr and mntr */
    uint64_t received, sent, bytes_in, bytes_out;
    int64_t started_ms;
    uint64_t latency_count;
    int64_t latency_min_ms, latency_max_ms, latency_sum_ms;
};

/* apply.c: the oldest proposal into the tree; sets server->zxid, fires watches, then
 * replies.c answers. Cannot fail. */
void zkl_apply(struct zkl_server *server, struct zkl_proposal *proposal);

/* connection.c */
/* Room for `size` bytes of output, which zkl_connection_commit then counts; NULL: no memory or
 * over ZKL_OUTPUT_CLOSE, and the connection is ending. */
uint8_t *zkl_connection_room(struct zkl_connection *connection, size_t size);
void zkl_connection_commit(struct zkl_connection *connection, size_t size);
void zkl_connection_end(struct zkl_connection *connection, enum zkl_ending ending);
/* The driver has to look at it again. */
void zkl_connection_changed(struct zkl_connection *connection);
void zkl_connection_free(struct zkl_connection *connection); /* detached from all, then gone */

/* intake.c */
void zkl_intake(struct zkl_connection *connection); /* whole frames in `input` */
/* After a proposal: deferred requests that may now be answered, in order. */
void zkl_intake_resume(struct zkl_connection *connection, int64_t zxid);

/* reads.c: answers at once. false: no such operation. */
bool zkl_read_serve(struct zkl_connection *connection, int32_t xid,
                    const struct zkl_request *request);

/* replies.c */
void zkl_reply_header(struct zkl_connection *connection, int32_t xid, int32_t code);
void zkl_reply_result(struct zkl_connection *connection, int32_t xid,
                      const struct zkl_result *result);
void zkl_reply_proposal(struct zkl_server *server, struct zkl_proposal *proposal);
/* To all who watch and may READ the node whose list is `acl`. */
void zkl_reply_event(struct zkl_server *server, int32_t type, struct zkl_slice path,
                     uint32_t acl, int64_t zxid);
/* The ConnectResponse; session NULL: refused. */
void zkl_reply_connect(struct zkl_connection *connection, const struct zkl_session *session);

/* why.c: a sentence in pieces, cut where it is too long; start forgets the one before. Returns
 * ZKL_E_CORRUPT, so that the last piece can be returned. */
int zkl_why_start(struct zkl_server *server, const char *text);
int zkl_why_text(struct zkl_server *server, const char *text);
int zkl_why_slice(struct zkl_server *server, struct zkl_slice name); /* in quotes */
int zkl_why_hex(struct zkl_server *server, uint64_t number);

/* fourletter.c: true: these four bytes were one, and the answer and the end are on their way. */
bool zkl_four_letter(struct zkl_connection *connection, const uint8_t bytes[4]);

/* reaper.c */
void zkl_reap(struct zkl_server *server);
int64_t zkl_reap_deadline(const struct zkl_server *server);

/* server.c */
void zkl_news(struct zkl_server *server, enum zkl_news kind, const struct zkl_connection *connection,
              int64_t session_id, int64_t number, const char *detail);

#endif
