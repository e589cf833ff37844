/* Taking requests in. All checks come before the first change, and everything that can
 * fail is reserved before anything is counted. */
#include <string.h>

#include "client/internal.h"

static bool is_root(struct zkl_slice path)
{
    return path.size == 1 && path.base[0] == '/';
}

static bool is_config(struct zkl_slice path)
{
    static const char config[] = "/zookeeper/config";
    return path.size == sizeof config - 1 && memcmp(path.base, config, path.size) == 0;
}

struct zkl_slice zkl_client_prefix(const struct zkl_client *client, int32_t op,
                                   struct zkl_slice path)
{
    struct zkl_slice none = { NULL, 0 };
    if (path.base == NULL) return none;
    /* The ensemble's configuration is the same for everybody. */
    if (op == ZKL_OP_GET_DATA && is_config(path)) return none;
    /* Deleting "/" fails, as it does without a chroot: nobody means the chroot itself. */
    if (op == ZKL_OP_DELETE && is_root(path)) return none;
    return client->chroot;
}

/* --- what may be sent ------------------------------------------------------- */

static bool is_sequential(int32_t flags)
{
    return flags == ZKL_PERSISTENT_SEQUENTIAL || flags == ZKL_EPHEMERAL_SEQUENTIAL ||
           flags == ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL;
}

/* Opcode, flags and ttl have to fit together: a wrong pair makes another kind of node, and
 * one of them ends the server's process. */
static bool create_is_sound(const struct zkl_request *request)
{
    if (request->acl.count <= 0) return false;
    if (zkl_path_check(request->path, is_sequential(request->flags)) != NULL) return false;
    switch (request->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
        return request->flags >= ZKL_PERSISTENT && request->flags <= ZKL_EPHEMERAL_SEQUENTIAL;
    case ZKL_OP_CREATE_CONTAINER:
        return request->flags == ZKL_CONTAINER;
    default:
        if (request->ttl_ms < 1 || request->ttl_ms > ZKL_TTL_MS_MAX) return false;
        return request->flags == ZKL_PERSISTENT_WITH_TTL ||
               request->flags == ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL;
    }
}

static bool operation_is_sound(int32_t multi, const struct zkl_request *operation)
{
    switch (operation->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        return multi == ZKL_OP_MULTI && create_is_sound(operation);
    case ZKL_OP_DELETE:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_CHECK:
        return multi == ZKL_OP_MULTI && zkl_path_check(operation->path, false) == NULL;
    case ZKL_OP_GET_DATA:
    case ZKL_OP_GET_CHILDREN:
        return multi == ZKL_OP_MULTI_READ && zkl_path_check(operation->path, false) == NULL;
    default:
        return false;
    }
}

static bool operations_are_sound(const struct zkl_request *request)
{
    if (request->operations.count < 0) return false;
    struct zkl_vector operations = request->operations;
    struct zkl_request operation;
    while (zkl_multi_next_operation(&operations, &operation)) {
        if (!operation_is_sound(request->op, &operation)) return false;
    }
    return true;
}

static bool request_is_sound(const struct zkl_request *request)
{
    switch (request->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        return create_is_sound(request);
    case ZKL_OP_DELETE:
    case ZKL_OP_EXISTS:
    case ZKL_OP_GET_DATA:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_GET_ACL:
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
    case ZKL_OP_SYNC:
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
    case ZKL_OP_GET_EPHEMERALS:
        return zkl_path_check(request->path, false) == NULL;
    case ZKL_OP_SET_ACL:
        return request->acl.count > 0 && zkl_path_check(request->path, false) == NULL;
    case ZKL_OP_ADD_WATCH:
        return (request->kind == ZKL_ADD_PERSISTENT || request->kind == ZKL_ADD_RECURSIVE) &&
               zkl_path_check(request->path, false) == NULL;
    case ZKL_OP_CHECK_WATCHES:
        return request->kind >= ZKL_REMOVE_CHILDREN && request->kind <= ZKL_REMOVE_RECURSIVE &&
               zkl_path_check(request->path, false) == NULL;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        return operations_are_sound(request);
    case ZKL_OP_RECONFIG:
    case ZKL_OP_WHO_AM_I:
        return true;
    case ZKL_OP_AUTH:
        return request->scheme.size > 0;
    default:
        /* A lone check is never answered by some servers; an opcode that a server does not
         * know costs the link; removeWatches would leave our table behind. */
        return false;
    }
}

/* --- encoding --------------------------------------------------------------- */

static void write_frame(struct zkl_writer *writer, const struct zkl_request *request, int32_t xid)
{
    size_t start = zkl_frame_begin(writer);
    struct zkl_request_header header = { xid, request->op };
    zkl_request_header_write(writer, &header);
    zkl_request_write(writer, request);
    zkl_frame_end(writer, start);
}

/* Writes the frame to the end of the chunks, where it is not counted yet. */
static int encode(struct zkl_client *client, const struct zkl_request *request, int32_t xid,
                  size_t *size)
{
    struct zkl_chunks *chunks = &client->pendings.chunks;
    struct zkl_writer writer = { NULL, 0, 0 };
    writer.base = zkl_chunks_room(chunks, &writer.capacity);
    write_frame(&writer, request, xid);
    *size = writer.size;
    if (writer.size - 4 > client->request_size_max) return ZKL_E_LIMIT;
    size_t most = client->output_size_max;
    if (writer.size > most || client->pendings.queued_bytes > most - writer.size) {
        return ZKL_E_LIMIT;
    }
    if (zkl_writer_fits(&writer)) return ZKL_OK;

    /* Twice what may wait, so that bringing it together is paid for by what made the holes. */
    if (chunks->total / 2 > most + ZKL_CHUNK_CAPACITY) zkl_pendings_compact(&client->pendings);
    if (!zkl_chunks_reserve(chunks, writer.size)) return ZKL_E_NOMEM;
    writer = (struct zkl_writer) { NULL, 0, 0 };
    writer.base = zkl_chunks_room(chunks, &writer.capacity);
    write_frame(&writer, request, xid);
    ZKL_ASSERT(zkl_writer_fits(&writer) && writer.size == *size);
    return ZKL_OK;
}

/* --- watches ---------------------------------------------------------------- */

/* What a success would register; exists turns it into EXIST when there is no node. */
static uint32_t watch_kind(const struct zkl_request *request)
{
    switch (request->op) {
    case ZKL_OP_ADD_WATCH:
        return request->kind == ZKL_ADD_RECURSIVE ? ZKL_KIND_RECURSIVE : ZKL_KIND_PERSISTENT;
    case ZKL_OP_GET_DATA:
    case ZKL_OP_EXISTS:
        return request->watch ? ZKL_KIND_DATA : 0;
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_CHILDREN2:
        return request->watch ? ZKL_KIND_CHILD : 0;
    default:
        return 0;
    }
}

/* Servers of 3.8 keep one mode per path: a one-shot watch would replace the lasting one
 * there and take it along when it fires. The lasting one serves both. */
static bool flag_would_harm(const struct zkl_watch *watch, uint32_t kind)
{
    uint32_t lasting = zkl_watch_kinds(watch) | zkl_watch_reserved(watch);
    if (kind & ZKL_KIND_CHILD) return (lasting & ZKL_KIND_PERSISTENT) != 0;
    if (kind & ZKL_KIND_DATA) return (lasting & ZKL_KINDS_LASTING) != 0;
    return false;
}

/* --- submit ----------------------------------------------------------------- */

/* A credential goes with the next handshake, or now, in its place among the requests. */
static int submit_auth(struct zkl_client *client, const struct zkl_request *request,
                       struct zkl_pending *pending)
{
    struct zkl_credential *credential;
    size_t size = request->scheme.size + request->data.size;
    if (size + ZKL_REQUEST_HEADER_SIZE + 12 > client->request_size_max) return ZKL_E_LIMIT;
    int status = zkl_auth_add(&client->auth, request->scheme, request->data, &credential);
    if (status != ZKL_OK) return status;
    if (zkl_session_is_ready(&client->session)) {
        status = encode(client, request, ZKL_XID_AUTH, &size);
        if (status != ZKL_OK) {
            zkl_auth_remove(&client->auth, credential);
            return status;
        }
        zkl_pendings_queue(&client->pendings, pending, size);
        zkl_auth_sent(&client->auth, credential);
    }
    pending->one_way = true;
    pending->credential = credential;
    credential->pending = pending;
    return ZKL_OK;
}

static int submit_ordinary(struct zkl_client *client, const struct zkl_request *request,
                           struct zkl_pending *pending)
{
    struct zkl_request whole = *request;
    whole.chroot = zkl_client_prefix(client, request->op, request->path);
    struct zkl_watch *watch = NULL;
    uint32_t kind = watch_kind(request);
    if (kind != 0) {
        struct zkl_slice path = request->path;
        if (whole.chroot.size > 0 && is_root(path)) path.size = 0;
        int status = zkl_watches_reserve(&client->watches, whole.chroot, path, kind, &watch);
        if (status != ZKL_OK) return status;
        if (flag_would_harm(watch, kind)) whole.watch = false;
    }
    size_t size;
    int status = encode(client, &whole, pending->xid, &size);
    if (status != ZKL_OK) {
        if (watch != NULL) zkl_watches_settle(&client->watches, watch, kind, 0);
        return status;
    }
    pending->watch = watch;
    pending->watch_kind = kind;
    pending->flagged = whole.watch || request->op == ZKL_OP_ADD_WATCH;
    zkl_pendings_queue(&client->pendings, pending, size);
    return ZKL_OK;
}

int zkl_client_submit(struct zkl_client *client, int64_t now_ms, const struct zkl_request *request,
                      const struct zkl_submit_options *options, int32_t *xid)
{
    zkl_client_note_time(client, now_ms);
    if (client->session.closing || zkl_state_is_final(client->session.state)) return ZKL_E_ENDED;
    if (!request_is_sound(request)) return ZKL_E_ARGUMENT;
    if (options->fail_fast && !zkl_session_is_ready(&client->session)) return ZKL_E_OFFLINE;

    struct zkl_pending *pending;
    int status = zkl_pendings_reserve(&client->pendings, &pending);
    if (status != ZKL_OK) return status;
    pending->op = request->op;
    pending->user = options->user;
    status = request->op == ZKL_OP_AUTH ? submit_auth(client, request, pending)
                                        : submit_ordinary(client, request, pending);
    if (status != ZKL_OK) {
        zkl_pendings_discard(&client->pendings, pending);
        return status;
    }
    zkl_pendings_open(&client->pendings, pending, options->deadline_ms);
    *xid = pending->xid;
    if (request->op == ZKL_OP_AUTH) zkl_client_advance(client);
    return ZKL_OK;
}

int zkl_client_queue_remove_watches(struct zkl_client *client, struct zkl_slice server_path)
{
    struct zkl_pending *pending;
    int status = zkl_pendings_reserve(&client->pendings, &pending);
    if (status != ZKL_OK) return status;
    struct zkl_request request = {
        .op = ZKL_OP_REMOVE_WATCHES, .path = server_path, .kind = ZKL_REMOVE_ANY
    };
    size_t size;
    status = encode(client, &request, pending->xid, &size);
    if (status != ZKL_OK) {
        zkl_pendings_discard(&client->pendings, pending);
        return status;
    }
    pending->op = request.op;
    pending->answered = true; /* nobody waits for it */
    zkl_pendings_queue(&client->pendings, pending, size);
    zkl_pendings_open(&client->pendings, pending, ZKL_NEVER);
    return ZKL_OK;
}
