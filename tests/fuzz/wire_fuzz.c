/* libFuzzer target: whatever a peer sends is read or refused, and what was read can be
 * written and is then read as the same.
 *
 *   cmake -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DZKLUA_FUZZ=ON
 *   ninja -C build/fuzz wire_fuzz && build/fuzz/wire_fuzz -max_total_time=60
 *
 * The first byte of an input says what the rest is, the second which operation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zklua/wire.h"

_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

static const int32_t OPERATIONS[] = {
    -11, -10, -1, 0,  1,  2,  3,  4,  5,  6,  7,   8,   9,   10,  11,  12,  13,  14,
    15,  16,  17, 18, 19, 20, 21, 22, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108,
};
enum { OPERATION_COUNT = sizeof OPERATIONS / sizeof OPERATIONS[0] };

/* One kind of record: all of them behind one shape, so that `check` is written once. */
struct kind {
    void (*read)(struct zkl_reader *reader, int32_t op, void *record);
    void (*write)(struct zkl_writer *writer, const void *record);
    void (*walk)(const void *record);
};

union record {
    struct zkl_request request;
    struct zkl_result result;
    struct zkl_connect_request connect_request;
    struct zkl_connect_response connect_response;
    struct zkl_watch_event watch_event;
};

static uint64_t sum; /* what is read is used, so that nothing is optimised away */

static void use(struct zkl_slice slice)
{
    for (size_t i = 0; i < slice.size; i++) sum += slice.base[i];
}

static void walk_strings(struct zkl_vector vector)
{
    struct zkl_slice string;
    while (zkl_vector_next_string(&vector, &string)) use(string);
    ZKL_ASSERT(vector.size == 0);
}

static void walk_acls(struct zkl_vector vector)
{
    struct zkl_acl acl;
    while (zkl_vector_next_acl(&vector, &acl)) {
        use(acl.scheme);
        use(acl.id);
    }
    ZKL_ASSERT(vector.size == 0);
}

static void walk_client_ids(struct zkl_vector vector)
{
    struct zkl_client_id id;
    while (zkl_vector_next_client_id(&vector, &id)) {
        use(id.scheme);
        use(id.user);
    }
    ZKL_ASSERT(vector.size == 0);
}

static void walk_request(const void *record)
{
    const struct zkl_request *request = record;
    use(request->path);
    use(request->data);
    walk_acls(request->acl);
    for (int i = 0; i < ZKL_WATCH_LIST_COUNT; i++) walk_strings(request->watches[i]);
    struct zkl_vector operations = request->operations;
    struct zkl_request operation;
    while (zkl_multi_next_operation(&operations, &operation)) walk_request(&operation);
    ZKL_ASSERT(operations.size == 0);
}

static void walk_result(const void *record)
{
    const struct zkl_result *result = record;
    struct zkl_vector items = result->items;
    struct zkl_result item;
    use(result->path);
    use(result->data);
    switch (result->op) {
    case ZKL_OP_GET_ACL:
        walk_acls(items);
        break;
    case ZKL_OP_WHO_AM_I:
        walk_client_ids(items);
        break;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        while (zkl_multi_next_result(&items, &item)) walk_result(&item);
        ZKL_ASSERT(items.size == 0);
        break;
    default:
        walk_strings(items);
    }
}

static void walk_connect_request(const void *record)
{
    use(((const struct zkl_connect_request *)record)->password);
}

static void walk_connect_response(const void *record)
{
    use(((const struct zkl_connect_response *)record)->password);
}

static void walk_watch_event(const void *record)
{
    use(((const struct zkl_watch_event *)record)->path);
}

#define READ_OF(name)                                                             \
    static void read_##name(struct zkl_reader *reader, int32_t op, void *record) \
    {                                                                             \
        (void)op;                                                                 \
        zkl_##name##_read(reader, record);                                        \
    }
#define WRITE_OF(name)                                                       \
    static void write_##name(struct zkl_writer *writer, const void *record) \
    {                                                                        \
        zkl_##name##_write(writer, record);                                  \
    }
READ_OF(connect_request)
READ_OF(connect_response)
READ_OF(watch_event)
WRITE_OF(request)
WRITE_OF(result)
WRITE_OF(connect_request)
WRITE_OF(connect_response)
WRITE_OF(watch_event)

static void read_request(struct zkl_reader *reader, int32_t op, void *record)
{
    zkl_request_read(reader, op, record);
}

static void read_result(struct zkl_reader *reader, int32_t op, void *record)
{
    zkl_result_read(reader, op, record);
}

static const struct kind KINDS[] = {
    { read_request, write_request, walk_request },
    { read_result, write_result, walk_result },
    { read_connect_request, write_connect_request, walk_connect_request },
    { read_connect_response, write_connect_response, walk_connect_response },
    { read_watch_event, write_watch_event, walk_watch_event },
};
enum { KIND_COUNT = sizeof KINDS / sizeof KINDS[0] };

/* The bytes of `record` in a block of exactly their size. */
static uint8_t *encode(const struct kind *kind, const union record *record, size_t *size)
{
    struct zkl_writer writer = { NULL, 0, 0 };
    kind->write(&writer, record);
    *size = writer.size;
    writer.base = malloc(writer.size > 0 ? writer.size : 1);
    if (writer.base == NULL) abort();
    writer.capacity = writer.size;
    writer.size = 0;
    kind->write(&writer, record);
    ZKL_ASSERT(writer.size == *size);
    return writer.base;
}

static void check_record(const struct kind *kind, int32_t op, const uint8_t *bytes, size_t size)
{
    union record record, again;
    struct zkl_reader reader = { bytes, bytes + size, false };
    kind->read(&reader, op, &record);
    ZKL_ASSERT(reader.at >= bytes && reader.at <= reader.end);
    if (reader.failed) return;
    kind->walk(&record);

    size_t first_size, second_size;
    uint8_t *first = encode(kind, &record, &first_size);
    struct zkl_reader second_reader = { first, first + first_size, false };
    kind->read(&second_reader, op, &again);
    ZKL_ASSERT(!second_reader.failed && second_reader.at == second_reader.end);
    uint8_t *second = encode(kind, &again, &second_size);
    ZKL_ASSERT(first_size == second_size && memcmp(first, second, first_size) == 0);
    free(first);
    free(second);
}

static void check_text(const uint8_t *bytes, size_t size)
{
    struct zkl_slice text = { bytes, size };
    size_t prefix_size;
    int64_t sequence, body_size;
    uint64_t value, same;
    char hex[ZKL_HEX_SIZE_MAX];
    const char *wrong = zkl_path_check(text, false);
    ZKL_ASSERT(wrong == NULL || size == 0 || wrong[0] != '\0');
    if (wrong == NULL) ZKL_ASSERT(zkl_path_check(text, true) == NULL);
    if (zkl_split_sequence(text, &prefix_size, &sequence)) {
        ZKL_ASSERT(prefix_size <= size - 10 && sequence >= INT32_MIN && sequence <= INT32_MAX);
    }
    if (zkl_parse_hex(text, &value)) {
        struct zkl_slice printed = { (const uint8_t *)hex, zkl_format_hex(hex, value) };
        ZKL_ASSERT(zkl_parse_hex(printed, &same) && same == value);
    }
    if (zkl_frame_peek(bytes, size, 1000, &body_size) == ZKL_OK && body_size >= 0) {
        ZKL_ASSERT((size_t)body_size + 4 <= size && body_size <= 1000);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    size_t what = data[0] % (KIND_COUNT + 1);
    int32_t op = OPERATIONS[data[1] % OPERATION_COUNT];
    if (what == KIND_COUNT) {
        check_text(data + 2, size - 2);
    } else {
        check_record(&KINDS[what], op, data + 2, size - 2);
    }
    return 0;
}
