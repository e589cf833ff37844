/* A data directory in memory for fuzz targets: what a target puts there is opened by a store, as
 * a start does it. Names of all directories are one list; nothing here ever fails but for lack of
 * memory, of which the store is given a measured amount. */
#ifndef ZKLUA_FUZZ_DIRECTORY_H
#define ZKLUA_FUZZ_DIRECTORY_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/internal.h"
#include "store/internal.h"

_Noreturn void zkl_assert_failed(const char *expression, const char *file, int line)
{
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, expression);
    abort();
}

enum { FILES_MAX = 16, OPEN_MAX = 16 };

struct file {
    char name[64]; /* "": free, or removed and still open */
    uint8_t *bytes;
    size_t size;
};

static struct file files[FILES_MAX];
static int open_files[OPEN_MAX]; /* 1 + index into files; 0: free */

static void *must(void *block)
{
    if (block == NULL) abort();
    return block;
}

static int find(const char *name)
{
    for (int i = 0; i < FILES_MAX; i++) {
        if (files[i].name[0] != '\0' && strcmp(files[i].name, name) == 0) return i;
    }
    return -ENOENT;
}

static int put_file(const char *name, const uint8_t *bytes, size_t size)
{
    int i = find(name);
    for (int free_one = 0; i < 0; free_one++) {
        ZKL_ASSERT(free_one < FILES_MAX);
        if (files[free_one].name[0] == '\0') i = free_one;
    }
    snprintf(files[i].name, sizeof files[i].name, "%s", name);
    free(files[i].bytes);
    files[i].bytes = must(malloc(size + 1));
    if (size > 0) memcpy(files[i].bytes, bytes, size);
    files[i].size = size;
    return i;
}

static void remove_files(void)
{
    for (int i = 0; i < FILES_MAX; i++) free(files[i].bytes);
    memset(files, 0, sizeof files);
    for (int i = 0; i < OPEN_MAX; i++) ZKL_ASSERT(open_files[i] == 0); /* all were closed */
}

/* --- the calls of zkl_files ----------------------------------------------------------------- */

static struct file *opened(int file)
{
    ZKL_ASSERT(file >= 0 && file < OPEN_MAX && open_files[file] != 0);
    return &files[open_files[file] - 1];
}

static int fs_open(void *context, const char *directory, const char *name,
                   enum zkl_open_mode mode)
{
    (void)context, (void)directory;
    int i = find(name);
    if (mode == ZKL_OPEN_CREATE) i = i >= 0 ? -EEXIST : put_file(name, NULL, 0);
    for (int file = 0; i >= 0 && file < OPEN_MAX; file++) {
        if (open_files[file] != 0) continue;
        open_files[file] = i + 1;
        return file;
    }
    return i < 0 ? i : -EMFILE;
}

static int fs_close(void *context, int file)
{
    (void)context;
    opened(file);
    open_files[file] = 0;
    return 0;
}

static int64_t fs_read(void *context, int file, void *bytes, size_t size, int64_t offset)
{
    (void)context;
    const struct file *from = opened(file);
    ZKL_ASSERT(offset >= 0);
    if ((uint64_t)offset >= from->size) return 0;
    size_t left = from->size - (size_t)offset;
    if (size > left) size = left;
    memcpy(bytes, from->bytes + offset, size);
    return (int64_t)size;
}

static int fs_truncate(void *context, int file, int64_t size)
{
    (void)context;
    struct file *to = opened(file);
    to->bytes = must(realloc(to->bytes, (size_t)size + 1));
    if ((size_t)size > to->size) memset(to->bytes + to->size, 0, (size_t)size - to->size);
    to->size = (size_t)size;
    return 0;
}

static int64_t fs_write(void *context, int file, const void *bytes, size_t size, int64_t offset)
{
    if (opened(file)->size < (size_t)offset + size) {
        fs_truncate(context, file, offset + (int64_t)size);
    }
    memcpy(opened(file)->bytes + offset, bytes, size);
    return (int64_t)size;
}

static int fs_sync(void *context, int file)
{
    (void)context;
    opened(file);
    return 0;
}

static int fs_allocate(void *context, int file, int64_t offset, int64_t size)
{
    (void)context, (void)file, (void)offset, (void)size;
    return -EOPNOTSUPP;
}

static int64_t fs_size(void *context, int file)
{
    (void)context;
    return (int64_t)opened(file)->size;
}

static int fs_remove(void *context, const char *directory, const char *name)
{
    (void)context, (void)directory;
    int i = find(name);
    if (i < 0) return i;
    files[i].name[0] = '\0';
    return 0;
}

static int fs_rename(void *context, const char *directory, const char *from, const char *to)
{
    int i = find(from);
    if (i < 0) return i;
    fs_remove(context, directory, to);
    snprintf(files[i].name, sizeof files[i].name, "%s", to);
    return 0;
}

static int fs_directory(void *context, const char *directory)
{
    (void)context, (void)directory;
    return 0;
}

static int fs_list(void *context, const char *directory,
                   int (*each)(void *user, const char *name), void *user)
{
    (void)context, (void)directory;
    for (int i = 0; i < FILES_MAX; i++) {
        int status = files[i].name[0] != '\0' ? each(user, files[i].name) : 0;
        if (status != 0) return status;
    }
    return 0;
}

static int fs_lock(void *context, const char *directory, const char *name)
{
    if (find(name) < 0) put_file(name, NULL, 0);
    return fs_open(context, directory, name, ZKL_OPEN_WRITE);
}

static const struct zkl_files memory_files = {
    .open = fs_open,
    .close = fs_close,
    .read = fs_read,
    .write = fs_write,
    .sync = fs_sync,
    .truncate = fs_truncate,
    .allocate = fs_allocate,
    .size = fs_size,
    .rename = fs_rename,
    .remove = fs_remove,
    .make_directory = fs_directory,
    .sync_directory = fs_directory,
    .list = fs_list,
    .lock = fs_lock,
};

/* --- a start ---------------------------------------------------------------------------------- */

static size_t allocated, allocated_most;

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    (void)context;
    allocated = allocated - (block != NULL ? old_size : 0) + new_size;
    if (allocated > allocated_most) allocated_most = allocated;
    if (new_size > 0) return must(realloc(block, new_size));
    free(block);
    return NULL;
}

static void no_sha1(void *context, const uint8_t *bytes, size_t size, uint8_t hash[20])
{
    (void)context, (void)bytes, (void)size;
    memset(hash, 0, 20);
}

static void no_random(void *context, uint8_t *bytes, size_t size)
{
    (void)context;
    memset(bytes, 7, size);
}

struct start {
    struct zkl_server *server;
    struct zkl_store *store; /* NULL: refused, and `report` says why */
    struct zkl_store_report report;
};

/* Opens what is there, as a server does that is started. */
static struct start start_server(void)
{
    const struct zkl_server_options about = {
        .allocator = { allocate, NULL },
        .crypto = { no_sha1, no_random, NULL },
        .ttl_nodes = true,
    };
    const struct zkl_store_options options = {
        .allocator = { allocate, NULL },
        .files = &memory_files,
        .data_directory = "d",
        .autocreate = true,
        .owner = "fuzz",
    };
    struct start start = { .server = must(zkl_server_new(&about)) };
    start.store = zkl_store_open(&options, start.server, &start.report);
    if (start.store == NULL) ZKL_ASSERT(start.report.text[0] != '\0');
    return start;
}

/* What begins to serve then, ephemerals without a session gone. */
static void serve(struct start *start)
{
    zkl_server_start(start->server, (struct zkl_clock) { 1, 1 });
}

/* All sessions end, durably: what they owned goes. */
static void end_sessions(struct start *start)
{
    const struct zkl_clock clock = { 1, 1 };
    struct zkl_sessions *sessions = &start->server->sessions;
    struct zkl_map_node *entry = NULL;
    struct zkl_logged logged;
    while ((entry = zkl_map_each(&sessions->map, entry)) != NULL) {
        zkl_server_expire(start->server, ((struct zkl_session *)entry)->id, clock);
    }
    if (!zkl_server_next_txn(start->server, &logged)) return;
    do {
        if (!zkl_store_append(start->store, &logged)) abort();
    } while (zkl_server_next_txn(start->server, &logged));
    int64_t zxid;
    zkl_store_seal(start->store);
    ZKL_ASSERT(zkl_store_flush(start->store, &zxid, &start->report) == 0);
    zkl_server_committed(start->server, zxid, clock);
    ZKL_ASSERT(sessions->map.count == 0);
}

static void end(struct start *start)
{
    if (start->store != NULL) zkl_store_close(start->store);
    zkl_server_free(start->server);
    ZKL_ASSERT(allocated == 0);
}

#endif
