/* libFuzzer target: whatever lies in a log, a start reads it or refuses it with a reason; and what
 * has started once starts again, with the same nodes.
 *
 *   cmake -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DZKLUA_FUZZ=ON
 *   ninja -C build/fuzz log_fuzz && build/fuzz/log_fuzz -max_total_time=60 NEW tests/fuzz/log
 *
 * tests/fuzz/log holds inputs to begin with, those that found something among them; what is found
 * anew goes to NEW. The first byte of an input says how the rest becomes log.1: as it is, or as
 * entries (two bytes with the size, then the payload) that get what no mutation hits: checksum, end
 * byte, and zxids that follow each other. The next two become the watermark. */
#include "directory.h"

#include "wire/bytes.h"

enum {
    WITH_ENTRIES = 1,
    OWN_ZXIDS = 2,  /* as they are in the payloads */
    WITH_MARK = 4,  /* that says that one byte's worth of zxids was durable */
    WITH_ZEROS = 8  /* behind all, as space that was set aside */
};

static void append_entries(struct zkl_buffer *log, const uint8_t **bytes, size_t *size, bool number)
{
    for (int64_t zxid = 1; *size >= 2; zxid++) {
        size_t entry = (size_t)(*bytes)[0] << 8 | (*bytes)[1];
        if (entry < 32 || entry > *size - 2) break; /* what is left is no entry */
        uint8_t *payload = must(malloc(entry));
        memcpy(payload, *bytes + 2, entry);
        if (number) zkl_store_i64(payload + 12, zxid);
        if (!zkl_log_append(log, (struct zkl_slice) { payload, entry })) abort();
        free(payload);
        *bytes += 2 + entry;
        *size -= 2 + entry;
    }
}

static void make_log(const uint8_t *bytes, size_t size, uint8_t mode)
{
    static const uint8_t zeros[4096];
    static const struct zkl_allocator allocator = { allocate, NULL };
    uint8_t header[ZKL_LOG_HEADER_SIZE];
    struct zkl_buffer log;
    zkl_buffer_init(&log, &allocator);
    zkl_log_header(header);
    bool whole = (mode & WITH_ENTRIES) != 0;
    if (whole && !zkl_buffer_append(&log, header, sizeof header)) abort();
    if (whole) append_entries(&log, &bytes, &size, (mode & OWN_ZXIDS) == 0);
    if (size > 0 && !zkl_buffer_append(&log, bytes, size)) abort();
    if ((mode & WITH_ZEROS) != 0 && !zkl_buffer_append(&log, zeros, sizeof zeros)) abort();
    size = zkl_buffer_size(&log);
    put_file("log.1", size > 0 ? zkl_buffer_start(&log) : zeros, size);
    zkl_buffer_free(&log);
}

static void make_mark(int64_t zxid, int64_t offset)
{
    const struct zkl_place place = { .allocator = { allocate, NULL }, .files = &memory_files };
    const struct zkl_mark mark = { zxid, 1, offset };
    struct zkl_mark_file file;
    if (zkl_mark_open(&file, &place, &mark) != 0) abort();
    zkl_mark_close(&file);
}

static void start_again(int64_t zxid, uint64_t digest, uint64_t nodes)
{
    struct start again = start_server();
    struct zkl_server_counts counts;
    if (again.store == NULL) fprintf(stderr, "%s\n", again.report.text);
    ZKL_ASSERT(again.store != NULL);
    serve(&again);
    zkl_server_count(again.server, &counts);
    ZKL_ASSERT(zkl_server_zxid(again.server) == zxid);
    ZKL_ASSERT(zkl_server_digest(again.server) == digest && counts.nodes == nodes);
    end(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 3) return 0;
    if ((bytes[0] & WITH_MARK) != 0) make_mark(bytes[1], (int64_t)bytes[2] * 16);
    make_log(bytes + 3, size - 3, bytes[0]);
    allocated_most = allocated;
    struct start first = start_server();
    /* A megabyte for what there always is; a node takes more than its entry, within bounds. */
    ZKL_ASSERT(allocated_most < (1 << 20) + 64 * size);
    if (first.store != NULL) {
        struct zkl_server_counts counts;
        serve(&first);
        end_sessions(&first);
        zkl_server_count(first.server, &counts);
        int64_t zxid = zkl_server_zxid(first.server);
        uint64_t digest = zkl_server_digest(first.server);
        end(&first);
        start_again(zxid, digest, counts.nodes);
    } else {
        end(&first);
    }
    remove_files();
    return 0;
}
