/* Bytes into requests: frames, the handshake, what kind of thing a request is, and the order of
 * answers.
 *
 * A write is prepared as soon as it is there; its answer comes with its proposal. Everything
 * else is answered at once unless an earlier request of its session is not answered yet: then
 * it is deferred until that one's proposal is applied. A sync is deferred behind all proposals
 * there are. So answers leave in the order of their requests, and nobody waits for another
 * session's disk. */
#include <string.h>

#include "base/memory.h"
#include "server/internal.h"
#include "wire/reader.h"

enum { LENGTH_SIZE = 4 };

static void refuse(struct zkl_connection *connection, int64_t number, const char *detail)
{
    zkl_news(connection->server, ZKL_NEWS_PROTOCOL, connection, connection->session_id, number,
             detail);
    zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
}

static void out_of_memory(struct zkl_connection *connection)
{
    zkl_news(connection->server, ZKL_NEWS_NOMEM, connection, connection->session_id, 0,
             "no memory for its request");
    zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
}

/* --- the handshake ----------------------------------------------------------------- */

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

void zkl_intake_session_gone(struct zkl_connection *connection)
{
    int64_t session_id = connection->session_id;
    connection->session_id = 0;
    refuse_session(connection, session_id);
}

static void take_handshake(struct zkl_connection *connection, struct zkl_slice body)
{
    struct zkl_server *server = connection->server;
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_connect_request record;
    zkl_connect_request_read(&reader, &record);
    if (reader.failed) {
        refuse(connection, (int64_t)body.size, "the first frame is no ConnectRequest");
        return;
    }
    connection->old_client = !record.has_readonly;
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
        out_of_memory(connection);
        return;
    }
    connection->phase = ZKL_PHASE_ATTACHING;
    zkl_connection_asks(connection);
}

/* --- the order of answers ------------------------------------------------------------- */

static struct zkl_deferred *last_deferred(const struct zkl_connection *connection)
{
    if (zkl_list_empty(&connection->deferred)) return NULL;
    return ZKL_LIST_ELEMENT(connection->deferred.previous, struct zkl_deferred, link);
}

/* What an answer has to wait for. false: nothing. `after` NULL with a zxid: that one is applied,
 * but what was deferred for it still is. */
struct turn {
    int64_t zxid;
    struct zkl_proposal *after;
};

static bool must_wait(const struct zkl_connection *connection, int32_t op, struct turn *turn)
{
    const struct zkl_server *server = connection->server;
    const struct zkl_deferred *last = last_deferred(connection);
    struct zkl_proposal *after = NULL;
    if (op == ZKL_OP_SYNC && !zkl_list_empty(&server->prep.proposals)) {
        after = ZKL_LIST_ELEMENT(server->prep.proposals.previous, struct zkl_proposal, link);
    } else if (connection->session->prepared_count > 0) { /* by an earlier connection too */
        after = ZKL_LIST_ELEMENT(connection->session->prepared.previous, struct zkl_proposal,
                                 on_session);
    }
    if (after == NULL && last == NULL) return false;
    if (last != NULL && (after == NULL || last->after_zxid >= after->header.zxid)) {
        turn->zxid = last->after_zxid;
        turn->after = last->after_zxid > server->zxid ? last->after : NULL;
    } else {
        turn->zxid = after->header.zxid;
        turn->after = after;
    }
    return true;
}

/* To be looked at when the first deferred one's proposal is applied. */
static void wait_for_first(struct zkl_connection *connection)
{
    if (zkl_list_empty(&connection->deferred)) return;
    struct zkl_deferred *first =
        ZKL_LIST_ELEMENT(connection->deferred.next, struct zkl_deferred, link);
    if (first->after_zxid <= connection->server->zxid) return; /* waits for output to be sent */
    if (zkl_list_empty(&connection->waiting)) {
        zkl_list_push(&first->after->waiters, &connection->waiting);
    }
}

/* NULL: out of memory, and the connection is ending. */
static struct zkl_deferred *defer(struct zkl_connection *connection, const struct turn *turn,
                                  enum zkl_deferred_kind kind, struct zkl_slice bytes)
{
    struct zkl_server *server = connection->server;
    struct zkl_deferred *deferred =
        zkl_allocate(&server->allocator, sizeof *deferred + bytes.size);
    if (deferred == NULL) {
        out_of_memory(connection);
        return NULL;
    }
    *deferred = (struct zkl_deferred) {
        .kind = kind, .after_zxid = turn->zxid, .after = turn->after, .size = bytes.size,
    };
    if (bytes.size > 0) memcpy(deferred->bytes, bytes.base, bytes.size);
    server->deferred_bytes += bytes.size;
    zkl_list_push(&connection->deferred, &deferred->link);
    zkl_connection_asks(connection);
    wait_for_first(connection);
    return deferred;
}

/* An answer that is a code alone and needs no transaction, in its turn; `ending` is then the
 * connection's. */
static void answer_code(struct zkl_connection *connection, int32_t xid, int32_t op, int32_t code,
                        enum zkl_ending ending)
{
    struct turn turn;
    if (!must_wait(connection, op, &turn)) {
        zkl_reply_header(connection, xid, code);
        if (ending != ZKL_STAYS) zkl_connection_end(connection, ending);
        return;
    }
    const struct zkl_slice none = { NULL, 0 };
    struct zkl_deferred *deferred = defer(connection, &turn, ZKL_DEFERRED_CODE, none);
    if (deferred == NULL) return;
    deferred->xid = xid;
    deferred->code = code;
    deferred->ending = ending;
}

static void serve(struct zkl_connection *connection, struct zkl_slice body)
{
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_request_header header;
    struct zkl_request request;
    zkl_request_header_read(&reader, &header);
    zkl_request_read(&reader, header.op, &request);
    if (reader.failed) {
        zkl_reply_header(connection, header.xid, ZKL_CODE_MARSHALLINGERROR);
    } else {
        bool served = zkl_read_serve(connection, header.xid, &request);
        ZKL_ASSERT(served);
    }
}

static void answer_deferred(struct zkl_connection *connection, const struct zkl_deferred *deferred)
{
    struct zkl_slice bytes = { deferred->bytes, deferred->size };
    uint8_t *room;
    switch (deferred->kind) {
    case ZKL_DEFERRED_REQUEST:
        serve(connection, bytes);
        break;
    case ZKL_DEFERRED_CODE:
        zkl_reply_header(connection, deferred->xid, deferred->code);
        break;
    case ZKL_DEFERRED_ANSWER:
        room = zkl_connection_room(connection, bytes.size);
        if (room == NULL) return;
        memcpy(room, bytes.base, bytes.size);
        zkl_connection_commit(connection, bytes.size);
        break;
    }
    if (deferred->ending != ZKL_STAYS) zkl_connection_end(connection, deferred->ending);
}

void zkl_intake_resume(struct zkl_connection *connection)
{
    struct zkl_server *server = connection->server;
    while (connection->phase == ZKL_PHASE_OPEN && !zkl_list_empty(&connection->deferred) &&
           zkl_connection_waiting(connection) <= ZKL_OUTPUT_STOP) {
        struct zkl_deferred *deferred =
            ZKL_LIST_ELEMENT(connection->deferred.next, struct zkl_deferred, link);
        if (deferred->after_zxid > server->zxid) break;
        zkl_list_remove(&deferred->link);
        server->deferred_bytes -= deferred->size;
        zkl_connection_answered(connection);
        answer_deferred(connection, deferred);
        zkl_release(&server->allocator, deferred, sizeof *deferred + deferred->size);
    }
    if (connection->phase == ZKL_PHASE_OPEN) wait_for_first(connection);
}

/* --- requests ---------------------------------------------------------------------------- */

enum kind { UNKNOWN, READ, WRITE, CLOSE, AUTH, SASL };

static enum kind kind_of(int32_t op)
{
    switch (op) {
    case ZKL_OP_EXISTS:
    case ZKL_OP_GET_DATA:
    case ZKL_OP_GET_ACL:
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
    case ZKL_OP_SYNC:
    case ZKL_OP_PING:
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
    case ZKL_OP_MULTI_READ:
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
    case ZKL_OP_GET_EPHEMERALS:
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
    case ZKL_OP_ADD_WATCH:
    case ZKL_OP_WHO_AM_I:
        return READ;
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_SET_ACL:
    case ZKL_OP_CHECK:
    case ZKL_OP_MULTI:
    case ZKL_OP_RECONFIG:
        return WRITE;
    case ZKL_OP_CLOSE_SESSION:
        return CLOSE;
    case ZKL_OP_AUTH:
        return AUTH;
    case ZKL_OP_SASL:
        return SASL;
    default:
        return UNKNOWN;
    }
}

/* Answered at once, before answers to earlier requests, and with zxid 0. */
static void take_auth(struct zkl_connection *connection, int32_t xid, struct zkl_reader *reader)
{
    struct zkl_server *server = connection->server;
    struct zkl_request request;
    zkl_request_read(reader, ZKL_OP_AUTH, &request);
    if (reader->failed) {
        refuse(connection, xid, "an auth packet that is none");
        return;
    }
    int32_t code = zkl_identities_add(&connection->identities, &server->allocator,
                                      &server->options.crypto, server->options.super_digest,
                                      request.scheme, request.data);
    if (code == ZKL_CODE_SYSTEMERROR) {
        out_of_memory(connection);
        return;
    }
    struct zkl_reply_header header = { xid, 0, code };
    struct zkl_writer writer;
    if (!zkl_reply_begin(connection, &writer, &header, 0)) return;
    zkl_reply_end(connection, &writer);
    if (code != ZKL_CODE_OK) zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
}

/* As a server without SASL does: no error and a null token, which clients take as a refusal. */
static void take_sasl(struct zkl_connection *connection, int32_t xid)
{
    struct zkl_reply_header header = { xid, 0, ZKL_CODE_OK };
    struct zkl_result result = { .op = ZKL_OP_SASL };
    struct zkl_writer writer;
    if (!zkl_reply_begin(connection, &writer, &header, 4)) return;
    zkl_result_write(&writer, &result);
    zkl_reply_end(connection, &writer);
}

static void take_write(struct zkl_connection *connection, struct zkl_request_header header,
                       struct zkl_reader *reader)
{
    struct zkl_server *server = connection->server;
    struct zkl_session *session = connection->session;
    struct zkl_request request;
    int32_t code = ZKL_CODE_OK;
    int status;
    zkl_request_read(reader, header.op, &request);
    if (reader->failed) {
        status = zkl_prep_malformed(server, session, connection, header.xid, header.op,
                                    server->clock);
    } else {
        status = zkl_prep_request(server, session, connection, header.xid, &request,
                                  server->clock, &code);
    }
    if (status == ZKL_OK) {
        zkl_connection_asks(connection);
    } else if (status == ZKL_E_ARGUMENT) {
        answer_code(connection, header.xid, header.op, code,
                    header.op == ZKL_OP_CHECK ? ZKL_CLOSE_AFTER_OUTPUT : ZKL_STAYS);
    } else {
        out_of_memory(connection);
    }
}

static void take_close(struct zkl_connection *connection, int32_t xid)
{
    struct zkl_server *server = connection->server;
    int status = zkl_prep_close_session(server, connection->session, connection, xid,
                                        server->clock);
    if (status == ZKL_OK) {
        zkl_connection_asks(connection);
    } else {
        out_of_memory(connection);
    }
}

static void take_read(struct zkl_connection *connection, int32_t op, struct zkl_slice body)
{
    struct turn turn;
    if (must_wait(connection, op, &turn)) {
        defer(connection, &turn, ZKL_DEFERRED_REQUEST, body);
    } else {
        serve(connection, body);
    }
}

static void take_request(struct zkl_connection *connection, struct zkl_slice body)
{
    struct zkl_server *server = connection->server;
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_request_header header;
    zkl_request_header_read(&reader, &header);
    if (reader.failed) {
        refuse(connection, (int64_t)body.size, "a request shorter than its header");
        return;
    }
    enum kind kind = kind_of(header.op);
    connection->last_op = header.op;
    if (header.xid > 0) connection->last_cxid = header.xid;
    if (kind == AUTH) {
        take_auth(connection, header.xid, &reader);
        return;
    }
    struct zkl_session *session = connection->session;
    if (session == NULL || session->closing) return; /* it has ended: nothing is answered */
    zkl_sessions_touch(&server->sessions, session, server->clock.now_ms);
    const struct zkl_deferred *last = last_deferred(connection);
    if (last != NULL && last->ending != ZKL_STAYS) return; /* behind the connection's end */
    switch (kind) {
    case READ:
        take_read(connection, header.op, body);
        break;
    case WRITE:
        take_write(connection, header, &reader);
        break;
    case CLOSE:
        take_close(connection, header.xid);
        break;
    case SASL:
        take_sasl(connection, header.xid);
        break;
    case AUTH:
    case UNKNOWN:
        answer_code(connection, header.xid, header.op, ZKL_CODE_UNIMPLEMENTED,
                    ZKL_CLOSE_AFTER_OUTPUT);
        break;
    }
}

/* --- frames --------------------------------------------------------------------------------- */

static size_t frame_size_max(const struct zkl_connection *connection)
{
    return connection->phase == ZKL_PHASE_HANDSHAKE ? ZKL_HANDSHAKE_FRAME_MAX
                                                    : connection->server->options.frame_size_max;
}

/* Whether a four-letter word stands where the first frame's length would be. */
static bool is_command(struct zkl_connection *connection, const uint8_t *bytes, size_t size)
{
    return connection->phase == ZKL_PHASE_HANDSHAKE && size >= LENGTH_SIZE &&
           zkl_four_letter(connection, bytes);
}

/* Works on whole frames at the front and returns how many bytes they were. */
static size_t take_frames(struct zkl_connection *connection, const uint8_t *bytes, size_t size)
{
    struct zkl_server *server = connection->server;
    size_t taken = 0;
    while (zkl_connection_takes(connection)) {
        const uint8_t *at = bytes + taken;
        int64_t body_size;
        if (is_command(connection, at, size - taken)) break;
        int status = zkl_frame_peek(at, size - taken, frame_size_max(connection), &body_size);
        if (status != ZKL_OK) {
            refuse(connection, body_size, status == ZKL_E_LIMIT ? "a frame that is too long"
                                                                : "a frame of negative length");
            break;
        }
        if (body_size < 0) break;
        struct zkl_slice body = { at + LENGTH_SIZE, (size_t)body_size };
        connection->received++;
        server->received++;
        if (connection->phase == ZKL_PHASE_HANDSHAKE) {
            take_handshake(connection, body);
        } else {
            take_request(connection, body);
        }
        taken += LENGTH_SIZE + (size_t)body_size;
    }
    return taken;
}

void zkl_intake(struct zkl_connection *connection)
{
    struct zkl_buffer *input = &connection->input;
    size_t taken = take_frames(connection, zkl_buffer_start(input), zkl_buffer_size(input));
    if (connection->phase == ZKL_PHASE_ENDING) {
        zkl_buffer_free(input);
        return;
    }
    zkl_buffer_consume(input, taken);
    if (zkl_buffer_size(input) == 0) zkl_buffer_free(input);
}

static void keep(struct zkl_connection *connection, const uint8_t *bytes, size_t size)
{
    if (!zkl_buffer_append(&connection->input, bytes, size)) out_of_memory(connection);
}

/* How many bytes the frame that `input` begins with still lacks; its length first. */
static size_t lacks(const struct zkl_connection *connection)
{
    size_t size = zkl_buffer_size(&connection->input);
    if (size < LENGTH_SIZE) return LENGTH_SIZE - size;
    size_t length = zkl_load_u32(zkl_buffer_start(&connection->input));
    return length > size - LENGTH_SIZE ? length - (size - LENGTH_SIZE) : 0;
}

void zkl_server_feed(struct zkl_connection *connection, const uint8_t *bytes, size_t size,
                     struct zkl_clock clock)
{
    struct zkl_server *server = connection->server;
    server->clock = clock;
    if (connection->phase == ZKL_PHASE_ENDING) return;
    server->bytes_in += size;
    /* The frame that was begun is put together in `input`, and no other is copied. */
    while (size > 0 && zkl_buffer_size(&connection->input) > 0 &&
           zkl_connection_takes(connection)) {
        size_t piece = lacks(connection);
        if (piece > size) piece = size;
        keep(connection, bytes, piece);
        bytes += piece;
        size -= piece;
        if (connection->phase != ZKL_PHASE_ENDING) zkl_intake(connection);
    }
    if (zkl_buffer_size(&connection->input) == 0) {
        size_t taken = take_frames(connection, bytes, size);
        bytes += taken;
        size -= taken;
    }
    if (connection->phase != ZKL_PHASE_ENDING && size > 0) keep(connection, bytes, size);
    zkl_connection_update(connection);
}
