/* What is written beside requests, and what the end of a link or of the session means for
 * all parts. */
#include <string.h>

#include "client/internal.h"

/* --- handshake and ping ------------------------------------------------------ */

/* A frame into the prelude, measured first. false: no memory, and the link will be lost. */
static bool write_request(struct zkl_client *client, size_t index, int32_t xid,
                          const struct zkl_request *request)
{
    struct zkl_buffer *prelude = &client->links[index].prelude;
    struct zkl_request_header header = { xid, request->op };
    struct zkl_writer writer = { NULL, 0, 0 };
    zkl_request_write(&writer, request);
    size_t size = 4 + ZKL_REQUEST_HEADER_SIZE + writer.size;
    if (!zkl_buffer_reserve(prelude, size)) {
        zkl_client_fail_link(client, index, ZKL_REASON_NOMEM, "no memory for a request", false);
        return false;
    }
    writer = (struct zkl_writer) { zkl_buffer_end(prelude), size, 0 };
    size_t start = zkl_frame_begin(&writer);
    zkl_request_header_write(&writer, &header);
    zkl_request_write(&writer, request);
    zkl_frame_end(&writer, start);
    ZKL_ASSERT(writer.size == size);
    zkl_buffer_commit(prelude, size);
    client->frames_out++;
    return true;
}

void zkl_client_send_handshake(struct zkl_client *client, size_t index)
{
    struct zkl_session *session = &client->session;
    struct zkl_link *link = &client->links[index];
    static const uint8_t no_password[ZKL_PASSWORD_SIZE];
    int64_t asked_id = session->attempts[index].asked_id;
    const uint8_t *password = asked_id != 0 ? session->password : no_password;
    struct zkl_connect_request request = {
        .last_zxid_seen = session->last_zxid,
        .timeout_ms = session->asked_timeout_ms,
        .session_id = asked_id,
        .password = { password, ZKL_PASSWORD_SIZE },
        .readonly = session->readonly_allowed && index == session->main,
        .has_readonly = true,
    };
    link->asked_zxid = session->last_zxid;
    uint8_t bytes[64];
    struct zkl_writer writer = { bytes, sizeof bytes, 0 };
    size_t start = zkl_frame_begin(&writer);
    zkl_connect_request_write(&writer, &request);
    zkl_frame_end(&writer, start);
    ZKL_ASSERT(zkl_writer_fits(&writer));
    if (!zkl_buffer_append(&link->prelude, bytes, writer.size)) {
        zkl_client_fail_link(client, index, ZKL_REASON_NOMEM, "no memory for the handshake", false);
        return;
    }
    client->frames_out++;
}

void zkl_client_send_ping(struct zkl_client *client)
{
    size_t main = client->session.main;
    struct zkl_request request = { .op = ZKL_OP_PING };
    if (!write_request(client, main, ZKL_XID_PING, &request)) return;
    client->session.attempts[main].ping_ms = client->now_ms;
}

/* --- AUTH and REARM ----------------------------------------------------------- */

static bool send_credentials(struct zkl_client *client)
{
    size_t main = client->session.main;
    struct zkl_credential *credential;
    while ((credential = zkl_auth_unsent(&client->auth)) != NULL) {
        struct zkl_request request;
        zkl_credential_request(credential, &request);
        if (!write_request(client, main, ZKL_XID_AUTH, &request)) return false;
        zkl_auth_sent(&client->auth, credential);
    }
    return true;
}

/* One frame of at most 128 KiB of paths: a frame over the server's limit would cost this
 * link and every one after it. All pieces carry the zxid of the ConnectRequest, because
 * that is what the server has to compare with. */
static bool send_watches(struct zkl_client *client)
{
    struct zkl_watches *watches = &client->watches;
    size_t main = client->session.main;
    size_t size = zkl_watches_piece_size(watches, ZKL_REARM_PATH_BYTES_MAX);
    if (!zkl_buffer_reserve(&client->scratch, size)) {
        zkl_client_fail_link(client, main, ZKL_REASON_NOMEM, "no memory for setWatches", false);
        return false;
    }
    struct zkl_request request = {
        .op = watches->lasting_count > 0 ? ZKL_OP_SET_WATCHES2 : ZKL_OP_SET_WATCHES,
        .zxid = client->links[main].asked_zxid,
    };
    struct zkl_writer writer = { zkl_buffer_end(&client->scratch), size, 0 };
    zkl_watches_take_piece(watches, ZKL_REARM_PATH_BYTES_MAX, zkl_client_main_link(client),
                           &writer, request.watches);
    bool written = write_request(client, main, ZKL_XID_SET_WATCHES, &request);
    zkl_buffer_clear(&client->scratch);
    if (!written) return false;
    client->rearm_count++;
    return true;
}

void zkl_client_advance(struct zkl_client *client)
{
    struct zkl_attempt *attempt = &client->session.attempts[client->session.main];
    struct zkl_link *link = &client->links[client->session.main];
    /* Only into an empty prelude: what the driver was shown must not move. */
    while (!link->ended && zkl_buffer_size(&link->prelude) == 0) {
        if (attempt->phase != ZKL_PHASE_AUTH && attempt->phase != ZKL_PHASE_REARM) return;
        if (zkl_auth_unsent(&client->auth) != NULL) {
            if (!send_credentials(client)) return;
        } else if (client->auth.unanswered_count > 0) {
            return;
        } else if (attempt->phase == ZKL_PHASE_AUTH) {
            attempt->phase = ZKL_PHASE_REARM;
        } else if (!zkl_list_empty(&client->watches.unasked)) {
            if (!send_watches(client)) return;
        } else {
            zkl_session_ready(&client->session, client->now_ms);
        }
    }
    /* The last piece is on its way: requests may follow behind it. */
    if (!link->ended && attempt->phase == ZKL_PHASE_REARM && client->auth.unanswered_count == 0 &&
        zkl_auth_unsent(&client->auth) == NULL && zkl_list_empty(&client->watches.unasked)) {
        zkl_session_ready(&client->session, client->now_ms);
    }
}

/* --- the end of a link --------------------------------------------------------- */

void zkl_client_fail_link(struct zkl_client *client, size_t index, enum zkl_reason reason,
                          const char *detail, bool at_once)
{
    struct zkl_link *link = &client->links[index];
    if (at_once) zkl_buffer_clear(&link->input);
    if (link->ended && !at_once) return; /* the first reason is the cause */
    link->ended = true;
    link->reason = reason;
    link->detail = detail;
}

static void reset_link(struct zkl_link *link)
{
    zkl_buffer_clear(&link->input);
    zkl_buffer_clear(&link->prelude);
    link->ended = false;
    link->reason = ZKL_REASON_NONE;
    link->detail = NULL;
}

/* Credentials go with the next handshake; those that waited among the requests leave. */
static void requeue_credentials(struct zkl_client *client)
{
    struct zkl_auth *auth = &client->auth;
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        struct zkl_credential *credential = ZKL_LIST_ELEMENT(at, struct zkl_credential, link);
        struct zkl_pending *pending = credential->pending;
        if (pending != NULL && pending->place != ZKL_PLACE_NONE) {
            zkl_pendings_leave(&client->pendings, pending);
        }
    }
    zkl_auth_forget_server(auth);
}

void zkl_client_main_gone(struct zkl_client *client, size_t index)
{
    reset_link(&client->links[index]);
    zkl_pendings_lose(&client->pendings);
    requeue_credentials(client);
    zkl_watches_forget_server(&client->watches);
    client->rearm_count = 0;
    client->close_left = ZKL_CLOSE_FRAME_SIZE;
}

/* Without a link there is nothing to close the session with: it is left to expire, unless
 * requests wait that were promised an answer and may still have one. */
bool zkl_client_close_waits(const struct zkl_client *client)
{
    return zkl_session_lives(&client->session) && client->pendings.open_count > 0 &&
           client->now_ms < client->session.close_deadline_ms;
}

void zkl_client_lose_link(struct zkl_client *client, size_t index)
{
    struct zkl_session *session = &client->session;
    enum zkl_reason reason = client->links[index].reason;
    const char *detail = client->links[index].detail;
    if (reason == ZKL_REASON_DRIVER && session->attempts[index].phase == ZKL_PHASE_HANDSHAKE) {
        reason = ZKL_REASON_REFUSED;
    }
    if (index != session->main) {
        reset_link(&client->links[index]);
        zkl_session_lost(session, index, reason, detail, false, client->now_ms);
        return;
    }
    zkl_client_main_gone(client, index);
    reset_link(&client->links[zkl_session_probe(session)]);
    bool again = !session->closing || zkl_client_close_waits(client);
    zkl_session_lost(session, index, reason, detail, again, client->now_ms);
    if (!again) zkl_client_finish(client, ZKL_CLOSED, ZKL_REASON_CLOSE, detail);
}

static int32_t final_code(enum zkl_state state)
{
    switch (state) {
    case ZKL_EXPIRED:
        return ZKL_CODE_SESSIONEXPIRED;
    case ZKL_AUTH_FAILED:
        return ZKL_CODE_AUTHFAILED;
    default:
        return ZKL_CODE_CLOSED;
    }
}

void zkl_client_finish(struct zkl_client *client, enum zkl_state state, enum zkl_reason reason,
                       const char *detail)
{
    int32_t code = final_code(state);
    zkl_session_end(&client->session, state, reason, detail);
    for (size_t i = 0; i < ZKL_LINK_COUNT; i++) reset_link(&client->links[i]);
    requeue_credentials(client);
    struct zkl_auth *auth = &client->auth;
    for (struct zkl_list *at = auth->list.next; at != &auth->list; at = at->next) {
        struct zkl_credential *credential = ZKL_LIST_ELEMENT(at, struct zkl_credential, link);
        if (credential->pending == NULL) continue;
        zkl_pendings_answer_early(&client->pendings, credential->pending, code);
        credential->pending = NULL;
    }
    /* What was sent has the final code too: the session's fate says more than the link's. */
    zkl_list_join(&client->pendings.ended, &client->pendings.sent);
    zkl_pendings_end(&client->pendings, code);
    client->rearm_count = 0;
}
