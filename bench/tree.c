/* The server's tree by itself: bytes per node and nanoseconds per change at a small and at a
 * large number of nodes, and a snapshot of them all in slices.
 *
 *   tree [COUNT ...]     1000 and 1000000 by default; one line of name=value for each
 *
 * The nodes are /b/n0000000 and so on, with 100 bytes each. Paths are picked at random, so that
 * at a large number nothing is in the processor's caches. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "server/internal.h"

enum { DATA_SIZE = 100, ROUNDS = 200000, SLICE_SIZE = 64 * 1024 };

static const uint8_t OPEN_LIST[] = { 0, 0, 0, 31, 0, 0, 0, 5, 'w', 'o', 'r', 'l', 'd',
                                     0, 0, 0, 6, 'a', 'n', 'y', 'o', 'n', 'e' };

_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context, (void)old_size;
    if (new_size > 0) return realloc(block, new_size);
    free(block);
    return NULL;
}

/* Of the processor: the machine may have other work. */
static double now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static size_t resident_bytes(void)
{
    size_t total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%zu %zu", &total, &resident) != 2) abort();
    fclose(file);
    return resident * (size_t)sysconf(_SC_PAGESIZE);
}

struct bench {
    struct zkl_server server; /* tree and sessions only */
    struct zkl_random random;
    uint8_t data[DATA_SIZE];
    char path[32];
};

static struct zkl_slice path_of(struct bench *bench, size_t number)
{
    int size = snprintf(bench->path, sizeof bench->path, "/b/n%07zu", number);
    return (struct zkl_slice) { (const uint8_t *)bench->path, (size_t)size };
}

static void create(struct bench *bench, struct zkl_slice path, struct zkl_slice data)
{
    struct zkl_server *server = &bench->server;
    const struct zkl_vector acl = { OPEN_LIST, sizeof OPEN_LIST, 1 };
    struct zkl_reserved reserved;
    if (!zkl_tree_reserve_create(&server->tree, path, data, acl, 0, 0, &reserved)) abort();
    struct zkl_node *parent = zkl_tree_find(&server->tree, zkl_path_parent(path));
    zkl_tree_create(&server->tree, parent, &reserved, 0, -1, ++server->zxid, 1);
    zkl_tree_release(&server->tree, &reserved);
}

static void set_data(struct bench *bench, struct zkl_slice path, struct zkl_slice data)
{
    struct zkl_server *server = &bench->server;
    struct zkl_reserved reserved;
    if (!zkl_tree_reserve_set_data(&server->tree, path, data, &reserved)) abort();
    struct zkl_node *node = zkl_tree_find(&server->tree, path);
    zkl_tree_set_data(&server->tree, node, &reserved, node->version + 1, ++server->zxid, 1);
    zkl_tree_release(&server->tree, &reserved);
}

/* Without a snapshot, and in the middle of one. */
static void measure_snapshot(struct bench *bench, size_t count)
{
    static uint8_t slice[SLICE_SIZE];
    int64_t zxid;
    size_t size, total = 0;
    double start = now_ns(), longest = 0, working = 0;
    if (zkl_server_snapshot_begin(&bench->server, &zxid) != ZKL_OK) abort();
    double begun = now_ns() - start;
    const struct zkl_slice data = { bench->data, DATA_SIZE };
    do {
        start = now_ns();
        if (zkl_server_snapshot_next(&bench->server, slice, sizeof slice, &size) != ZKL_OK) abort();
        double took = now_ns() - start;
        if (took > longest) longest = took;
        working += took;
        total += size;
        for (int i = 0; i < 100; i++) {
            size_t number = (size_t)zkl_random_below(&bench->random, (int64_t)count);
            set_data(bench, path_of(bench, number), data);
        }
    } while (size > 0);
    zkl_server_snapshot_end(&bench->server);
    printf(" snapshot_bytes=%zu snapshot_ms=%.1f begin_us=%.1f longest_slice_us=%.1f", total,
           working / 1e6, begun / 1e3, longest / 1e3);
}

static void measure(size_t count)
{
    struct bench *bench = calloc(1, sizeof *bench);
    if (bench == NULL) abort();
    struct zkl_server *server = &bench->server;
    server->allocator = (struct zkl_allocator) { allocate, NULL };
    server->options.tick_time_ms = ZKL_TICK_TIME_MS_DEFAULT;
    bench->random.state = 1;
    memset(bench->data, 'x', sizeof bench->data);
    const struct zkl_slice data = { bench->data, DATA_SIZE };
    if (!zkl_tree_init(&server->tree, &server->allocator, 7, false)) abort();
    if (!zkl_sessions_init(&server->sessions, &server->allocator, &server->options)) abort();

    size_t before = resident_bytes();
    create(bench, (struct zkl_slice) { (const uint8_t *)"/b", 2 }, data);
    double start = now_ns();
    for (size_t i = 0; i < count; i++) create(bench, path_of(bench, i), data);
    double fill = (now_ns() - start) / (double)count;
    double bytes = (double)(resident_bytes() - before) / (double)count;

    double find = 0, set = 0, delete_and_create = 0, path = 0;
    start = now_ns();
    size_t found = 0;
    for (size_t i = 0; i < ROUNDS; i++) {
        found += path_of(bench, (size_t)zkl_random_below(&bench->random, (int64_t)count)).size;
    }
    path = (now_ns() - start) / ROUNDS;
    start = now_ns();
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t number = (size_t)zkl_random_below(&bench->random, (int64_t)count);
        found += zkl_tree_find(&server->tree, path_of(bench, number)) != NULL;
    }
    find = (now_ns() - start) / ROUNDS - path;
    start = now_ns();
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t number = (size_t)zkl_random_below(&bench->random, (int64_t)count);
        set_data(bench, path_of(bench, number), data);
    }
    set = (now_ns() - start) / ROUNDS - path;
    start = now_ns();
    for (size_t i = 0; i < ROUNDS; i++) {
        size_t number = (size_t)zkl_random_below(&bench->random, (int64_t)count);
        struct zkl_slice at = path_of(bench, number);
        zkl_tree_delete(&server->tree, zkl_tree_find(&server->tree, at), ++server->zxid);
        create(bench, at, data);
    }
    delete_and_create = (now_ns() - start) / ROUNDS - path;
    printf("nodes=%zu bytes_per_node=%.1f fill_ns=%.0f find_ns=%.0f set_ns=%.0f "
           "delete_create_ns=%.0f",
           count, bytes, fill, find, set, delete_and_create);
    measure_snapshot(bench, count);
    printf(" check=%zu\n", found % 10);
    zkl_sessions_free(&server->sessions);
    zkl_tree_free(&server->tree);
    free(bench);
}

int main(int argc, char **argv)
{
    if (argc == 1) {
        measure(1000);
        measure(1000000);
    }
    for (int i = 1; i < argc; i++) measure((size_t)strtoull(argv[i], NULL, 10));
    return 0;
}
