/* The order in which things become events. `produce` alone decides what follows from what
 * the calls have noted, one event at a time, so that nothing can overtake anything. */
#include "client/internal.h"

/* --- events ---------------------------------------------------------------------- */

/* A request whose link went down, or whose session is over. Husks leave without a word. */
static bool produce_lost(struct zkl_client *client, struct zkl_list *list, int32_t code)
{
    struct zkl_pending *pending;
    while ((pending = zkl_pendings_first(list)) != NULL) {
        zkl_client_settle_watch(client, pending, 0);
        if (!pending->answered) {
            zkl_client_reply(client, pending, code);
            return true;
        }
        zkl_pendings_leave(&client->pendings, pending);
    }
    return false;
}

/* Takes whole frames until one makes an event. */
static bool produce_from_frames(struct zkl_client *client, size_t index)
{
    struct zkl_link *link = &client->links[index];
    uint32_t number = client->session.attempts[index].link;
    for (;;) {
        const struct zkl_attempt *attempt = &client->session.attempts[index];
        bool open = attempt->phase >= ZKL_PHASE_HANDSHAKE && attempt->link == number;
        if (!open || client->session.news_count > 0) return false;
        size_t size_max = attempt->phase == ZKL_PHASE_HANDSHAKE ? ZKL_HANDSHAKE_SIZE_MAX
                                                                : client->reply_size_max;
        if (zkl_buffer_size(&link->input) == 0) return false;
        int64_t body_size;
        const uint8_t *bytes = zkl_buffer_start(&link->input);
        int status = zkl_frame_peek(bytes, zkl_buffer_size(&link->input), size_max, &body_size);
        if (status != ZKL_OK) {
            const char *detail = status == ZKL_E_LIMIT ? "a frame longer than the limit"
                                                       : "a frame of negative length";
            if (attempt->phase == ZKL_PHASE_HANDSHAKE) detail = "the peer does not speak ZooKeeper";
            zkl_client_fail_link(client, index, ZKL_REASON_PROTOCOL, detail, true);
            return false;
        }
        if (body_size < 0) return false;
        /* Held from here on, so that consuming it moves nothing. */
        zkl_buffer_hold(&link->input);
        zkl_buffer_consume(&link->input, (size_t)body_size + 4);
        struct zkl_slice body = { bytes + 4, (size_t)body_size };
        bool made = zkl_client_take_frame(client, index, body);
        if (client->held_link != index) zkl_buffer_let_go(&link->input);
        if (made) return true;
    }
}

static bool produce_gap(struct zkl_client *client)
{
    /* Not before the server has them all: what comes after the gap is then complete. */
    if (!zkl_session_is_ready(&client->session) || client->rearm_count > 0) return false;
    uint32_t kinds;
    struct zkl_watch *watch = zkl_watches_take_gap(&client->watches, &kinds);
    if (watch == NULL) return false;
    client->event = (struct zkl_event) {
        .kind = ZKL_EVENT_WATCH,
        .type = ZKL_WATCH_GAP,
        .kinds = kinds,
        .path = { watch->path, watch->path_size },
    };
    (void)zkl_client_strip_chroot(client, &client->event.path);
    client->pinned = watch;
    return true;
}

/* A link that has ended and said all it had to say. */
static bool lose_ended_link(struct zkl_client *client)
{
    for (size_t i = 0; i < ZKL_LINK_COUNT; i++) {
        if (client->session.attempts[i].phase == ZKL_PHASE_NONE) continue;
        if (!client->links[i].ended) continue;
        zkl_client_lose_link(client, i);
        return true;
    }
    return false;
}

/* close has nothing to wait for: no link to send it on, no request to be answered. */
static bool close_is_over(const struct zkl_client *client)
{
    const struct zkl_session *session = &client->session;
    return session->closing && session->attempts[session->main].phase < ZKL_PHASE_AUTH &&
           !zkl_client_close_waits(client);
}

static bool end_close(struct zkl_client *client)
{
    if (!close_is_over(client)) return false;
    zkl_client_finish(client, ZKL_CLOSED, ZKL_REASON_CLOSE, NULL);
    return true;
}

static bool has_backlog(const struct zkl_client *client)
{
    return zkl_buffer_size(&client->links[client->session.main].prelude) > 0 ||
           (zkl_session_is_ready(&client->session) &&
            (!zkl_list_empty(&client->pendings.queue) || zkl_client_close_is_next(client)));
}

/* What time has brought; false: nothing. */
static bool run_timers(struct zkl_client *client)
{
    struct zkl_session *session = &client->session;
    size_t main = session->main, probe = zkl_session_probe(session);
    switch (zkl_session_due(session, has_backlog(client), client->now_ms)) {
    case ZKL_DUE_CLOSE:
        zkl_client_finish(client, ZKL_CLOSED, ZKL_REASON_CLOSE, "close took too long");
        return true;
    case ZKL_DUE_EXPIRY:
        zkl_client_finish(client, ZKL_EXPIRED, ZKL_REASON_EXPIRED_HERE,
                          "no server was heard for 4/3 of the session timeout");
        return true;
    case ZKL_DUE_MAIN:
        zkl_client_fail_link(client, main, ZKL_REASON_TIMEOUT, NULL, false);
        return true;
    case ZKL_DUE_PROBE_DEAD:
        zkl_client_fail_link(client, probe, ZKL_REASON_TIMEOUT, NULL, false);
        return true;
    case ZKL_DUE_PROBE:
        zkl_session_start_probe(session, client->now_ms);
        return true;
    case ZKL_DUE_PING:
        zkl_client_send_ping(client);
        return true;
    case ZKL_DUE_NOTHING:
        break;
    }
    return false;
}

static bool produce_timeout(struct zkl_client *client)
{
    struct zkl_pending *pending = zkl_pendings_due(&client->pendings, client->now_ms);
    if (pending == NULL) return false;
    zkl_client_cancel(client, pending->xid, client->now_ms);
    return zkl_pendings_take_early(&client->pendings, &client->event);
}

static bool produce_end(struct zkl_client *client)
{
    if (!zkl_state_is_final(client->session.state) || client->end_said) return false;
    client->end_said = true;
    client->event = (struct zkl_event) { .kind = ZKL_EVENT_END };
    return true;
}

/* The order of this function is the order of the stream. */
static bool produce(struct zkl_client *client)
{
    struct zkl_session *session = &client->session;
    for (;;) {
        if (zkl_session_take_news(session, &client->event)) return true;
        if (zkl_pendings_take_early(&client->pendings, &client->event)) return true;
        if (produce_lost(client, &client->pendings.lost, ZKL_CODE_CONNECTIONLOSS)) return true;
        if (produce_lost(client, &client->pendings.ended, client->pendings.ended_code)) return true;
        if (zkl_state_is_final(session->state)) return produce_end(client);
        if (produce_from_frames(client, session->main)) return true;
        if (session->news_count > 0) continue;
        if (produce_gap(client)) return true;
        if (produce_from_frames(client, zkl_session_probe(session))) return true;
        if (session->news_count > 0) continue;
        if (lose_ended_link(client) || end_close(client)) continue;
        if (run_timers(client)) continue;
        return produce_timeout(client);
    }
}

const struct zkl_event *zkl_client_peek_event(struct zkl_client *client)
{
    if (client->event_ready) return &client->event;
    client->event_ready = produce(client);
    if (!client->event_ready) client->event = (struct zkl_event) { .kind = ZKL_EVENT_NONE };
    return &client->event;
}

void zkl_client_pop_event(struct zkl_client *client)
{
    if (!client->event_ready) return;
    client->event_ready = false;
    if (client->held_link != ZKL_LINK_COUNT) {
        zkl_buffer_let_go(&client->links[client->held_link].input);
        client->held_link = ZKL_LINK_COUNT;
    }
    if (client->pinned != NULL) {
        zkl_watches_unpin(&client->watches, client->pinned);
        client->pinned = NULL;
    }
}

/* --- time ------------------------------------------------------------------------- */

static bool something_waits(const struct zkl_client *client)
{
    const struct zkl_pendings *pendings = &client->pendings;
    return client->event_ready || client->session.news_count > 0 ||
           client->links[0].ended || client->links[1].ended ||
           !zkl_list_empty(&pendings->early) || !zkl_list_empty(&pendings->lost) ||
           !zkl_list_empty(&pendings->ended) ||
           (zkl_state_is_final(client->session.state) ? !client->end_said
                                                       : close_is_over(client));
}

int64_t zkl_client_deadline(const struct zkl_client *client)
{
    if (something_waits(client)) return client->now_ms;
    if (zkl_state_is_final(client->session.state)) return ZKL_NEVER;
    int64_t deadline_ms = zkl_session_deadline(&client->session, has_backlog(client));
    const struct zkl_heap_item *first = zkl_heap_first(&client->pendings.deadlines);
    if (first != NULL && first->deadline_ms < deadline_ms) deadline_ms = first->deadline_ms;
    return deadline_ms;
}

/* Nothing happens here: what is due becomes an event when its turn has come, after the
 * frames that were fed before. */
void zkl_client_tick(struct zkl_client *client, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
}
