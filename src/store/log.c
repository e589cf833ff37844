/* A transaction log's bytes (server-semantics 9.1): a header of 16 bytes, then entries of
 * checksum, length, payload and an end byte, then zeros that were set aside, or nothing.
 *
 * The reader trusts nothing it reads: it says what is not an entry, where and why, and leaves
 * it to tail.c and recover.c what that means. The writer begins each file under a temporary
 * name and gives it its own once its first entries are durable: a log that is there holds an
 * entry, so neither we nor Apache ever start on an empty one. */
#include <errno.h>
#include <libdeflate.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"
#include "wire/bytes.h"

#define END_BYTE 0x42
#define TXN_HEADER_SIZE 32
#define TXN_ZXID_AT 12       /* in the payload: behind session id and cxid */
#define BUFFER_SIZE (256 * 1024)
#define ROOM_LEFT 4096       /* with less than this the next space is set aside */

_Static_assert(2 * ZKL_REQUEST_SIZE_LIMIT <= ZKL_LOG_PAYLOAD_MAX, "what is prepared can be logged");

static const uint8_t header_bytes[ZKL_LOG_HEADER_SIZE] = {
    'Z', 'K', 'L', 'G', 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0,
};

void zkl_log_header(uint8_t header[ZKL_LOG_HEADER_SIZE])
{
    memcpy(header, header_bytes, sizeof header_bytes);
}

bool zkl_log_foreign(const uint8_t header[ZKL_LOG_HEADER_SIZE])
{
    static const uint8_t none[4] = { 0 }; /* as a write that was cut short would leave it */
    return memcmp(header, header_bytes, 4) == 0 && memcmp(header + 4, header_bytes + 4, 4) != 0 &&
           memcmp(header + 4, none, 4) != 0;
}

/* --- reading ---------------------------------------------------------------------------- */

int zkl_log_reader_open(struct zkl_log_reader *reader, const struct zkl_place *place,
                        int64_t zxid)
{
    const struct zkl_files *files = place->files;
    memset(reader, 0, sizeof *reader);
    reader->place = place;
    reader->first_zxid = zxid;
    zkl_log_name(reader->name, zxid);
    reader->file = files->open(files->context, place->log, reader->name, ZKL_OPEN_READ);
    if (reader->file < 0) return reader->file;
    reader->size = files->size(files->context, reader->file);
    if (reader->size < 0) {
        int status = (int)reader->size;
        zkl_log_reader_close(reader);
        return status;
    }
    return 0;
}

void zkl_log_reader_close(struct zkl_log_reader *reader)
{
    const struct zkl_files *files = reader->place->files;
    if (reader->file >= 0) files->close(files->context, reader->file);
    reader->file = -1;
    zkl_release(&reader->place->allocator, reader->buffer, reader->capacity);
    reader->buffer = NULL;
    reader->capacity = 0;
}

static bool view_reserve(struct zkl_log_reader *reader, size_t size)
{
    if (size <= reader->capacity) return true;
    size_t capacity = reader->size < BUFFER_SIZE ? (size_t)reader->size : BUFFER_SIZE;
    if (capacity < size) capacity = size;
    uint8_t *buffer = zkl_reallocate(&reader->place->allocator, reader->buffer,
                                     reader->capacity, capacity);
    if (buffer == NULL) return false;
    reader->buffer = buffer;
    reader->capacity = capacity;
    return true;
}

const uint8_t *zkl_log_reader_view(struct zkl_log_reader *reader, int64_t offset, size_t size)
{
    ZKL_ASSERT(offset >= 0 && (int64_t)size <= reader->size - offset);
    int64_t inside = offset - reader->base;
    if (inside >= 0 && inside + (int64_t)size <= (int64_t)reader->filled) {
        return reader->buffer + inside;
    }
    if (!view_reserve(reader, size)) {
        reader->error = -ENOMEM;
        return NULL;
    }
    size_t wanted = reader->capacity;
    if ((int64_t)wanted > reader->size - offset) wanted = (size_t)(reader->size - offset);
    int64_t count = zkl_file_read(reader->place->files, reader->file, reader->buffer, wanted,
                                  offset);
    reader->base = offset;
    reader->filled = count < 0 ? 0 : (size_t)count;
    if (count >= (int64_t)size) return reader->buffer;
    reader->error = count < 0 ? (int)count : -EIO; /* shorter than its size said */
    return NULL;
}

int zkl_log_reader_blank(struct zkl_log_reader *reader, int64_t offset, int64_t end,
                         int64_t *found)
{
    while (offset < end) {
        size_t size = BUFFER_SIZE;
        if ((int64_t)size > end - offset) size = (size_t)(end - offset);
        const uint8_t *bytes = zkl_log_reader_view(reader, offset, size);
        if (bytes == NULL) return reader->error;
        /* All are zero if the first is, and each equals the one before it. */
        if (bytes[0] != 0 || memcmp(bytes, bytes + 1, size - 1) != 0) {
            size_t i = 0;
            while (bytes[i] == 0) i++;
            *found = offset + (int64_t)i;
            return 0;
        }
        offset += (int64_t)size;
    }
    return 1;
}

static enum zkl_step invalid(struct zkl_log_reader *reader, const char *wrong)
{
    reader->wrong = wrong;
    return ZKL_STEP_INVALID;
}

/* Zeros: the end, if there is nothing else up to the end of the file. */
static enum zkl_step read_end(struct zkl_log_reader *reader, const char *wrong)
{
    int64_t found;
    int blank = zkl_log_reader_blank(reader, reader->at, reader->size, &found);
    if (blank < 0) return ZKL_STEP_FAILED;
    return blank == 1 ? ZKL_STEP_END : invalid(reader, wrong);
}

static enum zkl_step read_header(struct zkl_log_reader *reader)
{
    if (reader->size < ZKL_LOG_HEADER_SIZE) return invalid(reader, "has no whole header");
    const uint8_t *bytes = zkl_log_reader_view(reader, 0, ZKL_LOG_HEADER_SIZE);
    if (bytes == NULL) return ZKL_STEP_FAILED;
    if (zkl_log_foreign(bytes)) {
        return invalid(reader, "is of another version, and this server reads and writes version 2 "
                               "(start the server that wrote it)");
    }
    if (memcmp(bytes, header_bytes, ZKL_LOG_HEADER_SIZE) != 0) {
        return invalid(reader, "does not begin with the header of a transaction log");
    }
    reader->at = ZKL_LOG_HEADER_SIZE;
    return ZKL_STEP_END; /* of the header */
}

enum zkl_step zkl_log_reader_next(struct zkl_log_reader *reader, struct zkl_entry *entry)
{
    entry->offset = reader->at;
    if (reader->at == 0 && read_header(reader) != ZKL_STEP_END) {
        return reader->error != 0 ? ZKL_STEP_FAILED : ZKL_STEP_INVALID;
    }
    entry->offset = reader->at;
    int64_t left = reader->size - reader->at;
    if (left < ZKL_ENTRY_HEAD_SIZE) return read_end(reader, "is cut off by the end of the file");
    const uint8_t *head = zkl_log_reader_view(reader, reader->at, ZKL_ENTRY_HEAD_SIZE);
    if (head == NULL) return ZKL_STEP_FAILED;
    int64_t checksum = zkl_load_i64(head);
    int32_t size = zkl_load_i32(head + 8);
    if (checksum == 0 && size == 0) return read_end(reader, "is blank, and bytes follow it");
    if (size <= 0 || size > ZKL_LOG_PAYLOAD_MAX) return invalid(reader, "has no possible length");
    if (left < ZKL_ENTRY_OVERHEAD + (int64_t)size) {
        return invalid(reader, "is cut off by the end of the file");
    }
    size_t whole = ZKL_ENTRY_OVERHEAD + (size_t)size;
    const uint8_t *bytes = zkl_log_reader_view(reader, reader->at, whole);
    if (bytes == NULL) return ZKL_STEP_FAILED;
    if (bytes[whole - 1] != END_BYTE) return invalid(reader, "has no end byte");
    const uint8_t *payload = bytes + ZKL_ENTRY_HEAD_SIZE;
    if ((uint64_t)checksum != libdeflate_adler32(1, payload, (size_t)size)) {
        return invalid(reader, "does not match its checksum");
    }
    if (size < TXN_HEADER_SIZE) return invalid(reader, "is too short for a transaction");
    entry->zxid = zkl_load_i64(payload + TXN_ZXID_AT);
    entry->payload = (struct zkl_slice) { payload, (size_t)size };
    reader->at += (int64_t)whole;
    return ZKL_STEP_ENTRY;
}

/* --- writing ---------------------------------------------------------------------------- */

bool zkl_log_append(struct zkl_buffer *buffer, struct zkl_slice payload)
{
    ZKL_ASSERT(payload.size >= TXN_HEADER_SIZE && payload.size <= ZKL_LOG_PAYLOAD_MAX);
    if (!zkl_buffer_reserve(buffer, ZKL_ENTRY_OVERHEAD + payload.size)) return false;
    uint8_t *at = zkl_buffer_end(buffer);
    zkl_store_i64(at, (int64_t)libdeflate_adler32(1, payload.base, payload.size));
    zkl_store_i32(at + 8, (int32_t)payload.size);
    memcpy(at + ZKL_ENTRY_HEAD_SIZE, payload.base, payload.size);
    at[ZKL_ENTRY_HEAD_SIZE + payload.size] = END_BYTE;
    zkl_buffer_commit(buffer, ZKL_ENTRY_OVERHEAD + payload.size);
    return true;
}

size_t zkl_log_entry_size(const uint8_t *bytes)
{
    return ZKL_ENTRY_OVERHEAD + (size_t)zkl_load_i32(bytes + 8);
}

int64_t zkl_log_entry_zxid(const uint8_t *bytes)
{
    return zkl_load_i64(bytes + ZKL_ENTRY_HEAD_SIZE + TXN_ZXID_AT);
}

void zkl_log_init(struct zkl_log *log, const struct zkl_place *place,
                  const struct zkl_store_options *options)
{
    memset(log, 0, sizeof *log);
    log->place = place;
    log->file = -1;
    log->preallocate_bytes =
        options->preallocate_bytes == 0 ? 64 * 1024 * 1024 : options->preallocate_bytes;
    log->bytes_max = options->log_bytes_max;
}

/* Space for `size` more bytes and then some, so that the syncs that follow need not change the
 * file's size. No more than a help: what is not set aside is taken as it is written. */
static void set_aside(struct zkl_log *log, size_t size)
{
    const struct zkl_files *files = log->place->files;
    int64_t needed = log->position + (int64_t)size + ROOM_LEFT;
    if (log->preallocate_bytes <= 0 || needed < log->allocated) return;
    int64_t grow = log->preallocate_bytes;
    while (log->allocated + grow <= needed) grow += log->preallocate_bytes;
    if (files->allocate(files->context, log->file, log->allocated, grow) == 0) {
        log->allocated += grow;
    } else {
        log->preallocate_bytes = 0; /* no such call here, or no space: not asked again */
    }
}

static int write_on(struct zkl_log *log, const uint8_t *bytes, size_t size)
{
    const struct zkl_files *files = log->place->files;
    set_aside(log, size);
    int status = zkl_file_write(files, log->file, bytes, size, log->position);
#ifndef ZKLUA_BUG_EARLY_ACK
    if (status == 0) status = files->sync(files->context, log->file);
#endif
    if (status == 0) log->position += (int64_t)size;
    return status;
}

static int write_first(struct zkl_log *log, const uint8_t *bytes, size_t size, int64_t zxid)
{
    const struct zkl_place *place = log->place;
    const struct zkl_files *files = place->files;
    char name[ZKL_NAME_SIZE_MAX], temporary[ZKL_NAME_SIZE_MAX];
    zkl_log_name(name, zxid);
    snprintf(temporary, sizeof temporary, ZKL_TEMPORARY_PREFIX "%.30s", name);
    int file = files->open(files->context, place->log, temporary, ZKL_OPEN_CREATE);
    if (file < 0) return file;
    log->file = file;
    log->first_zxid = zxid;
    log->position = log->allocated = 0;
    int status = write_on(log, bytes - ZKL_LOG_HEADER_SIZE, ZKL_LOG_HEADER_SIZE + size);
    if (status == 0) status = files->rename(files->context, place->log, temporary, name);
    if (status == 0) status = zkl_sync_names(files, place->log);
    return status;
}

int zkl_log_write(struct zkl_log *log, const uint8_t *bytes, size_t size, int64_t zxid)
{
    if (log->file >= 0) return write_on(log, bytes, size);
    return write_first(log, bytes, size, zxid);
}

void zkl_log_finish(struct zkl_log *log)
{
    if (log->file < 0) return;
    /* Zeros that were set aside and not used. If this is forgotten in a power loss, they are
     * there again, and are the log's end as well. */
    const struct zkl_files *files = log->place->files;
    if (log->allocated > log->position) {
        files->truncate(files->context, log->file, log->position);
    }
    zkl_log_abandon(log);
}

void zkl_log_abandon(struct zkl_log *log)
{
    if (log->file >= 0) log->place->files->close(log->place->files->context, log->file);
    log->file = -1;
}
