/* The znodes as they stand after the last committed transaction, and their digest.
 *
 * No call here costs more with a million nodes or children than with one. Nothing here judges:
 * prep has, and a replayed log was judged when it was written. Changing never fails: what
 * needs memory takes blocks that were reserved before.
 *
 * A plain leaf of 100 bytes has to fit into 250 bytes with everything (the goal is for a
 * million of them), so what most nodes do not need stands in an extra block, and nodes and
 * data come from a pool without a header per block. */
#ifndef ZKLUA_SERVER_TREE_H
#define ZKLUA_SERVER_TREE_H

#include "base/list.h"
#include "base/map.h"
#include "base/pool.h"
#include "server/acls.h"

#define ZKL_OWNER_CONTAINER INT64_MIN
#define ZKL_OWNER_TTL_BITS UINT64_C(0xff00000000000000)

enum zkl_owner_kind { ZKL_OWNER_NONE, ZKL_OWNER_SESSION, ZKL_OWNER_IS_CONTAINER, ZKL_OWNER_IS_TTL };

/* Of a node that has or had children, or an owner, or comes from disk with odd numbers. */
struct zkl_node_extra {
    struct zkl_node *node;
    struct zkl_list children; /* of zkl_node.siblings */
    int32_t children_count;
    int32_t cversion;         /* how many children were ever created, as on disk */
    uint64_t below;           /* nodes below it, at any depth */
    int64_t pzxid;
    int64_t owner;            /* encoded (server-semantics 1.7); 0: persistent */
    struct zkl_list owned;    /* among its session's ephemerals, or containers, or TTL nodes */
};

struct zkl_node {
    struct zkl_map_node entry; /* by the hash of the whole path */
    struct zkl_node *parent;   /* NULL: the root */
    struct zkl_list siblings;
    struct zkl_node_extra *extra; /* NULL: no children ever, no owner, pzxid == czxid */
    uint8_t *data;             /* a block of data_size; NULL when that is 0 */
    int64_t czxid, mzxid, ctime_ms, mtime_ms;
    int32_t version, aversion;
    uint32_t acl;
    uint32_t data_size;
    uint32_t crc;              /* of path and data; the digest goes on from here */
    uint32_t name_size : 24;
    uint32_t data_null : 1;    /* the protocol's null: -1, not 0 bytes */
    uint32_t outside : 1;      /* below /zookeeper/: not in the digest */
    uint32_t generation : 6;   /* equals tree->generation: the running snapshot has it */
    char name[];               /* last component, without a terminator */
};

#define ZKL_NODE_NAME_MAX ((1 << 24) - 1) /* more is out of memory */
#define ZKL_GENERATIONS 64

/* All ephemerals of one session; gone with the last. */
struct zkl_owner {
    struct zkl_map_node entry; /* by session id */
    int64_t session_id;
    struct zkl_list nodes;     /* of zkl_node_extra.owned */
    size_t count;
};

struct zkl_tree {
    struct zkl_allocator allocator;
    struct zkl_pool pool;      /* nodes, extras, data */
    uint64_t seed;
    bool ttl_nodes;            /* how owners are understood (server-semantics 1.7) */
    struct zkl_acls *acls;     /* the tree's own */
    struct zkl_map nodes;      /* all, the root too */
    struct zkl_node *root;
    struct zkl_map owners;
    struct zkl_list containers, ttls;
    uint64_t digest;
    uint64_t data_bytes;       /* of all paths and data, as Apache counts them */
    uint64_t ephemeral_count;
    uint32_t generation;       /* of the last snapshot that was begun, modulo ZKL_GENERATIONS */
    uint32_t abandoned;        /* snapshots that were given up since the last whole one */
    struct zkl_snapshot *snapshot; /* the one that runs, told before a node changes or goes */
};

/* false: out of memory. The tree of a new server, and its table of access lists. */
bool zkl_tree_init(struct zkl_tree *tree, const struct zkl_allocator *allocator, uint64_t seed,
                   bool ttl_nodes);
void zkl_tree_free(struct zkl_tree *tree);
/* Before a snapshot is restored: no node and no access list at all. */
void zkl_tree_clear(struct zkl_tree *tree);

uint64_t zkl_tree_hash(const struct zkl_tree *tree, struct zkl_slice path);
/* NULL: there is none. "" and "/" are the root. A path that is not well-formed finds nothing. */
struct zkl_node *zkl_tree_find(const struct zkl_tree *tree, struct zkl_slice path);
struct zkl_slice zkl_path_parent(struct zkl_slice path); /* "/" of "/a"; no '/': null */
struct zkl_slice zkl_path_name(struct zkl_slice path);    /* "a" of "/a"; no '/': null */
/* Whether a path may be that of a node below the root: absolute, and neither the name nor the one
 * above it is empty ("//a" has the parent "/", and is not "/a"). */
bool zkl_path_is_below(struct zkl_slice path);
/* Writes the path ("/" for the root) and returns its size; `capacity` 0 measures. */
size_t zkl_node_path(const struct zkl_node *node, char *buffer, size_t capacity);

/* What clients see, and what is on disk (cversion and owner differ). */
void zkl_node_stat(const struct zkl_node *node, const struct zkl_tree *tree,
                   struct zkl_stat *stat);
void zkl_node_persisted(const struct zkl_node *node, struct zkl_stat *stat);
int32_t zkl_node_children_count(const struct zkl_node *node);
uint64_t zkl_node_below(const struct zkl_node *node); /* all of them, at any depth */
struct zkl_node *zkl_node_first_child(const struct zkl_node *node);
struct zkl_node *zkl_node_next_sibling(const struct zkl_node *node); /* NULL: the last */
int64_t zkl_node_owner(const struct zkl_node *node);
enum zkl_owner_kind zkl_tree_owner_kind(const struct zkl_tree *tree, int64_t owner);

/* The digest of one node from its parts; prep uses it on nodes that are not there yet. */
uint32_t zkl_digest_begin(struct zkl_slice path, struct zkl_slice data); /* zkl_node.crc */
uint64_t zkl_digest_end(uint32_t crc, const struct zkl_stat *persisted);
bool zkl_path_outside_digest(struct zkl_slice path);

/* --- changes ------------------------------------------------------------------- */

/* Blocks for one change. Reserve in prep, hand to the change in apply (which takes what it
 * uses and leaves the rest), release whatever is left. */
struct zkl_reserved {
    struct zkl_node *node;          /* create: holds name, data and crc already */
    struct zkl_node_extra *extra;   /* of the new node, if it needs one */
    struct zkl_node_extra *parent_extra;
    struct zkl_owner *owner;
    uint8_t *data;                  /* setData: holds the data already; NULL: there are none */
    size_t data_size;
    bool data_null;
    uint32_t crc;                   /* create and setData: of path and data (zkl_digest_begin) */
    uint32_t acl;                   /* a reference, or 0 */
};
/* false: out of memory, nothing is held. `ahead`: how many creates are reserved already and
 * not yet applied, so that the maps have room for all. */
bool zkl_tree_reserve_create(struct zkl_tree *tree, struct zkl_slice path, struct zkl_slice data,
                             struct zkl_vector acl, int64_t owner, size_t ahead,
                             struct zkl_reserved *reserved);
bool zkl_tree_reserve_set_data(struct zkl_tree *tree, struct zkl_slice path,
                               struct zkl_slice data, struct zkl_reserved *reserved);
bool zkl_tree_reserve_set_acl(struct zkl_tree *tree, struct zkl_vector acl,
                              struct zkl_reserved *reserved);
void zkl_tree_release(struct zkl_tree *tree, struct zkl_reserved *reserved);

/* `parent` is as the caller found it, and has no child of this name. parent_cversion -1: the
 * current one and one. Raises the parent's cversion and pzxid only (server-semantics 1.6). */
struct zkl_node *zkl_tree_create(struct zkl_tree *tree, struct zkl_node *parent,
                                 struct zkl_reserved *reserved, int64_t owner,
                                 int32_t parent_cversion, int64_t zxid, int64_t time_ms);
/* A leaf goes; its block is free afterwards. */
void zkl_tree_delete(struct zkl_tree *tree, struct zkl_node *node, int64_t zxid);
void zkl_tree_set_data(struct zkl_tree *tree, struct zkl_node *node,
                       struct zkl_reserved *reserved, int32_t version, int64_t zxid,
                       int64_t time_ms);
void zkl_tree_set_acl(struct zkl_tree *tree, struct zkl_node *node,
                      struct zkl_reserved *reserved, int32_t version);
/* Replay onto a fuzzy snapshot, where the effect may be there already; parent_cversion INT32_MIN
 * for a delete: pzxid only. false: out of memory. */
bool zkl_tree_raise_parent(struct zkl_tree *tree, struct zkl_node *parent,
                           int32_t parent_cversion, int64_t zxid);
/* A session's node stays when that ends: from now on a plain one. */
void zkl_tree_disown(struct zkl_tree *tree, struct zkl_node *node);
/* Quota usage: data only, no version and no zxid; outside the digest. `data` becomes the
 * tree's block of `size`, from zkl_pool_take. */
void zkl_tree_set_stats(struct zkl_tree *tree, struct zkl_node *node, uint8_t *data, size_t size);
/* From a snapshot: `parent` NULL makes the root. The path is new, its list is known, its name is
 * not too long: the caller has looked. false: out of memory. */
bool zkl_tree_restore(struct zkl_tree *tree, const struct zkl_restored_node *node,
                      struct zkl_node *parent);

/* The session's ephemerals, or NULL. */
struct zkl_owner *zkl_tree_owner(const struct zkl_tree *tree, int64_t session_id);
/* The node of a link in a list of owned ones. */
static inline struct zkl_node *zkl_owned_node(struct zkl_list *link)
{
    return ZKL_LIST_ELEMENT(link, struct zkl_node_extra, owned)->node;
}

/* snapshot.c: a node is about to change or to go, while a snapshot runs; a parent before its
 * child. Cannot fail: without memory the snapshot is spoilt, and its next call says so. */
void zkl_snapshot_touch(struct zkl_snapshot *snapshot, struct zkl_node *node);

#endif
