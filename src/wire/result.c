/* The records of successful replies, reading and writing side by side. */
#include "wire/reader.h"
#include "wire/writer.h"

static void write_stat(struct zkl_writer *writer, const struct zkl_stat *stat)
{
    uint8_t *at = zkl_room(writer, ZKL_STAT_SIZE);
    if (at == NULL) return;
    zkl_store_i64(at, stat->czxid);
    zkl_store_i64(at + 8, stat->mzxid);
    zkl_store_i64(at + 16, stat->ctime_ms);
    zkl_store_i64(at + 24, stat->mtime_ms);
    zkl_store_i32(at + 32, stat->version);
    zkl_store_i32(at + 36, stat->cversion);
    zkl_store_i32(at + 40, stat->aversion);
    zkl_store_i64(at + 44, stat->ephemeral_owner);
    zkl_store_i32(at + 52, stat->data_length);
    zkl_store_i32(at + 56, stat->children_count);
    zkl_store_i64(at + 60, stat->pzxid);
}

static void read_stat(struct zkl_reader *reader, struct zkl_stat *stat)
{
    const uint8_t *at = zkl_take(reader, ZKL_STAT_SIZE);
    if (at == NULL) return;
    stat->czxid = zkl_load_i64(at);
    stat->mzxid = zkl_load_i64(at + 8);
    stat->ctime_ms = zkl_load_i64(at + 16);
    stat->mtime_ms = zkl_load_i64(at + 24);
    stat->version = zkl_load_i32(at + 32);
    stat->cversion = zkl_load_i32(at + 36);
    stat->aversion = zkl_load_i32(at + 40);
    stat->ephemeral_owner = zkl_load_i64(at + 44);
    stat->data_length = zkl_load_i32(at + 52);
    stat->children_count = zkl_load_i32(at + 56);
    stat->pzxid = zkl_load_i64(at + 60);
}

void zkl_result_write(struct zkl_writer *writer, const struct zkl_result *result)
{
    switch (result->op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_SYNC:
        zkl_write_slice(writer, result->path);
        return;
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        zkl_write_slice(writer, result->path);
        write_stat(writer, &result->stat);
        return;
    case ZKL_OP_EXISTS:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_SET_ACL:
        write_stat(writer, &result->stat);
        return;
    case ZKL_OP_GET_DATA:
    case ZKL_OP_RECONFIG:
        zkl_write_slice(writer, result->data);
        write_stat(writer, &result->stat);
        return;
    case ZKL_OP_GET_ACL:
    case ZKL_OP_GET_CHILDREN2:
        zkl_write_vector(writer, &result->items);
        write_stat(writer, &result->stat);
        return;
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_EPHEMERALS:
    case ZKL_OP_WHO_AM_I:
        zkl_write_vector(writer, &result->items);
        return;
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
    case ZKL_OP_ADD_WATCH:
    case ZKL_OP_ERROR:
        zkl_write_i32(writer, result->number);
        return;
    case ZKL_OP_SASL:
        zkl_write_slice(writer, result->data);
        return;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        zkl_write_multi(writer, &result->items);
        return;
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
    case ZKL_OP_CHECK:
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
    case ZKL_OP_AUTH:
    case ZKL_OP_PING:
    case ZKL_OP_CLOSE_SESSION:
        return;
    default:
        zkl_assert_failed("an operation that servers answer", __FILE__, __LINE__);
    }
}

void zkl_result_read(struct zkl_reader *reader, int32_t op, struct zkl_result *result)
{
    memset(result, 0, sizeof *result);
    result->op = op;
    switch (op) {
    case ZKL_OP_CREATE:
    case ZKL_OP_SYNC:
        result->path = zkl_read_slice(reader);
        return;
    case ZKL_OP_CREATE2:
    case ZKL_OP_CREATE_CONTAINER:
    case ZKL_OP_CREATE_TTL:
        result->path = zkl_read_slice(reader);
        read_stat(reader, &result->stat);
        return;
    case ZKL_OP_EXISTS:
    case ZKL_OP_SET_DATA:
    case ZKL_OP_SET_ACL:
        read_stat(reader, &result->stat);
        return;
    case ZKL_OP_GET_DATA:
    case ZKL_OP_RECONFIG:
        result->data = zkl_read_slice(reader);
        read_stat(reader, &result->stat);
        return;
    case ZKL_OP_GET_ACL:
        result->items = zkl_read_acls(reader);
        read_stat(reader, &result->stat);
        return;
    case ZKL_OP_GET_CHILDREN2:
        result->items = zkl_read_strings(reader);
        read_stat(reader, &result->stat);
        return;
    case ZKL_OP_GET_CHILDREN:
    case ZKL_OP_GET_EPHEMERALS:
        result->items = zkl_read_strings(reader);
        return;
    case ZKL_OP_WHO_AM_I:
        result->items = zkl_read_client_ids(reader);
        return;
    case ZKL_OP_GET_ALL_CHILDREN_NUMBER:
    case ZKL_OP_ADD_WATCH:
    case ZKL_OP_ERROR:
        result->number = zkl_read_i32(reader);
        return;
    case ZKL_OP_SASL:
        result->data = zkl_read_slice(reader);
        return;
    case ZKL_OP_MULTI:
    case ZKL_OP_MULTI_READ:
        result->items = zkl_read_results(reader, op);
        return;
    case ZKL_OP_DELETE:
    case ZKL_OP_DELETE_CONTAINER:
    case ZKL_OP_CHECK:
    case ZKL_OP_CHECK_WATCHES:
    case ZKL_OP_REMOVE_WATCHES:
    case ZKL_OP_SET_WATCHES:
    case ZKL_OP_SET_WATCHES2:
    case ZKL_OP_AUTH:
    case ZKL_OP_PING:
    case ZKL_OP_CLOSE_SESSION:
        return;
    default:
        reader->failed = true;
    }
}
