/* The first frame of a connection: a session, a new one or one that comes back (server-semantics
 * 2.2). Nothing is answered before the session is durable, nor before one that is being closed
 * is gone: what a client is told here it may rely on. */
#include "server/internal.h"
#include "wire/reader.h"

static int32_t clamp_timeout(const struct zkl_server_options *options, int32_t timeout_ms)
{
    if (timeout_ms < options->session_timeout_min_ms) return options->session_timeout_min_ms;
    if (timeout_ms > options->session_timeout_max_ms) return options->session_timeout_max_ms;
    return timeout_ms;
}

static void refuse_session(struct zkl_connection *connection, int64_t session_id)
{
    zkl_news(connection->server, ZKL_NEWS_SESSION_REFUSED, connection, session_id, 0, NULL);
    zkl_reply_connect(connection, NULL);
    zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
}

/* Who holds the password takes the session over; the connection that had it ends at once, and
 * what it has sent but we have not taken is lost, as on any connection that breaks. */
static void reattach(struct zkl_connection *connection, struct zkl_session *session,
                     int32_t timeout_ms)
{
    struct zkl_server *server = connection->server;
    server->tally.came_back++;
    if (session->connection != NULL) {
        zkl_news(server, ZKL_NEWS_SESSION_MOVED, connection, session->id, timeout_ms, NULL);
        zkl_connection_end(session->connection, ZKL_CLOSE_AT_ONCE);
    }
    session->timeout_ms = timeout_ms;
    zkl_sessions_touch(&server->sessions, session, server->clock.now_ms);
    zkl_connection_attach(connection, session);
}

/* The password is looked at before anything happens to the session, and whether the session
 * exists takes no part in how long that takes. */
static void take_session(struct zkl_connection *connection,
                         const struct zkl_connect_request *record, int32_t timeout_ms)
{
    struct zkl_server *server = connection->server;
    uint8_t password[ZKL_PASSWORD_SIZE];
    zkl_session_password(&server->options, record->session_id, password);
    bool known = zkl_session_password_equal(record->password, password);
    struct zkl_session *session = zkl_sessions_find(&server->sessions, record->session_id);
    if (!known || session == NULL) {
        refuse_session(connection, record->session_id);
    } else if (session->closing) { /* not durable yet: who is told "expired" may rely on it */
        connection->session_id = session->id;
        connection->phase = ZKL_PHASE_ATTACHING;
        zkl_list_push(&session->close_waiters, &connection->waiting);
    } else {
        reattach(connection, session, timeout_ms);
    }
}

void zkl_handshake_session_gone(struct zkl_connection *connection)
{
    int64_t session_id = connection->session_id;
    connection->session_id = 0;
    refuse_session(connection, session_id);
}

void zkl_handshake_take(struct zkl_connection *connection, struct zkl_slice body)
{
    struct zkl_server *server = connection->server;
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_connect_request record;
    zkl_connect_request_read(&reader, &record);
    if (reader.failed) {
        zkl_connection_refuse(connection, (int64_t)body.size,
                              "the first frame is no ConnectRequest");
        return;
    }
    connection->old_client = !record.has_readonly;
    server->tally.handshakes++;
    if (record.last_zxid_seen > server->zxid) {
        zkl_news(server, ZKL_NEWS_AHEAD, connection, record.session_id, record.last_zxid_seen,
                 NULL);
        zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
        return;
    }
    int32_t timeout_ms = clamp_timeout(&server->options, record.timeout_ms);
    if (record.session_id != 0) {
        take_session(connection, &record, timeout_ms);
        return;
    }
    if (zkl_prep_create_session(server, connection, timeout_ms, server->clock) != ZKL_OK) {
        zkl_connection_starve(connection, "no memory for its session");
        return;
    }
    connection->phase = ZKL_PHASE_ATTACHING;
    zkl_connection_asks(connection);
}
