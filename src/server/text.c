/* Text into a connection's output: see text.h. */
#include "server/text.h"

#include <string.h>

enum { OUTPUT_MAX = ZKL_OUTPUT_STOP };

uint8_t *zkl_text_room(struct zkl_text *text, size_t size)
{
    uint8_t *room = !text->full && size <= OUTPUT_MAX - text->size
                        ? zkl_connection_room(text->connection, size)
                        : NULL;
    if (room == NULL) {
        text->full = true;
        return NULL;
    }
    zkl_buffer_commit(&text->connection->output, size);
    text->size += size;
    return room;
}

void zkl_text_bytes(struct zkl_text *text, const void *bytes, size_t size)
{
    if (size == 0) return;
    uint8_t *room = zkl_text_room(text, size);
    if (room != NULL) memcpy(room, bytes, size);
}

void zkl_text_put(struct zkl_text *text, const char *string)
{
    zkl_text_bytes(text, string, strlen(string));
}

void zkl_text_slice(struct zkl_text *text, struct zkl_slice slice)
{
    zkl_text_bytes(text, slice.base, slice.size);
}

void zkl_text_padded(struct zkl_text *text, uint64_t number, size_t digits_min)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0 || sizeof digits - at < digits_min);
    zkl_text_bytes(text, digits + at, sizeof digits - at);
}

void zkl_text_u64(struct zkl_text *text, uint64_t number)
{
    zkl_text_padded(text, number, 1);
}

void zkl_text_i64(struct zkl_text *text, int64_t number)
{
    if (number < 0) zkl_text_put(text, "-");
    zkl_text_u64(text, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}

void zkl_text_hex(struct zkl_text *text, int64_t number)
{
    char hex[ZKL_HEX_SIZE_MAX];
    zkl_text_bytes(text, hex, zkl_format_hex(hex, (uint64_t)number));
}

void zkl_text_average(struct zkl_text *text, const struct zkl_latency *latency)
{
    uint64_t count = latency->count > 0 ? latency->count : 1;
    uint64_t scaled = ((uint64_t)latency->sum_ms * 10000 + count / 2) / count;
    uint64_t fraction = scaled % 10000;
    size_t digits = 4;
    while (digits > 1 && fraction % 10 == 0) {
        fraction /= 10;
        digits--;
    }
    zkl_text_u64(text, scaled / 10000);
    zkl_text_put(text, ".");
    zkl_text_padded(text, fraction, digits);
}

void zkl_text_date(struct zkl_text *text, int64_t wall_ms)
{
    static const char DAYS[] = "ThuFriSatSunMonTueWed"; /* 1970 began on a Thursday */
    static const char MONTHS[] = "MarAprMayJunJulAugSepOctNovDecJanFeb";
    uint64_t seconds = wall_ms > 0 ? (uint64_t)wall_ms / 1000 : 0;
    uint64_t days = seconds / 86400;
    /* Years begin in March here, so that the day of leap years is the last one. */
    uint64_t since = days + 719468, era = since / 146097, of_era = since % 146097;
    uint64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * of_year + 2) / 153;
    zkl_text_bytes(text, DAYS + 3 * (days % 7), 3);
    zkl_text_put(text, " ");
    zkl_text_bytes(text, MONTHS + 3 * month, 3);
    zkl_text_put(text, " ");
    zkl_text_padded(text, of_year - (153 * month + 2) / 5 + 1, 2);
    zkl_text_put(text, " ");
    zkl_text_padded(text, seconds % 86400 / 3600, 2);
    zkl_text_put(text, ":");
    zkl_text_padded(text, seconds % 3600 / 60, 2);
    zkl_text_put(text, ":");
    zkl_text_padded(text, seconds % 60, 2);
    zkl_text_put(text, " UTC ");
    zkl_text_u64(text, era * 400 + year + (month >= 10 ? 1 : 0));
}

void zkl_text_named(struct zkl_text *text, const char *name, int64_t number)
{
    zkl_text_put(text, name);
    zkl_text_i64(text, number);
}

void zkl_text_address(struct zkl_text *text, const struct zkl_connection *connection)
{
    const struct zkl_identity *ip = ZKL_LIST_ELEMENT(connection->identities.list.next,
                                                     struct zkl_identity, link);
    zkl_text_put(text, "/");
    zkl_text_bytes(text, ip->text + ip->scheme_size, ip->id_size);
    zkl_text_put(text, ":");
    zkl_text_u64(text, connection->peer.port);
}
