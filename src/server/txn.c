/* The records of the transaction log: see txn.h.
 *
 * A log is a file of ours or of Apache's, and may be damaged in ways that its checksums do not
 * see: everything in it is refused like the bytes of a peer, never asserted on. */
#include "server/txn.h"

#include <string.h>

#include "base/decimal.h"
#include "wire/reader.h"
#include "wire/writer.h"

enum { PART_SIZE_MIN = 4 + 4 }; /* type and length */

void zkl_txn_header_write(struct zkl_writer *writer, const struct zkl_txn_header *header)
{
    zkl_write_i64(writer, header->session_id);
    zkl_write_i32(writer, header->cxid);
    zkl_write_i64(writer, header->zxid);
    zkl_write_i64(writer, header->time_ms);
    zkl_write_i32(writer, header->type);
}

void zkl_txn_header_read(struct zkl_reader *reader, struct zkl_txn_header *header)
{
    header->session_id = zkl_read_i64(reader);
    header->cxid = zkl_read_i32(reader);
    header->zxid = zkl_read_i64(reader);
    header->time_ms = zkl_read_i64(reader);
    header->type = zkl_read_i32(reader);
}

/* --- writing ----------------------------------------------------------------------- */

static void write_create(struct zkl_writer *writer, const struct zkl_txn *txn)
{
    zkl_write_slice(writer, txn->path);
    zkl_write_slice(writer, txn->data);
    zkl_write_vector(writer, &txn->acl);
    if (txn->type == ZKL_OP_CREATE || txn->type == ZKL_OP_CREATE2) {
        zkl_write_bool(writer, txn->ephemeral);
    }
    zkl_write_i32(writer, txn->parent_cversion);
    if (txn->type == ZKL_OP_CREATE_TTL) zkl_write_i64(writer, txn->ttl_ms);
}

static void write_record(struct zkl_writer *writer, const struct zkl_txn *txn)
{
    switch (txn->type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        write_create(writer, txn);
        break;
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
        zkl_write_slice(writer, txn->path);
        break;
    case ZKL_OP_SET_DATA:
    case ZKL_OP_RECONFIG:
        zkl_write_slice(writer, txn->path);
        zkl_write_slice(writer, txn->data);
        zkl_write_i32(writer, txn->version);
        break;
    case ZKL_OP_SET_ACL:
        zkl_write_slice(writer, txn->path);
        zkl_write_vector(writer, &txn->acl);
        zkl_write_i32(writer, txn->version);
        break;
    case ZKL_OP_CHECK:
        zkl_write_slice(writer, txn->path);
        zkl_write_i32(writer, txn->version);
        break;
    case ZKL_OP_MULTI:
        zkl_write_vector(writer, &txn->parts);
        break;
    case ZKL_OP_CREATE_SESSION:
        zkl_write_i32(writer, txn->timeout_ms);
        break;
    case ZKL_OP_CLOSE_SESSION:
        if (txn->paths.count >= 0) zkl_write_vector(writer, &txn->paths);
        break;
    default:
        ZKL_ASSERT(txn->type == ZKL_OP_ERROR);
        zkl_write_i32(writer, txn->code);
        break;
    }
}

void zkl_txn_write(struct zkl_writer *writer, const struct zkl_txn *txn)
{
    ZKL_ASSERT(txn->type != ZKL_OP_CHECK); /* alone, it would keep Apache from starting again */
    write_record(writer, txn);
}

/* What a multi may hold. Apache's replay knows no create2 there: it logs one as a create. */
static bool is_part(int32_t type)
{
    switch (type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_CHECK:
    case ZKL_OP_ERROR:
        return true;
    default:
        return false;
    }
}

void zkl_txn_write_part(struct zkl_writer *writer, const struct zkl_txn *part)
{
    ZKL_ASSERT(is_part(part->type));
    zkl_write_i32(writer, part->type);
    size_t start = zkl_frame_begin(writer); /* a buffer is a length and bytes, as a frame is */
    write_record(writer, part);
    zkl_frame_end(writer, start);
}

/* --- reading ------------------------------------------------------------------------ */

static struct zkl_slice read_path(struct zkl_reader *reader)
{
    struct zkl_slice path = zkl_read_slice(reader);
    if (path.base == NULL) reader->failed = true;
    return path;
}

static void read_create(struct zkl_reader *reader, struct zkl_txn *txn)
{
    txn->path = read_path(reader);
    txn->data = zkl_read_slice(reader);
    txn->acl = zkl_read_acls(reader);
    if (txn->type == ZKL_OP_CREATE || txn->type == ZKL_OP_CREATE2) {
        txn->ephemeral = zkl_read_bool(reader);
    }
    if (txn->type == ZKL_OP_CREATE && !reader->failed && zkl_reader_left(reader) == 0) {
        txn->parent_cversion = -1; /* from before there was such a field, and before digests */
        return;
    }
    txn->parent_cversion = zkl_read_i32(reader);
    if (txn->type == ZKL_OP_CREATE_TTL) txn->ttl_ms = zkl_read_i64(reader);
}

/* A record without paths is empty, so that a digest may be all that is left. It can be told
 * from a list: its version would be a count of two, and two paths take more than 8 bytes. */
static void read_close_session(struct zkl_reader *reader, struct zkl_txn *txn)
{
    size_t left = zkl_reader_left(reader);
    if (left == 0 || (left == ZKL_TXN_DIGEST_SIZE &&
                      zkl_load_i32(reader->at) == ZKL_TXN_DIGEST_VERSION)) {
        txn->paths.count = -1;
        return;
    }
    txn->paths = zkl_read_strings(reader);
    struct zkl_vector paths = txn->paths;
    struct zkl_slice path;
    while (zkl_vector_next_string(&paths, &path)) {
        if (path.base == NULL) reader->failed = true;
    }
}

static void read_record(struct zkl_reader *reader, int32_t type, struct zkl_txn *txn);

/* One part off the front, read and found whole. */
static void read_part(struct zkl_reader *reader, struct zkl_txn *part)
{
    int32_t type = zkl_read_i32(reader);
    struct zkl_slice record = zkl_read_slice(reader);
    if (record.base == NULL || !is_part(type)) reader->failed = true;
    if (reader->failed) return;
    struct zkl_reader inner = { record.base, record.base + record.size, false };
    read_record(&inner, type, part);
    if (inner.failed || zkl_reader_left(&inner) > 0) reader->failed = true;
}

static struct zkl_vector read_parts(struct zkl_reader *reader)
{
    struct zkl_vector parts = { NULL, 0, zkl_read_i32(reader) };
    if (parts.count < 0 || (size_t)parts.count > zkl_reader_left(reader) / PART_SIZE_MIN) {
        reader->failed = true;
        return parts;
    }
    parts.base = reader->at;
    for (int32_t i = 0; i < parts.count && !reader->failed; i++) {
        struct zkl_txn part;
        read_part(reader, &part);
    }
    parts.size = (size_t)(reader->at - parts.base);
    return parts;
}

static void read_record(struct zkl_reader *reader, int32_t type, struct zkl_txn *txn)
{
    *txn = (struct zkl_txn) { .type = type };
    switch (type) {
    case ZKL_OP_CREATE:
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        read_create(reader, txn);
        break;
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
        txn->path = read_path(reader);
        break;
    case ZKL_OP_SET_DATA:
    case ZKL_OP_RECONFIG: /* of an ensemble's log: a setData of its config node */
        txn->path = read_path(reader);
        txn->data = zkl_read_slice(reader);
        txn->version = zkl_read_i32(reader);
        break;
    case ZKL_OP_SET_ACL:
        txn->path = read_path(reader);
        txn->acl = zkl_read_acls(reader);
        txn->version = zkl_read_i32(reader);
        break;
    case ZKL_OP_CHECK:
        txn->path = read_path(reader);
        txn->version = zkl_read_i32(reader);
        break;
    case ZKL_OP_MULTI:
        txn->parts = read_parts(reader);
        break;
    case ZKL_OP_CREATE_SESSION:
        txn->timeout_ms = zkl_read_i32(reader);
        break;
    case ZKL_OP_CLOSE_SESSION:
        read_close_session(reader, txn);
        break;
    case ZKL_OP_ERROR:
        txn->code = zkl_read_i32(reader);
        break;
    default:
        reader->failed = true;
        break;
    }
}

void zkl_txn_read(struct zkl_reader *reader, int32_t type, struct zkl_txn *txn)
{
    if (type == ZKL_OP_CHECK) reader->failed = true;
    read_record(reader, type, txn);
}

bool zkl_txn_next_part(struct zkl_vector *parts, struct zkl_txn *part)
{
    if (parts->count <= 0) return false;
    struct zkl_reader reader = { parts->base, parts->base + parts->size, false };
    read_part(&reader, part);
    ZKL_ASSERT(!reader.failed); /* zkl_txn_read has seen it */
    parts->base = reader.at;
    parts->size = zkl_reader_left(&reader);
    parts->count--;
    return true;
}

/* --- digest and sequence --------------------------------------------------------------- */

void zkl_txn_digest_write(struct zkl_writer *writer, uint64_t digest)
{
    zkl_write_i32(writer, ZKL_TXN_DIGEST_VERSION);
    zkl_write_i64(writer, (int64_t)digest);
}

void zkl_txn_digest_read(struct zkl_reader *reader, struct zkl_txn_digest *digest)
{
    *digest = (struct zkl_txn_digest) { .present = false };
    if (reader->failed || zkl_reader_left(reader) == 0) return;
    digest->present = true;
    digest->version = zkl_read_i32(reader);
    digest->digest = (uint64_t)zkl_read_i64(reader);
    if (zkl_reader_left(reader) > 0) reader->failed = true;
}

size_t zkl_format_sequence(char buffer[ZKL_SEQUENCE_SIZE_MAX], int32_t number)
{
    enum { WIDTH = 10 };
    char digits[ZKL_DECIMAL_SIZE_MAX];
    size_t size = zkl_format_decimal(digits, number);
    size_t sign = number < 0;
    size_t zeros = size < WIDTH ? WIDTH - size : 0;
    memcpy(buffer, digits, sign);
    memset(buffer + sign, '0', zeros);
    memcpy(buffer + sign + zeros, digits + sign, size - sign);
    return size + zeros;
}
