/* Everything that needs no transaction: reads of the tree, and what concerns the connection
 * itself (its watches, its identities, its session's nodes). All of it sees the tree as it is
 * after the last committed transaction.
 *
 * A reply is written straight into the output. Where a reply's size is not known before it is
 * written, room is made for the most that it can be. */
#include <string.h>

#include "server/internal.h"
#include "wire/writer.h"

/* One request that is being served. */
struct read {
    struct zkl_server *server;
    struct zkl_connection *connection;
    int32_t xid;
    const struct zkl_request *request;
};

static void answer_code(const struct read *read, int32_t code)
{
    zkl_reply_header(read->connection, read->xid, code);
}

static struct zkl_reply_header good_header(const struct read *read)
{
    struct zkl_reply_header header = { read->xid, read->server->zxid, ZKL_CODE_OK };
    read->connection->last_zxid = header.zxid;
    return header;
}

static bool allowed(const struct read *read, const struct zkl_node *node, int32_t permissions)
{
    return read->server->options.skip_acl ||
           zkl_acls_allow(read->server->acls, node->acl, permissions,
                          &read->connection->identities);
}

/* The node, or NULL and why it may not be read. A null path is no path at all. */
static const struct zkl_node *find_readable(const struct read *read, struct zkl_slice path,
                                            int32_t permissions, int32_t *code)
{
    *code = ZKL_CODE_MARSHALLINGERROR;
    if (path.base == NULL) return NULL;
    const struct zkl_node *node = zkl_tree_find(&read->server->tree, path);
    *code = ZKL_CODE_NONODE;
    if (node == NULL) return NULL;
    *code = ZKL_CODE_NOAUTH;
    if (!allowed(read, node, permissions)) return NULL;
    *code = ZKL_CODE_OK;
    return node;
}

/* false: the connection is ending. */
static bool watch(const struct read *read, struct zkl_slice path, uint32_t kind)
{
    struct zkl_connection *connection = read->connection;
    if (zkl_watch_add(&read->server->watches, &connection->watches, path, kind)) return true;
    bool many = connection->watches.count >= ZKL_WATCHES_PER_CONNECTION;
    zkl_news(read->server, many ? ZKL_NEWS_PROTOCOL : ZKL_NEWS_NOMEM, connection,
             connection->session_id, (int64_t)connection->watches.count,
             many ? "too many watches" : "no memory for its watches");
    zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
    return false;
}

static struct zkl_slice data_of(const struct zkl_node *node)
{
    static const uint8_t empty[1];
    struct zkl_slice data = { node->data, node->data_size };
    if (data.base == NULL && !node->data_null) data.base = empty;
    return data;
}

static void write_stat(const struct read *read, struct zkl_writer *writer,
                       const struct zkl_node *node)
{
    struct zkl_result stat = { .op = ZKL_OP_EXISTS };
    zkl_node_stat(node, &read->server->tree, &stat.stat);
    zkl_result_write(writer, &stat);
}

/* --- nodes ------------------------------------------------------------------------------ */

static void serve_exists(const struct read *read)
{
    const struct zkl_request *request = read->request;
    int32_t code;
    if (request->path.base != NULL &&
        memchr(request->path.base, 0, request->path.size) != NULL) {
        answer_code(read, ZKL_CODE_BADARGUMENTS);
        return;
    }
    const struct zkl_node *node = find_readable(read, request->path, ZKL_READ, &code);
    /* Who waits for a node to come watches what is not there. */
    if (request->watch && (code == ZKL_CODE_OK || code == ZKL_CODE_NONODE) &&
        !watch(read, request->path, ZKL_WATCHES_DATA)) {
        return;
    }
    if (node == NULL) {
        answer_code(read, code);
        return;
    }
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, ZKL_STAT_SIZE)) return;
    write_stat(read, &writer, node);
    zkl_reply_end(read->connection, &writer);
}

static size_t data_record_size(const struct zkl_node *node)
{
    return 4 + node->data_size + ZKL_STAT_SIZE;
}

static void serve_data(const struct read *read)
{
    int32_t code;
    const struct zkl_node *node = find_readable(read, read->request->path, ZKL_READ, &code);
    if (node == NULL) {
        answer_code(read, code);
        return;
    }
    if (read->request->watch && !watch(read, read->request->path, ZKL_WATCHES_DATA)) return;
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, data_record_size(node))) return;
    zkl_write_slice(&writer, data_of(node));
    write_stat(read, &writer, node);
    zkl_reply_end(read->connection, &writer);
}

static size_t children_record_size(const struct zkl_node *node)
{
    size_t size = 4;
    const struct zkl_node *child = zkl_node_first_child(node);
    for (; child != NULL; child = zkl_node_next_sibling(child)) size += 4 + child->name_size;
    return size;
}

static void write_children(struct zkl_writer *writer, const struct zkl_node *node)
{
    zkl_write_i32(writer, zkl_node_children_count(node));
    const struct zkl_node *child = zkl_node_first_child(node);
    for (; child != NULL; child = zkl_node_next_sibling(child)) {
        struct zkl_slice name = { (const uint8_t *)child->name, child->name_size };
        zkl_write_slice(writer, name);
    }
}

static void serve_children(const struct read *read)
{
    bool with_stat = read->request->op == ZKL_OP_GET_CHILDREN2;
    int32_t code;
    const struct zkl_node *node = find_readable(read, read->request->path, ZKL_READ, &code);
    if (node == NULL) {
        answer_code(read, code);
        return;
    }
    if (read->request->watch && !watch(read, read->request->path, ZKL_WATCHES_CHILD)) return;
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    size_t size = children_record_size(node) + (with_stat ? ZKL_STAT_SIZE : 0);
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    write_children(&writer, node);
    if (with_stat) write_stat(read, &writer, node);
    zkl_reply_end(read->connection, &writer);
}

/* Without ADMIN, digests are not shown: they could be guessed from. */
static void serve_acl(const struct read *read)
{
    int32_t code;
    const struct zkl_node *node =
        find_readable(read, read->request->path, ZKL_READ | ZKL_ADMIN, &code);
    if (node == NULL) {
        answer_code(read, code);
        return;
    }
    bool whole = allowed(read, node, ZKL_ADMIN);
    struct zkl_vector list = zkl_acls_list(read->server->acls, node->acl);
    struct zkl_writer measure = { NULL, 0, 0 };
    if (!whole) zkl_acls_mask(list, &measure);
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    size_t size = 4 + (whole ? list.size : measure.size) + ZKL_STAT_SIZE;
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    if (whole) {
        zkl_write_vector(&writer, &list);
    } else {
        zkl_write_i32(&writer, list.count);
        zkl_acls_mask(list, &writer);
    }
    write_stat(read, &writer, node);
    zkl_reply_end(read->connection, &writer);
}

/* All nodes below, without a stack: down to the first child, else on to the next sibling of the
 * nearest node that has one. The one read that costs what it counts. */
static int32_t count_below(const struct zkl_tree *tree, const struct zkl_node *top)
{
    if (top == tree->root) return (int32_t)(tree->nodes.count - 1);
    int32_t count = 0;
    const struct zkl_node *node = zkl_node_first_child(top);
    while (node != NULL) {
        count++;
        const struct zkl_node *next = zkl_node_first_child(node);
        while (next == NULL && node != top) {
            next = zkl_node_next_sibling(node);
            node = node->parent;
        }
        node = next;
    }
    return count;
}

static void serve_count(const struct read *read)
{
    int32_t code;
    const struct zkl_node *node = find_readable(read, read->request->path, ZKL_READ, &code);
    if (node == NULL) {
        answer_code(read, code);
        return;
    }
    struct zkl_result result = { .op = ZKL_OP_GET_ALL_CHILDREN_NUMBER };
    result.number = count_below(&read->server->tree, node);
    zkl_reply_result(read->connection, read->xid, &result);
}

/* --- several reads in one ------------------------------------------------------------------ */

enum { PART_HEADER_SIZE = 9 };

static size_t part_size(const struct read *read, const struct zkl_request *part)
{
    int32_t code;
    const struct zkl_node *node = find_readable(read, part->path, ZKL_READ, &code);
    if (node == NULL) return PART_HEADER_SIZE + 4;
    return PART_HEADER_SIZE + (part->op == ZKL_OP_GET_DATA ? data_record_size(node)
                                                           : children_record_size(node));
}

static void write_part_header(struct zkl_writer *writer, int32_t op, int32_t code)
{
    zkl_write_i32(writer, op);
    zkl_write_bool(writer, false);
    zkl_write_i32(writer, code);
}

static void write_part(const struct read *read, struct zkl_writer *writer,
                       const struct zkl_request *part)
{
    int32_t code;
    const struct zkl_node *node = find_readable(read, part->path, ZKL_READ, &code);
    if (node == NULL) {
        write_part_header(writer, ZKL_OP_ERROR, code);
        zkl_write_i32(writer, code);
        return;
    }
    write_part_header(writer, part->op, ZKL_CODE_OK);
    if (part->op == ZKL_OP_GET_DATA) {
        zkl_write_slice(writer, data_of(node));
        write_stat(read, writer, node);
    } else {
        write_children(writer, node);
    }
}

/* A frame of a megabyte can ask for a large node forty thousand times: what would not fit into
 * an output that is to be closed is not put together in the first place. */
static void serve_multi(const struct read *read)
{
    const struct zkl_vector end = { NULL, 0, 0 };
    struct zkl_vector parts = read->request->operations;
    struct zkl_request part;
    size_t size = PART_HEADER_SIZE;
    while (zkl_multi_next_operation(&parts, &part)) {
        if (part.path.base == NULL) {
            answer_code(read, ZKL_CODE_MARSHALLINGERROR);
            return;
        }
        size += part_size(read, &part);
    }
    if (size > ZKL_REPLY_SIZE_MAX_DEFAULT) {
        answer_code(read, ZKL_CODE_MARSHALLINGERROR);
        return;
    }
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    parts = read->request->operations;
    while (zkl_multi_next_operation(&parts, &part)) write_part(read, &writer, &part);
    zkl_write_multi(&writer, &end);
    zkl_reply_end(read->connection, &writer);
}

/* --- the connection's own things --------------------------------------------------------------- */

static bool is_blank(struct zkl_slice text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.base[i] > ' ') return false;
    }
    return true;
}

/* Nothing, blanks or "/" between blanks: no filter. Else what paths begin with, as it is. */
static struct zkl_slice ephemerals_prefix(struct zkl_slice asked)
{
    const struct zkl_slice none = { NULL, 0 };
    const uint8_t *slash = asked.size > 0 ? memchr(asked.base, '/', asked.size) : NULL;
    if (slash == NULL) return is_blank(asked) ? none : asked;
    struct zkl_slice before = { asked.base, (size_t)(slash - asked.base) };
    struct zkl_slice after = { slash + 1, asked.size - before.size - 1 };
    return is_blank(before) && is_blank(after) ? none : asked;
}

/* Writes the node's path if it begins with the prefix. */
static bool write_owned_path(struct zkl_writer *writer, const struct zkl_node *node,
                             struct zkl_slice prefix)
{
    size_t start = writer->size;
    size_t size = zkl_node_path(node, NULL, 0);
    uint8_t *at = zkl_room(writer, 4 + size);
    ZKL_ASSERT(at != NULL);
    zkl_store_i32(at, (int32_t)size);
    zkl_node_path(node, (char *)at + 4, size);
    if (prefix.size == 0) return true;
    if (prefix.size <= size && memcmp(at + 4, prefix.base, prefix.size) == 0) return true;
    writer->size = start;
    return false;
}

static void serve_ephemerals(const struct read *read)
{
    struct zkl_slice prefix = ephemerals_prefix(read->request->path);
    struct zkl_owner *owner =
        zkl_tree_owner(&read->server->tree, read->connection->session_id);
    struct zkl_list *link;
    size_t size = 4;
    if (owner != NULL) {
        for (link = owner->nodes.next; link != &owner->nodes; link = link->next) {
            size += 4 + zkl_node_path(zkl_owned_node(link), NULL, 0);
        }
    }
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    uint8_t *count_at = zkl_room(&writer, 4);
    int32_t count = 0;
    if (owner != NULL) {
        for (link = owner->nodes.next; link != &owner->nodes; link = link->next) {
            if (write_owned_path(&writer, zkl_owned_node(link), prefix)) count++;
        }
    }
    zkl_store_i32(count_at, count);
    zkl_reply_end(read->connection, &writer);
}

/* Of a digest the user only. */
static struct zkl_client_id shown_identity(const struct zkl_identity *identity)
{
    const uint8_t *text = (const uint8_t *)identity->text;
    struct zkl_client_id id = { { text, identity->scheme_size },
                                { text + identity->scheme_size, identity->id_size } };
    if (id.scheme.size == 6 && memcmp(id.scheme.base, "digest", 6) == 0) {
        const uint8_t *colon = memchr(id.user.base, ':', id.user.size);
        if (colon != NULL) id.user.size = (size_t)(colon - id.user.base);
    }
    return id;
}

static void serve_who_am_i(const struct read *read)
{
    const struct zkl_list *list = &read->connection->identities.list;
    const struct zkl_list *link;
    size_t size = 4;
    int32_t count = 0;
    for (link = list->next; link != list; link = link->next, count++) {
        const struct zkl_identity *identity = ZKL_LIST_ELEMENT(link, struct zkl_identity, link);
        size += 4 + 4 + identity->scheme_size + identity->id_size;
    }
    struct zkl_reply_header header = good_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    zkl_write_i32(&writer, count);
    for (link = list->next; link != list; link = link->next) {
        struct zkl_client_id id =
            shown_identity(ZKL_LIST_ELEMENT(link, struct zkl_identity, link));
        zkl_write_client_id(&writer, &id);
    }
    zkl_reply_end(read->connection, &writer);
}

/* --- watches ---------------------------------------------------------------------------------- */

static void serve_add_watch(const struct read *read)
{
    const struct zkl_request *request = read->request;
    bool known = request->kind == ZKL_ADD_PERSISTENT || request->kind == ZKL_ADD_RECURSIVE;
    if (!known || request->path.base == NULL) {
        answer_code(read, ZKL_CODE_MARSHALLINGERROR);
        return;
    }
    if (!watch(read, request->path, request->kind == ZKL_ADD_RECURSIVE ? ZKL_WATCHES_RECURSIVE
                                                                      : ZKL_WATCHES_PERSISTENT)) {
        return;
    }
    struct zkl_result result = { .op = ZKL_OP_ADD_WATCH };
    zkl_reply_result(read->connection, read->xid, &result);
}

/* 0: no such kind. */
static uint32_t kinds_of(int32_t type)
{
    switch (type) {
    case ZKL_REMOVE_CHILDREN:
        return ZKL_WATCHES_CHILD;
    case ZKL_REMOVE_DATA:
        return ZKL_WATCHES_DATA;
    case ZKL_REMOVE_ANY:
        return ZKL_WATCHES_CHILD | ZKL_WATCHES_DATA | ZKL_WATCHES_PERSISTENT |
               ZKL_WATCHES_RECURSIVE;
    case ZKL_REMOVE_PERSISTENT:
        return ZKL_WATCHES_PERSISTENT;
    case ZKL_REMOVE_RECURSIVE:
        return ZKL_WATCHES_RECURSIVE;
    default:
        return 0;
    }
}

static void serve_check_or_remove(const struct read *read)
{
    struct zkl_watches_table *table = &read->server->watches;
    struct zkl_watch_list *list = &read->connection->watches;
    const struct zkl_request *request = read->request;
    uint32_t kinds = kinds_of(request->kind);
    if (kinds == 0 || request->path.base == NULL) {
        answer_code(read, ZKL_CODE_MARSHALLINGERROR);
        return;
    }
    uint32_t found = request->op == ZKL_OP_REMOVE_WATCHES
                         ? zkl_watch_remove(table, list, request->path, kinds)
                         : zkl_watches_kinds(table, list, request->path) & kinds;
    answer_code(read, found != 0 ? ZKL_CODE_OK : ZKL_CODE_NOWATCHER);
}

/* What happened while the client was away: the event, or 0 if the watch is to be set. The order
 * of lists is that of enum ZKL_WATCH_LIST: data, exist, child. */
static int32_t missed_event(const struct zkl_tree *tree, int list, const struct zkl_node *node,
                            int64_t seen_zxid)
{
    struct zkl_stat stat;
    if (list == 1) return node != NULL ? ZKL_WATCH_CREATED : 0;
    if (node == NULL) return ZKL_WATCH_DELETED;
    if (list == 0) return node->mzxid > seen_zxid ? ZKL_WATCH_CHANGED : 0;
    zkl_node_stat(node, tree, &stat);
    return stat.pzxid > seen_zxid ? ZKL_WATCH_CHILDREN : 0;
}

/* One path of one list of setWatches. false: the connection is ending. */
static bool set_watch(const struct read *read, int list, struct zkl_slice path)
{
    static const uint32_t kinds[ZKL_WATCH_LIST_COUNT] = {
        ZKL_WATCHES_DATA, ZKL_WATCHES_DATA, ZKL_WATCHES_CHILD, ZKL_WATCHES_PERSISTENT,
        ZKL_WATCHES_RECURSIVE,
    };
    const struct zkl_tree *tree = &read->server->tree;
    int32_t event = 0;
    if (list < 3) event = missed_event(tree, list, zkl_tree_find(tree, path), read->request->zxid);
    if (event == 0) return watch(read, path, kinds[list]);
    zkl_reply_watch(read->connection, event, path, -1);
    return read->connection->phase == ZKL_PHASE_OPEN;
}

static void serve_set_watches(const struct read *read)
{
    int lists = read->request->op == ZKL_OP_SET_WATCHES ? 3 : ZKL_WATCH_LIST_COUNT;
    for (int i = 0; i < lists; i++) {
        struct zkl_vector paths = read->request->watches[i];
        struct zkl_slice path;
        if (paths.count < 0) {
            answer_code(read, ZKL_CODE_MARSHALLINGERROR);
            return;
        }
        while (zkl_vector_next_string(&paths, &path)) {
            if (path.base == NULL) {
                answer_code(read, ZKL_CODE_MARSHALLINGERROR);
                return;
            }
            if (!set_watch(read, i, path)) return;
        }
    }
    answer_code(read, ZKL_CODE_OK);
}

/* --- which is which ----------------------------------------------------------------------------- */

static void serve_sync(const struct read *read)
{
    struct zkl_result result = { .op = ZKL_OP_SYNC, .path = read->request->path };
    zkl_reply_result(read->connection, read->xid, &result);
}

bool zkl_read_serve(struct zkl_connection *connection, int32_t xid,
                    const struct zkl_request *request)
{
    struct read read = { connection->server, connection, xid, request };
    zkl_latency_note(&read.server->latency, 0);
    zkl_latency_note(&connection->latency, 0);
    switch (request->op) {
    case ZKL_OP_EXISTS:
        serve_exists(&read);
        return true;
    case ZKL_OP_GET_DATA:
        serve_data(&read);
        return true;
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
        serve_children(&read);
        return true;
    case ZKL_OP_GET_ACL:
        serve_acl(&read);
        return true;
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
        serve_count(&read);
        return true;
    case ZKL_OP_MULTI_READ:
        serve_multi(&read);
        return true;
    case ZKL_OP_GET_EPHEMERALS:
        serve_ephemerals(&read);
        return true;
    case ZKL_OP_WHO_AM_I:
        serve_who_am_i(&read);
        return true;
    case ZKL_OP_ADD_WATCH:
        serve_add_watch(&read);
        return true;
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
        serve_check_or_remove(&read);
        return true;
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
        serve_set_watches(&read);
        return true;
    case ZKL_OP_SYNC:
        serve_sync(&read);
        return true;
    case ZKL_OP_PING:
        answer_code(&read, ZKL_CODE_OK);
        return true;
    default:
        return false;
    }
}
