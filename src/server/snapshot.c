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
#include <libdeflate.h>
#include <string.h>

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
    PIECE_SIZE = 64 * 1024,
    STEPS_MAX = 2048, /* of the walk in one slice: a few ms where nothing is in a cache */
    HELD_MAX = 2048,
};

/* Of the stream, made and not yet shown. Pieces, so that no touch pays for moving them all. */
struct piece {
    struct piece *next;
    size_t capacity, start, end;
    uint8_t bytes[];
};

struct zkl_snapshot {
    struct zkl_allocator allocator;
    struct zkl_tree *tree;
    int64_t zxid;
    uint64_t digest;         /* the tree's at the start */
    struct piece *ahead, *ahead_last;
    struct zkl_node *cursor; /* where the walk goes on; NULL: it is over */
    size_t left;             /* nodes that are not written */
    uint32_t adler;          /* of all that was put into slices, up to the tail */
    bool sealed;             /* the tail was made: all else is in a slice */
    bool spoilt;             /* no memory for what had to be written */
    /* The end of the last slice, kept back: an empty slice would be the end of the file, so a walk
     * over very many written nodes needs something to show at each of its stops. */
    size_t held_size;
    uint8_t held[HELD_MAX];
};

static const struct zkl_slice SEAL_NAME = { (const uint8_t *)"/", 1 };

/* --- what is ahead ------------------------------------------------------------- */

static void drop_first_piece(struct zkl_snapshot *snapshot)
{
    struct piece *piece = snapshot->ahead;
    snapshot->ahead = piece->next;
    if (snapshot->ahead == NULL) snapshot->ahead_last = NULL;
    zkl_release(&snapshot->allocator, piece, sizeof *piece + piece->capacity);
}

/* Something could not be written: nothing more is, and the next call says so. */
static void spoil(struct zkl_snapshot *snapshot)
{
    snapshot->spoilt = true;
    snapshot->cursor = NULL;
    while (snapshot->ahead != NULL) drop_first_piece(snapshot);
}

/* Room for the next `size` bytes of the stream, which are counted; NULL: it is spoilt. */
static uint8_t *room_ahead(struct zkl_snapshot *snapshot, size_t size)
{
    struct piece *last = snapshot->ahead_last;
    if (last == NULL || last->capacity - last->end < size) {
        size_t capacity = size > PIECE_SIZE ? size : PIECE_SIZE;
        last = zkl_allocate(&snapshot->allocator, sizeof *last + capacity);
        if (last == NULL) {
            spoil(snapshot);
            return NULL;
        }
        *last = (struct piece) { .capacity = capacity };
        if (snapshot->ahead_last != NULL) snapshot->ahead_last->next = last;
        if (snapshot->ahead == NULL) snapshot->ahead = last;
        snapshot->ahead_last = last;
    }
    last->end += size;
    return last->bytes + last->end - size;
}

/* Moves what is ahead into the slice, as far as it fits. */
static void show_ahead(struct zkl_snapshot *snapshot, struct zkl_writer *slice)
{
    while (snapshot->ahead != NULL && slice->size < slice->capacity) {
        struct piece *piece = snapshot->ahead;
        size_t size = piece->end - piece->start;
        size_t room = slice->capacity - slice->size;
        if (size > room) size = room;
        zkl_write_raw(slice, piece->bytes + piece->start, size);
        piece->start += size;
        if (piece->start == piece->end) drop_first_piece(snapshot);
    }
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

/* The node and its unwritten ancestors into `ahead`, topmost first: the sizes are known before
 * the first byte, so the records are laid down from the last to the first. */
static void write_ahead(struct zkl_snapshot *snapshot, struct zkl_node *node)
{
    size_t total = 0;
    for (struct zkl_node *at = node; at != NULL && !is_written(snapshot, at); at = at->parent) {
        total += record_size(at, path_size(at));
    }
    uint8_t *end = room_ahead(snapshot, total);
    if (end == NULL) return;
    end += total;
    for (struct zkl_node *at = node; at != NULL && !is_written(snapshot, at); at = at->parent) {
        size_t size_of_path = path_size(at);
        size_t size = record_size(at, size_of_path);
        end -= size;
        struct zkl_writer writer = { end, size, 0 };
        write_record(&writer, at, size_of_path);
        ZKL_ASSERT(writer.size == size);
        mark_written(snapshot, at);
    }
}

void zkl_snapshot_touch(struct zkl_snapshot *snapshot, struct zkl_node *node)
{
    if (snapshot->spoilt) return;
    if (!is_written(snapshot, node)) write_ahead(snapshot, node);
    /* It may go: the walk stands on what follows it. A node that goes has no children, and its
     * parent was touched before it, so the walk does not come back to it. */
    if (snapshot->cursor == node) snapshot->cursor = next_in_preorder(node);
}

/* Writes the next nodes of the walk into the slice, and the first that does not fit ahead. Stops
 * after a while, if there is anything to show. */
static void walk(struct zkl_snapshot *snapshot, struct zkl_writer *slice)
{
    for (int steps = 0; snapshot->left > 0; steps++) {
        if (steps >= STEPS_MAX && slice->size > 0) return;
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

static void append_sessions(struct zkl_snapshot *snapshot, const struct zkl_sessions *sessions)
{
    size_t size = 4 + sessions->map.count * SESSION_SIZE;
    struct zkl_writer writer = { room_ahead(snapshot, size), size, 0 };
    if (writer.base == NULL) return;
    zkl_write_i32(&writer, (int32_t)sessions->map.count);
    struct zkl_map_node *entry = NULL;
    while ((entry = zkl_map_each(&sessions->map, entry)) != NULL) {
        const struct zkl_session *session = (struct zkl_session *)entry;
        zkl_write_i64(&writer, session->id);
        zkl_write_i32(&writer, session->logged_timeout_ms);
    }
    ZKL_ASSERT(writer.size == size);
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

static void append_acls(struct zkl_snapshot *snapshot)
{
    const struct zkl_acls *acls = snapshot->tree->acls;
    struct zkl_writer measure = { NULL, 0, 0 };
    write_acls(&measure, acls);
    struct zkl_writer writer = { room_ahead(snapshot, measure.size), measure.size, 0 };
    if (writer.base != NULL) write_acls(&writer, acls);
}

static void append_header(struct zkl_snapshot *snapshot)
{
    struct zkl_writer writer = { room_ahead(snapshot, HEADER_SIZE), HEADER_SIZE, 0 };
    if (writer.base == NULL) return;
    zkl_write_i32(&writer, MAGIC);
    zkl_write_i32(&writer, VERSION);
    zkl_write_i64(&writer, -1);
}

static void write_seal(struct zkl_writer *tail, uint32_t adler_before)
{
    zkl_write_i64(tail, libdeflate_adler32(adler_before, tail->base, tail->size));
    zkl_write_slice(tail, SEAL_NAME);
}

/* Before any transaction Apache knows no digest yet and says 0, and so do we. */
static void append_tail(struct zkl_snapshot *snapshot)
{
    struct zkl_writer tail = { room_ahead(snapshot, TAIL_SIZE), TAIL_SIZE, 0 };
    if (tail.base == NULL) return;
    zkl_write_slice(&tail, SEAL_NAME); /* the end of the nodes */
    write_seal(&tail, snapshot->adler);
    zkl_write_i64(&tail, snapshot->zxid);
    zkl_write_i32(&tail, DIGEST_VERSION);
    zkl_write_i64(&tail, snapshot->zxid != 0 ? (int64_t)snapshot->digest : 0);
    write_seal(&tail, snapshot->adler);
    ZKL_ASSERT(tail.size == TAIL_SIZE);
    snapshot->sealed = true;
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
    while (snapshot->ahead != NULL) drop_first_piece(snapshot);
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
    append_header(snapshot);
    if (!snapshot->spoilt) append_sessions(snapshot, &server->sessions);
    if (!snapshot->spoilt) append_acls(snapshot);
    if (snapshot->spoilt) {
        snapshot_free(snapshot);
        return ZKL_E_NOMEM;
    }
    if (tree->abandoned == ZKL_GENERATIONS - 1) unify_generations(tree);
    tree->generation = (tree->generation + 1) % ZKL_GENERATIONS;
    server->snapshot = tree->snapshot = snapshot;
    *zxid = snapshot->zxid;
    return ZKL_OK;
}

static void hold_back(struct zkl_snapshot *snapshot, struct zkl_writer *slice)
{
    if (snapshot->sealed) return; /* there is no walk any more */
    ZKL_ASSERT(slice->size > 0);
    snapshot->held_size = slice->size - 1 < HELD_MAX ? slice->size - 1 : HELD_MAX;
    slice->size -= snapshot->held_size;
    memcpy(snapshot->held, slice->base + slice->size, snapshot->held_size);
}

int zkl_server_snapshot_next(struct zkl_server *server, uint8_t *bytes, size_t capacity,
                             size_t *size)
{
    struct zkl_snapshot *snapshot = server->snapshot;
    ZKL_ASSERT(snapshot != NULL && capacity >= ZKL_SNAPSHOT_SLICE_MIN);
    *size = 0;
    if (snapshot->spoilt) return ZKL_E_NOMEM;
    struct zkl_writer slice = { bytes, capacity, 0 };
    size_t held_size = snapshot->held_size;
    zkl_write_raw(&slice, snapshot->held, held_size);
    snapshot->held_size = 0;
    show_ahead(snapshot, &slice);
    if (snapshot->ahead == NULL) walk(snapshot, &slice);
    show_ahead(snapshot, &slice);
    if (!snapshot->sealed) {
        snapshot->adler = libdeflate_adler32(snapshot->adler, bytes + held_size, slice.size - held_size);
        if (snapshot->left == 0 && snapshot->ahead == NULL) append_tail(snapshot);
        show_ahead(snapshot, &slice);
    }
    if (snapshot->spoilt) return ZKL_E_NOMEM;
    hold_back(snapshot, &slice);
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
