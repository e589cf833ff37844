/* Reads of the tree, as it is after the last committed transaction, and what answers each
 * operation that needs no transaction. A reply is written straight into the output, into room
 * for the most that it can be. */
#include <string.h>

#include "server/reads.h"
#include "wire/writer.h"

static bool allowed(const struct zkl_read *read, const struct zkl_node *node, int32_t permissions)
{
    return read->server->options.skip_acl ||
           zkl_acls_allow(read->server->acls, node->acl, permissions,
                          &read->connection->identities);
}

/* The node, or NULL and why it may not be read. A null path is no path at all. */
static const struct zkl_node *find_readable(const struct zkl_read *read, struct zkl_slice path,
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

static struct zkl_slice data_of(const struct zkl_node *node)
{
    static const uint8_t empty[1];
    struct zkl_slice data = { node->data, node->data_size };
    if (data.base == NULL && !node->data_null) data.base = empty;
    return data;
}

static void write_stat(const struct zkl_read *read, struct zkl_writer *writer,
                       const struct zkl_node *node)
{
    struct zkl_result stat = { .op = ZKL_OP_EXISTS };
    zkl_node_stat(node, &read->server->tree, &stat.stat);
    zkl_result_write(writer, &stat);
}

/* --- nodes -------------------------------------------------------------------- */

static void serve_exists(const struct zkl_read *read)
{
    const struct zkl_request *request = read->request;
    int32_t code;
    if (request->path.base != NULL &&
        memchr(request->path.base, 0, request->path.size) != NULL) {
        zkl_read_code(read, ZKL_CODE_BADARGUMENTS);
        return;
    }
    const struct zkl_node *node = find_readable(read, request->path, ZKL_READ, &code);
    /* Who waits for a node to come watches what is not there. */
    if (request->watch && (code == ZKL_CODE_OK || code == ZKL_CODE_NONODE) &&
        !zkl_read_watch(read, request->path, ZKL_WATCHES_DATA)) {
        return;
    }
    if (node == NULL) {
        zkl_read_code(read, code);
        return;
    }
    struct zkl_reply_header header = zkl_read_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, ZKL_STAT_SIZE)) return;
    write_stat(read, &writer, node);
    zkl_reply_end(read->connection, &writer);
}

/* The node of a read that watches it only if it is there. NULL: it is answered, or its
 * connection is ending. */
static const struct zkl_node *node_to_show(const struct zkl_read *read, uint32_t watch)
{
    struct zkl_slice path = read->request->path;
    int32_t code;
    const struct zkl_node *node = find_readable(read, path, ZKL_READ, &code);
    if (node == NULL) {
        zkl_read_code(read, code);
        return NULL;
    }
    return !read->request->watch || zkl_read_watch(read, path, watch) ? node : NULL;
}

static size_t data_record_size(const struct zkl_node *node)
{
    return 4 + node->data_size + ZKL_STAT_SIZE;
}

static void serve_data(const struct zkl_read *read)
{
    const struct zkl_node *node = node_to_show(read, ZKL_WATCHES_DATA);
    if (node == NULL) return;
    struct zkl_reply_header header = zkl_read_header(read);
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

static void serve_children(const struct zkl_read *read)
{
    bool with_stat = read->request->op == ZKL_OP_GET_CHILDREN2;
    const struct zkl_node *node = node_to_show(read, ZKL_WATCHES_CHILD);
    if (node == NULL) return;
    struct zkl_reply_header header = zkl_read_header(read);
    struct zkl_writer writer;
    size_t size = children_record_size(node) + (with_stat ? ZKL_STAT_SIZE : 0);
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    write_children(&writer, node);
    if (with_stat) write_stat(read, &writer, node);
    zkl_reply_end(read->connection, &writer);
}

/* Without ADMIN, digests are not shown: they could be guessed from. */
static void serve_acl(const struct zkl_read *read)
{
    int32_t code;
    const struct zkl_node *node =
        find_readable(read, read->request->path, ZKL_READ | ZKL_ADMIN, &code);
    if (node == NULL) {
        zkl_read_code(read, code);
        return;
    }
    bool whole = allowed(read, node, ZKL_ADMIN);
    struct zkl_vector list = zkl_acls_list(read->server->acls, node->acl);
    struct zkl_writer measure = { NULL, 0, 0 };
    if (!whole) zkl_acls_mask(list, &measure);
    struct zkl_reply_header header = zkl_read_header(read);
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

static void serve_count(const struct zkl_read *read)
{
    int32_t code;
    const struct zkl_node *node = find_readable(read, read->request->path, ZKL_READ, &code);
    if (node == NULL) {
        zkl_read_code(read, code);
        return;
    }
    struct zkl_result result = { .op = ZKL_OP_GET_ALL_CHILDREN_NUMBER };
    result.number = (int32_t)zkl_node_below(node);
    if (read->request->path.size == 0) result.number++; /* Apache finds "/" below "" */
    zkl_reply_result(read->connection, read->xid, &result);
}

/* --- several reads in one ----------------------------------------------------- */

enum { PART_HEADER_SIZE = 9 };

static size_t part_size(const struct zkl_read *read, const struct zkl_request *part)
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

static void write_part(const struct zkl_read *read, struct zkl_writer *writer,
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
 * an output that is to be closed is not put together in the first place, nor measured to its end,
 * for measuring children walks them. */
static void serve_multi(const struct zkl_read *read)
{
    const struct zkl_vector end = { NULL, 0, 0 };
    struct zkl_vector parts = read->request->operations;
    struct zkl_request part;
    size_t size = PART_HEADER_SIZE;
    while (zkl_multi_next_operation(&parts, &part)) {
        if (part.path.base == NULL) {
            zkl_read_code(read, ZKL_CODE_MARSHALLINGERROR);
            return;
        }
        size += part_size(read, &part);
        if (size > ZKL_REPLY_SIZE_MAX_DEFAULT) {
            zkl_read_code(read, ZKL_CODE_MARSHALLINGERROR);
            return;
        }
    }
    struct zkl_reply_header header = zkl_read_header(read);
    struct zkl_writer writer;
    if (!zkl_reply_begin(read->connection, &writer, &header, size)) return;
    parts = read->request->operations;
    while (zkl_multi_next_operation(&parts, &part)) write_part(read, &writer, &part);
    zkl_write_multi(&writer, &end);
    zkl_reply_end(read->connection, &writer);
}

/* --- which is which ----------------------------------------------------------- */

static void serve_sync(const struct zkl_read *read)
{
    struct zkl_result result = { .op = ZKL_OP_SYNC, .path = read->request->path };
    zkl_reply_result(read->connection, read->xid, &result);
}

bool zkl_read_serve(struct zkl_connection *connection, int32_t xid,
                    const struct zkl_request *request)
{
    struct zkl_read read = { connection->server, connection, xid, request };
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
        zkl_read_ephemerals(&read);
        return true;
    case ZKL_OP_WHO_AM_I:
        zkl_read_who_am_i(&read);
        return true;
    case ZKL_OP_ADD_WATCH:
        zkl_read_add_watch(&read);
        return true;
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
        zkl_read_check_or_remove(&read);
        return true;
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
        zkl_read_set_watches(&read);
        return true;
    case ZKL_OP_SYNC:
        serve_sync(&read);
        return true;
    case ZKL_OP_PING: /* whatever its xid was */
        zkl_reply_header(connection, ZKL_XID_PING, ZKL_CODE_OK);
        return true;
    default:
        return false;
    }
}
