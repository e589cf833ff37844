/* A snapshot's parts off a file, plain or compressed, and its bytes onto one (server-semantics
 * 9.3).
 *
 * Reading streams: what is held is one node, whatever the size of the file; a compressed file
 * that swells without end costs time, not memory. Each part is whole before the sink sees it,
 * but the checksums come after the parts: who must not see a part of a damaged file reads with
 * no sink first.
 *
 * Writing goes to a temporary name, is synced piece by piece, read again to its end, renamed, and
 * the directory is synced: a snapshot that is there can be loaded. */
#include <errno.h>
#include <libdeflate.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

#include "store/internal.h"
#include "wire/bytes.h"
#include "wire/reader.h"

#define INPUT_SIZE (64 * 1024)
#define VIEW_SIZE_MIN (64 * 1024)
#define ACL_COUNT_MAX 100000  /* of one list */
#define STAT_PERSISTED_SIZE 60
#define END_MARK_SIZE 5       /* the string "/" */
#define SYNC_SIZE (1024 * 1024) /* so much of a snapshot is synced at once */
#define NODES_AHEAD 8         /* of which the sink hears early */

struct stream {
    const struct zkl_place *place;
    int file;
    int64_t offset;      /* in the file, behind what was read */
    bool gzip, gzip_end;
    bool ended;          /* no more bytes of content */
    int error;
    const char *wrong;
    z_stream inflate;
    uint8_t input[INPUT_SIZE];
    struct zkl_buffer content;
    uint64_t checksum;   /* of all that was taken */
    size_t soon_count;   /* nodes ahead that the sink has heard of */
    size_t soon_size;    /* their bytes, of the content not yet taken */
};

/* --- bytes ------------------------------------------------------------------------------ */

static int damaged(struct stream *stream, const char *wrong)
{
    if (stream->error == 0) {
        stream->error = -EBADMSG;
        stream->wrong = wrong;
    }
    return stream->error;
}

static int64_t read_file(struct stream *stream, uint8_t *bytes, size_t size)
{
    const struct zkl_files *files = stream->place->files;
    int64_t count = files->read(files->context, stream->file, bytes, size, stream->offset);
    if (count > 0) stream->offset += count;
    if (count < 0) stream->error = (int)count;
    return count;
}

/* At most `size` bytes of content; 0 at its end, or at a failure. */
static size_t inflate_some(struct stream *stream, uint8_t *bytes, size_t size)
{
    z_stream *z = &stream->inflate;
    z->next_out = bytes;
    z->avail_out = (uInt)size;
    while (z->avail_out == (uInt)size && !stream->gzip_end) {
        if (z->avail_in == 0) {
            int64_t count = read_file(stream, stream->input, sizeof stream->input);
            if (count == 0) damaged(stream, "is cut off inside its compressed content");
            if (count <= 0) return 0;
            z->next_in = stream->input;
            z->avail_in = (uInt)count;
        }
        int status = inflate(z, Z_NO_FLUSH);
        if (status == Z_STREAM_END) {
            stream->gzip_end = true;
        } else if (status == Z_MEM_ERROR) {
            stream->error = -ENOMEM;
            return 0;
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            damaged(stream, "is not what was compressed");
            return 0;
        }
    }
    if (stream->gzip_end && size == z->avail_out && z->avail_in > 0) {
        damaged(stream, "goes on behind its compressed content");
    }
    return size - z->avail_out;
}

/* Makes the next `size` bytes of content visible together; NULL: they are not there. They stay
 * where they are until the next call. */
static const uint8_t *view(struct stream *stream, size_t size)
{
    struct zkl_buffer *content = &stream->content;
    while (zkl_buffer_size(content) < size && !stream->ended) {
        /* Room follows what has come, so that a length alone costs no memory. */
        size_t some = zkl_buffer_size(content);
        if (some < VIEW_SIZE_MIN) some = VIEW_SIZE_MIN;
        if (!zkl_buffer_reserve(content, some)) {
            stream->error = -ENOMEM;
            return NULL;
        }
        int64_t count = stream->gzip
                            ? (int64_t)inflate_some(stream, zkl_buffer_end(content), some)
                            : read_file(stream, zkl_buffer_end(content), some);
        if (stream->error != 0) return NULL;
        if (count == 0) stream->ended = true;
        zkl_buffer_commit(content, (size_t)count);
    }
    if (zkl_buffer_size(content) < size) {
        damaged(stream, "is cut off");
        return NULL;
    }
    return zkl_buffer_start(content);
}

static void take(struct stream *stream, size_t size)
{
    const uint8_t *at = zkl_buffer_start(&stream->content);
    stream->checksum = libdeflate_adler32((uint32_t)stream->checksum, at, size);
    zkl_buffer_consume(&stream->content, size);
}

/* The length of a string or a buffer at `offset` of the record that is being viewed, which is
 * *size bytes so far and grows by it; -1: null, or a failure. */
static int32_t view_field(struct stream *stream, size_t *size)
{
    const uint8_t *at = view(stream, *size + 4);
    if (at == NULL) return -1;
    int32_t length = zkl_load_i32(at + *size);
    if (length < -1 || length > ZKL_FIELD_MAX) {
        damaged(stream, "holds an impossible length");
        return -1;
    }
    *size += 4;
    if (length <= 0) return length;
    if (view(stream, *size + (size_t)length) == NULL) return -1;
    *size += (size_t)length;
    return length;
}

static int32_t take_i32(struct stream *stream)
{
    const uint8_t *at = view(stream, 4);
    if (at == NULL) return 0;
    int32_t value = zkl_load_i32(at);
    take(stream, 4);
    return value;
}

static int64_t take_i64(struct stream *stream)
{
    const uint8_t *at = view(stream, 8);
    if (at == NULL) return 0;
    int64_t value = zkl_load_i64(at);
    take(stream, 8);
    return value;
}

/* --- parts ------------------------------------------------------------------------------ */

static int refused(struct stream *stream, int status)
{
    if (status == ZKL_OK) return 0;
    stream->error = status == ZKL_E_NOMEM ? -ENOMEM : -EPROTO;
    return stream->error;
}

static int read_header(struct stream *stream)
{
    static const uint8_t header[16] = {
        'Z', 'K', 'S', 'N', 0, 0, 0, 2, 255, 255, 255, 255, 255, 255, 255, 255,
    };
    const uint8_t *at = view(stream, sizeof header);
    if (at == NULL) return stream->error;
    if (memcmp(at, header, sizeof header) != 0) {
        return damaged(stream, "does not begin with the header of a snapshot");
    }
    take(stream, sizeof header);
    return 0;
}

static int read_sessions(struct stream *stream, const struct zkl_sink *sink)
{
    int32_t count = take_i32(stream);
    if (count < 0) return damaged(stream, "holds an impossible count of sessions");
    for (int32_t i = 0; i < count && stream->error == 0; i++) {
        int64_t id = take_i64(stream);
        int32_t timeout_ms = take_i32(stream);
        if (stream->error != 0 || sink == NULL) continue;
        refused(stream, sink->session(sink->context, id, timeout_ms));
    }
    return stream->error;
}

static int read_acl(struct stream *stream, const struct zkl_sink *sink)
{
    size_t size = 12;
    const uint8_t *at = view(stream, size);
    if (at == NULL) return stream->error;
    int32_t count = zkl_load_i32(at + 8);
    if (count < 0 || count > ACL_COUNT_MAX) {
        return damaged(stream, "holds an impossible access list");
    }
    for (int32_t i = 0; i < count && stream->error == 0; i++) {
        size += 4;
        view_field(stream, &size); /* scheme */
        view_field(stream, &size); /* id */
        if (size > ZKL_FIELD_MAX) return damaged(stream, "holds an impossible access list");
    }
    if (stream->error != 0) return stream->error;
    at = view(stream, size);
    struct zkl_reader reader = { at + 8, at + size, false };
    struct zkl_vector acl = zkl_read_acls(&reader);
    if (reader.failed || reader.at != reader.end) {
        return damaged(stream, "holds an impossible access list");
    }
    if (sink != NULL) refused(stream, sink->acl(sink->context, zkl_load_i64(at), acl));
    if (stream->error == 0) take(stream, size);
    return stream->error;
}

static int read_acls(struct stream *stream, const struct zkl_sink *sink)
{
    int32_t count = take_i32(stream);
    if (count < 0) return damaged(stream, "holds an impossible count of access lists");
    for (int32_t i = 0; i < count && stream->error == 0; i++) read_acl(stream, sink);
    return stream->error;
}

/* Persisted order, without data length and children. */
static void read_stat(struct zkl_reader *reader, struct zkl_stat *stat)
{
    memset(stat, 0, sizeof *stat);
    stat->czxid = zkl_read_i64(reader);
    stat->mzxid = zkl_read_i64(reader);
    stat->ctime_ms = zkl_read_i64(reader);
    stat->mtime_ms = zkl_read_i64(reader);
    stat->version = zkl_read_i32(reader);
    stat->cversion = zkl_read_i32(reader);
    stat->aversion = zkl_read_i32(reader);
    stat->ephemeral_owner = zkl_read_i64(reader);
    stat->pzxid = zkl_read_i64(reader);
}

/* Tells the sink of nodes to come, as far as their bytes are here by chance. What is damaged is
 * found when they are read. */
static void look_ahead(struct stream *stream, const struct zkl_sink *sink)
{
    size_t there = zkl_buffer_size(&stream->content);
    const uint8_t *content = zkl_buffer_start(&stream->content);
    while (stream->soon_count < NODES_AHEAD && stream->soon_size < there) {
        const uint8_t *at = content + stream->soon_size;
        struct zkl_reader reader = { at, content + there, false };
        struct zkl_slice path = zkl_read_slice(&reader);
        int32_t data_size = zkl_read_i32(&reader);
        bool last = path.size == 1 && path.base[0] == '/';
        if (reader.failed || last || data_size > ZKL_FIELD_MAX) return;
        sink->soon(sink->context, path);
        size_t size = (size_t)(reader.at - at) + 8 + STAT_PERSISTED_SIZE;
        stream->soon_size += size + (data_size > 0 ? (size_t)data_size : 0);
        stream->soon_count++;
    }
}

static void take_node(struct stream *stream, size_t size)
{
    take(stream, size);
    if (stream->soon_count == 0) return;
    stream->soon_count--;
    stream->soon_size -= size;
}

/* The path "/" ends the nodes (the root's is empty): *end. */
static int read_node(struct stream *stream, const struct zkl_sink *sink, bool *end)
{
    size_t size = 0;
    int32_t path_size = view_field(stream, &size);
    if (stream->error != 0) return stream->error;
    if (path_size < 0) return damaged(stream, "holds a node without a path");
    *end = path_size == 1 && view(stream, size)[4] == '/';
    if (*end) {
        take(stream, size);
        return 0;
    }
    view_field(stream, &size); /* data */
    size += 8 + STAT_PERSISTED_SIZE;
    const uint8_t *at = stream->error == 0 ? view(stream, size) : NULL;
    if (at == NULL) return stream->error;
    if (sink != NULL) {
        look_ahead(stream, sink);
        struct zkl_reader reader = { at, at + size, false };
        struct zkl_restored_node node;
        node.path = zkl_read_slice(&reader);
        node.data = zkl_read_slice(&reader);
        node.acl = zkl_read_i64(&reader);
        read_stat(&reader, &node.stat);
        node.stat.data_length = (int32_t)node.data.size;
        ZKL_ASSERT(!reader.failed && reader.at == reader.end);
        refused(stream, sink->node(sink->context, &node));
    }
    if (stream->error == 0) take_node(stream, size);
    return stream->error;
}

/* The checksum of all before it, and the string "/". */
static int read_seal(struct stream *stream)
{
    static const uint8_t mark[END_MARK_SIZE] = { 0, 0, 0, 1, '/' };
    uint64_t expected = stream->checksum;
    uint64_t checksum = (uint64_t)take_i64(stream);
    if (stream->error == 0 && checksum != expected) {
        return damaged(stream, "does not match its checksum");
    }
    const uint8_t *at = view(stream, END_MARK_SIZE);
    if (at == NULL) return stream->error;
    if (memcmp(at, mark, END_MARK_SIZE) != 0) return damaged(stream, "is not sealed");
    take(stream, END_MARK_SIZE);
    return 0;
}

/* Whether the content ends here. */
static bool at_end(struct stream *stream)
{
    if (zkl_buffer_size(&stream->content) > 0) return false;
    if (stream->error == 0 && view(stream, 1) != NULL) return false;
    if (stream->error == -EBADMSG && stream->ended) stream->error = 0; /* the end was asked for */
    return true;
}

static int read_digest(struct stream *stream, const struct zkl_sink *sink)
{
    int64_t zxid = take_i64(stream);
    int32_t version = take_i32(stream);
    uint64_t digest = 0;
    if (stream->error != 0) return stream->error;
    if (version < 2) { /* in text, of a formula that nobody computes any more */
        size_t size = 0;
        view_field(stream, &size);
        if (stream->error == 0) take(stream, size);
    } else {
        digest = (uint64_t)take_i64(stream);
    }
    if (read_seal(stream) != 0 || sink == NULL || version != 2) return stream->error;
    return refused(stream, sink->digest(sink->context, zxid, digest));
}

/* Apache 3.9 adds the zxid it had reached at the end. The one in the name is earlier, and
 * replaying from there is as good. */
static int read_last_zxid(struct stream *stream)
{
    take_i64(stream);
    return stream->error != 0 ? stream->error : read_seal(stream);
}

static int read_all(struct stream *stream, int64_t zxid, const struct zkl_sink *sink)
{
    bool end = false;
    if (sink != NULL) sink->begin(sink->context);
    if (read_header(stream) != 0 || read_sessions(stream, sink) != 0) return stream->error;
    if (read_acls(stream, sink) != 0) return stream->error;
    while (!end && stream->error == 0) read_node(stream, sink, &end);
    if (stream->error != 0 || read_seal(stream) != 0) return stream->error;
    if (sink != NULL && refused(stream, sink->end(sink->context, zxid)) != 0) {
        return stream->error;
    }
    if (at_end(stream)) return stream->error;
    if (read_digest(stream, sink) != 0 || at_end(stream)) return stream->error;
    if (read_last_zxid(stream) != 0 || at_end(stream)) return stream->error;
    return damaged(stream, "goes on behind its end");
}

int zkl_snapshot_read(const struct zkl_place *place, const struct zkl_found *found,
                      const struct zkl_sink *sink, const char **wrong)
{
    const struct zkl_files *files = place->files;
    *wrong = NULL;
    if (found->kind == ZKL_FILE_SNAPSHOT_FOREIGN) {
        *wrong = "is compressed in a way that is not read here (gz is)";
        return -EBADMSG;
    }
    struct stream *stream = zkl_allocate(&place->allocator, sizeof *stream);
    if (stream == NULL) return -ENOMEM;
    memset(stream, 0, sizeof *stream);
    stream->place = place;
    stream->checksum = 1;
    stream->gzip = found->kind == ZKL_FILE_SNAPSHOT_GZIP;
    zkl_buffer_init(&stream->content, &place->allocator);
    int status = stream->gzip && inflateInit2(&stream->inflate, 16 + MAX_WBITS) != Z_OK
                     ? -ENOMEM : 0;
    if (status == 0) {
        stream->file = files->open(files->context, place->data, found->name, ZKL_OPEN_READ);
        status = stream->file < 0 ? stream->file : read_all(stream, found->zxid, sink);
        if (stream->file >= 0) files->close(files->context, stream->file);
        if (stream->gzip) inflateEnd(&stream->inflate);
    }
    *wrong = stream->wrong;
    zkl_buffer_free(&stream->content);
    zkl_release(&place->allocator, stream, sizeof *stream);
    return status;
}

/* --- writing ---------------------------------------------------------------------------- */

static void temporary_name(char name[ZKL_NAME_SIZE_MAX], int64_t zxid)
{
    snprintf(name, ZKL_NAME_SIZE_MAX, ZKL_TEMPORARY_PREFIX "snapshot.%llx",
             (unsigned long long)zxid);
}

int zkl_snapshot_writer_begin(struct zkl_snapshot_writer *writer, int64_t zxid)
{
    const struct zkl_files *files = writer->place->files;
    char name[ZKL_NAME_SIZE_MAX];
    ZKL_ASSERT(writer->file < 0);
    temporary_name(name, zxid);
    files->remove(files->context, writer->place->data, name); /* of one that was given up */
    int file = files->open(files->context, writer->place->data, name, ZKL_OPEN_CREATE);
    if (file < 0) return file;
    writer->file = file;
    writer->zxid = zxid;
    writer->size = writer->synced = 0;
    return 0;
}

int zkl_snapshot_writer_write(struct zkl_snapshot_writer *writer, const uint8_t *bytes,
                              size_t size)
{
    ZKL_ASSERT(writer->file >= 0);
    const struct zkl_files *files = writer->place->files;
    int status = zkl_file_write(files, writer->file, bytes, size, writer->size);
    if (status != 0) return status;
    writer->size += (int64_t)size;
    /* Not all of it at the end: the log's next sync would have to wait behind that. */
    if (writer->size - writer->synced < SYNC_SIZE) return 0;
    writer->synced = writer->size;
    return files->sync(files->context, writer->file);
}

void zkl_snapshot_writer_abort(struct zkl_snapshot_writer *writer)
{
    const struct zkl_files *files = writer->place->files;
    char name[ZKL_NAME_SIZE_MAX];
    if (writer->file < 0) return;
    files->close(files->context, writer->file);
    writer->file = -1;
    temporary_name(name, writer->zxid);
    files->remove(files->context, writer->place->data, name);
}

int zkl_snapshot_writer_finish(struct zkl_snapshot_writer *writer)
{
    const struct zkl_place *place = writer->place;
    const struct zkl_files *files = place->files;
    struct zkl_found found = { ZKL_FILE_SNAPSHOT, writer->zxid, "" };
    char name[ZKL_NAME_SIZE_MAX];
    const char *wrong;
    ZKL_ASSERT(writer->file >= 0);
    temporary_name(found.name, writer->zxid);
    zkl_snapshot_name(name, writer->zxid);
    int status = files->sync(files->context, writer->file);
    if (status == 0) status = zkl_snapshot_read(place, &found, NULL, &wrong);
    if (status == 0) status = files->rename(files->context, place->data, found.name, name);
    if (status != 0) {
        zkl_snapshot_writer_abort(writer);
        return status;
    }
    files->close(files->context, writer->file);
    writer->file = -1;
    return zkl_sync_names(files, place->data);
}
