/* Files of the operating system. Directories are synced by whoever changes them; the parents of
 * one that is made are synced here, because only we know which of them are new. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/file.h"

enum { PATH_SIZE_MAX = 4096 + 256 };

static int failure(void)
{
    return errno != 0 ? -errno : -EIO;
}

static int join(char path[PATH_SIZE_MAX], const char *directory, const char *name)
{
    int size = snprintf(path, PATH_SIZE_MAX, "%s/%s", directory, name);
    return size < 0 || size >= PATH_SIZE_MAX ? -ENAMETOOLONG : 0;
}

static int open_path(const char *path, int flags)
{
    int file;
    do file = open(path, flags | O_CLOEXEC, 0600); while (file < 0 && errno == EINTR);
    return file < 0 ? failure() : file;
}

static int posix_open(void *context, const char *directory, const char *name,
                      enum zkl_open_mode mode)
{
    (void)context;
    static const int flags[] = {
        [ZKL_OPEN_READ] = O_RDONLY,
        [ZKL_OPEN_CREATE] = O_RDWR | O_CREAT | O_EXCL,
        [ZKL_OPEN_WRITE] = O_RDWR,
    };
    char path[PATH_SIZE_MAX];
    int status = join(path, directory, name);
    return status != 0 ? status : open_path(path, flags[mode]);
}

static int posix_close(void *context, int file)
{
    (void)context;
    /* Not again after EINTR: on Linux the descriptor is gone. */
    return close(file) == 0 || errno == EINTR ? 0 : failure();
}

static int64_t posix_read(void *context, int file, void *bytes, size_t size, int64_t offset)
{
    (void)context;
    ssize_t count;
    do count = pread(file, bytes, size, offset); while (count < 0 && errno == EINTR);
    return count < 0 ? failure() : count;
}

static int64_t posix_write(void *context, int file, const void *bytes, size_t size,
                           int64_t offset)
{
    (void)context;
    ssize_t count;
    do count = pwrite(file, bytes, size, offset); while (count < 0 && errno == EINTR);
    return count < 0 ? failure() : count;
}

/* Not again after EINTR either: what an interrupted sync has done is not known. */
static int posix_sync(void *context, int file)
{
    (void)context;
    return fdatasync(file) == 0 ? 0 : failure();
}

static int posix_truncate(void *context, int file, int64_t size)
{
    (void)context;
    int status;
    do status = ftruncate(file, size); while (status < 0 && errno == EINTR);
    return status == 0 ? 0 : failure();
}

static int posix_allocate(void *context, int file, int64_t offset, int64_t size)
{
    (void)context;
    int status;
    do status = fallocate(file, 0, offset, size); while (status < 0 && errno == EINTR);
    return status == 0 ? 0 : failure();
}

static int64_t posix_size(void *context, int file)
{
    (void)context;
    struct stat about;
    return fstat(file, &about) == 0 ? about.st_size : failure();
}

static int posix_rename(void *context, const char *directory, const char *from, const char *to)
{
    (void)context;
    char old_path[PATH_SIZE_MAX], new_path[PATH_SIZE_MAX];
    int status = join(old_path, directory, from);
    if (status == 0) status = join(new_path, directory, to);
    if (status != 0) return status;
    return rename(old_path, new_path) == 0 ? 0 : failure();
}

static int posix_remove(void *context, const char *directory, const char *name)
{
    (void)context;
    char path[PATH_SIZE_MAX];
    int status = join(path, directory, name);
    if (status != 0) return status;
    return unlink(path) == 0 ? 0 : failure();
}

static int posix_sync_directory(void *context, const char *directory)
{
    (void)context;
    int file = open_path(directory, O_RDONLY | O_DIRECTORY);
    if (file < 0) return file;
    int status = fsync(file) == 0 ? 0 : failure();
    close(file);
    return status;
}

/* Makes the one directory `path`, whose parent is there. 1: it is new. */
static int make_one(const char *path)
{
    if (mkdir(path, 0700) == 0) return 1;
    if (errno != EEXIST) return failure();
    struct stat about;
    if (stat(path, &about) != 0) return failure();
    return S_ISDIR(about.st_mode) ? 0 : -ENOTDIR;
}

/* The new name in its parent, so that a power loss does not take away what is acknowledged
 * inside. */
static int sync_parent(void *context, const char *path)
{
    char parent[PATH_SIZE_MAX];
    snprintf(parent, sizeof parent, "%s", path);
    char *slash = strrchr(parent, '/');
    if (slash == NULL) return posix_sync_directory(context, ".");
    slash[slash == parent] = 0; /* "/x" lies in "/" */
    return posix_sync_directory(context, parent);
}

static int posix_make_directory(void *context, const char *directory)
{
    char path[PATH_SIZE_MAX];
    int size = snprintf(path, sizeof path, "%s", directory);
    if (size < 0 || size >= PATH_SIZE_MAX) return -ENAMETOOLONG;
    for (char *at = path + 1; *at != 0; at++) {
        if (*at != '/' || at[-1] == '/') continue;
        *at = 0;
        int status = make_one(path);
        if (status == 1) status = sync_parent(context, path);
        *at = '/';
        if (status != 0) return status;
    }
    while (size > 1 && path[size - 1] == '/') path[--size] = 0;
    return make_one(path);
}

static int posix_list(void *context, const char *directory,
                      int (*each)(void *user, const char *name), void *user)
{
    (void)context;
    DIR *names = opendir(directory);
    if (names == NULL) return failure();
    int status = 0;
    while (status == 0) {
        errno = 0;
        const struct dirent *entry = readdir(names);
        if (entry == NULL) {
            status = errno != 0 ? failure() : 0;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        status = each(user, entry->d_name);
    }
    closedir(names);
    return status;
}

/* flock belongs to the open file: it ends with the last descriptor, also by a kill. */
static int posix_lock(void *context, const char *directory, const char *name)
{
    (void)context;
    char path[PATH_SIZE_MAX];
    int status = join(path, directory, name);
    if (status != 0) return status;
    int file = open_path(path, O_RDWR | O_CREAT);
    if (file < 0) return file;
    do status = flock(file, LOCK_EX | LOCK_NB); while (status < 0 && errno == EINTR);
    if (status == 0) return file;
    status = failure();
    close(file);
    return status;
}

const struct zkl_files zkl_posix_files = {
    .open = posix_open,
    .close = posix_close,
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .truncate = posix_truncate,
    .allocate = posix_allocate,
    .size = posix_size,
    .rename = posix_rename,
    .remove = posix_remove,
    .make_directory = posix_make_directory,
    .sync_directory = posix_sync_directory,
    .list = posix_list,
    .lock = posix_lock,
    .context = NULL,
};
