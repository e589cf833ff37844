/* An exact snapshot in slices, while the tree changes (design section 4, server-semantics 9.3).
 *
 * The stream is the file: header, sessions, access lists, nodes, seals. What comes before the
 * nodes is copied at the start. The nodes come from a walk through the tree in preorder, a slice
 * at a time; a node that is about to change or to go is written at once, by `touch`, with all of
 * its ancestors that were not written yet. So at any moment:
 *
 *  - a written node's ancestors are written, and stand before it in the stream;
 *  - a node that is not written is as it was at the start;
 *  - nodes made since the start count as written, so what is left are nodes of the start.
 *
 * `generation` of a node says whether it is written: it equals the tree's. The walk passes over
 * written nodes, but not over what is below them, and ends when none is left. */
#include <string.h>
#include <zlib.h>

#include "base/buffer.h"
#include "base/memory.h"
#include "server/internal.h"
#include "server/node.h"
#include "wire/writer.h"

#define MAGIC 0x5a4b534e /* "ZKSN" */

enum {
    VERSION = 2,
    DIGEST_VERSION = 2,
    HEADER_SIZE = 16,
    SESSION_SIZE = 12,
    RECORD_SIZE = 4 + 4 + 8 + 60, /* of a node without path and data */
    SEAL_SIZE = 8 + 5,
    TAIL_SIZE = 5 + SEAL_SIZE + 20 + SEAL_SIZE,
};

struct zkl_snapshot {
    struct zkl_allocator allocator;
    struct zkl_tree *tree;
    int64_t zxid;
    uint64_t digest;         /* the tree's at the start */
    struct zkl_buffer ahead; /* of the stream, and not shown yet */
    struct zkl_node *cursor; /* where the walk goes on; NULL: it is over */
    size_t left;             /* nodes that are not written */
    uint32_t adler;          /* of all that was shown, up to the tail */
    bool sealed;             /* the tail was made: all else was shown */
    bool spoilt;             /* no memory for what had to be written */
};

static const struct zkl_slice SEAL_NAME = { (const uint8_t *)"/", 1 };

static uint32_t add_checksum(uint32_t adler, const uint8_t *bytes, size_t size)
{
    while (size > 0) { /* zlib counts in unsigned int */
        uInt part = size < INT32_MAX ? (uInt)size : INT32_MAX;
        adler = (uint32_t)adler32(adler, bytes, part);
        bytes += part;
        size -= part;
    }
    return adler;
}

/* --- one node ------------------------------------------------------------------ */

static size_t path_size(const struct zkl_node *node)
{
    return node->parent == NULL ? 0 : zkl_node_path(node, NULL, 0); /* on disk the root is "" */
}

static size_t record_size(const struct zkl_node *node, size_t size_of_path)
{
    return RECORD_SIZE + size_of_path + node->data_size;
}

static void write_record(struct zkl_writer *writer, const struct zkl_node *node,
                         size_t size_of_path)
{
    zkl_write_i32(writer, (int32_t)size_of_path);
    uint8_t *path = zkl_room(writer, size_of_path);
    ZKL_ASSERT(path != NULL);
    if (size_of_path > 0) zkl_node_path(node, (char *)path, size_of_path);
    zkl_write_i32(writer, node->data_null ? -1 : (int32_t)node->data_size);
    zkl_write_raw(writer, node->data, node->data_size);
    zkl_write_i64(writer, node->acl == ZKL_ACL_OPEN ? -1 : (int64_t)node->acl);
    struct zkl_stat stat;
    zkl_node_persisted(node, &stat);
    zkl_write_i64(writer, stat.czxid);
    zkl_write_i64(writer, stat.mzxid);
    zkl_write_i64(writer, stat.ctime_ms);
    zkl_write_i64(writer, stat.mtime_ms);
    zkl_write_i32(writer, stat.version);
    zkl_write_i32(writer, stat.cversion);
    zkl_write_i32(writer, stat.aversion);
    zkl_write_i64(writer, stat.ephemeral_owner);
    zkl_write_i64(writer, stat.pzxid);
}

static bool is_written(const struct zkl_snapshot *snapshot, const struct zkl_node *node)
{
    return node->generation == snapshot->tree->generation;
}

static void mark_written(struct zkl_snapshot *snapshot, struct zkl_node *node)
{
    ZKL_ASSERT(snapshot->left > 0);
    node->generation = snapshot->tree->generation % ZKL_GENERATIONS;
    snapshot->left--;
}

/* --- the walk ------------------------------------------------------------------ */

static struct zkl_node *next_in_preorder(struct zkl_node *node)
{
    struct zkl_node *next = zkl_node_first_child(node);
    while (next == NULL && node != NULL) {
        next = zkl_node_next_sibling(node);
        node = node->parent;
    }
    return next;
}

/* Something could not be written: nothing more is, and the next call says so. */
static void spoil(struct zkl_snapshot *snapshot)
{
    snapshot->spoilt = true;
    snapshot->cursor = NULL;
    zkl_buffer_clear(&snapshot->ahead);
}

/* The node and its unwritten ancestors into `ahead`, topmost first: the sizes are known before
 * the first byte, so the records are laid down from the last to the first. */
static void write_ahead(struct zkl_snapshot *snapshot, struct zkl_node *node)
{
    size_t total = 0;
    for (struct zkl_node *at = node; at != NULL && !is_written(snapshot, at); at = at->parent) {
        total += record_size(at, path_size(at));
    }
    if (!zkl_buffer_reserve(&snapshot->ahead, total)) {
        spoil(snapshot);
        return;
    }
    uint8_t *end = zkl_buffer_end(&snapshot->ahead) + total;
    for (struct zkl_node *at = node; at != NULL && !is_written(snapshot, at); at = at->parent) {
        size_t size_of_path = path_size(at);
        size_t size = record_size(at, size_of_path);
        end -= size;
        struct zkl_writer writer = { end, size, 0 };
        write_record(&writer, at, size_of_path);
        ZKL_ASSERT(writer.size == size);
        mark_written(snapshot, at);
    }
    zkl_buffer_commit(&snapshot->ahead, total);
}

void zkl_snapshot_touch(struct zkl_snapshot *snapshot, struct zkl_node *node)
{
    if (snapshot->spoilt) return;
    if (!is_written(snapshot, node)) write_ahead(snapshot, node);
    /* It may go: the walk stands on what follows it. A node that goes has no children, and its
     * parent was touched before it, so the walk does not come back to it. */
    if (snapshot->cursor == node) snapshot->cursor = next_in_preorder(node);
}

/* Writes the next nodes of the walk into the slice, and the first that does not fit ahead. */
static void walk(struct zkl_snapshot *snapshot, struct zkl_writer *slice)
{
    while (snapshot->left > 0) {
        struct zkl_node *node = snapshot->cursor;
        ZKL_ASSERT(node != NULL);
        if (!is_written(snapshot, node)) {
            size_t size_of_path = path_size(node);
            size_t size = record_size(node, size_of_path);
            if (size > slice->capacity - slice->size) {
                write_ahead(snapshot, node);
                return;
            }
            write_record(slice, node, size_of_path);
            mark_written(snapshot, node);
        }
        snapshot->cursor = next_in_preorder(node);
    }
}

/* --- what stands around the nodes ---------------------------------------------- */

static bool append_sessions(struct zkl_buffer *ahead, const struct zkl_sessions *sessions)
{
    size_t size = 4 + sessions->map.count * SESSION_SIZE;
    if (!zkl_buffer_reserve(ahead, size)) return false;
    struct zkl_writer writer = { zkl_buffer_end(ahead), size, 0 };
    zkl_write_i32(&writer, (int32_t)sessions->map.count);
    struct zkl_map_node *entry = NULL;
    while ((entry = zkl_map_each(&sessions->map, entry)) != NULL) {
        const struct zkl_session *session = (struct zkl_session *)entry;
        zkl_write_i64(&writer, session->id);
        zkl_write_i32(&writer, session->logged_timeout_ms);
    }
    ZKL_ASSERT(writer.size == size);
    zkl_buffer_commit(ahead, size);
    return true;
}

static void write_acls(struct zkl_writer *writer, const struct zkl_acls *acls)
{
    int32_t count = 0;
    for (uint32_t n = zkl_acls_next(acls, 0); n != 0; n = zkl_acls_next(acls, n)) count++;
    zkl_write_i32(writer, count);
    for (uint32_t n = zkl_acls_next(acls, 0); n != 0; n = zkl_acls_next(acls, n)) {
        struct zkl_vector list = zkl_acls_list(acls, n);
        zkl_write_i64(writer, n);
        zkl_write_vector(writer, &list);
    }
}

static bool append_acls(struct zkl_buffer *ahead, const struct zkl_acls *acls)
{
    struct zkl_writer measure = { NULL, 0, 0 };
    write_acls(&measure, acls);
    if (!zkl_buffer_reserve(ahead, measure.size)) return false;
    struct zkl_writer writer = { zkl_buffer_end(ahead), measure.size, 0 };
    write_acls(&writer, acls);
    zkl_buffer_commit(ahead, writer.size);
    return true;
}

static bool append_head(struct zkl_snapshot *snapshot, const struct zkl_sessions *sessions)
{
    uint8_t header[HEADER_SIZE];
    struct zkl_writer writer = { header, sizeof header, 0 };
    zkl_write_i32(&writer, MAGIC);
    zkl_write_i32(&writer, VERSION);
    zkl_write_i64(&writer, -1);
    return zkl_buffer_append(&snapshot->ahead, header, sizeof header) &&
           append_sessions(&snapshot->ahead, sessions) &&
           append_acls(&snapshot->ahead, snapshot->tree->acls);
}

static void write_seal(struct zkl_writer *tail, uint32_t adler_before)
{
    zkl_write_i64(tail, add_checksum(adler_before, tail->base, tail->size));
    zkl_write_slice(tail, SEAL_NAME);
}

/* Before any transaction Apache knows no digest yet and says 0, and so do we. */
static void append_tail(struct zkl_snapshot *snapshot)
{
    uint8_t bytes[TAIL_SIZE];
    struct zkl_writer tail = { bytes, sizeof bytes, 0 };
    zkl_write_slice(&tail, SEAL_NAME); /* the end of the nodes */
    write_seal(&tail, snapshot->adler);
    zkl_write_i64(&tail, snapshot->zxid);
    zkl_write_i32(&tail, DIGEST_VERSION);
    zkl_write_i64(&tail, snapshot->zxid != 0 ? (int64_t)snapshot->digest : 0);
    write_seal(&tail, snapshot->adler);
    ZKL_ASSERT(tail.size == sizeof bytes);
    snapshot->sealed = true;
    if (!zkl_buffer_append(&snapshot->ahead, bytes, sizeof bytes)) spoil(snapshot);
}

/* --- the public calls ---------------------------------------------------------- */

/* After so many snapshots in a row that were given up, a node could bear the number of the next
 * one from long ago. */
static void unify_generations(struct zkl_tree *tree)
{
    for (struct zkl_node *node = tree->root; node != NULL; node = next_in_preorder(node)) {
        node->generation = tree->generation % ZKL_GENERATIONS;
    }
    tree->abandoned = 0;
}

static void snapshot_free(struct zkl_snapshot *snapshot)
{
    struct zkl_allocator allocator = snapshot->allocator;
    zkl_buffer_free(&snapshot->ahead);
    zkl_release(&allocator, snapshot, sizeof *snapshot);
}

int zkl_server_snapshot_begin(struct zkl_server *server, int64_t *zxid)
{
    if (server->snapshot != NULL) return ZKL_E_LIMIT;
    struct zkl_tree *tree = &server->tree;
    struct zkl_snapshot *snapshot = zkl_allocate(&server->allocator, sizeof *snapshot);
    if (snapshot == NULL) return ZKL_E_NOMEM;
    *snapshot = (struct zkl_snapshot) {
        .allocator = server->allocator,
        .tree = tree,
        .zxid = server->zxid,
        .digest = tree->digest,
        .cursor = tree->root,
        .left = tree->nodes.count,
        .adler = 1, /* of nothing */
    };
    zkl_buffer_init(&snapshot->ahead, &server->allocator);
    if (!append_head(snapshot, &server->sessions)) {
        snapshot_free(snapshot);
        return ZKL_E_NOMEM;
    }
    if (tree->abandoned == ZKL_GENERATIONS - 1) unify_generations(tree);
    tree->generation = (tree->generation + 1) % ZKL_GENERATIONS;
    server->snapshot = tree->snapshot = snapshot;
    *zxid = snapshot->zxid;
    return ZKL_OK;
}

/* Moves what is ahead into the slice, as far as it fits. */
static void show_ahead(struct zkl_snapshot *snapshot, struct zkl_writer *slice)
{
    size_t size = zkl_buffer_size(&snapshot->ahead);
    size_t room = slice->capacity - slice->size;
    if (size > room) size = room;
    if (size == 0) return;
    zkl_write_raw(slice, zkl_buffer_start(&snapshot->ahead), size);
    zkl_buffer_consume(&snapshot->ahead, size);
}

int zkl_server_snapshot_next(struct zkl_server *server, uint8_t *bytes, size_t capacity,
                             size_t *size)
{
    struct zkl_snapshot *snapshot = server->snapshot;
    ZKL_ASSERT(snapshot != NULL && capacity >= ZKL_SNAPSHOT_SLICE_MIN);
    *size = 0;
    if (snapshot->spoilt) return ZKL_E_NOMEM;
    struct zkl_writer slice = { bytes, capacity, 0 };
    show_ahead(snapshot, &slice);
    if (zkl_buffer_size(&snapshot->ahead) == 0) walk(snapshot, &slice);
    show_ahead(snapshot, &slice);
    if (!snapshot->sealed) {
        snapshot->adler = add_checksum(snapshot->adler, bytes, slice.size);
        if (snapshot->left == 0 && zkl_buffer_size(&snapshot->ahead) == 0) append_tail(snapshot);
        show_ahead(snapshot, &slice);
    }
    if (snapshot->spoilt) return ZKL_E_NOMEM;
    *size = slice.size;
    return ZKL_OK;
}

void zkl_server_snapshot_end(struct zkl_server *server)
{
    struct zkl_snapshot *snapshot = server->snapshot;
    ZKL_ASSERT(snapshot != NULL);
    /* Whole, and every node bears the same number; or not. */
    server->tree.abandoned = snapshot->left == 0 ? 0 : server->tree.abandoned + 1;
    server->snapshot = server->tree.snapshot = NULL;
    snapshot_free(snapshot);
}
