/* Taking frames in. Everything here was written by the peer: what does not follow the
 * protocol costs it the link. */
#include <string.h>

#include "client/internal.h"

/* --- answering -------------------------------------------------------------- */

void zkl_client_settle_watch(struct zkl_client *client, struct zkl_pending *pending,
                             uint32_t kind)
{
    if (pending->watch == NULL) return;
    zkl_watches_settle(&client->watches, pending->watch, pending->watch_kind, kind);
    pending->watch = NULL;
}

void zkl_client_reply(struct zkl_client *client, struct zkl_pending *pending, int32_t code)
{
    client->event = (struct zkl_event) {
        .kind = ZKL_EVENT_REPLY,
        .xid = pending->xid,
        .user = pending->user,
        .code = code,
        .result = { .op = pending->op },
    };
    zkl_pendings_close(&client->pendings, pending);
    zkl_pendings_leave(&client->pendings, pending);
}

/* The event's slices point into the link's input. */
static void hold_input(struct zkl_client *client, size_t index)
{
    zkl_buffer_hold(&client->links[index].input);
    client->held_link = index;
}

static bool fail(struct zkl_client *client, size_t index, const char *detail)
{
    zkl_client_fail_link(client, index, ZKL_REASON_PROTOCOL, detail, true);
    return false;
}

/* --- handshake -------------------------------------------------------------- */

static bool take_connect_response(struct zkl_client *client, size_t index, struct zkl_slice body)
{
    if (body.size == ZKL_REPLY_HEADER_SIZE) {
        const char *detail = "an error instead of a session, as read-only servers answer";
        zkl_client_fail_link(client, index, ZKL_REASON_REFUSED, detail, true);
        return false;
    }
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_connect_response response;
    zkl_connect_response_read(&reader, &response);
    if (reader.failed) return fail(client, index, "the first answer is not a ConnectResponse");

    size_t main = client->session.main;
    const char *detail = NULL;
    switch (zkl_session_answered(&client->session, index, &response, client->now_ms, &detail)) {
    case ZKL_GRANTED:
        if (index != main) zkl_client_main_gone(client, main);
        zkl_client_advance(client);
        break;
    case ZKL_REFUSED:
        zkl_client_fail_link(client, index, ZKL_REASON_REFUSED, detail, true);
        break;
    case ZKL_DISOWNED:
        zkl_client_finish(client, ZKL_EXPIRED, ZKL_REASON_EXPIRED, detail);
        break;
    }
    return false;
}

/* --- out of band ------------------------------------------------------------ */

static bool take_watch_event(struct zkl_client *client, size_t index, struct zkl_reader *reader,
                             int64_t zxid)
{
    struct zkl_watch_event record;
    zkl_watch_event_read(reader, &record);
    if (reader->failed || reader->at != reader->end) {
        return fail(client, index, "a watch event that is not one record");
    }
    if (record.path.size == 0 || record.path.base[0] != '/') {
        return fail(client, index, "a watch event without a path");
    }
    if (client->session.attempts[index].phase < ZKL_PHASE_REARM) {
        return fail(client, index, "a watch event before anything was watched");
    }
    uint32_t kinds = zkl_watches_match(&client->watches, record.path, record.type);
    if (kinds == 0) return false; /* normal after unwatch */
    client->event = (struct zkl_event) {
        .kind = ZKL_EVENT_WATCH,
        .type = record.type,
        .kinds = kinds,
        .path = record.path,
        .zxid = zxid > 0 ? zxid : 0,
    };
    /* /zookeeper/config is outside of every chroot, and shown as it is. */
    (void)zkl_client_strip_chroot(client, &client->event.path);
    hold_input(client, index);
    return true;
}

static bool take_pong(struct zkl_client *client, size_t index)
{
    struct zkl_attempt *attempt = &client->session.attempts[index];
    if (attempt->ping_ms == ZKL_NEVER) return fail(client, index, "an answer to no ping");
    zkl_session_answered_at(&client->session, attempt->ping_ms);
    attempt->ping_ms = ZKL_NEVER;
    return false;
}

static bool take_auth_answer(struct zkl_client *client, size_t index, int32_t code)
{
    struct zkl_credential *credential = zkl_auth_take_answer(&client->auth);
    if (credential == NULL) return fail(client, index, "an answer to no credential");
    struct zkl_pending *pending = credential->pending;
    if (pending != NULL && pending->place != ZKL_PLACE_NONE) {
        return fail(client, index, "an answer to a credential that was not sent");
    }
    credential->pending = NULL;
    if (code != ZKL_CODE_OK) {
        const char *detail = "the server refused a credential";
        zkl_client_finish(client, ZKL_AUTH_FAILED, ZKL_REASON_AUTH, detail);
        if (pending == NULL) return false;
        zkl_pendings_answer_early(&client->pendings, pending, code);
        return false;
    }
    zkl_auth_drop_if_double(&client->auth, credential);
    zkl_client_advance(client);
    if (pending == NULL) return false;
    zkl_client_reply(client, pending, ZKL_CODE_OK);
    return true;
}

static bool take_rearm_answer(struct zkl_client *client, size_t index, int32_t code)
{
    if (client->rearm_count == 0) return fail(client, index, "an answer to no setWatches");
    if (code != ZKL_CODE_OK) return fail(client, index, "the server refused to set watches again");
    client->rearm_count--;
    return false;
}

/* --- replies ---------------------------------------------------------------- */

/* Paths inside results become the client's. false: the server named a path that it was not
 * asked about. */
static bool localize(const struct zkl_client *client, struct zkl_result *result)
{
    switch (result->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_SYNC:
        if (result->path.size == 0 || result->path.base[0] != '/') return false;
        return zkl_client_strip_chroot(client, &result->path);
    default:
        return true;
    }
}

/* The kind of watch that the server has set along with this answer, 0 for none. */
static uint32_t watch_set(const struct zkl_pending *pending, int32_t code)
{
    if (code == ZKL_CODE_OK) return pending->watch_kind;
    if (code == ZKL_CODE_NONODE && pending->op == ZKL_OP_EXISTS) return ZKL_KIND_EXIST;
    return 0;
}

static void register_watch(struct zkl_client *client, struct zkl_pending *pending, int32_t code)
{
    struct zkl_watch *watch = pending->watch;
    if (watch == NULL) return;
    uint32_t kind = watch_set(pending, code);
    uint32_t link = zkl_client_main_link(client);
    if (kind & ZKL_KINDS_LASTING) zkl_watch_armed(watch, link, kind);
    bool served = pending->flagged || kind == 0 || zkl_watch_is_served(watch, link, kind);
    zkl_client_settle_watch(client, pending, kind);
    if (kind != 0 && pending->answered) { /* its caller has gone */
        zkl_client_release_watch(client, watch, kind);
    } else if (!served) {
        /* It was sent without a flag because of a lasting watch that is not there after all. */
        zkl_watches_missed(&client->watches, watch, kind);
    }
}

/* An answer that says where the session stands, and what follows for the link. */
static int32_t judge_code(struct zkl_client *client, size_t index, int32_t code)
{
    if (code == ZKL_CODE_UNKNOWNSESSION) code = ZKL_CODE_SESSIONEXPIRED;
    if (code == ZKL_CODE_SESSIONEXPIRED || code == ZKL_CODE_SESSIONMOVED) {
        /* Only a ConnectResponse proves it: ask. */
        zkl_client_fail_link(client, index, ZKL_REASON_REFUSED,
                             "a reply says that the session has moved or ended", false);
    }
    return code;
}

/* Codes with a meaning that only we can vouch for ("surely not sent"). */
static bool is_our_own(int32_t code)
{
    return code <= ZKL_CODE_TIMEOUT && code >= ZKL_CODE_CLOSED;
}

static bool take_result(struct zkl_client *client, size_t index, struct zkl_reader *reader,
                        const struct zkl_reply_header *header, struct zkl_pending *pending)
{
    struct zkl_result result = { .op = pending->op };
    int32_t code = judge_code(client, index, header->code);
    bool malformed = is_our_own(code);
    if (code == ZKL_CODE_OK) {
        zkl_result_read(reader, pending->op, &result);
        result.op = pending->op;
        malformed = reader->failed || reader->at != reader->end || !localize(client, &result);
        if (pending->op == ZKL_OP_ADD_WATCH && !malformed) code = result.number;
    }
    if (malformed) {
        zkl_client_settle_watch(client, pending, 0);
        fail(client, index, "a reply that is not the record it should be");
        if (pending->answered) {
            zkl_pendings_leave(&client->pendings, pending);
            return false;
        }
        zkl_client_reply(client, pending, ZKL_CODE_MARSHALLINGERROR);
        return true;
    }
    int64_t *last_zxid = &client->session.last_zxid;
    if (header->zxid > *last_zxid) *last_zxid = header->zxid;
    register_watch(client, pending, code);
    if (pending->answered) { /* a late one: its caller has had an answer */
        zkl_pendings_leave(&client->pendings, pending);
        return false;
    }
    zkl_client_reply(client, pending, code);
    client->event.zxid = header->zxid > 0 ? header->zxid : 0;
    if (code == ZKL_CODE_OK) {
        client->event.result = result;
        hold_input(client, index);
    }
    return true;
}

static bool take_reply(struct zkl_client *client, size_t index, struct zkl_reader *reader,
                       const struct zkl_reply_header *header)
{
    struct zkl_session *session = &client->session;
    struct zkl_pending *pending = zkl_pendings_first(&client->pendings.sent);
    bool closed = pending == NULL && client->close_queued && client->close_left == 0 &&
                  header->xid == client->close_xid;
    if (!closed) {
        if (pending == NULL) return fail(client, index, "a reply to no request");
        if (header->xid != pending->xid) return fail(client, index, "a reply out of order");
    }
    if (closed) {
        zkl_client_finish(client, ZKL_CLOSED, ZKL_REASON_CLOSE, NULL);
        return false;
    }
    zkl_session_answered_at(session, pending->sent_ms);
    return take_result(client, index, reader, header, pending);
}

bool zkl_client_take_frame(struct zkl_client *client, size_t index, struct zkl_slice body)
{
    client->frames_in++;
    if (client->session.attempts[index].phase == ZKL_PHASE_HANDSHAKE) {
        return take_connect_response(client, index, body);
    }
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_reply_header header;
    zkl_reply_header_read(&reader, &header);
    if (reader.failed) return fail(client, index, "a frame too short for its header");
    switch (header.xid) {
    case ZKL_XID_NOTIFICATION:
        return take_watch_event(client, index, &reader, header.zxid);
    case ZKL_XID_PING:
        return take_pong(client, index);
    case ZKL_XID_AUTH:
        return take_auth_answer(client, index, header.code);
    case ZKL_XID_SET_WATCHES:
        return take_rearm_answer(client, index, header.code);
    default:
        if (header.xid <= 0) return fail(client, index, "a reply with an unknown xid");
        return take_reply(client, index, &reader, &header);
    }
}
