/* The session's state machine: the table is in session.h. */
#include "client/session.h"

#include <string.h>

#define CONNECT_TIMEOUT_MIN_MS 1000
#define PING_INTERVAL_MAX_MS 10000
#define PROBE_DELAY_MIN_MS 100
#define PROBE_DELAY_MAX_MS 60000
/* A link that worked for less did not work: else a server that accepts, grants and closes
 * would be asked again at once, for ever. */
#define GOOD_LINK_MS 1000
#define JITTER_AFTER_LOSS_MS 500
#define JITTER_IN_CYCLE_MS 100
#define BACKOFF_FIRST_MS 400
#define BACKOFF_MAX_MS 5000

/* --- news ------------------------------------------------------------------- */

static struct zkl_event *say(struct zkl_session *session, enum zkl_event_kind kind)
{
    ZKL_ASSERT(session->news_count < ZKL_NEWS_MAX);
    size_t at = (session->news_first + session->news_count++) % ZKL_NEWS_MAX;
    session->news[at] = (struct zkl_event) { .kind = kind };
    return &session->news[at];
}

static void say_state(struct zkl_session *session, enum zkl_state state, enum zkl_reason reason,
                      const char *detail)
{
    struct zkl_event *event = say(session, ZKL_EVENT_STATE);
    session->state = event->state = state;
    event->reason = reason;
    event->detail = detail;
}

static void say_disconnect(struct zkl_session *session, size_t index, enum zkl_reason reason,
                           const char *detail)
{
    struct zkl_attempt *attempt = &session->attempts[index];
    if (attempt->phase == ZKL_PHASE_NONE) return;
    struct zkl_event *event = say(session, ZKL_EVENT_DISCONNECT);
    event->link = attempt->link;
    event->reason = reason;
    event->detail = detail;
    attempt->phase = ZKL_PHASE_NONE;
    attempt->link = 0;
}

bool zkl_session_take_news(struct zkl_session *session, struct zkl_event *event)
{
    if (session->news_count == 0) return false;
    *event = session->news[session->news_first];
    session->news_first = (session->news_first + 1) % ZKL_NEWS_MAX;
    session->news_count--;
    if (event->kind != ZKL_EVENT_CONNECT) return true;
    for (size_t i = 0; i < ZKL_LINK_COUNT; i++) { /* the list may have changed meanwhile */
        const struct zkl_attempt *attempt = &session->attempts[i];
        if (attempt->link == event->link) event->endpoint = attempt->endpoint;
    }
    return true;
}

/* --- attempts --------------------------------------------------------------- */

static int64_t lesser(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t greater(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* So that all servers can be asked in time, and one that is silent does not cost a living
 * session more than a third of what it has. */
static int64_t connect_timeout(const struct zkl_session *session)
{
    int64_t share = session->timeout_ms / (int64_t)session->endpoints.count;
    int64_t timeout_ms = greater(share, CONNECT_TIMEOUT_MIN_MS);
    if (zkl_session_lives(session)) timeout_ms = lesser(timeout_ms, session->timeout_ms / 3);
    return greater(timeout_ms, 1);
}

/* Full jitter, growing after whole failed cycles. While a session lives the steps stay an
 * order below its timeout: waiting must not be what ends it. */
static int64_t pause_before_attempt(struct zkl_session *session)
{
    int64_t eighth = session->timeout_ms / 8;
    if (session->failures == 0) {
        return zkl_random_below(&session->random, lesser(JITTER_AFTER_LOSS_MS, eighth));
    }
    size_t cycle = session->failures / session->endpoints.count;
    if (cycle == 0) return zkl_random_below(&session->random, lesser(JITTER_IN_CYCLE_MS, eighth));
    int64_t most = cycle > 10 ? BACKOFF_MAX_MS : (int64_t)BACKOFF_FIRST_MS << (cycle - 1);
    most = lesser(most, BACKOFF_MAX_MS);
    if (zkl_session_lives(session)) most = lesser(most, eighth);
    return zkl_random_below(&session->random, most);
}

static void attempt(struct zkl_session *session, size_t index, int64_t not_before_ms)
{
    struct zkl_attempt *new = &session->attempts[index];
    ZKL_ASSERT(new->phase == ZKL_PHASE_NONE);
    size_t endpoint = zkl_endpoints_next(&session->endpoints, &session->random);
    if (++session->last_link == 0) session->last_link = 1; /* 0 is no link */
    *new = (struct zkl_attempt) {
        .link = session->last_link,
        .phase = ZKL_PHASE_OPENING,
        .endpoint = endpoint,
        .deadline_ms = not_before_ms + connect_timeout(session),
        .ping_ms = ZKL_NEVER,
    };
    session->attempt_count++;
    struct zkl_event *event = say(session, ZKL_EVENT_CONNECT);
    event->link = new->link;
    event->not_before_ms = not_before_ms;
}

void zkl_session_start(struct zkl_session *session, int64_t now_ms)
{
    session->state = ZKL_CONNECTING;
    session->heard_ms = now_ms;
    session->probe_ms = ZKL_NEVER;
    session->close_deadline_ms = ZKL_NEVER;
    attempt(session, session->main, now_ms);
}

void zkl_session_opened(struct zkl_session *session, size_t index, int64_t now_ms)
{
    struct zkl_attempt *opened = &session->attempts[index];
    ZKL_ASSERT(opened->phase == ZKL_PHASE_OPENING);
    opened->phase = ZKL_PHASE_HANDSHAKE;
    /* Until a server with a quorum has been seen, what we may have is known to nobody. */
    opened->asked_id = session->real ? session->id : 0;
    opened->request_ms = opened->heard_ms = opened->sent_ms = now_ms;
}

/* --- the answer to a ConnectRequest ----------------------------------------- */

static enum zkl_verdict judge(const struct zkl_session *session, size_t index,
                              const struct zkl_connect_response *response, const char **detail)
{
    int64_t asked_id = session->attempts[index].asked_id;
    bool may_be_readonly = session->readonly_allowed && index == session->main;
    if (response->readonly && !may_be_readonly) {
        *detail = "the server is read-only";
        return ZKL_REFUSED;
    }
    /* A read-only server knows no sessions but its own: its no proves nothing. */
    if (response->timeout_ms <= 0 || response->session_id == 0) {
        if (asked_id != 0 && response->timeout_ms <= 0 && !response->readonly) {
            *detail = "the server no longer knows the session";
            return ZKL_DISOWNED;
        }
        *detail = "the server granted no session";
        return ZKL_REFUSED;
    }
    if (asked_id != 0 && response->session_id != asked_id) {
        if (response->readonly) {
            *detail = "a read-only server does not know the session";
            return ZKL_REFUSED;
        }
        *detail = "the server gave another session than the one asked for";
        return ZKL_DISOWNED;
    }
    if (response->password.size != ZKL_PASSWORD_SIZE) {
        *detail = "the session's password is not 16 bytes";
        return ZKL_REFUSED;
    }
    return ZKL_GRANTED;
}

/* The probe has found a writable server: it takes the place of the read-only link. */
static void take_over(struct zkl_session *session)
{
    const char *detail = "a writable server was found";
    say_disconnect(session, session->main, ZKL_REASON_REBALANCE, detail);
    if (session->state == ZKL_READONLY) {
        say_state(session, ZKL_DISCONNECTED, ZKL_REASON_REBALANCE, detail);
    }
    session->main = zkl_session_probe(session);
    session->probe_ms = ZKL_NEVER;
}

enum zkl_verdict zkl_session_answered(struct zkl_session *session, size_t index,
                                      const struct zkl_connect_response *response,
                                      int64_t now_ms, const char **detail)
{
    enum zkl_verdict verdict = judge(session, index, response, detail);
    if (verdict != ZKL_GRANTED) return verdict;
    if (index != session->main) take_over(session);
    struct zkl_attempt *granted = &session->attempts[index];
    session->id = response->session_id;
    memcpy(session->password, response->password.base, ZKL_PASSWORD_SIZE);
    session->timeout_ms = response->timeout_ms;
    session->readonly = response->readonly;
    if (!response->readonly) session->real = session->attached_once = true;
    session->valid_until_ms = 0;
    session->heard_ms = granted->heard_ms = now_ms;
    granted->phase = ZKL_PHASE_AUTH;
    granted->deadline_ms = now_ms + greater((int64_t)session->timeout_ms * 2 / 3, 1);
    zkl_session_answered_at(session, granted->request_ms);
    zkl_endpoints_settle(&session->endpoints);
    return ZKL_GRANTED;
}

void zkl_session_ready(struct zkl_session *session, int64_t now_ms)
{
    struct zkl_attempt *ready = &session->attempts[session->main];
    ready->phase = ZKL_PHASE_READY;
    ready->ready_ms = now_ms;
    session->attach_count++;
    say_state(session, session->readonly ? ZKL_READONLY : ZKL_CONNECTED, ZKL_REASON_NONE, NULL);
    if (session->readonly && !session->closing) {
        session->probe_delay_ms = PROBE_DELAY_MIN_MS;
        session->probe_ms = now_ms + PROBE_DELAY_MIN_MS;
    }
}

/* --- losing a link ---------------------------------------------------------- */

static void lost_probe(struct zkl_session *session, enum zkl_reason reason, const char *detail,
                       int64_t now_ms)
{
    say_disconnect(session, zkl_session_probe(session), reason, detail);
    session->probe_delay_ms = lesser(2 * session->probe_delay_ms, PROBE_DELAY_MAX_MS);
    session->probe_ms = now_ms + session->probe_delay_ms;
}

void zkl_session_lost(struct zkl_session *session, size_t index, enum zkl_reason reason,
                      const char *detail, bool again, int64_t now_ms)
{
    if (index != session->main) {
        lost_probe(session, reason, detail, now_ms);
        return;
    }
    const struct zkl_attempt *lost = &session->attempts[index];
    bool worked = lost->phase == ZKL_PHASE_READY && now_ms - lost->ready_ms >= GOOD_LINK_MS &&
                  reason != ZKL_REASON_PROTOCOL && reason != ZKL_REASON_NOMEM;
    if (worked || reason == ZKL_REASON_REBALANCE) {
        session->failures = 0;
    } else if (session->failures < 1000000) {
        session->failures++;
    }
    say_disconnect(session, index, reason, detail);
    say_disconnect(session, zkl_session_probe(session), reason, "the read-only link was lost");
    session->probe_ms = ZKL_NEVER;
    if (session->state == ZKL_CONNECTED || session->state == ZKL_READONLY) {
        say_state(session, ZKL_DISCONNECTED, reason, detail);
    }
    if (again) attempt(session, index, now_ms + pause_before_attempt(session));
}

void zkl_session_end(struct zkl_session *session, enum zkl_state state, enum zkl_reason reason,
                     const char *detail)
{
    say_disconnect(session, session->main, reason, detail);
    say_disconnect(session, zkl_session_probe(session), reason, detail);
    session->probe_ms = session->close_deadline_ms = ZKL_NEVER;
    session->valid_until_ms = 0;
    say_state(session, state, reason, detail);
}

int zkl_session_set_endpoints(struct zkl_session *session, const struct zkl_slice *endpoints,
                              size_t count, bool *move)
{
    struct zkl_attempt *main = &session->attempts[session->main];
    size_t current = main->endpoint;
    int status = zkl_endpoints_replace(&session->endpoints, endpoints, count, &session->random,
                                       &current, move);
    if (status != ZKL_OK) return status;
    main->endpoint = current != ZKL_ENDPOINT_NONE ? current : 0; /* gone: it will be left */
    session->attempts[zkl_session_probe(session)].endpoint = 0;
    return ZKL_OK;
}

void zkl_session_start_probe(struct zkl_session *session, int64_t now_ms)
{
    size_t index = zkl_session_probe(session);
    session->probe_ms = ZKL_NEVER;
    attempt(session, index, now_ms);
    struct zkl_attempt *probe = &session->attempts[index];
    bool again = probe->endpoint == session->attempts[session->main].endpoint;
    if (again && session->endpoints.count > 1) {
        /* We know already that this one is read-only. */
        probe->endpoint = zkl_endpoints_next(&session->endpoints, &session->random);
    }
}

/* --- time ------------------------------------------------------------------- */

void zkl_session_answered_at(struct zkl_session *session, int64_t sent_ms)
{
    /* Nobody else honours a session of a read-only server. */
    if (session->readonly) return;
    int64_t until_ms = sent_ms + session->timeout_ms;
    session->valid_until_ms = greater(session->valid_until_ms, until_ms);
}

void zkl_session_heard(struct zkl_session *session, size_t index, int64_t now_ms)
{
    session->attempts[index].heard_ms = now_ms;
    if (index == session->main && session->attempts[index].phase >= ZKL_PHASE_AUTH) {
        session->heard_ms = now_ms;
    }
}

void zkl_session_sent(struct zkl_session *session, size_t index, int64_t now_ms)
{
    struct zkl_attempt *attempt_sent = &session->attempts[index];
    attempt_sent->sent_ms = now_ms;
    if (attempt_sent->phase == ZKL_PHASE_HANDSHAKE) attempt_sent->request_ms = now_ms;
}

static int64_t expiry_time(const struct zkl_session *session)
{
    bool granted = session->attempts[session->main].phase >= ZKL_PHASE_AUTH;
    if (granted || !zkl_session_lives(session) || !session->attached_once) return ZKL_NEVER;
    return session->heard_ms + (int64_t)session->timeout_ms * 4 / 3;
}

/* Silence for two thirds leaves a third to find another server. A ping that is not
 * answered for a whole timeout, while other bytes come, counts as silence too. */
static int64_t silence_time(const struct zkl_session *session, const struct zkl_attempt *link)
{
    int64_t silent_ms = link->heard_ms + greater((int64_t)session->timeout_ms * 2 / 3, 1);
    if (link->ping_ms == ZKL_NEVER) return silent_ms;
    return lesser(silent_ms, link->ping_ms + greater(session->timeout_ms, 1));
}

static int64_t link_time(const struct zkl_session *session, size_t index)
{
    const struct zkl_attempt *link = &session->attempts[index];
    switch (link->phase) {
    case ZKL_PHASE_NONE:
        return ZKL_NEVER;
    case ZKL_PHASE_OPENING:
    case ZKL_PHASE_HANDSHAKE:
        return link->deadline_ms;
    case ZKL_PHASE_AUTH:
        return lesser(link->deadline_ms, silence_time(session, link));
    case ZKL_PHASE_REARM:
    case ZKL_PHASE_READY:
        break;
    }
    return silence_time(session, link);
}

static int64_t ping_time(const struct zkl_session *session, bool backlog)
{
    const struct zkl_attempt *link = &session->attempts[session->main];
    if (link->phase < ZKL_PHASE_AUTH || link->ping_ms != ZKL_NEVER || backlog) return ZKL_NEVER;
    int64_t interval_ms = lesser(session->timeout_ms / 3, PING_INTERVAL_MAX_MS);
    return link->sent_ms + greater(interval_ms, 1);
}

static int64_t due_time(const struct zkl_session *session, enum zkl_due due, bool backlog)
{
    switch (due) {
    case ZKL_DUE_CLOSE:
        return session->close_deadline_ms;
    case ZKL_DUE_EXPIRY:
        return expiry_time(session);
    case ZKL_DUE_MAIN:
        return link_time(session, session->main);
    case ZKL_DUE_PROBE_DEAD:
        return link_time(session, zkl_session_probe(session));
    case ZKL_DUE_PROBE:
        return session->probe_ms;
    case ZKL_DUE_PING:
        return ping_time(session, backlog);
    case ZKL_DUE_COUNT:
        break;
    }
    return ZKL_NEVER;
}

enum zkl_due zkl_session_due(const struct zkl_session *session, bool backlog, int64_t now_ms)
{
    if (zkl_state_is_final(session->state)) return ZKL_DUE_NOTHING;
    for (int due = 0; due < ZKL_DUE_COUNT; due++) {
        int64_t time_ms = due_time(session, (enum zkl_due)due, backlog);
        if (time_ms != ZKL_NEVER && time_ms <= now_ms) return (enum zkl_due)due;
    }
    return ZKL_DUE_NOTHING;
}

int64_t zkl_session_deadline(const struct zkl_session *session, bool backlog)
{
    int64_t first_ms = ZKL_NEVER;
    if (zkl_state_is_final(session->state)) return first_ms;
    for (int due = 0; due < ZKL_DUE_COUNT; due++) {
        first_ms = lesser(first_ms, due_time(session, (enum zkl_due)due, backlog));
    }
    return first_ms;
}
