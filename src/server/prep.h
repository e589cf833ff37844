/* From a request to a transaction: judged against the tree plus everything that was prepared
 * before it, with all memory that applying it will need.
 *
 * A proposal is one transaction on its way: prepared, shown to the log, durable, applied. They
 * wait in one list in the order of their zxids. */
#ifndef ZKLUA_SERVER_PREP_H
#define ZKLUA_SERVER_PREP_H

#include "server/sessions.h"
#include "server/tree.h"
#include "server/txn.h"

struct zkl_server;

/* One change of a proposal. A multi has several; a failed proposal has none. */
struct zkl_change {
    struct zkl_txn txn;          /* slices into the proposal's payload */
    struct zkl_reserved reserved;
    struct zkl_stat stat;        /* filled by apply: create2, setData, setACL answer with it */
    int32_t op;                  /* how the client asked: create and create2 answer differently */
};

struct zkl_proposal {
    struct zkl_list link;
    struct zkl_txn_header header;
    uint8_t *payload;            /* header, record, digest */
    size_t payload_size, payload_capacity;
    uint64_t digest;             /* of the tree after it */
    bool shown;                  /* next_txn has given it */

    int32_t op;                  /* of the request: enum zkl_op; createSession, closeSession too */
    int32_t code;                /* what its reply says; of a multi always 0 */
    size_t failed_index;         /* multi: the first that failed, or change_count */
    int32_t failed_code;
    struct zkl_session *session; /* createSession: reserved, in the table once it is applied */
    struct zkl_session *asker;   /* whose request it is; NULL: the reaper's, or a createSession */
    struct zkl_list on_session;  /* among its proposals */
    struct zkl_connection *connection; /* to answer; NULL: nobody, or it has closed */
    struct zkl_list on_connection;     /* among its proposals */
    int32_t xid;
    int64_t asked_ms;            /* when it was prepared, by the clock that is never set */
    struct zkl_list waiters;     /* connections whose next deferred request waits for this one */

    struct zkl_list overlay;     /* what it put into the overlay; goes when it is applied */
    size_t change_count;
    struct zkl_change *changes;  /* change_count of them, or of a multi the ones asked for */
    struct zkl_change single;    /* where `changes` points to unless it is a multi */
    size_t create_count;         /* of its changes: counted in creates_ahead */
};
/* An entry of the log may not be longer: Apache would not read it back (jute.maxbuffer, and
 * jute.maxbuffer.extrasize, which is as much again and 1024 at least). */
static inline size_t zkl_payload_max(const struct zkl_server_options *options)
{
    size_t extra = options->frame_size_max;
    return options->frame_size_max + (extra > 1024 ? extra : 1024);
}

/* What prep believes of paths that proposals touch: the latest of them counts. */
struct zkl_overlay; /* overlay.h */

struct zkl_prep {
    struct zkl_overlay *overlay;
    struct zkl_list proposals;   /* oldest first */
    size_t count;
    size_t creates_ahead;        /* reserved and not applied */
    size_t sessions_ahead;
    struct zkl_proposal *unshown; /* next_txn's next; NULL: all were shown */
    int64_t zxid;                /* of the last one */
    uint64_t digest;             /* of the tree with all of them */
    size_t bytes;                /* payloads that wait */
    uint8_t *scratch;            /* a path and an access list being put together */
    size_t scratch_capacity;
    bool usage_stale;            /* usage.c: a text found no memory; all are to be counted anew */
};

bool zkl_prep_init(struct zkl_server *server);
void zkl_prep_free(struct zkl_server *server);
/* After restoring: zxid and digest are the tree's. */
void zkl_prep_begin(struct zkl_server *server);

/* A write of a client. ZKL_OK: a proposal was queued (a failed write is one too, logged as an
 * error). ZKL_E_NOMEM: nothing happened; the connection is to be closed. *code is set with
 * ZKL_E_ARGUMENT: answer that at once and log nothing (a check outside of a multi, which no
 * replay knows: ZKL_CODE_UNIMPLEMENTED, then close). `session` is who asks. */
int zkl_prep_request(struct zkl_server *server, struct zkl_session *session,
                     struct zkl_connection *connection, int32_t xid,
                     const struct zkl_request *request, struct zkl_clock clock, int32_t *code);
/* A write whose record could not be read: an error transaction with -5. */
int zkl_prep_malformed(struct zkl_server *server, struct zkl_session *session,
                       struct zkl_connection *connection, int32_t xid, int32_t op,
                       struct zkl_clock clock);
int zkl_prep_create_session(struct zkl_server *server, struct zkl_connection *connection,
                            int32_t timeout_ms, struct zkl_clock clock);
/* By request of the client (connection, xid) or, with connection NULL, by expiry. Sets
 * session->closing. */
int zkl_prep_close_session(struct zkl_server *server, struct zkl_session *session,
                           struct zkl_connection *connection, int32_t xid,
                           struct zkl_clock clock);
/* The reaper's: op 20. */
int zkl_prep_delete_container(struct zkl_server *server, struct zkl_slice path,
                              struct zkl_clock clock);
/* The oldest proposal was applied: out of list and overlay, and its memory is free. */
void zkl_prep_done(struct zkl_server *server, struct zkl_proposal *proposal);

/* Sets usage right in the stats nodes of all quotas (usage.c). */
void zkl_usage_recount(struct zkl_server *server);

/* Quotas (quota.c), on text as in server-semantics 1.13. */
struct zkl_quota {
    int64_t count, bytes, count_hard, bytes_hard; /* -1: none */
};
bool zkl_quota_parse(struct zkl_slice text, struct zkl_quota *quota);
#define ZKL_QUOTA_TEXT_MAX 128
size_t zkl_quota_format(const struct zkl_quota *quota, char text[ZKL_QUOTA_TEXT_MAX]);

#endif
