/* The order of answers.
 *
 * A write is answered when its proposal is applied. Everything else is answered at once unless
 * an earlier request of its session is not answered yet: then it is deferred until that one's
 * proposal is applied. A sync is deferred behind all proposals there are. So answers leave in
 * the order of their requests, and nobody waits for another session's disk. */
#include <string.h>

#include "base/memory.h"
#include "server/internal.h"

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
        zkl_allocate(&server->connections_account.hook, sizeof *deferred + bytes.size);
    if (deferred == NULL) {
        zkl_connection_starve(connection, "no memory for its request");
        return NULL;
    }
    *deferred = (struct zkl_deferred) {
        .kind = kind, .after_zxid = turn->zxid, .after = turn->after,
        .asked_ms = server->clock.now_ms, .size = bytes.size,
    };
    if (bytes.size > 0) memcpy(deferred->bytes, bytes.base, bytes.size);
    server->deferred_bytes += bytes.size;
    zkl_list_push(&connection->deferred, &deferred->link);
    zkl_connection_asks(connection);
    wait_for_first(connection);
    return deferred;
}

void zkl_order_code(struct zkl_connection *connection, int32_t xid, int32_t op, int32_t code,
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

static void serve(struct zkl_connection *connection, struct zkl_slice body, int64_t asked_ms)
{
    struct zkl_reader reader = { body.base, body.base + body.size, false };
    struct zkl_request_header header;
    struct zkl_request request;
    zkl_request_header_read(&reader, &header);
    zkl_request_read(&reader, header.op, &request);
    zkl_reply_timed(connection, &connection->server->tally.reads, asked_ms);
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
        serve(connection, bytes, deferred->asked_ms);
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

void zkl_order_resume(struct zkl_connection *connection)
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
        zkl_release(&server->connections_account.hook, deferred, sizeof *deferred + deferred->size);
    }
    if (connection->phase == ZKL_PHASE_OPEN) wait_for_first(connection);
}

void zkl_order_read(struct zkl_connection *connection, int32_t op, struct zkl_slice body)
{
    struct turn turn;
    if (must_wait(connection, op, &turn)) {
        defer(connection, &turn, ZKL_DEFERRED_REQUEST, body);
    } else {
        serve(connection, body, connection->server->clock.now_ms);
    }
}

bool zkl_order_ends(const struct zkl_connection *connection)
{
    const struct zkl_deferred *last = last_deferred(connection);
    return last != NULL && last->ending != ZKL_STAYS;
}
