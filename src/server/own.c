/* What concerns the connection itself: its watches, its identities, its session's nodes. */
#include <string.h>

#include "server/reads.h"
#include "wire/writer.h"

/* --- the connection's own things ---------------------------------------------- */

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

void zkl_read_ephemerals(const struct zkl_read *read)
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
    struct zkl_reply_header header = zkl_read_header(read);
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

void zkl_read_who_am_i(const struct zkl_read *read)
{
    const struct zkl_list *list = &read->connection->identities.list;
    const struct zkl_list *link;
    size_t size = 4;
    int32_t count = 0;
    for (link = list->next; link != list; link = link->next, count++) {
        const struct zkl_identity *identity = ZKL_LIST_ELEMENT(link, struct zkl_identity, link);
        size += 4 + 4 + identity->scheme_size + identity->id_size;
    }
    struct zkl_reply_header header = zkl_read_header(read);
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

/* --- watches ------------------------------------------------------------------ */

/* One watch that finds no memory is refused, and its client knows. Of those that a client sets
 * again after it was away it would not know which are lacking: it is to come back. */
bool zkl_read_watch(const struct zkl_read *read, struct zkl_slice path, uint32_t kind)
{
    struct zkl_connection *connection = read->connection;
    int32_t op = read->request->op;
    if (zkl_watch_add(&read->server->watches, &connection->watches, path, kind)) return true;
    if (connection->watches.count >= ZKL_WATCHES_PER_CONNECTION) {
        zkl_news(read->server, ZKL_NEWS_PROTOCOL, connection, connection->session_id,
                 (int64_t)connection->watches.count, "too many watches");
        zkl_connection_end(connection, ZKL_CLOSE_AT_ONCE);
    } else if (op == ZKL_OP_SET_WATCHES || op == ZKL_OP_SET_WATCHES2) {
        zkl_connection_starve(connection, "no memory for its watches");
    } else {
        zkl_read_code(read, ZKL_CODE_QUOTAEXCEEDED);
    }
    return false;
}

void zkl_read_add_watch(const struct zkl_read *read)
{
    const struct zkl_request *request = read->request;
    bool known = request->kind == ZKL_ADD_PERSISTENT || request->kind == ZKL_ADD_RECURSIVE;
    if (!known || request->path.base == NULL) {
        zkl_read_code(read, ZKL_CODE_MARSHALLINGERROR);
        return;
    }
    uint32_t kind = request->kind == ZKL_ADD_RECURSIVE ? ZKL_WATCHES_RECURSIVE
                                                       : ZKL_WATCHES_PERSISTENT;
    if (!zkl_read_watch(read, request->path, kind)) return;
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

void zkl_read_check_or_remove(const struct zkl_read *read)
{
    struct zkl_watches_table *table = &read->server->watches;
    struct zkl_watch_list *list = &read->connection->watches;
    const struct zkl_request *request = read->request;
    uint32_t kinds = kinds_of(request->kind);
    if (kinds == 0 || request->path.base == NULL) {
        zkl_read_code(read, ZKL_CODE_MARSHALLINGERROR);
        return;
    }
    uint32_t found = request->op == ZKL_OP_REMOVE_WATCHES
                         ? zkl_watch_remove(table, list, request->path, kinds)
                         : zkl_watches_kinds(table, list, request->path) & kinds;
    zkl_read_code(read, found != 0 ? ZKL_CODE_OK : ZKL_CODE_NOWATCHER);
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
static bool set_watch(const struct zkl_read *read, int list, struct zkl_slice path)
{
    static const uint32_t kinds[ZKL_WATCH_LIST_COUNT] = {
        ZKL_WATCHES_DATA, ZKL_WATCHES_DATA, ZKL_WATCHES_CHILD, ZKL_WATCHES_PERSISTENT,
        ZKL_WATCHES_RECURSIVE,
    };
    const struct zkl_tree *tree = &read->server->tree;
    int32_t event = 0;
    if (list < 3) event = missed_event(tree, list, zkl_tree_find(tree, path), read->request->zxid);
    if (event == 0) return zkl_read_watch(read, path, kinds[list]);
    zkl_reply_watch(read->connection, event, path, -1);
    return read->connection->phase == ZKL_PHASE_OPEN;
}

void zkl_read_set_watches(const struct zkl_read *read)
{
    int lists = read->request->op == ZKL_OP_SET_WATCHES ? 3 : ZKL_WATCH_LIST_COUNT;
    for (int i = 0; i < lists; i++) {
        struct zkl_vector paths = read->request->watches[i];
        struct zkl_slice path;
        if (paths.count < 0) {
            zkl_read_code(read, ZKL_CODE_MARSHALLINGERROR);
            return;
        }
        while (zkl_vector_next_string(&paths, &path)) {
            if (path.base == NULL) {
                zkl_read_code(read, ZKL_CODE_MARSHALLINGERROR);
                return;
            }
            if (!set_watch(read, i, path)) return;
        }
    }
    zkl_read_code(read, ZKL_CODE_OK);
}
