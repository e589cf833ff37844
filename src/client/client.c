/* The public calls, and the order in which things become events. The calls only note what
 * happened; `produce` alone decides what follows, one event at a time, so that nothing can
 * overtake anything. */
#include <string.h>

#include "base/memory.h"
#include "client/internal.h"

/* --- birth and death ---------------------------------------------------------- */

static bool start(struct zkl_client *client, const struct zkl_client_options *options)
{
    if (options->chroot.size > 0) {
        uint8_t *chroot = zkl_allocate(&client->allocator, options->chroot.size);
        if (chroot == NULL) return false;
        memcpy(chroot, options->chroot.base, options->chroot.size);
        client->chroot = (struct zkl_slice) { chroot, options->chroot.size };
    }
    struct zkl_session *session = &client->session;
    size_t current = ZKL_ENDPOINT_NONE;
    bool move;
    int status = zkl_endpoints_replace(&session->endpoints, options->endpoints,
                                       options->endpoint_count, &session->random, &current, &move);
    if (status != ZKL_OK) return false;
    /* Handshake and ping then always have room. */
    return zkl_buffer_reserve(&client->links[0].prelude, ZKL_BUFFER_CAPACITY_MIN / 2);
}

static bool usable(const struct zkl_client_options *options)
{
    if (options->session_timeout_ms <= 0) return false;
    if (options->chroot.size == 0) return true;
    return options->chroot.size > 1 && zkl_path_check(options->chroot, false) == NULL;
}

static size_t or_default(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

struct zkl_client *zkl_client_new(const struct zkl_client_options *options, int64_t now_ms)
{
    if (!usable(options)) return NULL;
    struct zkl_client *client = zkl_allocate(&options->allocator, sizeof *client);
    if (client == NULL) return NULL;
    *client = (struct zkl_client) {
        .allocator = options->allocator,
        .reply_size_max = or_default(options->reply_size_max, ZKL_REPLY_SIZE_MAX_DEFAULT),
        .request_size_max = or_default(options->request_size_max, ZKL_REQUEST_SIZE_MAX_DEFAULT),
        .output_size_max = or_default(options->output_size_max, ZKL_OUTPUT_SIZE_MAX_DEFAULT),
        .now_ms = now_ms,
        .held_link = ZKL_LINK_COUNT,
        .close_left = ZKL_CLOSE_FRAME_SIZE,
    };
    struct zkl_session *session = &client->session;
    session->random.state = options->seed;
    session->asked_timeout_ms = session->timeout_ms = options->session_timeout_ms;
    session->readonly_allowed = options->readonly_allowed;
    session->id = options->session_id;
    session->real = options->session_id != 0;
    memcpy(session->password, options->session_password, ZKL_PASSWORD_SIZE);

    const struct zkl_allocator *allocator = &client->allocator;
    zkl_endpoints_init(&session->endpoints, allocator);
    zkl_pendings_init(&client->pendings, allocator,
                      or_default(options->pending_max, ZKL_PENDING_MAX_DEFAULT));
    zkl_watches_init(&client->watches, allocator,
                     or_default(options->watch_max, ZKL_WATCH_MAX_DEFAULT),
                     zkl_random_next(&session->random));
    zkl_auth_init(&client->auth, allocator);
    zkl_buffer_init(&client->scratch, allocator);
    for (size_t i = 0; i < ZKL_LINK_COUNT; i++) {
        zkl_buffer_init(&client->links[i].input, allocator);
        zkl_buffer_init(&client->links[i].prelude, allocator);
    }
    if (!start(client, options)) {
        zkl_client_free(client);
        return NULL;
    }
    zkl_session_start(session, now_ms);
    return client;
}

void zkl_client_free(struct zkl_client *client)
{
    if (client == NULL) return;
    struct zkl_auth *auth = &client->auth;
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        /* One that is not among the requests belongs to its credential. */
        struct zkl_pending *pending =
            ZKL_LIST_ELEMENT(at, struct zkl_credential, link)->pending;
        if (pending == NULL || pending->place != ZKL_PLACE_NONE) continue;
        zkl_release(&client->allocator, pending, sizeof *pending);
    }
    zkl_auth_free(auth);
    zkl_pendings_free(&client->pendings);
    zkl_watches_free(&client->watches);
    zkl_endpoints_free(&client->session.endpoints);
    zkl_buffer_free(&client->scratch);
    for (size_t i = 0; i < ZKL_LINK_COUNT; i++) {
        zkl_buffer_free(&client->links[i].input);
        zkl_buffer_free(&client->links[i].prelude);
    }
    if (client->chroot.size > 0) {
        zkl_release(&client->allocator, (void *)(uintptr_t)client->chroot.base,
                    client->chroot.size);
    }
    struct zkl_allocator allocator = client->allocator;
    zkl_release(&allocator, client, sizeof *client);
}

/* --- links ---------------------------------------------------------------------- */

/* ZKL_LINK_COUNT: a link that was given up, or that is on its way out. */
static size_t find_link(const struct zkl_client *client, uint32_t link)
{
    for (size_t i = 0; i < ZKL_LINK_COUNT; i++) {
        const struct zkl_attempt *attempt = &client->session.attempts[i];
        if (attempt->phase == ZKL_PHASE_NONE || attempt->link != link) continue;
        return client->links[i].ended ? ZKL_LINK_COUNT : i;
    }
    return ZKL_LINK_COUNT;
}

void zkl_client_connected(struct zkl_client *client, uint32_t link, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    size_t index = find_link(client, link);
    if (index == ZKL_LINK_COUNT) return;
    if (client->session.attempts[index].phase != ZKL_PHASE_OPENING) return;
    zkl_session_opened(&client->session, index, client->now_ms);
    zkl_client_send_handshake(client, index);
}

void zkl_client_disconnected(struct zkl_client *client, uint32_t link, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    size_t index = find_link(client, link);
    if (index == ZKL_LINK_COUNT) return;
    zkl_client_fail_link(client, index, ZKL_REASON_DRIVER, NULL, false);
}

int zkl_client_feed(struct zkl_client *client, uint32_t link, const void *bytes, size_t size,
                    int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    size_t index = find_link(client, link);
    if (index == ZKL_LINK_COUNT || size == 0) return ZKL_OK;
    if (!zkl_buffer_append(&client->links[index].input, bytes, size)) return ZKL_E_NOMEM;
    client->bytes_in += size;
    zkl_session_heard(&client->session, index, client->now_ms);
    return ZKL_OK;
}

/* closeSession goes behind everything else. */
static bool close_is_next(const struct zkl_client *client)
{
    return client->close_queued && client->close_left > 0 &&
           zkl_list_empty(&client->pendings.queue);
}

struct zkl_slice zkl_client_output(struct zkl_client *client, uint32_t link)
{
    struct zkl_slice nothing = { NULL, 0 };
    size_t index = find_link(client, link);
    if (index == ZKL_LINK_COUNT) return nothing;
    const struct zkl_buffer *prelude = &client->links[index].prelude;
    if (zkl_buffer_size(prelude) > 0) {
        return (struct zkl_slice) { zkl_buffer_start(prelude), zkl_buffer_size(prelude) };
    }
    if (client->session.attempts[index].phase != ZKL_PHASE_READY) return nothing;
    if (close_is_next(client)) {
        size_t done = ZKL_CLOSE_FRAME_SIZE - client->close_left;
        return (struct zkl_slice) { client->close_frame + done, client->close_left };
    }
    return zkl_pendings_output(&client->pendings);
}

void zkl_client_sent(struct zkl_client *client, uint32_t link, size_t size, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    size_t index = find_link(client, link);
    if (index == ZKL_LINK_COUNT || size == 0) return;
    client->bytes_out += size;
    zkl_session_sent(&client->session, index, client->now_ms);
    struct zkl_buffer *prelude = &client->links[index].prelude;
    if (zkl_buffer_size(prelude) > 0) {
        zkl_buffer_consume(prelude, size);
        if (index == client->session.main) zkl_client_advance(client);
    } else if (close_is_next(client)) {
        ZKL_ASSERT(size <= client->close_left);
        client->close_left -= size;
        if (client->close_left == 0) client->frames_out++;
    } else {
        zkl_pendings_sent(&client->pendings, size, client->now_ms, &client->frames_out);
    }
}

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
            (!zkl_list_empty(&client->pendings.queue) || close_is_next(client)));
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

void zkl_client_tick(struct zkl_client *client, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
}

/* --- requests ----------------------------------------------------------------------- */

static void forget_credential(struct zkl_client *client, struct zkl_pending *pending)
{
    struct zkl_credential *credential = pending->credential;
    credential->pending = NULL;
    pending->credential = NULL;
    /* One that no server has seen is as if it had never been given. */
    if (!credential->sent || pending->place == ZKL_PLACE_QUEUE) {
        zkl_auth_remove(&client->auth, credential);
    }
}

/* Answers a request before its time: by its deadline if that has passed, else cancelled. */
void zkl_client_cancel(struct zkl_client *client, int32_t xid, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    struct zkl_pending *pending = zkl_pendings_find(&client->pendings, xid);
    if (pending == NULL) return;
    bool due = pending == zkl_pendings_due(&client->pendings, client->now_ms);
    bool sent = pending->place == ZKL_PLACE_SHOWN || pending->place == ZKL_PLACE_SENT;
    if (pending->one_way && pending->place == ZKL_PLACE_NONE) sent = pending->credential->sent;
    int32_t code = !sent ? ZKL_CODE_NOTCONNECTED : due ? ZKL_CODE_TIMEOUT : ZKL_CODE_CANCELLED;
    bool unsent = pending->place == ZKL_PLACE_QUEUE;
    if (pending->one_way) forget_credential(client, pending);
    zkl_pendings_answer_early(&client->pendings, pending, code);
    if (unsent) {
        zkl_client_settle_watch(client, pending, 0);
        zkl_pendings_leave(&client->pendings, pending);
    }
}

void zkl_client_unwatch(struct zkl_client *client, struct zkl_slice path, uint32_t kind,
                        int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    bool one_kind = kind != 0 && (kind & (kind - 1)) == 0 && kind <= ZKL_KIND_RECURSIVE;
    if (!one_kind) return;
    int32_t op = kind == ZKL_KIND_DATA ? ZKL_OP_GET_DATA : ZKL_OP_EXISTS;
    struct zkl_slice prefix = zkl_client_prefix(client, op, path);
    if (prefix.size > 0 && path.size == 1) path.size = 0; /* "/" is the chroot itself */
    struct zkl_watch *watch = zkl_watches_find(&client->watches, prefix, path);
    if (watch == NULL || !zkl_watches_unwatch(&client->watches, watch, kind)) return;
    /* Out of memory, or full: its events will be dropped here instead. */
    if (zkl_session_is_ready(&client->session) && !client->session.closing) {
        struct zkl_slice server_path = { watch->path, watch->path_size };
        (void)zkl_client_queue_remove_watches(client, server_path);
    }
    zkl_watches_drop(&client->watches, watch);
}

bool zkl_client_strip_chroot(const struct zkl_client *client, struct zkl_slice *path)
{
    struct zkl_slice chroot = client->chroot;
    if (chroot.size == 0) return true;
    if (path->size < chroot.size || memcmp(path->base, chroot.base, chroot.size) != 0) return false;
    if (path->size == chroot.size) {
        *path = (struct zkl_slice) { (const uint8_t *)"/", 1 };
        return true;
    }
    if (path->base[chroot.size] != '/') return false; /* "/apple" is not in "/app" */
    path->base += chroot.size;
    path->size -= chroot.size;
    return true;
}

/* --- close, and a new list of servers ----------------------------------------------- */

void zkl_client_close(struct zkl_client *client, int64_t now_ms, int64_t deadline_ms)
{
    zkl_client_note_time(client, now_ms);
    struct zkl_session *session = &client->session;
    if (session->closing || zkl_state_is_final(session->state)) return;
    session->closing = true;
    session->close_deadline_ms = deadline_ms;
    session->probe_ms = ZKL_NEVER;

    client->close_queued = true;
    client->close_xid = client->pendings.next_xid;
    struct zkl_request_header header = { client->close_xid, ZKL_OP_CLOSE_SESSION };
    struct zkl_writer writer = { client->close_frame, ZKL_CLOSE_FRAME_SIZE, 0 };
    size_t at = zkl_frame_begin(&writer);
    zkl_request_header_write(&writer, &header);
    zkl_frame_end(&writer, at);
    ZKL_ASSERT(writer.size == ZKL_CLOSE_FRAME_SIZE);
}

int zkl_client_set_endpoints(struct zkl_client *client, const struct zkl_slice *endpoints,
                             size_t count, int64_t now_ms)
{
    zkl_client_note_time(client, now_ms);
    struct zkl_session *session = &client->session;
    if (zkl_state_is_final(session->state)) return ZKL_E_ENDED;
    bool move;
    int status = zkl_session_set_endpoints(session, endpoints, count, &move);
    if (status != ZKL_OK) return status;
    size_t probe = zkl_session_probe(session);
    const char *detail = "the list of servers has changed";
    if (session->attempts[probe].phase != ZKL_PHASE_NONE) {
        zkl_client_fail_link(client, probe, ZKL_REASON_REBALANCE, detail, false);
    }
    if (move) {
        zkl_client_fail_link(client, session->main, ZKL_REASON_REBALANCE, detail, false);
    }
    if (client->event_ready && client->event.kind == ZKL_EVENT_CONNECT) {
        client->event.endpoint = session->attempts[session->main].endpoint;
    }
    return ZKL_OK;
}

/* --- to look at ------------------------------------------------------------------------ */

void zkl_client_info(const struct zkl_client *client, struct zkl_client_info *info)
{
    const struct zkl_session *session = &client->session;
    *info = (struct zkl_client_info) {
        .state = session->state,
        .session_id = session->id,
        .session_timeout_ms = session->timeout_ms,
        .last_zxid = session->last_zxid,
        .valid_until_ms = session->valid_until_ms,
        .endpoint = session->attempts[session->main].endpoint,
        .pending_count = client->pendings.open_count,
        .watch_count = client->watches.pair_count,
        .bytes_in = client->bytes_in,
        .bytes_out = client->bytes_out,
        .frames_in = client->frames_in,
        .frames_out = client->frames_out,
        .attempts = session->attempt_count,
        .attaches = session->attach_count,
    };
    memcpy(info->session_password, session->password, ZKL_PASSWORD_SIZE);
}
