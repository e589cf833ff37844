/* Sessions: who is alive, until when, and what their passwords are.
 *
 * Expiry goes by buckets of one tick, as Apache's does (server-semantics 2.3): a check costs
 * what expires, not what lives. A session is in the table from the moment its createSession is
 * applied until its closeSession is; `closing` in between means that a closeSession is
 * prepared and nothing more is taken from its client. */
#ifndef ZKLUA_SERVER_SESSIONS_H
#define ZKLUA_SERVER_SESSIONS_H

#include "base/list.h"
#include "base/map.h"
#include "zklua/server.h"

struct zkl_session {
    struct zkl_map_node entry;   /* by id */
    struct zkl_list in_bucket;
    int64_t id;
    int64_t expires_ms;          /* of its bucket; without what was granted since */
    int32_t timeout_ms;          /* as negotiated last */
    int32_t logged_timeout_ms;   /* as in its createSession: what a snapshot says */
    bool closing;
    struct zkl_connection *connection; /* NULL: detached */
    struct zkl_list close_waiters; /* connections that re-attach to a closing session */
    size_t prepared_count;       /* its transactions that are not yet applied */
    struct zkl_list prepared;    /* prep's list of them; in use while there are some */
};

struct zkl_sessions {
    struct zkl_allocator allocator;
    struct zkl_map map;
    struct zkl_list *buckets;    /* a ring of ticks; long timeouts wait for a later round */
    size_t bucket_count;
    struct zkl_list due;         /* of buckets that are over: to be given out, or one more round */
    size_t waiting_count;        /* sessions in buckets and in `due` */
    int32_t tick_ms;
    int64_t granted_ms;          /* all in all: what now_ms is ahead of the table's own time */
    int64_t next_bucket_ms;      /* the earliest that was not looked at, in that time */
    int64_t next_id;
    uint64_t seed;
    bool keep;                   /* nothing expires */
};

/* false: out of memory. */
bool zkl_sessions_init(struct zkl_sessions *sessions, const struct zkl_allocator *allocator,
                       const struct zkl_server_options *options);
void zkl_sessions_free(struct zkl_sessions *sessions);
/* The first id: server id in the high byte, then 40 bits of the wall clock; always above what
 * was restored. */
void zkl_sessions_begin(struct zkl_sessions *sessions, uint8_t server_id, struct zkl_clock clock);
int64_t zkl_sessions_take_id(struct zkl_sessions *sessions);

struct zkl_session *zkl_sessions_find(const struct zkl_sessions *sessions, int64_t id);
/* Not in the table yet: reserve (a block and room in the map for `ahead` more), then insert. */
struct zkl_session *zkl_sessions_reserve(struct zkl_sessions *sessions, size_t ahead);
void zkl_sessions_release(struct zkl_sessions *sessions, struct zkl_session *session);
void zkl_sessions_insert(struct zkl_sessions *sessions, struct zkl_session *session, int64_t id,
                         int32_t timeout_ms, int64_t now_ms);
/* Out of the table, and its block is free. */
void zkl_sessions_remove(struct zkl_sessions *sessions, struct zkl_session *session);
void zkl_sessions_touch(struct zkl_sessions *sessions, struct zkl_session *session,
                        int64_t now_ms);
/* The next session whose bucket is over, taken out of its bucket; NULL: none. Those that are
 * closing already are passed over; touching them does nothing either. */
struct zkl_session *zkl_sessions_next_expired(struct zkl_sessions *sessions, int64_t now_ms);
int64_t zkl_sessions_deadline(const struct zkl_sessions *sessions); /* ZKL_NEVER: none */
/* The driver was away for so long: everybody gets it back. Costs the same for any number. */
void zkl_sessions_grant(struct zkl_sessions *sessions, int64_t missed_ms);
/* When the session expires unless it is touched. */
static inline int64_t zkl_session_expires_ms(const struct zkl_sessions *sessions,
                                             const struct zkl_session *session)
{
    return session->expires_ms + sessions->granted_ms;
}
/* Every session counts from now: after a start. */
void zkl_sessions_restart(struct zkl_sessions *sessions, int64_t now_ms);

/* By Apache's formula (server-semantics 2.1) or the first 16 bytes of SHA-1 over the secret
 * and the id. */
void zkl_session_password(const struct zkl_server_options *options, int64_t id,
                          uint8_t password[ZKL_PASSWORD_SIZE]);
/* Takes the same time whatever is wrong. */
bool zkl_session_password_equal(struct zkl_slice given, const uint8_t password[ZKL_PASSWORD_SIZE]);

#endif
