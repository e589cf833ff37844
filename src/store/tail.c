/* A log ends in something that is no entry: was a write cut short that nobody was told of, or
 * is something lost that somebody was told of?
 *
 * Everything from the bad entry on was then written between two syncs. A crash leaves of such
 * a write any of its sectors and any part of its growth in size; what is left out reads as
 * zeros, since a log is only ever appended to. So an interrupted write shows: the file ends
 * inside the entry, or one of the entry's sectors ends in zeros. An entry that is wrong though
 * all of its sectors were written is damage.
 *
 * Valid entries behind the bad one: in a log of our own, beyond the watermark, they are sectors
 * of the same piece, of which there are at most ZKL_PIECE_MAX bytes. In a log of Apache's,
 * which tells us nothing about its syncs, they are proof that more was there once. */
#include <errno.h>
#include <libdeflate.h>
#include <string.h>

#include "store/internal.h"
#include "wire/bytes.h"

/* Whether [from, to) of the file is all zero: 1, 0, -errno. An empty range is. */
static int zeros(struct zkl_log_reader *reader, int64_t from, int64_t to)
{
    int64_t found;
    return from >= to ? 1 : zkl_log_reader_blank(reader, from, to, &found);
}

/* Where the entry would end; -1: its length cannot have been written by anybody. */
static int64_t extent(const uint8_t *head, int64_t at)
{
    int32_t size = zkl_load_i32(head + 8);
    if (size < 0 || size > ZKL_LOG_PAYLOAD_MAX) return -1;
    return at + ZKL_ENTRY_OVERHEAD + size;
}

/* Whether the entry is there as a whole and only its length is wrong: the file's last byte
 * that is not zero ends what the checksum is of. */
static int whole_but_length(struct zkl_log_reader *reader, int64_t at)
{
    int64_t end = reader->size;
    while (end > at + ZKL_ENTRY_OVERHEAD) {
        int64_t from = end - 4096 > at ? end - 4096 : at;
        const uint8_t *bytes = zkl_log_reader_view(reader, from, (size_t)(end - from));
        if (bytes == NULL) return reader->error;
        size_t size = (size_t)(end - from);
        while (size > 0 && bytes[size - 1] == 0) size--;
        end = from + (int64_t)size;
        if (size > 0) break;
    }
    int64_t whole = end - at;
    if (whole <= ZKL_ENTRY_OVERHEAD || whole > ZKL_LOG_PAYLOAD_MAX) return 0;
    const uint8_t *bytes = zkl_log_reader_view(reader, at, (size_t)whole);
    if (bytes == NULL) return reader->error;
    uint64_t checksum = libdeflate_adler32(1, bytes + ZKL_ENTRY_HEAD_SIZE,
                                           (size_t)whole - ZKL_ENTRY_OVERHEAD);
    return checksum == (uint64_t)zkl_load_i64(bytes);
}

/* Whether one of the sectors of [at, end) was not, or not wholly, written: from inside the
 * entry to the sector's end there are only zeros. */
static int sector_missing(struct zkl_log_reader *reader, int64_t at, int64_t end)
{
    int64_t sector = at - at % ZKL_SECTOR_SIZE;
    for (; sector < end; sector += ZKL_SECTOR_SIZE) {
        int64_t stop = sector + ZKL_SECTOR_SIZE;
        if (stop > reader->size) stop = reader->size;
        int64_t last = (stop < end ? stop : end) - 1;
        int answer = zeros(reader, last, stop);
        if (answer != 0) return answer;
    }
    return 0;
}

/* Whether an interrupted write explains what is at `at`: 1, 0, -errno. */
static int write_explains(struct zkl_log_reader *reader, int64_t at, const char **why)
{
    *why = "all of its sectors were written";
    if (reader->size - at < ZKL_ENTRY_HEAD_SIZE) return 1;
    const uint8_t *head = zkl_log_reader_view(reader, at, ZKL_ENTRY_HEAD_SIZE);
    if (head == NULL) return reader->error;
    if (at == 0 && reader->size >= ZKL_LOG_HEADER_SIZE) {
        head = zkl_log_reader_view(reader, 0, ZKL_LOG_HEADER_SIZE);
        if (head == NULL) return reader->error;
        if (zkl_log_foreign(head)) return 0;
    }
    int64_t end = extent(head, at);
    if (end < 0) return 0;
    int missing = end > reader->size ? 1 : sector_missing(reader, at, end);
    if (missing != 1) return missing;
    *why = "it is whole but for its length";
    int whole = whole_but_length(reader, at);
    return whole < 0 ? whole : !whole;
}

enum { SCAN = 64 * 1024 };

/* Looks like an entry at `at`, and is one? */
static int probe(struct zkl_log_reader *reader, int64_t at, int64_t last_zxid,
                 struct zkl_entry *entry)
{
    reader->at = at;
    enum zkl_step step = zkl_log_reader_next(reader, entry);
    if (step == ZKL_STEP_FAILED) return reader->error;
    return step == ZKL_STEP_ENTRY && entry->zxid > last_zxid;
}

int zkl_tail_find(struct zkl_log_reader *reader, int64_t from, int64_t last_zxid,
                  struct zkl_entry *entry)
{
    if (from < ZKL_LOG_HEADER_SIZE) from = ZKL_LOG_HEADER_SIZE;
    while (reader->size - from > ZKL_ENTRY_OVERHEAD) {
        size_t size = SCAN;
        if ((int64_t)size > reader->size - from) size = (size_t)(reader->size - from);
        const uint8_t *bytes = zkl_log_reader_view(reader, from, size);
        if (bytes == NULL) return reader->error;
        for (size_t i = 0; i + ZKL_ENTRY_OVERHEAD < size; i++) {
            /* The checksum's upper half is zero, its lower is not; the length is possible. */
            if ((bytes[i] | bytes[i + 1] | bytes[i + 2] | bytes[i + 3]) != 0) continue;
            if (zkl_load_u32(bytes + i + 4) == 0) continue;
            int32_t length = zkl_load_i32(bytes + i + 8);
            if (length <= 0 || length > ZKL_LOG_PAYLOAD_MAX) continue;
            int answer = probe(reader, from + (int64_t)i, last_zxid, entry);
            if (answer != 0) return answer;
            bytes = zkl_log_reader_view(reader, from, size); /* probing may have moved it */
            if (bytes == NULL) return reader->error;
        }
        from += (int64_t)size - ZKL_ENTRY_OVERHEAD;
    }
    return 0;
}

enum zkl_tail zkl_tail_judge(struct zkl_log_reader *reader, int64_t last_zxid, bool own,
                             struct zkl_entry *beyond, const char **why)
{
    int64_t at = reader->at;
    beyond->zxid = 0;
    int answer = write_explains(reader, at, why);
    int64_t from = own ? at + ZKL_PIECE_MAX : at + 1;
    int found = answer < 0 ? answer : zkl_tail_find(reader, from, last_zxid, beyond);
    reader->at = at;
    if (answer < 0 || found < 0) return ZKL_TAIL_FAILED;
    if (found == 0) beyond->zxid = 0;
    if (answer == 0) return ZKL_TAIL_DAMAGED;
    if (found == 1) {
        *why = "valid entries follow it";
        return ZKL_TAIL_DAMAGED;
    }
    return ZKL_TAIL_TORN;
}
