/* multi: its operations one after the other, each judged by what those before it leave behind;
 * all or none of them happen (server-semantics 1.8).
 *
 * A multi that fails is logged all the same: what came before the failure with its record, then
 * the code, then -2 for what was not tried. */
#include <string.h>

#include "base/memory.h"
#include "server/prepare.h"
#include "wire/writer.h"

enum { ERROR_PART_SIZE = 4 + 4 + 4 };

static bool is_create(int32_t op)
{
    return op == ZKL_OP_CREATE || op == ZKL_OP_CREATE2 || op == ZKL_OP_CREATE_CONTAINER ||
           op == ZKL_OP_CREATE_TTL;
}

/* A flag that does not exist makes the whole multi unreadable, wherever it stands. */
static bool is_readable(struct zkl_vector operations)
{
    struct zkl_request operation;
    while (zkl_multi_next_operation(&operations, &operation)) {
        if (is_create(operation.op) && (operation.flags < ZKL_PERSISTENT ||
                                        operation.flags > ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL)) {
            return false;
        }
    }
    return true;
}

/* Apache takes the kind of a create from its flags, so that a create2 is answered as a create.
 * One whose flags ask for a ttl, with no field that could hold it, Apache does not expect: that
 * fails the multi as a whole, once its turn comes. */
static int32_t derive_operation(struct zkl_request *operation)
{
    if (!is_create(operation->op)) return 0;
    switch (operation->flags) {
    case ZKL_CONTAINER:
        operation->op = ZKL_OP_CREATE_CONTAINER;
        return 0;
    case ZKL_PERSISTENT_WITH_TTL:
    case ZKL_PERSISTENT_SEQUENTIAL_WITH_TTL:
        return operation->op == ZKL_OP_CREATE_TTL ? 0 : ZKL_CODE_MARSHALLINGERROR;
    default:
        operation->op = ZKL_OP_CREATE;
        return 0;
    }
}

static void write_count(struct zkl_preparing *p)
{
    struct zkl_writer writer = zkl_prepare_writer(p);
    zkl_write_i32(&writer, (int32_t)p->proposal->change_count);
    ZKL_ASSERT(zkl_writer_fits(&writer)); /* begin has made room */
    p->proposal->payload_size = writer.size;
}

/* The operations up to the end or to the first that fails; proposal->failed_index says which. */
static int32_t prepare_all(struct zkl_preparing *p, struct zkl_vector operations)
{
    struct zkl_proposal *proposal = p->proposal;
    struct zkl_request operation;
    proposal->failed_index = 0;
    while (zkl_multi_next_operation(&operations, &operation)) {
        int32_t code = derive_operation(&operation);
        if (code != 0) return code;
        code = zkl_prepare_operation(p, &operation, &proposal->changes[proposal->failed_index]);
        if (code != 0) return code;
        proposal->failed_index++;
    }
    return 0;
}

/* The operation that failed may have written nothing yet, or all but something it needed. */
static int32_t write_failure(struct zkl_preparing *p, size_t payload_size, int32_t code)
{
    struct zkl_proposal *proposal = p->proposal;
    zkl_prepare_take_back(p);
    proposal->payload_size = payload_size;
    proposal->failed_code = code;
    size_t left = proposal->change_count - proposal->failed_index;
    int32_t room = zkl_prepare_room(p, left * ERROR_PART_SIZE);
    if (room != 0) return room;
    for (size_t i = 0; i < left; i++) {
        const struct zkl_txn part = {
            .type = ZKL_OP_ERROR,
            .code = i == 0 ? code : ZKL_CODE_RUNTIMEINCONSISTENCY,
        };
        int32_t written = zkl_prepare_write(p, &part);
        ZKL_ASSERT(written == 0);
    }
    return 0;
}

static bool take_changes(struct zkl_preparing *p, size_t count)
{
    struct zkl_proposal *proposal = p->proposal;
    if (count == 0) return true;
    size_t size = count * sizeof proposal->changes[0];
    struct zkl_change *changes = zkl_allocate(&p->server->allocator, size);
    if (changes == NULL) return false;
    memset(changes, 0, size);
    proposal->changes = changes;
    proposal->change_count = count;
    return true;
}

int32_t zkl_prepare_multi(struct zkl_preparing *p, const struct zkl_request *request)
{
    if (!is_readable(request->operations)) return ZKL_CODE_MARSHALLINGERROR;
    if (!take_changes(p, (size_t)request->operations.count)) return ZKL_PREPARE_NOMEM;
    p->in_multi = true;
    write_count(p);
    int32_t code = prepare_all(p, request->operations);
    /* What Apache does not expect to fail there fails the request as a whole. */
    if (code == ZKL_PREPARE_NOMEM || code == ZKL_CODE_MARSHALLINGERROR) return code;
    return code == 0 ? 0 : write_failure(p, p->proposal->payload_size, code);
}
