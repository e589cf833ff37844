/* Purging: the newest snapshots that can be read to their end stay, and every log that a start
 * from the oldest of them needs; what is older goes. A snapshot that cannot be read counts for
 * nothing: while too few can, nothing goes at all. */
#include <string.h>

#include "store/internal.h"

#define KEPT_MIN 3 /* as Apache */

void zkl_purge_verified(struct zkl_purger *purger, int64_t zxid)
{
    purger->verified[purger->next % ZKL_VERIFIED_MAX] = zxid;
    purger->next++;
}

static bool verified(struct zkl_purger *purger, const struct zkl_place *place,
                     const struct zkl_found *found)
{
    if (found->kind == ZKL_FILE_SNAPSHOT && found->zxid > 0) {
        for (size_t i = 0; i < ZKL_VERIFIED_MAX; i++) {
            if (purger->verified[i] == found->zxid) return true;
        }
    }
    const char *wrong;
    if (zkl_snapshot_read(place, found, NULL, &wrong) != 0) return false;
    if (found->kind == ZKL_FILE_SNAPSHOT) zkl_purge_verified(purger, found->zxid);
    return true;
}

/* The zxid of the oldest snapshot that is kept; -1: too few can be read. */
static int64_t oldest_kept(struct zkl_purger *purger, const struct zkl_place *place,
                           const struct zkl_listing *snapshots, uint32_t kept)
{
    for (size_t i = snapshots->count; i > 0; i--) {
        const struct zkl_found *found = &snapshots->items[i - 1];
        if (verified(purger, place, found) && --kept == 0) return found->zxid;
    }
    return -1;
}

static int remove_older(const struct zkl_place *place, const char *directory,
                        const struct zkl_listing *listing, size_t count)
{
    int status = 0;
    for (size_t i = 0; i < count && status == 0; i++) {
        status = place->files->remove(place->files->context, directory, listing->items[i].name);
    }
    return status;
}

/* The logs older than `zxid`, but for the newest of them, which may hold what is behind it. */
static int purge_logs(const struct zkl_place *place, int64_t zxid)
{
    struct zkl_listing logs;
    int status = zkl_list_logs(&logs, place);
    if (status != 0) return status;
    size_t older = 0;
    while (older < logs.count && logs.items[older].zxid < zxid) older++;
    if (older > 1) status = remove_older(place, place->log, &logs, older - 1);
    zkl_listing_free(&logs);
    return status;
}

int zkl_purge(struct zkl_purger *purger, const struct zkl_place *place, uint32_t kept)
{
    struct zkl_listing snapshots;
    int status = zkl_list_snapshots(&snapshots, place);
    if (status != 0) return status;
    int64_t zxid = oldest_kept(purger, place, &snapshots, kept < KEPT_MIN ? KEPT_MIN : kept);
    if (zxid > 0) {
        size_t older = 0;
        while (snapshots.items[older].zxid < zxid) older++;
        /* Snapshots first: one without its logs would look like a way back. */
        status = remove_older(place, place->data, &snapshots, older);
        if (status == 0 && older > 0) status = zkl_sync_names(place->files, place->data);
        if (status == 0) status = purge_logs(place, zxid);
    }
    zkl_listing_free(&snapshots);
    return status;
}
