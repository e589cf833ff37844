/* The headers in front of requests and replies, and the record of a notification. */
#include "wire/reader.h"
#include "wire/writer.h"

void zkl_request_header_write(struct zkl_writer *writer, const struct zkl_request_header *header)
{
    uint8_t *at = zkl_room(writer, ZKL_REQUEST_HEADER_SIZE);
    if (at == NULL) return;
    zkl_store_i32(at, header->xid);
    zkl_store_i32(at + 4, header->op);
}

void zkl_request_header_read(struct zkl_reader *reader, struct zkl_request_header *header)
{
    const uint8_t *at = zkl_take(reader, ZKL_REQUEST_HEADER_SIZE);
    header->xid = at != NULL ? zkl_load_i32(at) : 0;
    header->op = at != NULL ? zkl_load_i32(at + 4) : 0;
}

void zkl_reply_header_write(struct zkl_writer *writer, const struct zkl_reply_header *header)
{
    uint8_t *at = zkl_room(writer, ZKL_REPLY_HEADER_SIZE);
    if (at == NULL) return;
    zkl_store_i32(at, header->xid);
    zkl_store_i64(at + 4, header->zxid);
    zkl_store_i32(at + 12, header->code);
}

void zkl_reply_header_read(struct zkl_reader *reader, struct zkl_reply_header *header)
{
    const uint8_t *at = zkl_take(reader, ZKL_REPLY_HEADER_SIZE);
    header->xid = at != NULL ? zkl_load_i32(at) : 0;
    header->zxid = at != NULL ? zkl_load_i64(at + 4) : 0;
    header->code = at != NULL ? zkl_load_i32(at + 12) : 0;
}

void zkl_watch_event_write(struct zkl_writer *writer, const struct zkl_watch_event *event)
{
    zkl_write_i32(writer, event->type);
    zkl_write_i32(writer, event->state);
    zkl_write_slice(writer, event->path);
}

void zkl_watch_event_read(struct zkl_reader *reader, struct zkl_watch_event *event)
{
    event->type = zkl_read_i32(reader);
    event->state = zkl_read_i32(reader);
    event->path = zkl_read_slice(reader);
}
