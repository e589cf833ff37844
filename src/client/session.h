/* The life of a session as a state machine over at most two links. It knows neither bytes
 * nor sockets: it is told what happened (opened, granted, heard, lost ...) and the time,
 * and answers with news for the stream of events and with what is due.
 *
 * state          moves on when                                  to
 * -------------  ---------------------------------------------  ----------------------------
 * CONNECTING     granted, credentials answered, watches asked   CONNECTED or READONLY
 * CONNECTED      the link is lost                               DISCONNECTED
 * READONLY       the link is lost, or the probe was granted     DISCONNECTED
 * DISCONNECTED   as CONNECTING                                  CONNECTED or READONLY
 * DISCONNECTED   a server disowns the session, or nothing was   EXPIRED
 *   (CONNECTING)   heard for 4/3 of the timeout
 * any of them    a credential is refused                        AUTH_FAILED
 * any of them    close has ended                                CLOSED
 *
 * phase of a link  moves on when
 * ---------------  ---------------------------------------------------------------
 * OPENING          the driver says connected; or the attempt's time is up: lost
 * HANDSHAKE        a ConnectResponse: granted, refused (lost), or expired
 * AUTH             every credential was answered
 * REARM            every watch was asked for again
 * READY            lost
 *
 * The main link carries the session. The probe exists in READONLY only: it looks for a
 * writable server and becomes the main link when it is granted. */
#ifndef ZKLUA_CLIENT_SESSION_H
#define ZKLUA_CLIENT_SESSION_H

#include "base/random.h"
#include "client/endpoints.h"
#include "zklua/client.h"

enum zkl_phase {
    ZKL_PHASE_NONE,
    ZKL_PHASE_OPENING,
    ZKL_PHASE_HANDSHAKE,
    ZKL_PHASE_AUTH,
    ZKL_PHASE_REARM,
    ZKL_PHASE_READY
};

enum { ZKL_LINK_COUNT = 2 };

struct zkl_attempt { /* one link, as the session sees it */
    uint32_t link;
    enum zkl_phase phase;
    size_t endpoint;
    int64_t deadline_ms;  /* of OPENING and HANDSHAKE together; of AUTH */
    int64_t asked_id;     /* the session id in the ConnectRequest */
    int64_t request_ms;   /* when the ConnectRequest was sent */
    int64_t ready_ms;
    int64_t heard_ms, sent_ms;
    int64_t ping_ms;      /* when the ping in flight was sent, or ZKL_NEVER */
};

/* What time has brought. */
enum zkl_due {
    ZKL_DUE_CLOSE,  /* close has waited long enough */
    ZKL_DUE_EXPIRY, /* nothing heard for so long that no server can know us */
    ZKL_DUE_MAIN,   /* the main link is silent, or its attempt took too long */
    ZKL_DUE_PROBE_DEAD,
    ZKL_DUE_PROBE,  /* look for a writable server */
    ZKL_DUE_PING,
    ZKL_DUE_COUNT,
    ZKL_DUE_NOTHING = ZKL_DUE_COUNT
};

enum zkl_verdict { ZKL_GRANTED, ZKL_REFUSED, ZKL_DISOWNED };

enum { ZKL_NEWS_MAX = 8 }; /* no transition says more than five things, and all are taken first */

struct zkl_session {
    struct zkl_random random;
    struct zkl_endpoints endpoints;
    int32_t asked_timeout_ms;
    bool readonly_allowed;

    enum zkl_state state;
    int64_t id;
    uint8_t password[ZKL_PASSWORD_SIZE];
    int32_t timeout_ms;   /* negotiated; what is asked for before that */
    bool real;            /* `id` came from a server with a quorum, or from the caller: others
                             know it. Ids of read-only servers are known to nobody else */
    bool attached_once;   /* by a server with a quorum: our own clock may judge it */
    bool readonly;        /* the main link's server has no quorum */
    bool closing;
    int64_t close_deadline_ms;
    int64_t heard_ms;     /* last byte from a server that had granted the session */
    int64_t valid_until_ms;
    int64_t last_zxid;

    struct zkl_attempt attempts[ZKL_LINK_COUNT];
    size_t main;          /* index of the main link; the other one is the probe */
    uint32_t last_link;
    unsigned failures;    /* attempts since a link last worked */
    int64_t probe_ms;     /* when to probe next, or ZKL_NEVER */
    int64_t probe_delay_ms;
    uint64_t attempt_count, attach_count;

    struct zkl_event news[ZKL_NEWS_MAX];
    size_t news_first, news_count;
};

/* `session->endpoints` has its list already. Says CONNECT. */
void zkl_session_start(struct zkl_session *session, int64_t now_ms);

static inline size_t zkl_session_probe(const struct zkl_session *session)
{
    return 1 - session->main;
}
static inline bool zkl_state_is_final(enum zkl_state state)
{
    return state >= ZKL_EXPIRED;
}
static inline bool zkl_session_is_ready(const struct zkl_session *session)
{
    return session->attempts[session->main].phase == ZKL_PHASE_READY;
}
/* Whether servers may still hold a session for us (ephemerals, watches). */
static inline bool zkl_session_lives(const struct zkl_session *session)
{
    return session->id != 0 && session->real;
}

void zkl_session_opened(struct zkl_session *session, size_t index, int64_t now_ms);
/* What a ConnectResponse means. GRANTED: the link is in phase AUTH; a granted probe has
 * become the main link and the old one is gone. Otherwise nothing has changed, and
 * *detail says what was wrong. */
enum zkl_verdict zkl_session_answered(struct zkl_session *session, size_t index,
                                      const struct zkl_connect_response *response,
                                      int64_t now_ms, const char **detail);
/* The main link went through AUTH and REARM: says CONNECTED or READONLY. */
void zkl_session_ready(struct zkl_session *session, int64_t now_ms);
/* A link is gone. Of the main link: says so, and CONNECT for the next one if `again`. */
void zkl_session_lost(struct zkl_session *session, size_t index, enum zkl_reason reason,
                      const char *detail, bool again, int64_t now_ms);
/* Into a final state: links go first, then the STATE. */
void zkl_session_end(struct zkl_session *session, enum zkl_state state, enum zkl_reason reason,
                     const char *detail);
/* A new list: the links' endpoints are indices into it from now on. *move: leave the main
 * link's server; the probe's is always left. ZKL_E_ARGUMENT, ZKL_E_NOMEM. */
int zkl_session_set_endpoints(struct zkl_session *session, const struct zkl_slice *endpoints,
                              size_t count, bool *move);
void zkl_session_start_probe(struct zkl_session *session, int64_t now_ms);

/* An answer came to something that was sent at `sent_ms`. */
void zkl_session_answered_at(struct zkl_session *session, int64_t sent_ms);
void zkl_session_heard(struct zkl_session *session, size_t index, int64_t now_ms);
void zkl_session_sent(struct zkl_session *session, size_t index, int64_t now_ms);

/* The first thing that is due at `now_ms`. `backlog`: bytes wait to be sent on the main
 * link, so that a ping would say nothing new. */
enum zkl_due zkl_session_due(const struct zkl_session *session, bool backlog, int64_t now_ms);
/* When the next thing becomes due, or ZKL_NEVER. */
int64_t zkl_session_deadline(const struct zkl_session *session, bool backlog);

bool zkl_session_take_news(struct zkl_session *session, struct zkl_event *event);

#endif
