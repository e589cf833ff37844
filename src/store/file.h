/* Files as the store sees them: the few calls it makes, in a table, so that specs put a disk
 * underneath that writes short, fails, fills up, or forgets what was not synced.
 *
 * A directory is a path; names in it have no '/'. Calls return 0 or more, or -errno. A short
 * write or read is normal and retried by the caller; EINTR never comes out. */
#ifndef ZKLUA_STORE_FILE_H
#define ZKLUA_STORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum zkl_open_mode {
    ZKL_OPEN_READ,
    ZKL_OPEN_CREATE, /* for writing; must not be there yet (-EEXIST) */
    ZKL_OPEN_WRITE   /* for writing; must be there */
};

struct zkl_files {
    int (*open)(void *context, const char *directory, const char *name, enum zkl_open_mode mode);
    int (*close)(void *context, int file);
    int64_t (*read)(void *context, int file, void *bytes, size_t size, int64_t offset);
    int64_t (*write)(void *context, int file, const void *bytes, size_t size, int64_t offset);
    int (*sync)(void *context, int file); /* fdatasync: contents and size */
    int (*truncate)(void *context, int file, int64_t size);
    /* Sets blocks and size aside, filled with zeros. -EOPNOTSUPP is no failure. */
    int (*allocate)(void *context, int file, int64_t offset, int64_t size);
    int64_t (*size)(void *context, int file);
    int (*rename)(void *context, const char *directory, const char *from, const char *to);
    int (*remove)(void *context, const char *directory, const char *name);
    /* With its parents, whose names are synced. 1: it was made, and its own name is not yet
     * synced in the directory that it lies in. */
    int (*make_directory)(void *context, const char *directory);
    int (*sync_directory)(void *context, const char *directory);
    /* Calls `each` with every name, in no order, until it returns not 0, which is returned. */
    int (*list)(void *context, const char *directory,
                int (*each)(void *user, const char *name), void *user);
    /* Takes the only lock on a file, which it creates: a handle, or -EWOULDBLOCK. The content
     * (host and pid) is read and written through it. */
    int (*lock)(void *context, const char *directory, const char *name);
    void *context;
};

/* The real ones. */
extern const struct zkl_files zkl_posix_files;

#endif
