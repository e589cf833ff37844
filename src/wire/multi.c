/* multi and multiRead: records with a header each, and an end header with `done` set.
 *
 * What ends the list is `done`, never the type: the result of a failed operation has
 * the type of the end header. Our vectors hold the list without its end header, so
 * that they grow at the end; reading has checked every record in them. */
#include "wire/reader.h"
#include "wire/writer.h"

enum { HEADER_SIZE = 9 };

struct header {
    int32_t op;
    bool done;
    int32_t code;
};

static void write_header(struct zkl_writer *writer, int32_t op, bool done, int32_t code)
{
    uint8_t *at = zkl_room(writer, HEADER_SIZE);
    if (at == NULL) return;
    zkl_store_i32(at, op);
    at[4] = done;
    zkl_store_i32(at + 5, code);
}

static bool read_header(struct zkl_reader *reader, struct header *header)
{
    const uint8_t *at = zkl_take(reader, HEADER_SIZE);
    if (at == NULL) return false;
    header->op = zkl_load_i32(at);
    header->done = at[4] != 0;
    header->code = zkl_load_i32(at + 5);
    return true;
}

/* Neither allows a multi inside, so reading goes no deeper than this. */
static bool is_operation(int32_t multi_op, int32_t op)
{
    switch (op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_DELETE:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_CHECK:
        return multi_op == ZKL_OP_MULTI;
    case ZKL_OP_GET_DATA:
    case ZKL_OP_GET_CHILDREN:
        return multi_op == ZKL_OP_MULTI_READ;
    default:
        return false;
    }
}

/* Containers and nodes with a ttl are answered as create2. */
static bool is_result(int32_t multi_op, int32_t op)
{
    return op == ZKL_OP_ERROR || (is_operation(multi_op, op) && op != ZKL_OP_CREATE_CONTAINER &&
                                  op != ZKL_OP_CREATE_TTL);
}

void zkl_write_multi(struct zkl_writer *writer, const struct zkl_vector *records)
{
    if (records->count > 0) zkl_write_raw(writer, records->base, records->size);
    write_header(writer, ZKL_OP_ERROR, true, -1);
}

void zkl_multi_write_operation(struct zkl_writer *writer, const struct zkl_request *operation)
{
    ZKL_ASSERT(is_operation(ZKL_OP_MULTI, operation->op) ||
               is_operation(ZKL_OP_MULTI_READ, operation->op));
    write_header(writer, operation->op, false, -1);
    zkl_request_write(writer, operation);
}

void zkl_multi_write_result(struct zkl_writer *writer, const struct zkl_result *result)
{
    int32_t op = result->op;
    if (op == ZKL_OP_CREATE_CONTAINER || op == ZKL_OP_CREATE_TTL) op = ZKL_OP_CREATE2;
    ZKL_ASSERT(is_result(ZKL_OP_MULTI, op) || is_result(ZKL_OP_MULTI_READ, op));
    write_header(writer, op, false, op == ZKL_OP_ERROR ? result->number : 0);
    zkl_result_write(writer, result);
}

/* The records that have passed, or nothing after a failure. `at` is where the end
 * header began. */
static struct zkl_vector finish(const struct zkl_reader *reader, const uint8_t *start,
                                const uint8_t *at, int32_t count)
{
    const struct zkl_vector nothing = { NULL, 0, 0 };
    if (reader->failed) return nothing;
    struct zkl_vector vector = { start, (size_t)(at - start), count };
    return vector;
}

/* The loops below are bounded by the frame: each turn takes a header off it. */

struct zkl_vector zkl_read_operations(struct zkl_reader *reader, int32_t op)
{
    const uint8_t *start = reader->at, *at = start;
    struct header header;
    int32_t count = 0;
    while (read_header(reader, &header) && !header.done) {
        struct zkl_request operation;
        if (is_operation(op, header.op)) {
            zkl_request_read(reader, header.op, &operation);
        } else {
            reader->failed = true;
        }
        if (reader->failed) break;
        at = reader->at;
        count++;
    }
    return finish(reader, start, at, count);
}

struct zkl_vector zkl_read_results(struct zkl_reader *reader, int32_t op)
{
    const uint8_t *start = reader->at, *at = start;
    struct header header;
    int32_t count = 0;
    while (read_header(reader, &header) && !header.done) {
        struct zkl_result result;
        if (is_result(op, header.op)) {
            zkl_result_read(reader, header.op, &result);
        } else {
            reader->failed = true;
        }
        if (reader->failed) break;
        at = reader->at;
        count++;
    }
    return finish(reader, start, at, count);
}

/* A reader behind the header of the next record. */
static struct zkl_reader open_record(const struct zkl_vector *vector, struct header *header)
{
    struct zkl_reader reader = { vector->base, vector->base, false };
    if (vector->size > 0) reader.end += vector->size;
    ZKL_ASSERT(read_header(&reader, header) && !header->done);
    return reader;
}

static void advance(struct zkl_vector *vector, const struct zkl_reader *reader)
{
    ZKL_ASSERT(!reader->failed);
    vector->base = reader->at;
    vector->size = zkl_reader_left(reader);
    vector->count--;
}

bool zkl_multi_next_operation(struct zkl_vector *operations, struct zkl_request *operation)
{
    if (operations->count <= 0) return false;
    struct header header;
    struct zkl_reader reader = open_record(operations, &header);
    zkl_request_read(&reader, header.op, operation);
    advance(operations, &reader);
    return true;
}

bool zkl_multi_next_result(struct zkl_vector *results, struct zkl_result *result)
{
    if (results->count <= 0) return false;
    struct header header;
    struct zkl_reader reader = open_record(results, &header);
    zkl_result_read(&reader, header.op, result);
    advance(results, &reader);
    return true;
}
