/* What the limit of memory lets in (options.memory_max). Each kind of thing that clients can make
 * more of has an account with a limit of its own, so that a flood of one kind is refused and the
 * other kinds do not notice:
 *
 *     data          11/16   nodes; what would add to them is refused by -125
 *     waiting        1/16   writes and reads that wait for the disk: asked for more slowly
 *     sessions       1/16   who opens one more is cut off
 *     watches        1/16   one more is refused by -125
 *     connections    2/16   and their buffers: who needs more is cut off; at least 8 MiB
 *
 * An account that is full refuses as an allocator does that has nothing left, which everything
 * here bears. The one of data never does: its limit is judged where a write can still be refused,
 * and deletes need a little memory to make room. What comes from disk is let in whole. */
#include "base/memory.h"
#include "server/internal.h"

enum { SHARES = 16, DATA = 11, WAITING = 1, SESSIONS = 1, WATCHES = 1, CONNECTIONS = 2 };
#define CONNECTIONS_BYTES_MIN (8 * 1024 * 1024)

static void *count(void *context, void *block, size_t old_size, size_t new_size)
{
    struct zkl_account *account = context;
    if (new_size > old_size && zkl_account_full(account, new_size - old_size)) return NULL;
    void *moved = account->outer.allocate(account->outer.context, block, old_size, new_size);
    if (new_size > 0 && moved == NULL) return NULL;
    account->bytes += new_size;
    account->bytes -= old_size;
    return moved;
}

void zkl_account_init(struct zkl_account *account, const struct zkl_allocator *outer)
{
    *account = (struct zkl_account) { .hook = { count, account }, .outer = *outer };
}

void zkl_memory_limit(struct zkl_server *server)
{
    uint64_t share = server->options.memory_max / SHARES;
    server->waiting_bytes_max = ZKL_WAITING_BYTES_MAX;
    if (server->options.memory_max == 0) return;
    uint64_t connections = share * CONNECTIONS;
    if (share * WAITING < server->waiting_bytes_max) server->waiting_bytes_max = share * WAITING;
    if (connections < CONNECTIONS_BYTES_MIN) connections = CONNECTIONS_BYTES_MIN;
    server->sessions_account.bytes_max = share * SESSIONS;
    server->watches_account.bytes_max = share * WATCHES;
    server->connections_account.bytes_max = connections;
}

/* What was deleted is memory of the tree's already: it makes room although the account stays
 * as full as it was. */
size_t zkl_memory_needed(const struct zkl_server *server, size_t block_size, size_t instead_of)
{
    if (block_size <= instead_of || zkl_pool_has(&server->tree.pool, block_size)) return 0;
    return block_size - instead_of;
}

bool zkl_memory_full(const struct zkl_server *server, size_t size)
{
    if (size == 0) return false;
    uint64_t most = server->options.memory_max / SHARES * DATA;
    uint64_t used = server->data_account.bytes;
    return server->options.memory_max != 0 && (used > most || size > most - used);
}

uint64_t zkl_memory_bytes(const struct zkl_server *server)
{
    return server->data_account.bytes + server->sessions_account.bytes +
           server->watches_account.bytes + server->connections_account.bytes;
}
