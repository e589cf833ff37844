/* Whether the tree is what the digests of the log say, while the log is replayed.
 *
 * A tree that has agreed with a digest once is exact, and each digest behind has to agree, too.
 * Apache's own are wrong in places, which it only warns of when it loads them (3.8.0, tried):
 *
 * - Whether a node is a container, an ephemeral or neither is taken from the request's flags for
 *   the digest, and from its operation for the record: they differ for a create with the flag of
 *   a container, and for a createContainer without it.
 * - A parent's counter of children that runs over is not taken over by the tree, since it does
 *   not grow, and is by the digest.
 * - What is prepared before such a write is applied goes on from its digest.
 *
 * The record and the tree say all that these wrong digests are made of, so that exactly those are
 * accepted. Behind one the tree is looked at as before the first: a digest that disagrees is
 * noted, until one agrees or the log ends. */
#include "server/node.h"
#include "server/replay.h"

static bool creates(const struct zkl_txn *txn)
{
    return txn->type == ZKL_OP_CREATE || txn->type == ZKL_OP_CREATE2 ||
           txn->type == ZKL_OP_CREATE_CONTAINER || txn->type == ZKL_OP_CREATE_TTL;
}

/* By how much the tree's digest were another, if the node were as `other` says. */
static uint64_t difference_if(const struct zkl_node *node, const struct zkl_stat *other)
{
    return node->outside ? 0 : zkl_digest_end(node->crc, other) - zkl_node_digest(node);
}

static uint64_t if_owned(const struct zkl_node *node, int64_t owner)
{
    struct zkl_stat stat;
    zkl_node_persisted(node, &stat);
    stat.ephemeral_owner = owner;
    return difference_if(node, &stat);
}

static uint64_t if_counted(const struct zkl_node *parent, int32_t cversion, int64_t zxid)
{
    struct zkl_stat stat;
    zkl_node_persisted(parent, &stat);
    if (cversion >= stat.cversion) return 0; /* it has not run over */
    stat.cversion = cversion;
    stat.pzxid = zxid;
    return difference_if(parent, &stat);
}

/* Whether Apache's digest behind this create is off by `difference`, which is not 0. */
static bool create_explains(const struct zkl_server *server, const struct zkl_txn_header *header,
                            const struct zkl_txn *txn, uint64_t difference)
{
    const struct zkl_node *node = zkl_tree_find(&server->tree, txn->path);
    if (node == NULL || node->parent == NULL) return false;
    uint64_t counted = if_counted(node->parent, txn->parent_cversion, header->zxid);
    if (difference == counted) return true;
    if (txn->type == ZKL_OP_CREATE_CONTAINER) {
        return difference == counted + if_owned(node, 0) ||
               difference == counted + if_owned(node, header->session_id);
    }
    return txn->type != ZKL_OP_CREATE_TTL && !txn->ephemeral &&
           difference == counted + if_owned(node, ZKL_OWNER_CONTAINER);
}

static bool explains(const struct zkl_server *server, const struct zkl_txn_header *header,
                     const struct zkl_txn *txn, uint64_t difference)
{
    if (creates(txn)) return create_explains(server, header, txn, difference);
    struct zkl_vector parts = txn->parts;
    struct zkl_txn part;
    while (zkl_txn_next_part(&parts, &part)) {
        if (creates(&part) && create_explains(server, header, &part, difference)) return true;
    }
    return false;
}

static int disagrees(struct zkl_server *server, int64_t zxid, uint64_t digest)
{
    int status = zkl_why_start(server, "the tree is not what its digest says at zxid ");
    zkl_why_hex(server, (uint64_t)zxid);
    zkl_why_text(server, ": ");
    zkl_why_hex(server, server->tree.digest);
    zkl_why_text(server, " instead of ");
    zkl_why_hex(server, digest);
    if (server->settled) return status;
    server->in_doubt = true;
    return ZKL_OK;
}

/* `txn` NULL: the digest is not one that was logged with it. */
static int compare(struct zkl_server *server, const struct zkl_txn_header *header,
                   const struct zkl_txn *txn, uint64_t digest)
{
    uint64_t difference = digest - server->tree.digest;
    if (difference == 0) {
        server->settled = true;
        server->in_doubt = false;
        server->drift = 0;
        return ZKL_OK;
    }
    if (txn == NULL || (difference != server->drift &&
                        !explains(server, header, txn, difference) &&
                        !explains(server, header, txn, difference - server->drift))) {
        return disagrees(server, header->zxid, digest);
    }
    server->settled = server->in_doubt = false;
    server->drift = difference;
    return ZKL_OK;
}

int zkl_replay_compare(struct zkl_server *server, const struct zkl_txn_header *header,
                       const struct zkl_txn *txn, const struct zkl_txn_digest *digest)
{
    if (header->zxid < server->fuzzy_zxid) return ZKL_OK;
    bool fuzzy = header->zxid == server->fuzzy_zxid;
    server->fuzzy_zxid = 0;
    if (fuzzy) return compare(server, header, NULL, server->fuzzy_digest);
    if (!digest->present || digest->version != ZKL_TXN_DIGEST_VERSION) return ZKL_OK;
    return compare(server, header, txn, digest->digest);
}
