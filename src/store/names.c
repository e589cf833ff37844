/* What lies in a data directory, by name: log.ZXID, snapshot.ZXID with an ending for its
 * compression, and our own temporary files. Only the names a writer gives are taken (lower-case
 * hex, no leading zero); "log.1.bak" or "log.0A" are somebody's copies. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"

void zkl_log_name(char name[ZKL_NAME_SIZE_MAX], int64_t zxid)
{
    snprintf(name, ZKL_NAME_SIZE_MAX, "log.%llx", (unsigned long long)zxid);
}

void zkl_snapshot_name(char name[ZKL_NAME_SIZE_MAX], int64_t zxid)
{
    snprintf(name, ZKL_NAME_SIZE_MAX, "snapshot.%llx", (unsigned long long)zxid);
}

bool zkl_zxid_follows(int64_t last, int64_t next)
{
    if (next == last + 1) return true;
    /* A leader counts from 1 in its epoch; a counter that ran over begins the next with 0. */
    return (next >> 32) > (last >> 32) && (next & 0xffffffff) <= 1;
}

/* Hex digits off the front; false: none, too many, or not as a writer gives them. */
static bool take_zxid(const char **text, int64_t *zxid)
{
    const char *at = *text;
    uint64_t value = 0;
    size_t count = strspn(at, "0123456789abcdef");
    if (count == 0 || count > 16 || (at[0] == '0' && count > 1)) return false;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = at[i] <= '9' ? (unsigned)(at[i] - '0') : (unsigned)(at[i] - 'a') + 10;
        value = value << 4 | digit;
    }
    if (value >= INT64_MAX) return false; /* nothing could come behind it */
    *zxid = (int64_t)value;
    *text = at + count;
    return true;
}

static bool classify(const char *name, struct zkl_found *found)
{
    static const struct {
        const char *ending;
        enum zkl_file_kind kind;
    } snapshots[] = {
        { "", ZKL_FILE_SNAPSHOT },
        { ".gz", ZKL_FILE_SNAPSHOT_GZIP },
        { ".snappy", ZKL_FILE_SNAPSHOT_FOREIGN },
    };
    if (strlen(name) >= sizeof found->name) return false;
    memcpy(found->name, name, strlen(name) + 1);
    found->zxid = 0;
    if (strncmp(name, ZKL_TEMPORARY_PREFIX, strlen(ZKL_TEMPORARY_PREFIX)) == 0) {
        found->kind = ZKL_FILE_TEMPORARY;
        return true;
    }
    const char *rest = name;
    if (strncmp(name, "log.", 4) == 0) {
        rest += 4;
        found->kind = ZKL_FILE_LOG;
        return take_zxid(&rest, &found->zxid) && *rest == 0;
    }
    if (strncmp(name, "snapshot.", 9) != 0) return false;
    rest += 9;
    if (!take_zxid(&rest, &found->zxid)) return false;
    for (size_t i = 0; i < sizeof snapshots / sizeof snapshots[0]; i++) {
        found->kind = snapshots[i].kind;
        if (strcmp(rest, snapshots[i].ending) == 0) return true;
    }
    return false;
}

static int add_name(void *user, const char *name)
{
    struct zkl_listing *listing = user;
    struct zkl_found found;
    if (!classify(name, &found)) return 0;
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 16 : listing->capacity * 2;
        struct zkl_found *items =
            zkl_reallocate(&listing->allocator, listing->items,
                           listing->capacity * sizeof *items, capacity * sizeof *items);
        if (items == NULL) return -ENOMEM;
        listing->items = items;
        listing->capacity = capacity;
    }
    listing->items[listing->count++] = found;
    return 0;
}

static int rank(enum zkl_file_kind kind)
{
    if (kind == ZKL_FILE_LOG) return 0;
    return kind == ZKL_FILE_TEMPORARY ? 2 : 1;
}

static int compare(const void *a, const void *b)
{
    const struct zkl_found *left = a, *right = b;
    if (rank(left->kind) != rank(right->kind)) return rank(left->kind) - rank(right->kind);
    if (left->zxid != right->zxid) return left->zxid < right->zxid ? -1 : 1;
    return strcmp(left->name, right->name);
}

int zkl_listing_read(struct zkl_listing *listing, const struct zkl_place *place,
                     const char *directory)
{
    memset(listing, 0, sizeof *listing);
    listing->allocator = place->allocator;
    int status = place->files->list(place->files->context, directory, add_name, listing);
    if (status != 0) {
        zkl_listing_free(listing);
        return status;
    }
    if (listing->count > 0) qsort(listing->items, listing->count, sizeof *listing->items, compare);
    return 0;
}

void zkl_listing_free(struct zkl_listing *listing)
{
    zkl_release(&listing->allocator, listing->items, listing->capacity * sizeof *listing->items);
    memset(listing, 0, sizeof *listing);
}

static int list_rank(struct zkl_listing *listing, const struct zkl_place *place,
                     const char *directory, int wanted)
{
    int status = zkl_listing_read(listing, place, directory);
    if (status != 0) return status;
    size_t count = 0;
    for (size_t i = 0; i < listing->count; i++) {
        if (rank(listing->items[i].kind) == wanted) listing->items[count++] = listing->items[i];
    }
    listing->count = count;
    return 0;
}

int zkl_list_snapshots(struct zkl_listing *listing, const struct zkl_place *place)
{
    return list_rank(listing, place, place->data, rank(ZKL_FILE_SNAPSHOT));
}

int zkl_list_logs(struct zkl_listing *listing, const struct zkl_place *place)
{
    return list_rank(listing, place, place->log, rank(ZKL_FILE_LOG));
}

/* --- whole files ------------------------------------------------------------------------ */

int64_t zkl_file_read(const struct zkl_files *files, int file, void *bytes, size_t size,
                      int64_t offset)
{
    size_t done = 0;
    while (done < size) {
        int64_t count = files->read(files->context, file, (uint8_t *)bytes + done, size - done,
                                    offset + (int64_t)done);
        if (count < 0) return count;
        if (count == 0) break;
        done += (size_t)count;
    }
    return (int64_t)done;
}

int zkl_file_write(const struct zkl_files *files, int file, const void *bytes, size_t size,
                   int64_t offset)
{
    size_t done = 0;
    while (done < size) {
        int64_t count = files->write(files->context, file, (const uint8_t *)bytes + done,
                                     size - done, offset + (int64_t)done);
        if (count < 0) return (int)count;
        if (count == 0) return -EIO;
        done += (size_t)count;
    }
    return 0;
}

int zkl_sync_names(const struct zkl_files *files, const char *directory)
{
#ifdef ZKLUA_BUG_NO_DIRECTORY_SYNC
    (void)files;
    (void)directory;
    return 0;
#else
    return files->sync_directory(files->context, directory);
#endif
}

int zkl_file_put(const struct zkl_files *files, const char *directory, const char *name,
                 const void *bytes, size_t size)
{
    char temporary[ZKL_NAME_SIZE_MAX];
    snprintf(temporary, sizeof temporary, ZKL_TEMPORARY_PREFIX "%s", name);
    int status = files->remove(files->context, directory, temporary);
    if (status != 0 && status != -ENOENT) return status;
    int file = files->open(files->context, directory, temporary, ZKL_OPEN_CREATE);
    if (file < 0) return file;
    status = zkl_file_write(files, file, bytes, size, 0);
    if (status == 0) status = files->sync(files->context, file);
    files->close(files->context, file);
    if (status == 0) status = files->rename(files->context, directory, temporary, name);
    if (status != 0) files->remove(files->context, directory, temporary);
    return status;
}

int zkl_file_make(const struct zkl_files *files, const char *directory, const char *name,
                  const void *bytes, size_t size)
{
    int status = zkl_file_put(files, directory, name, bytes, size);
    return status == 0 ? zkl_sync_names(files, directory) : status;
}
