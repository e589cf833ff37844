/* libFuzzer target: whatever lies in a snapshot, a start reads it or refuses it with a reason; and
 * what it has read it writes as a snapshot that reads as the same nodes.
 *
 *   cmake -B build/fuzz -G Ninja -DCMAKE_C_COMPILER=clang -DZKLUA_FUZZ=ON
 *   ninja -C build/fuzz snapshot_fuzz &&
 *     build/fuzz/snapshot_fuzz -max_total_time=60 NEW tests/fuzz/snapshot
 *
 * tests/fuzz/snapshot holds inputs to begin with, those that found something among them; what is
 * found anew goes to NEW. The first byte of an input says how the rest becomes the file: as it is,
 * or as content that gets what no mutation hits, header and checksums; compressed or not. */
#include "directory.h"

#include <zlib.h>

#include "wire/bytes.h"

enum {
    SEALED = 1,     /* with header and seal */
    DIGEST = 2,     /* and a digest section, of the last 20 bytes, sealed */
    COMPRESSED = 4  /* the file's name says so */
};

static const struct zkl_allocator allocator = { allocate, NULL };

static void add(struct zkl_buffer *file, const void *bytes, size_t size)
{
    if (size > 0 && !zkl_buffer_append(file, bytes, size)) abort();
}

static void seal(struct zkl_buffer *file)
{
    uint8_t checksum[8];
    zkl_store_i64(checksum, (int64_t)adler32(1, zkl_buffer_start(file),
                                             (uInt)zkl_buffer_size(file)));
    add(file, checksum, sizeof checksum);
    add(file, "\0\0\0\1/", 5);
}

static void make_snapshot(const uint8_t *bytes, size_t size, uint8_t mode)
{
    struct zkl_buffer file;
    zkl_buffer_init(&file, &allocator);
    bool digest = (mode & DIGEST) != 0 && size >= 20;
    if ((mode & SEALED) != 0) {
        add(&file, "ZKSN\0\0\0\2\377\377\377\377\377\377\377\377", 16);
        add(&file, bytes, digest ? size - 20 : size);
        add(&file, "\0\0\0\1/", 5); /* the end of the nodes */
        seal(&file);
        if (digest) {
            add(&file, bytes + size - 20, 20);
            seal(&file);
        }
    } else {
        add(&file, bytes, size);
    }
    put_file((mode & COMPRESSED) != 0 ? "snapshot.5.gz" : "snapshot.5", zkl_buffer_start(&file),
             zkl_buffer_size(&file));
    zkl_buffer_free(&file);
}

/* In the place of the file that was read. */
static void write_snapshot(struct start *start)
{
    static uint8_t slice[ZKL_SNAPSHOT_SLICE_MIN];
    int64_t zxid;
    size_t size;
    if (find("snapshot.5.gz") >= 0) fs_remove(NULL, "", "snapshot.5.gz");
    ZKL_ASSERT(zkl_server_snapshot_begin(start->server, &zxid) == ZKL_OK && zxid == 5);
    ZKL_ASSERT(zkl_store_snapshot_begin(start->store, zxid) == 0);
    do {
        ZKL_ASSERT(zkl_server_snapshot_next(start->server, slice, sizeof slice, &size) == ZKL_OK);
        if (size > 0) ZKL_ASSERT(zkl_store_snapshot_write(start->store, slice, size) == 0);
    } while (size > 0);
    zkl_server_snapshot_end(start->server);
    ZKL_ASSERT(zkl_store_snapshot_finish(start->store) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (size < 2) return 0;
    make_snapshot(bytes + 1, size - 1, bytes[0]);
    allocated_most = allocated;
    struct start first = start_server();
    /* A compressed file may hold a thousand times its size in nodes. */
    size_t grown = (bytes[0] & COMPRESSED) != 0 ? 1100 * size : size;
    ZKL_ASSERT(allocated_most < (1 << 20) + 64 * grown);
    if (first.store != NULL) {
        struct zkl_server_counts before, after;
        serve(&first);
        zkl_server_count(first.server, &before);
        uint64_t digest = zkl_server_digest(first.server);
        write_snapshot(&first);
        end(&first);
        struct start again = start_server();
        if (again.store == NULL) fprintf(stderr, "%s\n", again.report.text);
    ZKL_ASSERT(again.store != NULL);
        serve(&again);
        zkl_server_count(again.server, &after);
        ZKL_ASSERT(zkl_server_zxid(again.server) == 5 && zkl_server_digest(again.server) == digest);
        ZKL_ASSERT(before.nodes == after.nodes && before.sessions == after.sessions);
        end_sessions(&again);
        end(&again);
    } else {
        end(&first);
    }
    remove_files();
    return 0;
}
