/* One connection from accept to its end: its output, its limits, and what is left behind.
 *
 * A connection ends in two steps. zkl_connection_end takes it out of everything that goes on:
 * no bytes are taken in, nothing is answered, its session is on its own. Its memory stays until
 * the driver has closed it. Watches go in the second step only, because the first one may come
 * in the middle of telling them.
 *
 * Output is in two buffers: `shown` is what the driver writes and may not move, `output` grows
 * behind it. They change places when the first runs empty. */
#include <string.h>

#include "base/memory.h"
#include "server/internal.h"

/* --- addresses ---------------------------------------------------------------- */

static uint64_t hash_address(const struct zkl_server *server, const struct zkl_peer *peer)
{
    uint64_t hash = zkl_hash_begin(server->options.seed);
    return zkl_hash_end(zkl_hash_add(hash, peer->address, peer->address_size));
}

/* The count of an address, made if there is none. NULL: out of memory. */
static struct zkl_address *count_address(struct zkl_server *server, const struct zkl_peer *peer)
{
    uint64_t hash = hash_address(server, peer);
    struct zkl_map_node *node = zkl_map_first(&server->addresses, hash);
    for (; node != NULL; node = zkl_map_next(node, hash)) {
        struct zkl_address *address = ZKL_LIST_ELEMENT(node, struct zkl_address, entry);
        if (address->size == peer->address_size &&
            memcmp(address->bytes, peer->address, address->size) == 0) {
            return address;
        }
    }
    if (!zkl_map_reserve(&server->addresses)) return NULL;
    struct zkl_address *address = zkl_allocate(&server->connections_account.hook, sizeof *address);
    if (address == NULL) return NULL;
    *address = (struct zkl_address) { .size = peer->address_size };
    memcpy(address->bytes, peer->address, peer->address_size);
    zkl_map_insert(&server->addresses, &address->entry, hash);
    return address;
}

static void drop_address(struct zkl_server *server, struct zkl_address *address)
{
    if (address == NULL || address->count > 0) return;
    zkl_map_remove(&server->addresses, &address->entry);
    zkl_release(&server->connections_account.hook, address, sizeof *address);
}

static int refuse_peer(struct zkl_server *server, const struct zkl_peer *peer, const char *detail)
{
    server->tally.refused++;
    zkl_news(server, ZKL_NEWS_CONNECTION_LIMIT, NULL, 0, (int64_t)server->connection_count,
             detail)->peer = *peer;
    return ZKL_E_LIMIT;
}

/* Unix sockets are not counted: only this machine's own users get there. */
static int admit(struct zkl_server *server, const struct zkl_peer *peer,
                 struct zkl_address **address)
{
    const struct zkl_server_options *options = &server->options;
    *address = NULL;
    if (options->connection_max > 0 && server->connection_count >= options->connection_max) {
        return refuse_peer(server, peer, "too many connections");
    }
    if (options->connection_per_address_max == 0 || peer->address_size == 0) return ZKL_OK;
    *address = count_address(server, peer);
    if (*address == NULL) return ZKL_E_NOMEM;
    if ((*address)->count >= options->connection_per_address_max) {
        return refuse_peer(server, peer, "too many connections from one address");
    }
    return ZKL_OK;
}

/* --- accept ------------------------------------------------------------------- */

static void init_connection(struct zkl_connection *connection, struct zkl_server *server,
                            const struct zkl_peer *peer)
{
    struct zkl_allocator blocks = zkl_blocks_hook(&server->blocks);
    *connection = (struct zkl_connection) {
        .server = server, .peer = *peer, .reads = true, .accepted_ms = server->clock.now_ms,
        .established_wall_ms = server->clock.wall_ms, .since_ms = server->clock.now_ms,
    };
    zkl_list_init(&connection->link);
    zkl_list_init(&connection->changed);
    zkl_list_init(&connection->in_time);
    zkl_list_init(&connection->proposals);
    zkl_list_init(&connection->deferred);
    zkl_list_init(&connection->waiting);
    zkl_list_init(&connection->stopped);
    zkl_watch_list_init(&connection->watches, connection);
    zkl_buffer_init(&connection->input, &blocks);
    zkl_buffer_init(&connection->shown, &blocks);
    zkl_buffer_init(&connection->output, &blocks);
}

static int lacks_memory(struct zkl_server *server, const struct zkl_peer *peer,
                        struct zkl_address *address)
{
    drop_address(server, address);
    server->tally.refused++;
    zkl_news(server, ZKL_NEWS_NOMEM, NULL, 0, (int64_t)server->connection_count,
             "no memory for one more connection")->peer = *peer;
    return ZKL_E_NOMEM;
}

int zkl_server_accept(struct zkl_server *server, const struct zkl_peer *peer,
                      struct zkl_clock clock, struct zkl_connection **accepted)
{
    ZKL_ASSERT(peer->address_size == 0 || peer->address_size == 4 || peer->address_size == 16);
    server->clock = clock;
    if (!server->serving || server->failed) return ZKL_E_LIMIT;
    struct zkl_address *address;
    int status = admit(server, peer, &address);
    if (status == ZKL_E_NOMEM) return lacks_memory(server, peer, NULL);
    if (status != ZKL_OK) return status;
    const struct zkl_account *account = &server->connections_account;
    const struct zkl_allocator *allocator = &account->hook;
    struct zkl_connection *connection = NULL;
    /* Those that there are need buffers. */
    if (!zkl_account_scarce(account, sizeof *connection)) {
        connection = zkl_allocate(allocator, sizeof *connection);
    }
    if (connection == NULL) return lacks_memory(server, peer, address);
    init_connection(connection, server, peer);
    if (!zkl_identities_init(&connection->identities, allocator, peer)) {
        zkl_release(allocator, connection, sizeof *connection);
        return lacks_memory(server, peer, address);
    }
    connection->address = address;
    if (address != NULL) address->count++;
    zkl_list_push(&server->connections, &connection->link);
    zkl_list_push(&server->handshakes, &connection->in_time);
    server->connection_count++;
    *accepted = connection;
    return ZKL_OK;
}

void zkl_connection_set_user(struct zkl_connection *connection, void *user)
{
    connection->user = user;
}

void *zkl_connection_user(const struct zkl_connection *connection)
{
    return connection->user;
}

/* --- what the driver is told -------------------------------------------------- */

void zkl_connection_changed(struct zkl_connection *connection)
{
    if (!zkl_list_empty(&connection->changed)) return;
    zkl_list_push(&connection->server->changed, &connection->changed);
}

/* `output` comes to the front when nothing is being written. */
static void turn_output(struct zkl_connection *connection)
{
    if (zkl_buffer_size(&connection->shown) > 0 || zkl_buffer_size(&connection->output) == 0) {
        return;
    }
    struct zkl_buffer empty = connection->shown;
    connection->shown = connection->output;
    connection->output = empty;
}

struct zkl_connection *zkl_server_next_connection(struct zkl_server *server)
{
    if (zkl_list_empty(&server->changed)) return NULL;
    struct zkl_connection *connection =
        ZKL_LIST_ELEMENT(server->changed.next, struct zkl_connection, changed);
    zkl_list_remove(&connection->changed);
    turn_output(connection);
    return connection;
}

struct zkl_slice zkl_connection_output(const struct zkl_connection *connection)
{
    struct zkl_slice bytes = { NULL, zkl_buffer_size(&connection->shown) };
    if (connection->ending == ZKL_CLOSE_AT_ONCE) bytes.size = 0;
    if (bytes.size > 0) bytes.base = zkl_buffer_start(&connection->shown);
    return bytes;
}

void zkl_connection_sent(struct zkl_connection *connection, size_t size)
{
    ZKL_ASSERT(size <= zkl_buffer_size(&connection->shown));
    zkl_buffer_consume(&connection->shown, size);
    connection->server->bytes_out += size;
    if (zkl_buffer_size(&connection->shown) == 0) zkl_buffer_free(&connection->shown);
    if (connection->phase != ZKL_PHASE_ENDING) {
        zkl_order_resume(connection);
        zkl_intake(connection);
        zkl_connection_update(connection);
    }
    turn_output(connection);
    bool more = zkl_buffer_size(&connection->shown) > 0;
    /* Something to write, or a close that has waited for the last of it. */
    if (more || connection->ending != ZKL_STAYS) zkl_connection_changed(connection);
    zkl_intake_wake(connection->server); /* what was held up may be what others wait for */
}

bool zkl_connection_takes(const struct zkl_connection *connection)
{
    return (connection->phase == ZKL_PHASE_HANDSHAKE || connection->phase == ZKL_PHASE_OPEN) &&
           zkl_list_empty(&connection->stopped) &&
           zkl_connection_waiting(connection) <= ZKL_OUTPUT_STOP;
}

void zkl_connection_update(struct zkl_connection *connection)
{
    bool takes = zkl_connection_takes(connection);
    if (takes == connection->reads) return;
    connection->reads = takes;
    zkl_connection_changed(connection);
}

bool zkl_connection_reads(const struct zkl_connection *connection)
{
    return zkl_connection_takes(connection);
}

enum zkl_ending zkl_connection_ending(const struct zkl_connection *connection)
{
    return connection->ending;
}

/* --- output ------------------------------------------------------------------- */

size_t zkl_connection_waiting(const struct zkl_connection *connection)
{
    return zkl_buffer_size(&connection->shown) + zkl_buffer_size(&connection->output);
}

/* Judged by what waits already: one answer may be as large as it is, for its client asked for
 * it while there was room. */
uint8_t *zkl_connection_room(struct zkl_connection *connection, size_t size)
{
    if (connection->phase == ZKL_PHASE_ENDING) return NULL;
    size_t waiting = zkl_connection_waiting(connection);
    if (waiting > ZKL_OUTPUT_CLOSE) {
        connection->server->tally.cut_off++;
        zkl_news(connection->server, ZKL_NEWS_SLOW, connection, connection->session_id,
                 (int64_t)waiting, "does not read what it asked for");
        zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
        return NULL;
    }
    if (!zkl_buffer_reserve(&connection->output, size)) {
        zkl_connection_starve(connection, "no memory for its output");
        return NULL;
    }
    return zkl_buffer_end(&connection->output);
}

/* Sizes are told without the four bytes of the length. */
static void note_answer(struct zkl_tally *tally, int64_t size)
{
    size -= 4;
    tally->answer_size_last = size;
    if (tally->answer_size_min == -1 || size < tally->answer_size_min) {
        tally->answer_size_min = size;
    }
    if (size > tally->answer_size_max) tally->answer_size_max = size;
}

void zkl_connection_commit(struct zkl_connection *connection, size_t size)
{
    zkl_buffer_commit(&connection->output, size);
    connection->sent++;
    connection->server->sent++;
    connection->last_response_ms = connection->server->clock.now_ms;
    if (size > 0) note_answer(&connection->server->tally, (int64_t)size);
    zkl_connection_changed(connection);
}

/* --- what waits for an answer ------------------------------------------------- */

static bool too_much_waits(const struct zkl_server *server)
{
    return server->outstanding > server->options.outstanding_max ||
           server->prep.bytes + server->deferred_bytes > server->waiting_bytes_max;
}

/* Stops only those that wait for something themselves: their turn comes with its answer. */
void zkl_connection_asks(struct zkl_connection *connection)
{
    struct zkl_server *server = connection->server;
    connection->outstanding++;
    server->outstanding++;
    if (too_much_waits(server) && zkl_list_empty(&connection->stopped)) {
        zkl_list_push(&server->stopped, &connection->stopped);
    }
}

void zkl_connection_answered(struct zkl_connection *connection)
{
    struct zkl_server *server = connection->server;
    ZKL_ASSERT(connection->outstanding > 0 && server->outstanding > 0);
    connection->outstanding--;
    server->outstanding--;
    if (connection->outstanding == 0 && !zkl_list_empty(&connection->stopped)) {
        zkl_connection_soon(connection); /* it has nothing to wait for any more */
    }
}

void zkl_connection_soon(struct zkl_connection *connection)
{
    zkl_list_remove(&connection->stopped);
    zkl_list_push(connection->server->stopped.next, &connection->stopped);
}

/* As far as the limits let them. One that asks for more than they allow stops again, at the end,
 * and ends the loop. */
void zkl_intake_wake(struct zkl_server *server)
{
    while (!zkl_list_empty(&server->stopped)) {
        struct zkl_connection *connection =
            ZKL_LIST_ELEMENT(server->stopped.next, struct zkl_connection, stopped);
        if (too_much_waits(server) && connection->outstanding > 0) return;
        zkl_list_remove(&connection->stopped);
        if (connection->phase != ZKL_PHASE_ENDING) zkl_intake(connection);
        zkl_connection_update(connection);
    }
}

/* --- attached ----------------------------------------------------------------- */

void zkl_connection_attach(struct zkl_connection *connection, struct zkl_session *session)
{
    struct zkl_server *server = connection->server;
    connection->session = session;
    connection->session_id = session->id;
    connection->phase = ZKL_PHASE_OPEN;
    connection->established_wall_ms = server->clock.wall_ms;
    session->connection = connection;
    zkl_list_remove(&connection->in_time);
    zkl_reply_connect(connection, session);
}

int64_t zkl_connection_session(const struct zkl_connection *connection)
{
    return connection->session != NULL ? connection->session->id : 0;
}

/* --- the end ------------------------------------------------------------------ */

static void forget_deferred(struct zkl_connection *connection)
{
    struct zkl_server *server = connection->server;
    while (!zkl_list_empty(&connection->deferred)) {
        struct zkl_deferred *deferred =
            ZKL_LIST_ELEMENT(connection->deferred.next, struct zkl_deferred, link);
        zkl_list_remove(&deferred->link);
        server->deferred_bytes -= deferred->size;
        zkl_release(&server->connections_account.hook, deferred, sizeof *deferred + deferred->size);
    }
}

/* Its writes go on without anybody to answer. */
static void forget_proposals(struct zkl_connection *connection)
{
    while (!zkl_list_empty(&connection->proposals)) {
        struct zkl_proposal *proposal =
            ZKL_LIST_ELEMENT(connection->proposals.next, struct zkl_proposal, on_connection);
        zkl_list_remove(&proposal->on_connection);
        proposal->connection = NULL;
    }
}

void zkl_connection_end(struct zkl_connection *connection, enum zkl_ending ending)
{
    struct zkl_server *server = connection->server;
    ZKL_ASSERT(ending != ZKL_STAYS);
    if (ending > connection->ending) {
        connection->ending = ending;
        zkl_connection_changed(connection);
    }
    if (connection->phase == ZKL_PHASE_ENDING) return;
    connection->phase = ZKL_PHASE_ENDING;
    connection->reads = false;
    if (connection->session != NULL) connection->session->connection = NULL;
    connection->session = NULL;
    forget_deferred(connection);
    forget_proposals(connection);
    server->outstanding -= connection->outstanding;
    connection->outstanding = 0;
    zkl_list_remove(&connection->waiting);
    zkl_list_remove(&connection->stopped);
    /* Who does not take its last output is not waited for. */
    zkl_list_remove(&connection->in_time);
    connection->since_ms = server->clock.now_ms;
    zkl_list_push(&server->handshakes, &connection->in_time);
}

void zkl_connection_refuse(struct zkl_connection *connection, int64_t number, const char *detail)
{
    zkl_news(connection->server, ZKL_NEWS_PROTOCOL, connection, connection->session_id, number,
             detail);
    zkl_connection_end(connection, ZKL_CLOSE_AFTER_OUTPUT);
}

void zkl_connection_starve(struct zkl_connection *connection, const char *detail)
{
    connection->server->tally.cut_off++;
    zkl_news(connection->server, ZKL_NEWS_NOMEM, connection, connection->session_id, 0, detail);
    zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
}

void zkl_connection_expire(struct zkl_server *server)
{
    while (!zkl_list_empty(&server->handshakes)) {
        struct zkl_connection *connection =
            ZKL_LIST_ELEMENT(server->handshakes.next, struct zkl_connection, in_time);
        if (server->clock.now_ms - connection->since_ms < ZKL_HANDSHAKE_TIME_MS) return;
        if (connection->phase != ZKL_PHASE_ENDING) {
            server->tally.late_handshakes++;
            zkl_news(server, ZKL_NEWS_PROTOCOL, connection, 0, ZKL_HANDSHAKE_TIME_MS,
                     "no session in time");
        }
        zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
        zkl_list_remove(&connection->in_time);
    }
}

void zkl_connection_free(struct zkl_connection *connection)
{
    struct zkl_server *server = connection->server;
    zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
    zkl_watch_remove_all(&server->watches, &connection->watches);
    zkl_list_remove(&connection->in_time);
    zkl_list_remove(&connection->changed);
    zkl_list_remove(&connection->link);
    zkl_identities_free(&connection->identities, &server->connections_account.hook);
    zkl_buffer_free(&connection->input);
    zkl_buffer_free(&connection->shown);
    zkl_buffer_free(&connection->output);
    if (connection->address != NULL) {
        connection->address->count--;
        drop_address(server, connection->address);
    }
    server->connection_count--;
    zkl_release(&server->connections_account.hook, connection, sizeof *connection);
}

void zkl_server_closed(struct zkl_connection *connection, struct zkl_clock clock)
{
    struct zkl_server *server = connection->server;
    server->clock = clock;
    zkl_connection_free(connection);
    zkl_intake_wake(server);
}
