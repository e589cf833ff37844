/* The first record in each direction. Neither has a header in front of it. */
#include "wire/reader.h"
#include "wire/writer.h"

enum { PROTOCOL_VERSION = 0 };

void zkl_connect_request_write(struct zkl_writer *writer, const struct zkl_connect_request *record)
{
    zkl_write_i32(writer, PROTOCOL_VERSION);
    zkl_write_i64(writer, record->last_zxid_seen);
    zkl_write_i32(writer, record->timeout_ms);
    zkl_write_i64(writer, record->session_id);
    zkl_write_slice(writer, record->password);
    if (record->has_readonly) zkl_write_bool(writer, record->readonly);
}

/* Servers ignore the version, and a client that has no session may send any password. */
void zkl_connect_request_read(struct zkl_reader *reader, struct zkl_connect_request *record)
{
    zkl_read_i32(reader);
    record->last_zxid_seen = zkl_read_i64(reader);
    record->timeout_ms = zkl_read_i32(reader);
    record->session_id = zkl_read_i64(reader);
    record->password = zkl_read_slice(reader);
    record->has_readonly = !reader->failed && zkl_reader_left(reader) > 0;
    record->readonly = record->has_readonly && zkl_read_bool(reader);
}

void zkl_connect_response_write(struct zkl_writer *writer,
                                const struct zkl_connect_response *record)
{
    zkl_write_i32(writer, PROTOCOL_VERSION);
    zkl_write_i32(writer, record->timeout_ms);
    zkl_write_i64(writer, record->session_id);
    zkl_write_slice(writer, record->password);
    if (record->has_readonly) zkl_write_bool(writer, record->readonly);
}

/* The record must fill the body: a read-only server that refuses answers with a bare
 * reply header, and whatever listens on a port that is not ZooKeeper's with anything. */
void zkl_connect_response_read(struct zkl_reader *reader, struct zkl_connect_response *record)
{
    zkl_read_i32(reader);
    record->timeout_ms = zkl_read_i32(reader);
    record->session_id = zkl_read_i64(reader);
    record->password = zkl_read_slice(reader);
    record->has_readonly = !reader->failed && zkl_reader_left(reader) > 0;
    record->readonly = record->has_readonly && zkl_read_bool(reader);
    if (record->password.size != ZKL_PASSWORD_SIZE || zkl_reader_left(reader) > 0) {
        reader->failed = true;
    }
}
