/* The public calls. They only note what happened; events.c decides what follows. */
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
    if (zkl_client_close_is_next(client)) {
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
    } else if (zkl_client_close_is_next(client)) {
        ZKL_ASSERT(size <= client->close_left);
        client->close_left -= size;
        if (client->close_left == 0) client->frames_out++;
    } else {
        zkl_pendings_sent(&client->pendings, size, client->now_ms, &client->frames_out);
    }
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

void zkl_client_release_watch(struct zkl_client *client, struct zkl_watch *watch, uint32_t kind)
{
    if (!zkl_watches_unwatch(&client->watches, watch, kind)) return;
    /* Out of memory, or full: its events will be dropped here instead. */
    if (zkl_session_is_ready(&client->session) && !client->session.closing) {
        struct zkl_slice server_path = { watch->path, watch->path_size };
        (void)zkl_client_queue_remove_watches(client, server_path);
    }
    zkl_watches_drop(&client->watches, watch);
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
    if (watch != NULL) zkl_client_release_watch(client, watch, kind);
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
