/* See ahead.h. A request is looked at four times, some requests apart: each time what the time
 * before began to load should be there. */
#include "server/ahead.h"

#include "base/memory.h"
#include "server/internal.h"
#include "wire/bytes.h"

enum {
    STEP = ZKL_AHEAD_SIZE / 4, /* requests between two looks at the same one */
    LENGTH_SIZE = 4,
    OP_AT = LENGTH_SIZE + 4,
    PATH_AT = LENGTH_SIZE + ZKL_REQUEST_HEADER_SIZE, /* in all requests that have one path */
    PATH_SIZE_MAX = 256,       /* more is not worth it */
    DATA_SIZE_MAX = 256,
    LINE_SIZE = 64,
    NAME_SIZE = 16             /* as names are */
};

/* A null pointer is not tried: the processor would look its address up each time anew. */
static void load(const void *block, size_t size)
{
    const uint8_t *at = block;
    if (block == NULL || size == 0) return;
    for (size_t i = 0; i < size; i += LINE_SIZE) zkl_prefetch(at + i);
    zkl_prefetch(at + size - 1);
}

static void load_node(const void *node)
{
    load(node, sizeof(struct zkl_node) + NAME_SIZE);
}

/* Whether a node comes or goes. */
static bool moves(int32_t op)
{
    switch (op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_DELETE:
        return true;
    default:
        return false;
    }
}

/* The next frame, or what it would be: whoever sent it may have sent anything. */
static struct zkl_slice take_frame(struct zkl_ahead *ahead)
{
    size_t left = (size_t)(ahead->end - ahead->at);
    struct zkl_slice frame = { ahead->at, left };
    if (left >= LENGTH_SIZE && zkl_load_u32(ahead->at) < left - LENGTH_SIZE) {
        frame.size = LENGTH_SIZE + zkl_load_u32(ahead->at);
    }
    ahead->at += frame.size;
    return frame;
}

/* Of a request that does not begin with a path, what stands there is hardly ever taken for one. */
static struct zkl_slice path_in(struct zkl_slice frame)
{
    const struct zkl_slice none = { NULL, 0 };
    if (frame.size < PATH_AT + LENGTH_SIZE + 2) return none;
    struct zkl_slice path = { frame.base + PATH_AT + LENGTH_SIZE,
                              zkl_load_u32(frame.base + PATH_AT) };
    bool is_path = path.size >= 2 && path.size <= frame.size - PATH_AT - LENGTH_SIZE &&
                   path.base[0] == '/' && path.size <= PATH_SIZE_MAX;
    return is_path ? path : none;
}

/* --- four looks ----------------------------------------------------------------- */

/* The hash of a path goes on from that of its parent: see zkl_tree_hash. */
static void find_places(struct zkl_ahead *ahead, struct zkl_ahead_request *request)
{
    const struct zkl_server *server = ahead->server;
    const struct zkl_map *nodes = &server->tree.nodes;
    struct zkl_slice frame = take_frame(ahead);
    struct zkl_slice path = path_in(frame);
    *request = (struct zkl_ahead_request) { .hash = 0 };
    if (path.size == 0) return;
    int32_t op = zkl_load_i32(frame.base + OP_AT);
    size_t above = 0;
    uint64_t hash = zkl_hash_begin(server->tree.seed);
    if (moves(op)) {
        struct zkl_slice parent = zkl_path_parent(path);
        above = parent.size > 1 ? parent.size : 0;
        hash = zkl_hash_add(hash, path.base, above);
        request->parent_hash = zkl_hash_end(hash);
        zkl_map_prefetch(nodes, request->parent_hash);
    }
    request->hash = zkl_hash_end(zkl_hash_add(hash, path.base + above, path.size - above));
    request->data = op == ZKL_OP_GET_DATA || op == ZKL_OP_SET_DATA || op == ZKL_OP_DELETE;
    zkl_map_prefetch(nodes, request->hash);
    zkl_map_prefetch(&server->watches.paths, request->hash);
}

static void load_nodes(const struct zkl_server *server, const struct zkl_ahead_request *request)
{
    const struct zkl_map *nodes = &server->tree.nodes;
    load_node(zkl_map_chain(nodes, request->hash));
    if (request->parent_hash != 0) load_node(zkl_map_chain(nodes, request->parent_hash));
    load(zkl_map_chain(&server->watches.paths, request->hash), sizeof(struct zkl_watched_path));
}

/* The node with this hash, if it is the first in its place: to go on would mean to wait. */
static const struct zkl_node *first(const struct zkl_server *server, uint64_t hash)
{
    const struct zkl_map_node *entry = zkl_map_chain(&server->tree.nodes, hash);
    if (entry == NULL || entry->hash == hash) return (const struct zkl_node *)entry;
    if (entry->next != NULL) load_node(entry->next);
    return NULL;
}

/* The same of what is watched: the first watch on it. */
static const struct zkl_server_watch_entry *first_watch(const struct zkl_server *server,
                                                        uint64_t hash)
{
    const struct zkl_map_node *entry = zkl_map_chain(&server->watches.paths, hash);
    if (entry == NULL || entry->hash != hash) return NULL;
    const struct zkl_watched_path *watched = (const struct zkl_watched_path *)entry;
    for (size_t kind = 0; kind < ZKL_WATCHES_KIND_COUNT; kind++) {
        const struct zkl_list *list = &watched->watches[kind];
        if (list->next != list) {
            return ZKL_LIST_ELEMENT(list->next, struct zkl_server_watch_entry, on_path);
        }
    }
    return NULL;
}

static void load_around(const struct zkl_server *server, const struct zkl_ahead_request *request)
{
    const struct zkl_node *node = first(server, request->hash);
    if (node != NULL) {
        load_node(node->parent);
        if (request->data) {
            load(node->data, node->data_size < DATA_SIZE_MAX ? node->data_size : DATA_SIZE_MAX);
        }
    }
    const struct zkl_server_watch_entry *watch = first_watch(server, request->hash);
    if (watch != NULL) load(watch, sizeof *watch);
    if (request->parent_hash == 0) return;
    if (node != NULL) {
        zkl_prefetch(node->siblings.next);
        zkl_prefetch(node->siblings.previous);
    }
    const struct zkl_node *parent = first(server, request->parent_hash);
    if (parent != NULL) load(parent->extra, sizeof *parent->extra);
}

/* A new node goes behind its last sibling, and a watch is taken out of its connection's list. */
static void load_neighbours(const struct zkl_server *server,
                            const struct zkl_ahead_request *request)
{
    const struct zkl_server_watch_entry *watch = first_watch(server, request->hash);
    if (watch != NULL) {
        zkl_map_prefetch(&server->watches.entries, watch->entry.hash);
        zkl_prefetch(watch->on_connection.next);
        zkl_prefetch(watch->on_connection.previous);
    }
    if (request->parent_hash == 0) return;
    const struct zkl_node *parent = first(server, request->parent_hash);
    if (parent != NULL && parent->extra != NULL) zkl_prefetch(parent->extra->children.previous);
}

/* --- one after the other -------------------------------------------------------- */

void zkl_ahead_next(struct zkl_ahead *ahead)
{
    const struct zkl_server *server = ahead->server;
    if (server == NULL) return;
    struct zkl_ahead_request *requests[4];
    for (size_t i = 0; i < 4; i++) {
        requests[i] = &ahead->ring[(ahead->count - i * STEP) % ZKL_AHEAD_SIZE];
    }
    ahead->count++;
    find_places(ahead, requests[0]);
    if (requests[1]->hash != 0) load_nodes(server, requests[1]);
    if (requests[2]->hash != 0) load_around(server, requests[2]);
    if (requests[3]->hash != 0) load_neighbours(server, requests[3]);
}

void zkl_ahead_begin(struct zkl_ahead *ahead, const struct zkl_server *server,
                     const uint8_t *bytes, size_t size)
{
    *ahead = (struct zkl_ahead) { .at = bytes, .end = bytes + size };
    bool is_alone = take_frame(ahead).size == size;
    if (is_alone || server->tree.nodes.count + server->watches.paths.count < ZKL_AHEAD_MIN) return;
    ahead->server = server;
    ahead->at = bytes;
    for (size_t i = 0; i + 1 < ZKL_AHEAD_SIZE; i++) zkl_ahead_next(ahead);
}
