/* One server for one data directory: a lock on zklua.lock, in both directories where logs lie
 * apart. The file names who holds it. It stays behind, so that only the first start needs room
 * for it. And the secret that session passwords are made with, which lies beside. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"

#define LOCK_NAME "zklua.lock"
#define SECRET_NAME "zklua.secret"
#define SECRET_SIZE 20
#define OWNER_SIZE_MAX 256

/* "host pid" of the holder, as far as it is known. */
static void read_owner(const struct zkl_files *files, const char *directory,
                       char owner[OWNER_SIZE_MAX])
{
    int64_t size = 0;
    int file = files->open(files->context, directory, LOCK_NAME, ZKL_OPEN_READ);
    if (file >= 0) {
        size = zkl_file_read(files, file, owner, OWNER_SIZE_MAX - 1, 0);
        files->close(files->context, file);
    }
    if (size < 0) size = 0;
    for (int64_t i = 0; i < size; i++) { /* it is shown to a person: one plain line */
        if (owner[i] < ' ' || owner[i] > '~') size = i;
    }
    owner[size] = 0;
    if (size == 0) snprintf(owner, OWNER_SIZE_MAX, "another process");
}

static bool exists(const struct zkl_files *files, const char *directory)
{
    int file = files->open(files->context, directory, LOCK_NAME, ZKL_OPEN_READ);
    if (file >= 0) files->close(files->context, file);
    return file >= 0;
}

static int take(const struct zkl_files *files, const char *directory, const char *owner,
                int *lock, struct zkl_store_report *report)
{
    if (owner == NULL && !exists(files, directory)) return 0;
    int file = files->lock(files->context, directory, LOCK_NAME);
    if (file == -EWOULDBLOCK) {
        char holder[OWNER_SIZE_MAX];
        read_owner(files, directory, holder);
        return zkl_failed(report, file, "%s is in use by a server (%s); one data directory "
                          "serves one server: stop that one, or choose another directory",
                          directory, holder);
    }
    if (file < 0) return zkl_failed(report, file, "cannot lock %s/" LOCK_NAME, directory);
    *lock = file;
    if (owner == NULL) return 0;
    /* Only a note: a full disk is no reason not to serve. */
    if (zkl_file_write(files, file, owner, strlen(owner), 0) == 0) {
        files->truncate(files->context, file, (int64_t)strlen(owner));
    }
    return 0;
}

int zkl_lock_take(struct zkl_locks *locks, const struct zkl_place *place, const char *owner,
                  struct zkl_store_report *report)
{
    locks->data = locks->log = -1;
    int status = take(place->files, place->data, owner, &locks->data, report);
    if (status == 0 && place->apart) {
        status = take(place->files, place->log, owner, &locks->log, report);
    }
    if (status != 0) zkl_lock_release(locks, place);
    return status;
}

void zkl_lock_release(struct zkl_locks *locks, const struct zkl_place *place)
{
    const struct zkl_files *files = place->files;
    if (locks->data >= 0) files->close(files->context, locks->data);
    if (locks->log >= 0) files->close(files->context, locks->log);
    locks->data = locks->log = -1;
}

/* --- the secret ------------------------------------------------------------------------- */

static int read_secret(const struct zkl_place *place, uint8_t secret[SECRET_SIZE],
                       struct zkl_store_report *report)
{
    const struct zkl_files *files = place->files;
    uint8_t bytes[SECRET_SIZE + 1];
    int file = files->open(files->context, place->top, SECRET_NAME, ZKL_OPEN_READ);
    if (file == -ENOENT) return file;
    if (file < 0) return zkl_failed(report, file, "cannot open %s/" SECRET_NAME, place->top);
    int64_t size = zkl_file_read(files, file, bytes, sizeof bytes, 0);
    files->close(files->context, file);
    if (size < 0) {
        return zkl_failed(report, (int)size, "cannot read %s/" SECRET_NAME, place->top);
    }
    if (size != SECRET_SIZE) {
        return zkl_damaged(report, 0, 0, "%s/" SECRET_NAME " has %lld bytes, not %d; remove it "
                           "to have another made: sessions that are open now then end",
                           place->top, (long long)size, SECRET_SIZE);
    }
    memcpy(secret, bytes, SECRET_SIZE);
    return 0;
}

int zkl_store_secret(const struct zkl_store_options *options, const struct zkl_crypto *crypto,
                     uint8_t secret[SECRET_SIZE], struct zkl_store_report *report)
{
    struct zkl_place place;
    struct zkl_locks locks;
    struct zkl_mark mark;
    memset(report, 0, sizeof *report);
    int status = zkl_place_init(&place, options, report);
    if (status != 0) return status;
    /* Under the lock, so that two starts at once agree on one. */
    status = zkl_lock_take(&locks, &place, options->owner, report);
    if (status != 0) return status;
    status = read_secret(&place, secret, report);
    if (status == -ENOENT) {
        crypto->random(crypto->context, secret, SECRET_SIZE);
        status = zkl_file_put(place.files, place.top, SECRET_NAME, secret, SECRET_SIZE);
        if (status != 0) zkl_failed(report, status, "cannot make %s/" SECRET_NAME, place.top);
        place.made = true; /* what is new in the same directory */
    }
    /* Where there is no mark, zkl_store_open syncs names, before anybody can have a password. */
    if (status == 0 && place.made && zkl_mark_read(&place, &mark) != 0) {
        status = zkl_place_sync(&place, report);
    }
    zkl_lock_release(&locks, &place);
    return status;
}
