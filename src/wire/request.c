/* The records of requests. Reading and writing stand side by side, operation by
 * operation: what one writes the other reads. */
#include "wire/reader.h"
#include "wire/writer.h"

/* The server's path: chroot and path, where the client's "/" is the chroot itself.
 * Except that a sequential "/" is completed to "/0000000000", which has to stay
 * below the chroot. */
static void write_path(struct zkl_writer *writer, const struct zkl_request *request,
                       bool sequential)
{
    struct zkl_slice path = request->path;
    struct zkl_slice chroot = request->chroot;
    if (chroot.size == 0 || path.base == NULL) {
        zkl_write_slice(writer, path);
        return;
    }
    size_t path_size = path.size == 1 && !sequential ? 0 : path.size;
    uint8_t *at = zkl_room(writer, 4 + chroot.size + path_size);
    if (at == NULL) return;
    zkl_store_i32(at, (int32_t)(uint32_t)(chroot.size + path_size));
    memcpy(at + 4, chroot.base, chroot.size);
    memcpy(at + 4 + chroot.size, path.base, path_size);
}

static bool is_sequential(int32_t flags)
{
    return flags == ZKL_PERSISTENT_SEQUENTIAL || flags == ZKL_EPHEMERAL_SEQUENTIAL ||
           flags == ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL;
}

static void write_create(struct zkl_writer *writer, const struct zkl_request *request)
{
    write_path(writer, request, is_sequential(request->flags));
    zkl_write_slice(writer, request->data);
    zkl_write_vector(writer, &request->acl);
    zkl_write_i32(writer, request->flags);
    if (request->op == ZKL_OP_CREATE_TTL) zkl_write_i64(writer, request->ttl_ms);
}

static void read_create(struct zkl_reader *reader, struct zkl_request *request)
{
    request->path = zkl_read_slice(reader);
    request->data = zkl_read_slice(reader);
    request->acl = zkl_read_acls(reader);
    request->flags = zkl_read_i32(reader);
    if (request->op == ZKL_OP_CREATE_TTL) request->ttl_ms = zkl_read_i64(reader);
}

static int watch_list_count(int32_t op)
{
    return op == ZKL_OP_SET_WATCHES ? 3 : ZKL_WATCH_LIST_COUNT;
}

static void write_watches(struct zkl_writer *writer, const struct zkl_request *request)
{
    zkl_write_i64(writer, request->zxid);
    for (int i = 0; i < watch_list_count(request->op); i++) {
        zkl_write_vector(writer, &request->watches[i]);
    }
}

static void read_watches(struct zkl_reader *reader, struct zkl_request *request)
{
    request->zxid = zkl_read_i64(reader);
    for (int i = 0; i < watch_list_count(request->op); i++) {
        request->watches[i] = zkl_read_strings(reader);
    }
}

static void write_reconfig(struct zkl_writer *writer, const struct zkl_request *request)
{
    zkl_write_slice(writer, request->joining);
    zkl_write_slice(writer, request->leaving);
    zkl_write_slice(writer, request->members);
    zkl_write_i64(writer, request->zxid);
}

static void read_reconfig(struct zkl_reader *reader, struct zkl_request *request)
{
    request->joining = zkl_read_slice(reader);
    request->leaving = zkl_read_slice(reader);
    request->members = zkl_read_slice(reader);
    request->zxid = zkl_read_i64(reader);
}

void zkl_request_write(struct zkl_writer *writer, const struct zkl_request *request)
{
    switch (request->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        write_create(writer, request);
        return;
    case ZKL_OP_DELETE:
    case ZKL_OP_CHECK:
        write_path(writer, request, false);
        zkl_write_i32(writer, request->version);
        return;
    case ZKL_OP_EXISTS:
    case ZKL_OP_GET_DATA:
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
        write_path(writer, request, false);
        zkl_write_bool(writer, request->watch);
        return;
    case ZKL_OP_SET_DATA:
        write_path(writer, request, false);
        zkl_write_slice(writer, request->data);
        zkl_write_i32(writer, request->version);
        return;
    case ZKL_OP_GET_ACL:
    case ZKL_OP_SYNC:
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
    case ZKL_OP_GET_EPHEMERALS:
    case ZKL_OP_DELETE_CONTAINER:
        write_path(writer, request, false);
        return;
    case ZKL_OP_SET_ACL:
        write_path(writer, request, false);
        zkl_write_vector(writer, &request->acl);
        zkl_write_i32(writer, request->version);
        return;
    case ZKL_OP_ADD_WATCH:
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
        write_path(writer, request, false);
        zkl_write_i32(writer, request->kind);
        return;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        zkl_write_multi(writer, &request->operations);
        return;
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
        write_watches(writer, request);
        return;
    case ZKL_OP_RECONFIG:
        write_reconfig(writer, request);
        return;
    case ZKL_OP_AUTH:
        zkl_write_i32(writer, 0); /* a type that no server looks at */
        zkl_write_slice(writer, request->scheme);
        zkl_write_slice(writer, request->data);
        return;
    case ZKL_OP_SASL:
        zkl_write_slice(writer, request->data);
        return;
    case ZKL_OP_PING:
    case ZKL_OP_WHO_AM_I:
    case ZKL_OP_CLOSE_SESSION:
        return;
    default:
        zkl_assert_failed("an operation that clients send", __FILE__, __LINE__);
    }
}

void zkl_request_read(struct zkl_reader *reader, int32_t op, struct zkl_request *request)
{
    memset(request, 0, sizeof *request);
    request->op = op;
    switch (op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        read_create(reader, request);
        return;
    case ZKL_OP_DELETE:
    case ZKL_OP_CHECK:
        request->path = zkl_read_slice(reader);
        request->version = zkl_read_i32(reader);
        return;
    case ZKL_OP_EXISTS:
    case ZKL_OP_GET_DATA:
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
        request->path = zkl_read_slice(reader);
        request->watch = zkl_read_bool(reader);
        return;
    case ZKL_OP_SET_DATA:
        request->path = zkl_read_slice(reader);
        request->data = zkl_read_slice(reader);
        request->version = zkl_read_i32(reader);
        return;
    case ZKL_OP_GET_ACL:
    case ZKL_OP_SYNC:
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
    case ZKL_OP_GET_EPHEMERALS:
    case ZKL_OP_DELETE_CONTAINER:
        request->path = zkl_read_slice(reader);
        return;
    case ZKL_OP_SET_ACL:
        request->path = zkl_read_slice(reader);
        request->acl = zkl_read_acls(reader);
        request->version = zkl_read_i32(reader);
        return;
    case ZKL_OP_ADD_WATCH:
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
        request->path = zkl_read_slice(reader);
        request->kind = zkl_read_i32(reader);
        return;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        request->operations = zkl_read_operations(reader, op);
        return;
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
        read_watches(reader, request);
        return;
    case ZKL_OP_RECONFIG:
        read_reconfig(reader, request);
        return;
    case ZKL_OP_AUTH:
        zkl_read_i32(reader);
        request->scheme = zkl_read_slice(reader);
        request->data = zkl_read_slice(reader);
        return;
    case ZKL_OP_SASL:
        request->data = zkl_read_slice(reader);
        return;
    case ZKL_OP_PING:
    case ZKL_OP_WHO_AM_I:
    case ZKL_OP_CLOSE_SESSION:
        return;
    default:
        reader->failed = true; /* the peer chose it: refused, not asserted */
    }
}
