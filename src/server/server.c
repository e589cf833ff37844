/* The server as a whole: its making and its end, the start, the way of a transaction from prep
 * over the log into the tree, time, and what can be asked about it. */
#include <string.h>

#include "base/memory.h"
#include "server/internal.h"

enum { TICKS_MIN = 2, TICKS_MAX = 20, OUTSTANDING_MAX = 1000 };
enum { REAP_INTERVAL_MS = 60000, REAP_PER_MINUTE = 10000, DIGEST_INTERVAL = 128 };

/* --- options ------------------------------------------------------------------ */

static struct zkl_slice *option_text(struct zkl_server_options *options, size_t index)
{
    struct zkl_slice *texts[] = { &options->super_digest, &options->commands, &options->version,
                                  &options->config_text, &options->environment };
    return index < sizeof texts / sizeof texts[0] ? texts[index] : NULL;
}

static void free_texts(struct zkl_server *server)
{
    struct zkl_slice *text;
    for (size_t i = 0; (text = option_text(&server->options, i)) != NULL; i++) {
        if (text->size > 0) zkl_release(&server->allocator, (void *)text->base, text->size);
        *text = (struct zkl_slice) { NULL, 0 };
    }
}

static bool copy_texts(struct zkl_server *server, const struct zkl_server_options *options)
{
    struct zkl_server_options theirs = *options;
    struct zkl_slice *text;
    for (size_t i = 0; (text = option_text(&server->options, i)) != NULL; i++) {
        *text = (struct zkl_slice) { NULL, 0 };
    }
    for (size_t i = 0; (text = option_text(&server->options, i)) != NULL; i++) {
        struct zkl_slice from = *option_text(&theirs, i);
        if (from.size == 0) continue;
        uint8_t *copy = zkl_allocate(&server->allocator, from.size);
        if (copy == NULL) return false;
        memcpy(copy, from.base, from.size);
        *text = (struct zkl_slice) { copy, from.size };
    }
    return true;
}

static void default_i32(int32_t *value, int32_t standard)
{
    if (*value == 0) *value = standard;
}

/* At most the longest time that there is. */
static int32_t ticks(const struct zkl_server_options *options, int32_t count)
{
    int32_t most = INT32_MAX / count;
    return (options->tick_time_ms < most ? options->tick_time_ms : most) * count;
}

static void fill_in_defaults(struct zkl_server_options *options)
{
    if (options->server_id == 0) options->server_id = 1;
    default_i32(&options->tick_time_ms, ZKL_TICK_TIME_MS_DEFAULT);
    default_i32(&options->session_timeout_min_ms, ticks(options, TICKS_MIN));
    default_i32(&options->session_timeout_max_ms, ticks(options, TICKS_MAX));
    default_i32(&options->reap_interval_ms, REAP_INTERVAL_MS);
    default_i32(&options->reap_per_minute, REAP_PER_MINUTE);
    if (options->frame_size_max == 0) options->frame_size_max = ZKL_REQUEST_SIZE_MAX_DEFAULT;
    if (options->frame_size_max > ZKL_REQUEST_SIZE_LIMIT) {
        options->frame_size_max = ZKL_REQUEST_SIZE_LIMIT;
    }
    if (options->outstanding_max == 0) options->outstanding_max = OUTSTANDING_MAX;
}

/* --- new and free ------------------------------------------------------------- */

static void init_lists(struct zkl_server *server)
{
    zkl_list_init(&server->connections);
    zkl_list_init(&server->changed);
    zkl_list_init(&server->handshakes);
    zkl_list_init(&server->stopped);
    zkl_list_init(&server->reap_cursor);
    zkl_map_init(&server->addresses, &server->connections_account.hook);
    zkl_blocks_init(&server->blocks, &server->connections_account);
}

/* Each part frees what it has, also after an init that failed half-way. */
enum stage { STAGE_TEXTS, STAGE_TREE, STAGE_SESSIONS, STAGE_PREP, STAGE_ALL };

static void free_server(struct zkl_server *server, enum stage reached)
{
    struct zkl_allocator outer = server->data_account.outer;
    if (reached >= STAGE_ALL) zkl_prep_free(server);
    if (reached >= STAGE_PREP) {
        zkl_watches_table_free(&server->watches);
        zkl_sessions_free(&server->sessions);
    }
    if (reached >= STAGE_SESSIONS) zkl_tree_free(&server->tree);
    zkl_map_free(&server->addresses);
    zkl_blocks_free(&server->blocks);
    free_texts(server);
    zkl_release(&outer, server, sizeof *server);
}

static enum stage init_parts(struct zkl_server *server, const struct zkl_server_options *options)
{
    if (!copy_texts(server, options)) return STAGE_TEXTS;
    if (!zkl_tree_init(&server->tree, &server->allocator, options->seed, options->ttl_nodes)) {
        return STAGE_TREE;
    }
    server->acls = server->tree.acls;
    if (!zkl_sessions_init(&server->sessions, &server->sessions_account.hook, &server->options)) {
        return STAGE_SESSIONS;
    }
    zkl_watches_table_init(&server->watches, &server->watches_account.hook, options->seed);
    return zkl_prep_init(server) ? STAGE_ALL : STAGE_PREP;
}

struct zkl_server *zkl_server_new(const struct zkl_server_options *options)
{
    struct zkl_server *server = zkl_allocate(&options->allocator, sizeof *server);
    if (server == NULL) return NULL;
    memset(server, 0, sizeof *server);
    zkl_account_init(&server->data_account, &options->allocator);
    zkl_account_init(&server->sessions_account, &options->allocator);
    zkl_account_init(&server->watches_account, &options->allocator);
    zkl_account_init(&server->connections_account, &options->allocator);
    server->allocator = server->data_account.hook;
    server->data_account.bytes = sizeof *server;
    server->options = *options;
    fill_in_defaults(&server->options);
    server->settled = true; /* nothing is restored yet: the new tree is exact */
    server->trace_mask = ZKL_TRACE_MASK;
    zkl_tally_reset(&server->tally);
    init_lists(server);
    enum stage reached = init_parts(server, options);
    if (reached == STAGE_ALL) return server;
    free_server(server, reached);
    return NULL;
}

void zkl_server_free(struct zkl_server *server)
{
    if (server == NULL) return;
    if (server->snapshot != NULL) zkl_server_snapshot_end(server);
    while (!zkl_list_empty(&server->connections)) {
        zkl_connection_free(
            ZKL_LIST_ELEMENT(server->connections.next, struct zkl_connection, link));
    }
    free_server(server, STAGE_ALL);
}

/* --- start -------------------------------------------------------------------- */

/* One that finds no memory for its end lives on, and is tried again when it is due next. */
static void expire_session(struct zkl_server *server, struct zkl_session *session)
{
    if (session->closing) return;
    int status = zkl_prep_close_session(server, session, NULL, 0, server->clock);
    if (status != ZKL_OK) {
        zkl_sessions_touch(&server->sessions, session, server->clock.now_ms);
    }
}

static bool owns_leaves(const struct zkl_owner *owner)
{
    struct zkl_list *link = owner->nodes.next;
    while (link != &owner->nodes && zkl_node_first_child(zkl_owned_node(link)) == NULL) {
        link = link->next;
    }
    return link == &owner->nodes;
}

/* What belongs to a session that has ended, as in a snapshot of Apache's, or after TTL nodes are
 * served no more. It goes in a transaction, with the session, which is taken in for that: were it
 * just gone, the next start would find it again below entries whose digests are without it. */
static void end_orphans(struct zkl_server *server)
{
    struct zkl_sessions *sessions = &server->sessions;
    struct zkl_map_node *entry = NULL;
    while ((entry = zkl_map_each(&server->tree.owners, entry)) != NULL) {
        const struct zkl_owner *owner = ZKL_LIST_ELEMENT(entry, struct zkl_owner, entry);
        if (zkl_sessions_find(sessions, owner->session_id) != NULL) continue;
        if (!owns_leaves(owner)) continue; /* TTL nodes: what lies below is not to be lost */
        struct zkl_session *session = zkl_sessions_reserve(sessions, 0);
        if (session == NULL) return; /* they wait for the next start */
        zkl_sessions_insert(sessions, session, owner->session_id,
                            server->options.session_timeout_min_ms, server->clock.now_ms);
        expire_session(server, session);
    }
}

void zkl_server_start(struct zkl_server *server, struct zkl_clock clock)
{
    ZKL_ASSERT(!server->serving && !server->restoring);
    server->clock = clock;
    zkl_sessions_begin(&server->sessions, server->options.server_id, clock);
    zkl_sessions_restart(&server->sessions, clock.now_ms);
    zkl_prep_begin(server);
    zkl_memory_limit(server);
    server->serving = true;
    server->started_ms = server->last_tick_ms = clock.now_ms;
    server->next_reap_ms = clock.now_ms + server->options.reap_interval_ms;
    end_orphans(server);
}

/* --- durability --------------------------------------------------------------- */

bool zkl_server_next_txn(struct zkl_server *server, struct zkl_logged *logged)
{
    struct zkl_proposal *proposal = server->prep.unshown;
    if (proposal == NULL || server->failed) return false;
    proposal->shown = true;
    server->prep.unshown = proposal->link.next == &server->prep.proposals
                               ? NULL
                               : ZKL_LIST_ELEMENT(proposal->link.next, struct zkl_proposal, link);
    *logged = (struct zkl_logged) {
        .zxid = proposal->header.zxid,
        .payload = { proposal->payload, proposal->payload_size },
    };
    return true;
}

/* What `hash` prints. */
static void note_digest(struct zkl_server *server)
{
    if (server->zxid % DIGEST_INTERVAL != 0) return;
    server->digests[server->digest_count++ % ZKL_DIGESTS_KEPT] = (struct zkl_digest_point) {
        server->zxid, server->tree.digest
    };
}

/* A session is about to be removed: who was attached, and who waits to be. */
struct parting {
    struct zkl_connection *connection;
    struct zkl_list waiters;
    int64_t session_id;
    bool expired;
};

static void part(struct zkl_server *server, const struct zkl_proposal *proposal,
                 struct parting *parting)
{
    struct zkl_session *session =
        zkl_sessions_find(&server->sessions, proposal->header.session_id);
    ZKL_ASSERT(session != NULL);
    *parting = (struct parting) {
        .connection = session->connection, .session_id = session->id,
        .expired = proposal->connection == NULL && proposal->xid == 0,
    };
    zkl_list_init(&parting->waiters);
    zkl_list_join(&parting->waiters, &session->close_waiters);
    session->connection = NULL;
    if (parting->connection != NULL) parting->connection->session = NULL;
}

/* The connection that asked has its answer and ends behind it; one that did not ask ends with
 * what it has. */
static void after_parting(struct zkl_server *server, struct parting *parting)
{
    struct zkl_connection *connection = parting->connection;
    zkl_news(server, parting->expired ? ZKL_NEWS_SESSION_EXPIRED : ZKL_NEWS_SESSION_CLOSED,
             connection, parting->session_id, 0, NULL);
    if (parting->expired) server->tally.expired++;
    if (connection != NULL && parting->expired) {
        zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
    }
    while (!zkl_list_empty(&parting->waiters)) {
        connection = ZKL_LIST_ELEMENT(parting->waiters.next, struct zkl_connection, waiting);
        zkl_list_remove(&connection->waiting);
        zkl_handshake_session_gone(connection);
    }
}

static void commit(struct zkl_server *server, struct zkl_proposal *proposal)
{
    bool closes = proposal->op == ZKL_OP_CLOSE_SESSION;
    struct parting parting;
    struct zkl_list waiters;
    ZKL_ASSERT(proposal->shown);
    if (closes) part(server, proposal, &parting);
    zkl_apply(server, proposal);
    ZKL_ASSERT(server->zxid == proposal->header.zxid);
    note_digest(server);
    zkl_reply_proposal(server, proposal);
    zkl_list_init(&waiters);
    zkl_list_join(&waiters, &proposal->waiters);
    zkl_prep_done(server, proposal);
    if (closes) after_parting(server, &parting);
    while (!zkl_list_empty(&waiters)) {
        struct zkl_connection *connection =
            ZKL_LIST_ELEMENT(waiters.next, struct zkl_connection, waiting);
        zkl_list_remove(&connection->waiting);
        zkl_order_resume(connection);
        zkl_connection_update(connection);
    }
}

void zkl_server_committed(struct zkl_server *server, int64_t zxid, struct zkl_clock clock)
{
    server->clock = clock;
    if (server->failed) return;
    while (!zkl_list_empty(&server->prep.proposals)) {
        struct zkl_proposal *proposal =
            ZKL_LIST_ELEMENT(server->prep.proposals.next, struct zkl_proposal, link);
        if (proposal->header.zxid > zxid) break;
        commit(server, proposal);
    }
    zkl_intake_wake(server);
}

void zkl_server_log_failed(struct zkl_server *server)
{
    server->failed = true;
    struct zkl_list *link = server->connections.next;
    for (; link != &server->connections; link = link->next) {
        zkl_connection_end(ZKL_LIST_ELEMENT(link, struct zkl_connection, link),
                           ZKL_CLOSE_AT_ONCE);
    }
}

/* --- time --------------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t zkl_server_deadline(const struct zkl_server *server)
{
    if (!server->serving || server->failed) return ZKL_NEVER;
    int64_t deadline_ms =
        earlier(zkl_sessions_deadline(&server->sessions), zkl_reap_deadline(server));
    if (zkl_list_empty(&server->handshakes)) return deadline_ms;
    const struct zkl_connection *first =
        ZKL_LIST_ELEMENT(server->handshakes.next, struct zkl_connection, in_time);
    return earlier(deadline_ms, first->since_ms + ZKL_HANDSHAKE_TIME_MS);
}

/* When the driver did not come although sessions were due, it was away, and so it may have left
 * their pings unread: nobody expires for that. */
static void forgive_stall(struct zkl_server *server)
{
    int64_t due_ms = zkl_sessions_deadline(&server->sessions);
    if (due_ms < server->last_tick_ms) due_ms = server->last_tick_ms;
    if (due_ms == ZKL_NEVER) return;
    int64_t late_ms = server->clock.now_ms - due_ms;
    if (late_ms <= server->options.tick_time_ms) return;
    zkl_sessions_grant(&server->sessions, late_ms);
    zkl_news(server, ZKL_NEWS_STALL, NULL, 0, late_ms, NULL);
}

void zkl_server_tick(struct zkl_server *server, struct zkl_clock clock)
{
    server->clock = clock;
    if (!server->serving || server->failed) return;
    forgive_stall(server);
    server->last_tick_ms = clock.now_ms;
    struct zkl_session *session;
    while ((session = zkl_sessions_next_expired(&server->sessions, clock.now_ms)) != NULL) {
        expire_session(server, session);
    }
    zkl_connection_expire(server);
    zkl_reap(server);
}

bool zkl_server_has_session(const struct zkl_server *server, int64_t session_id)
{
    return zkl_sessions_find(&server->sessions, session_id) != NULL;
}

bool zkl_server_expire(struct zkl_server *server, int64_t session_id, struct zkl_clock clock)
{
    server->clock = clock;
    struct zkl_session *session = zkl_sessions_find(&server->sessions, session_id);
    if (session == NULL || server->failed) return false;
    expire_session(server, session);
    return true;
}

/* --- what can be asked -------------------------------------------------------- */

int64_t zkl_server_zxid(const struct zkl_server *server)
{
    return server->zxid;
}

uint64_t zkl_server_digest(const struct zkl_server *server)
{
    return server->tree.digest;
}

void zkl_server_count(const struct zkl_server *server, struct zkl_server_counts *counts)
{
    *counts = (struct zkl_server_counts) {
        .nodes = server->tree.nodes.count,
        .ephemerals = server->tree.ephemeral_count,
        .watches = server->watches.entries.count,
        .sessions = server->sessions.map.count,
        .connections = server->connection_count,
        .outstanding = server->outstanding,
        .data_bytes = server->tree.data_bytes,
        .memory_bytes = zkl_memory_bytes(server),
        .frames_in = server->received,
        .frames_out = server->sent,
        .bytes_in = server->bytes_in,
        .bytes_out = server->bytes_out,
    };
}

void zkl_server_report(struct zkl_server *server, const struct zkl_report *report)
{
    server->report = *report;
}

void zkl_server_measured(struct zkl_server *server, enum zkl_measured what, int64_t number)
{
    zkl_latency_note(&server->tally.measured[what], number);
}

/* --- news --------------------------------------------------------------------- */

struct zkl_server_event *zkl_news(struct zkl_server *server, enum zkl_news kind,
                                  const struct zkl_connection *connection, int64_t session_id,
                                  int64_t number, const char *detail)
{
    if (server->news_count == ZKL_NEWS_MAX) zkl_server_pop_event(server);
    size_t at = (server->news_start + server->news_count++) % ZKL_NEWS_MAX;
    server->news[at] = (struct zkl_server_event) {
        .kind = kind, .session_id = session_id, .number = number, .detail = detail,
    };
    if (connection != NULL) server->news[at].peer = connection->peer;
    return &server->news[at];
}

void zkl_server_peek_event(const struct zkl_server *server, struct zkl_server_event *event)
{
    *event = (struct zkl_server_event) { .kind = ZKL_NEWS_NONE };
    if (server->news_count > 0) *event = server->news[server->news_start];
}

void zkl_server_pop_event(struct zkl_server *server)
{
    if (server->news_count == 0) return;
    server->news_start = (server->news_start + 1) % ZKL_NEWS_MAX;
    server->news_count--;
}
