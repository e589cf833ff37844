/* What was salvaged is made to start.
 *
 * The copy is read once more, as a start does: what is reported is then what is there. Where all
 * is whole and the nodes are still not what the digests say, no start would take it, and nobody
 * can say which of the two is wrong. A digest is of no use without the nodes, so that they stay:
 * as one snapshot under the digest that they have, with no log beside it. */
#include <errno.h>
#include <string.h>

#include "store/internal.h"

#define SLICE_SIZE (64 * 1024)

static int write_slices(struct zkl_snapshot_writer *writer, struct zkl_server *server,
                        uint8_t *slice)
{
    while (true) {
        size_t size;
        if (zkl_server_snapshot_next(server, slice, SLICE_SIZE, &size) != ZKL_OK) return -ENOMEM;
        if (size == 0) return 0;
        int status = zkl_snapshot_writer_write(writer, slice, size);
        if (status != 0) return status;
    }
}

static int write_snapshot(const struct zkl_place *place, struct zkl_server *server)
{
    struct zkl_snapshot_writer writer = { .place = place, .file = -1 };
    int64_t zxid;
    uint8_t *slice = zkl_allocate(&place->allocator, SLICE_SIZE);
    int status = slice != NULL && zkl_server_snapshot_begin(server, &zxid) == ZKL_OK ? 0 : -ENOMEM;
    if (status == 0) {
        status = zkl_snapshot_writer_begin(&writer, zxid);
        if (status == 0) status = write_slices(&writer, server, slice);
        zkl_server_snapshot_end(server);
    }
    if (status == 0) status = zkl_snapshot_writer_finish(&writer);
    zkl_snapshot_writer_abort(&writer); /* unless it is finished */
    zkl_release(&place->allocator, slice, SLICE_SIZE);
    return status;
}

/* All that the snapshot stands for. */
static int remove_others(const struct zkl_place *place, int64_t zxid)
{
    struct zkl_listing listing;
    int status = zkl_listing_read(&listing, place, place->data);
    if (status != 0) return status;
    for (size_t i = 0; i < listing.count && status == 0; i++) {
        const struct zkl_found *found = &listing.items[i];
        if (found->kind == ZKL_FILE_SNAPSHOT && found->zxid == zxid) continue;
        status = place->files->remove(place->files->context, place->data, found->name);
    }
    zkl_listing_free(&listing);
    return status == 0 ? zkl_sync_names(place->files, place->data) : status;
}

static int write_anew(const struct zkl_place *place, struct zkl_server *server,
                      struct zkl_store_report *report)
{
    int64_t zxid = zkl_server_zxid(server);
    zkl_headline(report, "what there was is whole but could not be true: %s; the nodes were taken "
                 "as they are, and all is in snapshot.%llx", zkl_server_why(server),
                 (unsigned long long)zxid);
    zkl_server_restore_accept(server);
    int status = write_snapshot(place, server);
    if (status == 0) status = remove_others(place, zxid);
    if (status == 0) return 0;
    memset(report, 0, sizeof *report);
    return zkl_failed(report, status, "cannot write to %s", place->data);
}

int zkl_settle(const struct zkl_store_options *options, const char *out,
               struct zkl_server *server, const struct zkl_sink *sink,
               struct zkl_store_report *report)
{
    struct zkl_store_options reading = *options;
    struct zkl_place place;
    struct zkl_recovery recovery;
    struct zkl_store_report found = { .text = "" };
    reading.data_directory = out;
    reading.log_directory = NULL;
    reading.autocreate = false;
    int status = zkl_place_init(&place, &reading, report);
    if (status != 0) return status;
    status = zkl_recover(&place, &reading, sink, &recovery, &found);
    if (status != 0) *report = found;
    else if (zkl_server_in_doubt(server)) status = write_anew(&place, server, report);
    if (status != 0) zkl_discard(&place);
    return status;
}
