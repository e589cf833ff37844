/* Bytes into requests: frames, and what kind of thing each is. A write is prepared as soon as it
 * is there; what is to be answered without a transaction goes to order.c. Frames are worked on
 * where they were fed; only what is left over is copied. */
#include "server/ahead.h"
#include "server/internal.h"
#include "wire/reader.h"

enum { LENGTH_SIZE = 4 };

/* --- requests ----------------------------------------------------------------- */

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
        zkl_connection_refuse(connection, xid, "an auth packet that is none");
        return;
    }
    int32_t code = zkl_identities_add(&connection->identities, &server->connections_account.hook,
                                      &server->options.crypto, server->options.super_digest,
                                      request.scheme, request.data);
    if (code == ZKL_CODE_SYSTEMERROR) {
        zkl_connection_starve(connection, "no memory for its request");
        return;
    }
    struct zkl_reply_header header = { xid, 0, code };
    struct zkl_writer writer;
    if (!zkl_reply_begin(connection, &writer, &header, 0)) return;
    zkl_reply_end(connection, &writer);
    if (code == ZKL_CODE_OK) return;
    server->tally.auth_failed++;
    zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
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
        zkl_order_code(connection, header.xid, header.op, code,
                       header.op == ZKL_OP_CHECK ? ZKL_CLOSE_AFTER_OUTPUT : ZKL_STAYS);
    } else {
        zkl_connection_starve(connection, "no memory for its request");
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
        zkl_connection_starve(connection, "no memory for its request");
    }
}

static void take_request(struct zkl_connection *connection, struct zkl_slice body)
{
    struct zkl_server *server = connection->server;
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_request_header header;
    zkl_request_header_read(&reader, &header);
    if (reader.failed) {
        zkl_connection_refuse(connection, (int64_t)body.size, "a request shorter than its header");
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
    if (zkl_order_ends(connection)) return;
    switch (kind) {
    case READ:
        zkl_order_read(connection, header.op, body);
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
        zkl_order_code(connection, header.xid, header.op, ZKL_CODE_UNIMPLEMENTED,
                       ZKL_CLOSE_AFTER_OUTPUT);
        break;
    }
}

/* --- frames ------------------------------------------------------------------- */

static size_t frame_size_max(const struct zkl_connection *connection)
{
    return connection->phase == ZKL_PHASE_HANDSHAKE ? ZKL_HANDSHAKE_FRAME_MAX
                                                    : connection->server->options.frame_size_max;
}

/* Whether a four-letter word stands where the first frame's length would be. */
static bool is_command(struct zkl_connection *connection, const uint8_t *bytes, size_t size)
{
    return connection->phase == ZKL_PHASE_HANDSHAKE && size >= LENGTH_SIZE &&
           zkl_four_letter(connection, bytes, size);
}

/* Works on whole frames at the front and returns how many bytes they were. */
static size_t take_frames(struct zkl_connection *connection, const uint8_t *bytes, size_t size)
{
    struct zkl_server *server = connection->server;
    size_t taken = 0;
    struct zkl_ahead ahead;
    zkl_ahead_begin(&ahead, server, bytes, size);
    while (zkl_connection_takes(connection)) {
        const uint8_t *at = bytes + taken;
        int64_t body_size;
        if (is_command(connection, at, size - taken)) break;
        int status = zkl_frame_peek(at, size - taken, frame_size_max(connection), &body_size);
        if (status != ZKL_OK) {
            zkl_connection_refuse(connection, body_size,
                                  status == ZKL_E_LIMIT ? "a frame that is too long"
                                                        : "a frame of negative length");
            break;
        }
        if (body_size < 0) break;
        struct zkl_slice body = { at + LENGTH_SIZE, (size_t)body_size };
        connection->received++;
        server->received++;
        zkl_ahead_next(&ahead);
        if (connection->phase == ZKL_PHASE_HANDSHAKE) {
            zkl_handshake_take(connection, body);
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
    if (zkl_buffer_size(input) == 0) return;
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
    if (zkl_buffer_append(&connection->input, bytes, size)) return;
    zkl_connection_starve(connection, "no memory for its request");
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
    if (size > 0 && zkl_buffer_size(&connection->input) == 0) {
        size_t taken = take_frames(connection, bytes, size);
        bytes += taken;
        size -= taken;
    }
    if (connection->phase != ZKL_PHASE_ENDING && size > 0) keep(connection, bytes, size);
    zkl_connection_update(connection);
}
