/* What goes out: answers, events, the ConnectResponse. Everything is written straight into the
 * connection's output; a connection that cannot take more ends there, and nobody else notices.
 *
 * The answer to a proposal may have to wait: when reads behind an earlier write are held up by a
 * full output, it goes in between them. */
#include <string.h>

#include "base/memory.h"
#include "server/internal.h"
#include "wire/writer.h"

enum { LENGTH_SIZE = 4, STATE_CONNECTED = 3 };

/* --- frames ------------------------------------------------------------------- */

/* The names of all children of one node may be more than a frame can say. */
bool zkl_reply_begin(struct zkl_connection *connection, struct zkl_writer *writer,
                     const struct zkl_reply_header *header, size_t size)
{
    if (size > INT32_MAX - ZKL_REPLY_HEADER_SIZE) {
        zkl_connection_starve(connection, "its answer is longer than a frame may be");
        return false;
    }
    size_t room = LENGTH_SIZE + ZKL_REPLY_HEADER_SIZE + size;
    uint8_t *base = zkl_connection_room(connection, room);
    if (base == NULL) return false;
    *writer = (struct zkl_writer) { base, room, 0 };
    zkl_frame_begin(writer);
    zkl_reply_header_write(writer, header);
    return true;
}

void zkl_reply_end(struct zkl_connection *connection, const struct zkl_writer *writer)
{
    struct zkl_writer whole = *writer;
    ZKL_ASSERT(zkl_writer_fits(writer));
    zkl_frame_end(&whole, 0);
    zkl_connection_commit(connection, writer->size);
}

void zkl_reply_header(struct zkl_connection *connection, int32_t xid, int32_t code)
{
    struct zkl_reply_header header = { xid, connection->server->zxid, code };
    struct zkl_writer writer;
    /* Apache answers an operation it does not know before it asks for a zxid. */
    if (code == ZKL_CODE_UNIMPLEMENTED) header.zxid = -1;
    if (!zkl_reply_begin(connection, &writer, &header, 0)) return;
    zkl_reply_end(connection, &writer);
    connection->last_zxid = connection->server->zxid;
}

static size_t result_size(const struct zkl_result *result)
{
    struct zkl_writer measure = { NULL, 0, 0 };
    zkl_result_write(&measure, result);
    return measure.size;
}

void zkl_reply_result(struct zkl_connection *connection, int32_t xid,
                      const struct zkl_result *result)
{
    struct zkl_reply_header header = { xid, connection->server->zxid, ZKL_CODE_OK };
    struct zkl_writer writer;
    if (!zkl_reply_begin(connection, &writer, &header, result_size(result))) return;
    zkl_result_write(&writer, result);
    zkl_reply_end(connection, &writer);
    connection->last_zxid = header.zxid;
}

/* --- sessions ----------------------------------------------------------------- */

void zkl_reply_connect(struct zkl_connection *connection, const struct zkl_session *session)
{
    uint8_t password[ZKL_PASSWORD_SIZE] = { 0 };
    struct zkl_connect_response response = {
        .password = { password, sizeof password }, .has_readonly = !connection->old_client,
    };
    if (session != NULL) {
        zkl_session_password(&connection->server->options, session->id, password);
        response.timeout_ms = session->timeout_ms;
        response.session_id = session->id;
    }
    struct zkl_writer writer = { NULL, 0, 0 };
    zkl_connect_response_write(&writer, &response);
    size_t size = LENGTH_SIZE + writer.size;
    writer = (struct zkl_writer) { zkl_connection_room(connection, size), size, 0 };
    if (writer.base == NULL) return;
    size_t start = zkl_frame_begin(&writer);
    zkl_connect_response_write(&writer, &response);
    zkl_frame_end(&writer, start);
    zkl_connection_commit(connection, size);
}

/* --- events ------------------------------------------------------------------- */

void zkl_reply_watch(struct zkl_connection *connection, int32_t type, struct zkl_slice path,
                     int64_t zxid)
{
    struct zkl_reply_header header = { ZKL_XID_NOTIFICATION, zxid, ZKL_CODE_OK };
    struct zkl_watch_event event = { type, STATE_CONNECTED, path };
    struct zkl_writer writer;
    if (!zkl_reply_begin(connection, &writer, &header, 4 + 4 + 4 + path.size)) return;
    zkl_watch_event_write(&writer, &event);
    zkl_reply_end(connection, &writer);
    connection->server->tally.event_bytes += writer.size - LENGTH_SIZE;
}

/* Who may not READ the node loses the one-shot watch in silence. */
void zkl_reply_event(struct zkl_server *server, int32_t type, struct zkl_slice path,
                     uint32_t acl, int64_t zxid)
{
    struct zkl_firing firing;
    int64_t count = 0;
    struct zkl_connection *connection = zkl_fire_first(&server->watches, &firing, type, path);
    for (; connection != NULL; connection = zkl_fire_next(&server->watches, &firing)) {
        count++;
        if (connection->phase != ZKL_PHASE_OPEN) continue;
        if (!server->options.skip_acl &&
            !zkl_acls_allow(server->acls, acl, ZKL_READ, &connection->identities)) {
            continue;
        }
        zkl_reply_watch(connection, type, path, zxid);
    }
    if (count > 0) zkl_latency_note(&server->tally.told[type - ZKL_WATCH_CREATED], count);
}

/* --- proposals ---------------------------------------------------------------- */

/* The result of one change that was made. In a multi what was stored decides, elsewhere what
 * was asked for. */
static void make_result(struct zkl_result *result, int32_t op, const struct zkl_change *change)
{
    *result = (struct zkl_result) {
        .op = op, .path = change->txn.path, .stat = change->stat
    };
}

static void make_part(struct zkl_result *result, const struct zkl_proposal *proposal, size_t index)
{
    if (proposal->failed_index < proposal->change_count) {
        int32_t code = index < proposal->failed_index    ? ZKL_CODE_OK
                       : index == proposal->failed_index ? proposal->failed_code
                                                         : ZKL_CODE_RUNTIMEINCONSISTENCY;
        *result = (struct zkl_result) { .op = ZKL_OP_ERROR, .number = code };
        return;
    }
    const struct zkl_change *change = &proposal->changes[index];
    make_result(result, change->txn.type, change);
}

static void write_multi(struct zkl_writer *writer, const struct zkl_proposal *proposal)
{
    const struct zkl_vector end = { NULL, 0, 0 };
    for (size_t i = 0; i < proposal->change_count; i++) {
        struct zkl_result part;
        make_part(&part, proposal, i);
        zkl_multi_write_result(writer, &part);
    }
    zkl_write_multi(writer, &end);
}

static void write_record(struct zkl_writer *writer, const struct zkl_proposal *proposal)
{
    struct zkl_result result;
    if (proposal->code != ZKL_CODE_OK || proposal->op == ZKL_OP_CLOSE_SESSION) return;
    if (proposal->op == ZKL_OP_MULTI) {
        write_multi(writer, proposal);
        return;
    }
    ZKL_ASSERT(proposal->change_count == 1);
    make_result(&result, proposal->op, &proposal->changes[0]);
    zkl_result_write(writer, &result);
}

static void write_answer(struct zkl_writer *writer, const struct zkl_proposal *proposal)
{
    struct zkl_reply_header header = { proposal->xid, proposal->header.zxid, proposal->code };
    size_t start = zkl_frame_begin(writer);
    zkl_reply_header_write(writer, &header);
    write_record(writer, proposal);
    zkl_frame_end(writer, start);
}

/* Behind what was deferred for earlier proposals, before what is for this one and later ones. */
static void defer_answer(struct zkl_connection *connection, const struct zkl_proposal *proposal,
                         size_t size, enum zkl_ending ending)
{
    struct zkl_server *server = connection->server;
    struct zkl_deferred *deferred =
        zkl_allocate(&server->connections_account.hook, sizeof *deferred + size);
    if (deferred == NULL) {
        zkl_connection_starve(connection, "no memory for its output");
        return;
    }
    *deferred = (struct zkl_deferred) {
        .kind = ZKL_DEFERRED_ANSWER, .after_zxid = proposal->header.zxid, .ending = ending,
        .size = size,
    };
    struct zkl_writer writer = { deferred->bytes, size, 0 };
    write_answer(&writer, proposal);
    struct zkl_list *before = &connection->deferred;
    while (before->previous != &connection->deferred &&
           ZKL_LIST_ELEMENT(before->previous, struct zkl_deferred, link)->after_zxid >=
               deferred->after_zxid) {
        before = before->previous;
    }
    zkl_list_push(before, &deferred->link);
    server->deferred_bytes += size;
    zkl_connection_asks(connection);
}

static bool held_up(const struct zkl_connection *connection, const struct zkl_proposal *proposal)
{
    return !zkl_list_empty(&connection->deferred) &&
           ZKL_LIST_ELEMENT(connection->deferred.next, struct zkl_deferred, link)->after_zxid <
               proposal->header.zxid;
}

static void answer(struct zkl_connection *connection, const struct zkl_proposal *proposal)
{
    enum zkl_ending ending =
        proposal->op == ZKL_OP_CLOSE_SESSION ? ZKL_CLOSE_AFTER_OUTPUT : ZKL_STAYS;
    struct zkl_writer writer = { NULL, 0, 0 };
    write_answer(&writer, proposal);
    size_t size = writer.size;
    if (held_up(connection, proposal)) {
        defer_answer(connection, proposal, size, ending);
        return;
    }
    writer = (struct zkl_writer) { zkl_connection_room(connection, size), size, 0 };
    if (writer.base == NULL) return;
    write_answer(&writer, proposal);
    zkl_connection_commit(connection, size);
    connection->last_zxid = proposal->header.zxid;
    if (ending != ZKL_STAYS) zkl_connection_end(connection, ending);
}

void zkl_reply_timed(struct zkl_connection *connection, struct zkl_latency *kind,
                     int64_t asked_ms)
{
    struct zkl_server *server = connection->server;
    int64_t latency_ms = server->clock.now_ms - asked_ms;
    zkl_latency_note(kind, latency_ms);
    zkl_latency_note(&server->latency, latency_ms);
    zkl_latency_note(&connection->latency, latency_ms);
}

static void answer_new_session(struct zkl_connection *connection,
                               const struct zkl_proposal *proposal)
{
    struct zkl_server *server = connection->server;
    struct zkl_session *session =
        zkl_sessions_find(&server->sessions, proposal->header.session_id);
    ZKL_ASSERT(session != NULL && connection->phase == ZKL_PHASE_ATTACHING);
    zkl_connection_attach(connection, session);
    if (connection->phase == ZKL_PHASE_OPEN) zkl_connection_soon(connection);
}

void zkl_reply_proposal(struct zkl_server *server, struct zkl_proposal *proposal)
{
    struct zkl_connection *connection = proposal->connection;
    if (proposal->op == ZKL_OP_CREATE_SESSION) {
        zkl_news(server, ZKL_NEWS_SESSION_NEW, connection, proposal->header.session_id,
                 proposal->changes[0].txn.timeout_ms, NULL);
    }
    if (connection == NULL) return;
    zkl_list_remove(&proposal->on_connection);
    proposal->connection = NULL;
    zkl_connection_answered(connection);
    zkl_reply_timed(connection, &server->tally.updates, proposal->asked_ms);
    if (proposal->op == ZKL_OP_CREATE_SESSION) {
        answer_new_session(connection, proposal);
    } else {
        answer(connection, proposal);
    }
}
