/* zklua.mark, the watermark: how far the log was durable, so that a log that lost what it had
 * once can be told from one that never had it.
 *
 * Two slots, written in turn; the valid one with the higher sequence counts. Each is one sector,
 * 4096 bytes apart, so that no disk writes both at once. The mark is written behind each sync of
 * the log, and synced itself once a second: after a power loss it may be old, never early. When
 * a log begins, it is synced before anybody is told: so after a crash the log with an incomplete
 * end is the one that the mark names. */
#include <errno.h>
#include <libdeflate.h>
#include <string.h>

#include "store/internal.h"
#include "wire/bytes.h"

#define SLOT_DISTANCE 4096
#define MAGIC 0x5a4b4c4d /* ZKLM */
#define VERSION 1
#define CHECKED_SIZE 40  /* before the checksum */

static void encode(uint8_t sector[ZKL_SECTOR_SIZE], const struct zkl_mark *mark,
                   uint64_t sequence)
{
    memset(sector, 0, ZKL_SECTOR_SIZE);
    zkl_store_i32(sector, MAGIC);
    zkl_store_i32(sector + 4, VERSION);
    zkl_store_i64(sector + 8, (int64_t)sequence);
    zkl_store_i64(sector + 16, mark->zxid);
    zkl_store_i64(sector + 24, mark->log);
    zkl_store_i64(sector + 32, mark->offset);
    zkl_store_i64(sector + CHECKED_SIZE, (int64_t)libdeflate_crc32(0, sector, CHECKED_SIZE));
}

static bool decode(const uint8_t sector[ZKL_SECTOR_SIZE], struct zkl_mark *mark,
                   uint64_t *sequence)
{
    if (zkl_load_i32(sector) != MAGIC || zkl_load_i32(sector + 4) != VERSION) return false;
    if ((uint64_t)zkl_load_i64(sector + CHECKED_SIZE) != libdeflate_crc32(0, sector, CHECKED_SIZE)) {
        return false;
    }
    *sequence = (uint64_t)zkl_load_i64(sector + 8);
    mark->zxid = zkl_load_i64(sector + 16);
    mark->log = zkl_load_i64(sector + 24);
    mark->offset = zkl_load_i64(sector + 32);
    return mark->zxid >= 0 && mark->log >= 0 && mark->offset >= 0;
}

/* The newer valid slot of an open file: 1, -EBADMSG, or what reading said. */
static int read_slots(const struct zkl_files *files, int file, struct zkl_mark *mark,
                      uint64_t *sequence)
{
    bool found = false;
    for (int slot = 0; slot < 2; slot++) {
        uint8_t sector[ZKL_SECTOR_SIZE] = { 0 };
        struct zkl_mark read;
        uint64_t number;
        int64_t count = zkl_file_read(files, file, sector, sizeof sector, slot * SLOT_DISTANCE);
        if (count < 0) return (int)count;
        if (!decode(sector, &read, &number) || (found && number < *sequence)) continue;
        *mark = read;
        *sequence = number;
        found = true;
    }
    return found ? 1 : -EBADMSG;
}

int zkl_mark_read(const struct zkl_place *place, struct zkl_mark *mark)
{
    const struct zkl_files *files = place->files;
    int file = files->open(files->context, place->log, ZKL_MARK_NAME, ZKL_OPEN_READ);
    if (file == -ENOENT) return 0;
    if (file < 0) return file;
    uint64_t sequence;
    int status = read_slots(files, file, mark, &sequence);
    files->close(files->context, file);
    return status;
}

/* With `mark` in both slots. */
static int make(struct zkl_mark_file *file, const struct zkl_mark *mark)
{
    const struct zkl_place *place = file->place;
    uint8_t bytes[SLOT_DISTANCE + ZKL_SECTOR_SIZE] = { 0 };
    encode(bytes, mark, 1);
    encode(bytes + SLOT_DISTANCE, mark, 2);
    int status = zkl_file_put(place->files, place->log, ZKL_MARK_NAME, bytes, sizeof bytes);
    if (status != 0) return status;
    file->mark = *mark;
    file->sequence = 2;
    file->file = place->files->open(place->files->context, place->log, ZKL_MARK_NAME,
                                    ZKL_OPEN_WRITE);
    return file->file < 0 ? file->file : 0;
}

int zkl_mark_open(struct zkl_mark_file *file, const struct zkl_place *place,
                  const struct zkl_mark *mark)
{
    const struct zkl_files *files = place->files;
    file->place = place;
    file->dirty = false;
    file->synced_ms = 0;
    file->file = files->open(files->context, place->log, ZKL_MARK_NAME, ZKL_OPEN_WRITE);
    if (file->file == -ENOENT) return make(file, mark);
    if (file->file < 0) return file->file;
    int status = read_slots(files, file->file, &file->mark, &file->sequence);
    if (status > 0) status = zkl_mark_write(file, mark);
    if (status == 0) status = zkl_mark_sync(file);
    if (status != 0) zkl_mark_close(file);
    return status;
}

int zkl_mark_write(struct zkl_mark_file *file, const struct zkl_mark *mark)
{
    uint8_t sector[ZKL_SECTOR_SIZE];
    encode(sector, mark, file->sequence + 1);
    int64_t offset = (int64_t)((file->sequence + 1) % 2) * SLOT_DISTANCE;
    int status = zkl_file_write(file->place->files, file->file, sector, sizeof sector, offset);
    if (status != 0) return status;
    file->sequence++;
    file->mark = *mark;
    file->dirty = true;
    return 0;
}

int zkl_mark_sync(struct zkl_mark_file *file)
{
    if (!file->dirty) return 0;
    int status = file->place->files->sync(file->place->files->context, file->file);
    if (status == 0) file->dirty = false;
    return status;
}

void zkl_mark_close(struct zkl_mark_file *file)
{
    if (file->file >= 0) file->place->files->close(file->place->files->context, file->file);
    file->file = -1;
}
