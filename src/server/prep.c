/* Transactions from their first byte to their end: a proposal is begun, prepared (prepare*.c),
 * queued, and freed when it was applied.
 *
 * Whatever fails before it is queued is taken back as a whole: the overlay forgets, reserved
 * blocks are given back, no zxid is consumed. A request that is refused is a transaction too: an
 * error in the log, so that zxids have no gap. */
#include <string.h>

#include "base/memory.h"
#include "server/prepare.h"
#include "wire/writer.h"

enum { PAYLOAD_SLACK = 128 }; /* header, digest, the record's numbers, a sequence number */

/* --- life ---------------------------------------------------------------------- */

bool zkl_prep_init(struct zkl_server *server)
{
    struct zkl_prep *prep = &server->prep;
    *prep = (struct zkl_prep) { .count = 0 };
    zkl_list_init(&prep->proposals);
    prep->overlay = zkl_allocate(&server->allocator, sizeof *prep->overlay);
    if (prep->overlay == NULL) return false;
    zkl_overlay_init(prep->overlay, &server->allocator);
    return true;
}

void zkl_prep_begin(struct zkl_server *server)
{
    ZKL_ASSERT(server->prep.count == 0);
    server->prep.zxid = server->zxid;
    server->prep.digest = server->tree.digest;
    zkl_usage_recount(server);
}

static void release_reserved(struct zkl_server *server, struct zkl_proposal *proposal)
{
    for (size_t i = 0; i < proposal->change_count; i++) {
        zkl_tree_release(&server->tree, &proposal->changes[i].reserved);
    }
    server->prep.creates_ahead -= proposal->create_count;
    proposal->create_count = 0;
}

static void release_changes(struct zkl_server *server, struct zkl_proposal *proposal)
{
    release_reserved(server, proposal);
    if (proposal->changes != &proposal->single) {
        zkl_release(&server->allocator, proposal->changes,
                    proposal->change_count * sizeof proposal->changes[0]);
    }
    proposal->changes = NULL;
    proposal->change_count = 0;
}

static void free_proposal(struct zkl_server *server, struct zkl_proposal *proposal)
{
    release_changes(server, proposal);
    zkl_release(&server->allocator, proposal->payload, proposal->payload_capacity);
    zkl_release(&server->allocator, proposal, sizeof *proposal);
}

void zkl_prep_free(struct zkl_server *server)
{
    struct zkl_prep *prep = &server->prep;
    if (prep->overlay == NULL) return;
    while (!zkl_list_empty(&prep->proposals)) {
        struct zkl_proposal *proposal =
            ZKL_LIST_ELEMENT(prep->proposals.next, struct zkl_proposal, link);
        zkl_list_remove(&proposal->link);
        if (proposal->session != NULL) {
            zkl_sessions_release(&server->sessions, proposal->session);
        }
        zkl_overlay_drop(prep->overlay, &proposal->overlay);
        free_proposal(server, proposal);
    }
    zkl_overlay_free(prep->overlay);
    zkl_release(&server->allocator, prep->overlay, sizeof *prep->overlay);
    zkl_release(&server->allocator, prep->scratch, prep->scratch_capacity);
    *prep = (struct zkl_prep) { .count = 0 };
    zkl_list_init(&prep->proposals);
}

/* --- one transaction ------------------------------------------------------------ */

struct asked {
    struct zkl_server *server;
    struct zkl_session *session;
    struct zkl_connection *connection;
    int32_t xid, op;
    int64_t wall_ms;
};

/* false: out of memory, and nothing is held. `size`: of the record, as far as one can tell. */
static bool begin(struct zkl_preparing *p, const struct asked *asked, size_t size)
{
    struct zkl_server *server = asked->server;
    struct zkl_proposal *proposal = zkl_allocate(&server->allocator, sizeof *proposal);
    if (proposal == NULL) return false;
    *proposal = (struct zkl_proposal) {
        .header.session_id = asked->session != NULL ? asked->session->id : 0,
        .header.cxid = asked->xid,
        .header.zxid = server->prep.zxid + 1, /* past 32 bits the counter carries over */
        .header.time_ms = asked->wall_ms,
        .header.type = asked->op,
        .op = asked->op,
        .asker = asked->session,
        .connection = asked->connection,
        .xid = asked->xid,
        .asked_ms = server->clock.now_ms,
        .payload_size = ZKL_TXN_HEADER_SIZE,
    };
    zkl_list_init(&proposal->link);
    zkl_list_init(&proposal->on_session);
    zkl_list_init(&proposal->on_connection);
    zkl_list_init(&proposal->waiters);
    zkl_list_init(&proposal->overlay);
    proposal->changes = &proposal->single;
    *p = (struct zkl_preparing) {
        .server = server,
        .session = asked->session,
        .connection = asked->connection,
        .proposal = proposal,
        .digest = server->prep.digest,
    };
    if (zkl_prepare_room(p, size + PAYLOAD_SLACK) == 0) return true;
    free_proposal(server, proposal);
    return false;
}

void zkl_prepare_take_back(struct zkl_preparing *p)
{
    zkl_overlay_forget(p->server->prep.overlay);
    release_reserved(p->server, p->proposal);
    p->digest = p->server->prep.digest;
    p->proposal->payload_size = ZKL_TXN_HEADER_SIZE;
}

/* As if nothing had been asked. */
static int abandon(struct zkl_preparing *p)
{
    zkl_overlay_forget(p->server->prep.overlay);
    free_proposal(p->server, p->proposal);
    return ZKL_E_NOMEM;
}

/* What was prepared is taken back, and the record says why. The payload has room for that. */
static void make_error(struct zkl_preparing *p, int32_t code)
{
    struct zkl_proposal *proposal = p->proposal;
    zkl_prepare_take_back(p);
    release_changes(p->server, proposal);
    proposal->code = code;
    proposal->header.type = ZKL_OP_ERROR;
    p->in_multi = false;
    const struct zkl_txn txn = { .type = ZKL_OP_ERROR, .code = code };
    int32_t written = zkl_prepare_write(p, &txn);
    ZKL_ASSERT(written == 0);
}

/* The header in front; behind, the digest of the tree after it, except for errors. */
static void seal(struct zkl_preparing *p)
{
    struct zkl_proposal *proposal = p->proposal;
    struct zkl_writer front = { proposal->payload, ZKL_TXN_HEADER_SIZE, 0 };
    zkl_txn_header_write(&front, &proposal->header);
    proposal->digest = p->digest;
    if (proposal->header.type == ZKL_OP_ERROR) return;
    struct zkl_writer back = zkl_prepare_writer(p);
    zkl_txn_digest_write(&back, proposal->digest);
    ZKL_ASSERT(zkl_writer_fits(&back));
    proposal->payload_size = back.size;
}

/* The slices of changes point into the payload, which stays where it is from here on. */
static void read_changes(struct zkl_proposal *proposal)
{
    struct zkl_reader reader = { proposal->payload + ZKL_TXN_HEADER_SIZE,
                                 proposal->payload + proposal->payload_size, false };
    struct zkl_txn txn;
    zkl_txn_read(&reader, proposal->header.type, &txn);
    ZKL_ASSERT(!reader.failed);
    if (proposal->header.type != ZKL_OP_MULTI) {
        proposal->changes[0].txn = txn;
        return;
    }
    for (size_t i = 0; zkl_txn_next_part(&txn.parts, &proposal->changes[i].txn); i++) {
        ZKL_ASSERT(i < proposal->change_count);
    }
}

static void join_lists(struct zkl_prep *prep, struct zkl_proposal *proposal)
{
    struct zkl_session *asker = proposal->asker;
    zkl_list_push(&prep->proposals, &proposal->link);
    if (prep->unshown == NULL) prep->unshown = proposal;
    if (proposal->connection != NULL) {
        zkl_list_push(&proposal->connection->proposals, &proposal->on_connection);
    }
    if (asker == NULL) return;
    if (asker->prepared_count++ == 0) zkl_list_init(&asker->prepared);
    zkl_list_push(&asker->prepared, &proposal->on_session);
}

/* From here on it is certain to happen, if the disk holds. */
static int queue(struct zkl_preparing *p)
{
    struct zkl_prep *prep = &p->server->prep;
    struct zkl_proposal *proposal = p->proposal;
    seal(p);
    if (proposal->change_count > 0) read_changes(proposal);
    zkl_overlay_keep(prep->overlay, &proposal->overlay);
    join_lists(prep, proposal);
    prep->count++;
    prep->bytes += proposal->payload_size;
    prep->zxid = proposal->header.zxid;
    prep->digest = proposal->digest;
    return ZKL_OK;
}

/* `code` is what preparing has given. */
static int finish(struct zkl_preparing *p, int32_t code)
{
    if (code == ZKL_PREPARE_NOMEM) return abandon(p);
    if (code != 0) make_error(p, code);
    return queue(p);
}

/* --- what is asked --------------------------------------------------------------- */

static int32_t prepare_request(struct zkl_preparing *p, const struct zkl_request *request)
{
    switch (request->op) {
    case ZKL_OP_MULTI:
        return zkl_prepare_multi(p, request);
    case ZKL_OP_DELETE_CONTAINER:
        return ZKL_CODE_BADARGUMENTS; /* no client's, and so from Apache */
    case ZKL_OP_RECONFIG:
        if (p->session->closing) return ZKL_CODE_SESSIONEXPIRED;
        return p->server->options.reconfig_enabled ? ZKL_CODE_UNIMPLEMENTED
                                                   : ZKL_CODE_RECONFIGDISABLED;
    default: {
        p->proposal->change_count = 1;
        int32_t code = zkl_prepare_operation(p, request, &p->proposal->single);
        if (code != 0) return code;
        p->proposal->header.type = p->proposal->single.op;
        return 0;
    }
    }
}

int zkl_prep_request(struct zkl_server *server, struct zkl_session *session,
                     struct zkl_connection *connection, int32_t xid,
                     const struct zkl_request *request, struct zkl_clock clock, int32_t *code)
{
    *code = 0;
    if (request->op == ZKL_OP_CHECK) { /* no replay knows one alone: it may not be logged */
        *code = ZKL_CODE_UNIMPLEMENTED;
        return ZKL_E_ARGUMENT;
    }
    size_t size = request->path.size + request->data.size + request->acl.size;
    if (request->op == ZKL_OP_MULTI) size = request->operations.size;
    const struct asked asked = { server,      session,           connection, xid,
                                 request->op, clock.wall_ms };
    struct zkl_preparing p;
    if (!begin(&p, &asked, size)) return ZKL_E_NOMEM;
    return finish(&p, prepare_request(&p, request));
}

int zkl_prep_malformed(struct zkl_server *server, struct zkl_session *session,
                       struct zkl_connection *connection, int32_t xid, int32_t op,
                       struct zkl_clock clock)
{
    const struct asked asked = { server, session, connection, xid, op, clock.wall_ms };
    struct zkl_preparing p;
    if (!begin(&p, &asked, 0)) return ZKL_E_NOMEM;
    return finish(&p, ZKL_CODE_MARSHALLINGERROR);
}

int zkl_prep_create_session(struct zkl_server *server, struct zkl_connection *connection,
                            int32_t timeout_ms, struct zkl_clock clock)
{
    const struct asked asked = { server, NULL, connection, 0, ZKL_OP_CREATE_SESSION,
                                 clock.wall_ms };
    struct zkl_preparing p;
    if (!begin(&p, &asked, 0)) return ZKL_E_NOMEM;
    struct zkl_proposal *proposal = p.proposal;
    proposal->session = zkl_sessions_reserve(&server->sessions, server->prep.sessions_ahead);
    if (proposal->session == NULL) return abandon(&p);
    const struct zkl_txn txn = { .type = ZKL_OP_CREATE_SESSION, .timeout_ms = timeout_ms };
    int32_t code = zkl_prepare_write(&p, &txn);
    ZKL_ASSERT(code == 0); /* begin has made room */
    proposal->header.session_id = zkl_sessions_take_id(&server->sessions);
    proposal->change_count = 1;
    server->prep.sessions_ahead++;
    return finish(&p, 0);
}

int zkl_prep_close_session(struct zkl_server *server, struct zkl_session *session,
                           struct zkl_connection *connection, int32_t xid,
                           struct zkl_clock clock)
{
    ZKL_ASSERT(!session->closing);
    const struct asked asked = { server, session, connection, xid, ZKL_OP_CLOSE_SESSION,
                                 clock.wall_ms };
    struct zkl_preparing p;
    if (!begin(&p, &asked, 0)) return ZKL_E_NOMEM;
    p.proposal->change_count = 1;
    int32_t code = zkl_prepare_close_session(&p);
    ZKL_ASSERT(code == 0 || code == ZKL_PREPARE_NOMEM); /* nobody can refuse it */
    int status = finish(&p, code);
    if (status == ZKL_OK) session->closing = true;
    return status;
}

int zkl_prep_delete_container(struct zkl_server *server, struct zkl_slice path,
                              struct zkl_clock clock)
{
    const struct asked asked = { server, NULL, NULL, 0, ZKL_OP_DELETE_CONTAINER, clock.wall_ms };
    struct zkl_preparing p;
    if (!begin(&p, &asked, path.size)) return ZKL_E_NOMEM;
    p.proposal->change_count = 1;
    return finish(&p, zkl_prepare_delete_container(&p, path));
}

void zkl_prep_done(struct zkl_server *server, struct zkl_proposal *proposal)
{
    struct zkl_prep *prep = &server->prep;
    ZKL_ASSERT(prep->proposals.next == &proposal->link);
    ZKL_ASSERT(prep->unshown != proposal && zkl_list_empty(&proposal->waiters));
    zkl_list_remove(&proposal->link);
    zkl_list_remove(&proposal->on_connection);
    zkl_list_remove(&proposal->on_session);
    if (proposal->asker != NULL) proposal->asker->prepared_count--;
    if (proposal->session != NULL) prep->sessions_ahead--;
    prep->count--;
    prep->bytes -= proposal->payload_size;
    zkl_overlay_drop(prep->overlay, &proposal->overlay);
    free_proposal(server, proposal);
}
